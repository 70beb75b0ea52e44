//! The pass behind the full-text search: indexes the words of events shortly after they were written, in small pieces
//! between the others. It sleeps until there is an event.

use std::time::{Duration, Instant};

use crate::store::{Indexed, Journal, ReadError, Topic};

use super::Engine;

/// Between two passes, so that a busy journal is indexed in batches.
const PAUSE: Duration = Duration::from_millis(300);

/// Before the next try where the journal could not be written.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// So long an asker waits for the newest events to be indexed.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) async fn index_loop(engine: Engine) {
    let mut events = engine.watch(Topic::Events);
    loop {
        events.borrow_and_update();
        let pause = match engine.index_to_the_end().await {
            Ok(()) => PAUSE,
            Err(why) => {
                tracing::warn!(%why, "the words of events could not be indexed");
                events.mark_changed();
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = engine.0.stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        tokio::select! {
            () = engine.0.stopping.cancelled() => return,
            changed = events.changed() => if changed.is_err() { return },
        }
    }
}

impl Engine {
    /// Indexes what is there. Where that is much, whoever else writes gets half of the time; where the disk is nearly
    /// full, the room is left to what matters more.
    async fn index_to_the_end(&self) -> Result<(), crate::store::WriteError> {
        while self.0.store.room_for_new().is_ok() {
            let begun = Instant::now();
            let done = self.0.store.index_some_events().await?;
            self.0.indexed.send_replace(done.to);
            if !done.more || self.0.stopping.is_cancelled() {
                return Ok(());
            }
            tokio::time::sleep(begun.elapsed()).await;
        }
        Ok(())
    }

    /// How far the full-text index reaches, after a moment's wait for the newest events: they are there at once but in
    /// a flood, or after an upgrade.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn indexed(&self) -> Result<Indexed, ReadError> {
        let mut done = self.0.indexed.subscribe();
        let now = self.reader().read(Journal::indexed).await?;
        if !now.lags() {
            return Ok(now);
        }
        let caught_up = done.wait_for(|to| *to >= now.newest);
        if tokio::time::timeout(PATIENCE, caught_up).await.is_ok() {
            return Ok(Indexed { to: now.newest, ..now });
        }
        self.reader().read(Journal::indexed).await
    }
}
