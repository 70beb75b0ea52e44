//! From what a host says to what the journal keeps: evidence is weighed, output is synced, the row
//! becomes final, and only then is the spool given back.

use tokio::sync::Notify;

use crate::domain::{
    CommandId, CommandStatus, Evidence, Expect, Identity, Known, Outcome, Refusal, Span, Timestamp, settle,
};
use crate::executor::HostError;
use crate::store::output::Output;
use crate::store::{CommandRow, Finish, OutputFacts};

use super::case::{Case, Trouble};
use super::drive::{Backoff, Next, blocking};
use super::recover::LATEST_RESOLVED;
use super::{Engine, EngineError};

/// How often a launch is repeated after a proof that the one before never started.
const MOST_LAUNCHES: i64 = 3;

impl Engine {
    /// Holds evidence against the journal and does what follows.
    pub(super) async fn weigh(&self, case: &Case, at: &Identity, evidence: Evidence) -> Result<Next, Trouble> {
        let known = Known {
            expect: case.definition.expect,
            stop: case.row.stop_reason,
            journaled: case.journaled(),
            acknowledged: case.row.launched_at.is_some(),
            age: Timestamp::now().since(case.row.created_at),
            resume_within: self.0.settings.resume_within,
            restored: self.restored_since(case.row.created_at),
        };
        match settle(&known, at, &evidence) {
            Outcome::Follow => Ok(Next::Soon),
            Outcome::Elsewhere => Err(another_machine(case).into()),
            // After a restart only the age decides; lost launches of this dashboard's own are bounded.
            Outcome::LaunchAgain if case.row.status == CommandStatus::Orphaned || case.row.launches < MOST_LAUNCHES => {
                self.0.store.launch_again(case.row.id, evidence).await?;
                Ok(Next::Again)
            }
            Outcome::LaunchAgain => {
                let text = format!(
                    "{} launches were lost on their way; the host proved each time that nothing was started",
                    case.row.launches
                );
                self.0
                    .store
                    .refuse(case.row.id, Refusal::Unreachable, text, Some(evidence))
                    .await?;
                Ok(Next::Again)
            }
            Outcome::Final {
                status: CommandStatus::Blocked,
                error,
                ..
            } if case.row.status == CommandStatus::Executing => {
                let text = error.unwrap_or_default();
                self.0
                    .store
                    .refuse(case.row.id, Refusal::Locked, text, Some(evidence))
                    .await?;
                Ok(Next::Again)
            }
            Outcome::Final {
                status,
                exit_code,
                error,
                duration,
            } => {
                // A refusal needs the proof that this start was the only one; an orphan has none.
                let refused = status == CommandStatus::Blocked;
                let status = if refused { CommandStatus::Orphaned } else { status };
                let finish = Finish {
                    status,
                    exit_code,
                    error,
                    evidence,
                    duration,
                    output: None,
                };
                self.conclude(case, finish).await
            }
        }
    }

    /// Makes a command final: output synced first, then the row, then the spool is given back.
    async fn conclude(&self, case: &Case, mut finish: Finish) -> Result<Next, Trouble> {
        if finish.status == CommandStatus::Success
            && case.definition.expect == Expect::Reboot
            && let Some(script) = &case.definition.post_check
        {
            let limit = self.0.settings.precheck_limit;
            let check = self
                .0
                .executor
                .pre_check(&case.host, script, case.row.id, limit)
                .await?;
            if check.code != 0 {
                finish.status = CommandStatus::Error;
                finish.error = Some(said(
                    &format!("the host is back, but the post-check said no (exit {})", check.code),
                    &check.text,
                ));
            }
        }
        let cut = case.row.output_cut || matches!(finish.evidence, Evidence::Exit { output_cut: true, .. });
        finish.output = self.seal_output(case.row.id, cut).await?;
        let whole_and_good = finish.status == CommandStatus::Success && !cut;
        // Without proof that the job ended, its folder gets no mark: the host's lock then follows its processes.
        let ended = !matches!(finish.evidence, Evidence::Nothing { .. } | Evidence::Running { .. });
        let evidence = finish.evidence.clone();
        match self.0.store.finish(case.row.id, finish).await? {
            Some(row) => {
                tracing::info!(command = %row.id, host = %row.host, op = %row.op, status = %row.status, "final");
            }
            None => self.note_late(case, &evidence).await,
        }
        if ended {
            self.give_back(case, whole_and_good).await;
        }
        Ok(Next::Again)
    }

    /// Empties the job's folder after a success; else marks it, so that the host's sweep finds it later.
    async fn give_back(&self, case: &Case, whole_and_good: bool) {
        let done = if whole_and_good {
            self.0.executor.clear(&case.host, case.job()).await
        } else {
            self.0.executor.retire(&case.host, case.job()).await
        };
        if let Err(why) = done {
            tracing::info!(command = %case.row.id, host = %case.host.name, %why, "the spool stays for the host's sweep");
        }
    }

    /// A result for a command that is final already changes no outcome; it is noted, once.
    pub(super) async fn note_late(&self, case: &Case, evidence: &Evidence) {
        let message = format!(
            "{} reported on {} after it was final: {}",
            case.host.name,
            case.row.op,
            in_words(evidence)
        );
        let details = serde_json::json!({ "late": true, "evidence": evidence });
        if let Err(why) = self
            .0
            .store
            .note_late(case.row.id, in_words(evidence), message, details)
            .await
        {
            tracing::warn!(command = %case.row.id, %why, "a late result could not be noted");
        }
    }

    async fn seal_output(&self, id: CommandId, cut: bool) -> Result<Option<OutputFacts>, Trouble> {
        let data_dir = self.0.settings.data_dir.clone();
        let facts = blocking(move || Output::open(&data_dir, id)?.seal()).await?;
        Ok(Some(OutputFacts { cut, ..facts }))
    }

    pub(super) fn reboot_time_is_up(&self, case: &Case) -> bool {
        case.definition.expect == Expect::Reboot
            && case.row.launched_at.is_some()
            && case
                .row
                .deadline
                .is_some_and(|deadline| Timestamp::now() > deadline.plus(Span::from_secs(5)))
    }

    /// A reboot is the one op whose time-out needs no host: it says that the host did not come back.
    pub(super) async fn give_up_on_reboot(&self, case: &Case, wake: &Notify) -> Result<Next, Trouble> {
        if let Ok(report) = self.0.executor.ask(&case.host, case.job(), false).await {
            // Whatever the host says goes before what the clock says: it may be back, or its script still runs.
            let elsewhere = report.at.machine_id != case.journaled().machine_id;
            let same_boot = report.at.boot_id == case.journaled().boot_id;
            let still_up =
                same_boot && matches!(report.evidence, Evidence::Exit { code, .. } if code == 0 || code > 128);
            if !still_up && !elsewhere {
                return Box::pin(self.follow_to_the_end(case, wake)).await;
            }
        }
        let finish = Finish {
            status: CommandStatus::Timeout,
            exit_code: None,
            error: Some(format!(
                "the host was not back with another boot within {}",
                case.definition.timeout
            )),
            evidence: Evidence::Nothing {
                why: "not back in time".to_owned(),
            },
            duration: None,
            output: None,
        };
        self.conclude(case, finish).await
    }

    /// What was resolved by hand is asked about until its host has said something; the outcome stays. A wish to stop
    /// that was journaled before is still carried out.
    pub(super) async fn go_on_asking(&self, id: CommandId, wake: &Notify) {
        let mut backoff = Backoff::new();
        loop {
            match self.case_of(id, true).await {
                Ok(Some(case)) if case.row.resolved_by.is_some() && case.row.late_at.is_none() => {
                    if let Some(evidence) = self.late_word(&case.where_it_was_sent()).await {
                        return self.note_late(&case, &evidence).await;
                    }
                }
                Ok(_) => return,
                Err(trouble) => tracing::warn!(command = %id, %trouble, "cannot read the journal"),
            }
            if !self.rest(backoff.pause(), wake).await {
                return;
            }
        }
    }

    /// What keeps a command from starting on its host although the journal and the host's lock let it: a job that somebody
    /// resolved by hand and that lives on. The lock does not show it where it runs as another user, because each user has
    /// a lock of its own; so it is asked about as the user that it runs as.
    pub(super) async fn in_the_way_there(
        &self,
        case: &Case,
        at: &Identity,
    ) -> Result<Option<(Refusal, String)>, Trouble> {
        let host_id = case.row.host_id;
        let unanswered = self
            .reader()
            .read(|journal| journal.resolved_unanswered(LATEST_RESOLVED))
            .await?;
        for row in unanswered.into_iter().filter(|row| row.host_id == host_id) {
            let Some(other) = self.case_of(row.id, true).await? else {
                continue;
            };
            let other = other.where_it_was_sent();
            if is_elsewhere(&other, at) {
                continue;
            }
            let whose = format!(
                "{} (command {}), which {} resolved by hand,",
                row.op,
                row.id,
                row.resolved_by.as_ref().map_or("somebody", |by| by.name())
            );
            let fence = row.launched_at.is_none();
            match self.0.executor.ask(&other.host, other.job(), fence).await {
                Ok(report) if matches!(report.evidence, Evidence::Running { .. }) => {
                    let text = format!("{whose} still lives here: {}", in_words(&report.evidence));
                    return Ok(Some((Refusal::Locked, text)));
                }
                // Its own driver asks too, and keeps the word.
                Ok(_) => self.nudge(row.id),
                Err(why @ (HostError::Unreachable(_) | HostError::Lost(_))) => {
                    let text = format!("{whose} may still live here, and the host did not say: {why}");
                    return Ok(Some((why.refusal(), text)));
                }
                // The host will not let us ask: the word of whoever resolved it stands.
                Err(why) => tracing::info!(command = %row.id, %why, "cannot be asked about"),
            }
        }
        Ok(None)
    }

    /// The last word of the machine that a job was sent to; none while it is silent, or the job lives.
    async fn late_word(&self, case: &Case) -> Option<Evidence> {
        // What was never acknowledged may still be on its way there: it never starts then.
        let fence = case.row.launched_at.is_none();
        let report = self.0.executor.ask(&case.host, case.job(), fence).await.ok()?;
        if is_elsewhere(case, &report.at) {
            tracing::info!(command = %case.row.id, why = %another_machine(case), "still asking");
            return None;
        }
        if !matches!(report.evidence, Evidence::Running { .. }) {
            return Some(report.evidence);
        }
        if case.row.stop_reason.is_some() {
            let stopped = tokio::select! {
                () = self.0.stopping.cancelled() => return None,
                stopped = self.stop_and_verify(case, case.row.clone()) => stopped,
            };
            if let Err(trouble) = stopped {
                tracing::info!(command = %case.row.id, %trouble, "the stop will be tried again");
            }
        }
        None
    }

    /// What the host says of an orphan at the moment when a person resolves it; of an executing command, why it says
    /// nothing.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] where the host knows of the job: its evidence counts, and not the person's word.
    pub(super) async fn last_word(&self, row: &CommandRow) -> Result<String, EngineError> {
        let case = match self.case(row.id).await {
            Ok(Some(case)) => case,
            Ok(None) => return Ok("the command is final already".to_owned()),
            Err(why) => return Ok(format!("the journal could not be read: {why}")),
        };
        self.0.executor.forgive(&case.host);
        // The fence is for an orphan: what is being launched at this moment is left to its driver.
        let orphaned = row.status == CommandStatus::Orphaned;
        let asked = self
            .0
            .executor
            .ask(&case.host, case.job(), orphaned && row.launched_at.is_none());
        match tokio::time::timeout(Span::from_secs(15).to_std(), asked).await {
            Ok(Ok(report)) if is_elsewhere(&case, &report.at) => Ok(another_machine(&case).to_string()),
            Ok(Ok(report)) if !orphaned || !matches!(report.evidence, Evidence::Nothing { .. }) => {
                self.drive(row.id);
                self.nudge(row.id);
                Err(EngineError::Conflict(format!(
                    "{} answered just now: {}; the dashboard settles it with that evidence",
                    case.host.name,
                    in_words(&report.evidence)
                )))
            }
            Ok(Ok(report)) => Ok(in_words(&report.evidence)),
            Ok(Err(why)) => Ok(format!("{why}; the job may still be running there")),
            Err(_) => Ok("the host did not answer within 15 s; the job may still be running there".to_owned()),
        }
    }
}

/// Evidence as part of a sentence.
fn in_words(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Exit {
            code,
            check: Some(check),
            ..
        } => format!("exit {code}, post-check {check}"),
        Evidence::Exit { code, .. } => format!("exit {code}"),
        Evidence::Running {
            supervisor: true,
            processes,
            ..
        } => format!("running, {processes} processes"),
        Evidence::Running { processes, .. } => format!("its supervisor is gone, {processes} of its processes live on"),
        Evidence::NeverStarted => "it never started, and never will".to_owned(),
        Evidence::ExitLost { .. } => "nothing of it is alive, its exit code is lost".to_owned(),
        Evidence::Locked { .. } => evidence.holder(None),
        Evidence::Done => "its spool was given back".to_owned(),
        Evidence::Nothing { why } => why.clone(),
    }
}

fn is_elsewhere(case: &Case, at: &Identity) -> bool {
    let sent_to = case.journaled().machine_id;
    !sent_to.is_empty() && sent_to != at.machine_id
}

/// The host's name leads to another machine than the one that the job was sent to.
pub(super) fn another_machine(case: &Case) -> HostError {
    HostError::Lost(format!(
        "another machine answers as {}; the command waits for the one that it was sent to",
        case.host.name
    ))
}

/// A sentence with the host's own words behind it.
pub(super) fn said(what: &str, text: &str) -> String {
    match text.trim() {
        "" => what.to_owned(),
        text => format!("{what}: {text}"),
    }
}
