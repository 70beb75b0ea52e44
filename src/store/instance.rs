//! `instance`: which dashboard this journal belongs to, its latest start, and whether the database was restored
//! from a backup meanwhile. The file beside the database (`mark`) has to agree.

use std::path::Path;

use diesel::prelude::*;
use uuid::Uuid;

use super::chain::CHAINED;
use super::error::Fault;
use super::high_water::HighWater;
use super::mark::Mark;
use super::pipeline::hold_after_absence;
use super::schema::{event_log, instance};
use super::tx::Tx;
use super::{By, Journal, NewEvent, ReadError, Store, Topic, WriteError};
use crate::domain::{CheckpointKind, Level, Span, Timestamp};

/// The latest start, as it was journaled.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = instance, check_for_backend(diesel::sqlite::Sqlite))]
pub struct InstanceRow {
    /// The dashboard's lasting id.
    pub dashboard_id: String,
    /// The id of the latest start; none before the first.
    #[diesel(column_name = start_id)]
    pub instance: Option<String>,
    /// The version of the program that started.
    pub program: Option<String>,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it stopped cleanly; none while it runs, and after a crash.
    pub stopped_at: Option<Timestamp>,
    /// When a start found that the database had been restored. About commands from before this time the
    /// absence of a job proves nothing, at later starts too.
    pub restored_at: Option<Timestamp>,
}

/// What a start found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Started {
    /// The dashboard before this one stopped cleanly.
    pub clean: bool,
    /// It did not.
    pub crashed: bool,
    /// There was none.
    pub first: bool,
    /// The database is another one than the dashboard left here: restored from a backup, or moved.
    pub restored: bool,
    /// How long no dashboard ran, as far as that is known.
    pub away: Option<Span>,
    /// The version of the program that ran before.
    pub previous_version: Option<String>,
}

/// A new id of a start, or of a dashboard.
pub(super) fn new_id() -> String {
    Uuid::now_v7().simple().to_string()
}

/// The dashboard's lasting id; made with its journal.
pub(super) fn dashboard_id(conn: &mut SqliteConnection) -> QueryResult<String> {
    diesel::insert_into(instance::table)
        .values((instance::id.eq(1), instance::dashboard_id.eq(new_id())))
        .on_conflict_do_nothing()
        .execute(conn)?;
    instance::table.select(instance::dashboard_id).get_result(conn)
}

impl Journal {
    /// The latest start.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn instance_row(&mut self) -> Result<InstanceRow, ReadError> {
        Ok(instance::table
            .select(InstanceRow::as_select())
            .get_result(&mut self.conn)?)
    }

    /// Whether a start on this data folder would find that the database was restored from a backup, or moved.
    /// Reads the file `instance` and the high-water mark, so it blocks.
    pub(super) fn is_restored(&mut self, data_dir: &Path, machine_folder: Option<&Path>) -> Result<bool, ReadError> {
        let found = Mark::read(data_dir).map_err(|error| ReadError::Database(format!("the instance file: {error}")))?;
        let (row, version) = (self.instance_row()?, self.version()?);
        Ok(disagree(found.as_ref(), row.instance.as_deref(), version)
            || is_behind(machine_folder, &row.dashboard_id, version).is_some())
    }

    fn last_event_at(&mut self) -> Result<Option<Timestamp>, ReadError> {
        Ok(event_log::table
            .select(event_log::timestamp)
            .order(event_log::id.desc())
            .get_result(&mut self.conn)
            .optional()?)
    }
}

impl Store {
    /// Journals this start, and what it finds about the one before: stopped cleanly, crashed, or another database.
    /// Pipelines are held where no dashboard ran for `resume_within` or longer. Call it once, before recovery.
    ///
    /// # Errors
    /// [`WriteError`]; also where the file `instance` cannot be written.
    pub async fn begin_start(&self, resume_within: Span) -> Result<Started, WriteError> {
        let found = self.on_disk(Mark::read).await?;
        let (row, version) = self
            .reader()
            .read(|journal| Ok((journal.instance_row()?, journal.version()?)))
            .await
            .map_err(|error| WriteError::Database(error.to_string()))?;
        let behind = {
            let (folder, id) = (self.machine_folder().map(Path::to_owned), row.dashboard_id.clone());
            self.on_disk(move |_| Ok(is_behind(folder.as_deref(), &id, version)))
                .await?
        };
        let restored = behind.is_some() || disagree(found.as_ref(), row.instance.as_deref(), version);
        // The file first names both starts: whichever is journaled when the power goes, they agree.
        let left = found.as_ref().and_then(|mark| mark.end.clone()).filter(|_| !restored);
        let before = Mark {
            end: left.clone(),
            instance: row.instance.clone(),
            next: Some(self.instance().to_owned()),
            version,
            alive_at: found.as_ref().map_or_else(Timestamp::now, |mark| mark.alive_at),
        };
        // After a restore the old file keeps saying so until the start is journaled.
        if !restored {
            self.on_disk(move |dir| before.write(dir, true)).await?;
        }
        let instance = self.instance().to_owned();
        let alive = found.map(|mark| mark.alive_at);
        let (key, linked, chained_before) = (self.inner.key.clone(), self.inner.linked, self.inner.chained_before);
        let started = self
            .write(move |tx| {
                let mut wrong = match restored {
                    true => Vec::new(), // Another past is what a backup is.
                    false => tx.journal.changed_since(left.as_ref())?,
                };
                if linked > 0 && chained_before && !restored {
                    wrong.push("its events had links, which were taken away".to_owned());
                }
                let started = start(tx, &instance, restored, behind, alive)?;
                hold_after_absence(tx, started.away, resume_within, restored)?;
                if linked > 0 {
                    tx.event(NewEvent {
                        details: Some(serde_json::json!({ "events": linked })),
                        ..NewEvent::audit(
                            &By::system(),
                            Level::Warn,
                            CHAINED,
                            format!(
                                "{linked} events from before were chained now, as they were found; until now nothing \
                                 vouched for them. This is right once, after an upgrade from a version without a chain"
                            ),
                        )
                    })?;
                }
                if !wrong.is_empty() {
                    let left = serde_json::json!({ "left": left, "found": wrong });
                    tx.tampered(&format!("{}. No dashboard ran meanwhile", wrong.join("; ")), left)?;
                }
                if tx.is_new_key(&key)? {
                    tx.event(NewEvent::audit(
                        &By::system(),
                        Level::Warn,
                        "key",
                        format!(
                            "Checkpoints are signed with another key from now on: {}",
                            key.public().fingerprint()
                        ),
                    ))?;
                }
                tx.checkpoint(&key, CheckpointKind::Start, None)?;
                Ok(started)
            })
            .await?;
        self.write_mark(true).await?;
        self.keep_high_water().await;
        Ok(started)
    }

    /// Journals that the dashboard stops as it was told to. The next start then knows that it did not crash. Nothing is
    /// written after it: what is found there later is of somebody else.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn clean_stop(&self) -> Result<(), WriteError> {
        let key = self.inner.key.clone();
        self.write_last(move |tx| {
            diesel::update(instance::table)
                .set(instance::stopped_at.eq(tx.now))
                .execute(&mut tx.journal.conn)?;
            tx.event(NewEvent::system(
                Level::Info,
                "stop",
                "The dashboard stops; jobs on hosts go on",
            ))?;
            tx.checkpoint(&key, CheckpointKind::Stop, None)?;
            Ok(())
        })
        .await?;
        self.write_mark(false).await
    }

    /// From now on this machine knows how far the journal has come. Where that cannot be written, the start goes on: a
    /// copy of the whole data folder that is put back is not noticed then.
    async fn keep_high_water(&self) {
        let Some(folder) = self.machine_folder().map(Path::to_owned) else {
            return;
        };
        let id = self.dashboard_id().to_owned();
        let shown = folder.clone();
        match self.on_disk(move |_| HighWater::open(&folder, &id)).await {
            Ok(mark) => self.inner.shared.keep_high_water(mark),
            Err(why) => tracing::warn!(
                folder = %shown.display(), %why,
                "no high-water mark can be kept on this machine: a restored copy of the whole data folder is not noticed"
            ),
        }
    }

    async fn write_mark(&self, keep: bool) -> Result<(), WriteError> {
        let mark = Mark {
            // First the end, then the version: see there.
            end: self.inner.shared.end(),
            instance: Some(self.instance().to_owned()),
            next: None,
            version: self.inner.shared.version(),
            alive_at: Timestamp::now(),
        };
        self.inner.shared.keep_mark(keep.then(|| mark.clone()));
        self.on_disk(move |dir| mark.write(dir, true)).await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, WriteError> {
        let data_dir = self.data_dir().to_owned();
        tokio::task::spawn_blocking(move || work(&data_dir))
            .await
            .map_err(|error| WriteError::Database(error.to_string()))?
            .map_err(|error| WriteError::Database(format!("the instance file: {error}")))
    }
}

/// Whether the file beside the database and the database tell of two different pasts.
fn disagree(found: Option<&Mark>, instance: Option<&str>, version: i64) -> bool {
    match found {
        Some(mark) => !mark.agrees(instance, version),
        None => instance.is_some(),
    }
}

/// The version that this machine had seen of the journal, where the journal is behind it: then it is a copy from before.
fn is_behind(machine_folder: Option<&Path>, dashboard_id: &str, version: i64) -> Option<i64> {
    HighWater::read(machine_folder?, dashboard_id).filter(|seen| *seen > version)
}

fn start(
    tx: &mut Tx<'_>,
    id: &str,
    restored: bool,
    behind: Option<i64>,
    alive: Option<Timestamp>,
) -> Result<Started, Fault> {
    let before = tx.journal.instance_row()?;
    let last_event = tx.journal.last_event_at()?;
    let ran = before.instance.is_some();
    let clean = ran && before.stopped_at.is_some();
    let last_sign = before
        .stopped_at
        .or_else(|| alive.max(last_event).max(before.started_at));
    let started = Started {
        clean,
        crashed: ran && !clean && !restored,
        first: !ran && !restored,
        restored,
        away: last_sign.filter(|_| ran).map(|sign| tx.now.since(sign)),
        previous_version: before.program,
    };
    diesel::update(instance::table)
        .set((
            instance::start_id.eq(id),
            instance::program.eq(env!("CARGO_PKG_VERSION")),
            instance::started_at.eq(tx.now),
            instance::stopped_at.eq(None::<Timestamp>),
        ))
        .execute(&mut tx.journal.conn)?;
    if restored {
        diesel::update(instance::table)
            .set(instance::restored_at.eq(tx.now))
            .execute(&mut tx.journal.conn)?;
        tx.event(NewEvent {
            details: behind.map(|seen| serde_json::json!({ "version_seen_on_this_machine": seen })),
            ..NewEvent::audit(
                &By::system(),
                Level::Warn,
                "restored",
                "The database is not the one that the dashboard left here: it was restored from a backup, or moved. \
                 Nothing that waited is started, and no missing job counts as never started",
            )
        })?;
    } else if started.crashed {
        let sign = last_sign.map_or_else(
            || "unknown".to_owned(),
            |sign| format!("{} UTC", &sign.to_string()[..19]),
        );
        tx.event(NewEvent::system(
            Level::Warn,
            "crash",
            format!("The dashboard had stopped without saying so; its last sign of life: {sign}"),
        ))?;
    }
    tx.touch(Topic::Events);
    tx.event(NewEvent {
        details: Some(serde_json::json!({
            "instance": id,
            "version": env!("CARGO_PKG_VERSION"),
            "previous_version": started.previous_version,
            "away_seconds": started.away.map(Span::as_secs),
        })),
        ..NewEvent::system(
            Level::Info,
            "start",
            format!("Quarterdeck {} starts", env!("CARGO_PKG_VERSION")),
        )
    })?;
    Ok(started)
}
