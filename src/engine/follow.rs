//! Following one job: its output into the file, its age against its time, a wish to stop to its
//! verified end.
//!
//! A lost connection decides nothing: it ends this follower with an error, and the driver comes back
//! with another one from the byte where this one stopped.

use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use crate::domain::{Evidence, Identity, OnTimeout, Span, StopReason, Timestamp};
use crate::executor::{Follower, HostError, JobEvent};
use crate::store::output::Output;
use crate::store::{By, CommandRow};

use super::Engine;
use super::case::{Case, Trouble};
use super::drive::blocking;
use super::settle::another_machine;

/// How following ended.
pub(super) enum Ending {
    /// The host's last word about the job; all output is in the file.
    Evidence { at: Identity, evidence: Evidence },
    /// The dashboard stops; the job goes on.
    LetGo,
}

/// How long a stop of the dashboard waits for a launch to be acknowledged.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(10);

/// A job's age: what the host said last, and how long ago that was by a clock that is never set.
struct Age {
    said: Span,
    at: Instant,
}

impl Age {
    fn now(&self) -> Span {
        let since = i64::try_from(self.at.elapsed().as_micros()).unwrap_or(i64::MAX);
        Span::from_micros(self.said.as_micros().saturating_add(since))
    }
}

/// What one follower keeps between events.
struct Following<'a> {
    engine: &'a Engine,
    case: &'a Case,
    row: CommandRow,
    at: Option<Identity>,
    age: Option<Age>,
}

impl Engine {
    /// Follows until the host's last word, the connection's end or the dashboard's stop.
    pub(super) async fn follow_job(&self, case: &Case, follower: Follower, wake: &Notify) -> Result<Ending, Trouble> {
        self.found(case.row.host_id).await;
        let mut following = Following {
            engine: self,
            case,
            row: case.row.clone(),
            at: None,
            age: None,
        };
        following.hear_out(follower, wake).await
    }
}

/// Reads a follower in a task of its own, so that waiting for its next word can be given up at will.
fn words_of(mut follower: Follower) -> (mpsc::Receiver<Result<JobEvent, HostError>>, tokio::task::AbortHandle) {
    let (words, heard) = mpsc::channel(4);
    let reading = tokio::spawn(async move {
        loop {
            let word = follower.next().await;
            let last = matches!(word, Err(_) | Ok(JobEvent::Ended(_)));
            if words.send(word).await.is_err() || last {
                return;
            }
        }
    });
    (heard, reading.abort_handle())
}

/// Ends the reading task when following ends, however it ends.
struct Abort(tokio::task::AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Stopping<'a> = Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send + 'a>>;

impl Following<'_> {
    async fn hear_out(&mut self, follower: Follower, wake: &Notify) -> Result<Ending, Trouble> {
        let (mut heard, reading) = words_of(follower);
        let _reading = Abort(reading);
        let (engine, case) = (self.engine, self.case);
        let mut stopping: Option<Stopping<'_>> = None;
        let mut stopped = false;
        let mut ended: Option<Evidence> = None;
        let mut let_go_at: Option<tokio::time::Instant> = None;
        loop {
            if stopping.is_none() && !stopped && self.row.stop_reason.is_some() && self.at.is_some() {
                stopping = Some(Box::pin(engine.stop_and_verify(case, self.row.clone())));
            }
            // A stopped job's end counts when the stop has been verified: what survived keeps the host locked.
            if let Some(evidence) = ended.take() {
                let verified = stopping.is_none();
                let by_stop = matches!(
                    evidence,
                    Evidence::Exit { stopped: Some(_), .. } | Evidence::ExitLost { stopped: Some(_) }
                );
                if verified || !by_stop {
                    let at = self
                        .at
                        .clone()
                        .ok_or_else(|| HostError::Lost("the host did not say where it is".to_owned()))?;
                    return Ok(Ending::Evidence { at, evidence });
                }
                ended = Some(evidence);
            }
            let acknowledged = self.row.launched_at.is_some();
            if engine.0.stopping.is_cancelled() {
                let until = *let_go_at.get_or_insert_with(|| tokio::time::Instant::now() + ACKNOWLEDGE_WITHIN);
                if acknowledged || tokio::time::Instant::now() >= until {
                    return Ok(Ending::LetGo);
                }
            }
            let alarm = self.next_alarm();
            tokio::select! {
                word = heard.recv(), if ended.is_none() => match word {
                    Some(Ok(JobEvent::Ended(evidence))) => ended = Some(evidence),
                    Some(Ok(event)) => self.hear(event).await?,
                    Some(Err(why)) => return Err(why.into()),
                    None => return Err(HostError::Lost("the follower ended".to_owned()).into()),
                },
                done = async { match stopping.as_mut() { Some(stopping) => stopping.await, None => std::future::pending().await } } => {
                    stopping = None;
                    done?;
                    stopped = true;
                }
                () = wake.notified() => self.read_again().await?,
                () = engine.0.stopping.cancelled(), if let_go_at.is_none() => {}
                () = tokio::time::sleep(Duration::from_millis(200)), if let_go_at.is_some() => {}
                () = sleep_for(alarm) => self.look_at_the_clock().await?,
            }
        }
    }

    async fn hear(&mut self, event: JobEvent) -> Result<(), Trouble> {
        match event {
            JobEvent::At(identity) => {
                let journaled = self.case.journaled().machine_id;
                if !journaled.is_empty() && journaled != identity.machine_id {
                    return Err(another_machine(self.case).into());
                }
                self.at = Some(identity);
                if self.row.error.is_some()
                    && let Some(row) = self.engine.0.store.heard_again(self.row.id).await?
                {
                    self.row = row;
                }
            }
            JobEvent::Started { age_ms } => {
                self.note_age(age_ms);
                if self.row.launched_at.is_none() {
                    let launched_at = Timestamp::now()
                        .minus(Span::from_millis(age_ms))
                        .max(self.row.started_at.unwrap_or(self.row.created_at));
                    let deadline = launched_at.plus(self.case.definition.timeout);
                    if let Some(row) = self
                        .engine
                        .0
                        .store
                        .acknowledge(self.row.id, launched_at, Some(deadline))
                        .await?
                    {
                        self.row = row;
                    }
                }
            }
            JobEvent::Alive { age_ms } => self.note_age(age_ms),
            JobEvent::Output { offset, bytes } => {
                self.keep(offset, bytes).await?;
            }
            JobEvent::Ended(_) => {}
        }
        Ok(())
    }

    /// Writes output that came, up to the dashboard's own limit: a host that does not cut it fills no disk here.
    async fn keep(&mut self, offset: u64, mut bytes: Vec<u8>) -> Result<(), Trouble> {
        let engine = self.engine;
        let limit = engine.0.settings.output_limit;
        // Hosts cut at a whole number of their shell's units, of which the largest has 1024 bytes.
        let room = limit.next_multiple_of(1024).saturating_sub(offset);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let more = bytes.len() > room;
        bytes.truncate(room);
        if !bytes.is_empty() {
            let (data_dir, id) = (engine.0.settings.data_dir.clone(), self.row.id);
            blocking(move || Output::open(&data_dir, id)?.write_at(offset, &bytes)).await?;
        }
        if more
            && !self.row.output_cut
            && let Some(row) = engine.0.store.cut_output(self.row.id, limit).await?
        {
            self.row = row;
        }
        Ok(())
    }

    fn note_age(&mut self, age_ms: i64) {
        self.age = Some(Age {
            said: Span::from_millis(age_ms),
            at: Instant::now(),
        });
    }

    async fn read_again(&mut self) -> Result<(), Trouble> {
        let id = self.row.id;
        if let Some(row) = self.engine.reader().read(move |journal| journal.command(id)).await? {
            self.row = row;
        }
        Ok(())
    }

    /// How much time the job was given, by the journal.
    fn time_given(&self) -> Option<Span> {
        let (deadline, launched) = (self.row.deadline?, self.row.launched_at?);
        Some(deadline.since(launched))
    }

    /// What is to be announced or done next by the job's age, and at what age.
    fn due(&self) -> [Option<Span>; 2] {
        let warn = self.case.definition.warn_after.filter(|_| self.row.warned_at.is_none());
        let over = self.time_given().filter(|_| match self.case.definition.on_timeout {
            OnTimeout::Kill => self.row.stop_reason.is_none(),
            OnTimeout::Attend => self.row.overdue_at.is_none(),
        });
        [warn, over]
    }

    fn next_alarm(&self) -> Option<Duration> {
        let age = self.age.as_ref()?.now();
        let next = self.due().into_iter().flatten().min()?;
        Some(Span::from_micros(next.as_micros() - age.as_micros()).to_std() + Duration::from_millis(1))
    }

    async fn look_at_the_clock(&mut self) -> Result<(), Trouble> {
        let Some(age) = self.age.as_ref().map(Age::now) else {
            return Ok(());
        };
        let [warn, over] = self.due();
        let store = &self.engine.0.store;
        let id = self.row.id;
        let changed = if over.is_some_and(|at| age >= at) {
            match self.case.definition.on_timeout {
                OnTimeout::Attend => store.overdue(id).await?,
                OnTimeout::Kill => {
                    // Somebody may have given it more time since the row was read.
                    self.read_again().await?;
                    if self.time_given().is_some_and(|given| age < given) {
                        return Ok(());
                    }
                    store.wish_stop(id, StopReason::Timeout, By::system(), None).await?
                }
            }
        } else if warn.is_some_and(|at| age >= at) {
            store.warn(id).await?
        } else {
            return Ok(());
        };
        match changed {
            Some(row) => self.row = row,
            None => self.read_again().await?,
        }
        Ok(())
    }
}

async fn sleep_for(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
