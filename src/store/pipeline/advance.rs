//! Carries out what the planner says, in one transaction: commands, what is written off, releases, the pipeline's
//! own status. Called as often as anybody likes: with nothing to do it writes nothing.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::super::column::Json;
use super::super::command::{Ask, in_the_way, insert};
use super::super::error::Fault;
use super::super::host::HostRow;
use super::super::schema::{commands, pipelines};
use super::super::tx::Tx;
use super::super::{By, CommandRow, NewEvent, Store, Topic, WriteError};
use super::reserve::{release, reserve, waiting_since};
use super::rest::rest;
use super::{PipelineRow, hold, hosts_in_words, pipeline_event};
use crate::domain::{
    Action, Cell, Cells, CommandId, CommandStatus, IfBusy, Level, Next, Orders, PipelineId, PipelineStatus, Refusal,
    Stage, Timestamp,
};

/// What an advance did, and what has to happen for the next one.
#[derive(Clone, Debug)]
pub struct Advanced {
    /// The pipeline after it.
    pub row: PipelineRow,
    /// The commands that it asked for, PENDING: they need their drivers.
    pub started: Vec<CommandRow>,
    /// Every open command of the pipeline.
    pub open: Vec<CommandId>,
    /// Hosts whose turn it is, and which are busy with something else.
    pub busy: usize,
    /// When the first of those has been waited for long enough.
    pub patience_ends: Option<Timestamp>,
}

impl Store {
    /// Does what comes next in a pipeline, by its rows alone: asks for commands, writes off, releases hosts, holds or
    /// ends it.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Database`] where the journal could not be written.
    pub async fn advance_pipeline(&self, id: PipelineId) -> Result<Advanced, WriteError> {
        self.write(move |tx| advance(tx, id)).await
    }
}

/// What happened to a host whose turn came.
enum Turn {
    Row(Box<CommandRow>),
    /// It is busy, and is waited for until then.
    Busy(Timestamp),
}

pub(super) fn advance(tx: &mut Tx<'_>, id: PipelineId) -> Result<Advanced, Fault> {
    let row = tx
        .journal
        .pipeline(id)?
        .ok_or_else(|| WriteError::NotFound(format!("pipeline {id}")))?;
    let mut did = Advanced {
        row: row.clone(),
        started: Vec::new(),
        open: Vec::new(),
        busy: 0,
        patience_ends: None,
    };
    if !row.is_open() {
        return Ok(did);
    }
    let mut cells = tx.journal.pipeline_cells(id)?;
    let mut orders = tx.journal.pipeline_orders(&row)?;
    let next = loop {
        let next = row.plan.next(&cells, &orders);
        if next.write_off.is_empty() && next.start.is_empty() {
            break next;
        }
        rest(tx, &row, &next, &mut cells)?;
        if !next.start.is_empty() {
            begin_stage(tx, &row, &next, &cells)?;
        }
        for (host, stage) in &next.start {
            match turn(tx, &row, *host, *stage)? {
                Turn::Busy(until) => {
                    orders.busy.insert(*host);
                    did.patience_ends = Some(did.patience_ends.map_or(until, |first| first.min(until)));
                }
                Turn::Row(command) => {
                    let cell = Cell::of(command.status, command.is_open(), command.refusal);
                    cells.insert((*host, *stage), cell);
                    if cell == Cell::Open {
                        did.started.push(*command);
                    } else if row.plan.may_trip() {
                        break; // One failure more may be the one at which nothing further starts.
                    }
                }
            }
        }
    };
    did.busy = orders.busy.len();
    release(tx, &row, &next)?;
    did.row = settle(tx, &row, &next, &cells, &orders)?;
    did.open = tx.journal.open_of_pipeline(id)?;
    Ok(did)
}

/// What a stage asks for on a host; none where a person is waited for. In a retry it names what it tries again.
pub(super) fn ask(tx: &mut Tx<'_>, row: &PipelineRow, host: i64, stage: usize) -> Result<Option<Ask>, Fault> {
    let Some(Action::Op { op, definition, .. }) = row.plan.stages.get(stage).map(|stage| &stage.action) else {
        return Ok(None);
    };
    let number = i64::try_from(stage).unwrap_or(i64::MAX);
    let retry_of = match row.retry_of {
        Some(first) => tx.journal.command_at(first, host, number)?,
        None => None,
    };
    Ok(Some(Ask {
        op: op.clone(),
        definition: definition.clone(),
        by: By::from(row.actor.clone()),
        reason: row.reason.clone(),
        retry_of,
        pipeline: Some((row.id, row.name.clone(), number)),
    }))
}

fn turn(tx: &mut Tx<'_>, row: &PipelineRow, host: i64, stage: usize) -> Result<Turn, Fault> {
    let missing = || WriteError::Database(format!("host number {host} or stage {stage} is not there"));
    let ask = ask(tx, row, host, stage)?.ok_or_else(missing)?;
    let host: HostRow = tx.journal.host_by_id(host)?.ok_or_else(missing)?;
    if let IfBusy::Wait(patience) = row.plan.if_busy
        && let Some((Refusal::Busy | Refusal::Reserved, _)) = in_the_way(tx, &host, Some(row.id))?
    {
        let until = waiting_since(tx, row.id, host.id)?.plus(patience);
        if tx.now < until {
            return Ok(Turn::Busy(until));
        }
    }
    let command = insert(tx, &ask, &host)?;
    if command.is_open() {
        reserve(tx, row.id, host.id)?;
    }
    Ok(Turn::Row(Box::new(command)))
}

/// Announces a stage when the first host of a batch comes to it.
fn begin_stage(tx: &mut Tx<'_>, row: &PipelineRow, next: &Next, cells: &Cells) -> Result<(), Fault> {
    let Some((batch, stage)) = next.turn else { return Ok(()) };
    let members = row.plan.batches.get(batch).map(Vec::as_slice).unwrap_or_default();
    let begun = members
        .iter()
        .any(|host| cells.get(&(*host, stage)).is_some_and(|cell| *cell != Cell::Rest));
    if begun {
        return Ok(());
    }
    let of_batch = match row.plan.batches.len() {
        0 | 1 => String::new(),
        n => format!(", batch {} of {n}", batch + 1),
    };
    let op = row.plan.stages.get(stage).map(Stage::text).unwrap_or_default();
    let still_in = members
        .iter()
        .filter(|host| row.plan.applies(**host, stage) && !cells.contains_key(&(**host, stage)));
    let message = format!(
        "The pipeline “{}” begins {op} on {} (stage {} of {}{of_batch})",
        row.name,
        hosts_in_words(still_in.count()),
        stage + 1,
        row.plan.stages.len(),
    );
    tx.event(NewEvent {
        details: Some(serde_json::json!({ "stage": stage, "batch": batch })),
        ..pipeline_event(row, Level::Info, "stage", message)
    })?;
    Ok(())
}

/// The pipeline's own row: its stage, a wait for a person, its end.
fn settle(
    tx: &mut Tx<'_>,
    row: &PipelineRow,
    next: &Next,
    cells: &Cells,
    orders: &Orders,
) -> Result<PipelineRow, Fault> {
    let stage = i64::try_from(next.current_stage).unwrap_or(i64::MAX);
    if let Some(status) = next.end {
        return end(tx, row, status, stage, cells);
    }
    let mut row = row.clone();
    if stage != row.current_stage {
        diesel::update(pipelines::table.find(row.id))
            .set(pipelines::current_stage.eq(stage))
            .execute(&mut tx.journal.conn)?;
        tx.touch(Topic::Pipelines);
        row.current_stage = stage;
    }
    let Some((batch, stage)) = next.waits.filter(|_| !orders.held) else {
        return Ok(row);
    };
    let text = row.plan.stages.get(stage).map(Stage::text).unwrap_or_default();
    let why = format!("waits for a person: {text}");
    if let Some(held) = hold(tx, &row, &why, Some((batch, stage)))? {
        let message = format!(
            "The pipeline “{}” waits for a person (stage {} of {}, batch {} of {}): {text}",
            row.name,
            stage + 1,
            row.plan.stages.len(),
            batch + 1,
            row.plan.batches.len(),
        );
        tx.event(pipeline_event(&held, Level::Warn, "hold", message))?;
        return Ok(held);
    }
    Ok(row)
}

fn end(
    tx: &mut Tx<'_>,
    row: &PipelineRow,
    status: PipelineStatus,
    stage: i64,
    cells: &Cells,
) -> Result<PipelineRow, Fault> {
    let finished = tx.now.max(row.created_at);
    let tally = row.plan.tally(cells);
    let evidence = serde_json::json!({ "hosts": tally, "commands": outcomes(tx, row.id)? });
    diesel::update(pipelines::table.find(row.id))
        .set((
            pipelines::status.eq(status),
            pipelines::current_stage.eq(stage),
            pipelines::finished_at.eq(finished),
            pipelines::hold_reason.eq(None::<String>),
            pipelines::at_wait.eq(None::<String>),
            pipelines::evidence.eq(Json(evidence.clone())),
        ))
        .execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Pipelines);
    let mut parts = vec![format!(
        "{} of {} passed",
        tally.passed,
        hosts_in_words(row.hosts.len())
    )];
    for (hosts, what) in [
        (tally.failed, "failed"),
        (tally.unreachable, "not reached"),
        (tally.written_off, "not begun or not finished"),
    ] {
        if hosts > 0 {
            parts.push(format!("{hosts} {what}"));
        }
    }
    let level = match status {
        PipelineStatus::Complete => Level::Success,
        PipelineStatus::Failed => Level::Error,
        PipelineStatus::Partial | PipelineStatus::Cancelled | PipelineStatus::Running | PipelineStatus::Held => {
            Level::Warn
        }
    };
    let message = format!(
        "The pipeline “{}” ended {status} after {}: {}",
        row.name,
        finished.since(row.created_at).human(),
        parts.join(", ")
    );
    tx.event(NewEvent {
        details: Some(serde_json::json!({ "status": status, "hosts": tally, "commands": evidence["commands"] })),
        seals: true,
        ..pipeline_event(row, level, "end", message)
    })?;
    tx.journal
        .pipeline(row.id)?
        .ok_or_else(|| WriteError::Database("a row that was just written is not there".to_owned()).into())
}

/// How many of a pipeline's commands stand in which status.
fn outcomes(tx: &mut Tx<'_>, id: PipelineId) -> Result<BTreeMap<&'static str, usize>, Fault> {
    let statuses: Vec<CommandStatus> = commands::table
        .filter(commands::pipeline_id.eq(id))
        .select(commands::status)
        .load(&mut tx.journal.conn)?;
    let mut outcomes = BTreeMap::new();
    for status in statuses {
        *outcomes.entry(status.as_str()).or_default() += 1;
    }
    Ok(outcomes)
}
