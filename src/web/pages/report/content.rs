//! What a report says, in words: rows become lines, counts become tables. What is drawn here is what its digest is of,
//! so nothing in here may look at a clock, a version or a row that is not handed in.

use std::path::Path;

use askama::Template;

use crate::domain::Span;
use crate::engine::ClockState;
use crate::store::ReportRow;
use crate::web::clock::Clock;
use crate::web::words::count;

use super::annex::{definitions, excerpts};
use super::gather::Gathered;
use super::head::{facts, question, same_offset};
use super::said::Said;
use super::take::places as taken;

/// How the dashboard stood when the report was made.
pub(super) struct Making {
    pub(super) organisation: String,
    pub(super) version: &'static str,
    pub(super) dashboard: String,
    pub(super) keeps_events: Option<Span>,
    pub(super) keeps_commands: Option<Span>,
    pub(super) clock: ClockState,
    /// What `audit verify` said, in a sentence; whether it is good.
    pub(super) verdict: Option<(bool, Vec<String>)>,
    /// The last outside witness, in a sentence.
    pub(super) witness: Option<String>,
}

#[derive(Template)]
#[template(path = "report/content.html")]
pub(super) struct Content {
    number: String,
    organisation: String,
    question: String,
    part: Option<String>,
    over: bool,
    facts: Vec<(&'static str, String)>,
    integrity: Vec<(&'static str, String)>,
    verdict: Option<(bool, Vec<String>)>,
    witness: Option<String>,
    gaps: Vec<String>,
    /// Legal holds and marks of people that touch the range.
    held: Vec<String>,
    /// Where its rows are as files.
    take: Vec<(&'static str, String)>,
    /// Set in the second drawing: how many rows the first one had.
    pub(super) printed: (usize, usize),
    expected: (usize, usize),
    totals: Vec<Total>,
    exceptions: Vec<Exception>,
    exceptions_total: usize,
    commands: Vec<CommandLine>,
    commands_total: usize,
    with_events: bool,
    events: Vec<Event>,
    events_total: usize,
    access: Vec<Event>,
    access_total: usize,
    desk: Vec<Event>,
    desk_total: usize,
    flows: Vec<FlowLine>,
    flows_total: usize,
    flows_bad: usize,
    /// Events of the range that are left out, said in the head.
    left_out: Option<String>,
    /// How many numbers between the first and the last event are missing.
    missing: usize,
    coverage: Option<(String, String)>,
    covered: Vec<CoverLine>,
    excerpts: Vec<Excerpt>,
    excerpts_left_out: usize,
    definitions: Vec<Def>,
    definitions_left_out: usize,
    zone: String,
    /// `CET, UTC+01:00`: where it is the same over the whole range.
    offset: Option<String>,
}

pub(super) struct Total {
    pub(super) title: &'static str,
    /// What is counted.
    pub(super) of: &'static str,
    pub(super) rows: Vec<(String, usize)>,
    pub(super) all: usize,
}

pub(super) struct Exception {
    pub(super) at: String,
    pub(super) what: String,
    pub(super) by: String,
    pub(super) why: Vec<String>,
    pub(super) row: Option<usize>,
}

pub(super) struct CommandLine {
    pub(super) row: usize,
    pub(super) id: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) took: String,
    pub(super) by: String,
    pub(super) op: String,
    pub(super) host: String,
    pub(super) how: String,
    pub(super) bad: bool,
    pub(super) evidence: Vec<String>,
    pub(super) reason: String,
}

/// A pipeline, as lines of a cell each.
pub(super) struct FlowLine {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) by: String,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) hosts: String,
    pub(super) how: String,
    pub(super) bad: bool,
    pub(super) says: Vec<String>,
    pub(super) reason: String,
}

pub(super) struct Event {
    pub(super) id: i64,
    pub(super) at: String,
    pub(super) level: String,
    pub(super) by: String,
    pub(super) action: String,
    pub(super) host: String,
    pub(super) message: String,
}

pub(super) struct CoverLine {
    pub(super) host: String,
    pub(super) at: String,
    pub(super) note: String,
    pub(super) missing: bool,
}

pub(super) struct Excerpt {
    pub(super) row: usize,
    pub(super) what: String,
    pub(super) facts: String,
    pub(super) text: String,
}

pub(super) struct Def {
    pub(super) digest: String,
    pub(super) op: String,
    pub(super) facts: String,
    pub(super) parts: Vec<(&'static str, String)>,
}

impl Content {
    pub(super) fn new(row: &ReportRow, found: &Gathered, making: &Making, clock: &Clock, data_dir: &Path) -> Self {
        let ask = &row.parameters;
        let offset = same_offset(ask, row.made_at, clock);
        let said = Said {
            clock,
            found,
            named: offset.is_none(),
        };
        let (excerpts, excerpts_left_out) = if ask.excerpts {
            excerpts(found, data_dir)
        } else {
            (Vec::new(), 0)
        };
        Self {
            number: row.number.to_string(),
            organisation: making.organisation.clone(),
            question: question(ask, clock),
            part: (found.parts > 1).then(|| {
                format!(
                    "Part {} of {}: commands {} and events {} of this range. Every part knows the events up to #{} and none above.",
                    ask.part,
                    found.parts,
                    places(found.commands_before, found.commands.len(), found.totals.commands),
                    places(found.events_before, found.events.len(), found.events_total),
                    found.covers
                )
            }),
            over: ask.until > row.made_at,
            facts: facts(row, making, clock),
            integrity: said.integrity(),
            verdict: making.verdict.clone(),
            witness: making.witness.clone(),
            gaps: said.gaps(row.made_at),
            held: said.held(),
            take: taken(ask),
            printed: (0, 0),
            expected: found.expected,
            totals: said.totals(),
            exceptions: said.exceptions(),
            exceptions_total: found.exceptions_total,
            commands: found.commands.iter().enumerate().map(|(at, row)| said.command(at, row)).collect(),
            commands_total: found.totals.commands,
            with_events: ask.events,
            events: found.events.iter().map(|event| said.event(event)).collect(),
            events_total: found.events_total,
            access: found.access.iter().map(|event| said.event(event)).collect(),
            access_total: found.access_total,
            desk: found.desk.iter().map(|event| said.event(event)).collect(),
            desk_total: found.desk_total,
            flows: found.flows.rows.values().map(|flow| said.flow(flow)).collect(),
            flows_total: found.flows.total,
            flows_bad: found.flows.bad,
            left_out: said.left_out(ask),
            missing: said.missing(),
            coverage: ask.coverage.as_ref().map(|name| {
                let bad = found.coverage.iter().filter(|host| host.success.is_none()).count();
                let all = count(found.coverage.len(), "host", "hosts");
                let says = match bad {
                    0 => format!("All of {all} had a success in the range."),
                    bad => format!("{bad} of {all} had no success in the range."),
                };
                (name.to_string(), says)
            }),
            covered: found.coverage.iter().map(|covered| said.covered(covered)).collect(),
            excerpts,
            excerpts_left_out,
            definitions: definitions(found),
            definitions_left_out: found.definitions_left_out,
            zone: clock.zone(),
            offset: offset.filter(|_| clock.zone() != "UTC"),
        }
    }

    pub(super) fn expected(&self) -> (usize, usize) {
        self.expected
    }
}

/// `17 to 117 of 4711`, `none`.
fn places(before: usize, here: usize, all: usize) -> String {
    match here {
        0 => "none".to_owned(),
        _ => format!("{} to {} of {all}", before + 1, before + here),
    }
}
