//! `witnesses`: which place outside has which checkpoint, and since when. Only added to, and only once it is there.

use diesel::prelude::*;
use serde::Serialize;

use super::schema::witnesses;
use super::{Journal, ReadError, Store, WriteError};
use crate::domain::Timestamp;

/// A checkpoint that a place outside has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = witnesses, check_for_backend(diesel::sqlite::Sqlite))]
pub struct Witness {
    /// The place, as the configuration names it.
    pub name: String,
    /// The checkpoint.
    pub checkpoint_id: i64,
    /// The last event that it covers.
    pub event_id: i64,
    /// When it arrived there.
    pub at: Timestamp,
}

impl Journal {
    /// The newest checkpoint that any place outside has, by the events that it covers; none where nobody has one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn last_witness(&mut self) -> Result<Option<Witness>, ReadError> {
        Ok(witnesses::table
            .order((witnesses::event_id.desc(), witnesses::id.desc()))
            .select(Witness::as_select())
            .first(&mut self.conn)
            .optional()?)
    }
}

impl Store {
    /// A place outside has these checkpoints now (id, last event covered). What it had before stays as it was.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn witnessed(&self, name: &str, checkpoints: Vec<(i64, i64)>) -> Result<(), WriteError> {
        let name = name.to_owned();
        self.write(move |tx| {
            for (checkpoint, event) in &checkpoints {
                diesel::insert_into(witnesses::table)
                    .values((
                        witnesses::name.eq(&name),
                        witnesses::checkpoint_id.eq(checkpoint),
                        witnesses::event_id.eq(event),
                        witnesses::at.eq(tx.now),
                    ))
                    .on_conflict_do_nothing()
                    .execute(&mut tx.journal.conn)?;
            }
            Ok(())
        })
        .await
    }
}
