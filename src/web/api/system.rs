//! The catalog, the state, and what is asked of the dashboard as a whole.

use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};

use crate::engine::RecoveryPreview;
use crate::store::Journal;

use super::Api;
use super::answers::{Link, Ops, State, Swept};
use super::body::{self, ReasonBody};
use super::caller::Caller;
use super::problem::{Conflict, Problem};

type Answer = Result<HttpResponse, Problem>;

#[utoipa::path(get, path = "/api/v1/ops", operation_id = "listOps", tag = "Dashboard",
    summary = "Lists the ops of the catalog.", description = "",
    responses((status = 200, description = "The ops.", body = Ops)),
)]
pub(super) async fn ops(api: Data<Api>, _: Caller) -> Answer {
    let catalog = api.engine.catalog();
    let ops: Vec<_> = catalog.iter().collect();
    Ok(HttpResponse::Ok().json(Ops { ops }))
}

/// Versions of different instances are compared for difference only.
#[utoipa::path(get, path = "/api/v1/state", operation_id = "showState", tag = "Dashboard",
    summary = "Says how new the journal is.", description = "",
    responses((status = 200, description = "The version.", body = State)),
)]
pub(super) async fn state(api: Data<Api>, _: Caller) -> Answer {
    let instance = api.engine.instance().to_owned();
    let state = move |journal: &mut Journal| {
        Ok(State {
            instance,
            version: journal.version()?,
        })
    };
    Ok(HttpResponse::Ok().json(api.engine.reader().read(state).await?))
}

#[utoipa::path(get, path = "/api/v1/recovery", operation_id = "previewRecovery", tag = "Dashboard",
    summary = "Says what a start of the dashboard would do now.", description = "",
    responses((status = 200, description = "What a start would do.", body = RecoveryPreview)),
)]
pub(super) async fn recovery(api: Data<Api>, _: Caller) -> Answer {
    Ok(HttpResponse::Ok().json(api.engine.recovery_preview().await?))
}

#[utoipa::path(post, path = "/api/v1/sweep", operation_id = "sweep", tag = "Dashboard",
    summary = "Removes now what is past its retention.", description = "",
    request_body = Option<ReasonBody>,
    responses((status = 200, description = "What was removed.", body = Swept),
        Conflict),
)]
pub(super) async fn sweep(api: Data<Api>, Caller(by): Caller, payload: Payload) -> Answer {
    let answer = async {
        body::optional::<ReasonBody>(payload).await?;
        Ok(api.engine.sweep(by.clone()).await?)
    };
    let done = api.noted(&by, "a sweep", answer.await).await?;
    let swept = done.swept;
    Ok(HttpResponse::Ok().json(Swept {
        events: swept.events,
        commands: swept.commands,
        pipelines: swept.pipelines,
        output_files: swept.output_files.len(),
        postponed_until: done.postponed_until,
    }))
}

/// Whoever may ask here has proved which account of this machine they have: the link's session is theirs.
#[utoipa::path(post, path = "/api/v1/links", operation_id = "makeLink", tag = "Dashboard",
    summary = "Makes a one-time link to the pages.", description = "On the Unix socket only: whoever asks there has proved which account of the machine they have.",
    responses((status = 201, description = "The link.", body = Link)),
)]
pub(super) async fn link(api: Data<Api>, Caller(by): Caller) -> Answer {
    let key = api
        .links
        .issue(by.actor)
        .map_err(|why| Problem::failed(format!("no randomness for a link: {why}")))?;
    Ok(HttpResponse::Created().json(Link {
        url: format!("{}/enter?key={key}", api.pages),
    }))
}

pub(super) async fn unknown(_: Caller) -> Answer {
    Err(Problem::not_found(
        "the API has no such address; /api/docs lists what it has",
    ))
}
