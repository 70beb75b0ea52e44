//! Keeping the journal within its limits: a sweep at start and every hour.

use std::sync::{Mutex, PoisonError};

use crate::domain::{Category, CommandId, Level, Span, Timestamp};
use crate::store::output;
use crate::store::{By, Cutoffs, EventFilter, Journal, LastSweep, NewEvent, Swept};

use super::drive::blocking;
use super::{Engine, EngineError};

/// Between two sweeps.
const INTERVAL: Span = Span::from_secs(3_600);

/// How long an announced jump is waited for; a little less than the interval, so that the next sweep does it.
const ANNOUNCED_FOR: Span = Span::from_secs(3_540);

/// An announcement older than this says nothing about the present jump.
const FORGOTTEN_AFTER: Span = Span::from_days(1);

const WITHDRAWN: &str = "What the last sweep announced is not done: the clock is back where it was";

const ANNOUNCEMENT: &str = "The next sweep would delete two days more than the last one did: the clock may have jumped, the \
                            retention was shortened, or the dashboard was away. It is done an hour from now; raise the \
                            retention to keep the rows";

/// Output files whose rows are looked up in one read.
const LOOKED_UP: usize = 500;

/// A cut-off that is further past the last one than this looks like a clock that jumped.
const JUMP: Span = Span::from_days(2);

/// What a sweep did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SweepDone {
    /// What it removed.
    pub swept: Swept,
    /// It removed nothing, because the clock may have jumped: a sweep at this time or later does it.
    pub postponed_until: Option<Timestamp>,
}

/// When sweeps ended, for readiness, and why the last one did not.
#[derive(Default)]
pub(super) struct SweepState {
    failure: Mutex<Option<String>>,
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

    /// Why the last sweep failed; none where it did not.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers how a sweep went; the reason of a failure that was not said yet.
    fn news(&self, went: Result<(), String>) -> Option<String> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *failure, went.err());
        failure.clone().filter(|why| before.as_ref() != Some(why))
    }

    fn ended(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Timestamp::now());
        *self.last_tick.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::time::Instant::now());
    }
}

/// Sweeps, and signs how far the log has come, at once and then every hour.
pub(super) async fn sweep_loop(engine: Engine) {
    engine.0.sweep.begun.get_or_init(std::time::Instant::now);
    loop {
        if let Err(why) = engine.sweep_once().await {
            tracing::error!(%why, "the sweep failed; the next one is in an hour");
        }
        if let Err(why) = engine.0.store.sessions_forget(engine.sessions_unused_since()).await {
            tracing::error!(%why, "ended sessions could not be forgotten; the next try is in an hour");
        }
        if let Err(why) = engine.0.store.checkpoint_if_due().await {
            tracing::error!(%why, "no checkpoint could be made; the next one is in an hour");
        }
        tokio::select! {
            () = engine.0.stopping.cancelled() => return,
            () = tokio::time::sleep(INTERVAL.to_std()) => {}
        }
    }
}

impl Engine {
    /// Deletes what is past its time, unless the clock seems to have jumped: that is announced, and
    /// done by the next sweep that is an hour or more later. A failure is an event, once while it stays the same.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    async fn sweep_once(&self) -> Result<SweepDone, EngineError> {
        let done = self.sweep_guarded().await;
        let went = done.as_ref().map(|_| ()).map_err(ToString::to_string);
        if let Some(why) = self.0.sweep.news(went) {
            let event = NewEvent {
                category: Category::Error,
                ..NewEvent::system(Level::Error, "sweep", format!("The sweep failed: {why}"))
            };
            if let Err(why) = self.0.store.append_event(event).await {
                tracing::error!(%why, "cannot write the journal");
                self.0.sweep.news(Ok(())); // It is said by the next one.
            }
        }
        done
    }

    async fn sweep_guarded(&self) -> Result<SweepDone, EngineError> {
        let cutoffs = self.cutoffs();
        let last = self.reader().read(Journal::last_cutoffs).await?;
        let Some(last) = last else {
            return self.delete(cutoffs).await;
        };
        let announced = self.announced_since(last.swept_at).await?;
        if !jumped(&last.cutoffs, &cutoffs) {
            if announced.is_some() {
                // Else the next jump would find itself announced.
                self.say(Level::Info, WITHDRAWN).await?;
            }
            return self.delete(cutoffs).await;
        }
        let now = Timestamp::now();
        let since = match announced.and_then(|at| Some((at, waited(at, now)?))) {
            Some((_, true)) => return self.delete(cutoffs).await,
            Some((at, false)) => at,
            None => {
                self.say(Level::Warn, ANNOUNCEMENT).await?;
                now
            }
        };
        self.0.sweep.ended();
        Ok(SweepDone {
            postponed_until: Some(since.plus(ANNOUNCED_FOR)),
            ..SweepDone::default()
        })
    }

    async fn say(&self, level: Level, text: &str) -> Result<(), EngineError> {
        let event = NewEvent::system(level, "sweep", text);
        self.0.store.append_event(event).await?;
        Ok(())
    }

    /// When a jump was announced, if that is the last that was said of sweeps, and since the last one.
    async fn announced_since(&self, last: Timestamp) -> Result<Option<Timestamp>, EngineError> {
        let found = self.reader().read(|journal| {
            let filter = EventFilter {
                action: Some("sweep".to_owned()),
                // What people asked for, and failures, are of other categories.
                category: Some(Category::System),
                ..EventFilter::default()
            };
            journal.events(&filter, None, 1)
        });
        // The newest by its id: times are what cannot be trusted here.
        let newest = found.await?.rows.into_iter().next();
        Ok(newest
            .filter(|event| event.level == Level::Warn && event.timestamp >= last)
            .map(|event| event.timestamp))
    }

    /// The same, because a person asks.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub async fn sweep(&self, by: By) -> Result<SweepDone, EngineError> {
        self.allow_at_all(&by, crate::domain::Ask::Settings)?;
        let message = format!("{} asked for a sweep", by.actor.name());
        self.0
            .store
            .append_event(NewEvent::audit(&by, Level::Info, "sweep", message))
            .await?;
        self.sweep_once().await
    }

    /// What is older than this is past its time now.
    #[must_use]
    pub fn cutoffs(&self) -> Cutoffs {
        self.cutoffs_at(Timestamp::now())
    }

    fn cutoffs_at(&self, now: Timestamp) -> Cutoffs {
        let before = |keep: Option<Span>| keep.map(|keep| now.minus(keep));
        Cutoffs {
            events: before(self.0.settings.keep_events),
            audit: before(self.0.settings.keep_audit),
            commands: before(self.0.settings.keep_commands),
            archive: before(self.0.settings.keep_archive),
        }
    }

    /// Whether a sweep with these cut-offs would be announced and done an hour later, unless that was announced already.
    #[must_use]
    pub fn would_wait(&self, last: Option<&LastSweep>, cutoffs: &Cutoffs) -> bool {
        last.is_some_and(|last| jumped(&last.cutoffs, cutoffs))
    }

    /// When the next sweep by itself is due, and its cut-offs.
    #[must_use]
    pub fn next_sweep(&self) -> (Timestamp, Cutoffs) {
        let now = Timestamp::now();
        let (last, _) = self.0.sweep.health();
        let at = last.map_or(now, |last| last.plus(INTERVAL).max(now));
        (at, self.cutoffs_at(at))
    }

    /// Rows first, then files: a file without a row is only waste, a row without its file is a lie.
    async fn delete(&self, cutoffs: Cutoffs) -> Result<SweepDone, EngineError> {
        let swept = self.0.store.sweep(&cutoffs, self.0.settings.archive).await?;
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
        if let Some(before) = cutoffs.commands {
            self.remove_forgotten(before).await?;
        }
        if let Some(keep) = self.0.settings.keep_reports {
            self.0.store.sweep_reports(Timestamp::now().minus(keep)).await?;
        }
        if let Some(before) = cutoffs.archive {
            self.0.store.expire_archives(before).await?;
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
        Ok(SweepDone {
            swept,
            postponed_until: None,
        })
    }

    /// Removes output files whose rows an earlier sweep removed before it was cut off. Only such as are past the
    /// retention by their id, and none from before a restore: those may belong to rows that the backup does not have.
    async fn remove_forgotten(&self, before: Timestamp) -> Result<(), EngineError> {
        let instance = self.reader().read(Journal::instance_row).await?;
        let from = instance.restored_at.unwrap_or(Timestamp::from_micros(0));
        let ids = CommandId::first_at(from)..CommandId::first_at(before);
        let data_dir = self.0.settings.data_dir.clone();
        // The files first, then the rows: a file is never older than its row.
        let ids = blocking(move || output::ids(&data_dir, &ids)).await.unwrap_or_default();
        let mut removed = 0;
        for some in ids.chunks(LOOKED_UP) {
            let some = some.to_vec();
            let gone = self.reader().read(move |journal| journal.without_row(&some)).await?;
            let files: Vec<String> = gone.iter().map(|id| format!("output/{id}")).collect();
            let (data_dir, count) = (self.0.settings.data_dir.clone(), files.len());
            let left = blocking(move || Ok(output::remove(&data_dir, &files)))
                .await
                .unwrap_or(count);
            removed += count.saturating_sub(left);
        }
        if removed > 0 {
            let message =
                format!("Removed {removed} output files that an interrupted sweep had left without their commands");
            let event = NewEvent::system(Level::Info, "sweep", message);
            self.0.store.append_event(event).await?;
        }
        Ok(())
    }
}

/// Whether what was announced then has waited its hour; none where the clock has jumped again since.
fn waited(announced: Timestamp, now: Timestamp) -> Option<bool> {
    let age = now.since(announced);
    (announced <= now && age <= FORGOTTEN_AFTER).then_some(age >= ANNOUNCED_FOR)
}

/// Whether a cut-off lies further past the last one than time can have passed between two sweeps. From keeping all
/// to keeping some is such a jump, too.
fn jumped(last: &Cutoffs, now: &Cutoffs) -> bool {
    let pairs = [
        (now.events, last.events),
        (now.audit, last.audit),
        (now.commands, last.commands),
        (now.archive, last.archive),
    ];
    pairs
        .into_iter()
        .any(|(now, last)| now.is_some_and(|now| last.is_none_or(|last| now.since(last) > JUMP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_time_can_have_passed_is_a_jump() {
        let time = |text: &str| Some(text.parse::<Timestamp>().expect("time"));
        let cut = |events, commands| Cutoffs {
            events,
            commands,
            ..Cutoffs::default()
        };
        let last = cut(time("2026-01-10"), time("2026-01-10"));
        assert!(!jumped(&last, &cut(time("2026-01-12"), time("2026-01-10"))));
        assert!(jumped(&last, &cut(time("2026-01-10"), time("2026-01-13"))));
        assert!(
            !jumped(&last, &cut(time("2026-01-01"), None)),
            "keeping more deletes nothing"
        );
        assert!(jumped(&cut(None, time("2026-01-10")), &last), "all was kept until now");
    }

    #[test]
    fn the_same_failure_is_news_once() {
        let state = SweepState::default();
        assert_eq!(state.news(Err("full".to_owned())).as_deref(), Some("full"));
        assert_eq!(state.news(Err("full".to_owned())), None);
        assert_eq!(state.news(Err("broken".to_owned())).as_deref(), Some("broken"));
        assert_eq!(state.news(Ok(())), None);
        assert_eq!(state.news(Err("broken".to_owned())).as_deref(), Some("broken"));
    }

    #[test]
    fn an_announcement_counts_for_its_own_jump_alone() {
        let announced: Timestamp = "2026-11-23 08:00:00".parse().expect("time");
        for (now, expected) in [
            ("2026-11-23 08:30:00", Some(false)),
            ("2026-11-23 09:00:00", Some(true)),
            ("2026-11-24 08:00:00", Some(true)),
            ("2026-11-24 08:00:01", None),
            ("2027-11-23 08:00:00", None),
            ("2026-11-23 07:59:59", None),
        ] {
            assert_eq!(waited(announced, now.parse().expect("time")), expected, "{now}");
        }
    }
}
