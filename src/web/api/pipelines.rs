//! Pipelines: previewed, started, listed, shown, and what people ask of them meanwhile.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::domain::{CommandId, PipelineId, PipelineStatus};
use crate::engine::{By, EngineError, Preview, RetryPreview, StartPipeline};
use crate::store::{Cursor, HistoryFilter, Journal, OnceRow, PipelineFilter, PipelineRow, ReadError};

use super::Api;
use super::answers::{self, Commands, Definitions, PipelineShown};
use super::body::{self, KeepBody, ReasonBody};
use super::caller::Caller;
use super::events;
use super::filters::{self, OfPipeline, Once, OnePipeline, Shown};
use super::once;
use super::pipeline_body::{CancelPipelineBody, Nothing, PipelineBody};
use super::problem::{Conflict, Problem};
use super::query::Parameters;

type Answer = Result<HttpResponse, Problem>;

/// What can be started, by name; an op's name is one too.
#[utoipa::path(get, path = "/api/v1/pipeline-definitions", operation_id = "listDefinitions", tag = "Pipelines",
    summary = "Lists what can be started as a pipeline.", description = "An op's name can be started too.",
    responses((status = 200, description = "The definitions.", body = Definitions)),
)]
pub(super) async fn definitions(api: Data<Api>, _: Caller) -> Answer {
    let catalog = api.engine.catalog();
    let definitions: Vec<_> = catalog.pipelines().collect();
    Ok(HttpResponse::Ok().json(Definitions { definitions }))
}

#[utoipa::path(post, path = "/api/v1/pipelines/preview", operation_id = "previewPipeline", tag = "Pipelines",
    summary = "Says what a start would do; nothing starts.", description = "",
    request_body = PipelineBody,
    responses((status = 200, description = "Which hosts, in which order and batches, and what is in the way.", body = Preview),
        (status = 404, description = "There is no such thing.", body = Problem, content_type = "application/problem+json"),
        Conflict),
)]
pub(super) async fn preview(api: Data<Api>, _: Caller, payload: Payload) -> Answer {
    let start: StartPipeline = body::required::<PipelineBody>(payload).await?.into();
    Ok(HttpResponse::Ok().json(api.engine.preview_pipeline(&start).await?))
}

#[utoipa::path(post, path = "/api/v1/pipelines", operation_id = "startPipeline", tag = "Pipelines",
    summary = "Starts a pipeline.", description = "Say for which hosts: `hosts`, `tags` or `all`, joined. Limits that are left away are those of the catalog.",
    params(Once),
    request_body = PipelineBody,
    responses((status = 202, description = "The pipeline.", body = PipelineRow),
        (status = 404, description = "There is no such thing.", body = Problem, content_type = "application/problem+json"),
        Conflict),
)]
pub(super) async fn start(api: Data<Api>, caller: Caller, request: HttpRequest, payload: Payload) -> Answer {
    let Caller(by) = caller;
    let bytes = body::bytes(payload).await?;
    let body = body::parse::<PipelineBody>(&bytes);
    let what = body
        .as_ref()
        .map_or_else(|_| "a pipeline".to_owned(), |body| format!("pipeline {}", body.name));
    let answer = async {
        let start: StartPipeline = body?.into();
        let key = once::key_of(&request, &bytes)?;
        let act = async |by| Ok(api.engine.start_pipeline(start, by).await?);
        once::once(&api, by.clone(), key, async |made| again(&api, made).await, act).await
    };
    let row = api.noted_as(&by, "to start a pipeline", &what, answer.await).await?;
    Ok(HttpResponse::Accepted().json(row))
}

/// The pipeline that was made under a key before, as it stands now.
async fn again(api: &Api, made: OnceRow) -> Result<PipelineRow, Problem> {
    let id = made.pipeline_id.ok_or_else(once::gone)?;
    let row = api.engine.reader().read(move |journal| journal.pipeline(id)).await?;
    row.ok_or_else(once::gone)
}

#[utoipa::path(get, path = "/api/v1/pipelines", operation_id = "listPipelines", tag = "Pipelines",
    summary = "Lists pipelines, newest first.", description = "",
    params(filters::Pipelines),
    responses((status = 200, description = "A page of pipelines.", body = answers::Pipelines)),
)]
pub(super) async fn list(api: Data<Api>, _: Caller, request: HttpRequest) -> Answer {
    let given = Parameters::of::<filters::Pipelines>(&request)?;
    let filter = filter(&api, &given).await?;
    let cursor = given.cursor::<PipelineId>()?.map(Cursor::Before);
    let limit = given.number("limit", 1, 1000)?.unwrap_or(50);
    let page = api
        .engine
        .reader()
        .read(move |journal| journal.pipelines(&filter, cursor, limit))
        .await?;
    let next = page.older.and_then(|_| page.rows.last()).map(|row| row.id);
    Ok(HttpResponse::Ok().json(answers::Pipelines {
        pipelines: page.rows,
        next,
    }))
}

/// The filter that was given.
pub(super) async fn filter(api: &Api, given: &Parameters) -> Result<PipelineFilter, Problem> {
    Ok(PipelineFilter {
        status: given.listed("status")?,
        name: given.text("name").map(str::to_owned),
        actor: given.text("actor").map(str::to_owned),
        host: events::host(api, given).await?,
        open_only: given.flag("open")?,
        since: given.parsed("since")?,
        until: given.parsed("until")?,
    })
}

/// The row, how its cells and hosts stand, and unless `results=false` its results in groups: of one read.
#[utoipa::path(get, path = "/api/v1/pipelines/{id}", operation_id = "showPipeline", tag = "Pipelines",
    summary = "Shows a pipeline and what came of it so far.", description = "",
    params(OnePipeline, Shown),
    responses((status = 200, description = "The pipeline.", body = PipelineShown)),
)]
pub(super) async fn show(api: Data<Api>, _: Caller, id: Path<String>, request: HttpRequest) -> Answer {
    let id = read_id(&api, &id).await?;
    let given = Parameters::of::<Shown>(&request)?;
    let with_results = given.text("results").is_none() || given.flag("results")?;
    let found = api
        .engine
        .reader()
        .read(move |journal| shown(journal, id, with_results))
        .await?;
    Ok(HttpResponse::Ok().json(found.ok_or(EngineError::UnknownPipeline(id))?))
}

fn shown(journal: &mut Journal, id: PipelineId, with_results: bool) -> Result<Option<PipelineShown>, ReadError> {
    let Some(row) = journal.pipeline(id)? else {
        return Ok(None);
    };
    let turn = row.plan.turn(&journal.pipeline_cells(id)?, row.hold_reason.as_deref());
    let mut shown = PipelineShown {
        turn: turn.map(|(_, stage)| stage),
        row,
        counts: journal.pipeline_counts(id)?,
        results: None,
        retries: None,
    };
    if with_results {
        shown.results = Some(journal.pipeline_results(id)?);
        let retries = journal.retries_of_pipeline(id)?;
        shown.retries = Some(retries.iter().map(|retry| retry.id).collect());
    }
    Ok(Some(shown))
}

#[utoipa::path(get, path = "/api/v1/pipelines/{id}/commands", operation_id = "listPipelineCommands", tag = "Pipelines",
    summary = "Lists a pipeline's commands, newest first.", description = "",
    params(OnePipeline, OfPipeline),
    responses((status = 200, description = "A page of commands.", body = Commands)),
)]
pub(super) async fn commands(api: Data<Api>, _: Caller, id: Path<String>, request: HttpRequest) -> Answer {
    let id = read_id(&api, &id).await?;
    let given = Parameters::of::<OfPipeline>(&request)?;
    let filter = HistoryFilter {
        pipeline: Some(id),
        status: given.listed("status")?,
        open_only: given.flag("open")?,
        ..HistoryFilter::default()
    };
    let cursor = given.cursor::<CommandId>()?.map(Cursor::Before);
    let limit = given.number("limit", 1, 1000)?.unwrap_or(100);
    let page = api
        .engine
        .reader()
        .read(move |journal| match journal.pipeline(id)? {
            Some(_) => journal.history(&filter, cursor, limit).map(Some),
            None => Ok(None),
        })
        .await?
        .ok_or(EngineError::UnknownPipeline(id))?;
    let next = page.older.and_then(|_| page.rows.last()).map(|row| row.id);
    Ok(HttpResponse::Ok().json(Commands {
        commands: page.rows,
        next,
    }))
}

/// The same once more changes nothing; `kill` after `finish` is stricter and counts.
#[utoipa::path(post, path = "/api/v1/pipelines/{id}/cancel", operation_id = "cancelPipeline", tag = "Pipelines",
    summary = "Cancels a pipeline.", description = "`finish` lets what runs end by itself, `kill` stops it. The same once more changes nothing.",
    params(OnePipeline),
    request_body = Option<CancelPipelineBody>,
    responses((status = 202, description = "The pipeline as it is now.", body = PipelineRow),
        Conflict),
)]
pub(super) async fn cancel(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    wish("to cancel", &api, caller, &id, async |id, by| {
        let CancelPipelineBody { mode, reason } = body::optional(payload).await?;
        Ok(api.engine.cancel_pipeline(id, mode, reason, by).await?)
    })
    .await
}

/// A pipeline that is held already stays so: that is what was asked for.
#[utoipa::path(post, path = "/api/v1/pipelines/{id}/hold", operation_id = "holdPipeline", tag = "Pipelines",
    summary = "Holds a pipeline: it starts nothing new.", description = "",
    params(OnePipeline),
    request_body = Option<Nothing>,
    responses((status = 202, description = "The pipeline as it is now.", body = PipelineRow),
        Conflict),
)]
pub(super) async fn hold(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    wish("to hold", &api, caller, &id, async |id, by| {
        body::optional::<Nothing>(payload).await?;
        match api.engine.hold_pipeline(id, by).await {
            Err(EngineError::Conflict(why)) => {
                let row = api.engine.reader().read(move |journal| journal.pipeline(id)).await?;
                row.filter(|row| row.status == PipelineStatus::Held)
                    .ok_or_else(|| EngineError::Conflict(why).into())
            }
            answer => Ok(answer?),
        }
    })
    .await
}

/// Not repeatable: a second one could let the next wait pass, which nobody has looked at.
#[utoipa::path(post, path = "/api/v1/pipelines/{id}/continue", operation_id = "continuePipeline", tag = "Pipelines",
    summary = "Lets a held pipeline go on.", description = "",
    params(OnePipeline),
    request_body = Option<Nothing>,
    responses((status = 202, description = "The pipeline as it is now.", body = PipelineRow),
        Conflict),
)]
pub(super) async fn go_on(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    wish("to continue", &api, caller, &id, async |id, by| {
        body::optional::<Nothing>(payload).await?;
        Ok(api.engine.continue_pipeline(id, by).await?)
    })
    .await
}

#[utoipa::path(get, path = "/api/v1/pipelines/{id}/retry", operation_id = "previewRetry", tag = "Pipelines",
    summary = "Says what a retry would try again; nothing starts.", description = "",
    params(OnePipeline),
    responses((status = 200, description = "What a retry would do.", body = RetryPreview),
        Conflict),
)]
pub(super) async fn preview_retry(api: Data<Api>, _: Caller, id: Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(api.engine.preview_retry(read_id(&api, &id).await?).await?))
}

#[utoipa::path(post, path = "/api/v1/pipelines/{id}/retry", operation_id = "retryPipeline", tag = "Pipelines",
    summary = "Tries again what failed in a pipeline.", description = "",
    params(OnePipeline, Once),
    request_body = Option<ReasonBody>,
    responses((status = 202, description = "The new pipeline.", body = PipelineRow),
        Conflict),
)]
pub(super) async fn retry(
    api: Data<Api>,
    caller: Caller,
    id: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    wish("a retry of", &api, caller, &id, async |id, by| {
        let bytes = body::bytes(payload).await?;
        let ReasonBody { reason } = body::parse_optional(&bytes)?;
        let key = once::key_of(&request, &bytes)?;
        let act = async |by| Ok(api.engine.retry_pipeline(id, reason, by).await?);
        once::once(&api, by, key, async |made| again(&api, made).await, act).await
    })
    .await
}

#[utoipa::path(post, path = "/api/v1/pipelines/{id}/keep", operation_id = "keepPipeline", tag = "Pipelines",
    summary = "Marks a pipeline as kept: no sweep takes it.", description = "Its commands, events and outputs stay as well.",
    params(OnePipeline),
    request_body = KeepBody,
    responses((status = 202, description = "The pipeline as it is now.", body = PipelineRow),
        Conflict),
)]
pub(super) async fn keep(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    wish("to keep", &api, caller, &id, async |id, by| {
        let KeepBody { reason } = body::required(payload).await?;
        Ok(api.engine.keep_pipeline(id, reason, by).await?)
    })
    .await
}

#[utoipa::path(post, path = "/api/v1/pipelines/{id}/unkeep", operation_id = "unkeepPipeline", tag = "Pipelines",
    summary = "Lets a kept pipeline go when its time comes.", description = "",
    params(OnePipeline),
    request_body = Option<Nothing>,
    responses((status = 202, description = "The pipeline as it is now.", body = PipelineRow),
        Conflict),
)]
pub(super) async fn unkeep(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    wish("no longer to keep", &api, caller, &id, async |id, by| {
        body::optional::<Nothing>(payload).await?;
        Ok(api.engine.unkeep_pipeline(id, by).await?)
    })
    .await
}

/// One wish about one pipeline: the row as it is afterwards.
async fn wish(
    what: &'static str,
    api: &Api,
    Caller(by): Caller,
    id: &str,
    act: impl AsyncFnOnce(PipelineId, By) -> Result<PipelineRow, Problem>,
) -> Answer {
    let thing = format!("pipeline {id}");
    let row = api.wish(&by, what, &thing, read_id(api, id).await, act).await?;
    Ok(HttpResponse::Accepted().json(row))
}

/// The one pipeline that an id, or a part of one, means; what is no id is not found either.
async fn read_id(api: &Api, id: &str) -> Result<PipelineId, Problem> {
    api.meant("pipeline", id, Journal::pipelines_like).await
}
