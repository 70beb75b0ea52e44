//! Parts of a command's page: what can be done with it, its timeline, its retries, what restarts meant for it.

use crate::domain::{Ask, CommandStatus, Evidence, On};
use crate::store::{CommandRow, EventRow, PipelineRow};

use super::super::clock::{Clock, When};
use super::super::words::{self, Word};
use super::super::{Visitor, Web};
use super::command::Found;

/// One of its retries.
pub(super) struct Retry {
    pub(super) id: String,
    pub(super) status: Word,
    pub(super) at: When,
}

/// One event of its timeline.
pub(super) struct Moment {
    pub(super) at: When,
    pub(super) level: Word,
    pub(super) message: String,
}

/// What the state allows, and is theirs to do; the engine decides again when a button is pressed.
pub(super) struct Buttons {
    pub(super) stop: bool,
    pub(super) extend: bool,
    pub(super) retry: bool,
    pub(super) changed: bool,
    pub(super) find_out: bool,
    pub(super) resolve: bool,
    pub(super) acknowledge: bool,
    /// Whether to keep it is theirs to say; in every state.
    pub(super) keep: bool,
}

impl Buttons {
    pub(super) fn any(&self) -> bool {
        self.stop || self.extend || self.retry || self.find_out || self.resolve || self.acknowledge
    }
}

/// What restarts of the dashboard meant for a command: each with what it led to.
pub(super) fn restarts(events: &[EventRow], row: &CommandRow, clock: &Clock) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = events;
    while let Some(start) = rest.iter().position(|event| event.action == "recovery") {
        let (restart, later) = (&rest[start], &rest[start + 1..]);
        let next = later.iter().position(|event| event.action == "recovery");
        let until_next = &later[..next.unwrap_or(later.len())];
        let again = until_next
            .iter()
            .find(|event| event.message.contains("is followed again"));
        let began = clock.when(restart.timestamp).exact;
        let came = match (again, row.settled_at) {
            // What runs on is read on from the byte where it was left; an exit comes with the whole output.
            (Some(event), _) => {
                let cut = matches!(row.evidence, Some(Evidence::Exit { output_cut: true, .. }));
                let lost = if cut { "" } else { ", no output lost" };
                format!("reattached {}{lost}", clock.when(event.timestamp).exact)
            }
            (None, _) if next.is_some() => "not found out before the next restart".to_owned(),
            (None, None) => "still being found out".to_owned(),
            (None, Some(at)) => {
                let whole = matches!(row.evidence, Some(Evidence::Exit { output_cut: false, .. }));
                let lost = if whole { ", no output lost" } else { "" };
                let how = if row.status == CommandStatus::Orphaned {
                    "closed, outcome unknown,"
                } else {
                    "settled"
                };
                format!("{how} {}{lost}", clock.when(at).exact)
            }
        };
        lines.push(format!("Dashboard restarted {began} → {came}"));
        rest = later;
    }
    lines
}

/// A pipeline's id, and which part of it the command is: `do-all on 12 hosts, stage 2 of 3`.
pub(super) fn place_in(pipeline: &PipelineRow, row: &CommandRow) -> (String, String) {
    let hosts = words::count(pipeline.hosts.len(), "host", "hosts");
    let stage = match pipeline.plan.stages.len() {
        0 | 1 => String::new(),
        all => format!(", stage {} of {all}", row.stage.unwrap_or(0) + 1),
    };
    (pipeline.id.to_string(), format!("{} on {hosts}{stage}", pipeline.name))
}

impl Retry {
    pub(super) fn new(row: &CommandRow, clock: &Clock) -> Self {
        Self {
            id: row.id.to_string(),
            status: words::status(row, clock),
            at: clock.when(row.created_at),
        }
    }
}

impl Moment {
    pub(super) fn new(event: &EventRow, clock: &Clock) -> Self {
        Self {
            at: clock.when(event.timestamp),
            level: words::level(event.level),
            message: clock.spoken(&event.message, event.timestamp),
        }
    }
}

impl Buttons {
    pub(super) fn new(web: &Web, visitor: &Visitor, found: &Found) -> Self {
        let (row, definition) = (&found.row, found.definition.as_ref());
        let may = |ask| {
            let host = found.host.as_ref();
            host.is_some_and(|host| visitor.may_on(ask, On::Host(&host.hostname, &host.tags)))
        };
        let steer = may(Ask::Steer);
        let open = row.finished_at.is_none();
        // What runs on a host that does not answer can be resolved too.
        let orphaned =
            row.status == CommandStatus::Orphaned || (row.status == CommandStatus::Executing && row.error.is_some());
        let today = web
            .engine
            .catalog()
            .get(row.op.as_str())
            .map(crate::domain::Op::definition);
        let retryable = today.as_ref().is_some_and(|today| {
            let ask = if today.dangerous { Ask::RunDangerous } else { Ask::Run };
            today.retryable && may(ask)
        });
        Self {
            stop: steer && open && row.stop_at.is_none(),
            extend: steer && open && row.status == CommandStatus::Executing && row.deadline.is_some(),
            retry: !open && retryable && row.status != CommandStatus::Success,
            changed: today.as_ref() != definition,
            find_out: steer && orphaned,
            resolve: steer && open && orphaned,
            acknowledge: steer && row.needs_attention(),
            keep: steer,
        }
    }
}
