//! `event_log`: who did what to what, when. Rows are only added here; [`super::Store::sweep`] removes old ones.

use diesel::prelude::*;
use serde::Serialize;

use super::column::{Json, MaybeJson};
use super::error::Fault;
use super::page::{Cut, merge, page};
use super::schema::{event_log, hosts};
use super::tx::Tx;
use super::{Cursor, Journal, Keyed, Page, ReadError, Store, Topic, WriteError};
use crate::domain::{Actor, Category, CommandId, Level, MESSAGE_LIMIT, PipelineId, Timestamp, bounded};

/// Who asked for a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct By {
    /// The person or program.
    pub actor: Actor,
    /// Where they asked from, as far as it is known; goes into the event's details.
    pub address: Option<String>,
}

impl By {
    /// The dashboard itself.
    #[must_use]
    pub const fn system() -> Self {
        Self {
            actor: Actor::System,
            address: None,
        }
    }
}

impl From<Actor> for By {
    fn from(actor: Actor) -> Self {
        Self { actor, address: None }
    }
}

/// An event as it stands in the log.
#[derive(Clone, PartialEq, Debug, Serialize, Queryable, Selectable)]
#[diesel(table_name = event_log, check_for_backend(diesel::sqlite::Sqlite))]
pub struct EventRow {
    /// Its number; rises, and is never used again.
    pub id: i64,
    /// When it was written.
    pub timestamp: Timestamp,
    /// What it is about.
    pub category: Category,
    /// How much it matters.
    pub level: Level,
    /// Who caused it.
    pub actor: Actor,
    /// The host that it is about.
    pub host_id: Option<i64>,
    /// That host's name.
    #[diesel(select_expression = hosts::hostname.nullable())]
    pub host: Option<String>,
    /// `op:pull`, `recovery`, `host:add` and the like.
    pub action: String,
    /// A sentence that stands alone, at most 4 KiB.
    pub message: String,
    /// What else is known, as JSON.
    #[diesel(deserialize_as = MaybeJson)]
    pub details: Option<serde_json::Value>,
    /// The command that it is about, while that is kept.
    pub command_id: Option<CommandId>,
    /// The pipeline that it is about, while that is kept.
    pub pipeline_id: Option<PipelineId>,
}

impl Keyed for EventRow {
    type Id = i64;

    fn key(&self) -> i64 {
        self.id
    }
}

/// An event that is to be written.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// What it is about.
    pub category: Category,
    /// How much it matters.
    pub level: Level,
    /// Who caused it.
    pub actor: Actor,
    /// Where they asked from; goes into the details.
    pub address: Option<String>,
    /// The host that it is about.
    pub host_id: Option<i64>,
    /// What was done: a short word, `op:pull`, `refused`, `config`.
    pub action: String,
    /// A sentence that stands alone; cut to 4 KiB, control characters escaped.
    pub message: String,
    /// What else is known: a JSON object.
    pub details: Option<serde_json::Value>,
    /// The command that it is about.
    pub command_id: Option<CommandId>,
    /// The pipeline that it is about.
    pub pipeline_id: Option<PipelineId>,
}

impl NewEvent {
    /// Something that the dashboard did or found out.
    #[must_use]
    pub fn system(level: Level, action: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            category: Category::System,
            level,
            actor: Actor::System,
            address: None,
            host_id: None,
            action: action.into(),
            message: message.into(),
            details: None,
            command_id: None,
            pipeline_id: None,
        }
    }

    /// Something that somebody did, or was refused.
    #[must_use]
    pub fn audit(by: &By, level: Level, action: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            category: Category::Audit,
            actor: by.actor.clone(),
            address: by.address.clone(),
            ..Self::system(level, action, message)
        }
    }
}

/// Which events are asked for; what is not given is not asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct EventFilter {
    /// Of this category.
    pub category: Option<Category>,
    /// Of this level.
    pub level: Option<Level>,
    /// Caused by this actor, as it is written: `user:alice`.
    pub actor: Option<String>,
    /// About the host of this id.
    pub host: Option<i64>,
    /// Whose action begins with this.
    pub action: Option<String>,
    /// About this command.
    pub command: Option<CommandId>,
    /// About this pipeline.
    pub pipeline: Option<PipelineId>,
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// How many different actions of one beginning are looked up one by one.
const ACTIONS: usize = 200;

impl Journal<'_> {
    /// The events that a filter asks for, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn events(
        &mut self,
        filter: &EventFilter,
        cursor: Option<Cursor<i64>>,
        limit: i64,
    ) -> Result<Page<EventRow>, ReadError> {
        let since = filter.since.map(|time| self.first_event_since(time)).transpose()?;
        let until = filter.until.map(|time| self.last_event_before(time)).transpose()?;
        if since == Some(None) || until == Some(None) {
            return page(cursor, limit, |_, _| Ok(Vec::new()));
        }
        let bounds = (since.flatten(), until.flatten());
        let actions = match &filter.action {
            None => None,
            Some(start) => Some(self.actions_from(start)?),
        };
        page(cursor, limit, |cut, limit| match &actions {
            None => self.cut_events(filter, bounds, None, cut, limit),
            Some(actions) => {
                let parts = actions
                    .iter()
                    .map(|action| self.cut_events(filter, bounds, Some(action), cut, limit))
                    .collect::<Result<_, _>>()?;
                Ok(merge(parts, cut, limit))
            }
        })
    }

    fn cut_events(
        &mut self,
        filter: &EventFilter,
        (low, high): (Option<i64>, Option<i64>),
        action: Option<&String>,
        cut: Cut<i64>,
        limit: i64,
    ) -> Result<Vec<EventRow>, ReadError> {
        let mut query = event_log::table
            .left_join(hosts::table)
            .select(EventRow::as_select())
            .into_boxed();
        if let Some(action) = action {
            query = query.filter(event_log::action.eq(action.clone()));
        }
        if let Some(category) = filter.category {
            query = query.filter(event_log::category.eq(category));
        }
        if let Some(level) = filter.level {
            query = query.filter(event_log::level.eq(level));
        }
        if let Some(actor) = &filter.actor {
            query = query.filter(event_log::actor.eq(actor.clone()));
        }
        if let Some(host) = filter.host {
            query = query.filter(event_log::host_id.eq(host));
        }
        if let Some(command) = filter.command {
            query = query.filter(event_log::command_id.eq(command));
        }
        if let Some(pipeline) = filter.pipeline {
            query = query.filter(event_log::pipeline_id.eq(pipeline));
        }
        if let Some(since) = filter.since {
            query = query.filter(event_log::timestamp.ge(since));
        }
        if let Some(until) = filter.until {
            query = query.filter(event_log::timestamp.lt(until));
        }
        if let Some(low) = low {
            query = query.filter(event_log::id.ge(low));
        }
        if let Some(high) = high {
            query = query.filter(event_log::id.le(high));
        }
        query = match cut {
            Cut::Newest => query.order(event_log::id.desc()),
            Cut::Below(id) => query.filter(event_log::id.lt(id)).order(event_log::id.desc()),
            Cut::Above(id) => query.filter(event_log::id.gt(id)).order(event_log::id.asc()),
        };
        Ok(query.limit(limit).load(self.conn)?)
    }

    /// The events after this number, oldest first: what a page or an export has not seen yet.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn events_after(&mut self, id: i64, limit: i64) -> Result<Vec<EventRow>, ReadError> {
        self.cut_events(&EventFilter::default(), (None, None), None, Cut::Above(id), limit)
    }

    /// What happened to a command, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn events_of(&mut self, command: CommandId, limit: i64) -> Result<Vec<EventRow>, ReadError> {
        let filter = EventFilter {
            command: Some(command),
            ..EventFilter::default()
        };
        self.cut_events(&filter, (None, None), None, Cut::Above(0), limit)
    }

    /// The number of the newest event; 0 where there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn largest_event_id(&mut self) -> Result<i64, ReadError> {
        let newest = event_log::table
            .select(event_log::id)
            .order(event_log::id.desc())
            .first(self.conn)
            .optional()?;
        Ok(newest.unwrap_or(0))
    }

    /// An id that no event since `time` is below (but for those of a clock that was set back by a thousand events).
    fn first_event_since(&mut self, time: Timestamp) -> Result<Option<i64>, ReadError> {
        let near: Vec<i64> = event_log::table
            .select(event_log::id)
            .filter(event_log::timestamp.ge(time))
            .order((event_log::timestamp.asc(), event_log::id.asc()))
            .limit(1_000)
            .load(self.conn)?;
        Ok(near.into_iter().min())
    }

    /// The same for the other edge.
    fn last_event_before(&mut self, time: Timestamp) -> Result<Option<i64>, ReadError> {
        let near: Vec<i64> = event_log::table
            .select(event_log::id)
            .filter(event_log::timestamp.lt(time))
            .order((event_log::timestamp.desc(), event_log::id.desc()))
            .limit(1_000)
            .load(self.conn)?;
        Ok(near.into_iter().max())
    }

    /// The different actions that begin so: one step in the index for each, however many events they have.
    fn actions_from(&mut self, start: &str) -> Result<Vec<String>, ReadError> {
        let mut actions: Vec<String> = Vec::new();
        loop {
            let query = event_log::table
                .select(event_log::action)
                .order(event_log::action.asc())
                .into_boxed();
            let query = match actions.last() {
                None => query.filter(event_log::action.ge(start.to_owned())),
                Some(last) => query.filter(event_log::action.gt(last.clone())),
            };
            let next: Option<String> = query.first(self.conn).optional()?;
            match next {
                Some(action) if action.starts_with(start) && actions.len() < ACTIONS => actions.push(action),
                _ => return Ok(actions),
            }
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = event_log)]
struct Insert {
    timestamp: Timestamp,
    category: Category,
    level: Level,
    actor: Actor,
    host_id: Option<i64>,
    action: String,
    message: String,
    details: Option<Json>,
    command_id: Option<CommandId>,
    pipeline_id: Option<PipelineId>,
}

impl Tx<'_> {
    /// Adds an event to what this piece writes.
    pub(super) fn event(&mut self, event: NewEvent) -> Result<i64, Fault> {
        self.touch(Topic::Events);
        let mut details = event.details;
        if let Some(address) = event.address {
            let address = serde_json::Value::String(bounded(&address, 200));
            match &mut details {
                Some(serde_json::Value::Object(map)) => {
                    map.insert("address".to_owned(), address);
                }
                _ => details = Some(serde_json::json!({ "address": address })),
            }
        }
        let row = Insert {
            timestamp: self.now,
            category: event.category,
            level: event.level,
            actor: event.actor,
            host_id: event.host_id,
            action: bounded(&event.action, 100),
            message: bounded(&event.message, MESSAGE_LIMIT),
            details: details.map(Json),
            command_id: event.command_id,
            pipeline_id: event.pipeline_id,
        };
        Ok(diesel::insert_into(event_log::table)
            .values(row)
            .returning(event_log::id)
            .get_result(self.conn)?)
    }
}

impl Store {
    /// Writes one event, and returns its number.
    ///
    /// # Errors
    /// [`WriteError::Database`].
    pub async fn append_event(&self, event: NewEvent) -> Result<i64, WriteError> {
        self.write(move |tx| tx.event(event.clone())).await
    }
}
