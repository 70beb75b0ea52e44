//! What will not start any more: rows that say so, and events that say why.

use std::collections::BTreeMap;

use super::super::command::write_off;
use super::super::error::Fault;
use super::super::record::{self, Of};
use super::super::tx::Tx;
use super::super::{CommandRow, NewEvent};
use super::advance::ask;
use super::{PipelineRow, hosts_in_words, pipeline_event};
use crate::domain::{Cell, Cells, CommandStatus, Digest, Level, Next, Refusal, Why};

/// Rows that one event writes off at most.
const RECORDS: usize = 500;

/// Writes off what will not start any more: a host at a time where it failed, all at once where the pipeline stops.
pub(super) fn rest(tx: &mut Tx<'_>, row: &PipelineRow, next: &Next, cells: &mut Cells) -> Result<(), Fault> {
    let mut by_host: BTreeMap<(Why, i64), Vec<CommandRow>> = BTreeMap::new();
    for (host, stage, why) in &next.write_off {
        let (status, refusal) = match why {
            Why::EarlierStage => (CommandStatus::Skipped, Refusal::EarlierStage),
            Why::Stopped => (CommandStatus::Skipped, Refusal::Stopped),
            Why::Cancelled => (CommandStatus::Cancelled, Refusal::Cancelled),
        };
        let Some(ask) = ask(tx, row, *host, *stage)? else {
            continue;
        };
        let text = match why {
            Why::EarlierStage => match failed_stage(row, cells, *host) {
                Some((stage, op)) => format!("skipped: {op} (stage {}) did not end well on this host", stage + 1),
                None => "skipped: an earlier stage did not end well on this host".to_owned(),
            },
            Why::Stopped => format!("skipped: the pipeline “{}” stopped because hosts failed", row.name),
            Why::Cancelled => match &row.cancel_by {
                Some(by) => format!("cancelled by {} with the pipeline “{}”", by.name(), row.name),
                None => format!("cancelled with the pipeline “{}”", row.name),
            },
        };
        let stopped = row.cancel_by.as_ref().zip(row.cancel_at);
        let stopped = stopped.filter(|_| *why == Why::Cancelled);
        let command = write_off(tx, &ask, *host, status, refusal, &text, stopped)?;
        cells.insert((*host, *stage), Cell::Rest);
        by_host.entry((*why, *host)).or_default().push(command);
    }
    announce_rest(tx, row, &by_host, cells)
}

fn failed_stage<'a>(row: &'a PipelineRow, cells: &Cells, host: i64) -> Option<(usize, &'a str)> {
    let stage = row
        .plan
        .stages_of(host)
        .find(|stage| matches!(cells.get(&(host, *stage)), Some(Cell::Failed | Cell::Unreachable)))?;
    Some((stage, row.plan.stages.get(stage)?.text()))
}

fn announce_rest(
    tx: &mut Tx<'_>,
    row: &PipelineRow,
    by_host: &BTreeMap<(Why, i64), Vec<CommandRow>>,
    cells: &Cells,
) -> Result<(), Fault> {
    for ((why, host), commands) in by_host {
        let (Why::EarlierStage, Some(first)) = (*why, commands.first()) else {
            continue;
        };
        let after = failed_stage(row, cells, *host).map_or_else(String::new, |(_, op)| format!(" after {op}"));
        let ops: Vec<&str> = commands.iter().map(|command| command.op.as_str()).collect();
        let message = format!(
            "{} is out of the pipeline “{}”{after}: {} skipped",
            first.host,
            row.name,
            ops.join(", ")
        );
        let records = records(tx, commands.iter())?;
        tx.event(NewEvent {
            host_id: Some(*host),
            command_id: Some(first.id),
            details: Some(serde_json::json!({ "records": records })),
            ..pipeline_event(row, Level::Warn, "out", message)
        })?;
    }
    for (why, how) in [
        (Why::Stopped, "stops because hosts failed; the rest is skipped"),
        (Why::Cancelled, "is cancelled; the rest is written off"),
    ] {
        let hosts: Vec<_> = by_host.iter().filter(|((w, _), _)| *w == why).collect();
        if hosts.is_empty() {
            continue;
        }
        let commands: Vec<&CommandRow> = hosts.iter().flat_map(|(_, commands)| *commands).collect();
        let tally = row.plan.tally(cells);
        let message = format!("The pipeline “{}” {how} on {}", row.name, hosts_in_words(hosts.len()));
        for (part, some) in commands.chunks(RECORDS).enumerate() {
            let message = match part {
                0 => message.clone(),
                part => format!("{message} (part {})", part + 1),
            };
            let records = records(tx, some.iter().copied())?;
            tx.event(NewEvent {
                details: Some(serde_json::json!({ "records": records, "hosts": tally })),
                ..pipeline_event(row, Level::Warn, "rest", message)
            })?;
        }
    }
    Ok(())
}

/// The digests of rows that have no event of their own, by their ids.
fn records<'a>(
    tx: &mut Tx<'_>,
    commands: impl Iterator<Item = &'a CommandRow>,
) -> Result<BTreeMap<String, Digest>, Fault> {
    let mut records = BTreeMap::new();
    for command in commands {
        let id = command.id.to_string();
        let record = tx.journal.record(Of::Command, &id)?.unwrap_or_default();
        records.insert(id, record::digest(&record));
    }
    Ok(records)
}
