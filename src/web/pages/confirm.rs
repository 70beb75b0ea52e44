//! "Is it you?": asked once more before what is dangerous, on top of what was asked for. The answer goes to the same
//! address with the same fields, so that nothing has to be typed twice.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::engine::LoginError;

use super::super::form::CONFIRM;
use super::super::frame::{Frame, html_with, retry_after};
use super::super::{Visitor, Web};
use super::enter;

#[derive(Template)]
#[template(path = "access/confirm.html")]
struct ConfirmPage {
    frame: Frame,
    action: String,
    pairs: Vec<(String, String)>,
    /// `reboot on web-01, web-02`, where it is an op or a pipeline.
    about: Option<String>,
    /// Fields with passwords: those are typed again, and never sent back.
    secrets: Vec<(String, String)>,
    field: &'static str,
    by_code: bool,
    wrong: Option<String>,
}

/// What would run where, out of the form that was sent.
fn about(pairs: &[(String, String)]) -> Option<String> {
    let of = |names: [&str; 2]| {
        let values = pairs
            .iter()
            .filter(|(name, value)| names.contains(&name.as_str()) && !value.is_empty());
        values.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (what, hosts) = (of(["op", "name"]), of(["host", "hosts"]));
    (!what.is_empty() && !hosts.is_empty()).then(|| crate::domain::bounded(&format!("{what} on {hosts}"), 300))
}

/// The page, with what was sent in hidden fields, but for passwords.
pub(in crate::web) fn page(
    web: &Web,
    visitor: &Visitor,
    action: &str,
    pairs: &[(String, String)],
    wrong: Option<&LoginError>,
) -> HttpResponse {
    let user = visitor.known().user.as_ref();
    let is_secret = |name: &str| name.contains("password") || name == "again";
    let (secrets, pairs): (Vec<_>, Vec<_>) = pairs.iter().cloned().partition(|(name, _)| is_secret(name));
    let secrets = secrets
        .into_iter()
        .map(|(name, _)| (name.replace('_', " "), name))
        .collect();
    let page = ConfirmPage {
        frame: Frame::new(web, visitor, "", "Is it you?"),
        action: action.to_owned(),
        about: about(&pairs),
        pairs,
        secrets,
        field: CONFIRM,
        by_code: user.is_some_and(|user| user.totp_secret.is_some()),
        wrong: wrong.map(|why| enter::sentence(why, &web.clock())),
    };
    let status = wrong.map_or(StatusCode::FORBIDDEN, enter::status);
    let answer = html_with(status, &page).unwrap_or_else(|problem| problem.answer());
    retry_after(answer, wrong.and_then(LoginError::retry_after))
}
