//! What a report is made of: the rows of its range, from the tables and from the archive. They are read twice: first
//! they are counted, and the places of this part found among them; then they are taken. What was counted is what has to
//! be printed. Knows rows and counts; how they are said stands in `content`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use crate::domain::{Actor, CommandId, CommandStatus, Definition, Digest, ExportOf, Invalid, ReportAsk, Timestamp};
use crate::engine::{Engine, EngineError};
use crate::store::archive::{self, Range};
use crate::store::{CommandRow, EventLine, HistoryFilter, HostRow, Reader};

use super::super::host::never_a_host;
use super::cover::cover;
use super::flows::Flows;
use super::held::Held;
use super::known::is_pipeline;
use super::walk::{Census, walk_commands, walk_events};

/// Rows of commands and events that one part prints at most.
pub(super) const ROWS: usize = 10_000;
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
    /// Changes of users, tokens, the fleet, holds, the journal itself.
    pub(super) desk: Vec<EventLine>,
    pub(super) desk_total: usize,
    pub(super) flows: Flows,
    /// All events of the range, whatever the filters.
    pub(super) first_event: Option<i64>,
    pub(super) last_event: Option<i64>,
    pub(super) range_events: usize,
    /// How many of these, and of the commands, came from the archive.
    pub(super) archived: (u64, u64),
    /// The names of the files that these stand in.
    pub(super) archives: BTreeSet<String>,
    /// What of the range is neither in the tables nor to be had from the archive; times in UTC.
    pub(super) lacking: Vec<String>,
    /// Commands and events that this part has to have, as another reading counted them.
    pub(super) expected: (usize, usize),
    pub(super) parts: u32,
    /// The newest event that is known.
    pub(super) covers: i64,
    /// Events of the range above that.
    pub(super) left_out: usize,
    pub(super) coverage: Vec<Covered>,
    /// Definitions of the commands of this part.
    pub(super) definitions: BTreeMap<Digest, Option<Definition>>,
    pub(super) definitions_left_out: usize,
    /// Definitions of all commands that the filters let through.
    pub(super) known: HashMap<Digest, Option<Definition>>,
    pub(super) held: Held,
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

/// Where rows are read.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) reader: &'a Reader,
    pub(super) data_dir: &'a Path,
}

/// So often rows are read anew that changed between the two readings.
const TRIES: usize = 3;

pub(super) async fn gather(engine: &Engine, ask: &ReportAsk) -> Result<Gathered, EngineError> {
    let (reader, data_dir, ask) = (engine.reader().clone(), engine.data_dir().to_owned(), ask.clone());
    let asked_of = engine.clone();
    let work = move || {
        let is_pipeline = ask
            .coverage
            .as_ref()
            .map(|name| is_pipeline(name, &asked_of))
            .transpose()?;
        let is_pipeline = is_pipeline.unwrap_or_default();
        let place = Place {
            reader: &reader,
            data_dir: &data_dir,
        };
        gather_at(place, &ask, is_pipeline)
    };
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.map_err(|gone| EngineError::from(crate::store::ReadError::Database(gone.to_string())))?
}

fn gather_at(place: Place<'_>, ask: &ReportAsk, is_pipeline: bool) -> Result<Gathered, EngineError> {
    let (hosts, newest) = place
        .reader
        .read_blocking(|journal| Ok((journal.all_hosts()?, journal.newest_event()?)))?;
    let covers = ask.up_to.map_or(newest, |up_to| up_to.min(newest));
    let wanted = Wanted::of(ask, &hosts)?;
    let hosts: BTreeMap<i64, HostRow> = hosts.into_iter().map(|host| (host.id, host)).collect();
    let mut tries = 0;
    let mut found = loop {
        let census = Census::take(place, &wanted, covers, newest)?;
        let mut found = Gathered::none(hosts.clone(), covers, &census);
        found.known = definitions(place, &census.digests, ask.since)?;
        let pipelines = walk_commands(place, &wanted, &census, &mut found)?;
        found.flows = Flows::take(place, &wanted, &pipelines, &mut found)?;
        walk_events(place, &wanted, &census, &mut found)?;
        tries += 1;
        // A command that has ended meanwhile may fit where it did not, or the other way round.
        let counted = (census.commands, census.events);
        if counted == (found.totals.commands, found.events_total) || tries == TRIES {
            break found;
        }
    };
    let printed = found.totals.commands + if ask.events { found.events_total } else { 0 };
    found.parts = u32::try_from(printed.div_ceil(ROWS).max(1)).unwrap_or(u32::MAX);
    if ask.part > found.parts {
        let problem = format!("{} is too many; this report has {}", ask.part, found.parts);
        return Err(Invalid::new("part", problem).into());
    }
    if let Some(name) = &ask.coverage {
        found.coverage = cover(place, &wanted, name, is_pipeline, &mut found)?;
    }
    if ask.definitions {
        found.define();
    }
    found.held = Held::in_range(place.reader, &wanted)?;
    let range = Range {
        since: Some(ask.since),
        until: Some(ask.until),
    };
    let lacking = archive::lacking(place.reader, place.data_dir, ExportOf::ALL, range)?;
    let damage = lacking.iter().any(|lack| lack.damage);
    let lacking = lacking.into_iter().map(|lack| lack.text);
    // What the files say of themselves is the same once more, unless it came about meanwhile.
    let broken = std::mem::take(&mut found.lacking);
    found.lacking = lacking.chain(broken.into_iter().filter(|_| !damage)).collect();
    Ok(found)
}

/// The definitions of these digests: of the table, else of the archive.
fn definitions(
    place: Place<'_>,
    digests: &HashSet<Digest>,
    since: Timestamp,
) -> Result<HashMap<Digest, Option<Definition>>, EngineError> {
    let mut known = HashMap::new();
    let mut missing = HashSet::new();
    for digest in digests {
        match place.reader.read_blocking(|journal| journal.definition(digest))? {
            Some(text) => {
                known.insert(digest.clone(), Definition::read(&text).ok());
            }
            None => {
                missing.insert(digest.clone());
            }
        }
    }
    if missing.is_empty() {
        return Ok(known);
    }
    let read = archive::definitions(place.data_dir, &missing, since);
    let mut read = read.map_err(|why| crate::store::ReadError::Row(format!("the archive: {why}")))?;
    for digest in missing {
        let text = read.remove(&digest);
        known.insert(digest, text.and_then(|text| Definition::read(&text).ok()));
    }
    Ok(known)
}

impl<'a> Wanted<'a> {
    fn of(ask: &'a ReportAsk, hosts: &[HostRow]) -> Result<Self, Invalid> {
        let named = |host: &&HostRow| ask.host.as_ref().is_none_or(|name| *name == host.hostname);
        if ask.host.is_some() && !hosts.iter().any(|host| named(&host)) {
            return Err(never_a_host());
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

    pub(super) fn history(&self) -> HistoryFilter {
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
    pub(super) fn event(&self, event: &EventLine, ours: &HashSet<CommandId>) -> bool {
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

/// What a reader should look at first.
pub(super) fn is_exception(row: &CommandRow, definition: Option<&Definition>) -> bool {
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
    /// Nothing so far, and what has to be found.
    fn none(hosts: BTreeMap<i64, HostRow>, covers: i64, census: &Census) -> Self {
        Self {
            hosts,
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
            desk: Vec::new(),
            desk_total: 0,
            flows: Flows::default(),
            first_event: None,
            last_event: None,
            range_events: 0,
            archived: (0, 0),
            archives: BTreeSet::new(),
            lacking: Vec::new(),
            expected: census.expected,
            parts: 1,
            covers,
            left_out: census.left_out,
            coverage: Vec::new(),
            definitions: BTreeMap::new(),
            definitions_left_out: 0,
            known: HashMap::new(),
            held: Held::default(),
        }
    }

    /// Takes up the definitions of this part's commands.
    fn define(&mut self) {
        let mut left_out = HashSet::new();
        for row in &self.commands {
            if self.definitions.len() < DEFINITIONS || self.definitions.contains_key(&row.definition) {
                let definition = self.known.get(&row.definition).cloned().flatten();
                self.definitions.insert(row.definition.clone(), definition);
            } else {
                left_out.insert(&row.definition);
            }
        }
        self.definitions_left_out = left_out.len();
    }

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
    pub(super) fn count(&mut self, row: &CommandRow) {
        self.commands += 1;
        *self.by_status.entry(row.status).or_default() += 1;
        *self.by_op.entry(row.op.to_string()).or_default() += 1;
        *self.by_host.entry(row.host.clone()).or_default() += 1;
        *self.by_actor.entry(row.actor.to_string()).or_default() += 1;
    }
}
