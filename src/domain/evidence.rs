//! What a host says about a job, and what that settles. The table of DESIGN, "Recovery", as one pure function.

use serde::{Deserialize, Serialize};

use super::status::words;
use super::{CommandStatus, Expect, Span, Timestamp};

words! {
    /// Why a job is to be stopped.
    StopReason, "stop_reason" {
        /// Somebody said so.
        Cancel = "cancel",
        /// Its time is up.
        Timeout = "timeout",
    }
}

/// Where a host says it is: which boot, which machine, which folder the job lives in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The kernel's boot id and PID 1's start time.
    pub boot_id: String,
    /// The machine's own id.
    pub machine_id: String,
    /// The job's folder on the host, absolute.
    pub spool: String,
}

/// What a host reported about one job, at one instant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// The exit was published.
    Exit {
        /// The command's exit code, 128 + signal where a signal ended it.
        code: i64,
        /// The post-check's exit code, where one ran.
        check: Option<i64>,
        /// How long it took, measured on the host.
        duration_ms: i64,
        /// The spool's stop marker, where somebody wrote one before the exit was published.
        stopped: Option<StopReason>,
        /// Processes of its group that live on after its end.
        left_behind: i64,
        /// Whether the output was cut at the limit (or by a full disk).
        output_cut: bool,
    },
    /// The supervisor, or any process of the command's group, is alive.
    Running {
        /// Whether the supervisor is: without it the exit code will be lost.
        supervisor: bool,
        /// Processes of the command's group.
        processes: i64,
        /// How long ago the job started, measured on the host.
        age_ms: i64,
    },
    /// The spool was fenced, and no start was found behind the fence: this job never starts.
    NeverStarted,
    /// It was started, nothing of it is alive, and no exit was published.
    ExitLost {
        /// The spool's stop marker, where there is one.
        stopped: Option<StopReason>,
    },
    /// The host's lock is held by another job; this one never starts.
    Locked {
        /// Dashboard and command of the job that holds the lock.
        by: String,
        /// The op that this job is, where it said so.
        #[serde(default)]
        op: Option<String>,
        /// Since when it holds it, seconds since 1970 by the host's own clock, where it said so.
        #[serde(default)]
        since_s: Option<i64>,
    },
    /// The job's folder is emptied down to its marker: its outcome was committed before.
    Done,
    /// The dashboard was told nothing that says more.
    Nothing {
        /// What is missing, in words.
        why: String,
    },
}

impl Evidence {
    /// Who holds the host's lock, as part of a sentence: only what the lock itself says. `spool` is a folder of the
    /// dashboard that asks, so that its own jobs can be told from those of others. Empty for other evidence.
    #[must_use]
    pub fn holder(&self, spool: Option<&str>) -> String {
        let Self::Locked { by, op, since_s } = self else {
            return String::new();
        };
        let (dashboard, job) = by.split_once('/').unwrap_or(("", by));
        let ours = !dashboard.is_empty() && spool.is_some_and(|spool| spool.contains(&format!("/{dashboard}/")));
        let whose = match (ours, dashboard) {
            (true, _) => "this dashboard".to_owned(),
            (false, "") => "another dashboard".to_owned(),
            (false, id) => format!("another dashboard (its id is {id})"),
        };
        let what = op.as_ref().map(|op| format!("{op}, ")).unwrap_or_default();
        let since = since_s
            .map(|since| Timestamp::from_micros(since.saturating_mul(1_000_000)))
            .map(|since| format!(", started {since} UTC by the host's clock"))
            .unwrap_or_default();
        format!("another job holds this machine's lock: {what}command {job} of {whose}{since}")
    }
}

/// What is said of a stop marker in a job's folder when no wish to stop it is journaled; part of a sentence.
pub const STRAY_MARKER: &str = "; a stop marker lay in its folder, though nobody had asked to stop it";

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
mod tests {
    use super::*;

    fn here() -> Identity {
        Identity {
            boot_id: "b1:1".into(),
            machine_id: "m1".into(),
            spool: "/s/1".into(),
        }
    }

    fn known() -> Known {
        Known {
            expect: Expect::Exit,
            stop: None,
            journaled: here(),
            acknowledged: true,
            age: Span::from_secs(60),
            resume_within: Span::from_secs(900),
            restored: false,
        }
    }

    fn exit_of(code: i64, check: Option<i64>, stopped: Option<StopReason>) -> Evidence {
        Evidence::Exit {
            code,
            check,
            duration_ms: 1_500,
            stopped,
            left_behind: 0,
            output_cut: false,
        }
    }

    fn asked(stop: Option<StopReason>) -> Known {
        Known { stop, ..known() }
    }

    fn status(outcome: &Outcome) -> Option<CommandStatus> {
        match outcome {
            Outcome::Final { status, .. } => Some(*status),
            Outcome::Follow | Outcome::LaunchAgain | Outcome::Elsewhere => None,
        }
    }

    fn error(outcome: Outcome) -> String {
        match outcome {
            Outcome::Final { error, .. } => error.unwrap_or_default(),
            Outcome::Follow | Outcome::LaunchAgain | Outcome::Elsewhere => String::new(),
        }
    }

    #[test]
    fn a_published_exit_settles() {
        use CommandStatus::{Cancelled, Error, Success, Timeout};
        for (code, check, stopped, expected) in [
            (0, None, None, Success),
            (0, Some(0), None, Success),
            (0, Some(1), None, Error),
            (3, None, None, Error),
            (143, None, None, Error),
            (143, None, Some(StopReason::Cancel), Cancelled),
            (137, None, Some(StopReason::Timeout), Timeout),
        ] {
            let outcome = settle(&asked(stopped), &here(), &exit_of(code, check, stopped));
            assert_eq!(status(&outcome), Some(expected), "{code} {check:?} {stopped:?}");
        }
    }

    #[test]
    fn a_marker_without_a_wish_stops_nothing() {
        for reason in [StopReason::Cancel, StopReason::Timeout] {
            let failed = settle(&known(), &here(), &exit_of(3, None, Some(reason)));
            assert_eq!(status(&failed), Some(CommandStatus::Error));
            let text = error(failed);
            assert!(text.contains("exit 3") && text.ends_with(STRAY_MARKER), "{text}");
            let went_well = settle(&known(), &here(), &exit_of(0, None, Some(reason)));
            assert_eq!(status(&went_well), Some(CommandStatus::Success));
            let lost = settle(&known(), &here(), &Evidence::ExitLost { stopped: Some(reason) });
            assert_eq!(status(&lost), Some(CommandStatus::Orphaned));
        }
        // The journal knows why it was to be stopped, whatever the marker says.
        let late = settle(
            &asked(Some(StopReason::Timeout)),
            &here(),
            &exit_of(143, None, Some(StopReason::Cancel)),
        );
        assert_eq!(status(&late), Some(CommandStatus::Timeout));
    }

    #[test]
    fn an_exit_that_was_published_before_a_reboot_still_counts() {
        let after = Identity {
            boot_id: "b2:1".into(),
            ..here()
        };
        let outcome = settle(&known(), &after, &exit_of(3, None, None));
        assert_eq!(status(&outcome), Some(CommandStatus::Error));
    }

    #[test]
    fn what_never_started_is_started_again_only_with_every_proof() {
        let fresh = Known {
            acknowledged: false,
            ..known()
        };
        assert_eq!(settle(&fresh, &here(), &Evidence::NeverStarted), Outcome::LaunchAgain);
        for (other, why) in [
            (
                Known {
                    acknowledged: true,
                    ..fresh.clone()
                },
                "spool gone, outcome unknown",
            ),
            (
                Known {
                    restored: true,
                    ..fresh.clone()
                },
                "spool gone, outcome unknown",
            ),
            (
                Known {
                    age: Span::from_secs(900),
                    ..fresh.clone()
                },
                "never started",
            ),
        ] {
            let outcome = settle(&other, &here(), &Evidence::NeverStarted);
            assert_eq!(status(&outcome), Some(CommandStatus::Orphaned));
            assert_eq!(error(outcome), why);
        }
        for (elsewhere, why) in [
            (
                Identity {
                    boot_id: "b2:1".into(),
                    ..here()
                },
                "host rebooted",
            ),
            (
                Identity {
                    spool: "/t/1".into(),
                    ..here()
                },
                "spool gone, outcome unknown",
            ),
        ] {
            assert_eq!(error(settle(&fresh, &elsewhere, &Evidence::NeverStarted)), why);
        }
        let stopped = Known {
            stop: Some(StopReason::Cancel),
            ..fresh
        };
        assert_eq!(
            status(&settle(&stopped, &here(), &Evidence::NeverStarted)),
            Some(CommandStatus::Cancelled)
        );
    }

    #[test]
    fn a_reboot_op_succeeds_by_another_boot_and_by_nothing_else() {
        let awaiting = Known {
            expect: Expect::Reboot,
            ..known()
        };
        let after = Identity {
            boot_id: "b2:1".into(),
            ..here()
        };
        for evidence in [
            exit_of(0, None, None),
            exit_of(143, None, None),
            Evidence::ExitLost { stopped: None },
        ] {
            assert_eq!(
                status(&settle(&awaiting, &after, &evidence)),
                Some(CommandStatus::Success),
                "{evidence:?}"
            );
        }
        for (evidence, expected) in [
            (exit_of(1, None, None), CommandStatus::Error),
            (exit_of(143, None, Some(StopReason::Cancel)), CommandStatus::Cancelled),
            (exit_of(137, None, Some(StopReason::Timeout)), CommandStatus::Timeout),
        ] {
            let stop = match evidence {
                Evidence::Exit { stopped, .. } => stopped,
                _ => None,
            };
            assert_eq!(
                status(&settle(
                    &Known {
                        stop,
                        ..awaiting.clone()
                    },
                    &after,
                    &evidence
                )),
                Some(expected),
                "its end was reported before the boot: {evidence:?}"
            );
        }
        assert_eq!(settle(&awaiting, &here(), &exit_of(0, None, None)), Outcome::Follow);
        assert_eq!(settle(&awaiting, &here(), &exit_of(143, None, None)), Outcome::Follow);
        assert_eq!(
            status(&settle(&awaiting, &here(), &exit_of(1, None, None))),
            Some(CommandStatus::Error)
        );
        let unacknowledged = Known {
            acknowledged: false,
            ..awaiting
        };
        assert_eq!(
            error(settle(&unacknowledged, &after, &Evidence::NeverStarted)),
            "host rebooted"
        );
    }

    #[test]
    fn another_machine_under_the_name_decides_nothing() {
        let elsewhere = Identity {
            machine_id: "m2".into(),
            ..here()
        };
        for evidence in [
            Evidence::NeverStarted,
            Evidence::Nothing {
                why: "no folder".into(),
            },
            Evidence::ExitLost { stopped: None },
            exit_of(0, None, None),
        ] {
            assert_eq!(
                settle(&known(), &elsewhere, &evidence),
                Outcome::Elsewhere,
                "{evidence:?}"
            );
        }
    }

    #[test]
    fn a_cancelled_wait_for_a_reboot_ends() {
        let awaiting = Known {
            expect: Expect::Reboot,
            stop: Some(StopReason::Cancel),
            ..known()
        };
        let outcome = settle(&awaiting, &here(), &exit_of(0, None, None));
        assert_eq!(status(&outcome), Some(CommandStatus::Cancelled));
    }

    #[test]
    fn lost_means_unknown_not_failed() {
        for (evidence, why) in [
            (Evidence::ExitLost { stopped: None }, "exit code lost"),
            (Evidence::Done, "spool gone, outcome unknown"),
            (
                Evidence::Nothing {
                    why: "no folder".into(),
                },
                "spool gone, outcome unknown",
            ),
        ] {
            let outcome = settle(&known(), &here(), &evidence);
            assert_eq!(status(&outcome), Some(CommandStatus::Orphaned));
            assert_eq!(error(outcome), why);
        }
        let after = Identity {
            boot_id: "b2:1".into(),
            ..here()
        };
        assert_eq!(
            error(settle(&known(), &after, &Evidence::ExitLost { stopped: None })),
            "host rebooted"
        );
    }
}
