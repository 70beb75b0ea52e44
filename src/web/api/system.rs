//! The catalog, the state, and what is asked of the dashboard as a whole.

use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};
use serde_json::json;

use crate::store::Journal;

use super::Api;
use super::body::{self, ReasonBody};
use super::caller::Caller;
use super::problem::Problem;

type Answer = Result<HttpResponse, Problem>;

pub(super) async fn ops(api: Data<Api>, _: Caller) -> Answer {
    let catalog = api.engine.catalog();
    let ops: Vec<_> = catalog.iter().collect();
    Ok(HttpResponse::Ok().json(json!({"ops": ops})))
}

/// Versions of different instances are compared for difference only.
pub(super) async fn state(api: Data<Api>, _: Caller) -> Answer {
    let instance = api.engine.instance().to_owned();
    let state = move |journal: &mut Journal| Ok(json!({"instance": instance, "version": journal.version()?}));
    Ok(HttpResponse::Ok().json(api.engine.reader().read(state).await?))
}

pub(super) async fn recovery(api: Data<Api>, _: Caller) -> Answer {
    Ok(HttpResponse::Ok().json(api.engine.recovery_preview().await?))
}

pub(super) async fn sweep(api: Data<Api>, Caller(by): Caller, payload: Payload) -> Answer {
    let answer = async {
        body::optional::<ReasonBody>(payload).await?;
        Ok(api.engine.sweep(by.clone()).await?)
    };
    let done = api.noted(&by, "a sweep", answer.await).await?;
    let swept = done.swept;
    Ok(HttpResponse::Ok().json(json!({
        "events": swept.events,
        "commands": swept.commands,
        "pipelines": swept.pipelines,
        "output_files": swept.output_files.len(),
        "postponed_until": done.postponed_until,
    })))
}

/// Whoever may ask here has proved which account of this machine they have: the link's session is theirs.
pub(super) async fn link(api: Data<Api>, Caller(by): Caller) -> Answer {
    let key = api
        .links
        .issue(by.actor)
        .map_err(|why| Problem::failed(format!("no randomness for a link: {why}")))?;
    Ok(HttpResponse::Created().json(json!({"url": format!("{}/enter?key={key}", api.pages)})))
}

pub(super) async fn unknown(_: Caller) -> Answer {
    Err(Problem::not_found(
        "the API has no such address; its list stands in the README",
    ))
}
