//! How a browser comes in: name and password, the one-time link of this machine, the first set-up; and how it leaves.

use actix_web::http::StatusCode;
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::Access;
use crate::engine::{By, Credentials, LoginError, hash_of};

use super::super::clock::Clock;
use super::super::error::Problem;
use super::super::fields::Fields;
use super::super::frame::{Frame, html, html_with, retry_after, see};
use super::super::guard::{address, note};
use super::super::session::{Jar, agent, no_session_cookie, own_place, session_cookie};
use super::super::{Visitor, Web};

#[derive(Template)]
#[template(path = "access/log_in.html")]
struct LogIn {
    frame: Frame,
    name: String,
    next: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "access/set_up.html")]
struct SetUpPage {
    frame: Frame,
    key: String,
    name: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "enter/step.html")]
struct Step {
    frame: Frame,
    place: String,
}

/// Without a key: the form to log in. With a key: the session of a one-time link, once.
pub(in crate::web) async fn enter(web: Data<Web>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let Some(key) = fields.text("key") else {
        if !web.engine.has_users().await? {
            return Err(Problem::not_set_up());
        }
        return html(&LogIn {
            frame: Frame::bare("Log in"),
            name: String::new(),
            next: own_place(fields.text("next").unwrap_or("/")).to_owned(),
            wrong: None,
        });
    };
    a_person_follows(&request)?;
    let Some(actor) = web.links.redeem(key) else {
        note(&web, &request, "a one-time link that is used up, too old, or not ours").await;
        return Err(Problem::forbidden(
            "It was used already, or it is older than 15 minutes. A link opens once.",
        ));
    };
    let by = By::new(actor, address(&web, &request), Access::Everything);
    let secret = web.engine.open_local_session(by, agent(&request)).await?;
    let_in(&web, &request, secret, "/")
}

/// Lets in who knows a name, its password and, where it has one, a code of its second factor.
pub(in crate::web) async fn log_in(
    web: Data<Web>,
    request: HttpRequest,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let name = fields.owned("name").unwrap_or_default();
    let next = own_place(fields.text("next").unwrap_or("/")).to_owned();
    match web.engine.log_in(given(&web, &request, &fields)).await {
        Ok(open) => let_in(&web, &request, open.secret, &next),
        Err(LoginError::Engine(why)) => Err(why.into()),
        Err(why @ (LoginError::Wrong | LoginError::Wait(_))) => {
            let page = LogIn {
                frame: Frame::bare("Log in"),
                name: crate::domain::bounded(&name, 64),
                next,
                wrong: Some(sentence(&why, &web.clock())),
            };
            Ok(retry_after(html_with(status(&why), &page)?, why.retry_after()))
        }
    }
}

/// What a refused log-in answers.
pub(in crate::web) fn status(why: &LoginError) -> StatusCode {
    match why {
        LoginError::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
        LoginError::Wrong | LoginError::Engine(_) => StatusCode::FORBIDDEN,
    }
}

/// The same in words.
pub(in crate::web) fn sentence(why: &LoginError, clock: &Clock) -> String {
    let text = clock.spoken(&why.to_string(), clock.now);
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// The form with which the first user is made.
pub(in crate::web) async fn set_up(web: Data<Web>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let key = fields.owned("key").unwrap_or_default();
    check_key(&web, &request, &key).await?;
    html(&SetUpPage {
        frame: Frame::bare("Set up"),
        key,
        name: String::new(),
        wrong: None,
    })
}

/// Makes the first user, who may everything, and lets them in.
pub(in crate::web) async fn first_user(
    web: Data<Web>,
    request: HttpRequest,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let key = fields.owned("key").unwrap_or_default();
    check_key(&web, &request, &key).await?;
    let again = |key: String, wrong: String| {
        let page = SetUpPage {
            frame: Frame::bare("Set up"),
            key,
            name: fields.owned("name").unwrap_or_default(),
            wrong: Some(wrong),
        };
        html_with(StatusCode::BAD_REQUEST, &page)
    };
    // Who mistypes the only password there is has locked everybody out.
    if fields.raw("again") != fields.raw("password") {
        return again(key, "The two passwords are not the same.".to_owned());
    }
    match web.engine.set_up(given(&web, &request, &fields)).await {
        Ok(open) => {
            web.set_up.forget();
            let_in(&web, &request, open.secret, "/")
        }
        Err(crate::engine::EngineError::Invalid(wrong)) => {
            again(key, format!("The {} {}.", wrong.field, wrong.problem))
        }
        Err(why) => Err(why.into()),
    }
}

/// Ends the session.
pub(in crate::web) async fn log_out(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    if let Some(secret) = Jar::Session.of(&web, &request) {
        web.engine.log_out(hash_of(&secret), visitor.by()).await?;
    }
    let mut answer = see("/enter");
    let _ = answer.add_cookie(&no_session_cookie(&web, &request));
    Ok(answer)
}

async fn check_key(web: &Web, request: &HttpRequest, key: &str) -> Result<(), Problem> {
    if web.set_up.is(key) && !web.engine.has_users().await? {
        return Ok(());
    }
    note(web, request, "a set-up link that is used up, too old, or not ours").await;
    Err(Problem::forbidden(
        "It was used already, it is older than an hour, or the dashboard was started again since.",
    ))
}

fn given(web: &Web, request: &HttpRequest, fields: &Fields) -> Credentials {
    Credentials {
        name: fields.owned("name").unwrap_or_default(),
        password: fields.raw("password").unwrap_or_default(),
        code: fields.owned("code").unwrap_or_default(),
        address: address(web, request),
        agent: agent(request),
    }
}

fn let_in(web: &Web, request: &HttpRequest, secret: String, place: &str) -> Result<HttpResponse, Problem> {
    let mut answer = see(place);
    answer
        .add_cookie(&session_cookie(web, request, secret))
        .map_err(|why| Problem::internal(format!("the session's cookie: {why}")))?;
    Ok(answer)
}

/// A window that navigates here, or a client that does not say. Whatever fetches ahead says so.
fn a_person_follows(request: &HttpRequest) -> Result<(), Problem> {
    let says = |name: &str, word: &str| request.headers().get(name).is_none_or(|value| value == word);
    let follows = says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
        && !request.headers().contains_key("purpose")
        && !request.headers().contains_key("sec-purpose");
    if follows {
        return Ok(());
    }
    Err(Problem::forbidden(
        "A one-time link opens only when a person follows it in a browser's window.",
    ))
}

/// One step on our own site, so that the session's cookie comes along.
pub(in crate::web) fn step(place: &str) -> HttpResponse {
    let page = Step {
        frame: Frame::bare("One moment"),
        place: place.to_owned(),
    };
    html(&page).unwrap_or_else(|problem| problem.answer())
}
