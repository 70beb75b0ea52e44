//! Pieces: what each transaction of a sweep removes is said and signed in that transaction, so that there is never a
//! hash, a digest or a gap for which nobody stands, wherever a sweep is cut off. The checkpoint at a sweep's end stands
//! for all of its pieces; then they are forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use diesel::prelude::*;

use super::super::error::Fault;
use super::super::record::Of;
use super::super::schema::{event_log, instance, sealed, sweep_pieces, swept_events};
use super::super::tx::Tx;
use super::super::{Journal, NewEvent, ReadError};
use super::Cutoffs;
use super::statement::{Sealing, Statement, Summing};
use crate::domain::{Checkpoint, CheckpointKind, Digest, Level, Link, PublicKey, SigningKey, Timestamp};

/// The action of the event with which a sweep begins to remove rows.
const BEGUN: &str = "retention";

/// Rows that are read at once.
const STEP: i64 = 1_000;

/// What one transaction removed.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::store) struct Piece {
    /// Its number.
    number: i64,
    /// The checkpoint that said where the log began then; 0 where there was none.
    after: i64,
    /// The events of which it left only the hash.
    hashes: Sealing,
    /// The digests that it left.
    sealed: Sealing,
    /// The commands that it removed.
    commands: Vec<String>,
    /// The pipelines.
    pipelines: Vec<String>,
    /// Events from before this time may be missing.
    events_before: Option<Timestamp>,
}

/// A sweep that has begun to remove rows and has not stated yet what it removed: it is under way, or was cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::store) struct OpenSweep {
    /// The newest event when it last removed something.
    pub(in crate::store) event: i64,
    /// Its pieces, without their lists.
    pieces: Vec<Piece>,
    /// Those that are no pieces of it, or signed by nobody who counts.
    wrong: Vec<i64>,
    /// The commands that it removed.
    pub(in crate::store) commands: BTreeSet<String>,
    /// The pipelines.
    pub(in crate::store) pipelines: BTreeSet<String>,
    /// Events from before this time may be missing.
    pub(in crate::store) events_before: Option<Timestamp>,
}

impl Journal {
    /// Such a sweep. `keys`: those that count; none is whichever signed.
    pub(in crate::store) fn open_sweep(&mut self, keys: &[PublicKey]) -> Result<Option<OpenSweep>, ReadError> {
        let after = self.base_checkpoint()?.map_or(0, |checkpoint| checkpoint.id);
        let stated = self.newest_statement()?.unwrap_or_default().pieces;
        let dashboard: String = instance::table
            .select(instance::dashboard_id)
            .get_result(&mut self.conn)?;
        let mut open: Option<OpenSweep> = None;
        let mut last = stated;
        loop {
            let row: Option<(i64, String)> = sweep_pieces::table
                .filter(sweep_pieces::id.gt(last))
                .order(sweep_pieces::id.asc())
                .select((sweep_pieces::id, sweep_pieces::line))
                .first(&mut self.conn)
                .optional()?;
            let Some((id, line)) = row else { return Ok(open) };
            let open = open.get_or_insert_with(|| OpenSweep {
                event: 0,
                pieces: Vec::new(),
                wrong: Vec::new(),
                commands: BTreeSet::new(),
                pipelines: BTreeSet::new(),
                events_before: None,
            });
            let signed = Checkpoint::read(&line).ok().filter(|signed| {
                signed.kind == CheckpointKind::Piece
                    && signed.dashboard == dashboard
                    && (keys.is_empty() || keys.contains(&signed.key))
            });
            let piece = signed.as_ref().and_then(|signed| {
                let piece: Piece = serde_json::from_str(signed.details.as_deref()?).ok()?;
                (piece.number == id && piece.after == after).then_some(piece)
            });
            match (signed, piece) {
                (Some(signed), Some(mut piece)) => {
                    open.event = signed.event_id;
                    open.events_before = open.events_before.max(piece.events_before);
                    open.commands.extend(std::mem::take(&mut piece.commands));
                    open.pipelines.extend(std::mem::take(&mut piece.pipelines));
                    open.pieces.push(piece);
                }
                _ => open.wrong.push(id),
            }
            last = id;
        }
    }

    /// The largest number of a piece.
    pub(super) fn newest_piece(&mut self) -> Result<i64, ReadError> {
        self.largest_ever("sweep_pieces")
    }

    /// Hashes and digests for which neither the newest statement nor a piece stands: the table, and what is wrong.
    pub(in crate::store) fn unsigned(
        &mut self,
        stated: &Statement,
        open: Option<&OpenSweep>,
    ) -> Result<Vec<(&'static str, String)>, ReadError> {
        const EVENTS: &str = "the table swept_events";
        let mut wrong = Vec::new();
        let found = self.hashes(stated.base, stated.pieces)?;
        if found != stated.hashes {
            let text = format!(
                "of {} events only the hash is left, and no checkpoint says that a sweep took them",
                found.rows
            );
            wrong.push((EVENTS, text));
        }
        let pieces: &[Piece] = open.map_or(&[], |open| &open.pieces);
        for id in open.iter().flat_map(|open| &open.wrong) {
            wrong.push((
                "the table sweep_pieces",
                format!("piece {id} is none that the dashboard signed"),
            ));
        }
        let mut are: Vec<i64> = swept_events::table
            .filter(swept_events::piece.gt(stated.pieces))
            .select(swept_events::piece.assume_not_null())
            .distinct()
            .load(&mut self.conn)?;
        are.retain(|number| pieces.iter().all(|piece| piece.number != *number));
        for number in are {
            let text = format!("events that piece {number} of a sweep took, and nothing says so");
            wrong.push((EVENTS, text));
        }
        for piece in pieces {
            if self.hashes_of(piece.number)? != piece.hashes {
                let text = format!("what piece {} of a sweep took is not what it signed", piece.number);
                wrong.push((EVENTS, text));
            }
        }
        let (fit, more) = self.seals_fit(pieces)?;
        if !fit || more > 0 {
            let text = format!("{more} digests vouch for rows, but no checkpoint signed them");
            wrong.push(("the table sealed", text));
        }
        Ok(wrong)
    }

    fn hashes_of(&mut self, piece: i64) -> Result<Sealing, ReadError> {
        let rows: Vec<(i64, Link, Link)> = swept_events::table
            .filter(swept_events::piece.eq(piece))
            .order(swept_events::id.asc())
            .select((swept_events::id, swept_events::row_hash, swept_events::link))
            .load(&mut self.conn)?;
        let mut sum = Summing::default();
        for (id, row, link) in rows {
            sum.hash(id, row, link);
        }
        Ok(sum.end())
    }

    /// Whether the digests that no checkpoint signed are those of the pieces, one after the other; and how many more.
    fn seals_fit(&mut self, pieces: &[Piece]) -> Result<(bool, usize), ReadError> {
        let (mut last, mut fit, mut more) = (i64::MIN, true, 0);
        let mut left = pieces
            .iter()
            .map(|piece| &piece.sealed)
            .filter(|sealed| sealed.rows > 0);
        let (mut next, mut sum) = (left.next(), Summing::default());
        loop {
            let some: Vec<(i64, String, Digest, Option<i64>)> = sealed::table
                .filter(sealed::checkpoint_id.is_null())
                .filter(sealed::id.gt(last))
                .order(sealed::id.asc())
                .limit(STEP)
                .select((sealed::id, sealed::what, sealed::digest, sealed::event_id))
                .load(&mut self.conn)?;
            let Some((newest, ..)) = some.last() else { break };
            last = *newest;
            for (_, what, digest, event) in &some {
                let Some(stated) = next else {
                    more += 1;
                    continue;
                };
                sum.seal(what, digest, *event);
                if sum.rows() == stated.rows {
                    fit &= std::mem::take(&mut sum).end() == *stated;
                    next = left.next();
                }
            }
        }
        Ok((fit && next.is_none(), more))
    }
}

/// What every piece of a sweep is told.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) cutoffs: Cutoffs,
    pub(super) key: Arc<SigningKey>,
    /// Whether it is the first that removes something.
    pub(super) begins: bool,
}

impl Said {
    /// Says that a sweep begins, where it does.
    pub(super) fn begin(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        if self.begins {
            tx.event(NewEvent {
                details: Some(serde_json::json!({
                    "events_before": self.cutoffs.events.max(self.cutoffs.audit),
                    "commands_before": self.cutoffs.commands,
                })),
                ..NewEvent::system(Level::Info, BEGUN, "A sweep begins to remove what is past its time")
            })?;
        }
        Ok(())
    }

    /// Signs that rows are gone.
    pub(super) fn gone(&self, tx: &mut Tx<'_>, of: Of, gone: Vec<String>) -> Result<(), Fault> {
        let mut piece = Piece {
            number: next(tx)?,
            ..Piece::default()
        };
        match of {
            Of::Pipeline => piece.pipelines = gone,
            Of::Command | Of::Host | Of::User | Of::Token | Of::Hold | Of::Report | Of::Review => {
                piece.commands = gone;
            }
        }
        self.sign(tx, piece)
    }

    /// Signs what it left of events.
    pub(super) fn events(&self, tx: &mut Tx<'_>, number: i64, hashes: Sealing, sealed: Sealing) -> Result<(), Fault> {
        self.sign(
            tx,
            Piece {
                number,
                hashes,
                sealed,
                events_before: self.cutoffs.events.max(self.cutoffs.audit),
                ..Piece::default()
            },
        )
    }

    fn sign(&self, tx: &mut Tx<'_>, piece: Piece) -> Result<(), Fault> {
        let head = tx.journal.head()?;
        let piece = Piece {
            after: tx.journal.base_checkpoint()?.map_or(0, |checkpoint| checkpoint.id),
            ..piece
        };
        let signed = self.key.sign(Checkpoint {
            dashboard: instance::table
                .select(instance::dashboard_id)
                .get_result(&mut tx.journal.conn)?,
            id: piece.number,
            kind: CheckpointKind::Piece,
            made_at: tx.now,
            event_id: head.event_id,
            events: 0,
            link: head.link,
            details: Some(serde_json::json!(piece).to_string()),
            key: self.key.public(),
            signature: String::new(),
        });
        diesel::insert_into(sweep_pieces::table)
            .values((sweep_pieces::id.eq(piece.number), sweep_pieces::line.eq(signed.line())))
            .execute(&mut tx.journal.conn)?;
        Ok(())
    }
}

/// The number of the next piece.
pub(super) fn next(tx: &mut Tx<'_>) -> Result<i64, Fault> {
    // A statement knows it too, should SQLite's own counter be set back.
    let stated = tx.journal.newest_statement()?.unwrap_or_default().pieces;
    Ok(tx.journal.newest_piece()?.max(stated) + 1)
}

/// The events that say that somebody changed the database.
pub(super) fn tampered(journal: &mut Journal) -> Result<Vec<i64>, ReadError> {
    Ok(event_log::table
        .filter(event_log::action.eq(super::TAMPERED))
        .order(event_log::id.asc())
        .select(event_log::id)
        .load(&mut journal.conn)?)
}
