//! The door, for pages and programs alike: the name in `Host`, the origin of whatever changes something, the headers of
//! every answer; and where a request really comes from. Who it is, is looked at behind it (`session`, `api::guard`).

use std::net::{IpAddr, SocketAddr};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentType, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpRequest, HttpResponse};

use crate::domain::{Access, Actor};
use crate::engine::By;

use super::Web;

/// Nothing comes from elsewhere, nothing is inline, nothing frames us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Refuses a foreign `Host` and a foreign origin, and puts the security headers on every answer.
///
/// # Errors
/// When the server itself cannot answer.
pub async fn door<B: MessageBody + 'static>(
    web: Data<Web>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let tls = is_secure(&web, request.request());
    let mut response = match refusal(&web, &request) {
        None => next.call(request).await?.map_into_left_body(),
        Some((status, kind, text)) => {
            note(&web, request.request(), kind).await;
            let answer = HttpResponse::build(status)
                .content_type(ContentType::plaintext())
                .body(text);
            request.into_response(answer).map_into_right_body()
        }
    };
    secure(response.headers_mut(), tls);
    Ok(response)
}

fn refusal(web: &Web, request: &ServiceRequest) -> Option<(StatusCode, &'static str, &'static str)> {
    if forwarded(web, request.request()).is_err() {
        return Some((
            StatusCode::BAD_REQUEST,
            "an X-Forwarded-For that cannot be read",
            "Refused: the proxy in front of this dashboard sent an X-Forwarded-For that cannot be read, so nobody knows \
             where this request comes from.\n\
             Each part of it must be an IP address, and the last one the proxy's own client.\n",
        ));
    }
    let Some(host) = own_host(web, request.headers()) else {
        return Some((
            StatusCode::MISDIRECTED_REQUEST,
            "a foreign name in Host",
            "This dashboard does not answer under that name.\n\
             Use the address that `quarterdeck open` prints, or add the name to `names` in the configuration.\n",
        ));
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    // The API knows nobody by a cookie, so no page can make a browser ask it for somebody; but a log-in needs no cookie.
    // Programs do not say where they come from, browsers always do.
    let says = |name: HeaderName| request.headers().contains_key(name);
    let program =
        request.path().starts_with("/api/") && !says(ORIGIN) && !says(HeaderName::from_static("sec-fetch-site"));
    if reads || program || same_origin(request.headers(), host) {
        return None;
    }
    Some((
        StatusCode::FORBIDDEN,
        "a foreign origin",
        "Refused: this request did not come from a page of this dashboard, so nothing was changed.\n\
         Open the page again and press the button there.\n",
    ))
}

/// The request's `Host`, where it is one of ours.
fn own_host<'a>(web: &Web, headers: &'a HeaderMap) -> Option<&'a str> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let known = web.settings.names.iter().any(|name| name.eq_ignore_ascii_case(host));
    known.then_some(host)
}

/// Browsers say where a request comes from in a header that no page can forge.
fn same_origin(headers: &HeaderMap, host: &str) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()) else {
        return false;
    };
    ["http://", "https://"]
        .iter()
        .filter_map(|scheme| origin.strip_prefix(scheme))
        .any(|rest| rest.eq_ignore_ascii_case(host))
}

fn secure(headers: &mut HeaderMap, tls: bool) {
    if tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// The other end's address, without its port; of a client behind a proxy that the configuration trusts, the client's.
pub(super) fn address(web: &Web, request: &HttpRequest) -> Option<String> {
    let peer = request.peer_addr()?.ip();
    let client = forwarded(web, request).unwrap_or_default();
    Some(client.unwrap_or(peer).to_string())
}

/// An `X-Forwarded-For` that cannot be read.
#[derive(Debug)]
struct Unreadable;

/// Whom a proxy that the configuration trusts speaks for; none where nobody does, or it does not say. A request whose
/// proxy says something that cannot be read is refused: it is nobody's, and neither the proxy's own (then one stranger
/// uses up what all of them may) nor of an address that somebody made up.
fn forwarded(web: &Web, request: &HttpRequest) -> Result<Option<IpAddr>, Unreadable> {
    let trusted = |address: IpAddr| web.settings.proxies.iter().any(|net| net.contains(address));
    if !request.peer_addr().is_some_and(|peer| trusted(peer.ip())) {
        return Ok(None);
    }
    let header = HeaderName::from_static("x-forwarded-for");
    client_in(request.headers().get_all(header), trusted)
}

/// The last address that is no trusted proxy's: the ones before it anybody may have written. Where all are, the last.
fn client_in<'a>(
    values: impl Iterator<Item = &'a HeaderValue>,
    trusted: impl Fn(IpAddr) -> bool,
) -> Result<Option<IpAddr>, Unreadable> {
    let values: Vec<&str> = values
        .map(|value| value.to_str().map_err(|_| Unreadable))
        .collect::<Result<_, _>>()?;
    let mut last = None;
    for part in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        let address = ip(part.trim()).ok_or(Unreadable)?;
        if !trusted(address) {
            return Ok(Some(address));
        }
        last = last.or(Some(address));
    }
    Ok(last)
}

/// An address, as proxies write it: some add the port.
fn ip(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

/// Whether the browser speaks HTTPS: to us, or to a proxy that the configuration trusts.
pub(super) fn is_secure(web: &Web, request: &HttpRequest) -> bool {
    let Some(peer) = request.peer_addr() else {
        return false;
    };
    let by_proxy = web.settings.proxies.iter().any(|net| net.contains(peer.ip()))
        && request
            .headers()
            .get("x-forwarded-proto")
            .is_some_and(|scheme| scheme == "https");
    web.settings.tls || by_proxy
}

/// Journals what a stranger was refused; the same is counted.
pub(super) async fn note(web: &Web, request: &HttpRequest, kind: &'static str) {
    let address = address(web, request);
    let message = format!(
        "a request was refused: {kind} (from {})",
        address.as_deref().unwrap_or("an unknown address")
    );
    let by = By::new(Actor::System, address, Access::Nothing);
    if let Err(why) = web.engine.note_refusal(kind, &message, by).await {
        tracing::warn!(%why, "a refusal could not be journaled");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    actix_web::http::header::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn only_our_own_pages_change_something() {
        let own = "localhost:8750";
        for (pairs, expected) in [
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "same-site")], false),
            (
                vec![("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8750")],
                false,
            ),
            (vec![("sec-fetch-site", "none")], false),
            (vec![("origin", "http://localhost:8750")], true),
            (vec![("origin", "https://localhost:8750")], true),
            (vec![("origin", "http://localhost:8751")], false),
            (vec![("origin", "http://evil.example")], false),
            (vec![("origin", "null")], false),
            (vec![], false),
        ] {
            assert_eq!(same_origin(&headers(&pairs), own), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_proxy_says_who_its_client_is_or_nothing_that_counts() {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let client = |values: &[&'static str]| {
            let values: Vec<HeaderValue> = values.iter().map(|value| HeaderValue::from_static(value)).collect();
            client_in(values.iter(), trusted).map(|client| client.map(|client| client.to_string()))
        };
        for (values, expected) in [
            (vec![], None),
            (vec!["203.0.113.7"], Some("203.0.113.7")),
            (vec!["6.6.6.6, 203.0.113.7, 10.0.0.1"], Some("203.0.113.7")),
            (vec!["6.6.6.6", "203.0.113.7"], Some("203.0.113.7")),
            (vec!["nonsense, 203.0.113.7"], Some("203.0.113.7")),
            (vec!["203.0.113.7:51234"], Some("203.0.113.7")),
            (vec!["[2001:db8::1]:51234"], Some("2001:db8::1")),
            (vec!["[2001:db8::1]"], Some("2001:db8::1")),
            (vec!["10.0.0.2, 10.0.0.3"], Some("10.0.0.3")),
        ] {
            let found = client(&values).expect("readable");
            assert_eq!(found.as_deref(), expected, "{values:?}");
        }
        for value in [
            "",
            "unknown",
            "203.0.113.7,",
            "203.0.113.7, _hidden",
            "203.0.113.256",
            "nonsense, 10.0.0.1",
        ] {
            assert!(client(&[value]).is_err(), "{value:?}");
        }
    }
}
