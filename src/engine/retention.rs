//! Keeping the journal within its limits: a sweep at start and every hour.

use std::sync::{Mutex, PoisonError};

use crate::domain::{Level, Span, Timestamp};
use crate::store::output;
use crate::store::{By, Cutoffs, EventFilter, Journal, NewEvent, Swept};

use super::drive::blocking;
use super::{Engine, EngineError};

/// Between two sweeps.
const INTERVAL: Span = Span::from_secs(3_600);

/// How long an announced jump is waited for; a little less than the interval, so that the next sweep does it.
const ANNOUNCED_FOR: Span = Span::from_secs(3_540);

const ANNOUNCEMENT: &str = "The next sweep would delete two days more than the last one did: the clock may have jumped, \
                            or the dashboard was away. It is done an hour from now; raise the retention to keep the rows";

/// A cut-off that is further past the last one than this looks like a clock that jumped.
const JUMP: Span = Span::from_days(2);

/// When sweeps ended, for readiness.
#[derive(Default)]
pub(super) struct SweepState {
    last: Mutex<Option<Timestamp>>,
    begun: std::sync::OnceLock<std::time::Instant>,
    last_tick: Mutex<Option<std::time::Instant>>,
}

impl SweepState {
    pub(super) fn health(&self) -> (Option<Timestamp>, bool) {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let tick = *self.last_tick.lock().unwrap_or_else(PoisonError::into_inner);
        let since = tick.or_else(|| self.begun.get().copied());
        let overdue = since.is_some_and(|at| at.elapsed() > INTERVAL.to_std() * 2);
        (last, overdue)
    }

    fn ended(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Timestamp::now());
        *self.last_tick.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::time::Instant::now());
    }
}

/// Sweeps at once and then every hour.
pub(super) async fn sweep_loop(engine: Engine) {
    engine.0.sweep.begun.get_or_init(std::time::Instant::now);
    loop {
        if let Err(why) = engine.sweep_once().await {
            tracing::error!(%why, "the sweep failed; the next one is in an hour");
        }
        tokio::select! {
            () = engine.0.stopping.cancelled() => return,
            () = tokio::time::sleep(INTERVAL.to_std()) => {}
        }
    }
}

impl Engine {
    /// Deletes what is past its time, unless the clock seems to have jumped: that is announced, and
    /// done by the next sweep that is an hour or more later.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub(super) async fn sweep_once(&self) -> Result<Swept, EngineError> {
        let cutoffs = self.cutoffs();
        let last = self.reader().read(Journal::last_cutoffs).await?;
        if let Some(last) = last.filter(|last| jumped(&last.cutoffs, &cutoffs)) {
            let announced = self.announced_since(last.swept_at).await?;
            let waited = announced.is_some_and(|at| Timestamp::now().since(at) >= ANNOUNCED_FOR);
            if !waited {
                if announced.is_none() {
                    self.0
                        .store
                        .append_event(NewEvent::system(Level::Warn, "sweep", ANNOUNCEMENT))
                        .await?;
                }
                self.0.sweep.ended();
                return Ok(Swept::default());
            }
        }
        self.delete(cutoffs).await
    }

    /// When a jump was announced, if it was since the last sweep.
    async fn announced_since(&self, last: Timestamp) -> Result<Option<Timestamp>, EngineError> {
        let found = self.reader().read(move |journal| {
            let filter = EventFilter {
                action: Some("sweep".to_owned()),
                level: Some(Level::Warn),
                since: Some(last),
                ..EventFilter::default()
            };
            journal.events(&filter, None, 1)
        });
        Ok(found.await?.rows.first().map(|event| event.timestamp))
    }

    /// The same, because a person asks: without the guard's hour.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn sweep(&self, by: By) -> Result<Swept, EngineError> {
        self.allow_at_all(&by, crate::domain::Ask::Settings)?;
        let message = format!("{} asked for a sweep", by.actor.name());
        self.0
            .store
            .append_event(NewEvent::audit(&by, Level::Info, "sweep", message))
            .await?;
        self.delete(self.cutoffs()).await
    }

    fn cutoffs(&self) -> Cutoffs {
        let now = Timestamp::now();
        let before = |keep: Option<Span>| keep.map(|keep| now.minus(keep));
        Cutoffs {
            events: before(self.0.settings.keep_events),
            commands: before(self.0.settings.keep_commands),
        }
    }

    /// Rows first, then files: a file without a row is only waste, a row without its file is a lie.
    async fn delete(&self, cutoffs: Cutoffs) -> Result<Swept, EngineError> {
        let swept = self.0.store.sweep(&cutoffs).await?;
        let (data_dir, files) = (self.0.settings.data_dir.clone(), swept.output_files.clone());
        let left = blocking(move || Ok(output::remove(&data_dir, &files)))
            .await
            .unwrap_or_default();
        if left > 0 {
            tracing::warn!(
                left,
                of = swept.output_files.len(),
                "some output files could not be removed"
            );
        }
        self.0.sweep.ended();
        if swept.events + swept.commands + swept.pipelines > 0 {
            tracing::info!(
                events = swept.events,
                commands = swept.commands,
                pipelines = swept.pipelines,
                "swept"
            );
        }
        Ok(swept)
    }
}

/// Whether a cut-off lies further past the last one than time can have passed between two sweeps.
fn jumped(last: &Cutoffs, now: &Cutoffs) -> bool {
    let pairs = [(now.events, last.events), (now.commands, last.commands)];
    pairs
        .into_iter()
        .any(|(now, last)| now.zip(last).is_some_and(|(now, last)| now.since(last) > JUMP))
}
