//! Users, tokens, log-in: for the command line on this machine, and for admins' programs.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::{Grants, Span, Timestamp};
use crate::engine::{Credentials, LoginError, hash_of};
use crate::store::{Journal, TokenRow, UserRow};

use super::Api;
use super::answers::{LoggedOut, Me, SessionMade, TokenMade, TokenShown, Tokens, UserShown, Users};
use super::body::{self, Body};
use super::caller::Caller;
use super::filters::OneUser;
use super::problem::{Conflict, Problem};

type Answer = Result<HttpResponse, Problem>;

/// A new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserBody {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$", example = "alice")]
    name: String,
    #[schema(min_length = 10, max_length = 1024, format = Password)]
    password: String,
    /// What they may do; nothing where it is left away.
    #[serde(default)]
    #[schema(value_type = Grants)]
    role: String,
}

impl Body for UserBody {
    const KEYS: &[&str] = &["name", "password", "role"];
}

/// What somebody may do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleBody {
    #[schema(value_type = Grants)]
    role: String,
}

impl Body for RoleBody {
    const KEYS: &[&str] = &["role"];
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordBody {
    #[schema(min_length = 10, max_length = 1024, format = Password)]
    password: String,
}

impl Body for PasswordBody {
    const KEYS: &[&str] = &["password"];
}

/// A new token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$", example = "backup")]
    name: String,
    /// What it may do, as the words of a user's role.
    #[schema(
        pattern = "^(viewer|operator|admin|dangerous|(operator|dangerous)@[A-Za-z0-9][A-Za-z0-9._:-]{0,63})( (viewer|operator|admin|dangerous|(operator|dangerous)@[A-Za-z0-9][A-Za-z0-9._:-]{0,63})){0,9}$",
        example = "operator@lab viewer"
    )]
    role: String,
    /// For how long; until it is revoked where it is left away.
    #[schema(value_type = Option<String>, pattern = "^([1-9][0-9]{0,2}d|[1-9][0-9]{0,3}h( ?[0-9]{1,2}m)?( ?[0-9]{1,2}s)?|[1-9][0-9]{0,3}m( ?[0-9]{1,2}s)?|[1-9][0-9]{0,5}s)$", example = "90d")]
    lasts: Option<Span>,
}

impl Body for TokenBody {
    const KEYS: &[&str] = &["name", "role", "lasts"];
}

/// Somebody logs in, from a terminal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    name: String,
    password: String,
    #[serde(default)]
    code: String,
}

impl Body for LoginBody {
    const KEYS: &[&str] = &["name", "password", "code"];
}

#[utoipa::path(get, path = "/api/v1/users", operation_id = "listUsers", tag = "Access",
    summary = "Lists the people with accounts.", description = "",
    responses((status = 200, description = "The users.", body = Users)),
)]
pub(super) async fn users(api: Data<Api>, _: Caller) -> Answer {
    let users = api.engine.reader().read(Journal::users).await?;
    Ok(HttpResponse::Ok().json(Users {
        users: users.into_iter().map(UserShown::from).collect(),
    }))
}

#[utoipa::path(post, path = "/api/v1/users", operation_id = "addUser", tag = "Access",
    summary = "Makes a user.", description = "Nobody gives away more than they have. Names are never used again.",
    request_body = UserBody,
    responses((status = 201, description = "The user.", body = UserRow),
        Conflict),
)]
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

#[utoipa::path(post, path = "/api/v1/users/{name}/role", operation_id = "setRole", tag = "Access",
    summary = "Says what a user may do.", description = "",
    params(OneUser),
    request_body = RoleBody,
    responses((status = 200, description = "The user as they are now.", body = UserRow),
        Conflict),
)]
pub(super) async fn role(api: Data<Api>, Caller(by): Caller, name: Path<String>, payload: Payload) -> Answer {
    let answer = async {
        let body: RoleBody = body::required(payload).await?;
        let grants: Grants = body.role.parse()?;
        Ok(api.engine.set_grants(name.clone(), grants, by.clone()).await?)
    };
    let row = api.noted(&by, "to change a user", answer.await).await?;
    Ok(HttpResponse::Ok().json(row))
}

#[utoipa::path(post, path = "/api/v1/users/{name}/password", operation_id = "setPassword", tag = "Access",
    summary = "Sets a user's password; their sessions end.", description = "",
    params(OneUser),
    request_body = PasswordBody,
    responses((status = 200, description = "The user as they are now.", body = UserRow),
        Conflict),
)]
pub(super) async fn password(api: Data<Api>, Caller(by): Caller, name: Path<String>, payload: Payload) -> Answer {
    let answer = async {
        let body: PasswordBody = body::required(payload).await?;
        let set = api.engine.set_password(name.clone(), body.password, None, by.clone());
        Ok(set.await?)
    };
    let row = api.noted(&by, "to set a password", answer.await).await?;
    Ok(HttpResponse::Ok().json(row))
}

#[utoipa::path(post, path = "/api/v1/users/{name}/disable", operation_id = "disableUser", tag = "Access",
    summary = "Shuts a user out.", description = "",
    params(OneUser),
    responses((status = 200, description = "The user as they are now.", body = UserRow),
        Conflict),
)]
pub(super) async fn disable(api: Data<Api>, caller: Caller, name: Path<String>) -> Answer {
    set_disabled(&api, caller, &name, true).await
}

#[utoipa::path(post, path = "/api/v1/users/{name}/enable", operation_id = "enableUser", tag = "Access",
    summary = "Lets a user in again.", description = "",
    params(OneUser),
    responses((status = 200, description = "The user as they are now.", body = UserRow),
        Conflict),
)]
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

#[utoipa::path(delete, path = "/api/v1/users/{name}/totp", operation_id = "removeSecondFactor", tag = "Access",
    summary = "Takes a user's second factor away; their sessions end.", description = "",
    params(OneUser),
    responses((status = 200, description = "The user as they are now.", body = UserRow),
        Conflict),
)]
pub(super) async fn remove_totp(api: Data<Api>, Caller(by): Caller, name: Path<String>) -> Answer {
    let answer = api.engine.remove_totp(&name, None, by.clone()).await;
    let row = api
        .noted(&by, "to change a user", answer.map_err(Problem::from))
        .await?;
    Ok(HttpResponse::Ok().json(row))
}

#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "listTokens", tag = "Access",
    summary = "Lists the tokens.", description = "",
    responses((status = 200, description = "The tokens, without their secrets.", body = Tokens)),
)]
pub(super) async fn tokens(api: Data<Api>, _: Caller) -> Answer {
    let tokens = api.engine.reader().read(crate::engine::tokens).await?;
    Ok(HttpResponse::Ok().json(Tokens {
        tokens: tokens
            .into_iter()
            .map(|(row, refused)| TokenShown { row, refused })
            .collect(),
    }))
}

/// The only answer that ever holds the token's secret.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "addToken", tag = "Access",
    summary = "Makes a token; its secret is in this answer alone.", description = "Nobody gives away more than they have. Names are never used again.",
    request_body = TokenBody,
    responses((status = 201, description = "The token with its secret.", body = TokenMade),
        Conflict),
)]
pub(super) async fn add_token(api: Data<Api>, Caller(by): Caller, payload: Payload) -> Answer {
    let answer = async {
        let body: TokenBody = body::required(payload).await?;
        let grants: Grants = body.role.parse()?;
        let expires = body.lasts.map(|span| Timestamp::now().plus(span));
        Ok(api.engine.add_token(body.name, grants, expires, by.clone()).await?)
    };
    let (row, token) = api.noted(&by, "to make a token", answer.await).await?;
    Ok(HttpResponse::Created().json(TokenMade { row, token }))
}

#[utoipa::path(delete, path = "/api/v1/tokens/{name}", operation_id = "revokeToken", tag = "Access",
    summary = "Revokes a token.", description = "",
    params(("name" = String, Path, description = "The token.", pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")),
    responses((status = 200, description = "The token as it is now.", body = TokenRow),
        Conflict),
)]
pub(super) async fn revoke_token(api: Data<Api>, Caller(by): Caller, name: Path<String>) -> Answer {
    let answer = api.engine.revoke_token(name.clone(), by.clone()).await;
    let row = api
        .noted(&by, "to revoke a token", answer.map_err(Problem::from))
        .await?;
    Ok(HttpResponse::Ok().json(row))
}

/// A session for a terminal: `{session}` is sent as a token is. Only JSON is taken: a form of another site cannot send it.
#[utoipa::path(post, path = "/api/v1/login", operation_id = "logIn", tag = "Access",
    summary = "Begins a session for a terminal.", description = "Its secret is sent as a token is. After wrong tries it waits.",
    request_body = LoginBody,
    responses((status = 201, description = "The session.", body = SessionMade),
        (status = 403, description = "Unknown user, wrong password or code: which of them is not said.", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong tries; the text says how long to wait.", body = Problem, content_type = "application/problem+json")),
)]
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
        Ok(open) => Ok(HttpResponse::Created().json(SessionMade {
            session: open.secret,
            name: open.name,
        })),
        Err(LoginError::Engine(why)) => Err(why.into()),
        Err(why @ LoginError::Wrong) => Err(Problem::forbidden(why.to_string())),
        Err(why @ LoginError::Wait(_)) => Err(Problem::too_many(why.to_string(), why.retry_after())),
    }
}

/// Ends the session of who asks.
#[utoipa::path(post, path = "/api/v1/logout", operation_id = "logOut", tag = "Access",
    summary = "Ends the session that asks.", description = "A token is not ended by it.",
    responses((status = 200, description = "Whether there was one.", body = LoggedOut)),
)]
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
    Ok(HttpResponse::Ok().json(LoggedOut { ended }))
}

/// Who the caller is here, and what they may do.
#[utoipa::path(get, path = "/api/v1/me", operation_id = "whoAmI", tag = "Access",
    summary = "Says who asks, and what they may do.", description = "",
    responses((status = 200, description = "Who asks.", body = Me)),
)]
pub(super) async fn me(Caller(by): Caller) -> Answer {
    let may = crate::domain::Ask::ALL
        .iter()
        .copied()
        .filter(|ask| by.access.may(*ask, crate::domain::On::Somewhere).is_allowed())
        .collect();
    Ok(HttpResponse::Ok().json(Me { actor: by.actor, may }))
}
