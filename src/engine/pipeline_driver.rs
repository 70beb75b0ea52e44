//! The driver of a pipeline: the one task that moves it on, from its start to its end.
//!
//! Like a command's driver it holds no state that matters: it lets the store advance the pipeline by its rows, gives
//! the commands that this asked for their drivers, and waits until one of them has ended, somebody said something, or
//! a busy host may have become free. It waits for changes of the journal and never polls.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::domain::{CommandStatus, PipelineId, PipelineStatus, Span, Timestamp};
use crate::store::{Advanced, Journal, ReadError, Topic};

use super::drive::Backoff;
use super::drivers::unless_it_panics;
use super::{Engine, EngineError};

/// Ends that come together are one advance.
const BURST: Duration = Duration::from_millis(20);

impl Engine {
    /// Makes sure that a pipeline has its one driver.
    pub(super) fn drive_pipeline(&self, id: PipelineId) {
        let Some(seat) = self.0.pipelines.seat(id) else {
            return;
        };
        let engine = self.clone();
        self.0.tasks.spawn(async move {
            let mut backoff = Backoff::new();
            let drive = || {
                let (engine, wake) = (engine.clone(), Arc::clone(&seat.wake));
                async move { engine.drive_pipeline_to_the_end(id, &wake).await }
            };
            while let Err(why) = unless_it_panics(drive).await {
                tracing::error!(pipeline = %id, %why, "its driver panicked; another one takes its place");
                if !engine.rest(backoff.pause(), &seat.wake).await {
                    return;
                }
            }
        });
    }

    /// After a word about a pipeline: its driver looks again, and so do those of its open commands. What had been asked
    /// for before a restart, and was held since, gets its drivers here.
    pub(super) async fn wake_pipeline(&self, id: PipelineId) -> Result<(), EngineError> {
        let open = self.reader().read(move |journal| journal.open_of_pipeline(id)).await?;
        for command in open {
            if self.is_due(id, command).await? {
                self.drive(command);
                self.nudge(command);
            }
        }
        self.drive_pipeline(id);
        self.0.pipelines.wake(id);
        Ok(())
    }

    /// Drivers for the open pipelines, and for the open commands but the orphaned ones and those that wait in a held
    /// pipeline.
    pub(super) async fn take_up(&self) -> Result<(), EngineError> {
        let (commands, held, pipelines) = self
            .reader()
            .read(|journal| {
                let pipelines = journal.open_pipelines()?;
                let held = pipelines.iter().filter(|row| row.status == PipelineStatus::Held);
                let held: std::collections::HashSet<PipelineId> = held.map(|row| row.id).collect();
                let pipelines: Vec<PipelineId> = pipelines.iter().map(|row| row.id).collect();
                Ok((journal.open_commands()?, held, pipelines))
            })
            .await?;
        for row in commands {
            let unstarted = matches!(row.status, CommandStatus::Pending | CommandStatus::Validating);
            let waits = unstarted && row.pipeline_id.is_some_and(|id| held.contains(&id));
            if row.status != CommandStatus::Orphaned && !waits {
                self.drive(row.id);
            }
        }
        for id in pipelines {
            self.drive_pipeline(id);
        }
        Ok(())
    }

    /// Whether an open command of a pipeline may be acted for now: not where it has not started and its pipeline is
    /// held, unless somebody wishes to stop it.
    async fn is_due(&self, id: PipelineId, command: crate::domain::CommandId) -> Result<bool, EngineError> {
        let due = self
            .reader()
            .read(move |journal| {
                let held = journal
                    .pipeline(id)?
                    .is_some_and(|row| row.status == PipelineStatus::Held);
                let row = journal.command(command)?;
                Ok(row.is_some_and(|row| {
                    let unstarted = matches!(row.status, CommandStatus::Pending | CommandStatus::Validating);
                    !(held && unstarted) || row.stop_reason.is_some()
                }))
            })
            .await?;
        Ok(due)
    }

    async fn drive_pipeline_to_the_end(&self, id: PipelineId, wake: &Notify) {
        let mut commands = self.watch(Topic::Commands);
        let mut pipelines = self.watch(Topic::Pipelines);
        let mut backoff = Backoff::new();
        loop {
            if self.0.stopping.is_cancelled() {
                return;
            }
            // What changes from here on wakes the wait below.
            commands.borrow_and_update();
            pipelines.borrow_and_update();
            let advanced = match self.0.store.advance_pipeline(id).await {
                Ok(advanced) => advanced,
                Err(trouble) => {
                    tracing::warn!(pipeline = %id, %trouble, "cannot advance the pipeline; will try again");
                    if !self.rest(backoff.pause(), wake).await {
                        return;
                    }
                    continue;
                }
            };
            backoff = Backoff::new();
            for row in &advanced.started {
                self.drive(row.id);
            }
            if !advanced.row.is_open() {
                tracing::info!(pipeline = %id, name = %advanced.row.name, status = %advanced.row.status, "final");
                return;
            }
            if !self.something_new(&advanced, wake, &mut commands, &mut pipelines).await {
                return;
            }
            tokio::time::sleep(BURST).await;
        }
    }

    /// Waits for a reason to look again. False where the dashboard stops.
    async fn something_new(
        &self,
        advanced: &Advanced,
        wake: &Notify,
        commands: &mut watch::Receiver<i64>,
        pipelines: &mut watch::Receiver<i64>,
    ) -> bool {
        let id = advanced.row.id;
        let open = advanced.open.len();
        let waits_for_hosts = advanced.busy > 0;
        let patience = advanced
            .patience_ends
            .map(|until| until.since(Timestamp::now()).to_std() + Span::from_millis(1).to_std());
        let patience = async move {
            match patience {
                Some(patience) => tokio::time::sleep(patience).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(patience);
        loop {
            tokio::select! {
                () = self.0.stopping.cancelled() => return false,
                () = wake.notified() => return true,
                () = &mut patience => return true,
                changed = pipelines.changed(), if waits_for_hosts => return changed.is_ok(),
                changed = commands.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    commands.borrow_and_update();
                    let now = self.reader().read(move |journal| still_open(journal, id)).await;
                    // Only this driver makes commands of it, so fewer means that some have ended.
                    if waits_for_hosts || now.is_ok_and(|now| now != open) {
                        return true;
                    }
                }
            }
        }
    }
}

fn still_open(journal: &mut Journal, id: PipelineId) -> Result<usize, ReadError> {
    Ok(journal.open_of_pipeline(id)?.len())
}
