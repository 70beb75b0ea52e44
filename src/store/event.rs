//! `event_log`: who did what to what, when. Rows are only added here, each with the next link of the chain;
//! [`super::Store::sweep`] removes old ones.

use diesel::prelude::*;
use serde::Serialize;

use super::chain::Head;
use super::column::MaybeJson;
use super::error::Fault;
use super::record::Of;
use super::schema::{event_log, hosts};
use super::tx::Tx;
use super::{Keyed, OnceKey, Store, Topic, WriteError};
use crate::domain::{
    Access, Actor, Category, CommandId, Level, Link, MESSAGE_LIMIT, PipelineId, Proof, Timestamp, bounded,
};

/// Who asked for a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct By {
    /// The person or program.
    pub actor: Actor,
    /// Where they asked from, as far as it is known; goes into the event's details.
    pub address: Option<String>,
    /// What they may do. The engine asks it before anything is done; the store does not.
    pub access: Access,
    /// What they have proved, or claim, beside their name; goes into the event's details.
    pub proof: Option<Proof>,
    /// The key under which this is asked: under one key an actor starts something once.
    pub once: Option<OnceKey>,
}

impl By {
    /// Somebody, from somewhere, who may do this.
    #[must_use]
    pub fn new(actor: Actor, address: Option<String>, access: Access) -> Self {
        Self {
            actor,
            address,
            access,
            proof: None,
            once: None,
        }
    }

    /// The dashboard itself.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Actor::System, None, Access::Everything)
    }
}

/// Who is only named, in a row or in a test, may do nothing.
impl From<Actor> for By {
    fn from(actor: Actor) -> Self {
        Self::new(actor, None, Access::Nothing)
    }
}

/// An event as it stands in the log.
#[derive(Clone, PartialEq, Debug, Serialize, Queryable, Selectable, utoipa::ToSchema)]
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
    /// The command that it is about; it may be swept.
    pub command_id: Option<CommandId>,
    /// The pipeline that it is about; it may be swept.
    pub pipeline_id: Option<PipelineId>,
    /// Its link in the chain over the log.
    pub link: Link,
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
    /// What they proved or claim; goes into the details.
    pub proof: Option<Proof>,
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
    /// Whether it vouches for the whole row that it is about: then that becomes part of the details, and so of the chain.
    /// That is its command or else its pipeline, where that is final; or else the host, user, token, hold, report or review
    /// that its action is about and its details name (`Of::named_in`).
    pub seals: bool,
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
            proof: None,
            host_id: None,
            action: action.into(),
            message: message.into(),
            details: None,
            command_id: None,
            pipeline_id: None,
            seals: false,
        }
    }

    /// Something that somebody did, or was refused.
    #[must_use]
    pub fn audit(by: &By, level: Level, action: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            category: Category::Audit,
            actor: by.actor.clone(),
            address: by.address.clone(),
            proof: by.proof.clone(),
            ..Self::system(level, action, message)
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = event_log, treat_none_as_default_value = false)]
struct Insert {
    id: i64,
    timestamp: Timestamp,
    category: Category,
    level: Level,
    actor: Actor,
    host_id: Option<i64>,
    action: String,
    message: String,
    details: Option<String>,
    command_id: Option<CommandId>,
    pipeline_id: Option<PipelineId>,
    link: Link,
}

impl Insert {
    /// The row that comes after `head`: its link is set.
    fn after(self, head: Head) -> Self {
        let row = Link::of_row([
            Some(self.id.to_string().as_str()),
            Some(&self.timestamp.to_string()),
            Some(self.category.as_str()),
            Some(self.level.as_str()),
            Some(&self.actor.to_string()),
            self.host_id.map(|id| id.to_string()).as_deref(),
            Some(&self.action),
            Some(&self.message),
            self.details.as_deref(),
            self.command_id.map(|id| id.to_string()).as_deref(),
            self.pipeline_id.map(|id| id.to_string()).as_deref(),
        ]);
        Self {
            link: head.link.next(row),
            ..self
        }
    }
}

impl Tx<'_> {
    /// Adds an event to what this piece writes.
    pub(super) fn event(&mut self, event: NewEvent) -> Result<i64, Fault> {
        self.touch(Topic::Events);
        let mut details = event.details;
        let mut add = |key: &str, value: serde_json::Value| match &mut details {
            Some(serde_json::Value::Object(map)) => {
                map.insert(key.to_owned(), value);
            }
            _ => details = Some(serde_json::json!({ key: value })),
        };
        if let Some(address) = event.address {
            add("address", bounded(&address, 200).into());
        }
        match event.proof {
            Some(Proof::Claims(claim)) => add("claims", bounded(&claim, 200).into()),
            Some(Proof::Given(factor, at)) => {
                add("factor", factor.as_str().into());
                add("factor_at", serde_json::json!(at));
            }
            None => {}
        }
        if event.seals {
            let record = match (event.command_id, event.pipeline_id) {
                (Some(id), _) => self.journal.record(Of::Command, &id.to_string())?,
                (None, Some(id)) => self.journal.record(Of::Pipeline, &id.to_string())?,
                (None, None) => match Of::by_action(&event.action) {
                    Some(of) => {
                        let name = details.as_ref().and_then(|details| of.named_in(details));
                        self.journal.record(of, &name.unwrap_or_default())?
                    }
                    None => None,
                },
            };
            let missing = || WriteError::Database(format!("{} vouches for a row that is not there", event.action));
            let record = record.ok_or_else(missing)?;
            match &mut details {
                Some(serde_json::Value::Object(map)) => {
                    map.insert("record".to_owned(), record);
                }
                _ => details = Some(serde_json::json!({ "record": record })),
            }
        }
        let head = self.journal.head()?;
        let row = Insert {
            id: head.event_id + 1,
            timestamp: self.now,
            category: event.category,
            level: event.level,
            actor: event.actor,
            host_id: event.host_id,
            action: bounded(&event.action, 100),
            message: bounded(&event.message, MESSAGE_LIMIT),
            details: details.map(|details| details.to_string()),
            command_id: event.command_id,
            pipeline_id: event.pipeline_id,
            link: Link::START,
        };
        diesel::insert_into(event_log::table)
            .values(row.after(head))
            .execute(&mut self.journal.conn)?;
        Ok(head.event_id + 1)
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
