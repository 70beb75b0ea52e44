//! What a report is made of: one walk over the commands of its range, one over the events, in batches that no read
//! transaction outlives. Knows rows and counts; how they are said stands in `report_content`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::domain::{Actor, CommandId, CommandStatus, Definition, Digest, Invalid, ReportAsk, Timestamp};
use crate::engine::{Engine, EngineError};
use crate::store::{
    CommandRow, Cursor, EventFilter, EventLine, EventRow, HistoryFilter, HostRow, Journal, PAGE_LIMIT, ReadError,
    Reader,
};

use super::cover::cover;

/// Rows of commands and events that one part prints at most.
pub(super) const ROWS: usize = 10_000;
/// Exceptions, and refusals with log-ins, that a report lists at most; the rest is counted.
const LISTED: usize = 1_000;
/// Different definitions that a report prints at most.
const DEFINITIONS: usize = 200;

/// Everything that a report says, as rows and counts.
pub(super) struct Gathered {
    pub(super) hosts: BTreeMap<i64, HostRow>,
    /// The commands of this part, oldest first.
    pub(super) commands: Vec<CommandRow>,
    /// How many commands of the range stand before them.
    pub(super) commands_before: usize,
    pub(super) totals: Totals,
    pub(super) exceptions: Vec<CommandRow>,
    pub(super) exceptions_total: usize,
    /// The events of this part, oldest first.
    pub(super) events: Vec<EventLine>,
    pub(super) events_before: usize,
    /// Events that the filters let through.
    pub(super) events_total: usize,
    /// Refused attempts and log-ins.
    pub(super) access: Vec<EventLine>,
    pub(super) access_total: usize,
    /// All events of the range, whatever the filters.
    pub(super) first_event: Option<i64>,
    pub(super) last_event: Option<i64>,
    pub(super) range_events: usize,
    /// Events between these that a sweep removed, keeping their hashes.
    pub(super) range_swept: i64,
    pub(super) parts: u32,
    /// The newest event that is known.
    pub(super) covers: i64,
    pub(super) coverage: Vec<Covered>,
    /// Definitions of the commands of this part.
    pub(super) definitions: BTreeMap<Digest, Option<Definition>>,
    pub(super) definitions_left_out: usize,
    /// Definitions of all commands that the filters let through.
    pub(super) known: HashMap<Digest, Option<Definition>>,
    pub(super) oldest: Option<(i64, Timestamp)>,
    pub(super) sweeps: Vec<EventRow>,
}

/// Counts of commands.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) commands: usize,
    pub(super) by_status: BTreeMap<CommandStatus, usize>,
    pub(super) by_op: BTreeMap<String, usize>,
    pub(super) by_host: BTreeMap<String, usize>,
    pub(super) by_actor: BTreeMap<String, usize>,
}

/// A host, and its last success in the range.
pub(super) struct Covered {
    pub(super) host: HostRow,
    /// When it ended, whose it was, and its id.
    pub(super) success: Option<(Timestamp, Actor, String)>,
    /// The newest attempt, where there is no success.
    pub(super) attempt: Option<CommandRow>,
}

/// Which hosts and which of their rows are asked for.
pub(super) struct Wanted<'a> {
    pub(super) ask: &'a ReportAsk,
    hosts: Option<HashSet<i64>>,
    actor: Option<String>,
}

pub(super) async fn gather(engine: &Engine, ask: &ReportAsk) -> Result<Gathered, EngineError> {
    let reader = engine.reader();
    let (hosts, newest, oldest) = reader
        .read(|journal| Ok((journal.all_hosts()?, journal.newest_event()?, journal.oldest_event()?)))
        .await?;
    let covers = ask.up_to.map_or(newest, |up_to| up_to.min(newest));
    let wanted = Wanted::of(ask, &hosts)?;
    let mut found = Gathered {
        hosts: hosts.into_iter().map(|host| (host.id, host)).collect(),
        commands: Vec::new(),
        commands_before: 0,
        totals: Totals::default(),
        exceptions: Vec::new(),
        exceptions_total: 0,
        events: Vec::new(),
        events_before: 0,
        events_total: 0,
        access: Vec::new(),
        access_total: 0,
        first_event: None,
        last_event: None,
        range_events: 0,
        range_swept: 0,
        parts: 1,
        covers,
        coverage: Vec::new(),
        definitions: BTreeMap::new(),
        definitions_left_out: 0,
        known: HashMap::new(),
        oldest,
        sweeps: Vec::new(),
    };
    let ours = walk_commands(reader, &wanted, &mut found).await?;
    walk_events(reader, &wanted, &ours, &mut found).await?;
    if let (Some(first), Some(last)) = (found.first_event, found.last_event) {
        found.range_swept = reader.read(move |journal| journal.swept_between(first, last)).await?;
    }
    let printed = found.totals.commands + if ask.events { found.events_total } else { 0 };
    found.parts = u32::try_from(printed.div_ceil(ROWS).max(1)).unwrap_or(u32::MAX);
    if ask.part > found.parts {
        let problem = format!("{} is too many; this report has {}", ask.part, found.parts);
        return Err(Invalid::new("part", problem).into());
    }
    if let Some(name) = &ask.coverage {
        let is_pipeline = engine.catalog().pipeline(name.as_str()).is_some();
        found.coverage = cover(reader, &wanted, name, is_pipeline, &found).await?;
    }
    if !ask.definitions {
        found.definitions.clear();
    }
    found.sweeps = reader
        .read(|journal| {
            let filter = EventFilter {
                action: Some("sweep".to_owned()),
                ..EventFilter::default()
            };
            Ok(journal.events(&filter, None, 200)?.rows)
        })
        .await?;
    found
        .sweeps
        .retain(|event| event.id <= covers && event.message.starts_with("Removed"));
    Ok(found)
}

impl<'a> Wanted<'a> {
    fn of(ask: &'a ReportAsk, hosts: &[HostRow]) -> Result<Self, Invalid> {
        let named = |host: &&HostRow| ask.host.as_ref().is_none_or(|name| *name == host.hostname);
        if ask.host.is_some() && !hosts.iter().any(|host| named(&host)) {
            return Err(Invalid::new("host", "no host of that name was ever in the fleet"));
        }
        let tagged = |host: &&HostRow| ask.tag.as_ref().is_none_or(|tag| host.tags.contains(tag));
        let some = ask.host.is_some() || ask.tag.is_some();
        Ok(Self {
            ask,
            hosts: some.then(|| hosts.iter().filter(named).filter(tagged).map(|host| host.id).collect()),
            actor: ask.actor.clone(),
        })
    }

    pub(super) fn host(&self, id: Option<i64>) -> bool {
        match (&self.hosts, id) {
            (None, _) => true,
            (Some(hosts), Some(id)) => hosts.contains(&id),
            (Some(_), None) => false,
        }
    }

    fn history(&self) -> HistoryFilter {
        let one = self.hosts.as_ref().filter(|hosts| hosts.len() == 1);
        HistoryFilter {
            host: one.and_then(|hosts| hosts.iter().next().copied()),
            op: self.ask.op.as_ref().map(ToString::to_string),
            status: self.ask.status.into_iter().collect(),
            actor: self.actor.clone(),
            since: Some(self.ask.since),
            until: Some(self.ask.until),
            ..HistoryFilter::default()
        }
    }

    /// Whether an event is one that the filters let through; `ours` are the commands that they let through.
    fn event(&self, event: &EventLine, ours: &HashSet<CommandId>) -> bool {
        let of_ours = event.command_id.is_some_and(|id| ours.contains(&id));
        let by = self
            .actor
            .as_ref()
            .is_none_or(|actor| event.actor.to_string() == *actor);
        let about = match (&self.ask.op, self.ask.status) {
            (None, None) => true,
            (_, Some(_)) => false,
            (Some(op), None) => event
                .action
                .split_once(':')
                .is_some_and(|(_, name)| name == op.as_str()),
        };
        of_ours || (by && about && self.host(event.host_id))
    }
}

/// Walks the commands of the range, oldest first; gives the ids of all that the filters let through.
async fn walk_commands(
    reader: &Reader,
    wanted: &Wanted<'_>,
    found: &mut Gathered,
) -> Result<HashSet<CommandId>, EngineError> {
    let window = window(wanted.ask.part);
    let mut ours = HashSet::new();
    let mut after = CommandId::first_at(Timestamp::from_micros(0));
    loop {
        let filter = wanted.history();
        let page = reader
            .read(move |journal| journal.history(&filter, Some(Cursor::After(after)), PAGE_LIMIT))
            .await?;
        let Some(last) = page.rows.first().map(|row| row.id) else {
            break;
        };
        let new: BTreeSet<Digest> = page.rows.iter().map(|row| row.definition.clone()).collect();
        let new: Vec<Digest> = new
            .into_iter()
            .filter(|digest| !found.known.contains_key(digest))
            .collect();
        if !new.is_empty() {
            found
                .known
                .extend(reader.read(move |journal| definitions(journal, new)).await?);
        }
        for row in page.rows.into_iter().rev().filter(|row| wanted.host(Some(row.host_id))) {
            ours.insert(row.id);
            found.totals.count(&row);
            let definition = found.known.get(&row.definition).and_then(Option::as_ref);
            if is_exception(&row, definition) {
                found.exceptions_total += 1;
                if found.exceptions.len() < LISTED {
                    found.exceptions.push(row.clone());
                }
            }
            let place = found.totals.commands - 1;
            if place < window.start {
                found.commands_before += 1;
            } else if place < window.end {
                if found.definitions.len() < DEFINITIONS {
                    found.definitions.insert(row.definition.clone(), definition.cloned());
                } else if !found.definitions.contains_key(&row.definition) {
                    found.definitions_left_out += 1;
                }
                found.commands.push(row);
            }
        }
        after = last;
    }
    Ok(ours)
}

/// The places of a part among all rows: the commands, and behind them the events.
fn window(part: u32) -> std::ops::Range<usize> {
    let part = usize::try_from(part).unwrap_or(1).max(1);
    (part - 1) * ROWS..part * ROWS
}

fn definitions(journal: &mut Journal, digests: Vec<Digest>) -> Result<Vec<(Digest, Option<Definition>)>, ReadError> {
    let mut read = Vec::with_capacity(digests.len());
    for digest in digests {
        let text = journal.definition(&digest)?;
        read.push((digest, text.and_then(|text| Definition::read(&text).ok())));
    }
    Ok(read)
}

/// What a reader should look at first.
fn is_exception(row: &CommandRow, definition: Option<&Definition>) -> bool {
    let bad = match row.status {
        CommandStatus::Error | CommandStatus::Timeout | CommandStatus::Orphaned | CommandStatus::Blocked => true,
        CommandStatus::Pending
        | CommandStatus::Validating
        | CommandStatus::Executing
        | CommandStatus::Success
        | CommandStatus::Cancelled
        | CommandStatus::Skipped => false,
    };
    bad || row.resolved_by.is_some() || is_unexplained(row, definition)
}

/// A dangerous op without a reason.
pub(super) fn is_unexplained(row: &CommandRow, definition: Option<&Definition>) -> bool {
    let reason = row.reason.as_deref().unwrap_or_default().trim();
    reason.is_empty() && definition.is_some_and(|definition| definition.dangerous)
}

impl Gathered {
    /// The number of a command of this part among all.
    pub(super) fn number(&self, at: usize) -> usize {
        self.commands_before + at + 1
    }

    /// The definition that a command ran with.
    pub(super) fn definition_of(&self, row: &CommandRow) -> Option<&Definition> {
        self.known.get(&row.definition).and_then(Option::as_ref)
    }
}

impl Totals {
    fn count(&mut self, row: &CommandRow) {
        self.commands += 1;
        *self.by_status.entry(row.status).or_default() += 1;
        *self.by_op.entry(row.op.to_string()).or_default() += 1;
        *self.by_host.entry(row.host.clone()).or_default() += 1;
        *self.by_actor.entry(row.actor.to_string()).or_default() += 1;
    }
}

async fn walk_events(
    reader: &Reader,
    wanted: &Wanted<'_>,
    ours: &HashSet<CommandId>,
    found: &mut Gathered,
) -> Result<(), EngineError> {
    let (since, until, covers) = (wanted.ask.since, wanted.ask.until, found.covers);
    let bounds = reader
        .read(move |journal| journal.event_bounds(since, until, covers))
        .await?;
    let Some((low, high)) = bounds else { return Ok(()) };
    let window = window(wanted.ask.part);
    let mut after = low - 1;
    loop {
        let lines = reader.read(move |journal| journal.event_lines(after, high)).await?;
        let Some(last) = lines.last().map(|line| line.id) else {
            return Ok(());
        };
        after = last;
        for line in lines {
            if line.timestamp < since || line.timestamp >= until {
                continue;
            }
            found.first_event.get_or_insert(line.id);
            found.last_event = Some(line.id);
            found.range_events += 1;
            if !wanted.event(&line, ours) {
                continue;
            }
            let is_access = line.action.starts_with("refused") || line.action.starts_with("session:");
            if is_access {
                found.access_total += 1;
                if found.access.len() < LISTED {
                    found.access.push(line.clone());
                }
            }
            let place = found.totals.commands + found.events_total;
            found.events_total += 1;
            if !wanted.ask.events {
                continue;
            }
            if place < window.start {
                found.events_before += 1;
            } else if place < window.end {
                found.events.push(line);
            }
        }
    }
}
