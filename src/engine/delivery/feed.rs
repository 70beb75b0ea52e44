//! What goes to a place: events and checkpoints, written as the place takes them.

use crate::domain::{Checkpoint, CheckpointKind, Level, Target};
use crate::outlet::syslog::{Message, Severity};
use crate::store::{Cursor, EventFilter, EventRow, ReadError, Reader};

/// Events in one batch.
const EVENTS: i64 = 500;

/// Checkpoints in one batch. To a web address they go one by one, so that each counts as soon as it is there.
const CHECKPOINTS: i64 = 50;

/// Details above this size stay out of syslog, whose readers cut what is long; the file and the API have them.
const DETAILS_LIMIT: usize = 4096;

/// What is sent at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) messages: Vec<Vec<u8>>,
    /// The last id of it; none where there is nothing to send.
    pub(super) last: Option<i64>,
    /// First and last of what is missing before or in it.
    pub(super) gaps: Vec<(i64, i64)>,
    /// Checkpoints in it, with the last event that each covers.
    pub(super) checkpoints: Vec<(i64, i64)>,
}

/// The next events after one.
pub(super) async fn events(reader: &Reader, target: &Target, after: i64) -> Result<Batch, ReadError> {
    let rows = events_after(reader, after).await?;
    let from = Sender::here();
    Ok(Batch {
        messages: rows.iter().map(|row| from.event(target, row)).collect(),
        last: rows.last().map(|row| row.id),
        gaps: gaps(after, &rows),
        checkpoints: Vec::new(),
    })
}

/// The next events after one, oldest first.
pub(super) async fn events_after(reader: &Reader, after: i64) -> Result<Vec<EventRow>, ReadError> {
    let page = reader
        .read(move |journal| journal.events(&EventFilter::default(), Some(Cursor::After(after)), EVENTS))
        .await?;
    let mut rows = page.rows;
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

/// What is missing between one event and those that follow: ids have no gaps but those that a sweep leaves.
pub(super) fn gaps(after: i64, rows: &[EventRow]) -> Vec<(i64, i64)> {
    let mut gaps = Vec::new();
    let mut expected = after + 1;
    for row in rows {
        if row.id > expected {
            gaps.push((expected, row.id - 1));
        }
        expected = row.id + 1;
    }
    gaps
}

/// The next checkpoints after one.
pub(super) async fn checkpoints(reader: &Reader, target: &Target, after: i64) -> Result<Batch, ReadError> {
    let most = if matches!(target, Target::Url(_)) {
        1
    } else {
        CHECKPOINTS
    };
    let some = reader
        .read(move |journal| journal.checkpoints_after(after, most))
        .await?;
    let from = Sender::here();
    Ok(Batch {
        messages: some
            .iter()
            .map(|checkpoint| from.checkpoint(target, checkpoint))
            .collect(),
        last: some.last().map(|checkpoint| checkpoint.id),
        gaps: Vec::new(),
        checkpoints: some
            .iter()
            .map(|checkpoint| (checkpoint.id, checkpoint.event_id))
            .collect(),
    })
}

/// This process, as syslog names it.
struct Sender {
    host: String,
    pid: u32,
}

impl Sender {
    fn here() -> Self {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        Self {
            host: host.unwrap_or_default(),
            pid: std::process::id(),
        }
    }

    fn event(&self, target: &Target, row: &EventRow) -> Vec<u8> {
        if !is_syslog(target) {
            return serde_json::to_vec(row).unwrap_or_default();
        }
        let severity = match row.level {
            Level::Error => Severity::Error,
            Level::Warn => Severity::Warning,
            Level::Success => Severity::Notice,
            Level::Info => Severity::Informational,
        };
        let mut data = vec![
            ("id", row.id.to_string()),
            ("category", row.category.to_string()),
            ("level", row.level.to_string()),
            ("actor", row.actor.to_string()),
        ];
        let mut add = |name: &'static str, value: Option<String>| data.extend(value.map(|value| (name, value)));
        add("host", row.host.clone());
        add("command", row.command_id.map(|id| id.to_string()));
        add("pipeline", row.pipeline_id.map(|id| id.to_string()));
        if let Some(details) = row.details.as_ref().map(ToString::to_string) {
            if details.len() <= DETAILS_LIMIT {
                add("details", Some(details));
            } else {
                add("details_bytes", Some(details.len().to_string()));
            }
        }
        add("link", Some(row.link.to_string()));
        let message = Message {
            severity,
            time: &row.timestamp.to_rfc3339(),
            host: &self.host,
            pid: self.pid,
            id: &row.action,
            data: &data,
            text: &row.message,
        };
        message.to_bytes()
    }

    /// The line stands in the text as it is, so that it can be cut out and checked.
    fn checkpoint(&self, target: &Target, checkpoint: &Checkpoint) -> Vec<u8> {
        let line = checkpoint.line();
        if !is_syslog(target) {
            return line.into_bytes();
        }
        let data = [
            ("checkpoint", checkpoint.id.to_string()),
            ("event", checkpoint.event_id.to_string()),
            ("link", checkpoint.link.to_string()),
        ];
        let kind: CheckpointKind = checkpoint.kind;
        let message = Message {
            severity: Severity::Notice,
            time: &checkpoint.made_at.to_rfc3339(),
            host: &self.host,
            pid: self.pid,
            id: &format!("checkpoint:{kind}"),
            data: &data,
            text: &line,
        };
        message.to_bytes()
    }
}

fn is_syslog(target: &Target) -> bool {
    matches!(target, Target::Tcp(_) | Target::Socket(_))
}
