//! Whether the journal is what was written: the chain over the events, the signed checkpoints ([`walk`]), and (in [`rows`]) every
//! final row and every output file against what its events said; in [`report`] a printed report. Reads in small steps and changes nothing, so it works
//! on a copy, and beside a running dashboard.

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

/// What it is verified against, beside itself.
#[derive(Clone, Debug, Default)]
pub struct Against {
    /// Checkpoints that outside places kept.
    pub checkpoints: Vec<Checkpoint>,
    /// The keys that count; none is whatever keys the database names.
    pub keys: Vec<PublicKey>,
    /// Whether output files are read as well.
    pub outputs: bool,
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

/// Verifies a journal. Blocks, for some seconds per million rows.
///
/// # Errors
/// [`ReadError`] where it cannot be read; what does not fit is in the verdict.
pub fn verify(reader: &Reader, data_dir: &Path, against: &Against) -> Result<Verdict, ReadError> {
    for _ in 1..TRIES {
        let before = Shortened::now(reader)?;
        let verdict = once(reader, data_dir, against, &before)?;
        // A sweep in between takes rows away that were still to come.
        if verdict.fits() || Shortened::now(reader)? == before {
            return Ok(verdict);
        }
    }
    once(reader, data_dir, against, &Shortened::now(reader)?)
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
    fn now(reader: &Reader) -> Result<Self, ReadError> {
        reader.read_blocking(|journal| {
            Ok(Self {
                base: journal.base_checkpoint()?,
                open: journal.open_sweep()?,
            })
        })
    }
}

/// Up to when rows may be missing.
#[derive(Clone, Copy)]
struct Limits {
    commands_before: Option<Timestamp>,
    events_before: Option<Timestamp>,
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
        commands_before: statement
            .and_then(|statement| statement.commands_before)
            .max(open.and_then(|open| open.commands_before)),
        events_before: statement
            .and_then(|statement| statement.events_before)
            .max(open.and_then(|open| open.events_before)),
    };
    hashes(reader, statement, open, &mut verdict)?;
    others::kinds(reader, &mut verdict)?;
    let mut walk = Walk::new(reader, statement, limits, against, &mut verdict)?;
    walk.checkpoints()?;
    walk.events()?;
    walk.end()?;
    // What a sweep under way has taken is signed when it ends.
    if open.is_none() {
        seals::unsigned(reader, &mut verdict)?;
        seals::standing(reader, statement, &mut verdict)?;
    }
    seals::verify(reader, limits.commands_before, &mut verdict)?;
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

/// Events of which only the hash is left were taken by sweeps, whose checkpoints say so; no event stands before the log
/// begins.
fn hashes(
    reader: &Reader,
    statement: Option<&Statement>,
    open: Option<&OpenSweep>,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    let base = statement.and_then(|statement| statement.base);
    let found = reader.read_blocking(|journal| journal.hashes(base))?;
    if let Some(open) = open {
        verdict.notes.push(format!(
            "A sweep began at event {} and has not ended: what it has removed is signed for when it ends (where it was cut \
             off, by the next one); verify again then",
            open.event
        ));
    } else if statement.map(|statement| statement.hashes.clone()).unwrap_or_default() != found {
        verdict.wrong(
            "the table swept_events".to_owned(),
            format!(
                "of {} events only the hash is left, and no checkpoint says that a sweep took them",
                found.rows
            ),
        );
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
