//! One sweep on its way, piece by piece: looked for by readers, archived, and then removed.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::super::archive::{self, Added};
use super::super::record::Of;
use super::super::{Journal, ReadError, Store, WriteError};
use super::close::{Closing, close};
use super::old_events::{EventWalk, Kept};
use super::piece::Said;
use super::remove::{events_of, remove, remove_events, remove_pipeline, rows_of};
use super::select::{OldPipeline, Place, beginning};
use super::{BATCH, Cutoffs, Swept, count, on_disk};
use crate::domain::{CommandId, PipelineId, Timestamp};

/// Pipelines that are looked for at once.
const PIPELINES: i64 = 20;

/// So many of the rows that stay one sweep names.
const STAYS: usize = 1_000;

/// A sweep on its way.
pub(super) struct Sweep<'a> {
    store: &'a Store,
    cutoffs: Cutoffs,
    /// Whether what goes is archived.
    archives: bool,
    writer: Option<archive::Writer>,
    pub(super) swept: Swept,
    gone_until: Option<Timestamp>,
    /// Whether it has said that it begins.
    begun: bool,
    /// See [`Closing::archive_before`].
    archive_before: Option<Timestamp>,
    /// What stays though its time has come: `event 17`.
    stays: BTreeSet<String>,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(store: &'a Store, cutoffs: Cutoffs, archives: bool) -> Self {
        Self {
            store,
            cutoffs,
            archives,
            writer: None,
            swept: Swept::default(),
            gone_until: None,
            begun: false,
            archive_before: None,
            stays: BTreeSet::new(),
        }
    }
}

impl Sweep<'_> {
    /// Leaves the file of the archive for the next sweep, or nobody.
    pub(super) async fn give_up(&mut self) {
        if let Some(writer) = self.writer.take() {
            let _ = tokio::task::spawn_blocking(move || writer.give_up()).await;
        }
    }

    pub(super) async fn all(&mut self) -> Result<(), WriteError> {
        self.archive_before = self.read(Journal::archive_gone_before).await?;
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
        // In one event, which the checkpoint of this sweep covers. Cut off before, the next sweep says it.
        self.store.leave(std::mem::take(&mut self.stays)).await?;
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

    /// What the next piece is told.
    fn said(&self) -> Said {
        Said {
            cutoffs: self.cutoffs,
            key: self.store.inner.key.clone(),
            begins: !self.begun,
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
                let rows = journal.canonical_of(&ids)?;
                let other = journal.other_events(&rows)?;
                Ok((ids, other, walk))
            });
            let (mut ids, other, walked) = next.await.map_err(read)?;
            walk = walked;
            if ids.is_empty() {
                return Ok(());
            }
            ids.retain(|id| !other.contains(id));
            self.leave("event", other);
            if ids.is_empty() {
                continue;
            }
            let archived = ids.clone();
            self.archive(move |journal| events_of(journal, &archived)).await?;
            self.needs_archive();
            let said = self.said();
            let (some, until) = self.store.write(move |tx| remove_events(tx, &said, &ids)).await?;
            self.begun |= some > 0;
            self.swept.events += some;
            self.gone_until = self.gone_until.max(until);
        }
    }

    async fn commands(&mut self, before: Timestamp) -> Result<i64, WriteError> {
        let mut all = 0;
        let mut after = beginning();
        loop {
            let from: Place = after.clone();
            let look = move |journal: &mut Journal| {
                let old = journal.old_commands(before, &from, BATCH)?;
                let ids: Vec<CommandId> = old.iter().map(|old| old.id).collect();
                let other = journal.unlike(Of::Command, &ids)?;
                Ok((old, other))
            };
            let (mut old, other) = self.read(look).await?;
            let Some(last) = old.last() else { return Ok(all) };
            after = (last.at, last.id.to_string());
            old.retain(|old| !other.contains(&old.id.to_string()));
            self.leave(Of::Command.word(), other);
            if old.is_empty() {
                continue;
            }
            let ids: Vec<CommandId> = old.iter().map(|old| old.id).collect();
            let archived = ids.clone();
            self.archive(move |journal| rows_of(journal, Of::Command, &archived))
                .await?;
            self.needs_archive();
            let said = self.said();
            let files = self
                .store
                .write(move |tx| {
                    let free = tx.journal.free_commands(before, &ids)?;
                    remove(tx, &said, free)
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
            let look = move |journal: &mut Journal| {
                let old = journal.commands_of_old_pipeline(id)?;
                let ids: Vec<CommandId> = old.iter().map(|old| old.id).collect();
                let other = journal.unlike(Of::Command, &ids)?;
                Ok((old, other, journal.unlike(Of::Pipeline, &[id])?))
            };
            let (old, commands, pipelines) = self.read(look).await?;
            if !commands.is_empty() || !pipelines.is_empty() {
                self.leave(Of::Command.word(), commands);
                self.leave(Of::Pipeline.word(), pipelines);
                return Ok(all);
            }
            if old.is_empty() {
                break;
            }
            let ids: Vec<CommandId> = old.iter().map(|old| old.id).collect();
            self.archive(move |journal| rows_of(journal, Of::Command, &ids)).await?;
            self.needs_archive();
            let said = self.said();
            let files = self
                .store
                .write(move |tx| {
                    // Somebody may want it kept since it was looked for.
                    if tx.journal.is_free_pipeline(before, id)? {
                        remove(tx, &said, old.clone())
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
        let said = self.said();
        let gone = self
            .store
            .write(move |tx| remove_pipeline(tx, &said, before, id))
            .await?;
        self.begun |= gone > 0;
        self.swept.pipelines += gone;
        Ok(all + gone)
    }

    /// These rows stay though their time has come.
    fn leave(&mut self, what: &str, ids: BTreeSet<impl Display>) {
        let room = STAYS - self.stays.len();
        let names = ids.iter().map(|id| format!("{what} {id}"));
        self.stays.extend(names.take(room));
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
        self.begun |= removed > 0;
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
        let looked = self.store.explain().await?;
        let closing = Closing {
            looked,
            cutoffs: self.cutoffs,
            swept: self.swept.clone(),
            unused,
            gone_until: self.gone_until,
            archive: writer.as_ref().map(archive::Writer::contents),
            archive_before: self.archive_before,
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
