//! `sessions`: who is logged in, by the hash of a secret that is stored nowhere.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use diesel::prelude::*;

use super::error::Fault;
use super::schema::{sessions, users};
use super::tx::Tx;
use super::user::{Proved, UserRow, still_proved, void};
use super::{By, Journal, NewEvent, ReadError, Store, WriteError};
use crate::domain::{Actor, Factor, Level, Timestamp, bounded};

/// A log-in.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = sessions, check_for_backend(diesel::sqlite::Sqlite))]
pub struct SessionRow {
    /// Its number: by it a session is named where it is shown.
    pub id: i64,
    /// Whose it is.
    pub actor: Actor,
    /// The user, where it is one's.
    pub user_id: Option<i64>,
    /// Where the log-in came from.
    pub address: Option<String>,
    /// What the browser said that it is.
    pub agent: Option<String>,
    /// What was proved last, at log-in or since.
    pub factor: Option<Factor>,
    /// When that was.
    pub proved_at: Option<Timestamp>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// A session that is to be opened.
#[derive(Clone)]
pub struct NewSession {
    /// The hash of its secret.
    pub hash: String,
    /// The user as they were when they proved who they are, where it is one's; else it is the actor's alone.
    pub user: Option<Proved>,
    /// What the browser says that it is.
    pub agent: Option<String>,
    /// What was proved.
    pub factor: Option<Factor>,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Sessions that were last used at this time or before have ended, and are forgotten.
    pub unused_since: Timestamp,
}

/// A session, and its user where it is one's.
pub type SessionOf = (SessionRow, Option<UserRow>);

/// Sessions that were found since the last commit: while nothing is written, pages that poll cost no query.
#[derive(Default)]
pub(super) struct Recent(Mutex<(u64, HashMap<String, SessionOf>)>);

impl Recent {
    fn get(&self, commits: u64, hash: &str) -> Option<SessionOf> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.0 == commits {
            recent.1.get(hash).cloned()
        } else {
            None
        }
    }

    /// Keeps what was read when so many groups were committed.
    fn keep(&self, commits: u64, hash: String, found: SessionOf) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.0 != commits {
            *recent = (commits, HashMap::new());
        }
        recent.1.insert(hash, found);
    }
}

impl Journal {
    /// The session of this hash with its user, unless its time is up or the user was disabled.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn session(&mut self, hash: &str) -> Result<Option<SessionOf>, ReadError> {
        let found: Option<SessionOf> = sessions::table
            .left_join(users::table)
            .filter(sessions::hash.eq(hash))
            .filter(sessions::expires_at.gt(Timestamp::now()))
            .select((SessionRow::as_select(), Option::<UserRow>::as_select()))
            .first(&mut self.conn)
            .optional()?;
        Ok(found.filter(|(session, user)| match user {
            Some(user) => user.disabled_at.is_none(),
            None => session.user_id.is_none(),
        }))
    }

    /// The session of this number with its user.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn session_by_id(&mut self, id: i64) -> Result<Option<SessionOf>, ReadError> {
        Ok(sessions::table
            .left_join(users::table)
            .filter(sessions::id.eq(id))
            .select((SessionRow::as_select(), Option::<UserRow>::as_select()))
            .first(&mut self.conn)
            .optional()?)
    }

    /// The sessions of a user, or everybody's, newest first: those that were used after this time, and may be still.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn sessions(&mut self, user_id: Option<i64>, unused_since: Timestamp) -> Result<Vec<SessionRow>, ReadError> {
        let mut query = sessions::table
            .filter(sessions::expires_at.gt(Timestamp::now()))
            .filter(sessions::last_seen_at.gt(unused_since))
            .order(sessions::id.desc())
            .select(SessionRow::as_select())
            .limit(500)
            .into_boxed();
        if let Some(user) = user_id {
            query = query.filter(sessions::user_id.eq(user));
        }
        Ok(query.load(&mut self.conn)?)
    }
}

impl Store {
    /// As [`Journal::session`], without a query where nothing was written since the last one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn session(&self, hash: String) -> Result<Option<SessionOf>, ReadError> {
        let (commits, recent) = (self.inner.shared.commits(), &self.inner.sessions);
        if let Some(found) = recent.get(commits, &hash) {
            return Ok(Some(found).filter(|(session, _)| session.expires_at > Timestamp::now()));
        }
        let asked = hash.clone();
        let found = self.reader().read(move |journal| journal.session(&asked)).await?;
        if let Some(found) = &found {
            recent.keep(commits, hash, found.clone());
        }
        Ok(found)
    }

    /// Opens a session and forgets those whose time is up.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where what was proved is void by now, or that hash is in use.
    pub async fn session_open(&self, new: NewSession, by: By) -> Result<(), WriteError> {
        self.write(move |tx| {
            if let Some(user) = new.user {
                still_proved(tx, user)?;
            }
            forget_ended(tx, new.unused_since)?;
            diesel::insert_into(sessions::table)
                .values((
                    sessions::hash.eq(&new.hash),
                    sessions::actor.eq(&by.actor),
                    sessions::user_id.eq(new.user.map(|user| user.id)),
                    sessions::address.eq(&by.address),
                    sessions::agent.eq(new.agent.as_ref().map(|agent| bounded(agent, 200))),
                    sessions::factor.eq(new.factor),
                    sessions::proved_at.eq(new.factor.map(|_| tx.now)),
                    sessions::created_at.eq(tx.now),
                    sessions::last_seen_at.eq(tx.now),
                    sessions::expires_at.eq(new.expires_at),
                ))
                .execute(&mut tx.journal.conn)?;
            let how = match new.factor {
                Some(factor) => format!(" ({factor})"),
                None => " by a one-time link".to_owned(),
            };
            tx.event(NewEvent::audit(
                &by,
                Level::Info,
                "session:open",
                format!("{} logged in{how}", by.actor.name()),
            ))?;
            Ok(())
        })
        .await
    }

    /// Forgets sessions whose time is up, and those that were last used at this time or before.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn sessions_forget(&self, unused_since: Timestamp) -> Result<(), WriteError> {
        self.write(move |tx| forget_ended(tx, unused_since)).await
    }

    /// Ends the session of this hash; false where there was none.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn session_close(&self, hash: String, by: By) -> Result<bool, WriteError> {
        self.write(move |tx| {
            let ended =
                diesel::delete(sessions::table.filter(sessions::hash.eq(&hash))).execute(&mut tx.journal.conn)? > 0;
            if ended {
                let message = format!("{} logged out", by.actor.name());
                tx.event(NewEvent::audit(&by, Level::Info, "session:close", message))?;
            }
            Ok(ended)
        })
        .await
    }

    /// Ends the session of this number, where it is `of` this actor; gives whose it was.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn session_revoke(&self, id: i64, of: Actor, by: By) -> Result<Option<Actor>, WriteError> {
        self.write(move |tx| {
            let whose: Option<Actor> = sessions::table
                .find(id)
                .select(sessions::actor)
                .first(&mut tx.journal.conn)
                .optional()?;
            let whose = whose.filter(|whose| *whose == of);
            if let Some(whose) = &whose {
                diesel::delete(sessions::table.find(id)).execute(&mut tx.journal.conn)?;
                let message = format!("{} ended a session of {}", by.actor.name(), whose.name());
                tx.event(NewEvent {
                    details: Some(serde_json::json!({ "of": whose })),
                    ..NewEvent::audit(&by, Level::Info, "session:revoke", message)
                })?;
            }
            Ok(whose)
        })
        .await
    }

    /// Notes that a session is in use. No event: what is done in it has its own.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn session_seen(&self, id: i64) -> Result<(), WriteError> {
        self.write(move |tx| {
            diesel::update(sessions::table.find(id))
                .set(sessions::last_seen_at.eq(tx.now))
                .execute(&mut tx.journal.conn)?;
            Ok(())
        })
        .await
    }

    /// Notes that who has a session has proved once more who they are; gives the time of that.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where that is void by now, or the session has ended.
    pub async fn session_proved(&self, id: i64, user: Proved, factor: Factor, by: By) -> Result<Timestamp, WriteError> {
        self.write(move |tx| {
            still_proved(tx, user)?;
            let changed = diesel::update(sessions::table.find(id))
                .set((sessions::factor.eq(Some(factor)), sessions::proved_at.eq(Some(tx.now))))
                .execute(&mut tx.journal.conn)?;
            if changed == 0 {
                return Err(void().into());
            }
            let message = format!("{} confirmed who they are ({factor})", by.actor.name());
            tx.event(NewEvent::audit(&by, Level::Info, "session:step-up", message))?;
            Ok(tx.now)
        })
        .await
    }
}

fn forget_ended(tx: &mut Tx<'_>, unused_since: Timestamp) -> Result<(), Fault> {
    let conn = &mut tx.journal.conn;
    diesel::delete(sessions::table.filter(sessions::expires_at.le(tx.now))).execute(conn)?;
    diesel::delete(sessions::table.filter(sessions::last_seen_at.le(unused_since))).execute(conn)?;
    Ok(())
}
