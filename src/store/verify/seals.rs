//! What sweeps left: digests that stand for events which went, and rows that they did not take.

use diesel::prelude::*;

use super::super::schema::{event_log, sealed};
use super::super::sweep::{OpenSweep, Statement, TAMPERED, UpTo};
use super::super::{ReadError, Reader};
use super::{Limits, STEP, Verdict};
use crate::domain::Timestamp;

/// What the newest sweep names of the digests that older ones left, and its own, is there.
pub(super) fn groups(
    reader: &Reader,
    statement: Option<&Statement>,
    open: Option<&OpenSweep>,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    let Some(stated) = statement else { return Ok(()) };
    if reader.read_blocking(|journal| journal.lacks_groups(stated, open))? {
        verdict.wrong(
            "the table sealed".to_owned(),
            "digests that sweeps left are gone, and the newest sweep names them: older ones would count in their place",
        );
    }
    Ok(())
}

/// The digests that sweeps left, against the checkpoints that signed them, and whether their rows are there.
pub(super) fn verify(reader: &Reader, limits: Limits<'_>, verdict: &mut Verdict) -> Result<(), ReadError> {
    let groups: Vec<Option<i64>> = reader.read_blocking(|journal| {
        Ok(sealed::table
            .filter(sealed::checkpoint_id.is_not_null())
            .select(sealed::checkpoint_id)
            .distinct()
            .load(&mut journal.conn)?)
    })?;
    for group in groups.into_iter().flatten() {
        let name = format!("checkpoint {group}");
        let checkpoint = reader
            .read_blocking(|journal| journal.checkpoints_after(group - 1, 1))?
            .pop();
        let signed = checkpoint
            .filter(|checkpoint| checkpoint.id == group && checkpoint.is_signed())
            .and_then(|checkpoint| serde_json::from_str::<Statement>(checkpoint.details.as_deref()?).ok());
        let is = reader.read_blocking(|journal| journal.sealing(Some(group)))?;
        // A whole group goes when none of its rows is left.
        if is.rows > 0 && signed.is_none_or(|statement| statement.sealed != is) {
            verdict.wrong(name, "the digests that it vouches for are not those that it signed");
        }
    }
    let mut last = i64::MIN;
    loop {
        let some: Vec<(i64, String)> = reader.read_blocking(|journal| {
            Ok(sealed::table
                .filter(sealed::id.gt(last))
                .order(sealed::id.asc())
                .limit(STEP)
                .select((sealed::id, sealed::what))
                .load(&mut journal.conn)?)
        })?;
        let Some((newest, _)) = some.last() else { return Ok(()) };
        last = *newest;
        for (_, what) in some {
            if !limits.is_gone(&what)
                && !may_be_gone(&what, limits.commands_before)
                && !reader.read_blocking(|journal| journal.stands(&what))?
            {
                verdict.wrong(what, "a checkpoint speaks of it, but it is gone, and no sweep took it");
            }
        }
    }
}

/// Whether a sweep may have taken what stands at this place: hosts, users and tokens never, the rest by its age, which
/// is in its id.
fn may_be_gone(place: &str, before: Option<Timestamp>) -> bool {
    let made = place.replace('-', "");
    let made = made.get(..12).and_then(|hex| i64::from_str_radix(hex, 16).ok());
    let made = made.map(|millis| Timestamp::from_micros(millis.saturating_mul(1_000)));
    !place.contains(' ') && made.zip(before).is_some_and(|(made, before)| made < before)
}

/// The events that say that somebody changed the database, of which the newest sweep knew, are there (the walk tells each).
pub(super) fn tampered(reader: &Reader, statement: Option<&Statement>, verdict: &mut Verdict) -> Result<(), ReadError> {
    for event in statement.iter().flat_map(|statement| &statement.tampered) {
        let there = reader.read_blocking(|journal| {
            Ok(event_log::table
                .find(*event)
                .filter(event_log::action.eq(TAMPERED))
                .select(event_log::id)
                .get_result::<i64>(&mut journal.conn)
                .optional()?)
        })?;
        if there.is_none() {
            verdict.wrong(
                format!("event {event}"),
                "the dashboard itself found that somebody changed its database; the event that said so is gone, and the \
                 newest sweep names it",
            );
        }
    }
    Ok(())
}

/// What the newest sweep left standing, though it was of its time, is there.
pub(super) fn standing(
    reader: &Reader,
    statement: Option<&Statement>,
    open: Option<&OpenSweep>,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    let Some(stated) = statement.and_then(|statement| statement.standing.as_ref()) else {
        return Ok(());
    };
    let found = reader.read_blocking(|journal| journal.still_standing(stated, open))?;
    let mut compare = |table: &str, stated: &UpTo, found: &UpTo| {
        if stated == found {
            return;
        }
        let last = stated.last.as_deref().unwrap_or_default();
        let text = format!(
            "of those up to {last} the newest sweep left {} standing, and there are {}{}: no sweep took or made one since",
            stated.rows,
            found.rows,
            if stated.rows == found.rows { ", others" } else { "" },
        );
        verdict.wrong(format!("the table {table}"), text);
    };
    compare("commands", &stated.commands, &found.commands);
    compare("pipelines", &stated.pipelines, &found.pipelines);
    Ok(())
}
