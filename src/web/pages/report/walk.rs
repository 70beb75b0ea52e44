//! The two readings of a report's range: the census, which counts and finds the places of a part, and the walk, which
//! takes the rows.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::domain::{CommandId, Digest, PipelineId};
use crate::store::{CommandRow, EventLine, EventSpan, ReadError, Whole};

use super::flows::is_order;
use super::gather::{Gathered, Place, ROWS, Wanted, is_exception};

/// Exceptions, and refusals with log-ins, that a report lists at most; the rest is counted.
const LISTED: usize = 1_000;

/// What a first reading counted.
pub(super) struct Census {
    pub(super) commands: usize,
    pub(super) events: usize,
    /// Rows of commands and events that the part has to have.
    pub(super) expected: (usize, usize),
    /// The definitions of the commands.
    pub(super) digests: HashSet<Digest>,
    /// The commands that the filters let through.
    ours: HashSet<CommandId>,
    /// The first ones of the part.
    first_command: Option<CommandId>,
    first_event: Option<i64>,
    /// No command above this is part of it.
    newest: Option<CommandId>,
    /// Events of the range that are above the newest one that the report knows.
    pub(super) left_out: usize,
}

/// The places of a part among all rows: the commands, and behind them the events.
fn window(part: u32) -> Range<usize> {
    let part = usize::try_from(part).unwrap_or(1).max(1);
    (part - 1) * ROWS..part * ROWS
}

fn commands(place: Place<'_>, wanted: &Wanted<'_>) -> Result<Whole<CommandRow>, ReadError> {
    Whole::begin(place.reader, place.data_dir, wanted.history())
}

fn events(place: Place<'_>, wanted: &Wanted<'_>, covers: i64) -> Result<Whole<EventLine>, ReadError> {
    let span = EventSpan {
        since: wanted.ask.since,
        until: wanted.ask.until,
        up_to: covers,
    };
    Whole::begin(place.reader, place.data_dir, span)
}

impl Census {
    /// `covers` is the newest event that the report knows, `newest` the newest there is.
    pub(super) fn take(place: Place<'_>, wanted: &Wanted<'_>, covers: i64, newest: i64) -> Result<Self, ReadError> {
        let window = window(wanted.ask.part);
        let (mut ids, mut digests) = (Vec::new(), HashSet::new());
        let mut walk = commands(place, wanted)?;
        while let Some(row) = walk.next(place.reader)? {
            if wanted.host(Some(row.host_id)) {
                ids.push(row.id);
                if !digests.contains(&row.definition) {
                    digests.insert(row.definition);
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let ours: HashSet<CommandId> = ids.iter().copied().collect();
        let mut numbers = Vec::new();
        // What is left out is counted too: it is expected, and has to be told.
        let (mut left_out, mut above) = (0, 0);
        let mut walk = events(place, wanted, newest)?;
        while let Some(line) = walk.next(place.reader)? {
            let is_above = line.id > covers;
            left_out += usize::from(is_above);
            if wanted.event(&line, &ours) {
                above += usize::from(is_above);
                numbers.push(line.id);
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        // Behind the commands.
        let behind = window.start.saturating_sub(ids.len())..window.end.saturating_sub(ids.len());
        let within = |count: usize, places: &Range<usize>| count.clamp(places.start, places.end) - places.start;
        Ok(Self {
            commands: ids.len(),
            events: numbers.len() - above,
            expected: (
                within(ids.len(), &window),
                if wanted.ask.events {
                    within(numbers.len(), &behind)
                } else {
                    0
                },
            ),
            digests,
            first_command: ids.get(window.start).copied(),
            first_event: numbers.get(behind.start).copied(),
            left_out,
            newest: ids.last().copied(),
            ours,
        })
    }
}

/// The oldest rows of all that were shown to it, however they came.
struct Oldest<K, V> {
    most: usize,
    rows: BTreeMap<K, V>,
}

impl<K: Ord, V> Oldest<K, V> {
    const fn of(most: usize) -> Self {
        Self {
            most,
            rows: BTreeMap::new(),
        }
    }

    fn add(&mut self, key: K, row: V) {
        self.rows.insert(key, row);
        if self.rows.len() > self.most {
            self.rows.pop_last();
        }
    }

    fn rows(self) -> Vec<V> {
        self.rows.into_values().collect()
    }
}

/// Takes the commands; gives the pipelines that they are of.
pub(super) fn walk_commands(
    place: Place<'_>,
    wanted: &Wanted<'_>,
    census: &Census,
    found: &mut Gathered,
) -> Result<HashSet<PipelineId>, ReadError> {
    let mut pipelines = HashSet::new();
    let (mut part, mut exceptions) = (Oldest::of(ROWS), Oldest::of(LISTED));
    let mut walk = commands(place, wanted)?;
    while let Some(row) = walk.next(place.reader)? {
        // One that was asked for since the census is of the next report.
        if !wanted.host(Some(row.host_id)) || Some(row.id) > census.newest {
            continue;
        }
        found.totals.count(&row);
        pipelines.extend(row.pipeline_id);
        if is_exception(&row, found.definition_of(&row)) {
            found.exceptions_total += 1;
            exceptions.add(row.id, row.clone());
        }
        match census.first_command {
            Some(first) if row.id >= first => part.add(row.id, row),
            Some(_) | None => found.commands_before += 1,
        }
    }
    found.commands = part.rows();
    found.exceptions = exceptions.rows();
    found.archived.1 = walk.archived();
    if found.archived.1 > 0 {
        found.archives.extend(walk.files());
    }
    found.lacking.extend(walk.broken().iter().cloned());
    Ok(pipelines)
}

pub(super) fn walk_events(
    place: Place<'_>,
    wanted: &Wanted<'_>,
    census: &Census,
    found: &mut Gathered,
) -> Result<(), ReadError> {
    let room = (window(wanted.ask.part).end.saturating_sub(census.commands)).min(ROWS);
    let (mut part, mut access, mut desk) = (Oldest::of(room), Oldest::of(LISTED), Oldest::of(LISTED));
    let mut walk = events(place, wanted, found.covers)?;
    while let Some(line) = walk.next(place.reader)? {
        found.first_event = Some(found.first_event.map_or(line.id, |first| first.min(line.id)));
        found.last_event = found.last_event.max(Some(line.id));
        found.range_events += 1;
        if !wanted.event(&line, &census.ours) {
            continue;
        }
        found.events_total += 1;
        if line.action.starts_with("refused") || line.action.starts_with("session:") {
            found.access_total += 1;
            access.add(line.id, line.clone());
        } else if !found.flows.order(&line) && is_administration(&line) {
            found.desk_total += 1;
            desk.add(line.id, line.clone());
        }
        if !wanted.ask.events {
            continue;
        }
        match census.first_event {
            Some(first) if line.id >= first => part.add(line.id, line),
            Some(_) | None => found.events_before += 1,
        }
    }
    found.events = part.rows();
    found.access = access.rows();
    found.desk = desk.rows();
    found.archived.0 = walk.archived();
    if found.archived.0 > 0 {
        found.archives.extend(walk.files());
    }
    found.lacking.extend(walk.broken().iter().cloned());
    Ok(())
}

/// Changes of who may do what, of the fleet and of the journal itself; and orders to pipelines of other ranges.
fn is_administration(line: &EventLine) -> bool {
    const KINDS: [&str; 6] = ["user", "token", "hold", "settings", "config", "certificate"];
    const WORDS: [&str; 9] = [
        "host:add",
        "host:reach",
        "host:remove",
        "host:key",
        "tampered",
        "restored",
        "chained",
        "unkeep",
        "keep",
    ];
    let action = line.action.as_str();
    let kind = action.split(':').next().unwrap_or_default();
    KINDS.contains(&kind) || WORDS.contains(&action) || (line.command_id.is_none() && is_order(action))
}
