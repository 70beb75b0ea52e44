//! What the checkpoint of a sweep states: where the log begins now, what it vouches for in place of the events that
//! went, and what is in the archive. And what may be forgotten because it is stated.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::super::archive::Contents;
use super::super::error::Fault;
use super::super::schema::{event_log, sealed, sweep_pieces, swept_events};
use super::super::tx::Tx;
use super::super::{Journal, ReadError};
use super::BATCH;
use crate::domain::{Digest, Link, Timestamp};

/// What the checkpoint of a sweep states beside the chain's head; that of the first start of a log which is older than
/// its chain states where that begins.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::store) struct Statement {
    /// The last event before the log begins, with its link; none where it begins at the first.
    pub(in crate::store) base: Option<Base>,
    /// What it vouches for in place of the events that went.
    pub(in crate::store) sealed: Sealing,
    /// The events of which only the hash is left, behind where the log begins.
    pub(in crate::store) hashes: Sealing,
    /// Commands that settled before this time may be missing.
    pub(in crate::store) commands_before: Option<Timestamp>,
    /// Events from before this time may be missing.
    pub(in crate::store) events_before: Option<Timestamp>,
    /// Files of the archive from before this time may be missing; the beginning of time where none may, and none where
    /// an older version stated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::store) archive_before: Option<Timestamp>,
    /// The checkpoints before it whose digests stood for rows that were there: all of these digests stay, until a later
    /// statement says so no more. None where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::store) groups: Option<Sealing>,
    /// Which commands and pipelines of those that were made before it left standing; none where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::store) standing: Option<Standing>,
    /// The largest number of a piece that it stands for.
    #[serde(skip_serializing_if = "is_none")]
    pub(in crate::store) pieces: i64,
    /// That it found hashes or digests for which no sweep stood: it does not sign for them, and states the hashes of the
    /// statement before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::store) refused: bool,
    /// The events that say that somebody changed the database, the first ones: no sweep takes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::store) tampered: Vec<i64>,
    /// Counts, and cut-offs.
    pub(in crate::store) removed: serde_json::Value,
    /// What is in its file of the archive; none where no archive is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::store) archive: Option<Contents>,
}

/// The action of the event which says that files of the archive were removed.
pub(super) const EXPIRED: &str = "sweep:archive";

fn is_none(pieces: &i64) -> bool {
    *pieces == 0
}

/// Where a shortened log begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::store) struct Base {
    /// The last event that is gone, with all before it.
    pub(in crate::store) event: i64,
    /// Its link.
    pub(in crate::store) link: Link,
}

/// What a sweep left standing of what it might have taken. Ids rise, so no row comes in among them later.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::store) struct Standing {
    pub(in crate::store) commands: UpTo,
    pub(in crate::store) pipelines: UpTo,
}

/// The rows of one table up to an id.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::store) struct UpTo {
    /// The last one's id; none where there is none.
    pub(in crate::store) last: Option<String>,
    /// How many.
    pub(in crate::store) rows: usize,
    /// SHA-256 of their ids, each on a line of its own, in their order.
    pub(in crate::store) sha256: Option<Digest>,
}

/// The digests of one sweep.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::store) struct Sealing {
    /// How many.
    pub(in crate::store) rows: usize,
    /// SHA-256 of their lines, in the order of their ids: `WHAT DIGEST EVENT` of a row (`WHAT DIGEST` where it is not
    /// known of which event), `ID HASH LINK` of an event, `ID` of a checkpoint.
    pub(in crate::store) sha256: Option<Digest>,
}

impl Journal {
    /// What the newest sweep stated; none before the first.
    pub(in crate::store) fn newest_statement(&mut self) -> Result<Option<Statement>, ReadError> {
        let checkpoint = self.base_checkpoint()?;
        let details = checkpoint.and_then(|checkpoint| checkpoint.details);
        let read = |text: String| serde_json::from_str(&text).map_err(|why| ReadError::Row(why.to_string()));
        details.map(read).transpose()
    }

    /// From before when files of the archive may be missing: the newest sweep states it, and so does each event that says
    /// that some were removed. What stands in the table `sweeps` is signed by nobody: it counts only where an older
    /// version swept last, or a sweep was cut off, which may have taken such an event.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(in crate::store) fn archive_gone_before(&mut self) -> Result<Option<Timestamp>, ReadError> {
        let stated = self.newest_statement()?.unwrap_or_default().archive_before;
        let details: Option<Option<String>> = event_log::table
            .filter(event_log::action.eq(EXPIRED))
            .order(event_log::id.desc())
            .select(event_log::details)
            .first(&mut self.conn)
            .optional()?;
        let said = details.flatten().and_then(|text| {
            let details: serde_json::Value = serde_json::from_str(&text).ok()?;
            details["before"].as_str()?.parse().ok()
        });
        let unsigned = match stated {
            Some(_) if self.open_sweep(&[])?.is_none() => None,
            Some(_) | None => self.last_cutoffs()?.and_then(|last| last.cutoffs.archive),
        };
        Ok(stated.max(said).max(unsigned))
    }

    /// The digests that the checkpoint of this sweep vouches for; `None` is the sweep that is under way.
    pub(in crate::store) fn sealing(&mut self, checkpoint: Option<i64>) -> Result<Sealing, ReadError> {
        // Also what somebody gave a number below the first one.
        let (mut sum, mut last) = (Summing::default(), i64::MIN);
        loop {
            let some: Vec<(i64, String, Digest, Option<i64>)> = sealed::table
                .filter(sealed::checkpoint_id.is(checkpoint))
                .filter(sealed::id.gt(last))
                .order(sealed::id.asc())
                .limit(1_000)
                .select((sealed::id, sealed::what, sealed::digest, sealed::event_id))
                .load(&mut self.conn)?;
            let Some((newest, ..)) = some.last() else { break };
            last = *newest;
            for (_, what, digest, event) in &some {
                sum.seal(what, digest, *event);
            }
        }
        Ok(sum.end())
    }

    /// The events of which only the hash is left, behind `base`, as far as the pieces up to this one took them.
    pub(in crate::store) fn hashes(&mut self, base: Option<Base>, pieces: i64) -> Result<Sealing, ReadError> {
        let (mut sum, mut last) = (Summing::default(), base.map_or(0, |base| base.event));
        loop {
            let some: Vec<(i64, Link, Link, Option<i64>)> = swept_events::table
                .filter(swept_events::id.gt(last))
                .order(swept_events::id.asc())
                .limit(1_000)
                .select((
                    swept_events::id,
                    swept_events::row_hash,
                    swept_events::link,
                    swept_events::piece,
                ))
                .load(&mut self.conn)?;
            let Some((newest, ..)) = some.last() else { break };
            last = *newest;
            for (id, row, link, piece) in some {
                if piece.is_none_or(|piece| piece <= pieces) {
                    sum.hash(id, row, link);
                }
            }
        }
        Ok(sum.end())
    }
}

/// A digest of lines that is on its way.
#[derive(Default)]
pub(super) struct Summing {
    hash: sha2::Sha256,
    rows: usize,
}

impl Summing {
    /// What an event said of a row.
    pub(super) fn seal(&mut self, what: &str, digest: &Digest, event: Option<i64>) {
        match event {
            None => self.line(&format!("{what} {digest}\n")),
            Some(event) => self.line(&format!("{what} {digest} {event}\n")),
        }
    }

    /// What is left of an event.
    pub(super) fn hash(&mut self, id: i64, row: Link, link: Link) {
        self.line(&format!("{id} {row} {link}\n"));
    }

    /// A checkpoint.
    pub(super) fn checkpoint(&mut self, id: i64) {
        self.line(&format!("{id}\n"));
    }

    fn line(&mut self, line: &str) {
        use sha2::Digest as _;
        self.hash.update(line);
        self.rows += 1;
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn end(self) -> Sealing {
        use sha2::Digest as _;
        Sealing {
            rows: self.rows,
            sha256: (self.rows > 0).then(|| Digest::from_hash(&self.hash.finalize())),
        }
    }
}

/// Where the log begins now: after what went from its front, or where it began before.
pub(super) fn base(journal: &mut Journal) -> Result<Option<Base>, ReadError> {
    let first: Option<i64> = event_log::table
        .select(event_log::id)
        .order(event_log::id.asc())
        .get_result(&mut journal.conn)
        .optional()?;
    let gone: Option<(i64, Link)> = swept_events::table
        .filter(swept_events::id.eq(first.unwrap_or(0) - 1))
        .select((swept_events::id, swept_events::link))
        .get_result(&mut journal.conn)
        .optional()?;
    match gone {
        Some((event, link)) => Ok(Some(Base { event, link })),
        None => Ok(journal.newest_statement()?.and_then(|statement| statement.base)),
    }
}

/// Forgets, in small steps, what the newest checkpoint of a sweep stands for: hashes from before the log begins, and
/// digests of rows that are all gone (hosts, users and tokens never are). True while there is more.
pub(super) fn forget(tx: &mut Tx<'_>) -> Result<bool, Fault> {
    let statement = tx.journal.newest_statement()?.unwrap_or_default();
    let before = statement.base.map_or(0, |base| base.event);
    let pieces = sweep_pieces::table.filter(sweep_pieces::id.le(statement.pieces));
    if diesel::delete(pieces).execute(&mut tx.journal.conn)? > 0 {
        tx.touch_pages();
    }
    let hashes = diesel::sql_query(
        "DELETE FROM swept_events WHERE id IN (SELECT id FROM swept_events WHERE id <= ? ORDER BY id LIMIT ?)",
    )
    .bind::<BigInt, _>(before)
    .bind::<BigInt, _>(BATCH)
    .execute(&mut tx.journal.conn)?;
    if hashes > 0 {
        tx.touch_pages();
        return Ok(true);
    }
    // Its own digests go with a later statement, which then does not name them.
    let own = tx.journal.base_checkpoint()?.map_or(0, |checkpoint| checkpoint.id);
    for group in tx.journal.groups()? {
        if group != own && !tx.journal.stands_for_any(group)? {
            diesel::delete(sealed::table.filter(sealed::checkpoint_id.eq(group))).execute(&mut tx.journal.conn)?;
            tx.touch_pages();
        }
    }
    Ok(false)
}
