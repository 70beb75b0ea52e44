//! Pipelines in words; and what a report says of what it leaves out.

use crate::domain::{Cell, ReportAsk, bounded};
use crate::store::CommandRow;
use crate::web::words::count;

use super::super::pipeline_words;
use super::content::{Exception, FlowLine};
use super::flows::Flow;
use super::said::Said;

/// The longest text of a person that is printed, in bytes.
const MESSAGE: usize = 1_500;
/// Names of hosts that are printed of one pipeline.
const NAMES: usize = 60;

impl Said<'_> {
    /// How many numbers between the first and the last event of the range have no event.
    pub(super) fn missing(&self) -> usize {
        let found = self.found;
        match (found.first_event, found.last_event) {
            (Some(first), Some(last)) => {
                let all = usize::try_from(last - first + 1).unwrap_or_default();
                all.saturating_sub(found.range_events)
            }
            _ => 0,
        }
    }

    /// What limits the events of a part that was made later.
    pub(super) fn left_out(&self, ask: &ReportAsk) -> Option<String> {
        let found = self.found;
        let of = ask.of.as_deref().unwrap_or("an earlier report");
        (found.left_out > 0).then(|| {
            format!(
                "{} of this range above #{} left out: this is a part of {of}, which did not know them. A new report has them.",
                count(found.left_out, "event", "events"),
                found.covers
            )
        })
    }

    /// Of commands and pipelines, in the order in which they were asked for.
    pub(super) fn exceptions(&self) -> Vec<Exception> {
        let commands = self
            .found
            .exceptions
            .iter()
            .map(|row| (row.created_at, self.exception(row)));
        let flows = self.found.flows.rows.values().filter(|flow| flow.is_bad());
        let flows = flows.map(|flow| (flow.row.created_at, self.flow_exception(flow)));
        let mut all: Vec<_> = commands.chain(flows).collect();
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, line)| line).collect()
    }

    fn flow_exception(&self, flow: &Flow) -> Exception {
        let hosts = count(flow.row.hosts.len(), "host", "hosts");
        Exception {
            at: self.at(flow.row.created_at),
            what: format!("the pipeline {} on {hosts}", flow.row.name),
            by: flow.row.actor.to_string(),
            why: vec![format!("Pipeline: {}", self.flow_how(flow)), tally(flow)],
            row: None,
        }
    }

    fn flow_how(&self, flow: &Flow) -> String {
        let text = pipeline_words::status(&flow.row).text;
        bounded(&self.clock.spoken(&text, flow.row.created_at), MESSAGE)
    }

    pub(super) fn flow_totals(&self) -> Vec<(String, usize)> {
        let counts = self.found.flows.by_status.iter();
        counts
            .map(|(status, count)| (status.name().to_owned(), *count))
            .collect()
    }

    /// The pipeline that a command is of, and its stage.
    pub(super) fn place(&self, row: &CommandRow) -> Option<String> {
        let id = row.pipeline_id?;
        let stage = row
            .stage
            .map(|stage| format!(", stage {}", stage + 1))
            .unwrap_or_default();
        let name = self
            .found
            .flows
            .rows
            .get(&id)
            .map(|flow| format!("{}, ", flow.row.name));
        Some(format!("Of the pipeline {}{id}{stage}.", name.unwrap_or_default()))
    }

    pub(super) fn flow(&self, flow: &Flow) -> FlowLine {
        let row = &flow.row;
        let mut says = vec![tally(flow)];
        says.extend(stages(flow));
        says.extend(flow.orders.iter().map(|order| {
            let text = bounded(&self.clock.spoken(&order.message, order.timestamp), MESSAGE);
            format!("{}, {}: {text}", self.at(order.timestamp), order.actor)
        }));
        if flow.orders_left_out > 0 {
            says.push(format!("{} more orders are in the log.", flow.orders_left_out));
        }
        says.extend(row.retry_of.map(|first| format!("It tries again what {first} left.")));
        FlowLine {
            from: self.at(row.created_at),
            to: row.finished_at.map_or_else(|| "open".to_owned(), |end| self.at(end)),
            by: row.actor.to_string(),
            name: row.name.clone(),
            id: row.id.to_string(),
            hosts: self.names(&row.hosts),
            how: self.flow_how(flow),
            bad: flow.is_bad(),
            says,
            reason: match row.reason.as_deref().map(str::trim) {
                None | Some("") => "none given".to_owned(),
                Some(reason) => bounded(reason, MESSAGE),
            },
        }
    }

    fn names(&self, hosts: &[i64]) -> String {
        let name = |id: &i64| match self.found.hosts.get(id) {
            Some(host) => host.hostname.to_string(),
            None => format!("host {id}"),
        };
        let names: Vec<String> = hosts.iter().take(NAMES).map(name).collect();
        let more = match hosts.len().saturating_sub(NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}: {}{more}", count(hosts.len(), "host", "hosts"), names.join(", "))
    }
}

/// `3 of 4 hosts passed, 1 failed`.
fn tally(flow: &Flow) -> String {
    let tally = flow.row.plan.tally(&flow.cells);
    let mut text = format!(
        "{} of {} passed",
        tally.passed,
        count(flow.row.hosts.len(), "host", "hosts")
    );
    for (number, what) in [
        (tally.failed, "failed"),
        (tally.unreachable, "unreachable"),
        (tally.written_off, "not begun or not finished"),
        (tally.under_way, "under way"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    }
    text + "."
}

/// How many hosts each stage has, by how it went there: `Stage 2, switch: 3 well, 1 failed.`
fn stages(flow: &Flow) -> Vec<String> {
    let stages = flow.row.plan.stages.iter().enumerate();
    let ops = stages.filter(|(_, stage)| stage.op().is_some());
    let line = |(at, stage): (usize, &crate::domain::Stage)| {
        let here = |wanted: Cell| {
            let cells = flow
                .cells
                .iter()
                .filter(|((_, place), cell)| *place == at && **cell == wanted);
            cells.count()
        };
        let parts: Vec<String> = [
            (here(Cell::Good), "well"),
            (here(Cell::Failed), "failed"),
            (here(Cell::Unreachable), "unreachable"),
            (here(Cell::Rest), "not done"),
            (here(Cell::Open), "open"),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
        let says = if parts.is_empty() {
            "not reached".to_owned()
        } else {
            parts.join(", ")
        };
        format!("Stage {}, {}: {says}.", at + 1, stage.text())
    };
    ops.map(line).collect()
}
