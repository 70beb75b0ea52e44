//! The driver of a command: the one task that acts for it, from PENDING to its end.
//!
//! A driver holds no state that matters. It reads the row, does what the row's status asks for, and
//! reads the row again; whatever it was doing when the dashboard died, the next driver finds out
//! from the journal and the host.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::domain::{CommandId, CommandStatus, Evidence, Expect, Level, Refusal, Span, Timestamp};
use crate::executor::{self, HostError, Job};
use crate::store::By;
use crate::store::output::Output;

use super::Engine;
use super::case::{Case, Trouble};
use super::drivers::unless_it_panics;
use super::follow::Ending;
use super::settle::said;

/// What a step of a driver leads to.
pub(super) enum Next {
    /// Read the row again.
    Again,
    /// Look again soon: the host is on its way down or up.
    Soon,
    /// The dashboard stops: the job goes on, recovery takes it from here.
    LetGo,
}

/// Waits between tries: doubling, with a bound.
pub(super) struct Backoff {
    next: Span,
    most: Span,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self {
            next: Span::from_millis(250),
            most: Span::from_secs(30),
        }
    }

    pub(super) fn pause(&mut self) -> std::time::Duration {
        let pause = self.next;
        self.next = Span::from_micros(pause.as_micros() * 2).min(self.most);
        pause.to_std()
    }
}

impl Engine {
    /// Makes sure that a command has its one driver.
    pub(super) fn drive(&self, id: CommandId) {
        let Some(seat) = self.0.drivers.seat(id) else {
            return;
        };
        let engine = self.clone();
        self.0.tasks.spawn(async move {
            let mut backoff = Backoff::new();
            let mut said = None;
            let drive = || {
                let (engine, wake) = (engine.clone(), Arc::clone(&seat.wake));
                async move { engine.drive_to_the_end(id, &wake).await }
            };
            // A driver that panicked has a successor, as after a restart: it finds out from the journal and the host.
            while let Err(why) = unless_it_panics(drive).await {
                if said.as_ref() != Some(&why) {
                    engine.say_driver_panicked(id, &why).await;
                    said = Some(why);
                }
                if !engine.rest(backoff.pause(), &seat.wake).await {
                    return;
                }
            }
        });
    }

    async fn say_driver_panicked(&self, id: CommandId, why: &str) {
        tracing::error!(command = %id, %why, "a driver panicked; another one takes its place");
        let message = format!("A fault of the dashboard's own ended its work on this command; it begins anew: {why}");
        let details = serde_json::json!({ "panic": why });
        if let Err(trouble) = self.0.store.note(id, Level::Error, message, Some(details)).await {
            tracing::warn!(command = %id, %trouble, "cannot write the journal");
        }
    }

    async fn drive_to_the_end(&self, id: CommandId, wake: &Notify) {
        let mut backoff = Backoff::new();
        let mut tried_launch = 0;
        // Limits how many jobs are begun and followed; what is on its host already, or is to be stopped, needs none.
        let mut place = None;
        loop {
            let case = match self.case(id).await {
                Ok(Some(case)) => case,
                Ok(None) => return self.go_on_asking(id, wake).await,
                Err(trouble) => {
                    tracing::warn!(command = %id, %trouble, "cannot read the journal");
                    if !self.rest(backoff.pause(), wake).await {
                        return;
                    }
                    continue;
                }
            };
            if self.0.stopping.is_cancelled() {
                return;
            }
            let unstarted = matches!(case.row.status, CommandStatus::Pending | CommandStatus::Validating);
            if unstarted && (place.is_none() || case.row.stop_reason.is_some()) {
                place = self.place(&case, wake).await;
                if place.is_none() {
                    continue;
                }
            }
            let step = self.step(&case, &mut tried_launch, wake).await;
            let pause = match step {
                Ok(Next::Again) => {
                    backoff = Backoff::new();
                    continue;
                }
                Ok(Next::LetGo) => return,
                Ok(Next::Soon) => Span::from_secs(1).to_std(),
                Err(trouble) => {
                    tracing::info!(command = %id, host = %case.host.name, %trouble, "will try again");
                    if let Trouble::Host(why) = &trouble {
                        self.lost(case.row.host_id, why).await;
                    }
                    match self.silent_too_long(&case, &trouble).await {
                        true => self.say_orphaned(&case, &trouble.to_string()).await,
                        false => self.say_still_unknown(&case, &trouble.to_string()).await,
                    }
                    backoff.pause()
                }
            };
            if !matches!(case.row.status, CommandStatus::Pending | CommandStatus::Validating) {
                // Who waits for an absent host keeps nobody else waiting.
                place = None;
            }
            if !self.rest(pause, wake).await {
                return;
            }
        }
    }

    /// One of the places for jobs that are followed at once. None where something changed while waiting.
    async fn place(&self, case: &Case, wake: &Notify) -> Option<tokio::sync::OwnedSemaphorePermit> {
        if case.row.stop_reason.is_some() {
            // No place is needed for what is cancelled before it starts.
            if let Err(why) = self.0.store.cancel_unstarted(case.row.id).await {
                tracing::warn!(command = %case.row.id, %why, "cannot journal the cancellation");
                self.rest(Span::from_secs(1).to_std(), wake).await;
            }
            return None;
        }
        tokio::select! {
            biased;
            () = self.0.stopping.cancelled() => None,
            permit = Arc::clone(&self.0.follow_permits).acquire_owned() => permit.ok(),
            () = wake.notified() => None,
        }
    }

    /// Waits, unless somebody asks for a look now. False where the dashboard stops.
    pub(super) async fn rest(&self, pause: std::time::Duration, wake: &Notify) -> bool {
        tokio::select! {
            () = self.0.stopping.cancelled() => false,
            () = wake.notified() => true,
            () = tokio::time::sleep(pause) => true,
        }
    }

    async fn step(&self, case: &Case, tried_launch: &mut i64, wake: &Notify) -> Result<Next, Trouble> {
        let id = case.row.id;
        match case.row.status {
            CommandStatus::Pending => {
                self.0.store.begin_validating(id).await?;
                Ok(Next::Again)
            }
            CommandStatus::Validating => self.validate(case, wake).await,
            CommandStatus::Executing | CommandStatus::Orphaned if self.reboot_time_is_up(case) => {
                self.give_up_on_reboot(case, wake).await
            }
            CommandStatus::Executing if case.row.launched_at.is_some() => self.follow_to_the_end(case, wake).await,
            // A wish to stop that came before the launch: the host is asked behind a fence, so that nothing starts.
            CommandStatus::Executing if *tried_launch != case.row.launches && case.row.stop_reason.is_none() => {
                *tried_launch = case.row.launches;
                self.launch(case, wake).await
            }
            CommandStatus::Executing | CommandStatus::Orphaned => self.ask(case, wake).await,
            CommandStatus::Success
            | CommandStatus::Error
            | CommandStatus::Timeout
            | CommandStatus::Cancelled
            | CommandStatus::Blocked
            | CommandStatus::Skipped => Ok(Next::LetGo),
        }
    }

    /// Contact with the host, then the pre-check: reads only, so it may be cut off and done again.
    async fn validate(&self, case: &Case, wake: &Notify) -> Result<Next, Trouble> {
        let limit = self.0.settings.precheck_limit;
        let contact = self.0.executor.prepare(
            &case.host,
            case.job(),
            case.definition.pre_check.as_deref(),
            limit,
            true,
        );
        let prepared = tokio::select! {
            () = self.0.stopping.cancelled() => return Ok(Next::LetGo),
            () = wake.notified() => return Ok(Next::Again),
            prepared = contact => prepared,
        };
        let id = case.row.id;
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                self.lost(case.row.host_id, &why).await;
                self.0.store.refuse(id, why.refusal(), why.to_string(), None).await?;
                return Ok(Next::Again);
            }
        };
        self.met(case.row.host_id, &prepared.facts).await;
        match prepared.check {
            None => {}
            Some(check) if check.code == 0 => {}
            Some(check) if check.code == 10 => {
                self.0.store.skip(id, said("not needed", &check.text)).await?;
                return Ok(Next::Again);
            }
            Some(check) => {
                let text = said(&format!("the pre-check said no (exit {})", check.code), &check.text);
                self.0.store.refuse(id, Refusal::Precheck, text, None).await?;
                return Ok(Next::Again);
            }
        }
        if let Some((refusal, text)) = self.in_the_way_there(case, &prepared.at).await? {
            self.0.store.refuse(id, refusal, text, None).await?;
            return Ok(Next::Again);
        }
        self.0.store.begin_executing(id, &prepared.at, None).await?;
        Ok(Next::Again)
    }

    /// Sends the job to its host. What this answers, and whether it answers at all, may be lost:
    /// then the host is asked, behind a fence.
    async fn launch(&self, case: &Case, wake: &Notify) -> Result<Next, Trouble> {
        let job = Job {
            id: case.job(),
            op: case.row.op.to_string(),
            script: case.definition.script.clone(),
            post_check: case
                .definition
                .post_check
                .clone()
                .filter(|_| case.definition.expect == Expect::Exit),
            // The dashboard keeps the time, because it can be extended; its stop ends the post-check too.
            timeout: None,
            output_limit: self.0.settings.output_limit,
            environment: Vec::new(),
        };
        match self.0.executor.launch(&case.host, &job).await {
            Ok(follower) => self.follow(case, follower, wake).await,
            // The host itself said that it could not make the job: nothing was started.
            Err(why @ (HostError::DiskFull(_) | HostError::Spool(_) | HostError::Scope(_))) => {
                self.0
                    .store
                    .refuse(case.row.id, why.refusal(), why.to_string(), None)
                    .await?;
                Ok(Next::Again)
            }
            Err(why) => {
                tracing::info!(command = %case.row.id, %why, "the launch was not answered; asking behind a fence");
                self.ask(case, wake).await
            }
        }
    }

    /// Asks the host what became of the job, and follows or settles it.
    async fn ask(&self, case: &Case, wake: &Notify) -> Result<Next, Trouble> {
        let fence = case.row.launched_at.is_none();
        let report = self.0.executor.ask(&case.host, case.job(), fence).await?;
        self.found(case.row.host_id).await;
        match &report.evidence {
            Evidence::Running { .. } if case.row.status == CommandStatus::Orphaned => {
                self.0.store.reattach(case.row.id).await?;
                let Some(case) = self.case(case.row.id).await? else {
                    return Ok(Next::Again);
                };
                self.follow_to_the_end(&case, wake).await
            }
            // What has a spool has output that is still to be fetched: its last word comes after it.
            Evidence::Running { .. } | Evidence::Exit { .. } | Evidence::ExitLost { .. } => {
                self.follow_to_the_end(case, wake).await
            }
            Evidence::NeverStarted | Evidence::Locked { .. } | Evidence::Done | Evidence::Nothing { .. } => {
                self.weigh(case, &report.at, report.evidence).await
            }
        }
    }

    pub(super) async fn follow_to_the_end(&self, case: &Case, wake: &Notify) -> Result<Next, Trouble> {
        let offset = self.output_len(case.row.id).await?;
        let follower = self.0.executor.follow(&case.host, case.job(), offset).await?;
        self.follow(case, follower, wake).await
    }

    pub(super) async fn follow(
        &self,
        case: &Case,
        follower: executor::Follower,
        wake: &Notify,
    ) -> Result<Next, Trouble> {
        match self.follow_job(case, follower, wake).await? {
            Ending::Evidence { at, evidence } => {
                let Some(case) = self.case(case.row.id).await? else {
                    self.note_late(case, &evidence).await;
                    return Ok(Next::Again);
                };
                self.weigh(&case, &at, evidence).await
            }
            Ending::LetGo => Ok(Next::LetGo),
        }
    }

    /// An executing command whose host has been silent for `orphan_after` is being found out from now on. A reboot is
    /// expected to be silent, and has its own time.
    async fn silent_too_long(&self, case: &Case, trouble: &Trouble) -> bool {
        if case.row.status != CommandStatus::Executing
            || case.definition.expect == Expect::Reboot
            || !matches!(trouble, Trouble::Host(_))
        {
            return false;
        }
        let host_id = case.row.host_id;
        match self.reader().read(move |journal| journal.host_facts(host_id)).await {
            Ok(Some(facts)) if facts.reachable == Some(false) => facts
                .since
                .is_some_and(|since| Timestamp::now().since(since) >= self.0.settings.orphan_after),
            Ok(_) | Err(_) => false,
        }
    }

    async fn say_orphaned(&self, case: &Case, why: &str) {
        let why = format!("its host is silent: {why}");
        if let Err(trouble) = self.0.store.orphan(case.row.id, By::system(), why).await {
            tracing::warn!(command = %case.row.id, %trouble, "cannot write the journal");
        }
    }

    async fn say_still_unknown(&self, case: &Case, why: &str) {
        if let Err(trouble) = self.0.store.still_unknown(case.row.id, why.to_owned()).await {
            tracing::warn!(command = %case.row.id, %trouble, "cannot write the journal");
        }
    }

    /// Length of what has been written of a command's output.
    async fn output_len(&self, id: CommandId) -> Result<u64, Trouble> {
        let data_dir = self.0.settings.data_dir.clone();
        Ok(blocking(move || Ok(Output::open(&data_dir, id)?.len())).await?)
    }
}

/// File work off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|gone| Err(std::io::Error::other(gone)))
}
