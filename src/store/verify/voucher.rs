//! What vouches for a row: the newest event that carries it, or the digest that a sweep left of such an event.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value;

use super::super::chain::{self, CANONICAL, Canonical};
use super::super::record::{self, Of};
use super::super::schema::sealed;
use super::super::{Journal, ReadError};
use super::STEP;
use crate::domain::Digest;

#[derive(QueryableByName)]
struct Details {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    details: String,
}

/// What vouches for a row.
pub(super) enum Voucher {
    /// The newest event that carries it whole.
    Event(i64, Value),
    /// An event, or the checkpoint of a sweep, that carries its digest.
    Digest(String, Digest),
}

impl Of {
    /// The newest event that carries this row whole.
    const fn event(self) -> &'static str {
        match self {
            Self::Command | Self::Host | Self::User | Self::Token | Self::Hold | Self::Report | Self::Review => {
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

/// What the newest events say of hosts, users and tokens, by their places, up to an event.
pub(super) struct Named {
    up_to: i64,
    by_place: HashMap<String, (i64, Value)>,
}

impl Named {
    /// Nothing yet, of a log that begins behind an event.
    pub(super) fn after(base: i64) -> Self {
        Self {
            up_to: base,
            by_place: HashMap::new(),
        }
    }
}

/// What events of one pipeline say of rows that it wrote off: event and digest by the command's id.
type WrittenOff = HashMap<String, (i64, Digest)>;

impl Journal {
    /// Some rows in the order of their keys, each with what vouches for it.
    pub(super) fn vouched(
        &mut self,
        of: Of,
        after: Option<&str>,
        named: &mut Named,
        base: i64,
    ) -> Result<Vec<(String, Value, Option<Voucher>)>, ReadError> {
        if !of.has_id() {
            self.catch_up(named)?;
        }
        let rows = self.records_after(of, after, STEP)?;
        self.vouch(of, rows, &named.by_place, base)
    }

    fn vouch(
        &mut self,
        of: Of,
        rows: Vec<(String, Value)>,
        by_place: &HashMap<String, (i64, Value)>,
        base: i64,
    ) -> Result<Vec<(String, Value, Option<Voucher>)>, ReadError> {
        let mut written_off: HashMap<String, WrittenOff> = HashMap::new();
        let mut found = Vec::with_capacity(rows.len());
        for (id, row) in rows {
            let mut voucher = match of {
                Of::Command | Of::Pipeline => self.voucher(of, &id, base)?,
                Of::Host | Of::User | Of::Token | Of::Hold | Of::Report | Of::Review => {
                    let place = chain::place(of, &id);
                    let said = by_place.get(&place);
                    self.newer(said.map(|(event, said)| (*event, said.clone())), &place)?
                }
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

    /// Of these commands or pipelines, which have ended, those that are not what was said of them.
    pub(in crate::store) fn unlike(&mut self, of: Of, ids: &[impl ToString]) -> Result<BTreeSet<String>, ReadError> {
        let base = self.newest_statement()?.and_then(|statement| statement.base);
        let rows = self.records_of(of, ids)?;
        let vouched = self.vouch(of, rows, &HashMap::new(), base.map_or(0, |base| base.event))?;
        let other = vouched.into_iter().filter(|(_, row, voucher)| match voucher {
            Some(Voucher::Event(_, said)) => said != row,
            Some(Voucher::Digest(_, digest)) => *digest != record::digest(row),
            None => true,
        });
        Ok(other.map(|(id, ..)| id).collect())
    }

    fn voucher(&mut self, of: Of, id: &str, base: i64) -> Result<Option<Voucher>, ReadError> {
        let event: Vec<Details> = diesel::sql_query(of.event())
            .bind::<Text, _>(id)
            .bind::<BigInt, _>(base)
            .load(&mut self.conn)?;
        let said = event.into_iter().next().map(|event| {
            let mut details: Value = serde_json::from_str(&event.details).unwrap_or_default();
            (event.id, details["record"].take())
        });
        self.newer(said, id)
    }

    /// The newer one of the newest event that stands, and of what sweeps left of events that are gone: where older events
    /// are kept, the newest may be gone.
    fn newer(&mut self, said: Option<(i64, Value)>, place: &str) -> Result<Option<Voucher>, ReadError> {
        let sealed = self.sealed(place)?;
        Ok(match (said, sealed) {
            (Some((event, _)), Some((Some(of), voucher))) if of > event => Some(voucher),
            (Some((event, said)), _) => Some(Voucher::Event(event, said)),
            (None, sealed) => sealed.map(|(_, voucher)| voucher),
        })
    }

    /// Whether any event of the log is about this command or pipeline.
    pub(super) fn is_spoken_of(&mut self, of: Of, id: &str, base: i64) -> Result<bool, ReadError> {
        let column = match of {
            Of::Pipeline => "pipeline_id",
            Of::Command | Of::Host | Of::User | Of::Token | Of::Hold | Of::Report | Of::Review => "command_id",
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
    pub(super) fn stands(&mut self, place: &str) -> Result<bool, ReadError> {
        let Some((word, name)) = place.split_once(' ') else {
            return Ok(self.has_row(Of::Command, place)? || self.has_row(Of::Pipeline, place)?);
        };
        match Of::ALL.into_iter().find(|of| !of.has_id() && of.word() == word) {
            Some(of) => self.has_row(of, name),
            None => Ok(false),
        }
    }

    /// What sweeps left of the newest event that said something of a row, with that event's number where it is known.
    fn sealed(&mut self, place: &str) -> Result<Option<(Option<i64>, Voucher)>, ReadError> {
        let sealed: Option<(Digest, Option<i64>, Option<i64>)> = sealed::table
            .filter(sealed::what.eq(place))
            .order((sealed::event_id.desc(), sealed::id.desc()))
            .select((sealed::digest, sealed::checkpoint_id, sealed::event_id))
            .first(&mut self.conn)
            .optional()?;
        Ok(sealed.map(|(digest, checkpoint, event)| {
            let place = match checkpoint {
                Some(id) => format!("checkpoint {id}"),
                None => "the sweep under way".to_owned(),
            };
            (event, Voucher::Digest(place, digest))
        }))
    }

    /// Up to the newest event, so that rows of the same look are in it.
    fn catch_up(&mut self, named: &mut Named) -> Result<(), ReadError> {
        let newest = self.head()?.event_id;
        for range in [
            "action IN ('host:add', 'host:remove')",
            "action >= 'user:' AND action < 'user;'",
            "action >= 'token:' AND action < 'token;'",
            "action >= 'hold:' AND action < 'hold;'",
            "action IN ('report', 'report:review')",
        ] {
            let mut last = named.up_to;
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
                    let Some((of, id)) = event.about(&details) else {
                        continue;
                    };
                    let record = details["record"].take();
                    // Those of holds, reports and reviews did not always carry one: then it is null.
                    if record.is_object() || matches!(of, Of::Hold | Of::Report | Of::Review) {
                        named.by_place.insert(chain::place(of, &id), (event.id, record));
                    }
                }
            }
        }
        named.up_to = newest;
        Ok(())
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
