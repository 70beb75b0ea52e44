//! Who may come in: the name in `Host`, the origin of whatever changes something, the session of whatever
//! shows something. Two middlewares, because the API shares the door but has sessions of its own kind.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentType, HOST, HeaderMap, HeaderValue, LOCATION, ORIGIN,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _, HttpResponse};

use crate::domain::{Actor, Digest, MESSAGE_LIMIT, Timestamp, bounded};
use crate::engine::By;

use super::Web;

/// The cookie that carries a session's token.
pub(super) const COOKIE: &str = "qd_session";

/// Nothing comes from elsewhere, nothing is inline, nothing frames us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Who made a request that came through the guard.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The actor of the session.
    pub actor: Actor,
    /// The address of the other end.
    pub address: Option<String>,
}

impl Visitor {
    /// For the engine.
    #[must_use]
    pub fn by(&self) -> By {
        By {
            actor: self.actor.clone(),
            address: self.address.clone(),
        }
    }
}

/// Refuses a foreign `Host` and a foreign origin, and puts the security headers on every answer.
///
/// # Errors
/// When the server itself cannot answer.
pub async fn door<B: MessageBody + 'static>(
    web: Data<Web>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let mut response = match refusal(&web, &request) {
        None => next.call(request).await?.map_into_left_body(),
        Some((status, kind, text)) => {
            note(&web, address(&request), kind).await;
            let answer = HttpResponse::build(status)
                .content_type(ContentType::plaintext())
                .body(text);
            request.into_response(answer).map_into_right_body()
        }
    };
    secure(response.headers_mut());
    Ok(response)
}

fn refusal(web: &Web, request: &ServiceRequest) -> Option<(StatusCode, &'static str, &'static str)> {
    let Some(host) = own_host(web, request.headers()) else {
        return Some((
            StatusCode::MISDIRECTED_REQUEST,
            "a foreign name in Host",
            "This dashboard does not answer under that name.\n\
             Use the address that `quarterdeck open` prints, or add the name to `names` in the configuration.\n",
        ));
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let program = request.path().starts_with("/api/") && request.headers().contains_key(AUTHORIZATION);
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

fn secure(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Lets in who has a session; sends a page to `/enter` and refuses a poll. Assets and `/enter` need none.
pub(super) async fn session<B: MessageBody + 'static>(
    web: Data<Web>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if request.path().starts_with("/static/") || request.path() == "/enter" {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let answer = match visitor(&web, &request).await {
        Ok(Some(visitor)) => {
            request.extensions_mut().insert(visitor.clone());
            let response = next.call(request).await?;
            note_wish(&web, &visitor, &response).await;
            return Ok(response.map_into_left_body());
        }
        Ok(None) => {
            // Who only looks is shown the way in; who wants something changed is noted.
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                note(&web, address(&request), "a change without a session").await;
            }
            without_session(&request)
        }
        Err(problem) => problem.answer(),
    };
    Ok(request.into_response(answer).map_into_right_body())
}

async fn visitor(web: &Web, request: &ServiceRequest) -> Result<Option<Visitor>, super::error::Problem> {
    let Some(cookie) = request.cookie(COOKIE) else {
        return Ok(None);
    };
    if cookie.value().len() != 64 {
        return Ok(None);
    }
    let hash = Digest::of(cookie.value().as_bytes()).to_string();
    let row = web.engine.reader().read(move |journal| journal.session(&hash)).await?;
    let visitor = row.filter(|row| row.expires_at > Timestamp::now()).map(|row| Visitor {
        actor: row.actor,
        address: address(request),
    });
    Ok(visitor)
}

fn without_session(request: &ServiceRequest) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_poll = request.headers().contains_key("hx-request") || request.path().ends_with("/tail");
    if is_poll || request.method() != Method::GET {
        return super::error::Problem::no_session(is_poll).answer();
    }
    // A strict cookie stays at home when a link on another site leads here: one step on our own site brings it.
    if header("sec-fetch-site") == Some("cross-site") && header("sec-fetch-mode") == Some("navigate") {
        return super::pages::enter::step(own_place(request));
    }
    HttpResponse::SeeOther().insert_header((LOCATION, "/enter")).finish()
}

/// Where the request wants to go on this site: `//other.example` would lead to another one.
fn own_place(request: &ServiceRequest) -> &str {
    let place = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if place.starts_with('/') && !place.starts_with("//") && !place.starts_with("/\\") {
        place
    } else {
        "/"
    }
}

/// The other end's address, without its port.
pub(super) fn address(request: &ServiceRequest) -> Option<String> {
    request.peer_addr().map(|peer| peer.ip().to_string())
}

/// Somebody who is signed in asked for a change and was refused it: that is an event too.
async fn note_wish<B>(web: &Web, visitor: &Visitor, response: &ServiceResponse<B>) {
    let asked = response.request();
    let Some(why) = response
        .response()
        .error()
        .filter(|_| response.status().is_client_error())
    else {
        return;
    };
    if asked.method() != Method::POST {
        return;
    }
    let route = asked.match_pattern().unwrap_or_else(|| "a change".to_owned());
    let message = bounded(
        &format!("{} was refused {route}: {why}", visitor.actor.name()),
        MESSAGE_LIMIT,
    );
    if !web
        .refusals
        .is_new(&message, visitor.address.as_deref(), Instant::now())
    {
        return;
    }
    if let Err(why) = web.engine.note_refusal(&message, visitor.by()).await {
        tracing::warn!(%why, "a refusal could not be journaled");
    }
}

/// Journals that a stranger was refused, once a minute for each kind and address.
pub(super) async fn note(web: &Web, address: Option<String>, kind: &str) {
    if !web.refusals.is_new(kind, address.as_deref(), Instant::now()) {
        return;
    }
    let message = format!(
        "a request was refused: {kind} (from {}); more of the same within a minute are not listed",
        address.as_deref().unwrap_or("an unknown address")
    );
    let by = By {
        actor: Actor::System,
        address,
    };
    if let Err(why) = web.engine.note_refusal(&message, by).await {
        tracing::warn!(%why, "a refusal could not be journaled");
    }
}

/// Which refusals were journaled lately, so that a stranger cannot fill the log.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<(String, String), Instant>>);

impl Refusals {
    const PAUSE: Duration = Duration::from_secs(60);
    const MOST: usize = 1_000;

    fn is_new(&self, kind: &str, address: Option<&str>, now: Instant) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, at| now.duration_since(*at) < Self::PAUSE);
        let key = (kind.to_owned(), address.unwrap_or_default().to_owned());
        if seen.contains_key(&key) || seen.len() >= Self::MOST {
            return false;
        }
        seen.insert(key, now);
        true
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
    fn a_stranger_cannot_fill_the_log() {
        let refusals = Refusals::default();
        let now = Instant::now();
        assert!(refusals.is_new("origin", Some("10.0.0.1"), now));
        assert!(!refusals.is_new("origin", Some("10.0.0.1"), now));
        assert!(refusals.is_new("origin", Some("10.0.0.2"), now));
        assert!(refusals.is_new("host", Some("10.0.0.1"), now));
        assert!(refusals.is_new("origin", Some("10.0.0.1"), now + Refusals::PAUSE));
    }
}
