//! Whether a file of the archive is what its sweep wrote, by itself: each event's link, the digest of all lines, and
//! the checkpoint that signed it.

use std::io;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::super::sweep::Statement;
use super::super::verify::Problem;
use super::read::{Entry, Lines, entries, entry};
use super::{Contents, EventLine, Line, Ranges, files};
use crate::domain::{Checkpoint, Digest, Link, PublicKey, Timestamp};

/// Problems that are told one by one; the rest is counted.
const TOLD: usize = 50;

/// What was found in one file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ArchiveVerdict {
    /// Events.
    pub events: u64,
    /// Commands.
    pub commands: u64,
    /// Pipelines.
    pub pipelines: u64,
    /// The smallest and the largest event.
    pub range: Option<(i64, i64)>,
    /// The checkpoint that signed it, and the fingerprint of its key.
    pub checkpoint: Option<(i64, String)>,
    /// What does not fit, the first ones.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: u64,
}

impl ArchiveVerdict {
    /// Whether everything fits.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.problems.is_empty()
    }

    fn wrong(&mut self, what: impl Into<String>, text: impl Into<String>) {
        if self.problems.len() < TOLD {
            self.problems.push(Problem {
                what: what.into(),
                text: text.into(),
            });
        } else {
            self.more += 1;
        }
    }
}

/// Verifies one file. `keys`: those that count; none is whichever the file names. `kept`: checkpoints that an outside
/// place kept. Blocks.
///
/// # Errors
/// When the file cannot be opened; what does not fit is in the verdict.
pub fn verify_archive(path: &Path, keys: &[PublicKey], kept: &[Checkpoint]) -> io::Result<ArchiveVerdict> {
    Ok(verified(path, keys, kept)?.0)
}

/// The same, of the file of one sweep: the checkpoint at its end has to be this one, word for word.
///
/// # Errors
/// As [`verify_archive`].
pub(in crate::store) fn verify_signed(
    path: &Path,
    keys: &[PublicKey],
    kept: &[Checkpoint],
    by: &Checkpoint,
) -> io::Result<ArchiveVerdict> {
    let (mut verdict, found) = verified(path, keys, kept)?;
    let name = format!("checkpoint {}", by.id);
    match found {
        Some(found) if found.id != by.id => {
            verdict.wrong(
                name,
                format!(
                    "the file ends with checkpoint {} instead: it is another sweep's",
                    found.id
                ),
            );
        }
        Some(found) if *found != *by => verdict.wrong(name, "the journal has another one under this number"),
        Some(_) | None => {}
    }
    Ok(verdict)
}

fn verified(
    path: &Path,
    keys: &[PublicKey],
    kept: &[Checkpoint],
) -> io::Result<(ArchiveVerdict, Option<Box<Checkpoint>>)> {
    let mut verdict = ArchiveVerdict::default();
    let mut walk = Walk::default();
    let mut lines = entries(path)?;
    if let Err(why) = walk.all(&mut lines, &mut verdict) {
        verdict.wrong("the file", format!("it cannot be read to its end: {why}"));
    }
    let Some(checkpoint) = walk.checkpoint.take() else {
        verdict.wrong(
            "the file",
            "it has no checkpoint at its end: its sweep was cut off, or its tail is missing",
        );
        return Ok((verdict, None));
    };
    if files::ranges(path).is_some_and(|said| !said.cover(&walk.ranges)) {
        verdict.wrong(
            "the file",
            "its header says that its rows are of other times than they are: whoever reads a range would pass it over",
        );
    }
    walk.signed(&checkpoint, keys, kept, &mut verdict);
    verdict.checkpoint = Some((checkpoint.id, checkpoint.key.fingerprint().to_string()));
    Ok((verdict, Some(checkpoint)))
}

/// Whether a file that has no end yet begins with all the lines that a sweep signed.
///
/// # Errors
/// When it cannot be opened.
pub(in crate::store) fn begins_as_signed(path: &Path, signed: &Contents) -> io::Result<bool> {
    let mut lines = entries(path)?;
    let mut hash = Sha256::new();
    for _ in 0..signed.lines {
        match lines.raw() {
            Ok(Some(text)) => hash.update(text),
            Ok(None) | Err(_) => return Ok(false),
        }
    }
    Ok(Digest::from_hash(&hash.finalize()) == signed.sha256)
}

/// Whether a file that has no end yet has taken over one that was begun then, and has as many events, commands and
/// pipelines at least, each event as it was chained.
///
/// # Errors
/// When it cannot be opened.
pub(in crate::store) fn carries(path: &Path, began: Option<Timestamp>, rows: [u64; 3]) -> io::Result<bool> {
    let mut verdict = ArchiveVerdict::default();
    let mut walk = Walk::default();
    // It ends where it was cut off.
    let _ = walk.all(&mut entries(path)?, &mut verdict);
    let found = [verdict.events, verdict.commands, verdict.pipelines];
    Ok(verdict.fits()
        && began.is_none_or(|began| walk.took.contains(&began))
        && found.iter().zip(rows).all(|(found, wanted)| *found >= wanted))
}

#[derive(Default)]
struct Walk {
    hash: Sha256,
    lines: u64,
    dashboard: Option<String>,
    last: Option<(i64, Link)>,
    links: Vec<(i64, Link)>,
    checkpoint: Option<Box<Checkpoint>>,
    ranges: Ranges,
    took: Vec<Timestamp>,
}

impl Walk {
    fn all(&mut self, lines: &mut Lines, verdict: &mut ArchiveVerdict) -> io::Result<()> {
        loop {
            let (text, read) = match lines.raw()? {
                None => return Ok(()),
                Some(text) => (text, entry(text)),
            };
            if self.checkpoint.is_some() {
                verdict.wrong("the file", "there is more behind its checkpoint");
                return Ok(());
            }
            let read = match read {
                Ok(Entry::Checkpoint(checkpoint)) => {
                    self.checkpoint = Some(checkpoint);
                    continue;
                }
                Ok(Entry::Line(line)) => Some(line),
                Err(_) => None,
            };
            self.hash.update(text);
            self.lines += 1;
            if let Some(line) = &read {
                self.ranges.add(line);
            }
            match read {
                None => verdict.wrong(format!("line {}", self.lines), "it is no line of an archive"),
                Some(Line::Archive(head)) => {
                    self.dashboard = Some(head.dashboard);
                    self.took = head.took;
                }
                Some(Line::Event(event)) => self.event(&event, verdict),
                Some(Line::Command(_)) => verdict.commands += 1,
                Some(Line::Pipeline(_)) => verdict.pipelines += 1,
                Some(Line::Definition { sha256, text }) => {
                    if Digest::of(text.as_bytes()) != sha256 {
                        verdict.wrong(
                            format!("definition {sha256}"),
                            "its text is not the one that this digest names",
                        );
                    }
                }
            }
        }
    }

    fn event(&mut self, event: &EventLine, verdict: &mut ArchiveVerdict) {
        let name = format!("event {}", event.id);
        verdict.events += 1;
        let (first, last) = verdict.range.unwrap_or((event.id, event.id));
        verdict.range = Some((first.min(event.id), last.max(event.id)));
        let follows = self.last.filter(|(id, _)| id + 1 == event.id).map(|(_, link)| link);
        match event.prev.or(follows) {
            None => verdict.wrong(name, "the link of the event before it is not there"),
            Some(prev) if follows.is_some_and(|link| link != prev) => {
                verdict.wrong(name, "it does not follow from the event before it");
            }
            Some(prev) if prev.next(event.row_hash()) != event.link => {
                verdict.wrong(name, "it is not what was chained here: it, or its link, was changed");
            }
            Some(_) => {}
        }
        self.last = Some((event.id, event.link));
        // The last of each run may be where the log begins, which the checkpoint knows.
        match self.links.last_mut() {
            Some(run) if run.0 + 1 == event.id => *run = (event.id, event.link),
            _ => self.links.push((event.id, event.link)),
        }
    }

    fn signed(self, checkpoint: &Checkpoint, keys: &[PublicKey], kept: &[Checkpoint], verdict: &mut ArchiveVerdict) {
        let name = format!("checkpoint {}", checkpoint.id);
        if !checkpoint.is_signed() {
            verdict.wrong(name, "its signature does not fit what it says");
            return;
        }
        if !keys.is_empty() && !keys.contains(&checkpoint.key) {
            let fingerprint = checkpoint.key.fingerprint();
            verdict.wrong(
                name,
                format!("it was signed with another key than the given one ({fingerprint})"),
            );
            return;
        }
        if self.dashboard.as_ref() != Some(&checkpoint.dashboard) {
            verdict.wrong(name.clone(), "it is another dashboard's than the first line says");
        }
        for outside in kept.iter().filter(|outside| outside.id == checkpoint.id) {
            if outside.dashboard == checkpoint.dashboard && outside != checkpoint {
                verdict.wrong(name.clone(), "an outside place has another one under this number");
            }
        }
        let statement = checkpoint
            .details
            .as_deref()
            .and_then(|text| serde_json::from_str::<Statement>(text).ok());
        let Some(contents) = statement.as_ref().and_then(|statement| statement.archive.as_ref()) else {
            verdict.wrong(name, "it signed no archive");
            return;
        };
        let counted = [verdict.events, verdict.commands, verdict.pipelines];
        if [contents.events, contents.commands, contents.pipelines] != counted || contents.lines != self.lines {
            let text = format!(
                "it signed {} events, {} commands, {} pipelines; the file has {}, {}, {}",
                contents.events, contents.commands, contents.pipelines, counted[0], counted[1], counted[2]
            );
            verdict.wrong(name, text);
        } else if contents.sha256 != Digest::from_hash(&self.hash.finalize()) {
            verdict.wrong(name, "the lines of this file are not those that it signed");
        }
        let base = statement.and_then(|statement| statement.base);
        if let Some(base) = base
            && self
                .links
                .iter()
                .any(|(id, link)| *id == base.event && *link != base.link)
        {
            verdict.wrong(
                format!("event {}", base.event),
                "it has another link than the checkpoint says, from which the log goes on",
            );
        }
    }
}
