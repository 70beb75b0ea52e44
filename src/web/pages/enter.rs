//! How a browser comes in: the one-time link, and the page that says where to get one.

use actix_web::cookie::time::Duration as CookieTime;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{Digest, Timestamp};
use crate::engine::By;

use super::super::Web;
use super::super::error::Problem;
use super::super::fields::Fields;
use super::super::frame::{Frame, html, see};
use super::super::guard::{COOKIE, note};
use super::super::links::random_token;

#[derive(Template)]
#[template(path = "enter/sign_in.html")]
struct SignIn {
    frame: Frame,
}

#[derive(Template)]
#[template(path = "enter/step.html")]
struct Step {
    frame: Frame,
    place: String,
}

/// Without a key: how to get one. With a key: a session, once.
pub(in crate::web) async fn enter(web: Data<Web>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let Some(key) = fields.text("key") else {
        return html(&SignIn {
            frame: Frame::bare("Sign in"),
        });
    };
    if !is_a_person(&request) {
        return Err(Problem::forbidden(
            "A one-time link opens only when a person follows it in a browser's window.",
        ));
    }
    let address = request.peer_addr().map(|peer| peer.ip().to_string());
    let Some(actor) = web.links.redeem(key) else {
        note(&web, address, "a one-time link that is used up, too old, or not ours").await;
        return Err(Problem::forbidden(
            "It was used already, or it is older than 15 minutes. A link opens once.",
        ));
    };
    let token = random_token().map_err(|why| Problem::internal(format!("no randomness: {why}")))?;
    let by = By { actor, address };
    let lasts = web.settings.session;
    let hash = Digest::of(token.as_bytes()).to_string();
    web.engine.open_session(hash, Timestamp::now().plus(lasts), by).await?;
    let cookie = Cookie::build(COOKIE, token)
        .path("/")
        .http_only(true)
        .secure(web.settings.secure)
        .same_site(SameSite::Strict)
        .max_age(CookieTime::seconds(lasts.as_secs()))
        .finish();
    let mut answer = see("/");
    answer
        .add_cookie(&cookie)
        .map_err(|why| Problem::internal(format!("the session's cookie: {why}")))?;
    Ok(answer)
}

/// A window that navigates here, or a client that does not say. Whatever fetches ahead says so.
fn is_a_person(request: &HttpRequest) -> bool {
    let says = |name: &str, word: &str| request.headers().get(name).is_none_or(|value| value == word);
    says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
        && !request.headers().contains_key("purpose")
        && !request.headers().contains_key("sec-purpose")
}

/// One step on our own site, so that the session's cookie comes along.
pub(in crate::web) fn step(place: &str) -> HttpResponse {
    let page = Step {
        frame: Frame::bare("One moment"),
        place: place.to_owned(),
    };
    html(&page).unwrap_or_else(|problem| problem.answer())
}
