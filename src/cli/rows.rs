//! Rows for a reader: commands and events as the API gives them, in the words that the pages use.

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{Actor, CommandId, CommandStatus, Span, Standing, Timestamp, spoken};

use super::failure::Failure;
use super::out::Out;

/// What the command line shows of a command.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct CommandRow {
    pub(super) id: CommandId,
    pub(super) host: String,
    pub(super) op: String,
    pub(super) status: CommandStatus,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) settled_at: Option<Timestamp>,
    pub(super) exit_code: Option<i64>,
    pub(super) error: Option<String>,
    pub(super) actor: String,
    pub(super) reason: Option<String>,
    pub(super) refusal: Option<String>,
    pub(super) evidence: Option<Value>,
    pub(super) spool: Option<String>,
    pub(super) definition: String,
    pub(super) retry_of: Option<CommandId>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) stop_by: Option<String>,
    pub(super) stop_at: Option<Timestamp>,
    pub(super) overdue_at: Option<Timestamp>,
    pub(super) output_bytes: Option<i64>,
    pub(super) late_word: Option<String>,
    pub(super) late_at: Option<Timestamp>,
    pub(super) acknowledged_by: Option<String>,
    pub(super) acknowledged_at: Option<Timestamp>,
    pub(super) acknowledged_note: Option<String>,
    pub(super) kept_by: Option<String>,
    pub(super) kept_reason: Option<String>,
}

/// What the command line shows of an event.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct EventRow {
    pub(super) id: i64,
    pub(super) timestamp: Timestamp,
    pub(super) level: String,
    pub(super) actor: String,
    pub(super) host: Option<String>,
    pub(super) message: String,
}

impl CommandRow {
    /// As the API gives it, with the times in its sentences in the configured zone.
    pub(super) fn read(row: &Value, zone: &TimeZone) -> Result<Self, Failure> {
        let row = Self::deserialize(row)?;
        let say = |text: Option<String>, written| text.map(|text| spoken(zone, &text, written));
        Ok(Self {
            error: say(row.error, row.finished_at.unwrap_or(row.created_at)),
            late_word: say(row.late_word, row.late_at.unwrap_or(row.created_at)),
            ..row
        })
    }

    pub(super) fn is_final(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Where it stands, in the words of the pages.
    pub(super) fn words(&self) -> String {
        let code = self.refusal.as_deref().unwrap_or_default();
        let by = name(self.stop_by.as_deref().unwrap_or(&self.actor));
        Standing {
            status: self.status,
            ended: self.is_final(),
            overdue: self.overdue_at.is_some(),
            stopping: self.stop_at.is_some(),
            exit_code: self.exit_code,
            cancelled_by: &by,
            refusal: code.parse().ok(),
            why: self.error.as_deref().unwrap_or(code),
            late: self.late_word.as_deref().unwrap_or_default(),
        }
        .words()
    }

    /// The same in a column of a table: what the host said later is not cut off.
    fn cell(&self) -> String {
        let words = self.words();
        match &self.late_word {
            Some(late) => {
                let late = format!("; the host said later: {}", short(late, 40));
                let before = words.split("; the host said later: ").next().unwrap_or_default();
                format!("{}{late}", short(before, 60))
            }
            None => short(&words, 60),
        }
    }

    /// How long it took, or has been going on.
    pub(super) fn took(&self) -> String {
        let Some(started) = self.started_at else {
            return String::new();
        };
        let end = self.finished_at.unwrap_or_else(Timestamp::now);
        end.since(started).human()
    }

    /// `switch on web-03: Failed, exit 4`
    pub(super) fn sentence(&self) -> String {
        format!("{} on {}: {}", self.op, self.host, self.words())
    }
}

/// The bare name of an actor; the dashboard itself is `system`.
pub(super) fn name(actor: &str) -> String {
    match actor.parse::<Actor>() {
        Ok(Actor::System) | Err(_) => actor.to_owned(),
        Ok(actor) => actor.name().to_owned(),
    }
}

/// An instant in the configured zone, with its name.
pub(super) fn when(instant: Timestamp, zone: &TimeZone) -> String {
    let zoned = instant.as_jiff().to_zoned(zone.clone());
    zoned.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// How long ago, roughly.
pub(super) fn ago(instant: Timestamp) -> String {
    let span: Span = Timestamp::now().since(instant);
    match span.as_secs() {
        0..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", span.as_secs() / 60),
        3_600..86_400 => format!("{} h ago", span.as_secs() / 3_600),
        _ => format!("{} d ago", span.as_secs() / 86_400),
    }
}

/// The rows of an answer.
pub(super) fn list(answer: &Value, key: &str) -> Vec<Value> {
    answer[key].as_array().cloned().unwrap_or_default()
}

/// Commands as a table.
pub(super) fn commands(out: &mut Out, rows: &[Value], zone: &TimeZone) -> Result<(), Failure> {
    let mut cells = Vec::with_capacity(rows.len());
    for row in rows {
        let row = CommandRow::read(row, zone)?;
        cells.push(vec![
            when(row.created_at, zone),
            row.cell(),
            row.op.clone(),
            row.host.clone(),
            name(&row.actor),
            row.took(),
            row.id.to_string(),
        ]);
    }
    out.table(&["WHEN", "STATUS", "OP", "HOST", "BY", "TOOK", "ID"], &cells)
}

/// One line, cut where a column would grow too wide.
fn short(text: &str, limit: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= limit && !text.contains('\n') {
        return line.to_owned();
    }
    let cut: String = line.chars().take(limit - 1).collect();
    format!("{cut}…")
}

/// One event, one line.
pub(super) fn event(out: &mut Out, row: &Value, zone: &TimeZone) -> Result<(), Failure> {
    let row = EventRow::deserialize(row)?;
    let host = row.host.as_deref().unwrap_or("-");
    let message = spoken(zone, &row.message, row.timestamp).replace('\n', " ");
    out.line(&format!(
        "{}  {:<7}  {:<10}  {host:<12}  {message}  #{}",
        when(row.timestamp, zone),
        row.level,
        name(&row.actor),
        row.id
    ))
}
