//! One host in the list of the fleet, and the part of the top line that it counts for.

use crate::domain::{Ask, On};
use crate::store::FleetRow;

use super::super::Visitor;
use super::super::clock::{Clock, When};
use super::super::words::{self, Word};

/// One host, as the list shows it.
pub(super) struct Row {
    pub(super) name: String,
    /// Whether ops may be run there.
    pub(super) mine: bool,
    pub(super) os: String,
    pub(super) state: Word,
    pub(super) since: Option<When>,
    pub(super) running: Option<String>,
    pub(super) last: Option<Last>,
    pub(super) needs: Vec<Word>,
    pub(super) uptime: String,
    pub(super) tags: Vec<String>,
    pub(super) state_of: Part,
    pub(super) attention: bool,
}

/// Its last command.
pub(super) struct Last {
    pub(super) id: String,
    pub(super) op: String,
    pub(super) status: Word,
    pub(super) at: When,
}

/// The parts of the top line, each a filter of the rows that it counts. Every host is in one of the others;
/// what needs attention is counted besides, whatever its host does now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Attention,
    Running,
    Unreachable,
    NotMet,
    Idle,
}

impl Part {
    pub(super) const ALL: [Self; 5] = [
        Self::Idle,
        Self::Running,
        Self::Unreachable,
        Self::NotMet,
        Self::Attention,
    ];

    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Running => "running",
            Self::Unreachable => "unreachable",
            Self::NotMet => "not-met",
            Self::Idle => "idle",
        }
    }

    pub(super) fn sentence(self, number: usize) -> String {
        match self {
            Self::Attention if number == 1 => "1 needs attention".to_owned(),
            Self::Attention => format!("{number} need attention"),
            Self::NotMet => format!("{number} not met yet"),
            Self::Running | Self::Unreachable | Self::Idle => format!("{number} {}", self.key()),
        }
    }

    pub(super) fn tone(self, number: usize) -> &'static str {
        match self {
            Self::Attention if number > 0 => "bad",
            Self::Unreachable if number > 0 => "warn",
            Self::Running if number > 0 => "run",
            Self::Attention | Self::Running | Self::Unreachable | Self::NotMet | Self::Idle => "quiet",
        }
    }

    pub(super) fn has(self, row: &Row) -> bool {
        match self {
            Self::Attention => row.attention,
            Self::Running | Self::Unreachable | Self::NotMet | Self::Idle => row.state_of == self,
        }
    }
}

impl Row {
    pub(super) fn new(row: FleetRow, visitor: &Visitor, clock: &Clock) -> Self {
        let facts = row.facts.as_ref();
        let lost = facts.is_some_and(super::host::is_lost);
        let met = facts.is_some_and(|facts| facts.reachable.is_some());
        let state_of = match &row.open {
            Some(_) => Part::Running,
            None if lost => Part::Unreachable,
            None if !met => Part::NotMet,
            None => Part::Idle,
        };
        let (state, since) = super::host::state(facts, row.open.as_ref(), clock);
        Self {
            mine: visitor.may_on(Ask::Run, On::Host(&row.host.hostname, &row.host.tags)),
            name: row.host.hostname.to_string(),
            os: facts
                .and_then(super::host::os)
                .unwrap_or_else(|| "not met yet".to_owned()),
            state,
            since,
            running: row.open.as_ref().map(|open| open.id.to_string()),
            // Where nothing ever ran, what was refused last is all there is to say.
            last: row.last.as_ref().or(row.refused.as_ref()).map(|last| Last {
                id: last.id.to_string(),
                op: last.op.to_string(),
                status: words::status(last, clock),
                at: clock.when(last.finished_at.unwrap_or(last.created_at)),
            }),
            needs: facts.map(words::needs).unwrap_or_default(),
            uptime: facts
                .and_then(super::host::booted)
                .map(|booted| words::uptime(booted, clock.now))
                .unwrap_or_default(),
            tags: row.host.tags.iter().map(ToString::to_string).collect(),
            state_of,
            attention: row.attention,
        }
    }

    /// What needs a look first, then by what the host does now, then by name.
    pub(super) fn order(&self) -> (bool, Part, &str) {
        (!self.attention, self.state_of, &self.name)
    }
}
