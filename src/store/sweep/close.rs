//! The end of a sweep: what it did is said and signed, and the space it freed goes back to the file system.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;

use super::super::NewEvent;
use super::super::archive::Contents;
use super::super::error::Fault;
use super::super::schema::{sealed, sessions, sweeps};
use super::super::tx::Tx;
use super::standing::Looked;
use super::statement::{self, Statement};
use super::{Cutoffs, Number, Swept, piece};
use crate::domain::{Checkpoint, CheckpointKind, Digest, Level, SigningKey, Timestamp};

/// Pages that one piece gives back to the file system at most.
const PAGES: i64 = 500;

/// Events of tampering that a statement names at most: one is as bad as a hundred.
const TAMPERED_AT_MOST: usize = 100;

/// What the last piece is told.
#[derive(Clone)]
pub(super) struct Closing {
    pub(super) cutoffs: Cutoffs,
    pub(super) swept: Swept,
    pub(super) unused: Vec<Digest>,
    pub(super) gone_until: Option<Timestamp>,
    pub(super) archive: Option<Contents>,
    pub(super) looked: Looked,
    /// From before when files of the archive may be missing, by what was said until this sweep began.
    pub(super) archive_before: Option<Timestamp>,
}

/// The last piece: sessions, definitions, what was done. The checkpoint, where something was.
pub(super) fn close(tx: &mut Tx<'_>, closing: &Closing, key: &SigningKey) -> Result<Option<Checkpoint>, Fault> {
    let Closing { cutoffs, swept, .. } = closing;
    diesel::delete(sessions::table.filter(sessions::expires_at.le(tx.now))).execute(&mut tx.journal.conn)?;
    tx.journal.remove_definitions(&closing.unused)?;
    let before = tx.journal.last_cutoffs()?.and_then(|last| last.gone_until);
    let values = (
        sweeps::swept_at.eq(tx.now),
        sweeps::events_before.eq(cutoffs.events),
        sweeps::audit_before.eq(cutoffs.audit),
        sweeps::commands_before.eq(cutoffs.commands),
        sweeps::archive_before.eq(cutoffs.archive),
        sweeps::gone_until.eq(closing.gone_until.max(before)),
    );
    diesel::insert_into(sweeps::table)
        .values((sweeps::id.eq(1), values))
        .on_conflict(sweeps::id)
        .do_update()
        .set(values)
        .execute(&mut tx.journal.conn)?;
    let rows = swept.events + swept.commands + swept.pipelines;
    if rows == 0 && closing.archive.is_none() && tx.journal.open_sweep(&[])?.is_none() {
        return Ok(None);
    }
    let message = match &closing.archive {
        Some(contents) if rows == 0 => format!(
            "Finished the archive file of a sweep that was cut off: {} events, {} commands, {} pipelines",
            contents.events, contents.commands, contents.pipelines
        ),
        _ => format!(
            "Removed by age: {} events, {} commands, {} pipelines",
            swept.events, swept.commands, swept.pipelines
        ),
    };
    let removed = serde_json::json!({
        "events": swept.events,
        "commands": swept.commands,
        "pipelines": swept.pipelines,
        "events_before": cutoffs.events,
        "audit_before": cutoffs.audit,
        "commands_before": cutoffs.commands,
    });
    let mut details = removed.clone();
    if let Some(contents) = &closing.archive {
        details["archive"] = serde_json::json!(contents);
    }
    tx.event(NewEvent {
        details: Some(details),
        ..NewEvent::system(Level::Info, "sweep", message)
    })?;
    let last = tx.journal.newest_statement()?.unwrap_or_default();
    // What an earlier, stricter retention took is still missing.
    let commands_before = cutoffs.commands.max(last.commands_before);
    let base = statement::base(tx.journal)?;
    let pieces = tx.journal.newest_piece()?.max(last.pieces);
    let (hashes, sealing) = (tx.journal.hashes(base, pieces)?, tx.journal.sealing(None)?);
    // For whatever came in beside its pieces it does not sign.
    let looked = &closing.looked;
    let refused = looked.refused || hashes != looked.hashes || sealing != looked.sealed;
    if refused && !looked.refused {
        let details = serde_json::json!({ "looked": [looked.hashes, looked.sealed], "found": [hashes, sealing] });
        tx.tampered("hashes or digests were changed while a sweep ended", details)?;
    }
    let mut tampered = piece::tampered(tx.journal)?;
    tampered.extend(&last.tampered);
    tampered.sort_unstable();
    tampered.dedup();
    tampered.truncate(TAMPERED_AT_MOST);
    let hashes = match refused {
        false => hashes,
        true => last.hashes,
    };
    let statement = Statement {
        base,
        hashes,
        pieces,
        refused,
        tampered,
        sealed: sealing,
        commands_before,
        events_before: cutoffs.events.max(cutoffs.audit).max(last.events_before),
        archive_before: closing
            .archive_before
            .max(cutoffs.archive)
            .or(Some(Timestamp::from_micros(0))),
        groups: Some(tx.journal.standing_groups(i64::MAX, None)?),
        standing: commands_before
            .map(|before| tx.journal.standing_before(before))
            .transpose()?,
        removed,
        archive: closing.archive.clone(),
    };
    let checkpoint = tx.checkpoint(key, CheckpointKind::Sweep, Some(serde_json::json!(statement)))?;
    diesel::update(sealed::table.filter(sealed::checkpoint_id.is_null()))
        .set(sealed::checkpoint_id.eq(checkpoint.id))
        .execute(&mut tx.journal.conn)?;
    Ok(Some(checkpoint))
}

/// Gives some free pages back; true while there are more. A prepared statement would free a single page.
pub(super) fn give_back(tx: &mut Tx<'_>) -> Result<bool, Fault> {
    let before = free_pages(tx)?;
    if before == 0 {
        return Ok(false);
    }
    tx.journal
        .conn
        .batch_execute(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    tx.touch_pages();
    let after = free_pages(tx)?;
    Ok(after > 0 && after < before)
}

fn free_pages(tx: &mut Tx<'_>) -> Result<i64, Fault> {
    let pages: Number =
        diesel::sql_query("SELECT freelist_count AS n FROM pragma_freelist_count").get_result(&mut tx.journal.conn)?;
    Ok(pages.n)
}
