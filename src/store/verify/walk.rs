//! One way through the chain: every event or what a sweep left of it, and what checkpoints say of the places that it
//! passes.

use std::collections::{BTreeMap, VecDeque};

use diesel::prelude::*;

use super::super::chain::Canonical;
use super::super::schema::{event_log, reports, swept_events, witnesses};
use super::super::sweep::{Base, Statement};
use super::super::{Journal, ReadError, Reader};
use super::{Against, Limits, STEP, TOLD, Verdict, rows};
use crate::domain::{Checkpoint, Digest, Link};

/// The next row of the chain: there, or only its hash.
struct Next {
    id: i64,
    hash: Link,
    link: Option<Link>,
    row: Option<Canonical>,
}

/// One way through the chain, from where the log begins to its head.
pub(super) struct Walk<'a> {
    reader: &'a Reader,
    base: Option<Base>,
    limits: Limits<'a>,
    against: &'a Against,
    verdict: &'a mut Verdict,
    /// What comes next, of one look at both tables.
    next: VecDeque<Next>,
    /// The largest number that an event ever had, from before the first look.
    largest: i64,
    /// The same of checkpoints, by whatever tells of them.
    signed: i64,
    /// By the event that they are about.
    stated: BTreeMap<i64, Vec<(String, Checkpoint)>>,
    id: i64,
    link: Link,
    /// Up to where the newest checkpoint that fits reaches.
    proved: i64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        reader: &'a Reader,
        statement: Option<&Statement>,
        limits: Limits<'a>,
        against: &'a Against,
        verdict: &'a mut Verdict,
    ) -> Result<Self, ReadError> {
        let base = statement.and_then(|statement| statement.base);
        let (id, link) = base.map_or((0, Link::START), |base| (base.event, base.link));
        Ok(Self {
            reader,
            base,
            limits,
            against,
            verdict,
            next: VecDeque::new(),
            largest: reader.read_blocking(|journal| journal.largest_ever("event_log"))?,
            signed: reader.read_blocking(Journal::newest_checkpoint_told)?,
            stated: BTreeMap::new(),
            id,
            link,
            proved: 0,
        })
    }

    /// Signatures and order of the checkpoints; those about events that are there wait for their event.
    pub(super) fn checkpoints(&mut self) -> Result<(), ReadError> {
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
                if !keys.contains(&checkpoint.key) {
                    let before = keys.last().map(|_| event);
                    keys.push(checkpoint.key);
                    self.new_key(before, &name, &checkpoint)?;
                }
                event = event.max(checkpoint.event_id);
                self.state(name, checkpoint);
            }
        }
        if last < self.signed {
            let text = format!(
                "it is the newest, but there was a checkpoint {}: those after it are gone, and with them what they covered",
                self.signed
            );
            self.verdict.wrong(format!("checkpoint {last}"), text);
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

    /// Another key than before signs from this checkpoint on: the dashboard says so in the log when it begins with one.
    fn new_key(&mut self, before: Option<i64>, name: &str, checkpoint: &Checkpoint) -> Result<(), ReadError> {
        let Some(before) = before else { return Ok(()) };
        let gone = self.base.is_some_and(|base| checkpoint.event_id <= base.event);
        let (key, event) = (checkpoint.key.fingerprint(), checkpoint.event_id);
        let told = self
            .reader
            .read_blocking(|journal| journal.tells_of_key(&key, before, event))?;
        if !gone && !told {
            let text = format!("it was signed with another key ({key}) than those before it, and no event says so");
            self.verdict.wrong(name.to_owned(), text);
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
        if self.next.is_empty() {
            let id = self.id;
            self.next = self.reader.read_blocking(|journal| journal.chained_after(id))?;
        }
        Ok(self.next.pop_front())
    }

    pub(super) fn events(&mut self) -> Result<(), ReadError> {
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
                    rows::exists(self.reader, row, self.limits, self.verdict)?;
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

    pub(super) fn end(&mut self) -> Result<(), ReadError> {
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
        if self.largest > self.id {
            let text = format!(
                "the log ends here, but there was an event {}: its tail was cut off",
                self.largest
            );
            self.verdict.wrong(format!("event {}", self.id), text);
        }
        Ok(())
    }
}

impl Journal {
    /// The largest number of a checkpoint that anything tells of: SQLite's counter, a report, a place outside.
    fn newest_checkpoint_told(&mut self) -> Result<i64, ReadError> {
        let reported: Option<i64> = reports::table
            .select(diesel::dsl::max(reports::checkpoint_id))
            .get_result(&mut self.conn)?;
        let witnessed: Option<i64> = witnesses::table
            .select(diesel::dsl::max(witnesses::checkpoint_id))
            .get_result(&mut self.conn)?;
        Ok(self
            .largest_ever("checkpoints")?
            .max(reported.max(witnessed).unwrap_or(0)))
    }

    /// Whether an event in this range says that a key signs from now on, or may have, and was swept.
    fn tells_of_key(&mut self, key: &Digest, after: i64, until: i64) -> Result<bool, ReadError> {
        let told: Option<i64> = event_log::table
            .filter(event_log::action.eq("key"))
            .filter(event_log::id.gt(after))
            .filter(event_log::id.le(until))
            .filter(event_log::message.like(format!("%{key}%")))
            .select(event_log::id)
            .first(&mut self.conn)
            .optional()?;
        let swept: Option<i64> = swept_events::table
            .filter(swept_events::id.gt(after))
            .filter(swept_events::id.le(until))
            .select(swept_events::id)
            .first(&mut self.conn)
            .optional()?;
        Ok(told.is_some() || swept.is_some())
    }

    /// What the chain has after an event, in its order: both tables in one look, for a sweep moves events from one to the
    /// other.
    fn chained_after(&mut self, id: i64) -> Result<VecDeque<Next>, ReadError> {
        let rows = self.canonical(id, STEP)?;
        let hashes = self.hashes_after(id, STEP)?;
        // Where one look does not reach to the end, the other goes no further.
        let full = |len: usize, last: Option<i64>| last.filter(|_| len as i64 == STEP);
        let ends = [
            full(rows.len(), rows.last().map(|row| row.id)),
            full(hashes.len(), hashes.last().map(|(id, ..)| *id)),
        ];
        let until = ends.into_iter().flatten().min().unwrap_or(i64::MAX);
        let mut all = BTreeMap::new();
        for (id, hash, link) in hashes {
            let (link, row) = (Some(link), None);
            all.insert(id, Next { id, hash, link, row });
        }
        for row in rows {
            let next = Next {
                id: row.id,
                hash: row.row_hash(),
                link: Link::from_bytes(&row.link).ok(),
                row: Some(row),
            };
            all.insert(next.id, next);
        }
        Ok(all.into_values().filter(|next| next.id <= until).collect())
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
}
