//! Retention: old final rows go, in pieces so small that nobody who writes waits long; children before parents,
//! rows before files. What is kept keeps everything that it refers to. A sweep ends in a signed checkpoint that stands
//! for what went: the rest of the chain still verifies.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp as TimestampColumn};

use super::error::Fault;
use super::schema::{commands, event_log, pipeline_hosts, pipelines, sealed, sessions, sweeps, swept_events};
use super::search::unindex;
use super::tx::Tx;
use super::{Journal, NewEvent, ReadError, Store, Topic, WriteError};
use crate::domain::{CheckpointKind, CommandId, Digest, Level, Link, PipelineId, SigningKey, Timestamp};

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
        let (counts, key) = (swept.clone(), self.inner.key.clone());
        self.write(move |tx| close(tx, cutoffs, &counts, &key)).await?;
        while self.write(forget).await? {}
        while self.write(give_back).await? {}
        Ok(swept)
    }

    async fn sweep_events(&self, before: Timestamp) -> Result<i64, WriteError> {
        let mut all = 0;
        loop {
            let some = self.write(move |tx| sweep_some_events(tx, before)).await?;
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
    diesel::delete(pipeline_hosts::table.filter(pipeline_hosts::pipeline_id.eq(id))).execute(&mut tx.journal.conn)?;
    diesel::delete(pipelines::table.find(id)).execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Pipelines);
    Ok(1)
}

/// The last piece: sessions, definitions, what was done.
fn close(tx: &mut Tx<'_>, cutoffs: Cutoffs, swept: &Swept, key: &SigningKey) -> Result<(), Fault> {
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
    let removed = serde_json::json!({
        "events": swept.events,
        "commands": swept.commands,
        "pipelines": swept.pipelines,
        "events_before": cutoffs.events,
        "commands_before": cutoffs.commands,
    });
    tx.event(NewEvent {
        details: Some(removed.clone()),
        ..NewEvent::system(Level::Info, "sweep", message)
    })?;
    let statement = Statement {
        base: base(tx)?,
        sealed: sealing(tx, None)?,
        commands_before: cutoffs.commands,
        removed,
    };
    let checkpoint = tx.checkpoint(key, CheckpointKind::Sweep, Some(serde_json::json!(statement)))?;
    diesel::update(sealed::table.filter(sealed::checkpoint_id.is_null()))
        .set(sealed::checkpoint_id.eq(checkpoint.id))
        .execute(&mut tx.journal.conn)?;
    Ok(())
}

/// What the checkpoint of a sweep states beside the chain's head; that of the first start of a log which is older than
/// its chain states where that begins.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Statement {
    /// The last event before the log begins, with its link; none where it begins at the first.
    pub(super) base: Option<Base>,
    /// What it vouches for in place of the events that went.
    pub(super) sealed: Sealing,
    /// Commands that settled before this time may be missing.
    pub(super) commands_before: Option<Timestamp>,
    /// Counts, and cut-offs.
    pub(super) removed: serde_json::Value,
}

/// Where a shortened log begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Base {
    /// The last event that is gone, with all before it.
    pub(super) event: i64,
    /// Its link.
    pub(super) link: Link,
}

/// The digests of one sweep.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Sealing {
    /// How many.
    pub(super) rows: usize,
    /// SHA-256 of their lines `WHAT DIGEST`, in the order of their ids.
    pub(super) sha256: Option<Digest>,
}

impl Journal {
    /// What the newest sweep stated; none before the first.
    pub(super) fn newest_statement(&mut self) -> Result<Option<Statement>, ReadError> {
        let checkpoint = self.base_checkpoint()?;
        let details = checkpoint.and_then(|checkpoint| checkpoint.details);
        let read = |text: String| serde_json::from_str(&text).map_err(|why| ReadError::Row(why.to_string()));
        details.map(read).transpose()
    }

    /// The digests that the checkpoint of this sweep vouches for; `None` is the sweep that is under way.
    pub(super) fn sealing(&mut self, checkpoint: Option<i64>) -> Result<Sealing, ReadError> {
        use sha2::Digest as _;
        let (mut hash, mut rows, mut last) = (sha2::Sha256::new(), 0, 0);
        loop {
            let some: Vec<(i64, String, Digest)> = sealed::table
                .filter(sealed::checkpoint_id.is(checkpoint))
                .filter(sealed::id.gt(last))
                .order(sealed::id.asc())
                .limit(1_000)
                .select((sealed::id, sealed::what, sealed::digest))
                .load(&mut self.conn)?;
            let Some((newest, ..)) = some.last() else { break };
            last = *newest;
            rows += some.len();
            for (_, what, digest) in &some {
                hash.update(format!("{what} {digest}\n"));
            }
        }
        Ok(Sealing {
            rows,
            sha256: (rows > 0).then(|| Digest::from_hash(&hash.finalize())),
        })
    }
}

fn sealing(tx: &mut Tx<'_>, checkpoint: Option<i64>) -> Result<Sealing, Fault> {
    Ok(tx.journal.sealing(checkpoint)?)
}

/// Where the log begins now: after what went from its front, or where it began before.
fn base(tx: &mut Tx<'_>) -> Result<Option<Base>, Fault> {
    let first: i64 = event_log::table
        .select(event_log::id)
        .order(event_log::id.asc())
        .get_result(&mut tx.journal.conn)?;
    let gone: Option<(i64, Link)> = swept_events::table
        .filter(swept_events::id.eq(first - 1))
        .select((swept_events::id, swept_events::link))
        .get_result(&mut tx.journal.conn)
        .optional()?;
    match gone {
        Some((event, link)) => Ok(Some(Base { event, link })),
        None => Ok(tx.journal.newest_statement()?.and_then(|statement| statement.base)),
    }
}

/// Forgets, in small steps, what the newest checkpoint of a sweep stands for: hashes from before the log begins, and
/// digests of rows that are all gone (hosts, users and tokens never are). True while there is more.
fn forget(tx: &mut Tx<'_>) -> Result<bool, Fault> {
    let base = tx.journal.newest_statement()?.and_then(|statement| statement.base);
    let before = base.map_or(0, |base| base.event);
    let hashes = diesel::sql_query(
        "DELETE FROM swept_events WHERE id IN (SELECT id FROM swept_events WHERE id <= ? ORDER BY id LIMIT ?)",
    )
    .bind::<BigInt, _>(before)
    .bind::<BigInt, _>(BATCH)
    .execute(&mut tx.journal.conn)?;
    if hashes > 0 {
        tx.touch_pages();
        return Ok(true);
    }
    let groups: Vec<Option<i64>> = sealed::table
        .filter(sealed::checkpoint_id.is_not_null())
        .select(sealed::checkpoint_id)
        .distinct()
        .load(&mut tx.journal.conn)?;
    for group in groups.into_iter().flatten() {
        let stands: Vec<Number> = diesel::sql_query(
            "SELECT s.id AS n FROM sealed s WHERE s.checkpoint_id = ? AND (EXISTS (SELECT 1 FROM commands WHERE id = s.what) \
             OR EXISTS (SELECT 1 FROM pipelines WHERE id = s.what) OR instr(s.what, ' ') > 0) ORDER BY s.id DESC LIMIT 1",
        )
        .bind::<BigInt, _>(group)
        .load(&mut tx.journal.conn)?;
        if stands.is_empty() {
            diesel::delete(sealed::table.filter(sealed::checkpoint_id.eq(group))).execute(&mut tx.journal.conn)?;
            tx.touch_pages();
        }
    }
    Ok(false)
}

/// Removes some old events: what the chain needs of them stays, and what they said of rows that stay.
fn sweep_some_events(tx: &mut Tx<'_>, before: Timestamp) -> Result<i64, Fault> {
    let ids: Vec<i64> = event_log::table
        .select(event_log::id)
        .filter(event_log::timestamp.lt(before))
        .order((event_log::timestamp.asc(), event_log::id.asc()))
        .limit(BATCH)
        .load(&mut tx.journal.conn)?;
    if ids.is_empty() {
        return Ok(0);
    }
    for row in tx.journal.canonical_of(&ids)? {
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
    Ok(i64::try_from(ids.len()).unwrap_or(BATCH))
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
