//! Retention: old final rows go, in pieces so small that nobody who writes waits long; children before parents,
//! rows before files. What is kept keeps everything that it refers to.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp as TimestampColumn};

use super::error::Fault;
use super::schema::{commands, pipeline_hosts, pipelines, sessions, sweeps};
use super::tx::Tx;
use super::{Journal, NewEvent, ReadError, Store, Topic, WriteError};
use crate::domain::{CommandId, Level, PipelineId, Timestamp};

/// Rows that one piece removes at most.
const BATCH: i64 = 500;

/// Pages that one piece gives back to the file system at most.
const PAGES: i64 = 500;

/// Up to where rows are removed; what is exactly as old stays. `None` keeps all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cutoffs {
    /// Events from before this time go.
    pub events: Option<Timestamp>,
    /// Commands that settled, and pipelines that finished, before this time go.
    pub commands: Option<Timestamp>,
}

/// What the last sweep was told, for noticing a clock that jumped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastSweep {
    /// When it was.
    pub swept_at: Timestamp,
    /// Its cut-offs.
    pub cutoffs: Cutoffs,
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
}

#[derive(QueryableByName)]
struct Old {
    #[diesel(sql_type = Text)]
    id: CommandId,
    #[diesel(sql_type = Nullable<Text>)]
    output_file: Option<String>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct OldPipeline {
    #[diesel(sql_type = Text)]
    id: PipelineId,
}

/// Old commands of no pipeline that nobody tried again.
pub(super) const OLD_COMMANDS: &str = "SELECT c.id, c.output_file FROM commands c \
     WHERE c.finished_at IS NOT NULL AND coalesce(c.settled_at, c.finished_at) < ? AND c.pipeline_id IS NULL \
     AND NOT EXISTS (SELECT 1 FROM commands r WHERE r.retry_of = c.id) \
     ORDER BY coalesce(c.settled_at, c.finished_at), c.id LIMIT ?";

/// Old pipelines of which every command is old as well, and which nobody tried again, nor a command of it.
const OLD_PIPELINES: &str = "SELECT p.id FROM pipelines p WHERE p.finished_at IS NOT NULL AND p.finished_at < ?1 \
     AND NOT EXISTS (SELECT 1 FROM commands y WHERE y.pipeline_id = p.id \
         AND (y.finished_at IS NULL OR coalesce(y.settled_at, y.finished_at) >= ?1)) \
     AND NOT EXISTS (SELECT 1 FROM commands y JOIN commands r ON r.retry_of = y.id \
         WHERE y.pipeline_id = p.id AND r.pipeline_id IS NOT p.id) \
     AND NOT EXISTS (SELECT 1 FROM pipelines r WHERE r.retry_of = p.id) \
     ORDER BY p.finished_at, p.id LIMIT 20";

/// Commands of one pipeline that goes.
const PIPELINE_COMMANDS: &str = "SELECT c.id, c.output_file FROM commands c WHERE c.pipeline_id = ? \
     AND c.finished_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM commands r WHERE r.retry_of = c.id) LIMIT ?";

impl Journal {
    /// What the last sweep was told; none before the first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn last_cutoffs(&mut self) -> Result<Option<LastSweep>, ReadError> {
        let row: Option<(Timestamp, Option<Timestamp>, Option<Timestamp>)> = sweeps::table
            .select((sweeps::swept_at, sweeps::events_before, sweeps::commands_before))
            .get_result(&mut self.conn)
            .optional()?;
        Ok(row.map(|(swept_at, events, commands)| LastSweep {
            swept_at,
            cutoffs: Cutoffs { events, commands },
        }))
    }
}

impl Store {
    /// Removes what is older than the cut-offs, and gives the space back. An event if anything went.
    /// The caller removes the output files that it returns.
    ///
    /// # Errors
    /// [`WriteError`]; the pieces before the one that failed are done, their files are left for
    /// whoever compares the folder with the journal.
    pub async fn sweep(&self, cutoffs: &Cutoffs) -> Result<Swept, WriteError> {
        let cutoffs = *cutoffs;
        let mut swept = Swept::default();
        if let Some(before) = cutoffs.events {
            swept.events = self.sweep_events(before).await?;
        }
        if let Some(before) = cutoffs.commands {
            // A retry that went may free its first try, a pipeline the standalone first try of one of its commands.
            loop {
                let commands = self.sweep_commands(before, &mut swept).await?;
                let pipelines = self.sweep_pipelines(before, &mut swept).await?;
                if commands + pipelines == 0 {
                    break;
                }
            }
        }
        let counts = swept.clone();
        self.write(move |tx| close(tx, cutoffs, &counts)).await?;
        while self.write(give_back).await? {}
        Ok(swept)
    }

    async fn sweep_events(&self, before: Timestamp) -> Result<i64, WriteError> {
        let mut all = 0;
        loop {
            let some = self
                .write(move |tx| {
                    let some = diesel::sql_query(
                        "DELETE FROM event_log WHERE id IN \
                         (SELECT id FROM event_log WHERE timestamp < ? ORDER BY timestamp, id LIMIT ?)",
                    )
                    .bind::<TimestampColumn, _>(before)
                    .bind::<BigInt, _>(BATCH)
                    .execute(&mut tx.journal.conn)?;
                    if some > 0 {
                        tx.touch(Topic::Events);
                    }
                    Ok(i64::try_from(some).unwrap_or(BATCH))
                })
                .await?;
            all += some;
            if some < BATCH {
                return Ok(all);
            }
        }
    }

    async fn sweep_commands(&self, before: Timestamp, swept: &mut Swept) -> Result<i64, WriteError> {
        let mut all = 0;
        loop {
            let files = self
                .write(move |tx| {
                    let old: Vec<Old> = diesel::sql_query(OLD_COMMANDS)
                        .bind::<TimestampColumn, _>(before)
                        .bind::<BigInt, _>(BATCH)
                        .load(&mut tx.journal.conn)?;
                    remove(tx, old)
                })
                .await?;
            if files.is_empty() {
                return Ok(all);
            }
            all += add(swept, files);
        }
    }

    async fn sweep_pipelines(&self, before: Timestamp, swept: &mut Swept) -> Result<i64, WriteError> {
        let mut all = 0;
        loop {
            let old: Vec<OldPipeline> = self
                .reader()
                .read(move |journal| {
                    Ok(diesel::sql_query(OLD_PIPELINES)
                        .bind::<TimestampColumn, _>(before)
                        .load(&mut journal.conn)?)
                })
                .await
                .map_err(|error| WriteError::Database(error.to_string()))?;
            let mut gone = 0;
            for OldPipeline { id } in old {
                loop {
                    let files = self
                        .write(move |tx| {
                            let old: Vec<Old> = diesel::sql_query(PIPELINE_COMMANDS)
                                .bind::<Text, _>(id)
                                .bind::<BigInt, _>(BATCH)
                                .load(&mut tx.journal.conn)?;
                            remove(tx, old)
                        })
                        .await?;
                    if files.is_empty() {
                        break;
                    }
                    all += add(swept, files);
                }
                gone += self.write(move |tx| remove_pipeline(tx, id)).await?;
            }
            swept.pipelines += gone;
            all += gone;
            if gone == 0 {
                return Ok(all);
            }
        }
    }
}

fn add(swept: &mut Swept, files: Vec<Option<String>>) -> i64 {
    let removed = i64::try_from(files.len()).unwrap_or(i64::MAX);
    swept.commands += removed;
    swept.output_files.extend(files.into_iter().flatten());
    removed
}

/// Removes commands; what their events said about them stays there as text. One element for each command.
fn remove(tx: &mut Tx<'_>, old: Vec<Old>) -> Result<Vec<Option<String>>, Fault> {
    if old.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<CommandId> = old.iter().map(|old| old.id).collect();
    for id in &ids {
        diesel::sql_query(
            "UPDATE event_log SET details = json_set(coalesce(details, '{}'), '$.swept_command', command_id), \
             command_id = NULL WHERE command_id = ?",
        )
        .bind::<Text, _>(id)
        .execute(&mut tx.journal.conn)?;
    }
    diesel::delete(commands::table.filter(commands::id.eq_any(&ids))).execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Commands);
    Ok(old.into_iter().map(|old| old.output_file).collect())
}

/// 1 where the pipeline is gone, 0 where a command of it had to stay.
fn remove_pipeline(tx: &mut Tx<'_>, id: PipelineId) -> Result<i64, Fault> {
    let left: Option<CommandId> = commands::table
        .filter(commands::pipeline_id.eq(id))
        .select(commands::id)
        .first(&mut tx.journal.conn)
        .optional()?;
    let retry: Option<PipelineId> = pipelines::table
        .filter(pipelines::retry_of.eq(id))
        .select(pipelines::id)
        .first(&mut tx.journal.conn)
        .optional()?;
    if left.is_some() || retry.is_some() {
        return Ok(0);
    }
    diesel::sql_query(
        "UPDATE event_log SET details = json_set(coalesce(details, '{}'), '$.swept_pipeline', pipeline_id), \
         pipeline_id = NULL WHERE pipeline_id = ?",
    )
    .bind::<Text, _>(id)
    .execute(&mut tx.journal.conn)?;
    diesel::delete(pipeline_hosts::table.filter(pipeline_hosts::pipeline_id.eq(id))).execute(&mut tx.journal.conn)?;
    diesel::delete(pipelines::table.find(id)).execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Pipelines);
    Ok(1)
}

/// The last piece: sessions, definitions, what was done.
fn close(tx: &mut Tx<'_>, cutoffs: Cutoffs, swept: &Swept) -> Result<(), Fault> {
    diesel::delete(sessions::table.filter(sessions::expires_at.le(tx.now))).execute(&mut tx.journal.conn)?;
    if swept.commands > 0 {
        diesel::sql_query(
            "DELETE FROM definitions WHERE NOT EXISTS (SELECT 1 FROM commands WHERE definition = sha256) \
             AND NOT EXISTS (SELECT 1 FROM pipelines WHERE finished_at IS NULL AND instr(coalesce(plan, ''), sha256) > 0)",
        )
        .execute(&mut tx.journal.conn)?;
    }
    let values = (
        sweeps::swept_at.eq(tx.now),
        sweeps::events_before.eq(cutoffs.events),
        sweeps::commands_before.eq(cutoffs.commands),
    );
    diesel::insert_into(sweeps::table)
        .values((sweeps::id.eq(1), values))
        .on_conflict(sweeps::id)
        .do_update()
        .set(values)
        .execute(&mut tx.journal.conn)?;
    if swept.events + swept.commands + swept.pipelines == 0 {
        return Ok(());
    }
    let message = format!(
        "Removed by age: {} events, {} commands, {} pipelines",
        swept.events, swept.commands, swept.pipelines
    );
    tx.event(NewEvent {
        details: Some(serde_json::json!({
            "events": swept.events,
            "commands": swept.commands,
            "pipelines": swept.pipelines,
            "events_before": cutoffs.events,
            "commands_before": cutoffs.commands,
        })),
        ..NewEvent::system(Level::Info, "sweep", message)
    })?;
    Ok(())
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
