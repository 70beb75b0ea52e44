//! Rows as files: CSV and JSON Lines, oldest first, a batch of rows in each read transaction, so that a million of them
//! take no more memory than a thousand and no reader holds the write-ahead log. Rows that sweeps have archived are part
//! of it ([`super::whole`]).
//!
//! What is newer than the beginning of the export is not part of it.

mod columns;
mod line;

use std::path::Path;

use super::archive::{self, Lack, Range};
use super::whole::{Stored, Whole};
use super::{CommandRow, EventFilter, EventRow, HistoryFilter, PipelineFilter, PipelineRow, ReadError, Reader};
use crate::domain::{ExportFormat, ExportOf};
use columns::Exported;

/// Rows that one batch has at most.
const ROWS: usize = 200;
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

    /// The range of time that they are of.
    #[must_use]
    pub fn range(&self) -> Range {
        match self {
            Self::Events(filter) => EventRow::range(filter),
            Self::Commands(filter) => CommandRow::range(filter),
            Self::Pipelines(filter) => PipelineRow::range(filter),
        }
    }
}

/// The rows on their way.
enum Walk {
    Events(Box<Whole<EventRow>>),
    Commands(Box<Whole<CommandRow>>),
    Pipelines(Box<Whole<PipelineRow>>),
}

/// An export on its way: asked for batch after batch until there is none.
pub struct Export {
    of: ExportOf,
    format: ExportFormat,
    walk: Walk,
    lacking: Vec<Lack>,
    begun: bool,
    ended: bool,
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
    /// Begins an export of these rows, in this form. The files of the archive that may have some are looked at first, so
    /// that what is lacking is known before the first byte. Blocks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn begin(
        reader: &Reader,
        data_dir: &Path,
        selection: Selection,
        format: ExportFormat,
    ) -> Result<Self, ReadError> {
        let (of, range) = (selection.of(), selection.range());
        let lacking = archive::lacking(reader, data_dir, &[of], range)?;
        let walk = match selection {
            Selection::Events(filter) => Walk::Events(Box::new(Whole::begin(reader, data_dir, filter)?)),
            Selection::Commands(filter) => Walk::Commands(Box::new(Whole::begin(reader, data_dir, filter)?)),
            Selection::Pipelines(filter) => Walk::Pipelines(Box::new(Whole::begin(reader, data_dir, filter)?)),
        };
        Ok(Self {
            of,
            format,
            walk,
            lacking,
            begun: false,
            ended: false,
        })
    }

    /// What its range lacks.
    #[must_use]
    pub fn lacking(&self) -> &[Lack] {
        &self.lacking
    }

    /// The next batch, of 1 MiB and a row at most; none after the last one. Blocks: one page of rows.
    ///
    /// # Errors
    /// [`ReadError`], also where a file of the archive was damaged that was sound when the export began.
    pub fn batch(&mut self, reader: &Reader) -> Result<Option<Batch>, ReadError> {
        let mut batch = Batch::default();
        if !self.begun && self.format == ExportFormat::Csv {
            line::head(self.of, &mut batch.bytes)?;
        }
        self.begun = true;
        if !self.ended {
            let damaged = self.lacking.iter().any(|lack| lack.damage);
            self.ended = match &mut self.walk {
                Walk::Events(walk) => fill(walk, reader, self.format, damaged, &mut batch)?,
                Walk::Commands(walk) => fill(walk, reader, self.format, damaged, &mut batch)?,
                Walk::Pipelines(walk) => fill(walk, reader, self.format, damaged, &mut batch)?,
            };
        }
        Ok((!batch.bytes.is_empty()).then_some(batch))
    }
}

/// Adds rows; whether there are none behind them.
fn fill<R: Exported>(
    walk: &mut Whole<R>,
    reader: &Reader,
    format: ExportFormat,
    damaged: bool,
    batch: &mut Batch,
) -> Result<bool, ReadError> {
    let mut rows = 0;
    while rows < ROWS && batch.bytes.len() < BATCH_BYTES {
        let Some(row) = walk.next(reader)? else {
            return match walk.broken() {
                // It was said before the first byte.
                [why, ..] if !damaged => Err(ReadError::Row(why.clone())),
                _ => Ok(true),
            };
        };
        line::write(&row, format, &mut batch.bytes)?;
        rows += 1;
        batch.rows += 1;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{add, alice, ask, store_in};
    use super::super::{Journal, NewEvent};
    use super::columns::Exported;
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
            let mut export =
                Export::begin(store.reader(), dir.path(), Selection::Events(filter), format).expect("begun");
            let (mut rows, mut bytes) = (0, Vec::new());
            while let Some(batch) = export.batch(store.reader()).expect("read") {
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
