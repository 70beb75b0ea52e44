//! Every row of the table, and what must not settle anything.

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
    for (code, stop, expected) in [
        (1, None, CommandStatus::Error),
        (143, Some(StopReason::Cancel), CommandStatus::Cancelled),
        (137, Some(StopReason::Timeout), CommandStatus::Timeout),
    ] {
        let known = Known {
            stop,
            ..awaiting.clone()
        };
        assert_eq!(
            status(&settle(&known, &after, &exit_of(code, None, stop))),
            Some(expected),
            "its end was reported before the boot: {code} {stop:?}"
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
