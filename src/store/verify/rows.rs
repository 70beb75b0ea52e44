//! Final rows and outputs against what the chain says of them.

use std::collections::HashMap;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value;

use super::super::chain::{self, CANONICAL, Canonical};
use super::super::record::{self, Of};
use super::super::schema::{definitions, sealed};
use super::super::sweep::{Statement, TAMPERED};
use super::super::{Journal, ReadError, Reader, output};
use super::{Against, STEP, Verdict};
use crate::domain::{CommandId, Digest, Timestamp};

#[derive(QueryableByName)]
struct Details {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    details: String,
}

/// What vouches for a row.
enum Voucher {
    /// The newest event that carries it whole.
    Event(i64, Value),
    /// An event, or the checkpoint of a sweep, that carries its digest.
    Digest(String, Digest),
}

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

impl Of {
    /// The newest event that carries this row whole.
    const fn event(self) -> &'static str {
        match self {
            Self::Command | Self::Host | Self::User | Self::Token => {
                "SELECT id, details FROM event_log WHERE command_id = ? AND id > ? AND json_extract(details, '$.record') IS NOT NULL \
                 ORDER BY id DESC LIMIT 1"
            }
            Self::Pipeline => {
                "SELECT id, details FROM event_log WHERE pipeline_id = ? AND id > ? AND command_id IS NULL \
                 AND json_extract(details, '$.record') IS NOT NULL ORDER BY id DESC LIMIT 1"
            }
        }
    }
}

/// What the newest event says of a host, user or token, by its place.
type Named = HashMap<String, (i64, Value)>;

/// What events of one pipeline say of rows that it wrote off: event and digest by the command's id.
type WrittenOff = HashMap<String, (i64, Digest)>;

impl Journal {
    /// Some rows in the order of their keys, each with what vouches for it.
    fn vouched(
        &mut self,
        of: Of,
        after: &str,
        named: &Named,
        base: i64,
    ) -> Result<Vec<(String, Value, Option<Voucher>)>, ReadError> {
        let rows = self.records_after(of, after, STEP)?;
        let mut written_off: HashMap<String, WrittenOff> = HashMap::new();
        let mut found = Vec::with_capacity(rows.len());
        for (id, row) in rows {
            let mut voucher = match of {
                Of::Command | Of::Pipeline => self.voucher(of, &id, base)?,
                Of::Host | Of::User | Of::Token => match named.get(&chain::place(of, &id)) {
                    Some((event, said)) => Some(Voucher::Event(*event, said.clone())),
                    None => self.sealed(&chain::place(of, &id))?,
                },
            };
            if let (None, Some(pipeline)) = (&voucher, row["pipeline_id"].as_str()) {
                if !written_off.contains_key(pipeline) {
                    written_off.insert(pipeline.to_owned(), self.written_off(pipeline, base)?);
                }
                let digest = written_off.get(pipeline).and_then(|all| all.get(&id));
                voucher = digest.map(|(event, digest)| Voucher::Digest(format!("event {event}"), digest.clone()));
            }
            found.push((id, row, voucher));
        }
        Ok(found)
    }

    fn voucher(&mut self, of: Of, id: &str, base: i64) -> Result<Option<Voucher>, ReadError> {
        let event: Vec<Details> = diesel::sql_query(of.event())
            .bind::<Text, _>(id)
            .bind::<BigInt, _>(base)
            .load(&mut self.conn)?;
        if let Some(event) = event.into_iter().next() {
            let details: Value = serde_json::from_str(&event.details).unwrap_or_default();
            return Ok(Some(Voucher::Event(event.id, details["record"].clone())));
        }
        self.sealed(id)
    }

    /// Whether any event of the log is about this command or pipeline.
    fn is_spoken_of(&mut self, of: Of, id: &str, base: i64) -> Result<bool, ReadError> {
        let column = match of {
            Of::Pipeline => "pipeline_id",
            Of::Command | Of::Host | Of::User | Of::Token => "command_id",
        };
        let event: Vec<Details> = diesel::sql_query(format!(
            "SELECT id, coalesce(details, '') AS details FROM event_log WHERE {column} = ? AND id > ? LIMIT 1"
        ))
        .bind::<Text, _>(id)
        .bind::<BigInt, _>(base)
        .load(&mut self.conn)?;
        Ok(!event.is_empty())
    }

    /// Whether there is a row at this place.
    fn stands(&mut self, place: &str) -> Result<bool, ReadError> {
        let found = match place.split_once(' ') {
            Some(("host", name)) => self.record(Of::Host, name)?,
            Some(("user", name)) => self.record(Of::User, name)?,
            Some(("token", name)) => self.record(Of::Token, name)?,
            Some(_) => None,
            None => match self.record(Of::Command, place)? {
                None => self.record(Of::Pipeline, place)?,
                found => found,
            },
        };
        Ok(found.is_some())
    }

    /// What a sweep left of what events said of a row.
    fn sealed(&mut self, place: &str) -> Result<Option<Voucher>, ReadError> {
        let sealed: Option<(Digest, Option<i64>)> = sealed::table
            .filter(sealed::what.eq(place))
            .order(sealed::id.desc())
            .select((sealed::digest, sealed::checkpoint_id))
            .first(&mut self.conn)
            .optional()?;
        Ok(sealed.map(|(digest, checkpoint)| {
            let place = match checkpoint {
                Some(id) => format!("checkpoint {id}"),
                None => "the sweep under way".to_owned(),
            };
            Voucher::Digest(place, digest)
        }))
    }

    /// What the newest events say of hosts, users and tokens.
    fn named(&mut self, base: i64) -> Result<Named, ReadError> {
        let mut named = Named::new();
        for range in [
            "action IN ('host:add', 'host:remove')",
            "action >= 'user:' AND action < 'user;'",
            "action >= 'token:' AND action < 'token;'",
        ] {
            let mut last = base;
            loop {
                let some: Vec<Canonical> = diesel::sql_query(format!(
                    "SELECT id, link, {CANONICAL} FROM event_log WHERE {range} AND id > ? ORDER BY id LIMIT ?"
                ))
                .bind::<BigInt, _>(last)
                .bind::<BigInt, _>(STEP)
                .load(&mut self.conn)?;
                let Some(newest) = some.last() else { break };
                last = newest.id;
                for event in &some {
                    let mut details: Value =
                        serde_json::from_str(event.details.as_deref().unwrap_or_default()).unwrap_or_default();
                    if let (Some((of, id)), true) = (event.about(&details), details["record"].is_object()) {
                        named.insert(chain::place(of, &id), (event.id, details["record"].take()));
                    }
                }
            }
        }
        Ok(named)
    }

    fn written_off(&mut self, pipeline: &str, base: i64) -> Result<WrittenOff, ReadError> {
        let events: Vec<Details> = diesel::sql_query(
            "SELECT id, details FROM event_log WHERE pipeline_id = ? AND id > ? AND json_extract(details, '$.records') IS NOT NULL ORDER BY id",
        )
        .bind::<Text, _>(pipeline)
        .bind::<BigInt, _>(base)
        .load(&mut self.conn)?;
        let mut all = HashMap::new();
        for event in events {
            let details: Value = serde_json::from_str(&event.details).unwrap_or_default();
            for (id, digest) in details["records"].as_object().into_iter().flatten() {
                let digest = Digest::from_stored(digest.as_str().unwrap_or_default().to_owned());
                all.insert(id.clone(), (event.id, digest));
            }
        }
        Ok(all)
    }
}
