//! Lines of the archive as the rows that they were, and which of them are still in their tables.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use diesel::prelude::*;
use serde_json::Value;

use super::super::schema::{event_log, pipelines};
use super::super::{CommandRow, EventRow, Journal, PipelineRow, ReadError, report_walk};
use super::read::{Archived, Entry, Marks, Range, Seen, entries};
use super::{EventLine, Line, RowLine, files};
use crate::domain::{CommandId, Digest, Link, PipelineId, Timestamp};

const EVENT: &[u8] = b"{\"kind\":\"event\"";

fn wrong(why: impl std::fmt::Display) -> ReadError {
    ReadError::Row(format!("of the archive: {why}"))
}

impl Archived for EventRow {
    const BEGINS: &'static [u8] = EVENT;

    fn at(&self) -> Timestamp {
        self.timestamp
    }

    fn of(line: Entry) -> Result<Option<Self>, ReadError> {
        match line {
            Entry::Line(Line::Event(line)) => event(*line).map(Some),
            Entry::Line(_) | Entry::Checkpoint(_) => Ok(None),
        }
    }

    fn may_be_in(range: Range, Marks(ranges): &Marks) -> bool {
        range.may_be_in(ranges.event) || range.may_be_in(ranges.audit)
    }

    fn is_new(&self, seen: &mut Seen) -> bool {
        seen.event(self.id)
    }

    fn only_archived(mut rows: Vec<Self>, journal: &mut Journal) -> Result<Vec<Self>, ReadError> {
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let there = journal.events_still_here(&ids)?;
        rows.retain(|row| !there.contains(&(row.id, row.link)));
        Ok(rows)
    }
}

fn event(line: EventLine) -> Result<EventRow, ReadError> {
    Ok(EventRow {
        id: line.id,
        timestamp: line.timestamp.parse().map_err(wrong)?,
        category: line.category.parse().map_err(wrong)?,
        level: line.level.parse().map_err(wrong)?,
        actor: line.actor.parse().map_err(wrong)?,
        host_id: line.host_id.map(|id| id.parse()).transpose().map_err(wrong)?,
        host: line.host,
        action: line.action,
        message: line.message,
        details: line
            .details
            .map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))),
        command_id: line.command_id.map(|id| id.parse()).transpose().map_err(wrong)?,
        pipeline_id: line.pipeline_id.map(|id| id.parse()).transpose().map_err(wrong)?,
        link: line.link,
    })
}

/// As a report prints it.
impl Archived for report_walk::EventLine {
    const BEGINS: &'static [u8] = EVENT;

    fn at(&self) -> Timestamp {
        self.timestamp
    }

    fn of(line: Entry) -> Result<Option<Self>, ReadError> {
        let Entry::Line(Line::Event(mut line)) = line else {
            return Ok(None);
        };
        if !report_walk::has_address(&line.action) {
            line.details = None;
        }
        let row = event(*line)?;
        let address = row.details.as_ref().and_then(|details| details["address"].as_str());
        Ok(Some(Self {
            address: address.map(str::to_owned),
            id: row.id,
            timestamp: row.timestamp,
            category: row.category,
            level: row.level,
            actor: row.actor,
            host_id: row.host_id,
            host: row.host,
            action: row.action,
            message: row.message,
            command_id: row.command_id,
            pipeline_id: row.pipeline_id,
            link: row.link,
        }))
    }

    fn may_be_in(range: Range, marks: &Marks) -> bool {
        EventRow::may_be_in(range, marks)
    }

    fn is_new(&self, seen: &mut Seen) -> bool {
        seen.event(self.id)
    }

    fn only_archived(mut rows: Vec<Self>, journal: &mut Journal) -> Result<Vec<Self>, ReadError> {
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let there = journal.events_still_here(&ids)?;
        rows.retain(|row| !there.contains(&(row.id, row.link)));
        Ok(rows)
    }
}

impl Archived for CommandRow {
    const BEGINS: &'static [u8] = b"{\"kind\":\"command\"";

    fn at(&self) -> Timestamp {
        self.created_at
    }

    fn of(line: Entry) -> Result<Option<Self>, ReadError> {
        let Entry::Line(Line::Command(RowLine { host, mut row })) = line else {
            return Ok(None);
        };
        row["host"] = host.unwrap_or_default().into();
        row["output_cut"] = (row["output_cut"] == 1).into();
        serde_json::from_value(row).map(Some).map_err(wrong)
    }

    fn may_be_in(range: Range, Marks(ranges): &Marks) -> bool {
        range.may_be_in(ranges.command)
    }

    fn is_new(&self, seen: &mut Seen) -> bool {
        seen.commands.insert(self.id)
    }

    fn only_archived(mut rows: Vec<Self>, journal: &mut Journal) -> Result<Vec<Self>, ReadError> {
        let ids: Vec<CommandId> = rows.iter().map(|row| row.id).collect();
        let gone: HashSet<CommandId> = journal.without_row(&ids)?.into_iter().collect();
        rows.retain(|row| gone.contains(&row.id));
        Ok(rows)
    }
}

impl Archived for PipelineRow {
    const BEGINS: &'static [u8] = b"{\"kind\":\"pipeline\"";

    fn at(&self) -> Timestamp {
        self.created_at
    }

    fn of(line: Entry) -> Result<Option<Self>, ReadError> {
        let Entry::Line(Line::Pipeline(RowLine { mut row, .. })) = line else {
            return Ok(None);
        };
        // Columns that are JSON themselves.
        for column in ["hosts", "plan"] {
            if let Some(text) = row[column].as_str() {
                row[column] = serde_json::from_str(text).map_err(wrong)?;
            }
        }
        if row["plan"].is_null() {
            row["plan"] = serde_json::to_value(crate::domain::Plan::default()).map_err(wrong)?;
        }
        serde_json::from_value(row).map(Some).map_err(wrong)
    }

    fn may_be_in(range: Range, Marks(ranges): &Marks) -> bool {
        range.may_be_in(ranges.pipeline)
    }

    fn is_new(&self, seen: &mut Seen) -> bool {
        seen.pipelines.insert(self.id)
    }

    fn only_archived(mut rows: Vec<Self>, journal: &mut Journal) -> Result<Vec<Self>, ReadError> {
        let ids: Vec<PipelineId> = rows.iter().map(|row| row.id).collect();
        let there = journal.pipelines_still_here(&ids)?;
        rows.retain(|row| !there.contains(&row.id));
        Ok(rows)
    }
}

impl Journal {
    fn events_still_here(&mut self, ids: &[i64]) -> Result<HashSet<(i64, Link)>, ReadError> {
        let mut there = HashSet::new();
        for some in ids.chunks(500) {
            let rows: Vec<(i64, Link)> = event_log::table
                .filter(event_log::id.eq_any(some))
                .select((event_log::id, event_log::link))
                .load(&mut self.conn)?;
            there.extend(rows);
        }
        Ok(there)
    }

    fn pipelines_still_here(&mut self, ids: &[PipelineId]) -> Result<HashSet<PipelineId>, ReadError> {
        let rows: Vec<PipelineId> = pipelines::table
            .filter(pipelines::id.eq_any(ids))
            .select(pipelines::id)
            .load(&mut self.conn)?;
        Ok(rows.into_iter().collect())
    }

    /// Of some lines those whose rows are no longer in their tables; never a first line.
    pub(super) fn only_archived(&mut self, lines: Vec<Line>) -> Result<Vec<Line>, ReadError> {
        let (mut events, mut commands, mut pipelines) = (Vec::new(), Vec::new(), Vec::new());
        let id_of = |line: &RowLine| line.row["id"].as_str().unwrap_or_default().to_owned();
        for line in &lines {
            match line {
                Line::Archive(_) | Line::Definition { .. } => {}
                Line::Event(event) => events.push(event.id),
                Line::Command(line) => commands.extend(id_of(line).parse::<CommandId>()),
                Line::Pipeline(line) => pipelines.extend(id_of(line).parse::<PipelineId>()),
            }
        }
        let events = self.events_still_here(&events)?;
        let commands: HashSet<String> = self.without_row(&commands)?.iter().map(ToString::to_string).collect();
        let pipelines: HashSet<String> = self
            .pipelines_still_here(&pipelines)?
            .iter()
            .map(ToString::to_string)
            .collect();
        let keeps = |line: &Line| match line {
            Line::Archive(_) => false,
            Line::Definition { .. } => true,
            Line::Event(event) => !events.contains(&(event.id, event.link)),
            Line::Command(line) => commands.contains(&id_of(line)),
            Line::Pipeline(line) => !pipelines.contains(&id_of(line)),
        };
        Ok(lines.into_iter().filter(keeps).collect())
    }
}

/// The texts of definitions that were archived when nothing in the tables used them any more, of files that were made
/// at this time or later. What cannot be read is passed over. Blocks.
///
/// # Errors
/// When the folder cannot be read.
pub fn definitions(data_dir: &Path, wanted: &HashSet<Digest>, since: Timestamp) -> io::Result<HashMap<Digest, String>> {
    let mut found = HashMap::new();
    for file in files::list(data_dir)?.into_iter().filter(|file| file.made_at >= since) {
        if found.len() == wanted.len() {
            break;
        }
        let Ok(mut lines) = entries(&file.path) else { continue };
        while let Ok(Some(line)) = lines.next_of(b"{\"kind\":\"definition\"") {
            if let Entry::Line(Line::Definition { sha256, text }) = line
                && wanted.contains(&sha256)
                && Digest::of(text.as_bytes()) == sha256
            {
                found.insert(sha256, text);
            }
        }
    }
    Ok(found)
}
