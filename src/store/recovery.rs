//! The pass at start, in one transaction, before any work is taken: what was executing is now unknown, what had
//! not begun is resumed or cancelled. Twice in a row changes nothing more.

use std::path::Path;

use super::command::{Change, change, command_event};
use super::error::Fault;
use super::pipeline::hold_before_danger;
use super::tx::Tx;
use super::{CommandRow, Journal, NewEvent, ReadError, Store};
use crate::domain::{Category, CommandStatus, Definition, Level, Span, Timestamp};

/// What every command that was executing gets to hear.
const RESTARTED: &str = "Dashboard restarted";

/// What a recovery did, or would do.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Were EXECUTING, are ORPHANED and open: their hosts have to be asked.
    pub orphaned: Vec<CommandRow>,
    /// Were ORPHANED and open before already: their hosts have to be asked again.
    pub asked_again: Vec<CommandRow>,
    /// PENDING or VALIDATING, young and harmless, or of a pipeline: they go on from there, the latter when their
    /// pipeline does.
    pub resumed: Vec<CommandRow>,
    /// PENDING or VALIDATING, and CANCELLED: their `error` says why.
    pub cancelled: Vec<CommandRow>,
}

/// What becomes of an open command at a start.
enum Fate {
    Orphan,
    Resume,
    Cancel(String),
    /// It is an orphan already.
    Stay,
}

impl Journal {
    /// What a start on this data folder, with this folder for high-water marks, would do now, with the rows as they are.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn recovery_preview(
        &mut self,
        data_dir: &Path,
        machine_folder: Option<&Path>,
        resume_within: Span,
    ) -> Result<Recovered, ReadError> {
        let now = Timestamp::now();
        let restored_at = if self.is_restored(data_dir, machine_folder)? {
            Some(now)
        } else {
            self.instance_row()?.restored_at
        };
        let mut would = Recovered::default();
        for row in self.open_commands()? {
            match self.fate(&row, resume_within, restored_at, now)? {
                Fate::Orphan => would.orphaned.push(row),
                Fate::Resume => would.resumed.push(row),
                Fate::Cancel(_) => would.cancelled.push(row),
                Fate::Stay => would.asked_again.push(row),
            }
        }
        Ok(would)
    }

    fn fate(
        &mut self,
        row: &CommandRow,
        resume_within: Span,
        restored_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Fate, ReadError> {
        match row.status {
            CommandStatus::Executing => return Ok(Fate::Orphan),
            CommandStatus::Pending | CommandStatus::Validating => {}
            CommandStatus::Orphaned
            | CommandStatus::Success
            | CommandStatus::Error
            | CommandStatus::Timeout
            | CommandStatus::Cancelled
            | CommandStatus::Blocked
            | CommandStatus::Skipped => return Ok(Fate::Stay),
        }
        if let Some(by) = &row.stop_by {
            let note = row
                .stop_note
                .as_ref()
                .map(|note| format!(": {note}"))
                .unwrap_or_default();
            return Ok(Fate::Cancel(format!(
                "cancelled by {} before it started{note}",
                by.name()
            )));
        }
        if row.pipeline_id.is_some() {
            // Its pipeline decides, which is held where its turn should not come by itself: a row that is cancelled
            // here would count as a failure of its host.
            return Ok(Fate::Resume);
        }
        // At later starts too: the row stands for what another database had become of.
        if restored_at.is_some_and(|restored| restored > row.created_at) {
            return Ok(Fate::Cancel(
                "not started: the database was restored from a backup meanwhile".to_owned(),
            ));
        }
        let age = now.since(row.created_at);
        if age >= resume_within {
            return Ok(Fate::Cancel(format!(
                "not started: the dashboard came back {} after it was asked for",
                age.human()
            )));
        }
        // A definition that cannot be read counts as dangerous: nobody knows what it would do.
        let text = self.definition(&row.definition)?;
        let harmless = text
            .and_then(|text| Definition::read(&text).ok())
            .is_some_and(|op| !op.dangerous);
        Ok(if harmless {
            Fate::Resume
        } else {
            Fate::Cancel("not started: the dashboard restarted, and the op is dangerous; ask for it again".to_owned())
        })
    }
}

impl Store {
    /// Makes every EXECUTING command an open ORPHANED one, and decides about those that had not begun:
    /// what is older than `resume_within`, dangerous, or from before a restore is CANCELLED, unless it is part of a
    /// pipeline. A pipeline whose next op is dangerous is HELD.
    ///
    /// # Errors
    /// [`super::WriteError`]; then nothing was changed.
    pub async fn orphan_executing(&self, resume_within: Span) -> Result<Recovered, super::WriteError> {
        self.write(move |tx| recover(tx, resume_within)).await
    }
}

fn recover(tx: &mut Tx<'_>, resume_within: Span) -> Result<Recovered, Fault> {
    let mut did = Recovered::default();
    let now = tx.now;
    let restored_at = tx.journal.instance_row()?.restored_at;
    for row in tx.journal.open_commands()? {
        match tx.journal.fate(&row, resume_within, restored_at, now)? {
            Fate::Orphan => {
                let next = Change {
                    status: Some(CommandStatus::Orphaned),
                    error: Some(Some(RESTARTED.to_owned())),
                    ..Change::default()
                };
                let message = format!(
                    "{} was executing on {} when the dashboard stopped; its outcome is being found out",
                    row.op, row.host
                );
                did.orphaned.extend(step(tx, &row, &next, message)?);
            }
            Fate::Cancel(why) => {
                let message = format!("{} on {}: {why}", row.op, row.host);
                let next = Change::end(&row, CommandStatus::Cancelled, Some(why), tx.now);
                did.cancelled.extend(step(tx, &row, &next, message)?);
            }
            Fate::Resume => did.resumed.push(row),
            Fate::Stay => did.asked_again.push(row),
        }
    }
    hold_before_danger(tx)?;
    if !(did.orphaned.is_empty() && did.cancelled.is_empty()) {
        let message = format!(
            "Dashboard restarted: {} executing (being found out now), {} waiting and resumed, {} waiting and cancelled",
            count(did.orphaned.len()),
            did.resumed.len(),
            did.cancelled.len()
        );
        tx.event(NewEvent {
            details: Some(serde_json::json!({
                "orphaned": did.orphaned.len(),
                "resumed": did.resumed.len(),
                "cancelled": did.cancelled.len(),
                "asked_again": did.asked_again.len(),
                "restored_at": restored_at,
            })),
            ..NewEvent::system(Level::Warn, "recovery", message)
        })?;
    }
    Ok(did)
}

fn count(commands: usize) -> String {
    match commands {
        1 => "1 command was".to_owned(),
        n => format!("{n} commands were"),
    }
}

fn step(tx: &mut Tx<'_>, row: &CommandRow, next: &Change, message: String) -> Result<Option<CommandRow>, Fault> {
    let Some(row) = change(tx, row, next)? else {
        return Ok(None);
    };
    tx.event(NewEvent {
        category: Category::System,
        action: "recovery".to_owned(),
        ..command_event(&row, Level::Warn, message)
    })?;
    Ok(Some(row))
}
