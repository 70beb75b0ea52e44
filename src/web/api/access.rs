//! Users, tokens, log-in: for the command line on this machine, and for admins' programs.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use crate::domain::{Grants, Span, Timestamp};
use crate::engine::{Credentials, LoginError, hash_of};
use crate::store::Journal;

use super::Api;
use super::body::{self, Body};
use super::caller::Caller;
use super::problem::Problem;

type Answer = Result<HttpResponse, Problem>;

/// A new user.
#[derive(Deserialize)]
pub(super) struct UserBody {
    name: String,
    password: String,
    #[serde(default)]
    role: String,
}

impl Body for UserBody {
    const KEYS: &[&str] = &["name", "password", "role"];
}

/// What somebody may do.
#[derive(Deserialize)]
pub(super) struct RoleBody {
    role: String,
}

impl Body for RoleBody {
    const KEYS: &[&str] = &["role"];
}

/// A new password.
#[derive(Deserialize)]
pub(super) struct PasswordBody {
    password: String,
}

impl Body for PasswordBody {
    const KEYS: &[&str] = &["password"];
}

/// A new token.
#[derive(Deserialize)]
pub(super) struct TokenBody {
    name: String,
    role: String,
    lasts: Option<Span>,
}

impl Body for TokenBody {
    const KEYS: &[&str] = &["name", "role", "lasts"];
}

/// Somebody logs in, from a terminal.
#[derive(Deserialize)]
pub(super) struct LoginBody {
    name: String,
    password: String,
    #[serde(default)]
    code: String,
}

impl Body for LoginBody {
    const KEYS: &[&str] = &["name", "password", "code"];
}

pub(super) async fn users(api: Data<Api>, _: Caller) -> Answer {
    let users = api.engine.reader().read(Journal::users).await?;
    let users: Vec<_> = users
        .iter()
        .map(|user| {
            let mut row = json!(user);
            row["second_factor"] = json!(user.totp_secret.is_some());
            row
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({"users": users})))
}

pub(super) async fn add_user(api: Data<Api>, Caller(by): Caller, payload: Payload) -> Answer {
    let answer = async {
        let body: UserBody = body::required(payload).await?;
        let grants: Grants = body.role.parse()?;
        Ok(api
            .engine
            .add_user(body.name, body.password, grants, by.clone())
            .await?)
    };
    let row = api.noted(&by, "to add a user", answer.await).await?;
    Ok(HttpResponse::Created().json(row))
}

pub(super) async fn role(api: Data<Api>, Caller(by): Caller, name: Path<String>, payload: Payload) -> Answer {
    let answer = async {
        let body: RoleBody = body::required(payload).await?;
        let grants: Grants = body.role.parse()?;
        Ok(api.engine.set_grants(name.clone(), grants, by.clone()).await?)
    };
    let row = api.noted(&by, "to change a user", answer.await).await?;
    Ok(HttpResponse::Ok().json(row))
}

pub(super) async fn password(api: Data<Api>, Caller(by): Caller, name: Path<String>, payload: Payload) -> Answer {
    let answer = async {
        let body: PasswordBody = body::required(payload).await?;
        let set = api.engine.set_password(name.clone(), body.password, None, by.clone());
        Ok(set.await?)
    };
    let row = api.noted(&by, "to set a password", answer.await).await?;
    Ok(HttpResponse::Ok().json(row))
}

pub(super) async fn disable(api: Data<Api>, caller: Caller, name: Path<String>) -> Answer {
    set_disabled(&api, caller, &name, true).await
}

pub(super) async fn enable(api: Data<Api>, caller: Caller, name: Path<String>) -> Answer {
    set_disabled(&api, caller, &name, false).await
}

async fn set_disabled(api: &Api, Caller(by): Caller, name: &str, disabled: bool) -> Answer {
    let answer = api.engine.set_disabled(name.to_owned(), disabled, by.clone()).await;
    let row = api
        .noted(&by, "to change a user", answer.map_err(Problem::from))
        .await?;
    Ok(HttpResponse::Ok().json(row))
}

pub(super) async fn remove_totp(api: Data<Api>, Caller(by): Caller, name: Path<String>) -> Answer {
    let answer = api.engine.remove_totp(&name, by.clone()).await;
    let row = api
        .noted(&by, "to change a user", answer.map_err(Problem::from))
        .await?;
    Ok(HttpResponse::Ok().json(row))
}

pub(super) async fn tokens(api: Data<Api>, _: Caller) -> Answer {
    let tokens = api.engine.reader().read(Journal::tokens).await?;
    Ok(HttpResponse::Ok().json(json!({"tokens": tokens})))
}

/// The only answer that ever holds the token's secret.
pub(super) async fn add_token(api: Data<Api>, Caller(by): Caller, payload: Payload) -> Answer {
    let answer = async {
        let body: TokenBody = body::required(payload).await?;
        let grants: Grants = body.role.parse()?;
        let expires = body.lasts.map(|span| Timestamp::now().plus(span));
        Ok(api.engine.add_token(body.name, grants, expires, by.clone()).await?)
    };
    let (row, secret) = api.noted(&by, "to make a token", answer.await).await?;
    let mut made = json!(row);
    made["token"] = json!(secret);
    Ok(HttpResponse::Created().json(made))
}

pub(super) async fn revoke_token(api: Data<Api>, Caller(by): Caller, name: Path<String>) -> Answer {
    let answer = api.engine.revoke_token(name.clone(), by.clone()).await;
    let row = api
        .noted(&by, "to revoke a token", answer.map_err(Problem::from))
        .await?;
    Ok(HttpResponse::Ok().json(row))
}

/// A session for a terminal: `{session}` is sent as a token is. Only JSON is taken: a form of another site cannot send it.
pub(super) async fn log_in(api: Data<Api>, Caller(by): Caller, request: HttpRequest, payload: Payload) -> Answer {
    if !request.content_type().eq_ignore_ascii_case("application/json") {
        return Err(Problem::other_type());
    }
    let body: LoginBody = body::required(payload).await?;
    let given = Credentials {
        name: body.name,
        password: body.password,
        code: body.code,
        address: by.address,
        agent: Some("quarterdeck login".to_owned()),
    };
    match api.engine.log_in(given).await {
        Ok(open) => Ok(HttpResponse::Created().json(json!({"session": open.secret, "name": open.name}))),
        Err(LoginError::Engine(why)) => Err(why.into()),
        Err(why @ LoginError::Wrong) => Err(Problem::forbidden(why.to_string())),
        Err(why @ LoginError::Wait(_)) => Err(Problem::too_many(why.to_string())),
    }
}

/// Ends the session of who asks.
pub(super) async fn log_out(api: Data<Api>, Caller(by): Caller, request: HttpRequest) -> Answer {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let secret = header
        .and_then(|value| value.split_once(' '))
        .map(|(_, secret)| secret.trim());
    let ended = match secret {
        Some(secret) => api.engine.log_out(hash_of(secret), by).await?,
        None => false,
    };
    Ok(HttpResponse::Ok().json(json!({"ended": ended})))
}

/// Who the caller is here, and what they may do.
pub(super) async fn me(Caller(by): Caller) -> Answer {
    let may: Vec<_> = crate::domain::Ask::ALL
        .iter()
        .filter(|ask| by.access.may(**ask, crate::domain::On::Somewhere).is_allowed())
        .collect();
    Ok(HttpResponse::Ok().json(json!({"actor": by.actor, "may": may})))
}
