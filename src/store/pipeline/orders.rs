//! What people say of an open pipeline: cancel, hold, continue. Journaled before anybody acts on it.

use diesel::prelude::*;

use super::super::command::stop;
use super::super::error::Fault;
use super::super::schema::pipelines;
use super::super::tx::Tx;
use super::super::{By, NewEvent, ReadError, Store, Topic, WriteError};
use super::{PipelineRow, hold};
use crate::domain::{CancelMode, CommandId, CommandStatus, Level, PipelineId, PipelineStatus, StopReason, bounded};

impl Store {
    /// Journals that nothing further of a pipeline starts, and with [`CancelMode::Kill`] the wish to stop what runs.
    /// What was asked for and has not started is stopped in both modes. The pipeline becomes CANCELLED by an advance,
    /// when nothing of it is open. A second cancel can only be stricter; the same once more changes nothing.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where it is final.
    pub async fn cancel_pipeline(
        &self,
        id: PipelineId,
        mode: CancelMode,
        by: By,
        reason: Option<String>,
    ) -> Result<PipelineRow, WriteError> {
        self.write(move |tx| cancel(tx, id, mode, &by, reason.as_deref())).await
    }

    /// Starts nothing new until somebody says "go on"; what runs is followed.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where it is not RUNNING, or is being cancelled.
    pub async fn hold_pipeline(&self, id: PipelineId, why: Option<String>, by: By) -> Result<PipelineRow, WriteError> {
        self.write(move |tx| {
            let row = open(tx, id, "be held")?;
            let note = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let text = bounded(&format!("held by {}{note}", by.actor.name()), 1_000);
            let Some(held) = hold(tx, &row, &text, None)? else {
                let why = match row.cancel_mode {
                    Some(_) => "it is being cancelled".to_owned(),
                    None => format!("it {} already", row.status.stands()),
                };
                return Err(WriteError::Conflict(format!("“{}” cannot be held: {why}", row.name)).into());
            };
            let message = format!("{} held the pipeline “{}”{note}", by.actor.name(), row.name);
            tx.event(NewEvent {
                pipeline_id: Some(id),
                ..NewEvent::audit(&by, Level::Warn, "pipeline:hold", message)
            })?;
            Ok(held)
        })
        .await
    }

    /// Lets a HELD pipeline go on; where it waited for a person, that wait is passed.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where it is not HELD.
    pub async fn continue_pipeline(&self, id: PipelineId, by: By) -> Result<PipelineRow, WriteError> {
        self.write(move |tx| go_on(tx, id, &by)).await
    }
}

/// The pipeline, where it is open.
fn open(tx: &mut Tx<'_>, id: PipelineId, what: &str) -> Result<PipelineRow, Fault> {
    let row = tx
        .journal
        .pipeline(id)?
        .ok_or_else(|| WriteError::NotFound(format!("pipeline {id}")))?;
    if row.is_open() {
        return Ok(row);
    }
    let at = row
        .finished_at
        .map(|at| format!(" ({})", super::super::host::clock(at)));
    let at = at.unwrap_or_default();
    let stands = row.status.stands();
    Err(WriteError::Conflict(format!("“{}” {stands}{at}; it cannot {what}", row.name)).into())
}

fn cancel(
    tx: &mut Tx<'_>,
    id: PipelineId,
    mode: CancelMode,
    by: &By,
    reason: Option<&str>,
) -> Result<PipelineRow, Fault> {
    let row = open(tx, id, "be cancelled")?;
    if row.cancel_mode == Some(mode) || row.cancel_mode == Some(CancelMode::Kill) {
        return Ok(row);
    }
    diesel::update(pipelines::table.find(id))
        .set((
            pipelines::status.eq(PipelineStatus::Running),
            pipelines::hold_reason.eq(None::<String>),
            pipelines::at_wait.eq(None::<String>),
            pipelines::cancel_mode.eq(mode),
            pipelines::cancel_by.eq(&by.actor),
            pipelines::cancel_at.eq(tx.now),
            pipelines::cancel_note.eq(reason.map(|reason| bounded(reason, 1_000)).or(row.cancel_note.clone())),
        ))
        .execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Pipelines);
    let note = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let how = match mode {
        CancelMode::Finish => "what runs may end by itself",
        CancelMode::Kill => "what runs is stopped",
    };
    let message = format!("{} cancelled the pipeline “{}”, {how}{note}", by.actor.name(), row.name);
    tx.event(NewEvent {
        pipeline_id: Some(id),
        details: Some(serde_json::json!({ "mode": mode, "reason": reason })),
        ..NewEvent::audit(by, Level::Warn, "pipeline:cancel", message)
    })?;
    let note = bounded(&format!("with the pipeline “{}”{note}", row.name), 1_000);
    let open: Vec<CommandId> = tx.journal.open_of_pipeline(id)?;
    for command in open {
        let Some(row) = tx.journal.command(command)? else {
            continue;
        };
        let unstarted = matches!(row.status, CommandStatus::Pending | CommandStatus::Validating);
        if row.stop_by.is_none() && (unstarted || mode == CancelMode::Kill) {
            stop(tx, command, StopReason::Cancel, by, Some(&note))?;
        }
    }
    reload(tx, id)
}

fn go_on(tx: &mut Tx<'_>, id: PipelineId, by: &By) -> Result<PipelineRow, Fault> {
    let row = open(tx, id, "go on")?;
    if row.status != PipelineStatus::Held {
        return Err(WriteError::Conflict(format!("“{}” {}, it is not held", row.name, row.status.stands())).into());
    }
    let mut passed = tx.journal.pipeline_orders(&row)?.passed;
    let at_wait: Option<String> = pipelines::table
        .find(id)
        .select(pipelines::at_wait)
        .get_result(&mut tx.journal.conn)?;
    if let Some(at) = at_wait {
        passed.insert(serde_json::from_str(&at).map_err(|why| ReadError::Row(why.to_string()))?);
    }
    let passed = serde_json::to_string(&passed).map_err(|why| WriteError::Database(why.to_string()))?;
    diesel::update(pipelines::table.find(id))
        .set((
            pipelines::status.eq(PipelineStatus::Running),
            pipelines::hold_reason.eq(None::<String>),
            pipelines::at_wait.eq(None::<String>),
            pipelines::passed.eq(passed),
        ))
        .execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Pipelines);
    let message = format!("{} let the pipeline “{}” go on", by.actor.name(), row.name);
    tx.event(NewEvent {
        pipeline_id: Some(id),
        details: Some(serde_json::json!({ "was_held": row.hold_reason })),
        ..NewEvent::audit(by, Level::Info, "pipeline:continue", message)
    })?;
    reload(tx, id)
}

fn reload(tx: &mut Tx<'_>, id: PipelineId) -> Result<PipelineRow, Fault> {
    tx.journal
        .pipeline(id)?
        .ok_or_else(|| WriteError::NotFound(format!("pipeline {id}")).into())
}
