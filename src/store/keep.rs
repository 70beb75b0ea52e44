//! Marks of people on commands and pipelines that no sweep may take: they stay, with their events and outputs, until
//! somebody takes the mark away. The mark is part of the row, so where the row is final its event seals it anew.

use diesel::prelude::*;

use super::command::command_event;
use super::error::Fault;
use super::schema::{commands, pipelines};
use super::tx::Tx;
use super::{By, CommandRow, Journal, NewEvent, PAGE_LIMIT, PipelineRow, ReadError, Store, Topic, WriteError};
use crate::domain::{CommandId, Level, MESSAGE_LIMIT, PipelineId, Timestamp, bounded};

/// What was on a row before, and what is asked for: with a reason it is kept, without it is not.
fn refused(kept_at: Option<Timestamp>, asked: Option<&String>, what: &str) -> Option<WriteError> {
    match (kept_at, asked) {
        (None, None) => Some(WriteError::Conflict(format!("{what} is not kept"))),
        (Some(at), Some(_)) => {
            let since = super::host::clock(at);
            Some(WriteError::Conflict(format!("{what} is kept already, since {since}")))
        }
        (Some(_), None) | (None, Some(_)) => None,
    }
}

fn sentence(by: &By, what: &str, reason: Option<&String>) -> (&'static str, String) {
    let who = by.actor.name();
    match reason {
        Some(reason) => ("keep", format!("{who} wants {what} kept: {reason}")),
        None => ("unkeep", format!("{who} lets {what} go when its time comes")),
    }
}

impl Journal {
    /// The commands that somebody wants kept, oldest first; a thousand at most.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn kept_commands(&mut self) -> Result<Vec<CommandRow>, ReadError> {
        Ok(super::command::rows()
            .filter(commands::kept_at.is_not_null())
            .order(commands::id.asc())
            .limit(PAGE_LIMIT)
            .load(&mut self.conn)?)
    }

    /// The pipelines that somebody wants kept, oldest first; a thousand at most.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn kept_pipelines(&mut self) -> Result<Vec<PipelineRow>, ReadError> {
        Ok(pipelines::table
            .filter(pipelines::kept_at.is_not_null())
            .order(pipelines::id.asc())
            .limit(PAGE_LIMIT)
            .select(PipelineRow::as_select())
            .load(&mut self.conn)?)
    }
}

impl Store {
    /// Marks a command as kept, for a reason; or, without one, takes the mark away.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where it is so already.
    pub async fn keep_command(&self, id: CommandId, reason: Option<String>, by: By) -> Result<CommandRow, WriteError> {
        self.write(move |tx| keep_command(tx, id, reason.as_ref(), &by)).await
    }

    /// The same for a pipeline, with all of its commands.
    ///
    /// # Errors
    /// As [`Store::keep_command`].
    pub async fn keep_pipeline(
        &self,
        id: PipelineId,
        reason: Option<String>,
        by: By,
    ) -> Result<PipelineRow, WriteError> {
        self.write(move |tx| keep_pipeline(tx, id, reason.as_ref(), &by)).await
    }
}

fn keep_command(tx: &mut Tx<'_>, id: CommandId, reason: Option<&String>, by: &By) -> Result<CommandRow, Fault> {
    let missing = || WriteError::NotFound(format!("command {id}"));
    let row = tx.journal.command(id)?.ok_or_else(missing)?;
    let what = format!("{} on {}", row.op, row.host);
    if let Some(why) = refused(row.kept_at, reason, &what) {
        return Err(why.into());
    }
    diesel::update(commands::table.find(id))
        .set((
            commands::kept_by.eq(reason.map(|_| &by.actor)),
            commands::kept_at.eq(reason.map(|_| tx.now)),
            commands::kept_reason.eq(reason.map(|reason| bounded(reason, MESSAGE_LIMIT))),
        ))
        .execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Commands);
    let row = tx.journal.command(id)?.ok_or_else(missing)?;
    let (action, message) = sentence(by, &what, reason);
    let about = command_event(&row, Level::Info, "");
    tx.event(NewEvent {
        host_id: about.host_id,
        command_id: about.command_id,
        pipeline_id: about.pipeline_id,
        seals: !row.is_open(),
        ..NewEvent::audit(by, Level::Info, action, message)
    })?;
    Ok(row)
}

fn keep_pipeline(tx: &mut Tx<'_>, id: PipelineId, reason: Option<&String>, by: &By) -> Result<PipelineRow, Fault> {
    let missing = || WriteError::NotFound(format!("pipeline {id}"));
    let row = tx.journal.pipeline(id)?.ok_or_else(missing)?;
    let what = format!("the pipeline “{}”", row.name);
    if let Some(why) = refused(row.kept_at, reason, &what) {
        return Err(why.into());
    }
    diesel::update(pipelines::table.find(id))
        .set((
            pipelines::kept_by.eq(reason.map(|_| &by.actor)),
            pipelines::kept_at.eq(reason.map(|_| tx.now)),
            pipelines::kept_reason.eq(reason.map(|reason| bounded(reason, MESSAGE_LIMIT))),
        ))
        .execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Pipelines);
    let row = tx.journal.pipeline(id)?.ok_or_else(missing)?;
    let (action, message) = sentence(by, &what, reason);
    tx.event(NewEvent {
        pipeline_id: Some(id),
        seals: !row.is_open(),
        ..NewEvent::audit(by, Level::Info, action, message)
    })?;
    Ok(row)
}
