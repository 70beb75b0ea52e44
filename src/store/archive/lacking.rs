//! What of a range is neither in the tables nor to be had from the archive: sweeps without an archive, files that are
//! past their time, that are missing, or that are not what the checkpoint of their sweep signed.
//!
//! A sweep's checkpoint states what it removed, and names (by its number) and signs its file. It does not say from when
//! on its rows were, only up to when, so what is missing may be said of a range that lies further back, and is never
//! left unsaid.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::schema::checkpoints;
use super::super::sweep::Statement;
use super::super::{Journal, ReadError, Reader};
use super::files::{self, ArchiveFile};
use super::read::{Entry, Range, entries, entry};
use crate::domain::{Digest, ExportOf, Timestamp};

/// Checkpoints that are read at once.
const STEP: i64 = 500;

/// Something that is lacking.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Lack {
    /// What, in a sentence without its full stop; times in it are in UTC.
    pub text: String,
    /// It should be there; else retention, as it was configured, took it.
    pub damage: bool,
}

/// A sweep that removed rows, as its checkpoint has it.
struct Sweep {
    checkpoint: i64,
    made_at: Timestamp,
    statement: Statement,
}

impl Journal {
    /// The sweeps behind a checkpoint, in their order.
    fn sweeps_after(&mut self, checkpoint: i64) -> Result<(Vec<Sweep>, Option<i64>), ReadError> {
        let rows: Vec<(i64, Timestamp, String, Option<String>)> = checkpoints::table
            .filter(checkpoints::id.gt(checkpoint))
            .order(checkpoints::id.asc())
            .limit(STEP)
            .select((
                checkpoints::id,
                checkpoints::made_at,
                checkpoints::kind,
                checkpoints::details,
            ))
            .load(&mut self.conn)?;
        let last = rows.last().map(|row| row.0);
        let mut sweeps = Vec::new();
        for (checkpoint, made_at, kind, details) in rows {
            if let Some(details) = details.filter(|_| kind == "sweep") {
                let statement = serde_json::from_str(&details).map_err(|why| ReadError::Row(why.to_string()))?;
                sweeps.push(Sweep {
                    checkpoint,
                    made_at,
                    statement,
                });
            }
        }
        Ok((sweeps, last))
    }
}

/// What a range of these rows lacks. Reads the files of that range to their ends. Blocks.
///
/// # Errors
/// When the journal or the folder cannot be read.
pub fn lacking(reader: &Reader, data_dir: &Path, of: &[ExportOf], range: Range) -> Result<Vec<Lack>, ReadError> {
    let mut sweeps = Vec::new();
    let expired = reader.read_blocking(Journal::last_cutoffs)?;
    let expired = expired.and_then(|last| last.cutoffs.archive);
    let last = sweeps_behind(reader, 0, &mut sweeps)?;
    // Files after sweeps: what a sweep stated is in a file by then, be it not whole yet.
    let (mut there, mut found) = (There::list(data_dir)?, Found::default());
    let mut next = sweeps.iter().skip(1);
    for sweep in &sweeps {
        let next = next.next();
        let file = there.whole.remove(&sweep.checkpoint);
        if !sweep.concerns(of, range) {
            continue;
        }
        match (file, &sweep.statement.archive) {
            (Some(file), Some(signed)) if may_have(&file, of, range) => {
                if let Err(why) = sound(&file, &signed.sha256, sweep.checkpoint) {
                    found.damage(format!("The archive file {} cannot be relied on: {why}", file.name));
                }
            }
            (Some(_), Some(_)) => {}
            (Some(file), None) => found.strange(&file.name),
            (None, None) => found.unarchived.add(sweep),
            (None, Some(_)) if next.is_some_and(|next| next.took_over(sweep)) || there.is_cut_off(sweep) => {}
            (None, Some(_)) if expired.is_some_and(|before| sweep.made_at < before) => found.expired.add(sweep),
            (None, Some(_)) => {
                let anew = There::list(data_dir)?;
                if !anew.whole.contains_key(&sweep.checkpoint) && !anew.is_cut_off(sweep) {
                    found.missing(sweep);
                }
            }
        }
    }
    let mut later = Vec::new();
    sweeps_behind(reader, last, &mut later)?;
    for file in there.whole.values() {
        let is_later = later.iter().any(|sweep| Some(sweep.checkpoint) == number_of(file));
        if !is_later {
            found.strange(&file.name);
        }
    }
    for name in &there.strange {
        found.strange(name);
    }
    Ok(found.all())
}

/// Adds the sweeps behind a checkpoint; the newest checkpoint there is.
fn sweeps_behind(reader: &Reader, mut checkpoint: i64, sweeps: &mut Vec<Sweep>) -> Result<i64, ReadError> {
    while let (some, Some(last)) = reader.read_blocking(|journal| journal.sweeps_after(checkpoint))? {
        sweeps.extend(some);
        checkpoint = last;
    }
    Ok(checkpoint)
}

/// The files of the archive by the checkpoints that their names say.
struct There {
    whole: HashMap<i64, ArchiveFile>,
    parts: Vec<ArchiveFile>,
    strange: Vec<String>,
}

impl There {
    fn list(data_dir: &Path) -> Result<Self, ReadError> {
        let list = files::list(data_dir).map_err(|why| ReadError::Row(format!("the archive: {why}")))?;
        let (whole, parts): (Vec<_>, Vec<_>) = list.into_iter().partition(|file| file.whole);
        let mut there = Self {
            whole: HashMap::new(),
            parts,
            strange: Vec::new(),
        };
        for file in whole {
            match number_of(&file) {
                Some(number) if !there.whole.contains_key(&number) => {
                    there.whole.insert(number, file);
                }
                Some(_) | None => there.strange.push(file.name),
            }
        }
        Ok(there)
    }

    /// Whether what a sweep wrote may still be on its way to its name.
    fn is_cut_off(&self, sweep: &Sweep) -> bool {
        self.parts.iter().any(|part| part.made_at <= sweep.made_at)
    }
}

fn number_of(file: &ArchiveFile) -> Option<i64> {
    let name = file.name.strip_suffix(files::WHOLE)?;
    name.rsplit_once("-sweep-")?.1.parse().ok()
}

/// Whether a file may have rows of a range; one that does not say may.
fn may_have(file: &ArchiveFile, of: &[ExportOf], range: Range) -> bool {
    let Some(ranges) = files::ranges(&file.path) else {
        return true;
    };
    of.iter().any(|of| match of {
        ExportOf::Events => range.may_be_in(ranges.event) || range.may_be_in(ranges.audit),
        ExportOf::Commands => range.may_be_in(ranges.command),
        ExportOf::Pipelines => range.may_be_in(ranges.pipeline),
    })
}

/// Whether the lines of a file are those that its sweep signed.
fn sound(file: &ArchiveFile, signed: &Digest, checkpoint: i64) -> Result<(), String> {
    let unread = |why: io::Error| format!("it cannot be read to its end ({why})");
    let mut lines = entries(&file.path).map_err(unread)?;
    let mut hash = Sha256::new();
    let mut last: Option<Vec<u8>> = None;
    while let Some(text) = lines.raw().map_err(unread)? {
        // The last line is the checkpoint, which the digest is not of.
        if let Some(before) = &mut last {
            hash.update(&*before);
            before.clear();
            before.extend_from_slice(text);
        } else {
            last = Some(text.to_vec());
        }
    }
    match last.map(|text| entry(&text)) {
        Some(Ok(Entry::Checkpoint(found))) if found.id == checkpoint => {}
        Some(_) | None => return Err(format!("it does not end with checkpoint {checkpoint}")),
    }
    if Digest::from_hash(&hash.finalize()) == *signed {
        Ok(())
    } else {
        Err(format!("its lines are not those that checkpoint {checkpoint} signed"))
    }
}

impl Sweep {
    fn count(&self, what: &str) -> u64 {
        self.statement.removed[what].as_u64().unwrap_or(0)
    }

    /// What is, or should be, in its file; without one, what it removed.
    fn counts(&self) -> [u64; 3] {
        match &self.statement.archive {
            Some(signed) => [signed.events, signed.commands, signed.pipelines],
            None => ["events", "commands", "pipelines"].map(|what| self.count(what)),
        }
    }

    /// Whether the file of this sweep has what the one before had written and did not bring to its end.
    fn took_over(&self, before: &Self) -> bool {
        let own = ["events", "commands", "pipelines"].map(|what| self.count(what));
        let carried = self
            .counts()
            .into_iter()
            .zip(own)
            .map(|(all, own)| all.saturating_sub(own));
        carried.zip(before.counts()).all(|(carried, wanted)| carried >= wanted)
    }

    /// Whether it may have removed such rows of the range.
    fn concerns(&self, of: &[ExportOf], range: Range) -> bool {
        let [events, commands, pipelines] = self.counts();
        let time = |name: &str| -> Option<Timestamp> {
            let value: &Value = &self.statement.removed[name];
            value.as_str().and_then(|text| text.parse().ok())
        };
        of.iter().any(|of| {
            let (rows, before) = match of {
                ExportOf::Events => (events, time("events_before").max(time("audit_before"))),
                ExportOf::Commands => (commands, time("commands_before")),
                ExportOf::Pipelines => (pipelines, time("commands_before")),
            };
            rows > 0
                && range
                    .since
                    .is_none_or(|since| before.is_none_or(|before| since < before))
        })
    }
}

/// Many sweeps of which the same is to be said.
#[derive(Default)]
struct Group {
    sweeps: u64,
    rows: [u64; 3],
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Group {
    fn add(&mut self, sweep: &Sweep) {
        self.sweeps += 1;
        for (all, more) in self.rows.iter_mut().zip(sweep.counts()) {
            *all += more;
        }
        self.first.get_or_insert(sweep.made_at);
        self.last = Some(sweep.made_at);
    }

    fn lack(&self, what: &str) -> Option<Lack> {
        let (first, last) = (clock(self.first?), clock(self.last?));
        let when = if self.sweeps == 1 {
            format!("the sweep of {first} UTC")
        } else {
            format!("{} sweeps from {first} UTC to {last} UTC", self.sweeps)
        };
        Some(Lack {
            text: format!("{} of {when} {what}", said(self.rows)),
            damage: false,
        })
    }
}

#[derive(Default)]
struct Found {
    unarchived: Group,
    expired: Group,
    damaged: Vec<Lack>,
}

impl Found {
    fn damage(&mut self, text: String) {
        self.damaged.push(Lack { text, damage: true });
    }

    fn missing(&mut self, sweep: &Sweep) {
        self.damage(format!(
            "The archive file of the sweep of {} UTC (checkpoint {}) is missing; it had {}",
            clock(sweep.made_at),
            sweep.checkpoint,
            said(sweep.counts())
        ));
    }

    fn strange(&mut self, name: &str) {
        self.damage(format!(
            "The archive file {name} is of no sweep that this journal knows"
        ));
    }

    fn all(self) -> Vec<Lack> {
        let mut all = self.damaged;
        all.extend(
            self.expired
                .lack("are not kept any more: their archive files are past their time"),
        );
        all.extend(self.unarchived.lack("were removed without an archive"));
        all
    }
}

fn said([events, commands, pipelines]: [u64; 3]) -> String {
    format!("{events} events, {commands} commands, {pipelines} pipelines")
}

fn clock(at: Timestamp) -> String {
    at.to_string().chars().take(19).collect()
}
