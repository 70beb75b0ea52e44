//! `holds`: ranges of time of which nothing is swept, neither events nor commands nor pipelines, nor archive files with
//! rows of theirs. A released hold stays as a row: that it stood is part of what happened.

use diesel::prelude::*;
use serde::Serialize;

use super::error::Fault;
use super::schema::holds;
use super::tx::Tx;
use super::{By, Journal, NewEvent, ReadError, Store, Topic, WriteError};
use crate::domain::{Actor, Level, MESSAGE_LIMIT, Timestamp, bounded};

/// A hold as it stands in the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = holds, check_for_backend(diesel::sqlite::Sqlite))]
pub struct HoldRow {
    /// Its number.
    pub id: i64,
    /// Nothing from this time on goes ...
    pub from_at: Timestamp,
    /// ... up to this time; none is without an end.
    pub until_at: Option<Timestamp>,
    /// Why, in the words of whoever placed it.
    pub reason: String,
    /// Who placed it.
    pub placed_by: Actor,
    /// When.
    pub placed_at: Timestamp,
    /// Who released it; none while it stands.
    pub released_by: Option<Actor>,
    /// When.
    pub released_at: Option<Timestamp>,
    /// Why.
    pub release_reason: Option<String>,
}

/// The most holds that are listed.
const LISTED: i64 = 1_000;

impl Journal {
    /// The holds that stand, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn standing_holds(&mut self) -> Result<Vec<HoldRow>, ReadError> {
        Ok(holds::table
            .filter(holds::released_at.is_null())
            .order(holds::id.asc())
            .select(HoldRow::as_select())
            .load(&mut self.conn)?)
    }

    /// All holds there ever were, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn holds(&mut self) -> Result<Vec<HoldRow>, ReadError> {
        Ok(holds::table
            .order(holds::id.desc())
            .limit(LISTED)
            .select(HoldRow::as_select())
            .load(&mut self.conn)?)
    }

    fn hold(&mut self, id: i64) -> Result<Option<HoldRow>, ReadError> {
        Ok(holds::table
            .find(id)
            .select(HoldRow::as_select())
            .get_result(&mut self.conn)
            .optional()?)
    }
}

impl Store {
    /// Nothing of a range is swept from now on.
    ///
    /// # Errors
    /// [`WriteError::Invalid`] where the range ends before it begins, or there is no reason.
    pub async fn place_hold(
        &self,
        from: Timestamp,
        until: Option<Timestamp>,
        reason: String,
        by: By,
    ) -> Result<HoldRow, WriteError> {
        self.write(move |tx| place(tx, from, until, &reason, &by)).await
    }

    /// Lets the rows of a hold go, from the next sweep on.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where it was released before.
    pub async fn release_hold(&self, id: i64, reason: String, by: By) -> Result<HoldRow, WriteError> {
        self.write(move |tx| release(tx, id, &reason, &by)).await
    }
}

fn place(tx: &mut Tx<'_>, from: Timestamp, until: Option<Timestamp>, reason: &str, by: &By) -> Result<HoldRow, Fault> {
    if until.is_some_and(|until| until <= from) {
        let wrong = crate::domain::Invalid::new("until", "must be later than the beginning of the range");
        return Err(WriteError::Invalid(wrong).into());
    }
    diesel::insert_into(holds::table)
        .values((
            holds::from_at.eq(from),
            holds::until_at.eq(until),
            holds::reason.eq(bounded(reason, MESSAGE_LIMIT)),
            holds::placed_by.eq(&by.actor),
            holds::placed_at.eq(tx.now),
        ))
        .execute(&mut tx.journal.conn)?;
    let row: HoldRow = holds::table
        .order(holds::id.desc())
        .select(HoldRow::as_select())
        .get_result(&mut tx.journal.conn)?;
    let message = format!(
        "{} placed hold {} on {}: {reason}",
        by.actor.name(),
        row.id,
        row.range()
    );
    said(tx, &row, by, "hold:place", message)?;
    Ok(row)
}

fn release(tx: &mut Tx<'_>, id: i64, reason: &str, by: &By) -> Result<HoldRow, Fault> {
    let row = tx
        .journal
        .hold(id)?
        .ok_or_else(|| WriteError::NotFound(format!("hold {id}")))?;
    if let Some(released) = &row.released_by {
        let text = format!("hold {id} was released by {} already", released.name());
        return Err(WriteError::Conflict(text).into());
    }
    diesel::update(holds::table.find(id))
        .set((
            holds::released_by.eq(&by.actor),
            holds::released_at.eq(tx.now),
            holds::release_reason.eq(bounded(reason, MESSAGE_LIMIT)),
        ))
        .execute(&mut tx.journal.conn)?;
    let row = tx
        .journal
        .hold(id)?
        .ok_or_else(|| WriteError::NotFound(format!("hold {id}")))?;
    let message = format!("{} released hold {id} on {}: {reason}", by.actor.name(), row.range());
    said(tx, &row, by, "hold:release", message)?;
    Ok(row)
}

fn said(tx: &mut Tx<'_>, row: &HoldRow, by: &By, action: &str, message: String) -> Result<(), Fault> {
    tx.touch(Topic::Events);
    tx.event(NewEvent {
        details: Some(serde_json::json!({ "hold": row })),
        seals: true,
        ..NewEvent::audit(by, Level::Warn, action, message)
    })?;
    Ok(())
}

impl HoldRow {
    /// `everything since 2026-11-01 00:00:00 UTC`, for a sentence.
    #[must_use]
    pub fn range(&self) -> String {
        let clock = |time: Timestamp| format!("{} UTC", &time.to_string()[..19]);
        match self.until_at {
            None => format!("everything since {}", clock(self.from_at)),
            Some(until) => format!("everything from {} to {}", clock(self.from_at), clock(until)),
        }
    }
}
