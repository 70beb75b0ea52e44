//! Rows as files: CSV and JSON Lines, oldest first, a batch of rows in each read transaction, so that a million of them
//! take no more memory than a thousand and no reader holds the write-ahead log.
//!
//! What is newer than the beginning of the export is not part of it.

use serde::Serialize;
use serde_json::Value;

use super::{
    CommandRow, Cursor, EventFilter, EventRow, HistoryFilter, Journal, Keyed, PAGE_LIMIT, Page, PipelineFilter,
    PipelineRow, ReadError,
};
use crate::domain::{CommandId, ExportFormat, ExportOf, PipelineId, Timestamp};

/// Which rows are taken away.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Events.
    Events(EventFilter),
    /// Commands.
    Commands(HistoryFilter),
    /// Pipelines.
    Pipelines(PipelineFilter),
}

impl Selection {
    /// Of which table they are.
    #[must_use]
    pub const fn of(&self) -> ExportOf {
        match self {
            Self::Events(_) => ExportOf::Events,
            Self::Commands(_) => ExportOf::Commands,
            Self::Pipelines(_) => ExportOf::Pipelines,
        }
    }
}

/// A row that can be taken away.
trait Exported: Keyed + Serialize {
    /// Its fields, in the order of a CSV's columns.
    const COLUMNS: &'static [&'static str];
}

impl Exported for EventRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "timestamp",
        "category",
        "level",
        "actor",
        "host",
        "host_id",
        "action",
        "message",
        "details",
        "command_id",
        "pipeline_id",
        "link",
    ];
}

impl Exported for CommandRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "created_at",
        "started_at",
        "launched_at",
        "finished_at",
        "settled_at",
        "status",
        "op",
        "host",
        "host_id",
        "actor",
        "reason",
        "exit_code",
        "error",
        "refusal",
        "evidence",
        "pipeline_id",
        "stage",
        "retry_of",
        "definition",
        "output_bytes",
        "output_sha256",
        "output_cut",
        "output_file",
        "stop_reason",
        "stop_by",
        "stop_at",
        "stop_note",
        "resolved_by",
        "acknowledged_by",
        "acknowledged_at",
        "acknowledged_note",
        "repeat_of",
        "kept_by",
        "kept_at",
        "kept_reason",
        "deadline",
        "warned_at",
        "overdue_at",
        "launches",
        "boot_id",
        "machine_id",
        "spool",
    ];
}

impl Exported for PipelineRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "created_at",
        "finished_at",
        "status",
        "name",
        "actor",
        "reason",
        "hosts",
        "current_stage",
        "hold_reason",
        "cancel_mode",
        "cancel_by",
        "cancel_at",
        "cancel_note",
        "kept_by",
        "kept_at",
        "kept_reason",
        "retry_of",
        "evidence",
        "plan",
    ];
}

/// Where an export is: below `next` all rows are out, above `last` none will be.
#[derive(Clone, Copy, Debug)]
struct Span<I> {
    next: I,
    last: I,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Before,
    Events(Span<i64>),
    Commands(Span<CommandId>),
    Pipelines(Span<PipelineId>),
    End,
}

/// An export on its way: asked for batch after batch until there is none.
#[derive(Clone, Debug)]
pub struct Export {
    selection: Selection,
    format: ExportFormat,
    place: Place,
}

/// Some rows of an export as the bytes of the file.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Batch {
    /// The next bytes of the file.
    pub bytes: Vec<u8>,
    /// How many rows they are.
    pub rows: u64,
}

impl Export {
    /// Of these rows, in this form.
    #[must_use]
    pub const fn new(selection: Selection, format: ExportFormat) -> Self {
        Self {
            selection,
            format,
            place: Place::Before,
        }
    }

    /// The next batch; none after the last one. Blocks: one page of rows.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn batch(&mut self, journal: &mut Journal) -> Result<Option<Batch>, ReadError> {
        let begins = matches!(self.place, Place::Before);
        if begins {
            self.begin(journal)?;
        }
        let mut batch = Batch::default();
        if begins && self.format == ExportFormat::Csv {
            batch.bytes = head(self.selection.of())?;
        }
        match (&mut self.place, &self.selection) {
            (Place::Events(span), Selection::Events(filter)) => {
                let page = journal.events(filter, Some(Cursor::After(span.next)), PAGE_LIMIT)?;
                if !write(&page, span, self.format, &mut batch)? {
                    self.place = Place::End;
                }
            }
            (Place::Commands(span), Selection::Commands(filter)) => {
                let page = journal.history(filter, Some(Cursor::After(span.next)), PAGE_LIMIT)?;
                if !write(&page, span, self.format, &mut batch)? {
                    self.place = Place::End;
                }
            }
            (Place::Pipelines(span), Selection::Pipelines(filter)) => {
                let page = journal.pipelines(filter, Some(Cursor::After(span.next)), PAGE_LIMIT)?;
                if !write(&page, span, self.format, &mut batch)? {
                    self.place = Place::End;
                }
            }
            (Place::Before | Place::End | Place::Events(_) | Place::Commands(_) | Place::Pipelines(_), _) => {
                return Ok(begins.then_some(batch).filter(|batch| !batch.bytes.is_empty()));
            }
        }
        Ok(Some(batch))
    }

    /// Fixes the newest row that is part of it.
    fn begin(&mut self, journal: &mut Journal) -> Result<(), ReadError> {
        let first = Timestamp::from_micros(0);
        self.place = match &self.selection {
            Selection::Events(_) => {
                let last = newest(journal.events(&EventFilter::default(), None, 1)?);
                last.map(|last| Place::Events(Span { next: 0, last }))
            }
            Selection::Commands(_) => {
                let last = newest(journal.history(&HistoryFilter::default(), None, 1)?);
                let next = CommandId::first_at(first);
                last.map(|last| Place::Commands(Span { next, last }))
            }
            Selection::Pipelines(_) => {
                let last = newest(journal.pipelines(&PipelineFilter::default(), None, 1)?);
                let next = PipelineId::first_at(first);
                last.map(|last| Place::Pipelines(Span { next, last }))
            }
        }
        .unwrap_or(Place::End);
        Ok(())
    }
}

fn newest<R: Keyed>(page: Page<R>) -> Option<R::Id> {
    page.rows.first().map(R::key)
}

/// Adds a page's rows, oldest first; whether there may be more behind them.
fn write<R: Exported>(
    page: &Page<R>,
    span: &mut Span<R::Id>,
    format: ExportFormat,
    batch: &mut Batch,
) -> Result<bool, ReadError> {
    let rows = page.rows.iter().rev().take_while(|row| row.key() <= span.last);
    match format {
        ExportFormat::Csv => {
            let mut out = writer(std::mem::take(&mut batch.bytes));
            for row in rows {
                out.write_record(cells(row)?).map_err(unwritten)?;
                batch.rows += 1;
            }
            batch.bytes = out.into_inner().map_err(unwritten)?;
        }
        ExportFormat::JsonLines => {
            for row in rows {
                serde_json::to_writer(&mut batch.bytes, row).map_err(unwritten)?;
                batch.bytes.push(b'\n');
                batch.rows += 1;
            }
        }
    }
    match page.newer {
        Some(Cursor::After(next)) if next < span.last => {
            span.next = next;
            Ok(true)
        }
        Some(Cursor::After(_) | Cursor::Before(_)) | None => Ok(false),
    }
}

fn writer(bytes: Vec<u8>) -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(bytes)
}

fn head(of: ExportOf) -> Result<Vec<u8>, ReadError> {
    let columns = match of {
        ExportOf::Events => EventRow::COLUMNS,
        ExportOf::Commands => CommandRow::COLUMNS,
        ExportOf::Pipelines => PipelineRow::COLUMNS,
    };
    let mut out = writer(Vec::new());
    out.write_record(columns).map_err(unwritten)?;
    out.into_inner().map_err(unwritten)
}

/// A row's cells: text as it is but for what a spreadsheet would take for a formula, lists and objects as JSON.
fn cells<R: Exported>(row: &R) -> Result<Vec<String>, ReadError> {
    let row = serde_json::to_value(row).map_err(unwritten)?;
    let cell = |column: &&str| match &row[*column] {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    };
    Ok(R::COLUMNS.iter().map(cell).collect())
}

/// With an apostrophe in front where a spreadsheet would take the cell for a formula.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn unwritten(why: impl std::fmt::Display) -> ReadError {
    ReadError::Database(format!("a row could not be written as a line of the export: {why}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{add, ask, store_in};
    use super::*;

    #[tokio::test]
    async fn every_field_of_a_row_is_a_column() {
        let dir = tempfile::tempdir().expect("folder");
        let store = store_in(&dir);
        add(&store, "a").await;
        store.request(ask("uptime", &["a"])).await.expect("asked");
        fn fields<R: Exported>(row: &R) {
            let row = serde_json::to_value(row).expect("JSON");
            let mut fields: Vec<&str> = row.as_object().expect("object").keys().map(String::as_str).collect();
            let mut columns = R::COLUMNS.to_vec();
            fields.sort_unstable();
            columns.sort_unstable();
            assert_eq!(fields, columns);
        }
        let read = |journal: &mut Journal| {
            fields(&journal.events(&EventFilter::default(), None, 1)?.rows[0]);
            fields(&journal.history(&HistoryFilter::default(), None, 1)?.rows[0]);
            Ok(())
        };
        store.reader().read_blocking(read).expect("read");
    }

    #[test]
    fn a_cell_that_begins_like_a_formula_is_text() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "a=1", " =1", "'=1", "\u{202e}=1"] {
            assert_eq!(harmless(text), text);
        }
    }
}
