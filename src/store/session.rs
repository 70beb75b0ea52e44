//! `sessions`: who is logged in, by the hash of a secret that is stored nowhere.

use diesel::prelude::*;

use super::schema::sessions;
use super::{By, Journal, NewEvent, ReadError, Store, WriteError};
use crate::domain::{Actor, Level, Timestamp};

/// A log-in.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = sessions, check_for_backend(diesel::sqlite::Sqlite))]
pub struct SessionRow {
    /// The hash of its secret.
    pub hash: String,
    /// Whose it is.
    pub actor: Actor,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Journal {
    /// The session of this hash, unless its time is up.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn session(&mut self, hash: &str) -> Result<Option<SessionRow>, ReadError> {
        Ok(sessions::table
            .find(hash)
            .filter(sessions::expires_at.gt(Timestamp::now()))
            .select(SessionRow::as_select())
            .get_result(&mut self.conn)
            .optional()?)
    }
}

impl Store {
    /// Opens a session and forgets those whose time is up.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where that hash is in use.
    pub async fn session_open(&self, hash: String, actor: Actor, expires: Timestamp, by: By) -> Result<(), WriteError> {
        self.write(move |tx| {
            diesel::delete(sessions::table.filter(sessions::expires_at.le(tx.now))).execute(&mut tx.journal.conn)?;
            diesel::insert_into(sessions::table)
                .values((
                    sessions::hash.eq(&hash),
                    sessions::actor.eq(&actor),
                    sessions::created_at.eq(tx.now),
                    sessions::expires_at.eq(expires),
                ))
                .execute(&mut tx.journal.conn)?;
            tx.event(NewEvent::audit(
                &by,
                Level::Info,
                "session:open",
                format!("{} logged in", actor.name()),
            ))?;
            Ok(())
        })
        .await
    }
}
