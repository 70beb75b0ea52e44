//! Forms of our own pages: each that posts carries a token of the session that it was drawn for. It is put into every
//! form in one place, on the way out, so that no page can forget it; and looked for in one place, on the way in.

use actix_web::HttpMessage as _;
use actix_web::body::{BodySize, BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use futures_util::stream;
use memchr::{memchr, memmem};
use subtle::ConstantTimeEq as _;

use crate::engine::hash_of;

use super::error::{Problem, bad_form};

/// The hidden field with the form's token.
const TOKEN: &str = "form_token";
/// The field with which somebody confirms who they are.
pub(super) const CONFIRM: &str = "confirm_it_is_me";
/// Where a script sends the token.
const HEADER: &str = "x-form-token";

/// The token of the forms that are drawn for a session (or, before there is one, for a browser).
pub(super) fn token_of(secret: &str) -> String {
    hash_of(&format!("form:{secret}"))
}

/// What a form of ours sent, without what is ours alone.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) pairs: Vec<(String, String)>,
    /// What was typed to confirm who they are.
    pub(super) confirm: Option<String>,
}

/// Reads the form of a request, checks its token, and puts back the rest for the handler.
pub(super) async fn read(request: &mut ServiceRequest, token: &str) -> Result<Sent, Problem> {
    let header = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
    let in_header = header.is_some_and(|given| same(given, token));
    if !request
        .content_type()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        return if in_header {
            Ok(Sent::default())
        } else {
            Err(Problem::foreign_form())
        };
    }
    let bytes = request.extract::<Bytes>().await.map_err(|why| bad_form(&why))?;
    let pairs: Vec<(String, String)> = pairs_of(&bytes)?;
    let ours = |name: &str| {
        pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let in_form = ours(TOKEN).is_some_and(|given| same(&given, token));
    if !in_form && !in_header {
        return Err(Problem::foreign_form());
    }
    let confirm = ours(CONFIRM);
    let pairs: Vec<_> = pairs
        .into_iter()
        .filter(|(key, _)| key != TOKEN && key != CONFIRM)
        .collect();
    let rest = Bytes::from(encode(&pairs));
    request.headers_mut().insert(
        actix_web::http::header::CONTENT_LENGTH,
        actix_web::http::header::HeaderValue::from(rest.len()),
    );
    let body = stream::once(async move { Ok::<_, PayloadError>(rest) });
    request.set_payload(Payload::Stream {
        payload: Box::pin(body),
    });
    Ok(Sent { pairs, confirm })
}

fn same(given: &str, token: &str) -> bool {
    given.as_bytes().ct_eq(token.as_bytes()).into()
}

fn pairs_of(bytes: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|why| bad_form(&why))?;
    actix_web::web::Query::<Vec<(String, String)>>::from_query(text)
        .map(actix_web::web::Query::into_inner)
        .map_err(|why| bad_form(&why))
}

fn encode(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    super::fields::to_query_with_empty(pairs)
}

/// Puts the token into every form that posts.
pub(super) async fn with_token<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
    token: &str,
) -> ServiceResponse<BoxBody> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_page = kind.is_some_and(|kind| kind.starts_with("text/html"));
    if !is_page || !matches!(response.response().body().size(), BodySize::Sized(_)) {
        return response.map_into_boxed_body();
    }
    let (request, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let filled = match to_bytes(body).await {
        Ok(page) => fill(page, token),
        Err(_) => Bytes::from_static(b"the page could not be sent\n"),
    };
    ServiceResponse::new(request, head.set_body(BoxBody::new(filled)))
}

/// Text of hosts and people stands escaped in a page, so what looks like a form of ours is one.
fn fill(page: Bytes, token: &str) -> Bytes {
    const FORM: &[u8] = b"<form method=\"post\"";
    let field = format!("<input type=\"hidden\" name=\"{TOKEN}\" value=\"{token}\">");
    let (mut filled, mut from) = (Vec::new(), 0);
    for begin in memmem::find_iter(&page, FORM) {
        let Some(end) = memchr(b'>', &page[begin..]) else { break };
        filled.reserve(page.len() + 1024 - from);
        filled.extend_from_slice(&page[from..=begin + end]);
        filled.extend_from_slice(field.as_bytes());
        from = begin + end + 1;
    }
    if from == 0 {
        return page;
    }
    filled.extend_from_slice(&page[from..]);
    filled.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_posts_gets_the_token() {
        let page =
            br#"<form method="post" action="/a"><b></form><form method="get"></form><form method="post" id="x">"#;
        let filled = String::from_utf8(fill(Bytes::from_static(page), "abc").to_vec()).expect("text");
        assert_eq!(filled.matches(r#"name="form_token" value="abc""#).count(), 2);
        assert!(
            filled.starts_with(r#"<form method="post" action="/a"><input type="hidden""#),
            "{filled}"
        );
        assert_eq!(fill(Bytes::from_static(b"nothing"), "abc"), b"nothing"[..]);
    }

    /// The one form in which templates write it is the one that is looked for.
    #[test]
    fn templates_write_forms_in_one_way() {
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("folder") {
                let path = entry.expect("entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("template");
                for form in text.split("<form").skip(1) {
                    assert!(
                        form.starts_with(" method=\"post\"") || form.starts_with(" method=\"get\""),
                        "{}: write <form method=\"post\" …> with the method first: <form{}",
                        path.display(),
                        form.split('>').next().unwrap_or_default()
                    );
                }
                assert!(!text.contains("formmethod"), "{}", path.display());
            }
        }
    }
}
