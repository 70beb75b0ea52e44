//! Taking rows away: who took what is an event, with the file's digest, also where the export was broken off.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::domain::{Ask, ExportFormat, Level};
use crate::store::{Batch, By, Export, NewEvent, Selection};

use super::{Engine, EngineError};

/// An export on its way. One that is let go of before its end was broken off.
pub struct Exporting {
    engine: Engine,
    by: By,
    export: Export,
    what: &'static str,
    format: ExportFormat,
    filters: Value,
    taken: Taken,
    ended: bool,
}

#[derive(Default)]
struct Taken {
    rows: u64,
    bytes: u64,
    digest: Sha256,
}

impl Engine {
    /// Begins an export of these rows; `filters` are the words that were asked with, for the event.
    ///
    /// # Errors
    /// Where they may not see the journal.
    pub fn export(
        &self,
        selection: Selection,
        format: ExportFormat,
        filters: Value,
        by: By,
    ) -> Result<Exporting, EngineError> {
        self.allow_at_all(&by, Ask::See)?;
        Ok(Exporting {
            engine: self.clone(),
            by,
            what: selection.of().as_str(),
            export: Export::new(selection, format),
            format,
            filters,
            taken: Taken::default(),
            ended: false,
        })
    }
}

impl Exporting {
    /// The next bytes of the file; none at its end, which is journaled by then.
    ///
    /// # Errors
    /// When the journal cannot be read, or the event of the end cannot be written: the file is not whole then.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        if self.ended {
            return Ok(None);
        }
        let mut export = self.export.clone();
        let read = move |journal: &mut crate::store::Journal| export.batch(journal).map(|batch| (export, batch));
        let (export, batch) = self.engine.reader().read(read).await?;
        self.export = export;
        if let Some(Batch { bytes, rows }) = batch {
            self.taken.rows += rows;
            self.taken.bytes += bytes.len() as u64;
            self.taken.digest.update(&bytes);
            return Ok(Some(bytes));
        }
        let event = self.event(true);
        self.engine.0.store.append_event(event).await?;
        self.ended = true;
        Ok(None)
    }

    fn event(&self, whole: bool) -> NewEvent {
        let Taken { rows, bytes, digest } = &self.taken;
        let name = self.by.actor.name();
        let (level, end) = if whole {
            (Level::Info, String::new())
        } else {
            (Level::Warn, "; it was broken off, the file is not whole".to_owned())
        };
        let message = format!("{name} exported {rows} {} as {}{end}", self.what, self.format);
        let mut details = json!({
            "what": self.what,
            "format": self.format,
            "filters": self.filters,
            "rows": rows,
            "bytes": bytes,
            "whole": whole,
        });
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
        if self.ended {
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
