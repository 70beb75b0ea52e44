//! Batch after batch to one place: events to a log server or a file, checkpoints to a witness. At least once, in
//! order: what may not have arrived is sent again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::{DeliveryKind, Headers, Target};
use crate::outlet::{NotSent, Sink};
use crate::store::{Delivery, ReadError, Topic};

use super::super::Engine;
use super::courier::Courier;
use super::feed;

/// Events that come together go together.
const BURST: Duration = Duration::from_millis(50);

/// How long a stop waits for what is on its way.
const PARTING: Duration = Duration::from_secs(1);

/// One place and what is on its way there.
struct Line {
    courier: Courier,
    target: Target,
    headers: Headers,
    sink: Option<Sink>,
    /// The last that was sent.
    sent: i64,
    /// What was sent and has not settled: when, and up to where.
    unsettled: VecDeque<(Instant, i64)>,
    /// Checkpoints that were sent and are not journaled as witnessed, with the last events that they cover.
    checkpoints: VecDeque<(i64, i64)>,
}

/// Serves one place until the dashboard stops.
pub(super) async fn forward_loop(engine: Engine, target: Target, headers: Headers, row: Delivery) {
    let mut changes = engine.watch(Topic::Events);
    let mut line = Line {
        sent: row.cursor,
        courier: Courier::new(engine, &row),
        target,
        headers,
        sink: None,
        unsettled: VecDeque::new(),
        checkpoints: VecDeque::new(),
    };
    loop {
        changes.borrow_and_update();
        let stopping = line.courier.engine.0.stopping.clone();
        let went = tokio::select! {
            went = line.go_on() => went,
            // What is on its way then is sent again at the next start.
            () = async { stopping.cancelled().await; tokio::time::sleep(PARTING).await; } => Ok(false),
        };
        if stopping.is_cancelled() {
            return line.close().await;
        }
        match went {
            Ok(true) => continue,
            Ok(false) => {}
            Err(pause) => {
                line.courier.pause(pause).await;
                continue;
            }
        }
        let due = line.due();
        let mut hung_up = false;
        tokio::select! {
            () = line.courier.engine.0.stopping.cancelled() => {}
            changed = changes.changed() => {
                if changed.is_err() {
                    return line.close().await;
                }
                tokio::time::sleep(BURST).await;
            }
            () = until(due) => {}
            () = hang_up(&mut line.sink) => hung_up = true,
        }
        if hung_up {
            line.hung_up().await;
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

async fn hang_up(sink: &mut Option<Sink>) {
    match sink {
        Some(sink) => sink.hung_up().await,
        None => std::future::pending().await,
    }
}

impl Line {
    /// Settles, stores, and sends one batch. False where nothing is left to be sent; the pause after a failure.
    async fn go_on(&mut self) -> Result<bool, Duration> {
        self.settle().await?;
        let batch = match self.next().await {
            Ok(batch) => batch,
            Err(why) => {
                tracing::warn!(%why, "cannot read the journal");
                return Err(Duration::from_secs(5));
            }
        };
        let Some(last) = batch.last else {
            self.courier.caught_up = self.unsettled.is_empty();
            return Ok(false);
        };
        if !batch.gaps.is_empty() {
            let Courier { engine, kind, name, .. } = &self.courier;
            if let Err(why) = engine.0.store.delivery_gap(*kind, name, batch.gaps, last).await {
                tracing::warn!(%why, "cannot write the journal");
                return Err(Duration::from_secs(5));
            }
        }
        match self.send(&batch.messages).await {
            Ok(()) => {
                self.sent = last;
                self.unsettled.push_back((Instant::now(), last));
                self.checkpoints.extend(batch.checkpoints);
                Ok(true)
            }
            Err(why) => Err(self.failed(&why.to_string()).await),
        }
    }

    async fn next(&self) -> Result<feed::Batch, ReadError> {
        let reader = self.courier.engine.reader();
        match self.courier.kind {
            DeliveryKind::Witness => feed::checkpoints(reader, &self.target, self.sent).await,
            DeliveryKind::Forward | DeliveryKind::Notify => feed::events(reader, &self.target, self.sent).await,
        }
    }

    async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), NotSent> {
        let sink = match &mut self.sink {
            Some(sink) => sink,
            none => none.insert(Sink::open(&self.target, &self.headers).await?),
        };
        sink.send(messages).await
    }

    /// What has stood the test of time counts as arrived, and is journaled when that is due.
    async fn settle(&mut self) -> Result<(), Duration> {
        let after = self.sink.as_ref().map_or(Duration::ZERO, Sink::settles_after);
        while let Some((at, position)) = self.unsettled.front().copied()
            && at.elapsed() >= after
        {
            self.courier.arrived(position);
            self.unsettled.pop_front();
        }
        if self.courier.store_due().is_some_and(|due| due <= Instant::now()) {
            self.store().await?;
        }
        Ok(())
    }

    /// First it is there, then the journal says so.
    async fn store(&mut self) -> Result<(), Duration> {
        if let Some(sink) = &mut self.sink
            && let Err(why) = sink.sync().await
        {
            return Err(self.failed(&why.to_string()).await);
        }
        let arrived = self.courier.arrived;
        let there: Vec<_> = self
            .checkpoints
            .iter()
            .copied()
            .filter(|(id, _)| *id <= arrived)
            .collect();
        if !there.is_empty() {
            let store = &self.courier.engine.0.store;
            if let Err(why) = store.witnessed(&self.courier.name, there).await {
                tracing::warn!(%why, "cannot write the journal");
                return Err(Duration::from_secs(5));
            }
            self.checkpoints.retain(|(id, _)| *id > arrived);
        }
        self.courier.store().await;
        Ok(())
    }

    async fn failed(&mut self, why: &str) -> Duration {
        self.sink = None;
        self.unsettled.clear();
        self.checkpoints.clear();
        self.sent = self.courier.rewind();
        self.courier.failed(why).await
    }

    /// The other end has gone. Where everything had settled, it is asked for again when there is something to say.
    async fn hung_up(&mut self) {
        if self.unsettled.is_empty() {
            self.sink = None;
            return;
        }
        let pause = self.failed("it hung up before what was sent can have been read").await;
        self.courier.pause(pause).await;
    }

    /// When something has to be done that no event asks for.
    fn due(&self) -> Option<Instant> {
        let after = self.sink.as_ref().map_or(Duration::ZERO, Sink::settles_after);
        let settles = self.unsettled.front().map(|(at, _)| *at + after);
        settles.into_iter().chain(self.courier.store_due()).min()
    }

    /// A goodbye that is answered saves sending the last seconds again.
    async fn close(mut self) {
        let synced = match &mut self.sink {
            Some(sink) => sink.sync().await.is_ok(),
            None => true,
        };
        if synced
            && let Some(sink) = self.sink.take()
            && sink.close().await
            && let Some((_, position)) = self.unsettled.back()
        {
            self.courier.arrived(*position);
        }
        if synced && self.courier.store_due().is_some() {
            let _ = self.store().await;
        }
    }
}
