//! `once`: what a start under an idempotency key has made. Written with the rows that it is about, so that a start
//! under one key is made once whatever is cut off in between.

use diesel::prelude::*;

use super::error::Fault;
use super::schema::once;
use super::tx::Tx;
use super::{By, Journal, ReadError, WriteError};
use crate::domain::{Actor, CommandId, PipelineId, Span};

/// How long a key is remembered.
const MEMORY: Span = Span::from_days(1);

/// A key that a program gave, and what it asked for under it; both as hashes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnceKey {
    /// The hash of the key.
    pub key: String,
    /// The hash of the request.
    pub request: String,
}

/// What was made under a key.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = once, check_for_backend(diesel::sqlite::Sqlite))]
pub struct OnceRow {
    /// The hash of the request.
    pub request: String,
    /// The command, where it was one.
    pub command_id: Option<CommandId>,
    /// The pipeline, where it was one.
    pub pipeline_id: Option<PipelineId>,
}

impl Journal {
    /// What this actor has made under this key.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn once(&mut self, actor: &Actor, key: &str) -> Result<Option<OnceRow>, ReadError> {
        Ok(once::table
            .find((actor, key))
            .select(OnceRow::as_select())
            .first(&mut self.conn)
            .optional()?)
    }
}

impl Tx<'_> {
    /// Remembers what is made under the key of `by`, where there is one.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where something was made under it already: then this piece is undone.
    pub(super) fn only_once(
        &mut self,
        by: &By,
        command: Option<CommandId>,
        pipeline: Option<PipelineId>,
    ) -> Result<(), Fault> {
        let Some(key) = &by.once else {
            return Ok(());
        };
        let old = self.now.minus(MEMORY);
        diesel::delete(once::table.filter(once::created_at.lt(old))).execute(&mut self.journal.conn)?;
        if self.journal.once(&by.actor, &key.key)?.is_some() {
            let why = "something was started under this Idempotency-Key already";
            return Err(WriteError::Conflict(why.to_owned()).into());
        }
        diesel::insert_into(once::table)
            .values((
                once::actor.eq(&by.actor),
                once::key.eq(&key.key),
                once::request.eq(&key.request),
                once::command_id.eq(command),
                once::pipeline_id.eq(pipeline),
                once::created_at.eq(self.now),
            ))
            .execute(&mut self.journal.conn)?;
        Ok(())
    }
}
