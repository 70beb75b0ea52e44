//! Taking rows away: who took what is an event, with the file's digest, also where the export was broken off.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::domain::{Ask, ExportFormat, Level};
use crate::store::archive::Lack;
use crate::store::{Batch, By, Export, NewEvent, ReadError, Selection};

use super::turns::{Kind, Turn};
use super::{Engine, EngineError};

/// Of what is lacking, the event names so much at most.
const LACKS: usize = 20;

/// An export on its way. One that is let go of before its end was broken off.
pub struct Exporting {
    engine: Engine,
    by: By,
    /// None while a batch is read, and after one that could not be.
    export: Option<Export>,
    lacking: Vec<Lack>,
    what: &'static str,
    format: ExportFormat,
    filters: Value,
    taken: Taken,
    /// None once it has ended.
    counted: Option<Turn>,
}

#[derive(Clone, Default)]
struct Taken {
    rows: u64,
    bytes: u64,
    digest: Sha256,
}

impl Engine {
    /// Begins an export of these rows; `filters` are the words that were asked with, for the event.
    ///
    /// # Errors
    /// Where they may not see the journal; [`EngineError::TooMany`]; when journal or archive cannot be read.
    pub async fn export(
        &self,
        selection: Selection,
        format: ExportFormat,
        filters: Value,
        by: By,
    ) -> Result<Exporting, EngineError> {
        self.allow_at_all(&by, Ask::See)?;
        let counted = Turn::take(self, Kind::Export, by.actor.to_string())?;
        let what = selection.of().as_str();
        let (reader, data_dir) = (self.reader().clone(), self.data_dir().to_owned());
        let export = reading(move || Export::begin(&reader, &data_dir, selection, format)).await?;
        Ok(Exporting {
            engine: self.clone(),
            by,
            what,
            lacking: export.lacking().to_vec(),
            export: Some(export),
            format,
            filters,
            taken: Taken::default(),
            counted: Some(counted),
        })
    }
}

/// Reads on a thread that may block.
async fn reading<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.unwrap_or_else(|gone| Err(ReadError::Database(gone.to_string())))
}

impl Exporting {
    /// What its range lacks: neither in the tables nor to be had from the archive.
    #[must_use]
    pub fn lacking(&self) -> &[Lack] {
        &self.lacking
    }

    /// The next bytes of the file; none at its end, which is journaled by then.
    ///
    /// # Errors
    /// When the journal cannot be read, or the event of the end cannot be written: the file is not whole then.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        if self.counted.is_none() {
            return Ok(None);
        }
        let Some(mut export) = self.export.take() else {
            return Err(ReadError::Database("this export could not be read on".to_owned()).into());
        };
        let (reader, mut taken) = (self.engine.reader().clone(), self.taken.clone());
        // The digest on the same thread.
        let read = move || {
            let batch = export.batch(&reader)?;
            if let Some(Batch { bytes, rows }) = &batch {
                taken.rows += rows;
                taken.bytes += bytes.len() as u64;
                taken.digest.update(bytes);
            }
            Ok((export, taken, batch))
        };
        let (export, taken, batch) = reading(read).await?;
        (self.export, self.taken) = (Some(export), taken);
        if let Some(batch) = batch {
            return Ok(Some(batch.bytes));
        }
        let event = self.event(true);
        self.engine.0.store.append_event(event).await?;
        self.counted = None;
        Ok(None)
    }

    fn event(&self, whole: bool) -> NewEvent {
        let Taken { rows, bytes, digest } = &self.taken;
        let name = self.by.actor.name();
        let (level, end) = if !whole {
            (Level::Warn, "; it was broken off there, the file is not whole")
        } else if self.lacking.iter().any(|lack| lack.damage) {
            (Level::Warn, "; rows are lacking: the archive is damaged")
        } else {
            (Level::Info, "")
        };
        let message = format!(
            "{name} exported {rows} {} as {}: {bytes} bytes handed to the connection{end}",
            self.what, self.format
        );
        let mut details = json!({
            "what": self.what,
            "format": self.format,
            "filters": self.filters,
            "rows": rows,
            "bytes": bytes,
            // What a reader took is theirs to know: the systems between keep some of it on its way.
            "handed_over": whole,
        });
        if !self.lacking.is_empty() {
            let some: Vec<&Lack> = self.lacking.iter().take(LACKS).collect();
            details["lacking"] = json!(some);
        }
        if whole {
            let digest = digest.clone().finalize();
            details["sha256"] = digest
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .into();
        }
        NewEvent {
            details: Some(details),
            ..NewEvent::audit(&self.by, level, "export", message)
        }
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        if self.counted.is_none() {
            return;
        }
        let (engine, event) = (self.engine.clone(), self.event(false));
        self.engine.0.tasks.spawn(async move {
            if let Err(why) = engine.0.store.append_event(event).await {
                tracing::error!(%why, "an export that was broken off could not be journaled");
            }
        });
    }
}
