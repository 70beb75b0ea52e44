//! What the last restart of the dashboard found running, for the fleet's page while it is news.

use crate::domain::{CommandStatus, Span, Timestamp};
use crate::store::{CommandRow, Cursor, EventFilter, EventRow, FleetRow, Journal, ReadError};

use super::super::clock::{Clock, When};
use super::super::words::{self, Word, count};

/// The last restart that found something running, while it is news.
pub(super) struct Restart {
    pub(super) at: When,
    pub(super) text: String,
    pub(super) found: Vec<Settled>,
}

/// One command that a restart found, and how it stands now.
pub(super) struct Settled {
    pub(super) id: String,
    pub(super) what: String,
    pub(super) status: Word,
}

/// What the journal says of the last restart and of its own age.
pub(super) struct Past {
    recovered: Vec<EventRow>,
    found: Vec<CommandRow>,
    /// True in the first minutes of a journal.
    pub(super) young: bool,
}

/// How long a restart is news.
const NEWS: Span = Span::from_days(1);
/// Recovery's events that are looked at for it.
const RECOVERED: i64 = 500;

/// How old a journal may be for the page to offer a first crash: the first ten minutes, and a little grace.
const YOUNG: Span = Span::from_secs(15 * 60);
/// Commands of the last restart that are named.
const NAMED: usize = 5;

impl Past {
    pub(super) fn read(journal: &mut Journal) -> Result<Self, ReadError> {
        let now = Timestamp::now();
        let recovery = EventFilter {
            action: Some("recovery".to_owned()),
            since: Some(now.minus(NEWS)),
            ..EventFilter::default()
        };
        let recovered = Self::of_the_last(journal.events(&recovery, None, RECOVERED)?.rows);
        let mut found = Vec::new();
        for id in recovered.iter().filter_map(|event| event.command_id).take(NAMED) {
            found.extend(journal.command(id)?);
        }
        let oldest = journal.events(&EventFilter::default(), Some(Cursor::After(0)), 1)?;
        let young = oldest
            .rows
            .first()
            .is_some_and(|event| now.since(event.timestamp) < YOUNG);
        Ok(Self {
            recovered,
            found,
            young,
        })
    }

    /// Recovery writes one event for each command that was executing, then one for the restart itself: that one
    /// first, and then its commands.
    fn of_the_last(events: Vec<EventRow>) -> Vec<EventRow> {
        let mut events = events.into_iter().skip_while(|event| event.command_id.is_some());
        let summary = events.next();
        summary
            .into_iter()
            .chain(events.take_while(|event| event.command_id.is_some()))
            .collect()
    }
}

impl Restart {
    pub(super) fn of(past: &Past, fleet: &[FleetRow], clock: &Clock) -> Option<Self> {
        let (summary, commands) = past.recovered.split_first()?;
        let open = fleet.iter().filter_map(|row| row.open.as_ref());
        let unknown = open.filter(|open| open.status == CommandStatus::Orphaned).count();
        if commands.is_empty() {
            return None;
        }
        let settled = count(commands.len().saturating_sub(unknown), "command was", "commands were");
        let text = match unknown {
            0 => format!("{settled} found again or settled"),
            _ => format!("{settled} found again or settled, {unknown} still being found out"),
        };
        let found = past.found.iter().map(|row| Settled {
            id: row.id.to_string(),
            what: format!("{} on {}", row.op, row.host),
            status: words::status(row, clock),
        });
        Some(Self {
            at: clock.when(summary.timestamp),
            text,
            found: found.collect(),
        })
    }
}
