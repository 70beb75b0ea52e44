//! Who is at the pages: the session behind the cookie, what it may, and whether a form is one of ours.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::cookie::time::Duration as CookieTime;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{LOCATION, USER_AGENT};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};

use crate::domain::{Actor, Ask, Decision, Grants, MESSAGE_LIMIT, On, bounded};
use crate::engine::{By, Known, hash_of};

use super::asked::asked;
use super::entry::{Listed, Need, listed};
use super::error::Problem;
use super::fields::to_query;
use super::form::{self, Sent, token_of};
use super::guard::{address, is_secure};
use super::links::random_token;
use super::pages::{confirm, enter};
use super::{Web, routes};

/// A cookie of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Jar {
    /// It carries a session's secret.
    Session,
    /// That of a browser that has no session yet, for the forms by which it gets one.
    Before,
}

impl Jar {
    /// Its name. Cookies know no ports, so it says the port: two dashboards on one machine keep apart. Over HTTPS it
    /// begins with `__Host-`: neither plain HTTP nor another name of the domain can put one there.
    fn name(self, web: &Web, secure: bool) -> String {
        let base = match self {
            Self::Session => "qd_session",
            Self::Before => "qd_before",
        };
        let prefix = if secure { "__Host-" } else { "" };
        format!("{prefix}{base}_{}", web.settings.port)
    }

    /// What the browser sent of it: what is not 64 hexadecimal digits is none.
    pub(super) fn of(self, web: &Web, request: &HttpRequest) -> Option<String> {
        let cookie = request.cookie(&self.name(web, is_secure(web, request)))?;
        let value = cookie.value();
        (value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| value.to_owned())
    }

    /// The cookie with this value, for as long as the browser is open.
    fn cookie(self, web: &Web, request: &HttpRequest, value: String) -> Cookie<'static> {
        let secure = is_secure(web, request);
        Cookie::build(self.name(web, secure), value)
            .path("/")
            .http_only(true)
            .secure(secure)
            .same_site(SameSite::Strict)
            .finish()
    }
}

/// Who made a request that came through the guard.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The actor of the session.
    pub actor: Actor,
    /// The address of the other end.
    pub address: Option<String>,
    by: By,
    known: Arc<Known>,
}

impl Visitor {
    /// For the engine.
    #[must_use]
    pub fn by(&self) -> By {
        self.by.clone()
    }

    /// Whether they may do this anywhere: for what a page offers. What is asked for is looked at again.
    #[must_use]
    pub fn may(&self, ask: Ask) -> bool {
        self.by.access.may(ask, On::Somewhere).is_allowed()
    }

    /// Whether they may do this there: the same for a host, or for all.
    #[must_use]
    pub fn may_on(&self, ask: Ask, on: On<'_>) -> bool {
        self.by.access.may(ask, on).is_allowed()
    }

    /// Whether they may change, or end, what has these rights: nobody does that with who may more than they.
    #[must_use]
    pub fn may_give(&self, grants: &Grants) -> bool {
        self.by.access.may_give(grants).is_allowed()
    }

    /// The session and its user.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }
}

/// What the browser says that it is.
pub(super) fn agent(request: &HttpRequest) -> Option<String> {
    let agent = request.headers().get(USER_AGENT)?.to_str().ok()?;
    Some(agent.to_owned())
}

/// Lets in who has a session and may do what the table says that it takes; refuses everything else.
pub(super) async fn session<B: MessageBody + 'static>(
    web: Data<Web>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let need = match listed(routes::LIST, &request) {
        Listed::At(entry) => Some(entry.need),
        Listed::OtherMethod | Listed::Nowhere => None,
    };
    if need == Some(Need::Open) {
        return open(&web, request, next).await;
    }
    let known = match known(&web, &request).await {
        Ok(Some(known)) => known,
        Ok(None) => {
            // Who only looks is shown the way in; who wants something changed is noted.
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                super::guard::note(&web, request.request(), "a change without a session").await;
            }
            let answer = without_session(&web, &request).await;
            return Ok(request.into_response(answer));
        }
        Err(problem) => return Ok(request.into_response(problem.answer())),
    };
    let secret = Jar::Session.of(&web, request.request()).unwrap_or_default();
    let token = token_of(&secret);
    match admit(&web, &mut request, known, need, &token).await {
        Ok((visitor, sent)) => {
            request.extensions_mut().insert(visitor.clone());
            let response = next.call(request).await?;
            let response = answered(&web, &visitor, sent, response).await;
            Ok(form::with_token(response, &token).await)
        }
        Err(answer) => Ok(form::with_token(request.into_response(answer), &token).await),
    }
}

/// Everything that stands before the handler, for who has a session.
async fn admit(
    web: &Web,
    request: &mut ServiceRequest,
    known: Known,
    need: Option<Need>,
    token: &str,
) -> Result<(Visitor, Sent), HttpResponse> {
    let mut visitor = Visitor {
        actor: known.by.actor.clone(),
        address: known.by.address.clone(),
        by: known.by.clone(),
        known: Arc::new(known),
    };
    let Some(Need::May(ask)) = need else {
        let path = bounded(request.path(), 100);
        return Err(Problem::missing(&format!("“{path}”")).answer_to(web, &visitor, request.path()));
    };
    if visitor.known.must_enrol && ask != Ask::Account {
        let place = HttpResponse::SeeOther().insert_header((LOCATION, "/account")).finish();
        return Err(place);
    }
    if let Decision::Denied(why) = visitor.by.access.may(ask, On::Somewhere) {
        let problem = Problem::not_allowed(why);
        note(web, request.request(), &visitor, &problem.to_string()).await;
        return Err(of_kind(request, problem).answer_to(web, &visitor, request.path()));
    }
    if *request.method() == Method::GET {
        return Ok((visitor, Sent::default()));
    }
    let sent = match form::read(request, token).await {
        Ok(sent) => sent,
        Err(problem) => {
            note(web, request.request(), &visitor, &problem.to_string()).await;
            return Err(problem.answer_to(web, &visitor, request.path()));
        }
    };
    if let Some(typed) = &sent.confirm {
        match web.engine.step_up(&visitor.known, typed.clone(), &visitor.by).await {
            Ok(by) => visitor.by = by,
            Err(why) => return Err(confirm::page(web, &visitor, request.path(), &sent.pairs, Some(&why))),
        }
    }
    Ok((visitor, sent))
}

/// What the handler answered; where only the proof is missing that it is them, the page that asks for it.
async fn answered<B: MessageBody + 'static>(
    web: &Web,
    visitor: &Visitor,
    sent: Sent,
    response: ServiceResponse<B>,
) -> ServiceResponse<BoxBody> {
    let problem = response
        .response()
        .error()
        .and_then(|error| error.as_error::<Problem>())
        .cloned();
    let Some(problem) = problem.filter(|_| response.status().is_client_error()) else {
        return response.map_into_boxed_body();
    };
    let request = response.request().clone();
    if problem.is_step_up() {
        let answer = confirm::page(web, visitor, request.path(), &sent.pairs, None);
        return ServiceResponse::new(request, answer);
    }
    if problem.is_denial() || request.method() != Method::GET && !problem.is_mistake() {
        note(web, &request, visitor, &problem.to_string()).await;
    }
    // With the navigation around it; what a poll gets stays a fragment.
    let answer = problem.answer_to(web, visitor, request.path());
    ServiceResponse::new(request, answer)
}

/// Somebody who is signed in was refused something: that is an event too.
async fn note(web: &Web, request: &HttpRequest, visitor: &Visitor, why: &str) {
    let route = request.match_pattern().unwrap_or_else(|| "a page".to_owned());
    let kind = format!("{} {route}", request.method());
    let message = format!("{} was refused {}: {why}", visitor.actor.name(), asked(request));
    let message = bounded(&message, MESSAGE_LIMIT);
    if let Err(why) = web.engine.note_refusal(&kind, &message, visitor.by()).await {
        tracing::warn!(%why, "a refusal could not be journaled");
    }
}

/// What needs no session: its forms get the token of a cookie that is there for that alone.
async fn open<B: MessageBody + 'static>(
    web: &Web,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.path().starts_with("/static/") {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let before = Jar::Before.of(web, request.request());
    let secret = match before.clone().or_else(|| random_token().ok()) {
        Some(secret) => secret,
        None => return Ok(request.into_response(Problem::internal("no randomness").answer())),
    };
    let token = token_of(&secret);
    if *request.method() != Method::GET
        && let Err(problem) = form::read(&mut request, &token).await
    {
        super::guard::note(web, request.request(), "a foreign form").await;
        return Ok(request.into_response(problem.answer()));
    }
    let response = next.call(request).await?;
    let mut response = form::with_token(response, &token).await;
    // Only with a page that may hold a form.
    if before.is_none() && response.status().is_success() {
        let cookie = Jar::Before.cookie(web, response.request(), secret);
        let _ = response.response_mut().add_cookie(&cookie);
    }
    Ok(response)
}

async fn known(web: &Web, request: &ServiceRequest) -> Result<Option<Known>, Problem> {
    let Some(secret) = Jar::Session.of(web, request.request()) else {
        return Ok(None);
    };
    let known = web.engine.recognise(hash_of(&secret), !is_poll(request)).await?;
    Ok(known.map(|mut known| {
        known.by.address = address(web, request.request());
        known
    }))
}

/// The cookie of a session.
pub(super) fn session_cookie(web: &Web, request: &HttpRequest, secret: String) -> Cookie<'static> {
    let mut cookie = Jar::Session.cookie(web, request, secret);
    cookie.set_max_age(CookieTime::seconds(web.settings.session.as_secs()));
    cookie
}

/// What takes it away again. A browser takes `__Host-` only with everything that belongs to it.
pub(super) fn no_session_cookie(web: &Web, request: &HttpRequest) -> Cookie<'static> {
    let mut cookie = Jar::Session.cookie(web, request, String::new());
    cookie.make_removal();
    cookie
}

fn is_poll(request: &ServiceRequest) -> bool {
    request.headers().contains_key("hx-request") || request.path().ends_with("/tail")
}

fn of_kind(request: &ServiceRequest, problem: Problem) -> Problem {
    if is_poll(request) {
        problem.into_fragment()
    } else {
        problem
    }
}

async fn without_session(web: &Web, request: &ServiceRequest) -> HttpResponse {
    let is_poll = is_poll(request);
    if is_poll || request.method() != Method::GET {
        return Problem::no_session(is_poll).answer();
    }
    match web.engine.has_users().await {
        Ok(true) => {}
        Ok(false) => return Problem::not_set_up().answer(),
        Err(why) => return Problem::from(why).answer(),
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let place = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let place = own_place(place);
    // A strict cookie stays at home when a link on another site leads here: one step on our own site brings it.
    if header("sec-fetch-site") == Some("cross-site") && header("sec-fetch-mode") == Some("navigate") {
        return enter::step(place);
    }
    let next = if place == "/" { "" } else { place };
    let enter = format!("/enter{}", to_query([("next", next)]));
    HttpResponse::SeeOther().insert_header((LOCATION, enter)).finish()
}

/// A place on this site: `//other.example` would lead to another one, and so would what browsers make that of.
pub(super) fn own_place(place: &str) -> &str {
    let plain = place.len() <= 2_000 && !place.contains('\\') && !place.chars().any(char::is_control);
    if plain && place.starts_with('/') && !place.starts_with("//") && !place.starts_with("/enter") {
        place
    } else {
        "/"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_place_is_on_this_site() {
        for place in ["/", "/history?op=x&a=b", "/hosts/web-03"] {
            assert_eq!(own_place(place), place);
        }
        for place in [
            "",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nset-cookie: x",
            "/enter?next=/enter",
        ] {
            assert_eq!(own_place(place), "/", "{place:?}");
        }
    }
}
