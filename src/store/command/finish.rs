//! How a command ends by what its host said, and how an orphan comes back from being one.

use super::super::{NewEvent, Store, WriteError};
use super::change::{Change, change, command_event, load};
use super::{CommandRow, Digest};
use crate::domain::{
    CommandId, CommandStatus, Evidence, Level, MESSAGE_LIMIT, Refusal, STRAY_MARKER, Span, Timestamp, bounded,
};

/// The whole output, as it lies on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputFacts {
    /// Its size, in bytes.
    pub bytes: i64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Whether it was cut at the limit.
    pub cut: bool,
}

/// An outcome.
#[derive(Clone, PartialEq, Debug)]
pub struct Finish {
    /// SUCCESS, ERROR, TIMEOUT, CANCELLED or ORPHANED.
    pub status: CommandStatus,
    /// Where the host reported one.
    pub exit_code: Option<i64>,
    /// What went wrong, for a reader.
    pub error: Option<String>,
    /// What the host said.
    pub evidence: Evidence,
    /// Measured on the host, where it was.
    pub duration: Option<Span>,
    /// The output, synced to disk before this.
    pub output: Option<OutputFacts>,
}

const MAY_HAVE_A_JOB: &[CommandStatus] = &[CommandStatus::Executing, CommandStatus::Orphaned];

impl Store {
    /// The command is final. It ended when the host says that it did; now is when we learned it.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] for a status that does not follow; `None` where it is not EXECUTING or an open ORPHANED.
    pub async fn finish(&self, id: CommandId, finish: Finish) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = load(tx, id, MAY_HAVE_A_JOB)? else {
                return Ok(None);
            };
            if finish.status.is_always_open() {
                return Err(WriteError::Conflict(format!("“{}” is no outcome", finish.status.name())).into());
            }
            let next = outcome(&row, &finish, tx.now);
            let was_orphaned = row.status == CommandStatus::Orphaned;
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            tx.event(NewEvent {
                details: Some(serde_json::json!({
                    "status": row.status,
                    "exit_code": row.exit_code,
                    "error": row.error,
                    "evidence": finish.evidence,
                    "after_restart": was_orphaned,
                })),
                ..command_event(&row, level(finish.status), sentence(&row, was_orphaned))
            })?;
            Ok(Some(row))
        })
        .await
    }

    /// An open ORPHANED is alive on its host: EXECUTING again, followed on, its deadline kept.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is no open ORPHANED.
    pub async fn reattach(&self, id: CommandId) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = load(tx, id, &[CommandStatus::Orphaned])? else {
                return Ok(None);
            };
            let next = Change {
                status: Some(CommandStatus::Executing),
                error: Some(None),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            let message = format!("{} still runs on {} and is followed again", row.op, row.host);
            tx.event(command_event(&row, Level::Success, message))?;
            Ok(Some(row))
        })
        .await
    }

    /// It is proved that the last launch never starts: the same command is launched once more.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is not EXECUTING or an open ORPHANED.
    pub async fn launch_again(&self, id: CommandId, evidence: Evidence) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(row) = load(tx, id, MAY_HAVE_A_JOB)? else {
                return Ok(None);
            };
            let next = Change {
                status: Some(CommandStatus::Executing),
                error: Some(None),
                launched_at: Some(None),
                launches: Some(row.launches + 1),
                evidence: Some(evidence.clone()),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            tx.event(NewEvent {
                details: Some(serde_json::json!({ "evidence": evidence, "launches": row.launches })),
                ..command_event(
                    &row,
                    Level::Info,
                    format!(
                        "{} had not started on {} (proved there); it is launched again",
                        row.op, row.host
                    ),
                )
            })?;
            Ok(Some(row))
        })
        .await
    }

    /// An open command is still not known to have ended, for this reason. No event where that is known already.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where it is not EXECUTING or an open ORPHANED.
    pub async fn still_unknown(&self, id: CommandId, why: String) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let why = bounded(&why, MESSAGE_LIMIT);
            let Some(row) = load(tx, id, MAY_HAVE_A_JOB)? else {
                return Ok(None);
            };
            // A number that varies from try to try (a time, a count) is no news.
            let known = |error: &String| shape(error) == shape(&why) || error.ends_with(&why);
            if row.error.as_ref().is_some_and(known) {
                return Ok(Some(row));
            }
            let next = Change {
                error: Some(Some(why.clone())),
                ..Change::default()
            };
            let Some(row) = change(tx, &row, &next)? else {
                return Ok(None);
            };
            let message = format!("{} on {}: its outcome is not known yet: {why}", row.op, row.host);
            tx.event(command_event(&row, Level::Warn, message))?;
            Ok(Some(row))
        })
        .await
    }
}

impl Store {
    /// An open command's host is heard again: what was wrong with it is over. No event: its being reached is one.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where nothing was wrong, or it is not EXECUTING.
    pub async fn heard_again(&self, id: CommandId) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let row = load(tx, id, &[CommandStatus::Executing])?.filter(|row| row.error.is_some());
            let Some(row) = row else { return Ok(None) };
            let next = Change {
                error: Some(None),
                ..Change::default()
            };
            change(tx, &row, &next)
        })
        .await
    }
}

/// A text with `#` for each of its numbers.
fn shape(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '0'..='9' if shape.ends_with('#') => {}
            '0'..='9' => shape.push('#'),
            other => shape.push(other),
        }
    }
    shape
}

/// The row's new values: its times in order, whatever the clocks say.
fn outcome(row: &CommandRow, finish: &Finish, now: Timestamp) -> Change {
    let started = row.started_at.unwrap_or(row.created_at);
    // A command that was launched twice began with the launch that counted.
    let began = if row.launches > 1 {
        row.launched_at.unwrap_or(started)
    } else {
        started
    };
    // By two clocks: the host measured the duration, ours saw the acknowledgement. The order of a row's times holds.
    let finished = match finish.duration {
        // Much longer than we have known of it, by whatever was set of our clock: no job took that.
        Some(duration) if began.plus(duration) <= now.max(began).plus(Span::from_days(1)) => {
            began.plus(duration).max(row.launched_at.unwrap_or(began))
        }
        Some(_) | None => now.max(row.launched_at.unwrap_or(began)),
    };
    let refusal = matches!(finish.evidence, Evidence::Locked { .. }) && finish.status == CommandStatus::Blocked;
    Change {
        exit_code: Some(finish.exit_code),
        finished_at: Some(finished),
        settled_at: Some(now.max(finished)),
        evidence: Some(finish.evidence.clone()),
        refusal: refusal.then_some(Refusal::Locked),
        output_bytes: finish.output.as_ref().map(|output| output.bytes),
        output_sha256: finish.output.as_ref().map(|output| output.sha256.clone()),
        output_cut: finish.output.as_ref().map(|output| output.cut),
        ..Change::end(row, finish.status, finish.error.clone(), now)
    }
}

const fn level(status: CommandStatus) -> Level {
    match status {
        CommandStatus::Success => Level::Success,
        CommandStatus::Error | CommandStatus::Timeout => Level::Error,
        CommandStatus::Orphaned | CommandStatus::Blocked => Level::Warn,
        CommandStatus::Cancelled
        | CommandStatus::Skipped
        | CommandStatus::Pending
        | CommandStatus::Validating
        | CommandStatus::Executing => Level::Info,
    }
}

/// "switch on web-03 failed, exit 4, after 4:12".
fn sentence(row: &CommandRow, was_orphaned: bool) -> String {
    let marked = matches!(
        row.evidence,
        Some(Evidence::Exit { stopped: Some(_), .. } | Evidence::ExitLost { stopped: Some(_) })
    );
    let stray = if marked && row.stop_reason.is_none() {
        STRAY_MARKER
    } else {
        ""
    };
    format!("{}{stray}", how_it_ended(row, was_orphaned))
}

fn how_it_ended(row: &CommandRow, was_orphaned: bool) -> String {
    let what = format!("{} on {}", row.op, row.host);
    let exit = row.exit_code.map(|code| format!(", exit {code}")).unwrap_or_default();
    let after = match (row.started_at, row.finished_at) {
        (Some(started), Some(finished)) => format!(", after {}", finished.since(started).human()),
        _ => String::new(),
    };
    let found = if was_orphaned { " (found out afterwards)" } else { "" };
    let error = row.error.as_deref().unwrap_or("nothing more is known");
    let by = row.stop_by.as_ref().map_or("the dashboard", |by| by.name());
    match row.status {
        CommandStatus::Success => format!("{what} succeeded{after}{found}"),
        CommandStatus::Error => format!("{what} failed{exit}{after}{found}"),
        CommandStatus::Timeout => format!("{what} was stopped, its time was up{exit}{after}{found}"),
        CommandStatus::Cancelled => format!("{what} was stopped by {by}{exit}{after}{found}"),
        CommandStatus::Orphaned => format!("{what}: outcome unknown: {error}"),
        CommandStatus::Blocked | CommandStatus::Skipped => format!("{what} did not run: {error}"),
        CommandStatus::Pending | CommandStatus::Validating | CommandStatus::Executing => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_varies_is_no_news() {
        assert_eq!(shape("silent for 9 s"), shape("silent for 45 s"));
        assert_ne!(shape("silent for 9 s"), shape("silent for 9 days"));
        assert_eq!(shape("10.0.0.1: refused"), "#.#.#.#: refused");
    }
}
