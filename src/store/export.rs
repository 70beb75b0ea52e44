//! Rows as files: CSV and JSON Lines, oldest first, a batch of rows in each read transaction, so that a million of them
//! take no more memory than a thousand and no reader holds the write-ahead log.
//!
//! What is newer than the beginning of the export is not part of it.

use serde::Serialize;
use serde_json::Value;

use super::{
    CommandRow, Cursor, EventFilter, EventRow, HistoryFilter, Journal, Keyed, Page, PipelineFilter, PipelineRow,
    ReadError,
};
use crate::domain::{CommandId, ExportFormat, ExportOf, PipelineId, Timestamp};

/// Rows that are read at once: some have a hundred kilobytes.
const ROWS: i64 = 200;
/// A batch that has so many bytes ends with that row.
const BATCH_BYTES: usize = 1024 * 1024;

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
        "late_word",
        "late_at",
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

    /// The next batch, of 1 MiB and a row at most; none after the last one. Blocks: one page of rows.
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
            head(self.selection.of(), &mut batch.bytes)?;
        }
        match (&mut self.place, &self.selection) {
            (Place::Events(span), Selection::Events(filter)) => {
                let page = journal.events(filter, Some(Cursor::After(span.next)), ROWS)?;
                if !write(&page, span, self.format, &mut batch)? {
                    self.place = Place::End;
                }
            }
            (Place::Commands(span), Selection::Commands(filter)) => {
                let page = journal.history(filter, Some(Cursor::After(span.next)), ROWS)?;
                if !write(&page, span, self.format, &mut batch)? {
                    self.place = Place::End;
                }
            }
            (Place::Pipelines(span), Selection::Pipelines(filter)) => {
                let page = journal.pipelines(filter, Some(Cursor::After(span.next)), ROWS)?;
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
    for row in rows {
        match format {
            ExportFormat::Csv => write_line(&cells(row)?, &mut batch.bytes)?,
            ExportFormat::JsonLines => {
                serde_json::to_writer(&mut batch.bytes, row).map_err(unwritten)?;
                batch.bytes.push(b'\n');
            }
        }
        batch.rows += 1;
        if batch.bytes.len() >= BATCH_BYTES && row.key() < span.last {
            span.next = row.key();
            return Ok(true);
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

/// One line of a CSV as in RFC 4180. Every cell is quoted: some programs take other signs than the comma for separators.
fn write_line(cells: &[impl AsRef<str>], bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    let mut line = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .terminator(csv::Terminator::CRLF)
        .from_writer(bytes);
    line.write_record(cells.iter().map(AsRef::as_ref)).map_err(unwritten)?;
    line.flush().map_err(unwritten)
}

fn head(of: ExportOf, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    let columns = match of {
        ExportOf::Events => EventRow::COLUMNS,
        ExportOf::Commands => CommandRow::COLUMNS,
        ExportOf::Pipelines => PipelineRow::COLUMNS,
    };
    write_line(columns, bytes)
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

/// What a formula begins with, in full width too: some spreadsheets take the one for the other.
const FORMULA: [char; 10] = [
    '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// With an apostrophe in front where a spreadsheet would take the cell for a formula.
fn harmless(text: &str) -> String {
    if text.starts_with(FORMULA) {
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
    use super::super::NewEvent;
    use super::super::tests::{add, alice, ask, store_in};
    use super::*;
    use crate::domain::Level;

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
        let wide = ["\u{ff1d}1+1", "\u{ff0b}1", "\u{ff0d}1", "\u{ff20}SUM(A1)"];
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"].into_iter().chain(wide) {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "a=1", " =1", "'=1", "\u{202e}=1"] {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn every_cell_is_quoted() {
        let mut bytes = Vec::new();
        write_line(&["plain", "", "a;=1", "say \"hi\"", "two\r\nlines"], &mut bytes).expect("written");
        let expected = "\"plain\",\"\",\"a;=1\",\"say \"\"hi\"\"\",\"two\r\nlines\"\r\n";
        assert_eq!(String::from_utf8(bytes).expect("UTF-8"), expected);
    }

    #[tokio::test]
    async fn long_rows_make_no_long_batch() {
        let dir = tempfile::tempdir().expect("folder");
        let store = store_in(&dir);
        for _ in 0..60 {
            let event = NewEvent {
                details: Some(serde_json::json!({ "long": "x".repeat(60_000) })),
                ..NewEvent::audit(&alice(), Level::Info, "long", "a long one")
            };
            store.append_event(event).await.expect("written");
        }
        for format in [ExportFormat::Csv, ExportFormat::JsonLines] {
            let filter = EventFilter {
                action: Some("long".to_owned()),
                ..EventFilter::default()
            };
            let mut export = Export::new(Selection::Events(filter), format);
            let (mut rows, mut bytes) = (0, Vec::new());
            while let Some(batch) = store
                .reader()
                .read_blocking(|journal| export.batch(journal))
                .expect("read")
            {
                assert!(batch.bytes.len() < BATCH_BYTES + 70_000, "{}", batch.bytes.len());
                rows += batch.rows;
                bytes.extend(batch.bytes);
            }
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            let head = usize::from(format == ExportFormat::Csv);
            assert_eq!((rows, lines), (60, 60 + head), "{format}: each once");
        }
        store.close();
    }
}
