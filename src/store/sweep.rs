//! Retention: old final rows go, in pieces so small that nobody who writes waits long; children before parents,
//! archive before rows, rows before files. What is kept keeps everything that it refers to. A sweep ends in a signed
//! checkpoint that stands for what went: the rest of the chain still verifies.
//!
//! What may go is in [`select`] and [`old_events`], how it goes in [`run`] and [`remove`], what the checkpoint states in
//! [`statement`].

mod close;
mod fitting;
mod groups;
mod old_events;
mod piece;
mod remove;
mod run;
mod select;
mod standing;
mod statement;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::archive;
use super::schema::sweeps;
use super::{Journal, NewEvent, ReadError, Store, WriteError};
use crate::domain::{Level, Timestamp};

use old_events::{EventWalk, Kept};
pub(super) use piece::OpenSweep;
use run::Sweep;
use select::beginning;
pub(super) use standing::TAMPERED;
pub(super) use statement::{Base, Statement, UpTo};

#[cfg(test)]
pub(super) use select::{OLD_COMMANDS, OLD_PIPELINES};

/// Rows that one piece removes at most.
const BATCH: i64 = 500;

/// Up to where rows are removed; what is exactly as old stays. `None` keeps all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cutoffs {
    /// Events from before this time go.
    pub events: Option<Timestamp>,
    /// Those of category audit go from before this time.
    pub audit: Option<Timestamp>,
    /// Commands that settled, and pipelines that finished, before this time go.
    pub commands: Option<Timestamp>,
    /// Archive files from before this time go.
    pub archive: Option<Timestamp>,
}

/// What the last sweep was told, for noticing a clock that jumped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastSweep {
    /// When it was.
    pub swept_at: Timestamp,
    /// Its cut-offs.
    pub cutoffs: Cutoffs,
    /// No event from after this time was ever swept; none where none was at all.
    pub gone_until: Option<Timestamp>,
}

/// What a sweep removed.
#[derive(serde::Serialize, Clone, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Events.
    pub events: i64,
    /// Commands.
    pub commands: i64,
    /// Pipelines.
    pub pipelines: i64,
    /// Output files, as paths in the data folder, that no row names any more: remove them now.
    pub output_files: Vec<String>,
    /// The file of the archive that has what was removed.
    pub archived_in: Option<String>,
}

/// What a sweep would remove; each number is counted up to [`Pending::MOST`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pending {
    /// Events.
    pub events: i64,
    /// Commands.
    pub commands: i64,
    /// Pipelines, with all of their commands.
    pub pipelines: i64,
}

impl Pending {
    /// What is more is not counted.
    pub const MOST: i64 = 10_000;
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

impl Journal {
    /// What the last sweep was told; none before the first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn last_cutoffs(&mut self) -> Result<Option<LastSweep>, ReadError> {
        type Row = (
            Timestamp,
            Option<Timestamp>,
            Option<Timestamp>,
            Option<Timestamp>,
            Option<Timestamp>,
            Option<Timestamp>,
        );
        let row: Option<Row> = sweeps::table
            .select((
                sweeps::swept_at,
                sweeps::events_before,
                sweeps::audit_before,
                sweeps::commands_before,
                sweeps::archive_before,
                sweeps::gone_until,
            ))
            .get_result(&mut self.conn)
            .optional()?;
        Ok(
            row.map(|(swept_at, events, audit, commands, archive, gone_until)| LastSweep {
                swept_at,
                cutoffs: Cutoffs {
                    events,
                    audit,
                    commands,
                    archive,
                },
                gone_until,
            }),
        )
    }

    /// From when on the table has every event: what is older may be in the archive alone. None where nothing was ever
    /// swept.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn reaches_back_to(&mut self) -> Result<Option<Timestamp>, ReadError> {
        Ok(self.last_cutoffs()?.and_then(|last| last.gone_until))
    }

    /// What a sweep with these cut-offs would take.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn pending(&mut self, cutoffs: &Cutoffs) -> Result<Pending, ReadError> {
        let kept = Kept::load(self)?;
        let mut pending = Pending::default();
        let mut walk = EventWalk::begin(self, cutoffs)?;
        while pending.events < Pending::MOST {
            let some = walk.next(self, &kept)?.len();
            if some == 0 {
                break;
            }
            pending.events += i64::try_from(some).unwrap_or(BATCH);
        }
        if let Some(before) = cutoffs.commands {
            pending.commands = count(self.old_commands(before, &beginning(), Pending::MOST)?.len());
            pending.pipelines = count(self.old_pipelines(before, &beginning(), Pending::MOST)?.len());
        }
        Ok(pending)
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

impl Store {
    /// Removes what is older than the cut-offs, and gives the space back; before, where `archives` says so, writes it
    /// into a file of the archive. An event if anything went. The caller removes the output files that it returns.
    ///
    /// # Errors
    /// [`WriteError`]: what is not in the archive was not removed. The pieces before the one that failed are done,
    /// their files are left for whoever compares the folder with the journal.
    pub async fn sweep(&self, cutoffs: &Cutoffs, archives: bool) -> Result<Swept, WriteError> {
        let _alone = self.inner.sweeping.lock().await;
        let mut sweep = Sweep::new(self, *cutoffs, archives);
        self.explain().await?;
        let done = sweep.all().await;
        if done.is_err() {
            sweep.give_up().await;
        }
        done?;
        while self.write(statement::forget).await? {}
        while self.write(close::give_back).await? {}
        Ok(sweep.swept)
    }

    /// Removes archive files that are past their time, and says so before. Their names.
    ///
    /// # Errors
    /// [`WriteError::Database`].
    pub async fn expire_archives(&self, before: Timestamp) -> Result<Vec<String>, WriteError> {
        let _alone = self.inner.sweeping.lock().await;
        let (reader, data_dir) = (self.reader().clone(), self.data_dir().to_owned());
        let (past, said) = on_disk(move || {
            let read = reader.read_blocking(|journal| Ok((Kept::load(journal)?, journal.archive_gone_before()?)));
            let (kept, said) = read.map_err(std::io::Error::other)?;
            Ok((archive::past(&data_dir, before, &kept.held)?, said))
        })
        .await?;
        let removed: Vec<String> = past.iter().map(|file| file.name.clone()).collect();
        if !removed.is_empty() {
            let message = format!(
                "Removed by age: {} archive files of sweeps from before {} UTC",
                removed.len(),
                &before.to_string()[..19]
            );
            let some: Vec<&String> = removed.iter().take(100).collect();
            let before = said.max(Some(before));
            // Before they go: wherever this is cut off, no file is missing of which nobody says why.
            self.append_event(NewEvent {
                details: Some(serde_json::json!({ "files": removed.len(), "first": some, "before": before })),
                ..NewEvent::system(Level::Info, statement::EXPIRED, message)
            })
            .await?;
            let data_dir = self.data_dir().to_owned();
            on_disk(move || archive::remove(&data_dir, &past)).await?;
        }
        Ok(removed)
    }
}

/// Work on the archive's files, off the async threads.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, WriteError> {
    let failed = |why: &dyn std::fmt::Display| {
        WriteError::Database(format!(
            "the archive could not be written, so what is not in it was not removed: {why}"
        ))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|why| failed(&why)),
        Err(why) => Err(failed(&why)),
    }
}
