//! Wishes about open commands, and what was announced of them: stop, more time, overdue, resolved by hand, notes.
//! A wish is journaled before anybody acts on it, so that a restart does not forget it.

use serde_json::Value;

use super::super::error::Fault;
use super::super::tx::Tx;
use super::super::{By, NewEvent, Store, WriteError};
use super::CommandRow;
use super::change::{Change, change, command_event, load};
use crate::domain::{Actor, Category, CommandId, CommandStatus, Level, MESSAGE_LIMIT, StopReason, Timestamp, bounded};

const OPEN: &[CommandStatus] = &[
    CommandStatus::Pending,
    CommandStatus::Validating,
    CommandStatus::Executing,
    CommandStatus::Orphaned,
];
const MAY_HAVE_A_JOB: &[CommandStatus] = &[CommandStatus::Executing, CommandStatus::Orphaned];

/// An event about a command that somebody caused; the dashboard's own are `system`.
fn event_by(row: &CommandRow, by: &By, level: Level, message: String) -> NewEvent {
    let category = match by.actor {
        Actor::System => Category::System,
        Actor::User(_) | Actor::Token(_) | Actor::Local(_) => Category::Audit,
    };
    NewEvent {
        category,
        actor: by.actor.clone(),
        address: by.address.clone(),
        ..command_event(row, level, message)
    }
}

impl Store {
    /// Somebody wishes to stop an open command. The first wish stays; a later one is only noted.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is final.
    pub async fn wish_stop(
        &self,
        id: CommandId,
        why: StopReason,
        by: By,
        reason: Option<String>,
    ) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| stop(tx, id, why, &by, reason.as_deref())).await
    }

    /// Moves an open command's deadline. "Overdue" may then be announced anew.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is final.
    pub async fn extend(&self, id: CommandId, deadline: Timestamp, by: By) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = load(tx, id, OPEN)? else {
                return Ok(None);
            };
            let next = Change {
                deadline: Some(Some(deadline)),
                overdue_at: Some(None),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            let until = super::super::host::clock(deadline);
            let message = format!("{} gave {} on {} time until {until}", by.actor.name(), row.op, row.host);
            tx.event(event_by(&row, &by, Level::Info, message))?;
            Ok(Some(row))
        })
        .await
    }

    /// Announces once that a command takes longer than usual.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it has no job, or that was announced before.
    pub async fn warn(&self, id: CommandId) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let row = load(tx, id, MAY_HAVE_A_JOB)?;
            let Some(row) = row.filter(|row| row.warned_at.is_none()) else {
                return Ok(None);
            };
            let next = Change {
                warned_at: Some(tx.now),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            let message = format!("{} on {} takes longer than usual", row.op, row.host);
            tx.event(command_event(&row, Level::Warn, message))?;
            Ok(Some(row))
        })
        .await
    }

    /// Announces once that a command's time is up though nobody stops it.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it has no job, or that was announced before.
    pub async fn overdue(&self, id: CommandId) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let row = load(tx, id, MAY_HAVE_A_JOB)?;
            let Some(row) = row.filter(|row| row.overdue_at.is_none()) else {
                return Ok(None);
            };
            let next = Change {
                overdue_at: Some(Some(tx.now)),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            let message = format!(
                "{} on {} is overdue; its host stays locked until it ends",
                row.op, row.host
            );
            tx.event(NewEvent {
                details: Some(serde_json::json!({ "status": row.status, "overdue": true })),
                ..command_event(&row, Level::Warn, message)
            })?;
            Ok(Some(row))
        })
        .await
    }

    /// An EXECUTING command's host is silent, for this reason: from now on its outcome is being found out, as after a
    /// restart, and a person may resolve it.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is not EXECUTING.
    pub async fn orphan(&self, id: CommandId, by: By, why: String) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = load(tx, id, &[CommandStatus::Executing])? else {
                return Ok(None);
            };
            let why = bounded(&why, MESSAGE_LIMIT);
            let next = Change {
                status: Some(CommandStatus::Orphaned),
                error: Some(Some(why.clone())),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            let message = format!("{} on {} is being found out: {why}", row.op, row.host);
            tx.event(NewEvent {
                details: Some(serde_json::json!({ "status": row.status })),
                ..event_by(&row, &by, Level::Warn, message)
            })?;
            Ok(Some(row))
        })
        .await
    }

    /// Somebody ends an open ORPHANED by hand: final ORPHANED, its host free. `found` is what the host said last.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is no open ORPHANED.
    pub async fn resolve(
        &self,
        id: CommandId,
        by: By,
        reason: String,
        found: String,
    ) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = load(tx, id, &[CommandStatus::Orphaned])? else {
                return Ok(None);
            };
            let error = format!("resolved by {}: {reason}", by.actor.name());
            let next = Change {
                resolved_by: Some(by.actor.clone()),
                ..Change::end(&row, CommandStatus::Orphaned, Some(error), tx.now)
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            let message = format!(
                "{} resolved {} on {}, outcome unknown: {reason}",
                by.actor.name(),
                row.op,
                row.host
            );
            tx.event(NewEvent {
                details: Some(serde_json::json!({ "reason": reason, "found": found })),
                ..event_by(&row, &by, Level::Warn, message)
            })?;
            Ok(Some(row))
        })
        .await
    }

    /// Somebody asks the host of a command once more, now.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where there is no such command.
    pub async fn asked_to_find_out(&self, id: CommandId, by: By) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = tx.journal.command(id)? else {
                return Ok(None);
            };
            let message = format!("{} asked {} again about {}", by.actor.name(), row.host, row.op);
            tx.event(event_by(&row, &by, Level::Info, message))?;
            Ok(Some(row))
        })
        .await
    }

    /// Journals what a stop did on the host, step by step.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where there is no such command.
    pub async fn report_stop(
        &self,
        id: CommandId,
        message: String,
        details: Value,
        level: Level,
    ) -> Result<Option<CommandRow>, WriteError> {
        self.note(id, level, message, Some(details)).await
    }

    /// More output came than `limit` bytes: none of that is kept, the op goes on, and its row says so from now on.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it may have no job, or that is known already.
    pub async fn cut_output(&self, id: CommandId, limit: u64) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let row = load(tx, id, MAY_HAVE_A_JOB)?.filter(|row| !row.output_cut);
            let Some(row) = row else { return Ok(None) };
            let next = Change {
                output_cut: Some(true),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            let message = format!(
                "{} sent more output of {} than the limit of {limit} bytes: it is cut there, and the op goes on",
                row.host, row.op
            );
            tx.event(command_event(&row, Level::Warn, message))?;
            Ok(Some(row))
        })
        .await
    }

    /// Journals something about a command, open or final, that does not change it: a late or repeated result.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where there is no such command.
    pub async fn note(
        &self,
        id: CommandId,
        level: Level,
        message: String,
        details: Option<Value>,
    ) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = tx.journal.command(id)? else {
                return Ok(None);
            };
            tx.event(NewEvent {
                details: details.clone(),
                ..command_event(&row, level, message.clone())
            })?;
            Ok(Some(row))
        })
        .await
    }
}

/// Journals the wish to stop a command, with its event. None where it is final.
pub(in crate::store) fn stop(
    tx: &mut Tx<'_>,
    id: CommandId,
    why: StopReason,
    by: &By,
    reason: Option<&str>,
) -> Result<Option<CommandRow>, Fault> {
    let Some(row) = load(tx, id, OPEN)? else {
        return Ok(None);
    };
    let note = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    if let Some(first) = &row.stop_by {
        if by.actor != Actor::System {
            let message = format!(
                "{} asked to stop {} on {} as well, after {}{note}",
                by.actor.name(),
                row.op,
                row.host,
                first.name()
            );
            tx.event(event_by(&row, by, Level::Info, message))?;
        }
        return Ok(Some(row));
    }
    let next = Change {
        stop_reason: Some(why),
        stop_by: Some(by.actor.clone()),
        stop_at: Some(tx.now.max(row.created_at)),
        stop_note: reason.map(|reason| bounded(reason, MESSAGE_LIMIT)),
        ..Change::default()
    };
    let Some(row) = change(tx, &row, &next)? else {
        return Ok(None);
    };
    let message = match why {
        StopReason::Cancel => format!("{} asked to stop {} on {}{note}", by.actor.name(), row.op, row.host),
        StopReason::Timeout => format!(
            "the time of {} on {} is up; it is being stopped{note}",
            row.op, row.host
        ),
    };
    tx.event(event_by(&row, by, Level::Warn, message))?;
    Ok(Some(row))
}
