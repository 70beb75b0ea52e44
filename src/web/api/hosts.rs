//! Hosts: listed, added, removed, tested.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Payload};
use serde_json::{Value, json};

use crate::domain::HostName;
use crate::engine::{EngineError, Tested};
use crate::store::{FleetRow, Journal};

use super::Api;
use super::body::{self, HostBody};
use super::caller::Caller;
use super::problem::Problem;

type Answer = Result<HttpResponse, Problem>;

pub(super) async fn list(api: Data<Api>, _: Caller) -> Answer {
    let rows = |journal: &mut Journal| Ok(journal.fleet()?.iter().map(row).collect::<Vec<_>>());
    let hosts = api.engine.reader().read(rows).await?;
    Ok(HttpResponse::Ok().json(json!({"hosts": hosts})))
}

/// The host's own columns, with what is known of it beside them.
fn row(fleet: &FleetRow) -> Value {
    let mut row = serde_json::to_value(&fleet.host).unwrap_or_default();
    if let Value::Object(columns) = &mut row {
        columns.insert("facts".to_owned(), json!(fleet.facts));
        columns.insert("open".to_owned(), json!(fleet.open));
        columns.insert("last".to_owned(), json!(fleet.last));
        columns.insert("attention".to_owned(), json!(fleet.attention));
    }
    row
}

pub(super) async fn show(api: Data<Api>, _: Caller, name: Path<String>) -> Answer {
    let wanted = read_name(&name)?;
    let found = api
        .engine
        .reader()
        .read(move |journal| {
            Ok(match journal.host(&wanted)? {
                Some(removed) if removed.removed_at.is_some() => Some(json!(removed)),
                Some(host) => Some(row(&journal.fleet_row(host)?)),
                None => None,
            })
        })
        .await?;
    let host = found.ok_or_else(|| unknown(&name))?;
    Ok(HttpResponse::Ok().json(host))
}

pub(super) async fn add(api: Data<Api>, caller: Caller, payload: Payload) -> Answer {
    let Caller(by) = caller;
    let answer = async {
        let host = body::required::<HostBody>(payload).await?.parse()?;
        Ok(api.engine.add_host(host, by.clone()).await?)
    };
    let row = api.noted(&by, "to add a host", answer.await).await?;
    Ok(HttpResponse::Created().json(row))
}

pub(super) async fn remove(api: Data<Api>, caller: Caller, name: Path<String>) -> Answer {
    let Caller(by) = caller;
    let answer = async { Ok(api.engine.remove_host(&read_name(&name)?, by.clone()).await?) };
    let what = format!("to remove host {name}");
    let row = api.noted_as(&by, "to remove a host", &what, answer.await).await?;
    Ok(HttpResponse::Ok().json(row))
}

pub(super) async fn test(api: Data<Api>, caller: Caller, name: Path<String>) -> Answer {
    let Caller(by) = caller;
    let answer = async { Ok(api.engine.test_host(&read_name(&name)?, by.clone()).await?) };
    let what = format!("to test host {name}");
    let tested = api.noted_as(&by, "to test a host", &what, answer.await).await?;
    Ok(HttpResponse::Ok().json(found(&name, &tested)))
}

/// What a test found, in the words that `facts` of a host uses.
fn found(name: &str, tested: &Tested) -> Value {
    let facts = tested.facts.as_ref().map(|facts| {
        json!({
            "os": facts.os,
            "kernel": facts.kernel,
            "boot_id": facts.boot_id,
            "machine_id": facts.machine_id,
            "uptime_s": facts.uptime_s,
            "clock_s": facts.clock_s,
            "user": facts.user,
            "disk_used_percent": facts.disk_used_percent,
            "reboot_needed": facts.reboot_needed,
        })
    });
    let (refusal, problem) = match &tested.problem {
        Some(problem) => (Some(problem.refusal()), Some(problem.to_string())),
        None => (None, None),
    };
    json!({
        "host": name,
        "reached": tested.problem.is_none(),
        "refusal": refusal,
        "problem": problem,
        "facts": facts,
        "took_ms": tested.took.as_millis(),
    })
}

/// What is no name of a host names none.
fn read_name(name: &str) -> Result<HostName, Problem> {
    name.parse().map_err(|_| unknown(name))
}

fn unknown(name: &str) -> Problem {
    EngineError::UnknownHost(crate::domain::bounded(name, 80)).into()
}
