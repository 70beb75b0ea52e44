//! Words of the shell program into the executor's types. Pure functions; a line that does not fit is a lost connection,
//! never a guess.

use super::{CheckAnswer, Facts, HostError, Looked};
use crate::domain::{Evidence, Identity, MESSAGE_LIMIT, StopReason, bounded};

/// What a host's numbers are cut to, so that nothing that is reckoned from them leaves its range: ten years,
const LONGEST_MS: i64 = 3_650 * 86_400_000;
/// the year 9999,
const LATEST_S: i64 = 253_402_300_799;
/// and Linux's largest number of processes.
const MOST: i64 = 4_194_304;

/// Takes one `fact` line; an unknown one is left out.
pub(super) fn fact(facts: &mut Facts, line: &str) {
    let (name, value) = line.split_once(' ').unwrap_or((line, ""));
    let text = || bounded(value.trim(), 200);
    let number = || value.trim().parse::<i64>().ok();
    match name {
        "kernel" => facts.kernel = text(),
        "os" => facts.os = text(),
        "boot" => facts.boot_id = text(),
        "machine" => facts.machine_id = text(),
        "user" => facts.user = text(),
        "uptime" => facts.uptime_s = number().unwrap_or_default().clamp(0, LONGEST_MS / 1_000),
        "clock" => facts.clock_s = number().unwrap_or_default().clamp(0, LATEST_S),
        "disk" => facts.disk_used_percent = number().map(|percent| percent.clamp(0, 100)),
        "reboot" => facts.reboot_needed = number() == Some(1),
        _ => {}
    }
}

/// Takes one of the lines `boot`, `machine`, `spool`; true with the last of them.
pub(super) fn place(at: &mut Identity, word: &str, rest: &str) -> bool {
    match word {
        "boot" => at.boot_id = bounded(rest, 200),
        "machine" => at.machine_id = bounded(rest, 200),
        "spool" => at.spool = bounded(rest, 1_200),
        _ => {}
    }
    word == "spool"
}

/// An identity that nothing is known of yet.
pub(super) fn nowhere() -> Identity {
    Identity {
        boot_id: String::new(),
        machine_id: String::new(),
        spool: String::new(),
    }
}

/// A check's code and the end of its text.
pub(super) fn check(code: &str, bytes: &[u8]) -> Result<CheckAnswer, HostError> {
    // Its last words are the ones that say why.
    let text = bounded(String::from_utf8_lossy(bytes).trim(), usize::MAX);
    let mut from = text.len().saturating_sub(MESSAGE_LIMIT);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    Ok(CheckAnswer {
        code: exit_code(code)?,
        text: text[from..].to_owned(),
    })
}

/// An `evidence` line.
pub(super) fn evidence(line: &str) -> Result<Evidence, HostError> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    let words: Vec<&str> = rest.split(' ').collect();
    Ok(match (kind, words.as_slice()) {
        ("exit", [code, check, ms, left, stop, cut]) => Evidence::Exit {
            code: exit_code(code)?,
            check: if *check == "-" { None } else { Some(exit_code(check)?) },
            duration_ms: milliseconds(ms)?,
            stopped: stopped(stop)?,
            left_behind: count(left)?,
            output_cut: *cut == "cut",
        },
        ("running", [supervisor, processes, age]) => Evidence::Running {
            supervisor: *supervisor == "1",
            processes: count(processes)?,
            age_ms: milliseconds(age)?,
        },
        ("never", _) => Evidence::NeverStarted,
        ("lost", [stop]) => Evidence::ExitLost {
            stopped: stopped(stop)?,
        },
        ("locked", [by, about @ ..]) => Evidence::Locked {
            by: bounded(by, 200),
            op: about.first().filter(|op| **op != "-").map(|op| bounded(op, 100)),
            since_s: about
                .get(1)
                .map(|since| number(since).map(|since| since.clamp(0, LATEST_S)))
                .transpose()?,
        },
        ("done", _) => Evidence::Done,
        ("nothing", _) => Evidence::Nothing {
            why: bounded(rest, 400),
        },
        _ => return Err(strange(line)),
    })
}

/// A `looked` line.
pub(super) fn looked(word: &str) -> Result<Looked, HostError> {
    Ok(match word {
        "ended" => Looked::Ended,
        "unstarted" => Looked::Unstarted,
        "groups" => Looked::Groups,
        "own" => Looked::OwnEnvironments,
        "all" => Looked::AllEnvironments,
        _ => return Err(strange(word)),
    })
}

/// An age or a duration, in milliseconds, within what a job can have.
pub(super) fn milliseconds(text: &str) -> Result<i64, HostError> {
    Ok(number(text)?.clamp(0, LONGEST_MS))
}

/// How many processes, or folders, within what a machine can have.
pub(super) fn count(text: &str) -> Result<i64, HostError> {
    Ok(number(text)?.clamp(0, MOST))
}

/// What a process can end with.
fn exit_code(text: &str) -> Result<i64, HostError> {
    Ok(number(text)?.clamp(0, 255))
}

/// A number of the protocol, whatever it is.
fn number(text: &str) -> Result<i64, HostError> {
    text.trim().parse().map_err(|_| strange(text))
}

fn stopped(word: &str) -> Result<Option<StopReason>, HostError> {
    match word {
        "-" => Ok(None),
        "cancel" => Ok(Some(StopReason::Cancel)),
        "timeout" => Ok(Some(StopReason::Timeout)),
        _ => Err(strange(word)),
    }
}

fn strange(text: &str) -> HostError {
    HostError::Lost(format!("not understood: {}", bounded(text, 200)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_host_says_and_nothing_else() {
        let exit = evidence("exit 0 - 1500 2 - whole").expect("exit");
        assert_eq!(
            exit,
            Evidence::Exit {
                code: 0,
                check: None,
                duration_ms: 1500,
                stopped: None,
                left_behind: 2,
                output_cut: false
            }
        );
        assert!(matches!(
            evidence("lost timeout"),
            Ok(Evidence::ExitLost {
                stopped: Some(StopReason::Timeout)
            })
        ));
        // Numbers that no job can have are cut to what one can have.
        let liar = evidence("exit 9223372036854775807 -1 100000000000000 -5 - whole").expect("exit");
        assert_eq!(
            liar,
            Evidence::Exit {
                code: 255,
                check: Some(0),
                duration_ms: LONGEST_MS,
                stopped: None,
                left_behind: 0,
                output_cut: false
            }
        );
        assert_eq!(
            evidence("running 1 9223372036854775807 -1").expect("running"),
            Evidence::Running {
                supervisor: true,
                processes: MOST,
                age_ms: 0
            }
        );
        for line in ["", "exit", "exit 0 - x 0 - whole", "running 1", "lost maybe", "lost"] {
            assert!(evidence(line).is_err(), "{line}");
        }
    }
}
