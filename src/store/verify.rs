//! Whether the journal is what was written: the chain over the events, the signed checkpoints ([`walk`]), and (in [`rows`]) every
//! final row and every output file against what its events said; in [`archives`] the files of the archive; in [`report`] a printed report. Reads in
//! small steps and changes nothing, so it works on a copy, and beside a running dashboard.

mod archives;
mod others;
mod report;
mod rows;
mod seals;
mod shape;
mod voucher;
mod walk;

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::Serialize;

use super::sweep::{OpenSweep, Statement};
use super::{Journal, ReadError, Reader};
use crate::domain::{Checkpoint, PublicKey, ReportStamp, Timestamp};

use walk::Walk;

/// Rows of one step.
const STEP: i64 = 1_000;

/// Problems that are told one by one; the rest is counted.
const TOLD: usize = 50;

/// How often it begins anew because a sweep began or ended in between.
const TRIES: usize = 6;

/// How often, and how many times at most, it looks whether a sweep under way goes on, and after how many looks without a
/// change it was cut off.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);
const PATIENCE: usize = 300;
const STILL: usize = 10;

const UNREAD: &str = "The files of the archive were not read";

/// What it is verified against, beside itself.
#[derive(Clone, Debug, Default)]
pub struct Against {
    /// Checkpoints that outside places kept.
    pub checkpoints: Vec<Checkpoint>,
    /// The keys that count; none is whatever keys the database names.
    pub keys: Vec<PublicKey>,
    /// Whether output files are read as well.
    pub outputs: bool,
    /// Whether the files of the archive are read as well.
    pub archive: bool,
    /// A printed report, and its content where the page was kept.
    pub report: Option<(ReportStamp, Option<String>)>,
}

/// Something that does not fit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// `event 17`, `command 0192…`, `checkpoint 3`.
    pub what: String,
    /// What is wrong with it, in a sentence without its end.
    pub text: String,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Verdict {
    /// The first event that is there.
    pub first: Option<i64>,
    /// The last event.
    pub last: i64,
    /// Its link.
    pub link: String,
    /// Events that are there.
    pub events: u64,
    /// Events of which a sweep left only the hash.
    pub hashes: u64,
    /// Checkpoints that were compared.
    pub checkpoints: u64,
    /// Final commands that were compared with what events said of them.
    pub commands: u64,
    /// Pipelines, the same.
    pub pipelines: u64,
    /// Hosts, users, tokens, holds, reports and reviews, the same.
    pub others: u64,
    /// Output files that were read.
    pub outputs: u64,
    /// Files of the archive that were read.
    pub archives: u64,
    /// What does not fit, the first ones.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: u64,
    /// What the reader has to know to weigh this.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Whether everything fits.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.problems.is_empty()
    }

    fn wrong(&mut self, what: String, text: impl Into<String>) {
        if self.problems.len() < TOLD {
            self.problems.push(Problem {
                what,
                text: text.into(),
            });
        } else {
            self.more += 1;
        }
    }
}

/// Verifies a journal. Blocks, for some seconds per million rows, those of the archive included.
///
/// # Errors
/// [`ReadError`] where it cannot be read; what does not fit is in the verdict.
pub fn verify(reader: &Reader, data_dir: &Path, against: &Against) -> Result<Verdict, ReadError> {
    let mut verdict = journal(reader, data_dir, against)?;
    if against.archive {
        archives::verify(reader, data_dir, against, &mut verdict)?;
    } else {
        verdict.notes.push(UNREAD.to_owned());
    }
    Ok(verdict)
}

/// All but the archive.
fn journal(reader: &Reader, data_dir: &Path, against: &Against) -> Result<Verdict, ReadError> {
    for _ in 1..TRIES {
        let before = Shortened::now(reader, against)?;
        let verdict = once(reader, data_dir, against, &before)?;
        // A sweep in between takes rows away that were still to come.
        if verdict.fits() || Shortened::now(reader, against)? == before {
            return Ok(verdict);
        }
        calm(reader, against)?;
    }
    once(reader, data_dir, against, &Shortened::now(reader, against)?)
}

/// Waits until a sweep under way has ended: while its pieces come one after the other, nothing fits for long.
fn calm(reader: &Reader, against: &Against) -> Result<(), ReadError> {
    let mut before = Shortened::now(reader, against)?;
    let mut still = 0;
    for _ in 0..PATIENCE {
        if before.open.is_none() || still == STILL {
            return Ok(());
        }
        std::thread::sleep(LOOK);
        let now = Shortened::now(reader, against)?;
        still = if now == before { still + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

/// What retention has done to the journal, and is doing.
#[derive(PartialEq, Eq)]
struct Shortened {
    /// The checkpoint that says where the log begins.
    base: Option<Checkpoint>,
    /// A sweep that is under way, or was cut off.
    open: Option<OpenSweep>,
}

impl Shortened {
    fn now(reader: &Reader, against: &Against) -> Result<Self, ReadError> {
        reader.read_blocking(|journal| {
            Ok(Self {
                base: journal.base_checkpoint()?,
                open: journal.open_sweep(&against.keys)?,
            })
        })
    }
}

/// Up to when rows may be missing.
#[derive(Clone, Copy)]
struct Limits<'a> {
    commands_before: Option<Timestamp>,
    events_before: Option<Timestamp>,
    /// The sweep that is under way, or was cut off: it says which rows it took.
    open: Option<&'a OpenSweep>,
}

impl Limits<'_> {
    /// Whether the sweep under way says that it took this command or pipeline.
    fn is_gone(&self, id: &str) -> bool {
        self.open
            .is_some_and(|open| open.commands.contains(id) || open.pipelines.contains(id))
    }
}

fn once(reader: &Reader, data_dir: &Path, against: &Against, sweeps: &Shortened) -> Result<Verdict, ReadError> {
    let mut verdict = Verdict::default();
    // SQLite checks a full-text index by what the connection remembers of it, which others may have merged since:
    // fts5's xIntegrity does not look whether that still holds (SQLite 3.53).
    for line in reader.read_afresh(Journal::integrity)? {
        verdict.wrong("the database file".to_owned(), line);
    }
    let statement = match &sweeps.base {
        None => None,
        Some(checkpoint) if !checkpoint.is_signed() => {
            verdict.wrong(
                format!("checkpoint {}", checkpoint.id),
                "its signature does not fit, and it says where the log begins",
            );
            None
        }
        Some(checkpoint) => checkpoint
            .details
            .as_deref()
            .and_then(|text| serde_json::from_str::<Statement>(text).ok()),
    };
    let statement = statement.as_ref();
    let open = sweeps.open.as_ref();
    let limits = Limits {
        commands_before: statement.and_then(|statement| statement.commands_before),
        events_before: statement
            .and_then(|statement| statement.events_before)
            .max(open.and_then(|open| open.events_before)),
        open,
    };
    hashes(reader, statement, open, &mut verdict)?;
    others::kinds(reader, &mut verdict)?;
    let mut walk = Walk::new(reader, statement, limits, against, &mut verdict)?;
    walk.checkpoints()?;
    walk.events()?;
    walk.end()?;
    seals::standing(reader, statement, open, &mut verdict)?;
    seals::groups(reader, statement, open, &mut verdict)?;
    seals::tampered(reader, statement, &mut verdict)?;
    seals::verify(reader, limits, &mut verdict)?;
    rows::verify(reader, data_dir, statement, limits, against, &mut verdict)?;
    others::verify(reader, data_dir, against.outputs, open.is_none(), &mut verdict)?;
    shape::verify(reader, &mut verdict)?;
    if let Some((stamp, content)) = &against.report {
        report::verify(reader, stamp, content.as_deref(), &mut verdict)?;
    }
    if against.keys.is_empty() {
        verdict.notes.push(
            "The key was taken from the database itself: give --public-key to know that nobody signed anew".to_owned(),
        );
    }
    if against.checkpoints.is_empty() {
        verdict.notes.push(
            "No checkpoint from an outside place was given (--from-checkpoint): somebody who holds the machine and its \
             key could have written all of it anew"
                .to_owned(),
        );
    }
    Ok(verdict)
}

/// Events of which only the hash is left, and digests, were left by sweeps, which have signed for them; no event stands
/// before the log begins.
fn hashes(
    reader: &Reader,
    statement: Option<&Statement>,
    open: Option<&OpenSweep>,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    let base = statement.and_then(|statement| statement.base);
    if let Some(open) = open {
        verdict.notes.push(format!(
            "A sweep has not ended: it is under way, or was cut off. What it has removed, at event {} for the last time, it has \
             signed piece by piece",
            open.event
        ));
    }
    let stated = statement.cloned().unwrap_or_default();
    for (table, text) in reader.read_blocking(|journal| journal.unsigned(&stated, open))? {
        verdict.wrong(table.to_owned(), text);
    }
    if stated.refused {
        let text = "it refused to sign for hashes or digests that no sweep left";
        verdict.wrong("the newest sweep".to_owned(), text);
    }
    let before = base.map_or(0, |base| base.event);
    let stray = reader
        .read_blocking(Journal::oldest_event)?
        .filter(|(first, _)| *first <= before);
    if let Some((first, _)) = stray {
        verdict.wrong(
            format!("event {first}"),
            format!("it stands before the log begins, which is behind event {before}"),
        );
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Journal {
    /// What SQLite finds wrong with its file: also where an index and its table disagree.
    fn integrity(&mut self) -> Result<Vec<String>, ReadError> {
        let lines: Vec<Line> = diesel::sql_query("SELECT integrity_check AS line FROM pragma_integrity_check LIMIT 10")
            .load(&mut self.conn)?;
        let lines = lines.into_iter().map(|line| line.line);
        Ok(lines.filter(|line| line != "ok").collect())
    }
}
