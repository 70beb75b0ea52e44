//! What a host's evidence settles. The table of DESIGN, "Recovery", as one pure function.

use super::{CommandStatus, Evidence, Expect, Identity, STRAY_MARKER, Span, StopReason};

/// What the journal knows of a command when its host's evidence is weighed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// What ends the op.
    pub expect: Expect,
    /// A journaled wish to stop it.
    pub stop: Option<StopReason>,
    /// Boot, machine and folder that were journaled with EXECUTING.
    pub journaled: Identity,
    /// Whether the host has acknowledged the start.
    pub acknowledged: bool,
    /// How long ago the command was asked for.
    pub age: Span,
    /// Up to which age what never started is started again.
    pub resume_within: Span,
    /// Whether the database was restored from a backup: then "never started" proves nothing.
    pub restored: bool,
}

/// What evidence decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The command is final.
    Final {
        /// Its status.
        status: CommandStatus,
        /// The host's exit code, where it reported one.
        exit_code: Option<i64>,
        /// What went wrong, for a reader.
        error: Option<String>,
        /// Measured on the host.
        duration: Option<Span>,
    },
    /// It is alive (or awaits a reboot): follow it.
    Follow,
    /// It never started and may be started again, under the same id.
    LaunchAgain,
    /// Another machine answers under the host's name: it knows nothing of this job.
    Elsewhere,
}

impl Outcome {
    fn final_with(status: CommandStatus, exit_code: Option<i64>, error: impl Into<Option<String>>) -> Self {
        Self::Final {
            status,
            exit_code,
            error: error.into(),
            duration: None,
        }
    }

    /// Says of what went wrong that a stop marker was there which nobody had asked for.
    fn with_stray_marker(mut self) -> Self {
        if let Self::Final { error: Some(text), .. } = &mut self {
            text.push_str(STRAY_MARKER);
        }
        self
    }

    fn orphaned(why: &str) -> Self {
        Self::final_with(CommandStatus::Orphaned, None, why.to_owned())
    }
}

/// Weighs what a host said (`now`: where it is, `evidence`: what it found) against the journal.
#[must_use]
pub fn settle(known: &Known, now: &Identity, evidence: &Evidence) -> Outcome {
    if !known.journaled.machine_id.is_empty() && known.journaled.machine_id != now.machine_id {
        return Outcome::Elsewhere;
    }
    let rebooted = known.journaled.boot_id != now.boot_id;
    let awaits_reboot = known.expect == Expect::Reboot;
    match evidence {
        Evidence::Exit {
            code,
            check,
            duration_ms,
            stopped,
            ..
        } => {
            let marked = stopped.is_some();
            // The journal knows who asked; a marker by itself may be anybody's who can write into that folder.
            let stopped = known.stop.filter(|_| marked);
            // A reboot's own script ends before the machine does, by its end or by the shutdown's signal.
            // What ended in another way said how it went, and a boot that comes later does not change it.
            if awaits_reboot && stopped.is_none() && (*code == 0 || *code > 128) {
                return match known.stop {
                    _ if rebooted => back(),
                    Some(StopReason::Cancel) => still_up(*code),
                    Some(StopReason::Timeout) | None => Outcome::Follow,
                };
            }
            let outcome = exit(*code, *check, *duration_ms, stopped);
            if marked && stopped.is_none() {
                outcome.with_stray_marker()
            } else {
                outcome
            }
        }
        Evidence::Running { .. } => Outcome::Follow,
        Evidence::ExitLost { .. } if awaits_reboot && rebooted => back(),
        Evidence::ExitLost { .. } if rebooted => Outcome::orphaned("host rebooted"),
        Evidence::ExitLost { stopped } => match known.stop.filter(|_| stopped.is_some()) {
            Some(reason) => stopped_without_exit(reason),
            None => Outcome::orphaned("exit code lost"),
        },
        Evidence::Locked { .. } => Outcome::final_with(
            CommandStatus::Blocked,
            None,
            evidence.holder(Some(&known.journaled.spool)),
        ),
        _ if awaits_reboot && rebooted && known.acknowledged => back(),
        _ if rebooted => Outcome::orphaned("host rebooted"),
        Evidence::NeverStarted => never_started(known, now),
        Evidence::Done | Evidence::Nothing { .. } => Outcome::orphaned("spool gone, outcome unknown"),
    }
}

/// A cancelled reboot whose script has ended: nothing is left to stop, so the waiting ends.
fn still_up(code: i64) -> Outcome {
    let note = "the wait for the reboot was cancelled; its script had ended, so the host may still go down";
    Outcome::final_with(CommandStatus::Cancelled, Some(code), note.to_owned())
}

fn back() -> Outcome {
    Outcome::final_with(CommandStatus::Success, None, None)
}

fn exit(code: i64, check: Option<i64>, duration_ms: i64, stopped: Option<StopReason>) -> Outcome {
    let (status, error) = match (stopped, code, check) {
        (Some(StopReason::Cancel), ..) => (CommandStatus::Cancelled, None),
        (Some(StopReason::Timeout), ..) => (
            CommandStatus::Timeout,
            Some("its time was up; it was stopped".to_owned()),
        ),
        (None, 0, None | Some(0)) => (CommandStatus::Success, None),
        (None, 0, Some(check)) => (
            CommandStatus::Error,
            Some(format!(
                "the script ended with exit 0, but its post-check said no (exit {check})"
            )),
        ),
        (None, code, _) if code > 128 => (
            CommandStatus::Error,
            Some(format!(
                "ended by signal {} (exit {code}); the last lines of the output may say why",
                code - 128
            )),
        ),
        (None, code, _) => (
            CommandStatus::Error,
            Some(format!(
                "the script ended with exit {code}; the last lines of its output say why"
            )),
        ),
    };
    Outcome::Final {
        status,
        exit_code: Some(code),
        error,
        duration: Some(Span::from_millis(duration_ms)),
    }
}

fn stopped_without_exit(reason: StopReason) -> Outcome {
    let status = match reason {
        StopReason::Cancel => CommandStatus::Cancelled,
        StopReason::Timeout => CommandStatus::Timeout,
    };
    Outcome::final_with(
        status,
        None,
        "stopped, verified on the host; its exit code is lost".to_owned(),
    )
}

fn never_started(known: &Known, now: &Identity) -> Outcome {
    let same_place = known.journaled == *now;
    if known.acknowledged || !same_place || known.restored {
        return Outcome::orphaned("spool gone, outcome unknown");
    }
    match known.stop {
        Some(StopReason::Cancel) => {
            Outcome::final_with(CommandStatus::Cancelled, None, "stopped before it started".to_owned())
        }
        Some(StopReason::Timeout) => Outcome::final_with(
            CommandStatus::Timeout,
            None,
            "its time was up before it started".to_owned(),
        ),
        None if known.age < known.resume_within => Outcome::LaunchAgain,
        None => Outcome::orphaned("never started"),
    }
}

#[cfg(test)]
mod tests;
