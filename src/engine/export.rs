//! Taking rows away: who took what is an event, with the file's digest, also where the export was broken off.
//!
//! Each is work and an event, so nobody begins them without end.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::domain::{Ask, ExportFormat, Level};
use crate::store::archive::Lack;
use crate::store::{Batch, By, Export, NewEvent, ReadError, Selection};

use super::{Engine, EngineError};

/// Exports of one actor that may be on their way at once.
const AT_ONCE: usize = 4;
/// The same of everybody.
const AT_ONCE_IN_ALL: usize = 20;
/// Exports that one actor may begin within an hour.
const IN_AN_HOUR: usize = 60;
const AN_HOUR: Duration = Duration::from_secs(3600);
/// After how many seconds one of those that are on their way may have ended.
const A_WHILE: i64 = 10;
/// Of what is lacking, the event names so much at most.
const LACKS: usize = 20;

/// Who has exports on their way, or has begun some within the last hour, by the actor's text.
#[derive(Default)]
pub(super) struct Exports(Mutex<HashMap<String, Theirs>>);

#[derive(Default)]
struct Theirs {
    running: usize,
    began: VecDeque<Instant>,
}

impl Exports {
    fn begin(&self, whose: &str, now: Instant) -> Result<(), EngineError> {
        let mut all = self.all();
        all.retain(|_, theirs| {
            theirs.began.retain(|began| now.duration_since(*began) < AN_HOUR);
            theirs.running > 0 || !theirs.began.is_empty()
        });
        if all.values().map(|theirs| theirs.running).sum::<usize>() >= AT_ONCE_IN_ALL {
            let why = format!("{AT_ONCE_IN_ALL} exports are on their way; begin this one when another has ended");
            return Err(EngineError::TooMany { why, again: A_WHILE });
        }
        let theirs = all.entry(whose.to_owned()).or_default();
        if theirs.running >= AT_ONCE {
            let why = format!("{AT_ONCE} exports of yours are on their way; begin this one when another has ended");
            return Err(EngineError::TooMany { why, again: A_WHILE });
        }
        if let Some(oldest) = theirs.began.front().filter(|_| theirs.began.len() >= IN_AN_HOUR) {
            let left = AN_HOUR.saturating_sub(now.duration_since(*oldest)).as_secs();
            let again = i64::try_from(left).unwrap_or(i64::MAX).saturating_add(1);
            let why = format!(
                "you have begun {IN_AN_HOUR} exports within an hour; the next may begin in {} min",
                left / 60 + 1
            );
            return Err(EngineError::TooMany { why, again });
        }
        theirs.running += 1;
        theirs.began.push_back(now);
        Ok(())
    }

    fn end(&self, whose: &str) {
        if let Some(theirs) = self.all().get_mut(whose) {
            theirs.running = theirs.running.saturating_sub(1);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Theirs>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts an export for as long as it is on its way.
struct Counted {
    engine: Engine,
    whose: String,
}

impl Counted {
    fn begin(engine: &Engine, whose: String) -> Result<Self, EngineError> {
        engine.0.exports.begin(&whose, Instant::now())?;
        let engine = engine.clone();
        Ok(Self { engine, whose })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.engine.0.exports.end(&self.whose);
    }
}

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
    counted: Option<Counted>,
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
        let counted = Counted::begin(self, by.actor.to_string())?;
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
