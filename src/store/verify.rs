//! Whether the journal is what was written: the chain over the events, the signed checkpoints, and (in [`rows`]) every
//! final row and every output file against what its events said; in [`report`] a printed report. Reads in small steps and changes nothing, so it works
//! on a copy, and beside a running dashboard.

mod report;
mod rows;
mod shape;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use super::chain::Canonical;
use super::schema::swept_events;
use super::sweep::{Base, Statement};
use super::{Journal, ReadError, Reader};
use crate::domain::{Checkpoint, Link, PublicKey, ReportStamp, Timestamp};

/// Rows of one step.
const STEP: i64 = 1_000;

/// Problems that are told one by one; the rest is counted.
const TOLD: usize = 50;

/// How often it begins anew because a sweep came in between.
const TRIES: usize = 3;

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
    /// Hosts, users and tokens, the same.
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
        let (before, verdict) = once(reader, data_dir, against)?;
        // A sweep in between takes rows away that were still to come.
        if verdict.fits() || newest_sweep(reader)? == before {
            return Ok(verdict);
        }
    }
    once(reader, data_dir, against).map(|(_, verdict)| verdict)
}

fn newest_sweep(reader: &Reader) -> Result<i64, ReadError> {
    let newest = reader.read_blocking(Journal::base_checkpoint)?;
    Ok(newest.map_or(0, |checkpoint| checkpoint.id))
}

fn once(reader: &Reader, data_dir: &Path, against: &Against) -> Result<(i64, Verdict), ReadError> {
    let mut verdict = Verdict::default();
    // SQLite checks a full-text index by what the connection remembers of it, which others may have merged since:
    // fts5's xIntegrity does not look whether that still holds (SQLite 3.53).
    for line in reader.read_afresh(Journal::integrity)? {
        verdict.wrong("the database file".to_owned(), line);
    }
    let sweep = reader.read_blocking(Journal::base_checkpoint)?;
    let began = sweep.as_ref().map_or(0, |checkpoint| checkpoint.id);
    let statement = match &sweep {
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
    hashes(reader, statement.as_ref(), &mut verdict)?;
    let mut walk = Walk::new(reader, statement.as_ref(), against, &mut verdict)?;
    walk.checkpoints()?;
    walk.events()?;
    walk.end()?;
    rows::verify(reader, data_dir, statement.as_ref(), against, &mut verdict)?;
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
    Ok((began, verdict))
}

/// Events of which only the hash is left were taken by sweeps, whose checkpoints say so; no event stands before the log
/// begins.
fn hashes(reader: &Reader, statement: Option<&Statement>, verdict: &mut Verdict) -> Result<(), ReadError> {
    let base = statement.and_then(|statement| statement.base);
    let found = reader.read_blocking(|journal| journal.hashes(base))?;
    if statement.map(|statement| statement.hashes.clone()).unwrap_or_default() != found {
        verdict.wrong(
            "the table swept_events".to_owned(),
            format!(
                "of {} events only the hash is left, and no checkpoint says that a sweep took them; where a sweep was cut \
                 off, the next one signs for it",
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

/// The next row of the chain: there, or only its hash.
struct Next {
    id: i64,
    hash: Link,
    link: Option<Link>,
    row: Option<Canonical>,
}

/// One way through the chain, from where the log begins to its head.
struct Walk<'a> {
    reader: &'a Reader,
    base: Option<Base>,
    /// What a sweep may have taken: commands that settled before.
    commands_before: Option<Timestamp>,
    against: &'a Against,
    verdict: &'a mut Verdict,
    rows: VecDeque<Canonical>,
    hashes: VecDeque<(i64, Link, Link)>,
    /// By the event that they are about.
    stated: BTreeMap<i64, Vec<(String, Checkpoint)>>,
    id: i64,
    link: Link,
    /// Up to where the newest checkpoint that fits reaches.
    proved: i64,
}

impl<'a> Walk<'a> {
    fn new(
        reader: &'a Reader,
        statement: Option<&Statement>,
        against: &'a Against,
        verdict: &'a mut Verdict,
    ) -> Result<Self, ReadError> {
        let base = statement.and_then(|statement| statement.base);
        let (id, link) = base.map_or((0, Link::START), |base| (base.event, base.link));
        Ok(Self {
            reader,
            base,
            commands_before: statement.and_then(|statement| statement.commands_before),
            against,
            verdict,
            rows: VecDeque::new(),
            hashes: VecDeque::new(),
            stated: BTreeMap::new(),
            id,
            link,
            proved: 0,
        })
    }

    /// Signatures and order of the checkpoints; those about events that are there wait for their event.
    fn checkpoints(&mut self) -> Result<(), ReadError> {
        let (mut last, mut event, mut keys) = (0, 0, Vec::new());
        loop {
            let some = self
                .reader
                .read_blocking(|journal| journal.checkpoints_after(last, STEP))?;
            let Some(newest) = some.last() else { break };
            let begin = last;
            last = newest.id;
            for (expected, checkpoint) in (begin + 1..).zip(some) {
                let name = format!("checkpoint {}", checkpoint.id);
                if checkpoint.id != expected && self.verdict.problems.len() < TOLD {
                    self.verdict.wrong(
                        name.clone(),
                        format!("checkpoints before it are missing, from {expected} on"),
                    );
                }
                if checkpoint.event_id < event {
                    self.verdict
                        .wrong(name.clone(), "it covers less than the one before it");
                }
                event = event.max(checkpoint.event_id);
                if !keys.contains(&checkpoint.key) {
                    keys.push(checkpoint.key);
                }
                self.state(name, checkpoint);
            }
        }
        if keys.len() > 1 {
            self.verdict.notes.push(format!(
                "{} keys have signed checkpoints; the log says when they changed",
                keys.len()
            ));
        }
        for checkpoint in &self.against.checkpoints {
            self.outside(checkpoint)?;
        }
        Ok(())
    }

    fn state(&mut self, name: String, checkpoint: Checkpoint) {
        self.verdict.checkpoints += 1;
        if !checkpoint.is_signed() {
            self.verdict.wrong(name, "its signature does not fit what it says");
            return;
        }
        if !self.against.keys.is_empty() && !self.against.keys.contains(&checkpoint.key) {
            let text = format!(
                "it was signed with another key than the given one ({})",
                checkpoint.key.fingerprint()
            );
            self.verdict.wrong(name, text);
            return;
        }
        if self.base.is_none_or(|base| checkpoint.event_id >= base.event) {
            self.stated
                .entry(checkpoint.event_id)
                .or_default()
                .push((name, checkpoint));
        }
    }

    /// A checkpoint that an outside place kept has to be one of the database's, word for word.
    fn outside(&mut self, kept: &Checkpoint) -> Result<(), ReadError> {
        let name = format!("checkpoint {} from outside", kept.id);
        let id = kept.id;
        let same = self
            .reader
            .read_blocking(|journal| journal.checkpoints_after(id - 1, 1))?
            .into_iter()
            .find(|checkpoint| checkpoint.id == id);
        match same {
            Some(same) if same == *kept => {}
            Some(same) if same.dashboard != kept.dashboard => {
                self.verdict
                    .wrong(name.clone(), "it is another dashboard's: compare like with like");
                return Ok(());
            }
            Some(_) => self
                .verdict
                .wrong(name.clone(), "the database has another one under this number"),
            None => {
                let text = format!(
                    "the database does not have it: what it covers up to event {} was cut off, or replaced",
                    kept.event_id
                );
                self.verdict.wrong(name.clone(), text);
            }
        }
        self.state(name, kept.clone());
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Next>, ReadError> {
        if self.rows.is_empty() {
            let id = self.id;
            self.rows = self.reader.read_blocking(|journal| journal.canonical(id, STEP))?.into();
        }
        if self.hashes.is_empty() {
            let id = self.id;
            self.hashes = self
                .reader
                .read_blocking(|journal| journal.hashes_after(id, STEP))?
                .into();
        }
        let row = self.rows.front().map(|row| row.id);
        let hash = self.hashes.front().map(|(id, ..)| *id);
        Ok(match (row, hash) {
            (None, None) => None,
            (Some(row), hash) if hash.is_none_or(|hash| row <= hash) => {
                if hash == Some(row) {
                    self.hashes.pop_front();
                }
                self.rows.pop_front().map(|row| Next {
                    id: row.id,
                    hash: row.row_hash(),
                    link: Link::from_bytes(&row.link).ok(),
                    row: Some(row),
                })
            }
            (_, _) => self.hashes.pop_front().map(|(id, hash, link)| Next {
                id,
                hash,
                link: Some(link),
                row: None,
            }),
        })
    }

    fn events(&mut self) -> Result<(), ReadError> {
        self.compare(); // Those that speak of where the log begins.
        while let Some(next) = self.next()? {
            let name = format!("event {}", next.id);
            let computed = self.link.next(next.hash);
            if next.id != self.id + 1 {
                let missing = match next.id - self.id {
                    2 => format!("event {} is missing before it", self.id + 1),
                    _ => format!("events {} to {} are missing before it", self.id + 1, next.id - 1),
                };
                self.verdict.wrong(name, missing);
                self.link = next.link.unwrap_or(computed);
            } else if next.link != Some(computed) {
                self.verdict
                    .wrong(name, "it is not what was chained here: it, or its link, was changed");
                // From its own link on, what follows is judged for itself.
                self.link = next.link.unwrap_or(computed);
            } else {
                self.link = computed;
            }
            self.id = next.id;
            match &next.row {
                Some(row) => {
                    self.verdict.events += 1;
                    self.verdict.first.get_or_insert(row.id);
                    rows::exists(self.reader, row, self.commands_before, self.verdict)?;
                }
                None => self.verdict.hashes += 1,
            }
            self.compare();
        }
        Ok(())
    }

    /// What checkpoints say of the event where the walk stands.
    fn compare(&mut self) {
        for (name, checkpoint) in self.stated.remove(&self.id).into_iter().flatten() {
            if checkpoint.link == self.link {
                self.proved = self.proved.max(checkpoint.event_id);
                continue;
            }
            let text = format!(
                "made {}, it says that the link of event {} is {}…, but it is {}…: something between event {} and event {} \
                 was changed and chained anew",
                checkpoint.made_at.to_rfc3339(),
                checkpoint.event_id,
                &checkpoint.link.to_string()[..16],
                &self.link.to_string()[..16],
                self.proved + 1,
                checkpoint.event_id,
            );
            self.verdict.wrong(name, text);
        }
    }

    fn end(&mut self) -> Result<(), ReadError> {
        self.verdict.last = self.id;
        self.verdict.link = self.link.to_string();
        for (event, stated) in std::mem::take(&mut self.stated) {
            for (name, checkpoint) in stated {
                let text = if event > self.id {
                    format!(
                        "made {}, it covers event {event}, but the log ends at event {}: its tail was cut off",
                        checkpoint.made_at.to_rfc3339(),
                        self.id
                    )
                } else {
                    format!("it covers event {event}, which is missing")
                };
                self.verdict.wrong(name, text);
            }
        }
        if self.verdict.checkpoints == 0 {
            self.verdict
                .wrong("checkpoints".to_owned(), "there is none: nothing vouches for this log");
        } else if self.id > self.proved && self.verdict.fits() {
            self.verdict.notes.push(format!(
                "Events {} to {} came after the newest checkpoint: no signature covers them yet",
                self.proved + 1,
                self.id
            ));
        }
        let largest = self.reader.read_blocking(Journal::largest_event_ever)?;
        if largest > self.id {
            let text = format!("the log ends here, but there was an event {largest}: its tail was cut off");
            self.verdict.wrong(format!("event {}", self.id), text);
        }
        Ok(())
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

impl Journal {
    /// What SQLite finds wrong with its file: also where an index and its table disagree.
    fn integrity(&mut self) -> Result<Vec<String>, ReadError> {
        let lines: Vec<Line> = diesel::sql_query("SELECT integrity_check AS line FROM pragma_integrity_check LIMIT 10")
            .load(&mut self.conn)?;
        let lines = lines.into_iter().map(|line| line.line);
        Ok(lines.filter(|line| line != "ok").collect())
    }

    /// What sweeps left of events after one: number, hash, link.
    fn hashes_after(&mut self, id: i64, limit: i64) -> Result<Vec<(i64, Link, Link)>, ReadError> {
        Ok(swept_events::table
            .filter(swept_events::id.gt(id))
            .order(swept_events::id.asc())
            .limit(limit)
            .select((swept_events::id, swept_events::row_hash, swept_events::link))
            .load(&mut self.conn)?)
    }

    /// The largest number that SQLite has given to an event.
    fn largest_event_ever(&mut self) -> Result<i64, ReadError> {
        let numbers: Vec<Number> =
            diesel::sql_query("SELECT seq AS n FROM sqlite_sequence WHERE name = 'event_log'").load(&mut self.conn)?;
        Ok(numbers.first().map_or(0, |number| number.n))
    }
}
