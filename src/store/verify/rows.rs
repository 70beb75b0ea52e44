//! Final rows and outputs against what the chain says of them.

use std::path::Path;

use diesel::prelude::*;
use serde_json::Value;

use super::super::chain::Canonical;
use super::super::record::{self, Of};
use super::super::schema::{definitions, sealed};
use super::super::sweep::{Statement, TAMPERED};
use super::super::{ReadError, Reader, output};
use super::voucher::Voucher;
use super::{Against, STEP, Verdict};
use crate::domain::{CommandId, Digest, Timestamp};

/// All rows, and all outputs.
pub(super) fn verify(
    reader: &Reader,
    data_dir: &Path,
    statement: Option<&Statement>,
    against: &Against,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    seals(
        reader,
        statement.and_then(|statement| statement.commands_before),
        verdict,
    )?;
    let base = statement
        .and_then(|statement| statement.base)
        .map_or(0, |base| base.event);
    let outputs = against.outputs && data_dir.join("output").is_dir();
    let named = reader.read_blocking(|journal| journal.named(base))?;
    let events_before = statement.and_then(|statement| {
        let text = statement.removed["events_before"].as_str()?;
        text.parse::<Timestamp>().ok()
    });
    for of in Of::ALL {
        let mut last = String::new();
        loop {
            let after = last.clone();
            let rows = reader.read_blocking(|journal| journal.vouched(of, &after, &named, base))?;
            let Some((newest, ..)) = rows.last() else { break };
            last.clone_from(newest);
            for (id, row, voucher) in rows {
                let name = format!("{} {id}", of.word());
                let open = matches!(of, Of::Command | Of::Pipeline) && row.get("finished_at").is_none();
                match voucher {
                    Some(Voucher::Event(event, _)) if open => {
                        verdict.wrong(
                            name,
                            format!("it stands as not ended, but event {event} says how it ended"),
                        );
                        continue;
                    }
                    Some(Voucher::Event(_, said)) if said == row => {}
                    Some(Voucher::Event(event, said)) => {
                        let columns = differing(&said, &row);
                        verdict.wrong(name, format!("it is not what event {event} says of it: {columns}"));
                        continue;
                    }
                    Some(Voucher::Digest(place, digest)) if digest != record::digest(&row) => {
                        verdict.wrong(name, format!("it is not what {place} says of it"));
                        continue;
                    }
                    Some(Voucher::Digest(..)) => {}
                    None if open => {
                        let young = !is_before(&row, events_before);
                        if young && !reader.read_blocking(|journal| journal.is_spoken_of(of, &id, base))? {
                            verdict.wrong(name, "it is open, but no event says who asked for it");
                        }
                        continue;
                    }
                    None => {
                        let text = match of {
                            Of::Command | Of::Pipeline => "it has ended, but no event says how",
                            Of::Host | Of::User | Of::Token => "it is there, but no event says how it came to be",
                        };
                        verdict.wrong(name, text);
                        continue;
                    }
                }
                match of {
                    Of::Command => verdict.commands += 1,
                    Of::Pipeline => verdict.pipelines += 1,
                    Of::Host | Of::User | Of::Token => verdict.others += 1,
                }
                if of == Of::Command && against.outputs {
                    if !outputs && row["output_bytes"].as_i64().unwrap_or(0) > 0 {
                        let folder = data_dir.join("output").display().to_string();
                        verdict.wrong(
                            folder,
                            "there is no such folder; leave the outputs out with --no-outputs",
                        );
                        return texts(reader, verdict);
                    }
                    file(data_dir, &id, &row, name, verdict);
                }
            }
        }
    }
    if statement.is_some_and(|statement| statement.base.is_some()) {
        verdict
            .notes
            .push("What was swept is vouched for by the checkpoints of the sweeps; its content is in the archive, if one is kept".to_owned());
    }
    texts(reader, verdict)
}

/// Whether a row that an event speaks of is there, or may be missing.
pub(super) fn exists(
    reader: &Reader,
    event: &Canonical,
    commands_before: Option<Timestamp>,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    let details = event.details.as_deref().unwrap_or_default();
    if event.action == TAMPERED {
        verdict.wrong(
            format!("event {}", event.id),
            "the dashboard itself found that somebody changed its database",
        );
    }
    if !details.contains("\"record") {
        return Ok(());
    }
    let Ok(all) = serde_json::from_str::<Value>(details) else {
        return Ok(());
    };
    let may_be_swept = is_before_text(&event.at_text, commands_before);
    for id in all["records"].as_object().into_iter().flat_map(serde_json::Map::keys) {
        if !may_be_swept
            && reader
                .read_blocking(|journal| journal.record(Of::Command, id))?
                .is_none()
        {
            let text = format!("event {} speaks of it, but it is gone, and no sweep took it", event.id);
            verdict.wrong(format!("command {id}"), text);
        }
    }
    if !all["record"].is_object() {
        return Ok(());
    }
    let Some((of, id)) = event.about(&all) else {
        return Ok(());
    };
    let swept = matches!(of, Of::Command | Of::Pipeline) && is_before(&all["record"], commands_before);
    if swept || reader.read_blocking(|journal| journal.record(of, &id))?.is_some() {
        return Ok(());
    }
    let text = format!("event {} speaks of it, but it is gone, and no sweep took it", event.id);
    verdict.wrong(format!("{} {id}", of.word()), text);
    Ok(())
}

fn is_before_text(at: &str, time: Option<Timestamp>) -> bool {
    let at = at.parse::<Timestamp>().ok();
    at.zip(time).is_some_and(|(at, time)| at < time)
}

fn is_before(row: &Value, time: Option<Timestamp>) -> bool {
    let at = ["settled_at", "finished_at", "created_at"]
        .iter()
        .find_map(|column| row[*column].as_str());
    let at = at.and_then(|text| text.parse::<Timestamp>().ok());
    at.zip(time).is_some_and(|(at, time)| at < time)
}

fn differing(said: &Value, is: &Value) -> String {
    let empty = serde_json::Map::new();
    let (said, is) = (said.as_object().unwrap_or(&empty), is.as_object().unwrap_or(&empty));
    let mut columns: Vec<&String> = said.keys().chain(is.keys()).collect();
    columns.sort();
    columns.dedup();
    columns.retain(|column| said.get(*column) != is.get(*column));
    let short = |value: Option<&Value>| match value {
        None => "empty".to_owned(),
        Some(value) => crate::domain::bounded(&value.to_string(), 80),
    };
    let parts = columns.iter().take(5).map(|column| {
        format!(
            "{column} was {}, is {}",
            short(said.get(*column)),
            short(is.get(*column))
        )
    });
    parts.collect::<Vec<_>>().join("; ")
}

fn file(data_dir: &Path, id: &str, row: &Value, name: String, verdict: &mut Verdict) {
    let (Some(digest), Ok(id)) = (row["output_sha256"].as_str(), id.parse::<CommandId>()) else {
        return;
    };
    match output::digest(data_dir, id) {
        Ok((_, found)) if found.as_str() == digest => verdict.outputs += 1,
        Ok((bytes, _)) => {
            let said = &row["output_bytes"];
            verdict.wrong(
                name,
                format!("its output is not what it was: {said} bytes then, {bytes} bytes now"),
            );
        }
        Err(why) => verdict.wrong(name, format!("its output cannot be read: {why}")),
    }
}

/// The digests that sweeps left, against the checkpoints that signed them, and whether their rows are there.
fn seals(reader: &Reader, commands_before: Option<Timestamp>, verdict: &mut Verdict) -> Result<(), ReadError> {
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
        if signed.is_none_or(|statement| statement.sealed != is) {
            verdict.wrong(name, "the digests that it vouches for are not those that it signed");
        }
    }
    let unsigned = reader.read_blocking(|journal| journal.sealing(None))?;
    if unsigned.rows > 0 {
        let text = format!(
            "{} digests vouch for rows, but no checkpoint signed them",
            unsigned.rows
        );
        verdict.wrong("the table sealed".to_owned(), text);
    }
    let mut last = 0;
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
            if !may_be_gone(&what, commands_before) && !reader.read_blocking(|journal| journal.stands(&what))? {
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

/// Stored definitions are named by the digest of their text.
fn texts(reader: &Reader, verdict: &mut Verdict) -> Result<(), ReadError> {
    let mut last = String::new();
    loop {
        let after = last.clone();
        let some: Vec<(String, String)> = reader.read_blocking(|journal| {
            Ok(definitions::table
                .filter(definitions::sha256.gt(&after))
                .order(definitions::sha256.asc())
                .limit(100)
                .select((definitions::sha256, definitions::text))
                .load(&mut journal.conn)?)
        })?;
        let Some((newest, _)) = some.last() else { return Ok(()) };
        last.clone_from(newest);
        for (digest, text) in &some {
            if Digest::of(text.as_bytes()).as_str() != digest {
                verdict.wrong(
                    format!("definition {digest}"),
                    "its text is not the one that this digest names",
                );
            }
        }
    }
}
