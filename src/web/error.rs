//! Errors become HTTP here and nowhere else, and are logged once, here.
//!
//! Every answer says what failed, why, and what to do next. A page gets a page; a fragment gets a small
//! fragment, which the script shows beside what is there already.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;

use crate::domain::{Invalid, Timestamp};
use crate::engine::EngineError;
use crate::store::ReadError;

use super::fields::sentence;
use super::frame::{Frame, html_with, retry_after};
use super::{Visitor, Web};

/// Why a request was not answered with what it asked for.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    what: &'static str,
    why: String,
    next: &'static str,
    fragment: bool,
    step_up: bool,
    /// False where even the first page would answer this.
    home: bool,
    /// For the header `Retry-After`, in seconds.
    retry_after: Option<i64>,
}

#[derive(Template)]
#[template(path = "error.html", blocks = ["problem"])]
struct ErrorPage {
    frame: Frame,
    code: u16,
    what: &'static str,
    why: String,
    next: &'static str,
    /// The page that it was asked from.
    back: Option<String>,
    home: bool,
}

const BACK: &str = "Go back, correct it and send it again; nothing was changed.";

impl Problem {
    pub(super) fn missing(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is no such page",
            format!("{what} is not here."),
            "Check the address, or begin at one of the pages above.",
        )
    }

    /// The same of what retention deletes.
    pub(super) fn swept(what: &str) -> Self {
        Self {
            next: "Check the address. Commands, pipelines and events are deleted when they are past their retention; the history and the system log list what is kept.",
            ..Self::missing(what)
        }
    }

    pub(super) fn conflict(why: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "That is not possible now",
            why,
            "Look at the page again: it shows how things stand and what can be done.",
        )
    }

    pub(super) fn no_session(fragment: bool) -> Self {
        let problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "You are not signed in",
            "This browser has no session, or its session has ended.",
            "Log in, then try again.",
        );
        Self { fragment, ..problem }
    }

    pub(super) fn forbidden(why: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "That link does not work",
            why,
            "Run “quarterdeck open” on the dashboard's machine for a new one.",
        )
    }

    /// Nobody has an account yet.
    pub(super) fn not_set_up() -> Self {
        let problem = Self::new(
            StatusCode::FORBIDDEN,
            "This dashboard is not set up yet",
            "Nobody has an account here so far.",
            "Follow the set-up link that the dashboard printed when it started. Without it, “quarterdeck open” on its machine prints another way in.",
        );
        Self { home: false, ..problem }
    }

    /// A form without the token of this session.
    pub(super) fn foreign_form() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "That form is not one of this session",
            "It came without the token that belongs to it: the page is older than your log-in, or another site sent it.",
            "Nothing was changed. Open the page again and press the button there.",
        )
    }

    pub(super) fn not_allowed(why: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "You may not do that",
            why,
            "Nothing was changed. Ask an admin for the right, if you need it.",
        )
    }

    pub(super) fn internal(why: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something is wrong in the dashboard",
            why,
            "Ops that run on hosts are not affected. Try again; if it stays, the program's own log says more.",
        )
    }

    /// The same, for a part of a page.
    pub(super) fn into_fragment(self) -> Self {
        Self { fragment: true, ..self }
    }

    fn new(status: StatusCode, what: &'static str, why: impl Into<String>, next: &'static str) -> Self {
        Self {
            status,
            what,
            why: why.into(),
            next,
            fragment: false,
            step_up: false,
            home: true,
            retry_after: None,
        }
    }

    /// True where somebody may not do what they asked for.
    pub(super) fn is_denial(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }

    /// True where a form, or an address, is merely wrong.
    pub(super) fn is_mistake(&self) -> bool {
        self.status == StatusCode::BAD_REQUEST
    }

    /// True where it is only missing that somebody confirms who they are.
    pub(super) fn is_step_up(&self) -> bool {
        self.step_up
    }

    /// Its status, for a page that comes again with its form.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer itself, for anybody.
    pub(super) fn answer(&self) -> HttpResponse {
        self.answer_in(Frame::bare(self.what), self.why.clone(), None)
    }

    /// The answer for who is signed in: with the navigation, times in the zone of the pages, and a way back to what it
    /// was about.
    pub(super) fn answer_to(&self, web: &Web, visitor: &Visitor, path: &str) -> HttpResponse {
        let why = web.clock().spoken(&self.why, Timestamp::now());
        let frame = Frame::new(web, visitor, section(path), self.what);
        self.answer_in(frame, why, back(path).filter(|_| self.status != StatusCode::NOT_FOUND))
    }

    fn answer_in(&self, frame: Frame, why: String, back: Option<String>) -> HttpResponse {
        if self.status.is_server_error() {
            tracing::error!(status = self.status.as_u16(), why = %self.why, "a request failed");
        }
        let page = ErrorPage {
            frame,
            code: self.status.as_u16(),
            what: self.what,
            why,
            next: self.next,
            back,
            home: self.home,
        };
        let answer = if self.fragment {
            html_with(self.status, &page.as_problem())
        } else {
            html_with(self.status, &page)
        };
        let plain = |_| HttpResponse::build(self.status).body(format!("{}: {}\n", self.what, self.why));
        retry_after(answer.unwrap_or_else(plain), self.retry_after)
    }
}

/// The part of the navigation that an address belongs to.
fn section(path: &str) -> &'static str {
    match path.trim_start_matches('/').split('/').next().unwrap_or_default() {
        "" | "hosts" | "run" => "fleet",
        "pipelines" => "pipelines",
        "history" | "commands" | "definitions" => "history",
        "log" => "log",
        "users" => "users",
        "tokens" => "tokens",
        _ => "",
    }
}

/// The page of the thing that a form was about: `/commands/ID` of `/commands/ID/stop`; of a filter, the page without it.
fn back(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        [kind @ ("commands" | "pipelines" | "hosts"), thing, _] => Some(format!("/{kind}/{thing}")),
        [kind @ ("users" | "tokens" | "account" | "pipelines"), _, ..] => Some(format!("/{kind}")),
        ["history" | "log" | "pipelines", ..] => Some(format!("/{}", parts[0])),
        _ => None,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.answer()
    }
}

impl From<Invalid> for Problem {
    fn from(wrong: Invalid) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That cannot be read", sentence(&wrong), BACK)
    }
}

impl From<ReadError> for Problem {
    fn from(why: ReadError) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The journal cannot be read",
            why.to_string(),
            "Ops that run on hosts are not affected. Try again in a moment; /readyz says how the dashboard is doing.",
        )
    }
}

impl From<EngineError> for Problem {
    fn from(why: EngineError) -> Self {
        let text = why.to_string();
        match why {
            EngineError::Invalid(wrong) => wrong.into(),
            EngineError::UnknownOp { .. }
            | EngineError::UnknownHost(_)
            | EngineError::UnknownCommand(_)
            | EngineError::UnknownPipelineName { .. }
            | EngineError::Unknown(_)
            | EngineError::UnknownPipeline(_) => Self::new(
                StatusCode::NOT_FOUND,
                "There is no such thing",
                text,
                "Check the name; the fleet lists the hosts and their ops.",
            ),
            EngineError::Forbidden(why) => Self::not_allowed(why),
            EngineError::StepUp => Self {
                step_up: true,
                ..Self::not_allowed(text)
            },
            EngineError::TooMany { why, again } => Self {
                retry_after: Some(again),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "That is too much at once",
                    why,
                    "Nothing was done. Wait a little, then try again.",
                )
            },
            EngineError::Conflict(_) => Self::conflict(text),
            EngineError::Unavailable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Nothing was started",
                text,
                "The journal must be writable before an op may run. Look at /readyz, make room or repair it, then try again.",
            ),
            EngineError::Internal(_) => Self::internal(text),
        }
    }
}

/// For every URL that nothing answers.
pub(super) async fn not_found(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::missing(&format!(
        "“{}”",
        crate::domain::bounded(request.path(), 100)
    )))
}

/// A form that could not be read at all: wrong type, too large, not UTF-8.
pub(super) fn bad_form(why: &impl fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "That cannot be read", why.to_string(), BACK)
}
