//! One line of a table of commands and pipelines, as the history and a host's page draw it.

use crate::domain::Span;
use crate::store::{CommandRow, HistoryLine, PipelineRow};

use super::super::clock::{Clock, When};
use super::super::words::{self, Word};
use super::pipeline_words;

/// An outcome that was learned this much after the end was learned later than usual: after a restart or a loss.
const LATE: Span = Span::from_secs(30);

/// One value of a select.
pub(super) struct Pick {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) chosen: bool,
}

/// One line of a table: a command, or a pipeline with all of its hosts.
pub(super) struct Line {
    pub(super) id: String,
    /// The page that has all of it.
    pub(super) place: String,
    pub(super) at: When,
    pub(super) status: Word,
    pub(super) op: String,
    /// None of a pipeline.
    pub(super) host: Option<String>,
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) took: String,
    pub(super) exit: String,
    pub(super) late: bool,
    pub(super) open: bool,
    /// Whether somebody should look at it and say so.
    pub(super) attention: bool,
    /// Whether it can be chosen, to say so of several at once.
    pub(super) picked_from: bool,
    /// Who has, when and with which note.
    pub(super) acknowledged: Option<String>,
    /// The pipeline that it is part of (or is), and its size: `12 hosts`.
    pub(super) pipeline: Option<(String, String)>,
}

impl Line {
    pub(super) fn new(row: &CommandRow, repeats: i64, clock: &Clock) -> Self {
        let late = match (row.finished_at, row.settled_at) {
            (Some(finished), Some(settled)) => settled.since(finished) > LATE,
            _ => false,
        };
        let acknowledged = row.acknowledged_by.as_ref().map(|by| {
            let at = row.acknowledged_at.map(|at| clock.when(at).full).unwrap_or_default();
            let note = row.acknowledged_note.as_deref().unwrap_or_default();
            format!("{}, {at}: {note}", by.name())
        });
        Self {
            id: row.id.to_string(),
            place: format!("/commands/{}", row.id),
            at: clock.when(row.created_at),
            status: words::repeated(words::status(row, clock), repeats),
            op: row.op.to_string(),
            host: Some(row.host.to_string()),
            by: row.actor.name().to_owned(),
            reason: row.reason.clone().unwrap_or_default(),
            took: words::took(row, clock.now).unwrap_or_default(),
            exit: row.exit_code.map(|code| code.to_string()).unwrap_or_default(),
            late,
            open: row.finished_at.is_none(),
            attention: row.needs_attention(),
            picked_from: false,
            acknowledged,
            pipeline: None,
        }
    }

    fn of_pipeline(row: &PipelineRow, clock: &Clock) -> Self {
        Self {
            id: row.id.to_string(),
            place: format!("/pipelines/{}", row.id),
            at: clock.when(row.created_at),
            status: pipeline_words::status(row),
            op: row.name.clone(),
            host: None,
            by: row.actor.name().to_owned(),
            reason: row.reason.clone().unwrap_or_default(),
            took: pipeline_words::took(row, clock.now),
            exit: String::new(),
            late: false,
            open: row.is_open(),
            attention: false,
            picked_from: false,
            acknowledged: None,
            pipeline: Some((row.id.to_string(), words::count(row.hosts.len(), "host", "hosts"))),
        }
    }

    pub(super) fn of(line: &HistoryLine, pipelines: &[PipelineRow], clock: &Clock) -> Self {
        match line {
            HistoryLine::Pipeline(row) => Self::of_pipeline(row, clock),
            HistoryLine::Command(row, repeats) => {
                let pipeline = row.pipeline_id.and_then(|id| pipelines.iter().find(|row| row.id == id));
                Self {
                    pipeline: pipeline.map(|row| (row.id.to_string(), words::count(row.hosts.len(), "host", "hosts"))),
                    ..Self::new(row, *repeats, clock)
                }
            }
        }
    }
}
