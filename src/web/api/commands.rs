//! Commands: started, listed, shown, and what else people ask of them.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use crate::domain::{Actor, CommandId, CommandStatus};
use crate::engine::{By, EngineError, Start};
use crate::store::{CommandRow, Cursor, HistoryFilter, Journal, OnceRow};

use super::Api;
use super::answers::{Commands, Started};
use super::body::{self, AcknowledgeBody, ExtendBody, KeepBody, ReasonBody, ResolveBody, StartBody};
use super::caller::Caller;
use super::events;
use super::filters::{History, Once, OneCommand};
use super::once;
use super::pipeline_body::Nothing;
use super::problem::{Conflict, Problem};
use super::query::Parameters;

type Answer = Result<HttpResponse, Problem>;

#[utoipa::path(post, path = "/api/v1/commands", operation_id = "startCommand", tag = "Commands",
    summary = "Starts an op on hosts.", description = "On several hosts it is a pipeline of one stage. Every host has its row, refused ones included. Known is what was journaled, not what came of it: ask for the command, or follow the events.",
    params(Once),
    request_body = StartBody,
    responses((status = 202, description = "What was journaled.", body = Started),
        (status = 409, description = "Every host was refused; the rows say why. Or the state does not allow it: then it is a problem.", body = Started),
        (status = 404, description = "There is no such thing.", body = Problem, content_type = "application/problem+json")),
)]
pub(super) async fn start(api: Data<Api>, caller: Caller, request: HttpRequest, payload: Payload) -> Answer {
    let Caller(by) = caller;
    let bytes = body::bytes(payload).await?;
    let body = body::parse::<StartBody>(&bytes);
    let what = body
        .as_ref()
        .map_or_else(|_| "an op".to_owned(), |body| body.op.clone());
    let answer = async {
        let StartBody { op, hosts, reason } = body?;
        let key = once::key_of(&request, &bytes)?;
        let wish = Start { op, hosts, reason };
        let act = async |by| Ok(api.engine.start(wish, by).await?);
        once::once(&api, by.clone(), key, async |made| again(&api, made).await, act).await
    };
    let rows = api.noted_as(&by, "to start", &what, answer.await).await?;
    // On several hosts it is a pipeline, of which further rows may come; every row names it.
    let pipeline_id = rows.iter().find_map(|row| row.pipeline_id);
    let goes_on = match pipeline_id {
        Some(id) => api.engine.reader().read(move |journal| journal.pipeline(id)).await?,
        None => None,
    };
    let any = rows.iter().any(|row| row.status != CommandStatus::Blocked);
    let any = any || goes_on.is_some_and(|row| row.is_open());
    Ok(accepted(any).json(Started {
        commands: rows,
        pipeline_id,
    }))
}

/// The rows that were made under a key before, as they stand now.
async fn again(api: &Api, made: OnceRow) -> Result<Vec<CommandRow>, Problem> {
    let rows = api
        .engine
        .reader()
        .read(move |journal| match (made.command_id, made.pipeline_id) {
            (Some(id), _) => Ok(journal.command(id)?.into_iter().collect()),
            (None, Some(id)) => journal.commands_of_pipeline(id),
            (None, None) => Ok(Vec::new()),
        })
        .await?;
    if rows.is_empty() { Err(once::gone()) } else { Ok(rows) }
}

#[utoipa::path(get, path = "/api/v1/commands", operation_id = "listCommands", tag = "Commands",
    summary = "Lists commands, newest first.", description = "",
    params(History),
    responses((status = 200, description = "A page of commands.", body = Commands)),
)]
pub(super) async fn list(api: Data<Api>, _: Caller, request: HttpRequest) -> Answer {
    let given = Parameters::of::<History>(&request)?;
    let filter = filter(&api, &given).await?;
    let cursor = given.cursor::<CommandId>()?.map(Cursor::Before);
    let limit = given.number("limit", 1, 1000)?.unwrap_or(50);
    let page = api
        .engine
        .reader()
        .read(move |journal| journal.history(&filter, cursor, limit))
        .await?;
    let next = page.older.and_then(|_| page.rows.last()).map(|row| row.id);
    Ok(HttpResponse::Ok().json(Commands {
        commands: page.rows,
        next,
    }))
}

#[utoipa::path(get, path = "/api/v1/commands/{id}", operation_id = "showCommand", tag = "Commands",
    summary = "Shows a command.", description = "",
    params(OneCommand),
    responses((status = 200, description = "The command.", body = CommandRow)),
)]
pub(super) async fn show(api: Data<Api>, _: Caller, id: Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(find(&api, &id).await?))
}

/// The filter that was given.
pub(super) async fn filter(api: &Api, given: &Parameters) -> Result<HistoryFilter, Problem> {
    Ok(HistoryFilter {
        host: events::host(api, given).await?,
        op: given.text("op").map(str::to_owned),
        pipeline: given.parsed("pipeline")?,
        status: statuses(given)?,
        actor: given.text("actor").map(Actor::asked),
        since: given.parsed("since")?,
        until: given.parsed("until")?,
        open_only: given.flag("open")?,
        attention_only: given.flag("attention")?,
        ..HistoryFilter::default()
    })
}

/// The words of the journal and those of the pages, separated by commas.
fn statuses(given: &Parameters) -> Result<Vec<CommandStatus>, Problem> {
    let texts = given.text("status").into_iter().flat_map(|text| text.split(','));
    Ok(texts.map(CommandStatus::asked).collect::<Result<_, _>>()?)
}

/// The command of a path; what is no id is not found either.
pub(super) async fn find(api: &Api, id: &str) -> Result<CommandRow, Problem> {
    let id = read_id(api, id).await?;
    let row = api.engine.reader().read(move |journal| journal.command(id)).await?;
    row.ok_or_else(|| EngineError::UnknownCommand(id).into())
}

/// The one command that an id, or a part of one, means.
async fn read_id(api: &Api, id: &str) -> Result<CommandId, Problem> {
    api.meant("command", id, Journal::commands_like).await
}

#[utoipa::path(post, path = "/api/v1/commands/{id}/cancel", operation_id = "cancelCommand", tag = "Commands",
    summary = "Stops a command.", description = "A wish: it is journaled, and the command ends when its host has proved it.",
    params(OneCommand),
    request_body = Option<ReasonBody>,
    responses((status = 202, description = "The command as it is now.", body = CommandRow),
        Conflict),
)]
pub(super) async fn cancel(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    wish("to stop", &api, caller, &id, async |id, by| {
        let ReasonBody { reason } = body::optional(payload).await?;
        Ok(api.engine.cancel(id, reason, by).await?)
    })
    .await
}

#[utoipa::path(post, path = "/api/v1/commands/{id}/retry", operation_id = "retryCommand", tag = "Commands",
    summary = "Tries a command again, with the definition of today.", description = "",
    params(OneCommand, Once),
    request_body = Option<ReasonBody>,
    responses((status = 202, description = "The new command.", body = CommandRow),
        (status = 409, description = "The new command, refused at once; or the state does not allow it: then it is a problem.", body = CommandRow)),
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
        let act = async |by| Ok(api.engine.retry(id, reason, by).await?);
        let replay = async |made| again(&api, made).await?.into_iter().next().ok_or_else(once::gone);
        once::once(&api, by, key, replay, act).await
    })
    .await
}

#[utoipa::path(post, path = "/api/v1/commands/{id}/resolve", operation_id = "resolveCommand", tag = "Commands",
    summary = "Ends an orphaned command by hand.", description = "Its outcome stays unknown; its host is free again.",
    params(OneCommand),
    request_body = ResolveBody,
    responses((status = 202, description = "The command as it is now.", body = CommandRow),
        Conflict),
)]
pub(super) async fn resolve(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    wish("to resolve", &api, caller, &id, async |id, by| {
        let ResolveBody { reason } = body::required(payload).await?;
        Ok(api.engine.resolve(id, reason, by).await?)
    })
    .await
}

#[utoipa::path(post, path = "/api/v1/commands/{id}/acknowledge", operation_id = "acknowledgeCommand", tag = "Commands",
    summary = "Says that somebody has looked at how a command ended.", description = "What failed, was stopped because its time was up, or ended with its outcome unknown needs attention until then. Once only.",
    params(OneCommand),
    request_body = AcknowledgeBody,
    responses((status = 202, description = "The command as it is now.", body = CommandRow),
        (status = 409, description = "It needs no attention (any more): who acknowledged it, and when.", body = Problem, content_type = "application/problem+json")),
)]
pub(super) async fn acknowledge(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    wish("to acknowledge", &api, caller, &id, async |id, by| {
        let AcknowledgeBody { note } = body::required(payload).await?;
        let came = api.engine.acknowledge(vec![id], note, by).await?;
        let row = came.done.into_iter().next();
        row.ok_or_else(|| EngineError::UnknownCommand(id).into())
    })
    .await
}

#[utoipa::path(post, path = "/api/v1/commands/{id}/extend", operation_id = "extendCommand", tag = "Commands",
    summary = "Gives a running command more time.", description = "",
    params(OneCommand),
    request_body = ExtendBody,
    responses((status = 202, description = "The command as it is now.", body = CommandRow),
        Conflict),
)]
pub(super) async fn extend(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    wish("more time for", &api, caller, &id, async |id, by| {
        let ExtendBody { span } = body::required(payload).await?;
        Ok(api.engine.extend(id, span, by).await?)
    })
    .await
}

#[utoipa::path(post, path = "/api/v1/commands/{id}/find-out", operation_id = "findOut", tag = "Commands",
    summary = "Asks the host of an open command once more, now.", description = "",
    params(OneCommand),
    request_body = Option<ReasonBody>,
    responses((status = 202, description = "The command as it is now.", body = CommandRow),
        Conflict),
)]
pub(super) async fn find_out(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    wish("to ask about", &api, caller, &id, async |id, by| {
        // A reason is taken and has nowhere to go: asking changes nothing.
        body::optional::<ReasonBody>(payload).await?;
        Ok(api.engine.find_out(id, by).await?)
    })
    .await
}

#[utoipa::path(post, path = "/api/v1/commands/{id}/keep", operation_id = "keepCommand", tag = "Commands",
    summary = "Marks a command as kept: no sweep takes it.", description = "Its events and its output stay as well.",
    params(OneCommand),
    request_body = KeepBody,
    responses((status = 202, description = "The command as it is now.", body = CommandRow),
        Conflict),
)]
pub(super) async fn keep(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    mark("to keep", &api, caller, &id, async |id, by| {
        let KeepBody { reason } = body::required(payload).await?;
        Ok(api.engine.keep(id, reason, by).await?)
    })
    .await
}

#[utoipa::path(post, path = "/api/v1/commands/{id}/unkeep", operation_id = "unkeepCommand", tag = "Commands",
    summary = "Lets a kept command go when its time comes.", description = "",
    params(OneCommand),
    request_body = Option<Nothing>,
    responses((status = 202, description = "The command as it is now.", body = CommandRow),
        Conflict),
)]
pub(super) async fn unkeep(api: Data<Api>, caller: Caller, id: Path<String>, payload: Payload) -> Answer {
    mark("no longer to keep", &api, caller, &id, async |id, by| {
        body::optional::<Nothing>(payload).await?;
        Ok(api.engine.unkeep(id, by).await?)
    })
    .await
}

/// One wish about one command: the row as it is afterwards, 202; a retry that was refused at once is 409.
async fn wish(
    what: &'static str,
    api: &Api,
    Caller(by): Caller,
    id: &str,
    act: impl AsyncFnOnce(CommandId, By) -> Result<CommandRow, Problem>,
) -> Answer {
    let thing = format!("command {id}");
    let row = api.wish(&by, what, &thing, read_id(api, id).await, act).await?;
    Ok(accepted(row.status != CommandStatus::Blocked).json(row))
}

/// One mark on one command, also on one that was refused when it was asked for: 202.
async fn mark(
    what: &'static str,
    api: &Api,
    Caller(by): Caller,
    id: &str,
    act: impl AsyncFnOnce(CommandId, By) -> Result<CommandRow, Problem>,
) -> Answer {
    let thing = format!("command {id}");
    let row = api.wish(&by, what, &thing, read_id(api, id).await, act).await?;
    Ok(HttpResponse::Accepted().json(row))
}

/// 202 where something was accepted; 409 where the row says that it was refused.
fn accepted(any: bool) -> HttpResponseBuilder {
    if any {
        HttpResponse::Accepted()
    } else {
        HttpResponse::Conflict()
    }
}
