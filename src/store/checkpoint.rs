//! `checkpoints`: signed statements of how far the event log's chain had come, written in the transaction that they
//! speak of. What is signed is in [`crate::domain::Checkpoint`].

use diesel::prelude::*;

use super::chain::place;
use super::error::Fault;
use super::record::{self, Of};
use super::schema::{checkpoint_keys, checkpoints, event_log, instance, sealed};
use super::sweep::Base;
use super::tx::Tx;
use super::{Journal, ReadError, Store, Topic, WriteError};
use crate::domain::{Checkpoint, CheckpointKind, Link, PublicKey, SigningKey, Timestamp};

type Row = (
    i64,
    Timestamp,
    CheckpointKind,
    i64,
    i64,
    Link,
    Option<String>,
    String,
    PublicKey,
);

#[diesel::dsl::auto_type]
fn rows() -> _ {
    checkpoints::table.inner_join(checkpoint_keys::table).select((
        checkpoints::id,
        checkpoints::made_at,
        checkpoints::kind,
        checkpoints::event_id,
        checkpoints::events,
        checkpoints::link,
        checkpoints::details,
        checkpoints::signature,
        checkpoint_keys::public,
    ))
}

impl Journal {
    /// The newest checkpoint.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn newest_checkpoint(&mut self) -> Result<Option<Checkpoint>, ReadError> {
        let row = rows()
            .order(checkpoints::id.desc())
            .get_result::<Row>(&mut self.conn)
            .optional()?;
        row.map(|row| self.whole(row)).transpose()
    }

    /// The first checkpoint that covers this event.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn checkpoint_covering(&mut self, event_id: i64) -> Result<Option<Checkpoint>, ReadError> {
        let row = rows()
            .filter(checkpoints::event_id.ge(event_id))
            .order((checkpoints::event_id.asc(), checkpoints::id.asc()))
            .get_result::<Row>(&mut self.conn)
            .optional()?;
        row.map(|row| self.whole(row)).transpose()
    }

    /// Checkpoints after one, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn checkpoints_after(&mut self, id: i64, limit: i64) -> Result<Vec<Checkpoint>, ReadError> {
        let some: Vec<Row> = rows()
            .filter(checkpoints::id.gt(id))
            .order(checkpoints::id.asc())
            .limit(limit)
            .load(&mut self.conn)?;
        some.into_iter().map(|row| self.whole(row)).collect()
    }

    /// The checkpoint that says where the log begins: that of the newest sweep, else the first of all. None where
    /// neither was made.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn base_checkpoint(&mut self) -> Result<Option<Checkpoint>, ReadError> {
        let swept = rows()
            .filter(checkpoints::kind.eq("sweep"))
            .filter(checkpoints::id.ge(1)) // No other is one of ours.
            .order(checkpoints::id.desc())
            .get_result::<Row>(&mut self.conn)
            .optional()?;
        let row = match swept {
            Some(row) => Some(row),
            None => rows()
                .filter(checkpoints::id.eq(1))
                .get_result::<Row>(&mut self.conn)
                .optional()?,
        };
        row.map(|row| self.whole(row)).transpose()
    }

    fn whole(&mut self, row: Row) -> Result<Checkpoint, ReadError> {
        let (id, made_at, kind, event_id, events, link, details, signature, key) = row;
        let dashboard = instance::table
            .select(instance::dashboard_id)
            .get_result(&mut self.conn)?;
        Ok(Checkpoint {
            dashboard,
            id,
            kind,
            made_at,
            event_id,
            events,
            link,
            details,
            key,
            signature,
        })
    }
}

impl Store {
    /// The public half of the key that signs checkpoints.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.inner.key.public()
    }

    /// Signs how far the log has come.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn checkpoint(&self, kind: CheckpointKind) -> Result<Checkpoint, WriteError> {
        let key = self.inner.key.clone();
        self.write(move |tx| tx.checkpoint(&key, kind, None)).await
    }

    /// The same, unless nothing has happened since the last one.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn checkpoint_if_due(&self) -> Result<Option<Checkpoint>, WriteError> {
        let key = self.inner.key.clone();
        self.write(move |tx| {
            let last = tx.journal.newest_checkpoint()?;
            let head = tx.journal.head()?;
            if last.is_some_and(|last| last.event_id == head.event_id) {
                return Ok(None);
            }
            tx.checkpoint(&key, CheckpointKind::Hour, None).map(Some)
        })
        .await
    }
}

impl Tx<'_> {
    /// Signs where the chain stands in this transaction. `details` is a JSON object.
    pub(super) fn checkpoint(
        &mut self,
        key: &SigningKey,
        kind: CheckpointKind,
        details: Option<serde_json::Value>,
    ) -> Result<Checkpoint, Fault> {
        self.look_at_shape()?;
        let head = self.journal.head()?;
        let last = self.journal.newest_checkpoint()?;
        let events = match &last {
            Some(last) => last.events + (head.event_id - last.event_id),
            None => event_log::table.count().get_result(&mut self.journal.conn)?,
        };
        // A log that is older than its chain may have been swept before: it begins where it begins, and its rows are as
        // they are.
        let first = last.is_none();
        let details = match (first, details) {
            (true, None) => chained_from(self)?,
            (_, details) => details,
        };
        let signed = key.sign(Checkpoint {
            dashboard: instance::table
                .select(instance::dashboard_id)
                .get_result(&mut self.journal.conn)?,
            id: last.map_or(0, |last| last.id) + 1,
            kind,
            made_at: self.now,
            event_id: head.event_id,
            events,
            link: head.link,
            details: details.map(|details| details.to_string()),
            key: key.public(),
            signature: String::new(),
        });
        let fingerprint = signed.key.fingerprint();
        diesel::insert_into(checkpoint_keys::table)
            .values((
                checkpoint_keys::fingerprint.eq(&fingerprint),
                checkpoint_keys::public.eq(signed.key),
                checkpoint_keys::made_at.eq(self.now),
            ))
            .on_conflict_do_nothing()
            .execute(&mut self.journal.conn)?;
        diesel::insert_into(checkpoints::table)
            .values((
                checkpoints::id.eq(signed.id),
                checkpoints::made_at.eq(signed.made_at),
                checkpoints::kind.eq(signed.kind),
                checkpoints::event_id.eq(signed.event_id),
                checkpoints::events.eq(signed.events),
                checkpoints::link.eq(signed.link),
                checkpoints::details.eq(&signed.details),
                checkpoints::key.eq(&fingerprint),
                checkpoints::signature.eq(&signed.signature),
            ))
            .execute(&mut self.journal.conn)?;
        if first {
            diesel::update(sealed::table.filter(sealed::checkpoint_id.is_null()))
                .set(sealed::checkpoint_id.eq(signed.id))
                .execute(&mut self.journal.conn)?;
        }
        self.touch(Topic::Events); // Whoever forwards checkpoints waits for it.
        Ok(signed)
    }

    /// Whether checkpoints were signed before, but never with this key.
    pub(super) fn is_new_key(&mut self, key: &SigningKey) -> Result<bool, Fault> {
        let known: Vec<PublicKey> = checkpoint_keys::table
            .select(checkpoint_keys::public)
            .load(&mut self.journal.conn)?;
        Ok(!known.is_empty() && !known.contains(&key.public()))
    }
}

fn chained_from(tx: &mut Tx<'_>) -> Result<Option<serde_json::Value>, Fault> {
    let first: Option<i64> = event_log::table
        .select(event_log::id)
        .order(event_log::id.asc())
        .get_result(&mut tx.journal.conn)
        .optional()?;
    let base = first.filter(|first| *first > 1).map(|first| Base {
        event: first - 1,
        link: Link::START,
    });
    diesel::delete(sealed::table).execute(&mut tx.journal.conn)?;
    for of in Of::ALL {
        let mut last: Option<String> = None;
        loop {
            let rows = tx.journal.records_after(of, last.as_deref(), SEALED_AT_ONCE)?;
            let Some((newest, _)) = rows.last() else { break };
            last = Some(newest.clone());
            for (id, row) in &rows {
                if of.is_open(row) {
                    continue;
                }
                diesel::insert_into(sealed::table)
                    .values((sealed::what.eq(place(of, id)), sealed::digest.eq(record::digest(row))))
                    .execute(&mut tx.journal.conn)?;
            }
        }
    }
    let sealed = tx.journal.sealing(None)?;
    let older = base.is_some() || sealed.rows > 0;
    Ok(older.then(|| serde_json::json!({ "base": base, "sealed": sealed })))
}

/// Rows that are read at once, to be sealed.
const SEALED_AT_ONCE: i64 = 1_000;
