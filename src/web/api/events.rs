//! Events: a page of them, or those after an id as they come.

use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::Instant;

use crate::domain::{Actor, Ask, HostName};
use crate::engine::hash_of;
use crate::store::{Cursor, EventFilter, EventRow, Topic};

use super::Api;
use super::answers;
use super::caller::Caller;
use super::filters;
use super::guard;
use super::problem::Problem;
use super::query::Parameters;

#[utoipa::path(get, path = "/api/v1/events", operation_id = "listEvents", tag = "Events",
    summary = "Lists events: newest first, or as they come.", description = "With `after` they are those after that id, oldest first; with `wait` it answers as soon as there is one.",
    params(filters::Events),
    responses((status = 200, description = "A page of events.", body = answers::Events)),
)]
pub(super) async fn list(api: Data<Api>, Caller(by): Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let given = Parameters::of::<filters::Events>(&request)?;
    let filter = filter(&api, &given).await?;
    let limit = given.number("limit", 1, 1000)?.unwrap_or(100);
    let before = given.number_cursor()?;
    let wait = Duration::from_secs(given.number("wait", 0, 60)?.unwrap_or(0).unsigned_abs());
    let Some(after) = given.number("after", 0, i64::MAX)? else {
        let cursor = before.map(Cursor::Before);
        if filter.text.is_some() {
            api.engine.indexed().await?;
        }
        let page = api
            .engine
            .reader()
            .read(move |journal| journal.events(&filter, cursor, limit))
            .await?;
        let next = match page.older {
            Some(Cursor::Before(id)) => Some(id),
            Some(Cursor::After(_)) | None => None,
        };
        return Ok(HttpResponse::Ok().json(answers::Events {
            events: page.rows,
            next,
        }));
    };
    if before.is_some() {
        return Err(Problem::invalid(
            "cursor",
            "goes back in time and “after” goes forward; give one of them",
        ));
    }
    let rows = arrived(&api, filter, after, limit, wait).await?;
    // Whoever waited may have been shut out meanwhile.
    let secret = guard::secret_of(&request).map(hash_of);
    if !wait.is_zero() && !api.engine.still_known(&by, secret, Ask::See).await? {
        return Err(Problem::unauthorized("what you showed has ended while you waited"));
    }
    let next = rows.last().map_or(after, |row| row.id);
    Ok(HttpResponse::Ok().json(answers::Events {
        events: rows,
        next: Some(next),
    }))
}

/// The number of the host that was given by its name.
pub(super) async fn host(api: &Api, given: &Parameters) -> Result<Option<i64>, Problem> {
    let Some(name) = given.parsed::<HostName>("host")? else {
        return Ok(None);
    };
    let row = api.engine.reader().read(move |journal| journal.host(&name)).await?;
    let row = row.ok_or_else(|| Problem::invalid("host", "there is no host of this name, and never was"))?;
    Ok(Some(row.id))
}

/// The filter that was given.
pub(super) async fn filter(api: &Api, given: &Parameters) -> Result<EventFilter, Problem> {
    let host = host(api, given).await?;
    Ok(EventFilter {
        category: given.parsed("category")?,
        level: given.parsed("level")?,
        actor: given.text("actor").map(Actor::asked),
        host,
        action: given.text("action").map(str::to_owned),
        command: given.parsed("command")?,
        pipeline: given.parsed("pipeline")?,
        since: given.parsed("since")?,
        until: given.parsed("until")?,
        text: given.parsed("q")?,
    })
}

/// The events after an id, oldest first: at once where there are any, else as soon as there are,
/// else none when the time is up or the dashboard stops.
async fn arrived(
    api: &Api,
    filter: EventFilter,
    after: i64,
    limit: i64,
    wait: Duration,
) -> Result<Vec<EventRow>, Problem> {
    let mut changes = api.engine.watch(Topic::Events);
    let mut after = after;
    let until = Instant::now() + wait;
    loop {
        changes.borrow_and_update();
        if filter.text.is_some() {
            api.engine.indexed().await?;
        }
        let filter = filter.clone();
        let cursor = Some(Cursor::After(after));
        let page = api
            .engine
            .reader()
            .read(move |journal| journal.events(&filter, cursor, limit))
            .await?;
        if !page.rows.is_empty() {
            let mut rows = page.rows;
            rows.reverse();
            return Ok(rows);
        }
        // Rare filters: looked at as far as here, and nothing found.
        if let Some(Cursor::After(id)) = page.newer {
            after = id;
            continue;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(Vec::new()) },
            () = tokio::time::sleep_until(until) => return Ok(Vec::new()),
            () = api.shutdown.cancelled() => return Ok(Vec::new()),
        }
    }
}
