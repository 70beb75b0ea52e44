//! What every delivery has: a cursor that moves once a second at most, and an outage that is announced once.

use std::time::{Duration, Instant};

use crate::domain::DeliveryKind;
use crate::store::Delivery;

use super::super::Engine;

/// Between two writes of one cursor.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// The first pause after a failure; each one is twice as long as the one before, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(250);

/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(60);

/// One place outside, as a task of the engine serves it.
pub(super) struct Courier {
    pub(super) engine: Engine,
    pub(super) kind: DeliveryKind,
    pub(super) name: String,
    /// What the journal has.
    pub(super) stored: i64,
    /// What has arrived, or is not for it.
    pub(super) arrived: i64,
    /// Something of that has arrived.
    got_some: bool,
    stored_at: Option<Instant>,
    failures: u32,
    /// It is in an outage, by the journal.
    outage: bool,
    /// Something has arrived since the last failure.
    recovered: bool,
    /// Since the last failure everything that there was has arrived.
    pub(super) caught_up: bool,
}

impl Courier {
    pub(super) fn new(engine: Engine, row: &Delivery) -> Self {
        let outage = row.failing_since.is_some();
        let courier = Self {
            engine,
            kind: row.kind,
            name: row.name.clone(),
            stored: row.cursor,
            arrived: row.cursor,
            got_some: false,
            stored_at: None,
            failures: u32::from(outage),
            outage,
            recovered: false,
            caught_up: false,
        };
        if outage {
            courier.note(Some(()));
        }
        courier
    }

    /// Everything up to here is there.
    pub(super) fn arrived(&mut self, position: i64) {
        self.passed(position);
        self.got_some = true;
        self.recovered = true;
    }

    /// Everything up to here is not for this place.
    pub(super) fn passed(&mut self, position: i64) {
        self.arrived = self.arrived.max(position);
    }

    /// The journal has written that everything up to here is left out.
    pub(super) fn skipped(&mut self, position: i64) {
        (self.arrived, self.stored) = (position, position);
        self.got_some = false;
        // What comes next has tries of its own.
        self.failures = 0;
    }

    /// What arrived and is not journaled may be asked for again: nothing of it counts.
    pub(super) fn rewind(&mut self) -> i64 {
        self.arrived = self.stored;
        self.got_some = false;
        self.stored
    }

    /// When the cursor may be written; none where there is nothing to write.
    pub(super) fn store_due(&self) -> Option<Instant> {
        let due = || self.stored_at.map_or_else(Instant::now, |at| at + STORE_EVERY);
        (self.arrived > self.stored || self.is_over()).then(due)
    }

    /// Whether an outage has ended that the journal still has.
    fn is_over(&self) -> bool {
        self.outage && self.recovered && self.caught_up
    }

    /// Writes the cursor, and that the outage is over where everything that waited is there.
    pub(super) async fn store(&mut self) {
        let store = &self.engine.0.store;
        let over = self.is_over();
        let done = if over {
            store.delivery_back(self.kind, &self.name, self.arrived).await
        } else if self.got_some {
            store.delivered(self.kind, &self.name, self.arrived).await
        } else {
            store.passed_over(self.kind, &self.name, self.arrived).await
        };
        self.stored_at = Some(Instant::now());
        if let Err(why) = done {
            // What is not stored is sent again after a restart; nothing else is lost.
            tracing::warn!(name = self.name, %why, "cannot write how far a delivery has come");
            return;
        }
        self.stored = self.arrived;
        if self.got_some {
            self.failures = 0;
            self.got_some = false;
        }
        if over {
            self.outage = false;
            self.note(None);
        }
    }

    /// Nothing went. The first failure is tried again at once; from the second on it is an outage.
    /// Gives how long to wait.
    pub(super) async fn failed(&mut self, why: &str) -> Duration {
        self.failures += 1;
        self.caught_up = false;
        self.recovered = false;
        tracing::warn!(name = self.name, kind = %self.kind, why, tries = self.failures, "a delivery failed");
        if self.failures > 1 {
            match self.engine.0.store.delivery_failed(self.kind, &self.name, why).await {
                Ok(()) => self.outage = true,
                Err(why) => tracing::warn!(name = self.name, %why, "a failed delivery could not be journaled"),
            }
            self.note(Some(()));
        }
        let doubled = SHORTEST.saturating_mul(1 << (self.failures - 1).min(16));
        doubled.min(LONGEST)
    }

    /// Waits; false where the dashboard stops meanwhile.
    pub(super) async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.engine.0.stopping.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// For readiness: an outage, or none.
    fn note(&self, outage: Option<()>) {
        let mut outages = self.engine.outages();
        let place = (self.kind, self.name.clone());
        match outage {
            Some(()) => {
                outages.entry(place).or_insert_with(crate::domain::Timestamp::now);
            }
            None => {
                outages.remove(&place);
            }
        }
    }
}
