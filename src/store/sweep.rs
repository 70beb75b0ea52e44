//! Retention: old final rows go, in pieces so small that nobody who writes waits long; children before parents,
//! archive before rows, rows before files. What is kept keeps everything that it refers to. A sweep ends in a signed
//! checkpoint that stands for what went: the rest of the chain still verifies.
//!
//! What may go is in [`select`], what the checkpoint states in [`statement`].

mod select;
mod statement;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::archive::{self, Added, Contents};
use super::error::Fault;
use super::record::Of;
use super::schema::{commands, event_log, hosts, pipeline_hosts, pipelines, sealed, sessions, sweeps, swept_events};
use super::search::unindex;
use super::tx::Tx;
use super::{Journal, NewEvent, ReadError, Store, Topic, WriteError};
use crate::domain::{Checkpoint, CheckpointKind, CommandId, Digest, Level, Link, PipelineId, SigningKey, Timestamp};

use select::{EventWalk, Kept, Old, OldPipeline, Place, beginning, quoted, still_free};
pub(super) use statement::{Base, Statement, TAMPERED};

#[cfg(test)]
pub(super) use select::{OLD_COMMANDS, OLD_PIPELINES};

/// Rows that one piece removes at most.
const BATCH: i64 = 500;

/// Pipelines that are looked for at once.
const PIPELINES: i64 = 20;

/// Pages that one piece gives back to the file system at most.
const PAGES: i64 = 500;

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

/// A sweep on its way.
struct Sweep<'a> {
    store: &'a Store,
    cutoffs: Cutoffs,
    /// Whether what goes is archived.
    archives: bool,
    writer: Option<archive::Writer>,
    swept: Swept,
    gone_until: Option<Timestamp>,
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
        let mut sweep = Sweep {
            store: self,
            cutoffs: *cutoffs,
            archives,
            writer: None,
            swept: Swept::default(),
            gone_until: None,
        };
        self.write(statement::explain).await?;
        let done = sweep.all().await;
        if done.is_err()
            && let Some(writer) = sweep.writer.take()
        {
            let _ = tokio::task::spawn_blocking(move || writer.give_up()).await;
        }
        done?;
        while self.write(statement::forget).await? {}
        while self.write(give_back).await? {}
        Ok(sweep.swept)
    }

    /// Removes archive files that are past their time, and says so. Their names.
    ///
    /// # Errors
    /// [`WriteError::Database`].
    pub async fn expire_archives(&self, before: Timestamp) -> Result<Vec<String>, WriteError> {
        let _alone = self.inner.sweeping.lock().await;
        let (reader, data_dir) = (self.reader().clone(), self.data_dir().to_owned());
        let removed = on_disk(move || {
            let kept = reader.read_blocking(Kept::load).map_err(std::io::Error::other)?;
            archive::expire(&data_dir, before, &kept.held)
        })
        .await?;
        if !removed.is_empty() {
            let message = format!(
                "Removed by age: {} archive files of sweeps from before {before} UTC",
                removed.len()
            );
            let some: Vec<&String> = removed.iter().take(100).collect();
            self.append_event(NewEvent {
                details: Some(serde_json::json!({ "files": removed.len(), "first": some })),
                ..NewEvent::system(Level::Info, "sweep:archive", message)
            })
            .await?;
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

impl Sweep<'_> {
    async fn all(&mut self) -> Result<(), WriteError> {
        let data_dir = self.store.data_dir().to_owned();
        // What a cut-off sweep left is ended, also where nothing more is to be archived.
        if !on_disk(move || archive::parts(&data_dir)).await?.is_empty() {
            self.writer = Some(self.writer().await?);
        }
        self.events().await?;
        if let Some(before) = self.cutoffs.commands {
            // A retry that went may free its first try, a pipeline the standalone first try of one of its commands.
            loop {
                let gone = self.commands(before).await? + self.pipelines(before).await?;
                if gone == 0 {
                    break;
                }
            }
        }
        self.close().await
    }

    /// The file of this sweep; begun when the first row is to go.
    async fn writer(&mut self) -> Result<archive::Writer, WriteError> {
        if let Some(writer) = self.writer.take() {
            return Ok(writer);
        }
        let (data_dir, dashboard) = (self.store.data_dir().to_owned(), self.store.dashboard_id().to_owned());
        let reader = self.store.reader().clone();
        on_disk(move || archive::Writer::begin(&data_dir, &dashboard, &reader)).await
    }

    /// Writes rows into the archive. They are on disk when this returns.
    async fn archive(
        &mut self,
        rows: impl FnOnce(&mut Journal) -> Result<Vec<Added>, ReadError> + Send + 'static,
    ) -> Result<(), WriteError> {
        if !self.archives {
            return Ok(());
        }
        let writer = self.writer().await?;
        let reader = self.store.reader().clone();
        let (writer, done) = on_disk(move || {
            let mut writer = writer;
            let done = reader
                .read_blocking(rows)
                .map_err(std::io::Error::other)
                .and_then(|rows| writer.add(rows, &reader));
            Ok((writer, done))
        })
        .await?;
        self.writer = Some(writer);
        on_disk(move || done).await
    }

    /// From now on rows are missing that the file of this sweep has.
    fn needs_archive(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.is_needed();
        }
    }

    async fn events(&mut self) -> Result<(), WriteError> {
        let read = |why: ReadError| WriteError::Database(why.to_string());
        let (reader, cutoffs) = (self.store.reader().clone(), self.cutoffs);
        let mut walk = reader
            .read(move |journal| EventWalk::begin(journal, &cutoffs))
            .await
            .map_err(read)?;
        loop {
            let next = reader.read(move |journal| {
                let kept = Kept::load(journal)?;
                let ids = walk.next(journal, &kept)?;
                Ok((ids, walk))
            });
            let (ids, walked) = next.await.map_err(read)?;
            walk = walked;
            if ids.is_empty() {
                return Ok(());
            }
            let archived = ids.clone();
            self.archive(move |journal| events_of(journal, &archived)).await?;
            self.needs_archive();
            let first = self.swept.events == 0;
            let (some, until) = self.store.write(move |tx| remove_events(tx, &ids, first)).await?;
            self.swept.events += some;
            self.gone_until = self.gone_until.max(until);
        }
    }

    async fn commands(&mut self, before: Timestamp) -> Result<i64, WriteError> {
        let mut all = 0;
        let mut after = beginning();
        loop {
            let from: Place = after.clone();
            let old = self
                .read(move |journal| journal.old_commands(before, &from, BATCH))
                .await?;
            let Some(last) = old.last() else { return Ok(all) };
            after = (last.at, last.id.to_string());
            let ids: Vec<CommandId> = old.iter().map(|old| old.id).collect();
            let archived = ids.clone();
            self.archive(move |journal| rows_of(journal, Of::Command, &archived))
                .await?;
            self.needs_archive();
            let files = self
                .store
                .write(move |tx| {
                    let free = tx.journal.free_commands(before, &ids)?;
                    remove(tx, free)
                })
                .await?;
            all += self.add(files);
        }
    }

    async fn pipelines(&mut self, before: Timestamp) -> Result<i64, WriteError> {
        let mut all = 0;
        let mut after = beginning();
        loop {
            let from: Place = after.clone();
            let old = self
                .read(move |journal| journal.old_pipelines(before, &from, PIPELINES))
                .await?;
            let Some(last) = old.last() else { return Ok(all) };
            after = (last.at, last.id.to_string());
            for OldPipeline { id, .. } in old {
                all += self.pipeline(before, id).await?;
            }
        }
    }

    /// One pipeline: its commands, and then itself.
    async fn pipeline(&mut self, before: Timestamp, id: PipelineId) -> Result<i64, WriteError> {
        let mut all = 0;
        loop {
            let old = self.read(move |journal| journal.commands_of_old_pipeline(id)).await?;
            if old.is_empty() {
                break;
            }
            let ids: Vec<CommandId> = old.iter().map(|old| old.id).collect();
            self.archive(move |journal| rows_of(journal, Of::Command, &ids)).await?;
            self.needs_archive();
            let files = self
                .store
                .write(move |tx| {
                    // Somebody may want it kept since it was looked for.
                    if tx.journal.is_free_pipeline(before, id)? {
                        remove(tx, old.clone())
                    } else {
                        Ok(Vec::new())
                    }
                })
                .await?;
            if files.is_empty() {
                return Ok(all);
            }
            all += self.add(files);
        }
        self.archive(move |journal| rows_of(journal, Of::Pipeline, &[id]))
            .await?;
        let gone = self.store.write(move |tx| remove_pipeline(tx, before, id)).await?;
        self.swept.pipelines += gone;
        Ok(all + gone)
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Journal) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, WriteError> {
        let found = self.store.reader().read(look).await;
        found.map_err(|why| WriteError::Database(why.to_string()))
    }

    fn add(&mut self, files: Vec<Option<String>>) -> i64 {
        let removed = count(files.len());
        self.swept.commands += removed;
        self.swept.output_files.extend(files.into_iter().flatten());
        removed
    }

    /// The last piece, and the end of the file of the archive.
    async fn close(&mut self) -> Result<(), WriteError> {
        let mut unused = Vec::new();
        if self.swept.commands > 0 {
            let definitions = self.read(Journal::unused_definitions).await?;
            unused = definitions.iter().map(|(digest, _)| digest.clone()).collect();
            if !definitions.is_empty() {
                let added = definitions
                    .into_iter()
                    .map(|(digest, text)| Added::Definition(digest, text));
                self.archive(move |_| Ok(added.collect())).await?;
            }
        }
        let mut writer = self.writer.take();
        if writer.as_ref().is_some_and(archive::Writer::is_empty)
            && let Some(empty) = writer.take()
        {
            on_disk(move || {
                empty.give_up();
                Ok(())
            })
            .await?;
        }
        let closing = Closing {
            cutoffs: self.cutoffs,
            swept: self.swept.clone(),
            unused,
            gone_until: self.gone_until,
            archive: writer.as_ref().map(archive::Writer::contents),
        };
        let key = self.store.inner.key.clone();
        let checkpoint = match self.store.write(move |tx| close(tx, &closing, &key)).await {
            Ok(checkpoint) => checkpoint,
            Err(why) => {
                self.writer = writer;
                return Err(why);
            }
        };
        if let (Some(writer), Some(checkpoint)) = (writer, checkpoint) {
            self.swept.archived_in = Some(on_disk(move || writer.finish(&checkpoint)).await?);
        }
        Ok(())
    }
}

#[derive(QueryableByName)]
struct Whole {
    #[diesel(sql_type = Nullable<Text>)]
    host: Option<String>,
    #[diesel(sql_type = Text)]
    text: String,
}

/// Events as the archive takes them.
fn events_of(journal: &mut Journal, ids: &[i64]) -> Result<Vec<Added>, ReadError> {
    let rows = journal.canonical_of(ids)?;
    let mut names = std::collections::HashMap::new();
    let mut added = Vec::with_capacity(rows.len());
    for row in rows {
        let host = match row.host_text.as_ref().and_then(|id| id.parse::<i64>().ok()) {
            None => None,
            Some(id) => match names.get(&id) {
                Some(name) => Option::<String>::clone(name),
                None => {
                    let name: Option<String> = hosts::table
                        .find(id)
                        .select(hosts::hostname)
                        .get_result(&mut journal.conn)
                        .optional()?;
                    names.insert(id, name.clone());
                    name
                }
            },
        };
        added.push(Added::Event(Box::new(row), host));
    }
    Ok(added)
}

/// Commands or pipelines as the archive takes them.
fn rows_of(journal: &mut Journal, of: Of, ids: &[impl ToString]) -> Result<Vec<Added>, ReadError> {
    let host = match of {
        Of::Command => "(SELECT hostname FROM hosts WHERE hosts.id = commands.host_id)",
        Of::Pipeline | Of::Host | Of::User | Of::Token => "NULL",
    };
    let query = format!(
        "SELECT {host} AS host, {} AS text FROM {} WHERE id IN ({}) ORDER BY id",
        of.object(),
        of.table(),
        quoted(ids)
    );
    let rows: Vec<Whole> = diesel::sql_query(query).load(&mut journal.conn)?;
    Ok(rows.into_iter().map(|row| Added::Row(of, row.host, row.text)).collect())
}

/// Removes commands; events keep what they said about them. One element for each command.
fn remove(tx: &mut Tx<'_>, old: Vec<Old>) -> Result<Vec<Option<String>>, Fault> {
    if old.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<CommandId> = old.iter().map(|old| old.id).collect();
    diesel::delete(commands::table.filter(commands::id.eq_any(&ids))).execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Commands);
    Ok(old.into_iter().map(|old| old.output_file).collect())
}

/// 1 where the pipeline is gone, 0 where a command of it had to stay, or somebody wants it kept.
fn remove_pipeline(tx: &mut Tx<'_>, before: Timestamp, id: PipelineId) -> Result<i64, Fault> {
    let left: Option<CommandId> = commands::table
        .filter(commands::pipeline_id.eq(id))
        .select(commands::id)
        .first(&mut tx.journal.conn)
        .optional()?;
    if left.is_some() || !tx.journal.is_free_pipeline(before, id)? {
        return Ok(0);
    }
    diesel::delete(pipeline_hosts::table.filter(pipeline_hosts::pipeline_id.eq(id))).execute(&mut tx.journal.conn)?;
    diesel::delete(pipelines::table.find(id)).execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Pipelines);
    Ok(1)
}

/// Removes events: what the chain needs of them stays, and what they said of rows that stay. How many, and the time of
/// the youngest.
fn remove_events(tx: &mut Tx<'_>, ids: &[i64], first: bool) -> Result<(i64, Option<Timestamp>), Fault> {
    let ids = still_free(tx.journal, ids)?;
    if ids.is_empty() {
        return Ok((0, None));
    }
    if first {
        let message = "A sweep begins to remove events that are past their time";
        tx.event(NewEvent::system(Level::Info, statement::BEGUN, message))?;
    }
    let mut until = None;
    for row in tx.journal.canonical_of(&ids)? {
        until = until.max(row.at_text.parse::<Timestamp>().ok());
        let link = Link::from_bytes(&row.link).map_err(WriteError::Invalid)?;
        diesel::insert_into(swept_events::table)
            .values((
                swept_events::id.eq(row.id),
                swept_events::row_hash.eq(row.row_hash()),
                swept_events::link.eq(link),
            ))
            .execute(&mut tx.journal.conn)?;
        for (what, digest) in row.vouches_for() {
            diesel::insert_into(sealed::table)
                .values((sealed::what.eq(what), sealed::digest.eq(digest)))
                .execute(&mut tx.journal.conn)?;
        }
    }
    unindex(tx, &ids)?;
    diesel::delete(event_log::table.filter(event_log::id.eq_any(&ids))).execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Events);
    Ok((count(ids.len()), until))
}

/// What the last piece is told.
#[derive(Clone)]
struct Closing {
    cutoffs: Cutoffs,
    swept: Swept,
    unused: Vec<Digest>,
    gone_until: Option<Timestamp>,
    archive: Option<Contents>,
}

/// The last piece: sessions, definitions, what was done. The checkpoint, where something was.
fn close(tx: &mut Tx<'_>, closing: &Closing, key: &SigningKey) -> Result<Option<Checkpoint>, Fault> {
    let Closing { cutoffs, swept, .. } = closing;
    diesel::delete(sessions::table.filter(sessions::expires_at.le(tx.now))).execute(&mut tx.journal.conn)?;
    tx.journal.remove_definitions(&closing.unused)?;
    let before = tx.journal.last_cutoffs()?.and_then(|last| last.gone_until);
    let values = (
        sweeps::swept_at.eq(tx.now),
        sweeps::events_before.eq(cutoffs.events),
        sweeps::audit_before.eq(cutoffs.audit),
        sweeps::commands_before.eq(cutoffs.commands),
        sweeps::archive_before.eq(cutoffs.archive),
        sweeps::gone_until.eq(closing.gone_until.max(before)),
    );
    diesel::insert_into(sweeps::table)
        .values((sweeps::id.eq(1), values))
        .on_conflict(sweeps::id)
        .do_update()
        .set(values)
        .execute(&mut tx.journal.conn)?;
    let rows = swept.events + swept.commands + swept.pipelines;
    if rows == 0 && closing.archive.is_none() && !tx.journal.sweep_is_open()? {
        return Ok(None);
    }
    let message = match &closing.archive {
        Some(contents) if rows == 0 => format!(
            "Finished the archive file of a sweep that was cut off: {} events, {} commands, {} pipelines",
            contents.events, contents.commands, contents.pipelines
        ),
        _ => format!(
            "Removed by age: {} events, {} commands, {} pipelines",
            swept.events, swept.commands, swept.pipelines
        ),
    };
    let removed = serde_json::json!({
        "events": swept.events,
        "commands": swept.commands,
        "pipelines": swept.pipelines,
        "events_before": cutoffs.events,
        "audit_before": cutoffs.audit,
        "commands_before": cutoffs.commands,
    });
    let mut details = removed.clone();
    if let Some(contents) = &closing.archive {
        details["archive"] = serde_json::json!(contents);
    }
    tx.event(NewEvent {
        details: Some(details),
        ..NewEvent::system(Level::Info, "sweep", message)
    })?;
    let last = tx.journal.newest_statement()?.and_then(|last| last.commands_before);
    let base = statement::base(tx)?;
    let statement = Statement {
        base,
        hashes: tx.journal.hashes(base)?,
        sealed: statement::sealing(tx, None)?,
        // What an earlier, stricter retention took is still missing.
        commands_before: cutoffs.commands.max(last),
        removed,
        archive: closing.archive.clone(),
    };
    let checkpoint = tx.checkpoint(key, CheckpointKind::Sweep, Some(serde_json::json!(statement)))?;
    diesel::update(sealed::table.filter(sealed::checkpoint_id.is_null()))
        .set(sealed::checkpoint_id.eq(checkpoint.id))
        .execute(&mut tx.journal.conn)?;
    Ok(Some(checkpoint))
}

/// Gives some free pages back; true while there are more. A prepared statement would free a single page.
fn give_back(tx: &mut Tx<'_>) -> Result<bool, Fault> {
    let before = free_pages(tx)?;
    if before == 0 {
        return Ok(false);
    }
    tx.journal
        .conn
        .batch_execute(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    tx.touch_pages();
    let after = free_pages(tx)?;
    Ok(after > 0 && after < before)
}

fn free_pages(tx: &mut Tx<'_>) -> Result<i64, Fault> {
    let pages: Number =
        diesel::sql_query("SELECT freelist_count AS n FROM pragma_freelist_count").get_result(&mut tx.journal.conn)?;
    Ok(pages.n)
}
