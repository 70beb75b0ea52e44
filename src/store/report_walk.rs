//! Walking a range for a report, oldest row first, in batches that no read transaction outlives.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::schema::{event_log, hosts, swept_events};
use super::{EventFilter, HostRow, Journal, PAGE_LIMIT, ReadError};
use crate::domain::{Actor, Category, CommandId, Level, Link, PipelineId, Timestamp};

/// An event as a report prints it: without its details.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable)]
#[diesel(table_name = event_log, check_for_backend(diesel::sqlite::Sqlite))]
pub struct EventLine {
    /// Its number.
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
    /// What was done.
    pub action: String,
    /// A sentence that stands alone.
    pub message: String,
    /// The command that it is about.
    pub command_id: Option<CommandId>,
    /// The pipeline that it is about.
    pub pipeline_id: Option<PipelineId>,
    /// Where whoever logged in, tried to or was refused asked from; of other events it is not read.
    #[diesel(select_expression = address(), select_expression_type = SqlLiteral<Nullable<Text>>)]
    pub address: Option<String>,
    /// Its link in the chain over the log.
    pub link: Link,
}

/// True where an event says who came from where.
pub(super) fn has_address(action: &str) -> bool {
    action.starts_with("session:") || action.starts_with("refused")
}

fn address() -> SqlLiteral<Nullable<Text>> {
    sql(
        "CASE WHEN (event_log.action LIKE 'session:%' OR event_log.action LIKE 'refused%') AND json_valid(event_log.details) \
         THEN json_extract(event_log.details, '$.address') END",
    )
}

impl Journal {
    /// The numbers between which the events of a range lie, up to one number; none where there are none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn event_bounds(
        &mut self,
        since: Timestamp,
        until: Timestamp,
        up_to: i64,
    ) -> Result<Option<(i64, i64)>, ReadError> {
        let (low, high) = (self.first_event_since(since)?, self.last_event_before(until)?);
        Ok(low
            .zip(high)
            .map(|(low, high)| (low, high.min(up_to)))
            .filter(|(low, high)| low <= high))
    }

    /// The next events of a range behind a number, oldest first: at most [`PAGE_LIMIT`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn event_lines(&mut self, after: i64, high: i64) -> Result<Vec<EventLine>, ReadError> {
        Ok(event_log::table
            .left_join(hosts::table)
            .filter(event_log::id.gt(after))
            .filter(event_log::id.le(high))
            .order(event_log::id.asc())
            .limit(PAGE_LIMIT)
            .select(EventLine::as_select())
            .load(&mut self.conn)?)
    }

    /// The chain's link of an event, also of a swept one while that is kept.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn link_of(&mut self, event_id: i64) -> Result<Option<Link>, ReadError> {
        let there: Option<Link> = event_log::table
            .find(event_id)
            .select(event_log::link)
            .get_result(&mut self.conn)
            .optional()?;
        if there.is_some() {
            return Ok(there);
        }
        Ok(swept_events::table
            .find(event_id)
            .select(swept_events::link)
            .get_result(&mut self.conn)
            .optional()?)
    }

    /// Every host that there ever was, by name.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn all_hosts(&mut self) -> Result<Vec<HostRow>, ReadError> {
        Ok(hosts::table
            .order(hosts::hostname.asc())
            .select(HostRow::as_select())
            .load(&mut self.conn)?)
    }

    /// When a user last logged in, as far as the journal still knows.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn last_log_in(&mut self, name: &str) -> Result<Option<Timestamp>, ReadError> {
        let filter = EventFilter {
            actor: Some(Actor::User(name.to_owned()).to_string()),
            action: Some("session:open".to_owned()),
            ..EventFilter::default()
        };
        Ok(self.events(&filter, None, 1)?.rows.first().map(|event| event.timestamp))
    }

    /// Number and time of the oldest event that there is.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn oldest_event(&mut self) -> Result<Option<(i64, Timestamp)>, ReadError> {
        Ok(event_log::table
            .select((event_log::id, event_log::timestamp))
            .order(event_log::id.asc())
            .limit(1)
            .get_result(&mut self.conn)
            .optional()?)
    }

    /// The newest event's number; 0 where there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn newest_event(&mut self) -> Result<i64, ReadError> {
        let newest: Option<i64> = event_log::table
            .select(diesel::dsl::max(event_log::id))
            .get_result(&mut self.conn)?;
        Ok(newest.unwrap_or(0))
    }
}
