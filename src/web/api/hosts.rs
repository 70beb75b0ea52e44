//! Hosts: listed, added, removed, tested.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Payload};

use crate::domain::{Fingerprint, HostName};
use crate::engine::EngineError;
use crate::store::{HostRow, Journal};

use super::Api;
use super::answers::{HostShown, HostTested, Hosts};
use super::body::{self, HostBody, KeyBody};
use super::caller::Caller;
use super::problem::{Conflict, Problem};

type Answer = Result<HttpResponse, Problem>;

#[utoipa::path(get, path = "/api/v1/hosts", operation_id = "listHosts", tag = "Hosts",
    summary = "Lists the fleet, by name.", description = "",
    responses((status = 200, description = "The hosts.", body = Hosts)),
)]
pub(super) async fn list(api: Data<Api>, _: Caller) -> Answer {
    let fleet = api.engine.reader().read(Journal::fleet).await?;
    Ok(HttpResponse::Ok().json(Hosts {
        hosts: fleet.into_iter().map(HostShown::from).collect(),
    }))
}

#[utoipa::path(get, path = "/api/v1/hosts/{name}", operation_id = "showHost", tag = "Hosts",
    summary = "Shows a host, also one that was removed.", description = "",
    params(("name" = HostName, Path, description = "The host.")),
    responses((status = 200, description = "The host.", body = HostShown)),
)]
pub(super) async fn show(api: Data<Api>, _: Caller, name: Path<String>) -> Answer {
    let wanted = read_name(&name)?;
    let found = api
        .engine
        .reader()
        .read(move |journal| {
            Ok(match journal.host(&wanted)? {
                Some(host) => Some(HostShown::from(journal.fleet_row(host)?)),
                None => None,
            })
        })
        .await?;
    let host = found.ok_or_else(|| unknown(&name))?;
    Ok(HttpResponse::Ok().json(host))
}

#[utoipa::path(post, path = "/api/v1/hosts", operation_id = "addHost", tag = "Hosts",
    summary = "Adds a host.", description = "Say how it is reached: either `ssh` or `local`. The name of a removed host revives it.",
    request_body = HostBody,
    responses((status = 201, description = "The host.", body = HostRow),
        Conflict),
)]
pub(super) async fn add(api: Data<Api>, caller: Caller, payload: Payload) -> Answer {
    let Caller(by) = caller;
    let answer = async {
        let host = body::required::<HostBody>(payload).await?.parse()?;
        Ok(api.engine.add_host(host, by.clone()).await?)
    };
    let row = api.noted(&by, "to add a host", answer.await).await?;
    Ok(HttpResponse::Created().json(row))
}

#[utoipa::path(delete, path = "/api/v1/hosts/{name}", operation_id = "removeHost", tag = "Hosts",
    summary = "Removes a host from the fleet; its history stays.", description = "",
    params(("name" = HostName, Path, description = "The host.")),
    responses((status = 200, description = "The host as it is now.", body = HostRow),
        Conflict),
)]
pub(super) async fn remove(api: Data<Api>, caller: Caller, name: Path<String>) -> Answer {
    let Caller(by) = caller;
    let answer = async { Ok(api.engine.remove_host(&read_name(&name)?, by.clone()).await?) };
    let what = format!("to remove host {name}");
    let row = api.noted_as(&by, "to remove a host", &what, answer.await).await?;
    Ok(HttpResponse::Ok().json(row))
}

#[utoipa::path(post, path = "/api/v1/hosts/{name}/test", operation_id = "testHost", tag = "Hosts",
    summary = "Reaches a host now and says what was found.", description = "",
    params(("name" = HostName, Path, description = "The host.")),
    responses((status = 200, description = "What was found; also where it could not be reached.", body = HostTested),
        Conflict),
)]
pub(super) async fn test(api: Data<Api>, caller: Caller, name: Path<String>) -> Answer {
    let Caller(by) = caller;
    let answer = async { Ok(api.engine.test_host(&read_name(&name)?, by.clone()).await?) };
    let what = format!("to test host {name}");
    let tested = api.noted_as(&by, "to test a host", &what, answer.await).await?;
    Ok(HttpResponse::Ok().json(HostTested::of(&name, &tested)))
}

#[utoipa::path(post, path = "/api/v1/hosts/{name}/accept-key", operation_id = "acceptHostKey", tag = "Hosts",
    summary = "Takes the key that a host shows as its own, and tests the host.",
    description = "It is dialled for its key: only the one with this fingerprint is taken, in place of those that were known.",
    params(("name" = HostName, Path, description = "The host.")),
    request_body = KeyBody,
    responses((status = 200, description = "What the test found; also where it could not be reached.", body = HostTested),
        (status = 409, description = "The present state does not allow it.", body = Problem, content_type = "application/problem+json")),
)]
pub(super) async fn accept_key(api: Data<Api>, caller: Caller, name: Path<String>, payload: Payload) -> Answer {
    let Caller(by) = caller;
    let answer = async {
        let body = body::required::<KeyBody>(payload).await?;
        let wanted: Fingerprint = body.fingerprint.parse()?;
        Ok(api.engine.accept_key(&read_name(&name)?, &wanted, by.clone()).await?)
    };
    let what = format!("to accept the key of host {name}");
    let tested = api.noted_as(&by, "to accept a host's key", &what, answer.await).await?;
    Ok(HttpResponse::Ok().json(HostTested::of(&name, &tested)))
}

/// What is no name of a host names none.
fn read_name(name: &str) -> Result<HostName, Problem> {
    name.parse().map_err(|_| unknown(name))
}

fn unknown(name: &str) -> Problem {
    EngineError::UnknownHost(crate::domain::bounded(name, 80)).into()
}
