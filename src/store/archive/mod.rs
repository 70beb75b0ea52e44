//! The archive: what sweeps removed, as compressed JSON Lines in `archive/` of the data folder, one file per sweep.
//!
//! A file is on disk before a row goes ([`write`]), and ends with the checkpoint of its sweep, which has signed the
//! digest of all lines before it; so each file can be checked alone ([`verify_archive`]). Reports and exports read it
//! beside the tables: [`events`], [`commands`], [`pipelines`].
//!
//! Lines: first `{"kind":"archive", …}`; then rows, `event`, `command`, `pipeline`, `definition`; last the checkpoint as
//! [`crate::domain::Checkpoint::line`] writes it. An event has the eleven columns that the chain covers, as the text
//! that the database held, its link, and the link of the event before it (`prev`), so that each can be checked by
//! itself. A command or pipeline is `row`, every column that was not empty.
//!
//! A sweep that was cut off leaves a file that ends in `.part`. Its rows count; the next sweep takes them over into a
//! file of its own. A row may thus be in two files, or in a file and still in its table: readers drop the second.

mod files;
mod filter;
mod lacking;
mod read;
mod row;
mod stated;
mod verify;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use files::{ArchiveFile, Archives, archives};
pub(super) use files::{folder, is_there, parts, past, remove};
pub use lacking::{Lack, lacking};
pub(super) use read::Seen;
pub use read::{Archived, Range, Rows, commands, events, pipelines};
pub use row::definitions;
pub(super) use stated::{Known, Place, Sweep};
pub(super) use verify::verify_signed;
pub use verify::{ArchiveVerdict, verify_archive};
pub(super) use write::{Added, Writer};

use super::chain::Canonical;
use crate::domain::{Digest, Link, Timestamp};

/// One line, but for the last.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Archive(Head),
    Event(Box<EventLine>),
    Command(RowLine),
    Pipeline(RowLine),
    Definition { sha256: Digest, text: String },
}

/// The first line.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Head {
    /// The form of the file: 1.
    form: u32,
    /// Whose archive it is.
    dashboard: String,
    /// When the sweep began.
    made_at: Timestamp,
    /// The program that wrote it.
    program: String,
    /// The files of cut-off sweeps that it has taken over, by when they were begun; also those that these had.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    took: Vec<Timestamp>,
}

/// An event: the columns of its canonical row, as text.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct EventLine {
    id: i64,
    timestamp: String,
    category: String,
    level: String,
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_id: Option<String>,
    /// That host's name; no column.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    action: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_id: Option<String>,
    link: Link,
    /// The link of the event before it; none where the journal did not have that.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<Link>,
}

impl EventLine {
    fn new(row: Canonical, host: Option<String>, link: Link, prev: Option<Link>) -> Self {
        Self {
            id: row.id,
            timestamp: row.at_text,
            category: row.category,
            level: row.level,
            actor: row.actor,
            host_id: row.host_text,
            host,
            action: row.action,
            message: row.message,
            details: row.details,
            command_id: row.command_id,
            pipeline_id: row.pipeline_id,
            link,
            prev,
        }
    }

    /// The hash of its canonical row.
    fn row_hash(&self) -> Link {
        Link::of_row([
            Some(self.id.to_string().as_str()),
            Some(&self.timestamp),
            Some(&self.category),
            Some(&self.level),
            Some(&self.actor),
            self.host_id.as_deref(),
            Some(&self.action),
            Some(&self.message),
            self.details.as_deref(),
            self.command_id.as_deref(),
            self.pipeline_id.as_deref(),
        ])
    }
}

/// A command or a pipeline.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct RowLine {
    /// The name of a command's host; no column.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    row: Value,
}

/// What is in a file, as the checkpoint of its sweep states and signs it.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Contents {
    /// Lines before the checkpoint.
    pub(super) lines: u64,
    /// SHA-256 of these lines, each with its line feed.
    pub(super) sha256: Digest,
    pub(super) events: u64,
    pub(super) commands: u64,
    pub(super) pipelines: u64,
    /// When the file was begun, with which its name begins; none where an older version stated it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) began: Option<Timestamp>,
    /// The files of cut-off sweeps that it took over, by when they were begun.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) took: Vec<Timestamp>,
}

/// From when to when the rows of a file are, by kind. It stands in the file's header (see [`files`]), so that a reader
/// opens only what can hold what it looks for.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Ranges {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    event: Option<(Timestamp, Timestamp)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    audit: Option<(Timestamp, Timestamp)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    command: Option<(Timestamp, Timestamp)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pipeline: Option<(Timestamp, Timestamp)>,
}

impl Ranges {
    fn all(&self) -> [Option<(Timestamp, Timestamp)>; 4] {
        [self.event, self.audit, self.command, self.pipeline]
    }

    /// Whether these have room for all that others have.
    fn cover(&self, others: &Self) -> bool {
        self.all()
            .into_iter()
            .zip(others.all())
            .all(|(ours, theirs)| match (ours, theirs) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(ours), Some(theirs)) => ours.0 <= theirs.0 && ours.1 >= theirs.1,
            })
    }

    /// Makes room for a row.
    fn add(&mut self, line: &Line) {
        let (range, times) = match line {
            Line::Archive(_) | Line::Definition { .. } => return,
            Line::Event(event) if event.category == "audit" => (&mut self.audit, vec![event.timestamp.parse().ok()]),
            Line::Event(event) => (&mut self.event, vec![event.timestamp.parse().ok()]),
            Line::Command(line) => (&mut self.command, line.times()),
            Line::Pipeline(line) => (&mut self.pipeline, line.times()),
        };
        for time in times.into_iter().flatten() {
            let (from, until) = range.get_or_insert((time, time));
            *from = time.min(*from);
            *until = time.max(*until);
        }
    }
}

impl RowLine {
    fn times(&self) -> Vec<Option<Timestamp>> {
        ["created_at", "finished_at", "settled_at"]
            .iter()
            .map(|column| self.row[*column].as_str()?.parse().ok())
            .collect()
    }
}
