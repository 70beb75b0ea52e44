//! How large the journal is, and how far back it reaches: for the settings page.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::schema::{commands, event_log, pipelines};
use super::{Journal, ReadError};
use crate::domain::{PipelineId, Timestamp};

/// The journal from the outside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Survey {
    /// The size of the database, in bytes, without its write-ahead log.
    pub database_bytes: u64,
    /// The oldest event.
    pub event: Option<Timestamp>,
    /// When the oldest command was asked for.
    pub command: Option<Timestamp>,
    /// When the oldest pipeline was started.
    pub pipeline: Option<Timestamp>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

impl Journal {
    /// How large the journal is, and how far back it reaches.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn survey(&mut self) -> Result<Survey, ReadError> {
        let size: Number =
            diesel::sql_query("SELECT page_count * page_size AS n FROM pragma_page_count(), pragma_page_size()")
                .get_result(&mut self.conn)?;
        let event = event_log::table
            .select(event_log::timestamp)
            .order((event_log::timestamp.asc(), event_log::id.asc()))
            .limit(1)
            .get_result(&mut self.conn)
            .optional()?;
        let command = commands::table
            .select(commands::created_at)
            .order((commands::created_at.asc(), commands::id.asc()))
            .limit(1)
            .get_result(&mut self.conn)
            .optional()?;
        // Ids rise with time.
        let pipeline: Option<(PipelineId, Timestamp)> = pipelines::table
            .select((pipelines::id, pipelines::created_at))
            .order(pipelines::id.asc())
            .limit(1)
            .get_result(&mut self.conn)
            .optional()?;
        Ok(Survey {
            database_bytes: u64::try_from(size.n).unwrap_or(0),
            event,
            command,
            pipeline: pipeline.map(|(_, at)| at),
        })
    }
}
