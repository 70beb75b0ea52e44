//! Who asks, for programs: the account at the other end of the Unix socket, by the kernel's word; else a token, or the
//! session of `quarterdeck login`, in the header `Authorization: Bearer`. And whether they may.

use std::any::Any;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, AUTHORIZATION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _, HttpRequest, ResponseError as _};
use nix::unistd::{Uid, User};
use tokio::net::UnixStream;

use crate::domain::{Access, Actor, Decision, On, Proof, bounded};
use crate::engine::{By, Shown, hash_of};

use super::super::Web;
use super::super::entry::{Listed, Need, listed, methods};
use super::super::guard::{address, note};
use super::caller::Caller;
use super::problem::Problem;

/// What a program of this machine says of who stands behind it; nobody has proved it.
const CLAIM: &str = "x-quarterdeck-claims";

/// The account at the other end of a connection.
#[derive(Clone, Debug)]
struct Peer(Actor);

/// For [`actix_web::HttpServer::on_connect`]: notes whose process has connected.
pub fn on_connect(connection: &dyn Any, extensions: &mut Extensions) {
    let Some(socket) = connection.downcast_ref::<UnixStream>() else {
        return;
    };
    match socket.peer_cred() {
        Ok(peer) => {
            extensions.insert(Peer(Actor::Local(account(peer.uid()))));
        }
        Err(why) => tracing::warn!(%why, "the kernel did not say who has connected to the socket"),
    }
}

/// The account's name, or its number where it has none.
fn account(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string(),
    }
}

/// Lets through who is known and may do what the table says that it takes.
pub(super) async fn programs<B: MessageBody + 'static>(
    web: Data<Web>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match admit(&web, &request).await {
        Ok(by) => {
            request.extensions_mut().insert(Caller(by));
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(problem) => {
            let mut answer = problem.error_response();
            if answer.status() == StatusCode::METHOD_NOT_ALLOWED
                && let Ok(allow) = HeaderValue::from_str(&methods(super::LIST, &request))
            {
                answer.headers_mut().insert(ALLOW, allow);
            }
            Ok(request.into_response(answer))
        }
    }
}

async fn admit(web: &Web, request: &ServiceRequest) -> Result<By, Problem> {
    let entry = listed(super::LIST, request);
    if matches!(&entry, Listed::At(entry) if entry.need == Need::Open) {
        let address = address(web, request.request());
        if !is_json_or_none(request) {
            return Err(Problem::other_type());
        }
        return Ok(By::new(Actor::System, address, Access::Nothing));
    }
    let by = known(web, request).await?;
    let ask = match entry {
        Listed::At(entry) => match entry.need {
            Need::May(ask) => ask,
            Need::Open => return Ok(by),
        },
        Listed::OtherMethod => return Err(Problem::other_method(request.method().as_str())),
        Listed::Nowhere => {
            return Err(Problem::not_found(
                "the API has no such address; /api/docs lists what it has",
            ));
        }
    };
    match by.access.may(ask, On::Somewhere) {
        Decision::Allowed if is_json_or_none(request) => Ok(by),
        Decision::Allowed => Err(Problem::other_type()),
        Decision::Denied(why) => {
            let what = request.match_pattern().unwrap_or_default();
            let kind = format!("{} {what}", request.method());
            let message = format!("{} was refused {kind}: {why}", by.actor.name());
            if let Err(why) = web.engine.note_refusal(&kind, &message, by).await {
                tracing::warn!(%why, "a refusal could not be journaled");
            }
            Err(Problem::forbidden(why))
        }
    }
}

/// Whether a body that comes along says that it is JSON. A form of a foreign page cannot say so.
fn is_json_or_none(request: &ServiceRequest) -> bool {
    let headers = request.headers();
    let none = match headers.get(CONTENT_LENGTH) {
        Some(length) => length == "0",
        None => !headers.contains_key(TRANSFER_ENCODING),
    };
    none || request.content_type().eq_ignore_ascii_case("application/json")
}

/// What a program shows: a token, or the secret of a session.
pub(super) fn secret_of(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

async fn known(web: &Web, request: &ServiceRequest) -> Result<By, Problem> {
    // Who gives a secret wants to act under the name that goes with it, also on the Unix socket.
    if !request.headers().contains_key(AUTHORIZATION)
        && let Some(peer) = request.conn_data::<Peer>()
    {
        let mut by = By::new(peer.0.clone(), None, Access::Everything);
        let claim = request.headers().get(CLAIM).and_then(|claim| claim.to_str().ok());
        by.proof = claim.map(|claim| Proof::Claims(bounded(claim, 100)));
        return Ok(by);
    }
    let secret = secret_of(request.request())
        .ok_or_else(|| Problem::unauthorized("the API takes a token: send the header “Authorization: Bearer TOKEN”"))?;
    let hash = hash_of(secret);
    let by = if secret.starts_with("qd_") {
        match web.engine.recognise_token(hash).await? {
            Shown::Known(by) => Some(*by),
            Shown::Refused(why) => {
                note(
                    web,
                    request.request(),
                    "a token of somebody who may not have made it now",
                )
                .await;
                return Err(Problem::unauthorized(format!(
                    "this token is refused: {why}; somebody who may can make another one"
                )));
            }
            Shown::Unknown => None,
        }
    } else {
        web.engine.recognise(hash, true).await?.map(|known| known.by)
    };
    let Some(mut by) = by else {
        note(web, request.request(), "a token that is not known, or has ended").await;
        return Err(Problem::unauthorized(if secret.starts_with("qd_") {
            "this token is not known here, was revoked, or has ended; an admin can make another one"
        } else {
            "this is neither a token (they begin with qd_) nor a session that is open; quarterdeck login NAME begins a session, quarterdeck logout forgets one that has ended"
        }));
    };
    by.address = address(web, request.request());
    Ok(by)
}
