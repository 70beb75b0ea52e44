//! The first half of a command's life: contact, start, the host's acknowledgement; or that it ends before it began.

use super::super::{NewEvent, Store, WriteError};
use super::CommandRow;
use super::change::{Change, change, command_event, load};
use super::repeat::{Refused, repeated};
use crate::domain::{Actor, Category, CommandId, CommandStatus, Evidence, Identity, Level, Refusal, Timestamp};

fn of_row<'a>(row: &'a CommandRow, refusal: Refusal, why: &'a str) -> Refused<'a> {
    Refused {
        host_id: row.host_id,
        op: &row.op,
        actor: &row.actor,
        refusal,
        why,
        asked_at: row.created_at,
    }
}

const UNSTARTED: &[CommandStatus] = &[CommandStatus::Pending, CommandStatus::Validating];

impl Store {
    /// PENDING becomes VALIDATING: the host is being contacted.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is no longer PENDING.
    pub async fn begin_validating(&self, id: CommandId) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = load(tx, id, &[CommandStatus::Pending])? else {
                return Ok(None);
            };
            let next = Change {
                status: Some(CommandStatus::Validating),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            let message = format!("{} on {}: contacting the host", row.op, row.host);
            tx.event(command_event(&row, Level::Info, message))?;
            Ok(Some(row))
        })
        .await
    }

    /// VALIDATING becomes EXECUTING: from the commit on, the job may be on its host. `at` is where it will live.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is no longer VALIDATING, or somebody wished to stop it.
    pub async fn begin_executing(
        &self,
        id: CommandId,
        at: &Identity,
        deadline: Option<Timestamp>,
    ) -> Result<Option<CommandRow>, WriteError> {
        let at = at.clone();
        self.write(move |tx| {
            let Some(row) = load(tx, id, &[CommandStatus::Validating])?.filter(|row| row.stop_reason.is_none()) else {
                return Ok(None);
            };
            let next = Change {
                status: Some(CommandStatus::Executing),
                started_at: Some(tx.now.max(row.created_at)),
                deadline: Some(deadline),
                boot_id: Some(at.boot_id.clone()),
                machine_id: Some(at.machine_id.clone()),
                spool: Some(at.spool.clone()),
                launches: Some(1),
                output_file: Some(format!("output/{}", row.id)),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            tx.event(NewEvent {
                details: Some(serde_json::json!({ "at": at })),
                ..command_event(&row, Level::Info, format!("{} starts on {}", row.op, row.host))
            })?;
            Ok(Some(row))
        })
        .await
    }

    /// The host has acknowledged the start; its time counts from there.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is not EXECUTING, or was acknowledged before.
    pub async fn acknowledge(
        &self,
        id: CommandId,
        launched_at: Timestamp,
        deadline: Option<Timestamp>,
    ) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let row = load(tx, id, &[CommandStatus::Executing, CommandStatus::Orphaned])?;
            let Some(row) = row.filter(|row| row.launched_at.is_none()) else {
                return Ok(None);
            };
            let started = row.started_at.unwrap_or(row.created_at);
            let next = Change {
                launched_at: Some(Some(launched_at.max(started))),
                deadline: Some(deadline),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            let message = format!("{} acknowledged the start of {}", row.host, row.op);
            tx.event(command_event(&row, Level::Info, message))?;
            Ok(Some(row))
        })
        .await
    }

    /// The command ends BLOCKED: it is proved that nothing of it ran. `text` is the reason for a reader.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is not PENDING, VALIDATING or EXECUTING.
    pub async fn refuse(
        &self,
        id: CommandId,
        refusal: Refusal,
        text: String,
        evidence: Option<Evidence>,
    ) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let open = [
                CommandStatus::Pending,
                CommandStatus::Validating,
                CommandStatus::Executing,
            ];
            let Some(row) = load(tx, id, &open)? else {
                return Ok(None);
            };
            let repeat_of = match row.pipeline_id {
                Some(_) => None,
                None => repeated(tx, &of_row(&row, refusal, &text))?,
            };
            let next = Change {
                refusal: Some(refusal),
                evidence: evidence.clone(),
                repeat_of,
                ..Change::end(&row, CommandStatus::Blocked, Some(text.clone()), tx.now)
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            tx.event(NewEvent {
                action: format!("refused:{}", row.op),
                details: Some(serde_json::json!({ "refusal": refusal, "evidence": evidence })),
                ..command_event(
                    &row,
                    Level::Warn,
                    format!("{} was refused {} on {}: {text}", row.actor.name(), row.op, row.host),
                )
            })?;
            Ok(Some(row))
        })
        .await
    }

    /// VALIDATING becomes SKIPPED: the pre-check said "not needed", in these words.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is no longer VALIDATING.
    pub async fn skip(&self, id: CommandId, text: String) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = load(tx, id, &[CommandStatus::Validating])? else {
                return Ok(None);
            };
            let next = Change::end(&row, CommandStatus::Skipped, Some(text.clone()), tx.now);
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            // A check that says nothing of its own says just "not needed".
            let why = text
                .strip_prefix("not needed")
                .map_or(text.as_str(), |rest| rest.trim_start_matches([':', ' ']));
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(": {why}")
            };
            let message = format!("{} on {} was not needed{why}", row.op, row.host);
            tx.event(command_event(&row, Level::Success, message))?;
            Ok(Some(row))
        })
        .await
    }

    /// PENDING or VALIDATING becomes CANCELLED, by the journaled wish.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is neither.
    pub async fn cancel_unstarted(&self, id: CommandId) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = load(tx, id, UNSTARTED)? else {
                return Ok(None);
            };
            let by = row.stop_by.clone().unwrap_or(Actor::System);
            let note = row
                .stop_note
                .as_ref()
                .map(|note| format!(": {note}"))
                .unwrap_or_default();
            let error = format!("cancelled by {} before it started{note}", by.name());
            let Some(row) = change(
                tx,
                &row,
                &Change::end(&row, CommandStatus::Cancelled, Some(error), tx.now),
            )?
            else {
                return Ok(None);
            };
            let category = match by {
                Actor::System => Category::System,
                Actor::User(_) | Actor::Token(_) | Actor::Local(_) => Category::Audit,
            };
            let message = format!(
                "{} on {} was cancelled by {} before it started{note}",
                row.op,
                row.host,
                by.name()
            );
            tx.event(NewEvent {
                category,
                actor: by,
                ..command_event(&row, Level::Info, message)
            })?;
            Ok(Some(row))
        })
        .await
    }
}
