//! Final rows and outputs against what the chain says of them.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::prelude::*;
use serde_json::Value;

use super::super::chain::{CHAINED, Canonical};
use super::super::record::{self, Of};
use super::super::schema::{commands, definitions};
use super::super::sweep::{Statement, TAMPERED};
use super::super::{ReadError, Reader, output};
use super::voucher::{Named, Voucher};
use super::{Against, Limits, Verdict};
use crate::domain::{CommandId, Digest, Timestamp};

/// All rows, and all outputs.
pub(super) fn verify(
    reader: &Reader,
    data_dir: &Path,
    statement: Option<&Statement>,
    limits: Limits<'_>,
    against: &Against,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    let base = statement
        .and_then(|statement| statement.base)
        .map_or(0, |base| base.event);
    let outputs = against.outputs && data_dir.join("output").is_dir();
    let mut named = Named::after(base);
    let (mut of_before, mut used) = (0, BTreeSet::new());
    for of in Of::ALL {
        let mut last: Option<String> = None;
        loop {
            let after = last.take();
            let rows = reader.read_blocking(|journal| journal.vouched(of, after.as_deref(), &mut named, base))?;
            let Some((newest, ..)) = rows.last() else { break };
            last = Some(newest.clone());
            for (id, row, voucher) in rows {
                let name = format!("{} {id}", of.word());
                let open = of.is_open(&row);
                match voucher {
                    Some(Voucher::Event(event, _)) if open => {
                        verdict.wrong(
                            name,
                            format!("it stands as not ended, but event {event} says how it ended"),
                        );
                        continue;
                    }
                    Some(Voucher::Event(_, Value::Null)) => {
                        of_before += 1;
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
                        let young = of.has_id() && !is_before(&row, limits.events_before);
                        if young && !reader.read_blocking(|journal| journal.is_spoken_of(of, &id, base))? {
                            verdict.wrong(name, "it is open, but no event says who asked for it");
                        }
                        continue;
                    }
                    None => {
                        let text = match of {
                            Of::Command | Of::Pipeline => "it has ended, but no event says how",
                            Of::Host | Of::User | Of::Token | Of::Hold | Of::Report | Of::Review => {
                                "it is there, but no event says how it came to be"
                            }
                        };
                        verdict.wrong(name, text);
                        continue;
                    }
                }
                match of {
                    Of::Command => verdict.commands += 1,
                    Of::Pipeline => verdict.pipelines += 1,
                    Of::Host | Of::User | Of::Token | Of::Hold | Of::Report | Of::Review => verdict.others += 1,
                }
                if let (Of::Command, Some(definition)) = (of, row["definition"].as_str()) {
                    used.insert(definition.to_owned());
                }
                if of == Of::Command && against.outputs {
                    if !outputs && row["output_bytes"].as_i64().unwrap_or(0) > 0 {
                        let folder = data_dir.join("output").display().to_string();
                        verdict.wrong(
                            folder,
                            "there is no such folder; leave the outputs out with --no-outputs",
                        );
                        return texts(reader, used, verdict);
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
    if of_before > 0 {
        verdict.notes.push(format!(
            "{of_before} holds, reports and reviews are older than the version whose events carry them whole: those events \
             were not compared"
        ));
    }
    texts(reader, used, verdict)
}

/// Whether a row that an event speaks of is there, or may be missing.
pub(super) fn exists(
    reader: &Reader,
    event: &Canonical,
    limits: Limits<'_>,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    let details = event.details.as_deref().unwrap_or_default();
    if event.action == TAMPERED {
        verdict.wrong(
            format!("event {}", event.id),
            "the dashboard itself found that somebody changed its database",
        );
    }
    if event.action == CHAINED {
        verdict.notes.push(format!(
            "Event {} says that what came before it was chained as it was found then: nothing vouches for it from before. \
             That is right once, after an upgrade from a version without a chain",
            event.id
        ));
    }
    if !details.contains("\"record") {
        return Ok(());
    }
    let Ok(all) = serde_json::from_str::<Value>(details) else {
        return Ok(());
    };
    let may_be_swept = is_before_text(&event.at_text, limits.commands_before);
    for id in all["records"].as_object().into_iter().flat_map(serde_json::Map::keys) {
        if !may_be_swept && !limits.is_gone(id) && !reader.read_blocking(|journal| journal.has_row(Of::Command, id))? {
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
    let swept = matches!(of, Of::Command | Of::Pipeline)
        && (limits.is_gone(&id) || is_before(&all["record"], limits.commands_before));
    if swept || reader.read_blocking(|journal| journal.has_row(of, &id))? {
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
    let Ok(id) = id.parse::<CommandId>() else { return };
    let Some(digest) = row["output_sha256"].as_str() else {
        // One that was given up may have left what had come by then; one that was refused never had any.
        let refused = matches!(row["status"].as_str(), Some("BLOCKED" | "SKIPPED"));
        if refused && output::length(data_dir, id).is_ok_and(|bytes| bytes > 0) {
            verdict.wrong(name, "it never ran, but there is a file with its output");
        }
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

/// Stored definitions are named by the digest of their text, and those that commands used are there.
fn texts(reader: &Reader, used: BTreeSet<String>, verdict: &mut Verdict) -> Result<(), ReadError> {
    let mut used = used;
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
        let Some((newest, _)) = some.last() else { break };
        last.clone_from(newest);
        for (digest, text) in &some {
            used.remove(digest);
            if Digest::of(text.as_bytes()).as_str() != digest {
                verdict.wrong(
                    format!("definition {digest}"),
                    "its text is not the one that this digest names",
                );
            }
        }
    }
    for digest in used {
        // A sweep may have taken the last command that used it, and then the definition.
        let (name, still) = (Digest::from_stored(digest.clone()), reader);
        let command: Option<CommandId> = still.read_blocking(|journal| {
            Ok(commands::table
                .filter(commands::definition.eq(&name))
                .select(commands::id)
                .limit(1)
                .get_result(&mut journal.conn)
                .optional()?)
        })?;
        if let Some(command) = command {
            let text = format!("command {command} used it, but it is gone, and no sweep took it");
            verdict.wrong(format!("definition {digest}"), text);
        }
    }
    Ok(())
}
