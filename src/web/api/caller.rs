//! Who asks: the account behind the other end of the Unix socket, by the kernel's word.
//!
//! A connection that is no Unix socket has no caller, and every handler asks for one: mounted on
//! another door by mistake, the API answers 401 and nothing else.

use std::any::Any;
use std::future::{Ready, ready};

use actix_web::dev::{Extensions, Payload};
use actix_web::{FromRequest, HttpRequest};
use nix::unistd::{Uid, User};
use tokio::net::UnixStream;

use crate::domain::Actor;
use crate::engine::By;

use super::problem::Problem;

/// Who asks, as it goes into the journal.
#[derive(Clone, Debug)]
pub struct Caller(pub By);

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

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match request.conn_data::<Peer>() {
            Some(peer) => Ok(Self(By {
                actor: peer.0.clone(),
                address: None,
            })),
            None => Err(Problem::unauthorized(
                "the API is served on the Unix socket in the data folder, to accounts of this machine",
            )),
        })
    }
}
