//! What every page has around it, and how a page becomes an answer.

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentType, HeaderValue, LOCATION, RETRY_AFTER};
use askama::Template;

use crate::domain::{Ask, Timestamp};

use super::error::Problem;
use super::{Visitor, Web, assets};

/// The frame of one page: title, place in the navigation, who looks, which zone.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) here: &'static str,
    /// None where nobody is signed in.
    pub(super) actor: Option<String>,
    /// Whether ops are theirs to run, anywhere.
    pub(super) runs: bool,
    /// Whether what runs, or has ended, is theirs to say something about, anywhere.
    pub(super) steers: bool,
    /// Whether hosts, users and tokens are theirs to manage.
    pub(super) admin: bool,
    pub(super) zone: String,
    /// The dashboard's clock when the page was drawn, so that a browser's wrong clock shows no wrong age.
    pub(super) now: String,
}

impl Frame {
    pub(super) fn new(web: &Web, visitor: &Visitor, here: &'static str, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            here,
            actor: Some(visitor.actor.name().to_owned()),
            runs: visitor.may(Ask::Run),
            steers: visitor.may(Ask::Steer),
            admin: visitor.may(Ask::Users),
            zone: web.clock().zone(),
            now: Timestamp::now().to_rfc3339(),
        }
    }

    /// For a page that is shown to anybody.
    pub(super) fn bare(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            here: "",
            actor: None,
            runs: false,
            steers: false,
            admin: false,
            zone: String::new(),
            now: Timestamp::now().to_rfc3339(),
        }
    }

    /// The URL of an asset; for templates.
    pub(super) fn asset(&self, name: &str) -> String {
        assets::url(name)
    }
}

/// A page, or a block of one.
pub(super) fn html(template: &impl Template) -> Result<HttpResponse, Problem> {
    html_with(StatusCode::OK, template)
}

/// A page with a status of its own.
pub(super) fn html_with(status: StatusCode, template: &impl Template) -> Result<HttpResponse, Problem> {
    Ok(as_html(status, drawn(template)?))
}

/// The text of a page, or of a part of one.
pub(super) fn drawn(template: &impl Template) -> Result<String, Problem> {
    template
        .render()
        .map_err(|why| Problem::internal(format!("the page could not be drawn: {why}")))
}

/// Such a text as an answer.
pub(super) fn as_html(status: StatusCode, text: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::build(status)
        .content_type(ContentType::html())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text)
}

/// Says after how many seconds it is worth another try.
pub(super) fn retry_after(mut answer: HttpResponse, seconds: Option<i64>) -> HttpResponse {
    if let Some(seconds) = seconds {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// After something was done: the browser goes on to the page that shows it.
pub(super) fn see(place: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, place)).finish()
}
