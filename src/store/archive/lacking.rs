//! What of a range is neither in the tables nor to be had from the archive: sweeps without an archive, files that are
//! past their time, that are missing, or that are not what the checkpoint of their sweep signed.
//!
//! A sweep's checkpoint states what it removed, and names (by its number) and signs its file. It does not say from when
//! on its rows were, only up to when, so what is missing may be said of a range that lies further back, and is never
//! left unsaid.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::{ReadError, Reader};
use super::files::{self, ArchiveFile};
use super::read::{Entry, Range, entries, entry};
use super::stated::{Known, Place, Sweep};
use crate::domain::{Digest, ExportOf, Timestamp};

/// Something that is lacking.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Lack {
    /// What, in a sentence without its full stop; times in it are in UTC.
    pub text: String,
    /// It should be there; else retention, as it was configured, took it.
    pub damage: bool,
}

/// What a range of these rows lacks. Reads the files of that range to their ends. Blocks.
///
/// # Errors
/// When the journal or the folder cannot be read.
pub fn lacking(reader: &Reader, data_dir: &Path, of: &[ExportOf], range: Range) -> Result<Vec<Lack>, ReadError> {
    let (mut known, mut found) = (Known::now(reader, data_dir)?, Found::default());
    if let Some(checkpoint) = known.unread.first() {
        let text = format!("what checkpoint {checkpoint} states cannot be read");
        return Err(ReadError::Row(text));
    }
    let mut doubtful = Vec::new();
    for (at, sweep) in known.sweeps.iter().enumerate() {
        if !sweep.concerns(of, range) {
            continue;
        }
        match known.place(at) {
            Place::Whole(file, signed) if may_have(file, of, range) => {
                if let Err(why) = sound(file, &signed.sha256, sweep.checkpoint) {
                    found.damage(format!("The archive file {} cannot be relied on: {why}", file.name));
                }
            }
            Place::Whole(..) | Place::TakenOver => {}
            Place::Unarchived => found.unarchived.add(sweep),
            Place::Expired => found.expired.add(sweep),
            Place::Unended(_) | Place::Missing => doubtful.push(sweep.checkpoint),
        }
    }
    if !doubtful.is_empty() {
        // It may have come to its name, or been taken over, between the looks at both.
        let anew = Known::now(reader, data_dir)?;
        for (at, sweep) in anew.sweeps.iter().enumerate() {
            match anew.place(at) {
                _ if !doubtful.contains(&sweep.checkpoint) => {}
                Place::Unended(signed) if anew.part_of(sweep, signed).is_some() => {}
                Place::Unended(_) | Place::Missing => found.missing(sweep),
                Place::Expired => found.expired.add(sweep),
                Place::Unarchived | Place::Whole(..) | Place::TakenOver => {}
            }
        }
    }
    for name in known.strange(reader)? {
        found.strange(&name);
    }
    Ok(found.all())
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
    /// Whether it may have removed such rows of the range.
    fn concerns(&self, of: &[ExportOf], range: Range) -> bool {
        let [events, commands, pipelines] = self.counts();
        let time = |name: &str| -> Option<Timestamp> {
            let value: &Value = &self.removed[name];
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
    /// The names of the first and the last file.
    files: Option<(String, String)>,
}

impl Group {
    fn add(&mut self, sweep: &Sweep) {
        self.sweeps += 1;
        for (all, more) in self.rows.iter_mut().zip(sweep.counts()) {
            *all += more;
        }
        self.first.get_or_insert(sweep.made_at);
        self.last = Some(sweep.made_at);
        if sweep.archive.is_some() {
            let name = sweep.name();
            let (_, last) = self.files.get_or_insert_with(|| (name.clone(), String::new()));
            *last = name;
        }
    }

    fn lack(&self, what: &str) -> Option<Lack> {
        let (first, last) = (clock(self.first?), clock(self.last?));
        let when = if self.sweeps == 1 {
            format!("the sweep of {first} UTC")
        } else {
            format!("{} sweeps from {first} UTC to {last} UTC", self.sweeps)
        };
        let files = match &self.files {
            None => String::new(),
            Some((first, last)) if first == last => format!(": {first}"),
            Some((first, last)) => format!(": {first} to {last}"),
        };
        Some(Lack {
            text: format!("{} of {when} {what}{files}", said(self.rows)),
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
        let (at, had) = (clock(sweep.made_at), said(sweep.counts()));
        self.damaged.push(Lack::missing(sweep, &at, &had));
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
