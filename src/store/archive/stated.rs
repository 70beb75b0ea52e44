//! What sweeps stated of the archive, and where the files are of which they spoke.
//!
//! The file of a sweep is named by when it was begun and by the number of the sweep's checkpoint, and that checkpoint
//! has signed its lines. It may have another name for a while, where the dashboard was killed between the two: the next
//! sweep takes over what such a file has, and its own checkpoint says so.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use diesel::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::super::schema::checkpoints;
use super::super::{Journal, ReadError, Reader};
use super::files::{self, ArchiveFile};
use super::verify::{begins_as_signed, carries};
use super::{Contents, Lack};
use crate::domain::{Span, Timestamp};

/// Checkpoints that are read at once.
const STEP: i64 = 500;

/// Statements of older versions do not say when their file was begun, by which its age counts: no sweep took longer.
const LONGEST: Span = Span::from_secs(3_600);

/// A sweep that removed rows, as its checkpoint has it.
pub(in crate::store) struct Sweep {
    /// The number of its checkpoint.
    pub(in crate::store) checkpoint: i64,
    pub(super) made_at: Timestamp,
    /// What it stated of its file; none where it kept no archive.
    pub(in crate::store) archive: Option<Contents>,
    /// Counts, and cut-offs.
    pub(super) removed: Value,
}

/// Of a statement what concerns the archive.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Stated {
    archive: Option<Contents>,
    removed: Value,
}

/// The sweeps of a journal, and the files of its archive: some hundred bytes for each.
pub(in crate::store) struct Known {
    /// All sweeps, in their order.
    pub(in crate::store) sweeps: Vec<Sweep>,
    /// Checkpoints whose statement cannot be read.
    pub(in crate::store) unread: Vec<i64>,
    /// The newest checkpoint.
    last: i64,
    whole: HashMap<i64, Vec<ArchiveFile>>,
    /// What sweeps left that were cut off, or are under way.
    pub(in crate::store) parts: Vec<ArchiveFile>,
    nameless: Vec<String>,
    gone_before: Option<Timestamp>,
}

/// Where the file of a sweep is.
pub(in crate::store) enum Place<'a> {
    /// Nowhere: it kept no archive.
    Unarchived,
    /// Under its name.
    Whole(&'a ArchiveFile, &'a Contents),
    /// The next sweep has taken it over.
    TakenOver,
    /// It may be among [`Known::parts`]: this is the newest sweep.
    Unended(&'a Contents),
    /// Retention has removed it.
    Expired,
    /// It should be there.
    Missing,
}

impl Known {
    /// What there is now. Blocks.
    ///
    /// # Errors
    /// When the journal or the folder cannot be read.
    pub(in crate::store) fn now(reader: &Reader, data_dir: &Path) -> Result<Self, ReadError> {
        let mut known = Self {
            sweeps: Vec::new(),
            unread: Vec::new(),
            last: 0,
            whole: HashMap::new(),
            parts: Vec::new(),
            nameless: Vec::new(),
            gone_before: None,
        };
        known.read(reader)?;
        // Files after sweeps: what a sweep stated is in a file by then. The time last: it is said before a file goes.
        for file in files::list(data_dir).map_err(|why| ReadError::Row(format!("the archive: {why}")))? {
            match number_of(&file) {
                _ if !file.whole => known.parts.push(file),
                Some(number) => known.whole.entry(number).or_default().push(file),
                None => known.nameless.push(file.name),
            }
        }
        known.gone_before = reader.read_blocking(Journal::archive_gone_before)?;
        Ok(known)
    }

    /// Reads the sweeps behind the last checkpoint that it knows.
    fn read(&mut self, reader: &Reader) -> Result<(), ReadError> {
        loop {
            let last = self.last;
            let rows = reader.read_blocking(|journal| journal.statements_after(last))?;
            let Some((newest, ..)) = rows.last() else { return Ok(()) };
            self.last = *newest;
            for (checkpoint, made_at, kind, details) in rows {
                let Some(details) = details.filter(|_| kind == "sweep") else {
                    continue;
                };
                match serde_json::from_str::<Stated>(&details) {
                    Ok(Stated { archive, removed }) => self.sweeps.push(Sweep {
                        checkpoint,
                        made_at,
                        archive,
                        removed,
                    }),
                    Err(_) => self.unread.push(checkpoint),
                }
            }
        }
    }

    /// Where the file of a sweep is, by its place among [`Known::sweeps`].
    pub(in crate::store) fn place(&self, at: usize) -> Place<'_> {
        let sweep = &self.sweeps[at];
        let Some(signed) = &sweep.archive else {
            return Place::Unarchived;
        };
        match (self.file_of(sweep), self.sweeps.get(at + 1)) {
            (Some(file), _) => Place::Whole(file, signed),
            (None, Some(next)) if next.took_over(sweep) => Place::TakenOver,
            (None, _) if self.gone_before.is_some_and(|before| sweep.began() < before) => Place::Expired,
            (None, None) => Place::Unended(signed),
            (None, Some(_)) => Place::Missing,
        }
    }

    /// The file under the name of a sweep. An older version did not state all of that name: the newest from before it.
    fn file_of(&self, sweep: &Sweep) -> Option<&ArchiveFile> {
        let signed = sweep.archive.as_ref()?;
        let mut files = self.whole.get(&sweep.checkpoint)?.iter().rev();
        match signed.began {
            Some(began) => files.find(|file| file.made_at == began),
            None => files.find(|file| file.made_at <= sweep.made_at),
        }
    }

    /// The unended file that has what the newest sweep signed, and whether all of it was compared with that: once the
    /// next sweep has taken it over, only that it is enough. Blocks.
    pub(in crate::store) fn part_of(&self, sweep: &Sweep, signed: &Contents) -> Option<(&ArchiveFile, bool)> {
        let has = |part: &&ArchiveFile| begins_as_signed(&part.path, signed).unwrap_or(false);
        if let Some(part) = self.parts.iter().find(has) {
            return Some((part, true));
        }
        let has = |part: &&ArchiveFile| carries(&part.path, signed.began, sweep.removed()).unwrap_or(false);
        self.parts.iter().find(has).map(|part| (part, false))
    }

    /// The names of files that are of no sweep. Blocks.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(in crate::store) fn strange(&mut self, reader: &Reader) -> Result<Vec<String>, ReadError> {
        // A sweep may have ended between the looks at both.
        self.read(reader)?;
        let ours: HashSet<&str> = self
            .sweeps
            .iter()
            .filter_map(|sweep| Some(self.file_of(sweep)?.name.as_str()))
            .collect();
        let whole = self.whole.values().flatten().map(|file| &file.name);
        let mut strange: Vec<String> = whole.filter(|name| !ours.contains(name.as_str())).cloned().collect();
        strange.extend(self.nameless.iter().cloned());
        strange.sort_unstable();
        Ok(strange)
    }
}

fn number_of(file: &ArchiveFile) -> Option<i64> {
    let name = file.name.strip_suffix(files::WHOLE)?;
    name.rsplit_once("-sweep-")?.1.parse().ok()
}

impl Sweep {
    /// How its file is called, as far as it stated that.
    pub(in crate::store) fn name(&self) -> String {
        match self.archive.as_ref().and_then(|signed| signed.began) {
            Some(began) => files::name(began, self.checkpoint),
            None => format!("…-sweep-{}{}", self.checkpoint, files::WHOLE),
        }
    }

    fn began(&self) -> Timestamp {
        let stated = self.archive.as_ref().and_then(|signed| signed.began);
        stated.unwrap_or_else(|| self.made_at.minus(LONGEST))
    }

    /// Events, commands and pipelines that it removed.
    pub(in crate::store) fn removed(&self) -> [u64; 3] {
        ["events", "commands", "pipelines"].map(|what| self.removed[what].as_u64().unwrap_or(0))
    }

    /// What is, or should be, in its file; without one, what it removed.
    pub(in crate::store) fn counts(&self) -> [u64; 3] {
        match &self.archive {
            Some(signed) => [signed.events, signed.commands, signed.pipelines],
            None => self.removed(),
        }
    }

    /// Whether the file of this sweep has what the one before had written and did not bring to its end. Older versions
    /// do not say; there it has to have enough.
    fn took_over(&self, before: &Self) -> bool {
        let Some(signed) = &self.archive else { return false };
        if let (Some(_), Some(began)) = (signed.began, before.archive.as_ref().and_then(|file| file.began)) {
            return signed.took.contains(&began);
        }
        let carried = self.counts().into_iter().zip(self.removed());
        let mut enough = carried.zip(before.removed());
        enough.all(|((all, own), wanted)| all.saturating_sub(own) >= wanted)
    }
}

impl Lack {
    /// A file that should be there.
    pub(super) fn missing(sweep: &Sweep, at: &str, had: &str) -> Self {
        Self {
            text: format!(
                "The archive file {} is missing; the sweep of {at} UTC (checkpoint {}) wrote it, and it had {had}",
                sweep.name(),
                sweep.checkpoint,
            ),
            damage: true,
        }
    }
}

type Row = (i64, Timestamp, String, Option<String>);

impl Journal {
    /// Checkpoints behind one, with what they state.
    fn statements_after(&mut self, checkpoint: i64) -> Result<Vec<Row>, ReadError> {
        Ok(checkpoints::table
            .filter(checkpoints::id.gt(checkpoint))
            .order(checkpoints::id.asc())
            .limit(STEP)
            .select((
                checkpoints::id,
                checkpoints::made_at,
                checkpoints::kind,
                checkpoints::details,
            ))
            .load(&mut self.conn)?)
    }

    /// Whether a sweep wrote a file of the archive that retention has not removed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn any_archive(&mut self) -> Result<bool, ReadError> {
        let gone = self.archive_gone_before()?;
        let mut last = 0;
        loop {
            let rows = self.statements_after(last)?;
            let Some((newest, ..)) = rows.last() else {
                return Ok(false);
            };
            last = *newest;
            let kept = rows.iter().any(|(_, at, kind, details)| {
                let details = details.as_deref().filter(|_| kind == "sweep");
                let stated = details.and_then(|text| serde_json::from_str::<Stated>(text).ok());
                let archive = stated.and_then(|stated| stated.archive);
                archive.is_some_and(|file| gone.is_none_or(|gone| file.began.unwrap_or(*at) >= gone))
            });
            if kept {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_micros(hour * 3_600_000_000)
    }

    /// A sweep that removed so many events, with so many in its file.
    fn sweep(checkpoint: i64, removed: u64, events: u64, began: Option<Timestamp>, took: &[Timestamp]) -> Sweep {
        Sweep {
            checkpoint,
            made_at: at(checkpoint * 10),
            archive: Some(Contents {
                lines: events + 1,
                sha256: Digest::of(b""),
                events,
                commands: 0,
                pipelines: 0,
                began,
                took: took.to_vec(),
            }),
            removed: serde_json::json!({ "events": removed }),
        }
    }

    fn known(sweeps: Vec<Sweep>, gone_before: Option<Timestamp>) -> Known {
        Known {
            sweeps,
            unread: Vec::new(),
            last: 0,
            whole: HashMap::new(),
            parts: Vec::new(),
            nameless: Vec::new(),
            gone_before,
        }
    }

    #[test]
    fn a_sweep_says_what_it_took_over_and_one_of_an_older_version_has_to_have_enough() {
        let takes = |next: Sweep, began| {
            let known = known(vec![sweep(1, 7, 7, began, &[]), next], None);
            matches!(known.place(0), Place::TakenOver)
        };
        assert!(takes(sweep(2, 5, 12, Some(at(19)), &[at(9)]), Some(at(9))));
        assert!(
            !takes(sweep(2, 5, 12, Some(at(19)), &[at(8)]), Some(at(9))),
            "of another"
        );
        assert!(takes(sweep(2, 5, 12, None, &[]), Some(at(9))));
        assert!(takes(sweep(2, 5, 12, None, &[]), None));
        assert!(!takes(sweep(2, 5, 11, None, &[]), None));
    }

    #[test]
    fn the_age_of_a_file_counts_from_when_it_was_begun() {
        let place = |began, gone| {
            let known = known(vec![sweep(1, 7, 7, began, &[]), sweep(2, 1, 1, None, &[])], Some(gone));
            matches!(known.place(0), Place::Expired)
        };
        // Its checkpoint is of hour 10.
        assert!(!place(Some(at(10)), at(10)));
        assert!(place(Some(at(8)), at(9)));
        let a_little_later = Timestamp::from_micros(9 * 3_600_000_000 + 1);
        assert!(place(None, a_little_later), "an older version does not say when");
        assert!(!place(None, at(9)));
    }

    #[test]
    fn the_file_of_an_older_version_is_the_newest_of_its_number_from_before_it() {
        let file = |hour| ArchiveFile {
            path: files::name(at(hour), 1).into(),
            name: files::name(at(hour), 1),
            made_at: at(hour),
            bytes: 1,
            whole: true,
        };
        let name = |began| {
            let mut known = known(vec![sweep(1, 7, 7, began, &[])], None);
            known.whole.insert(1, vec![file(3), file(9), file(11)]);
            match known.place(0) {
                Place::Whole(file, _) => Some(file.made_at),
                Place::Unarchived | Place::TakenOver | Place::Unended(_) | Place::Expired | Place::Missing => None,
            }
        };
        assert_eq!(name(None), Some(at(9)));
        assert_eq!(name(Some(at(3))), Some(at(3)));
        assert_eq!(name(Some(at(4))), None);
    }
}
