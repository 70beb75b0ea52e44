//! A test of a host as ticks, in the order in which contact goes: what works, what does not and the line to
//! paste for it, and what was not come to.

use crate::domain::{Reach, Refusal, Span};
use crate::engine::Tested;
use crate::store::{FactsRow, HostRow};

use super::super::words::Word;

/// One thing that must work.
pub(super) struct Tick {
    /// What it is, and whether it works.
    pub(super) word: Word,
    /// What was found.
    pub(super) said: String,
    /// What to run on the dashboard's machine, where it failed and that helps.
    pub(super) paste: Option<String>,
}

/// The stages of a contact, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Reached,
    HostKey,
    LogIn,
    RunAs,
    System,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Reached, Self::HostKey, Self::LogIn, Self::RunAs, Self::System];

    fn name(self) -> &'static str {
        match self {
            Self::Reached => "Reached",
            Self::HostKey => "Host key",
            Self::LogIn => "Log-in",
            Self::RunAs => "Run as",
            Self::System => "OS and clock",
        }
    }
}

/// Where a contact ended, and why, in the host's or ssh's words.
pub(super) struct Failed {
    stage: Stage,
    why: String,
}

impl Failed {
    /// From a test of just now.
    pub(super) fn of(tested: &Tested) -> Option<Self> {
        let problem = tested.problem.as_ref()?;
        let order = [
            (Refusal::Unreachable, Stage::Reached),
            (Refusal::HostKey, Stage::HostKey),
            (Refusal::Auth, Stage::LogIn),
            (Refusal::Sudo, Stage::RunAs),
        ];
        let code = problem.refusal();
        let known = order.into_iter().find(|(refusal, _)| *refusal == code);
        // What is left is about the spool, the disk or the service manager of a host that answered.
        let stage = known.map_or(Stage::System, |(_, stage)| stage);
        Some(Self {
            stage,
            why: problem.to_string(),
        })
    }

    /// From what the journal keeps of the last contact.
    pub(super) fn kept(facts: Option<&FactsRow>) -> Option<Self> {
        let facts = facts.filter(|facts| facts.reachable == Some(false))?;
        let why = facts.problem.clone().unwrap_or_else(|| "it did not answer".to_owned());
        let stage = match why.as_str() {
            text if text.starts_with("host key") => Stage::HostKey,
            text if text.starts_with("log-in refused") => Stage::LogIn,
            _ => Stage::Reached,
        };
        Some(Self { stage, why })
    }

    /// Whether the journal keeps it: the host answered, so it is not lost, it only would not do this.
    pub(super) fn is_kept(&self) -> bool {
        self.stage <= Stage::LogIn
    }
}

/// The ticks of a host that was contacted.
pub(super) fn ticks(host: &HostRow, facts: Option<&FactsRow>, failed: Option<&Failed>) -> Vec<Tick> {
    let local = host.reach == Reach::Local;
    let stages = Stage::ALL
        .into_iter()
        .filter(|stage| !local || !matches!(stage, Stage::HostKey | Stage::LogIn));
    stages
        .map(|stage| match failed {
            Some(failed) if failed.stage == stage => Tick {
                word: Word::new("bad", "bad", stage.name(), "this failed"),
                said: failed.why.clone(),
                paste: paste(stage, &host.reach),
            },
            Some(failed) if failed.stage < stage => Tick {
                word: Word::new("quiet", "skip", stage.name(), "this was not come to"),
                said: "not tried: what is before it must work first".to_owned(),
                paste: None,
            },
            _ => Tick {
                word: Word::new("ok", "ok", stage.name(), "this works"),
                said: found(stage, host, facts),
                paste: None,
            },
        })
        .collect()
}

fn found(stage: Stage, host: &HostRow, facts: Option<&FactsRow>) -> String {
    let user = facts.map(|facts| facts.user.as_str()).filter(|user| !user.is_empty());
    match stage {
        Stage::Reached => match &host.reach {
            Reach::Local => "this machine, without SSH".to_owned(),
            reach @ Reach::Ssh { .. } => format!("ssh {reach}"),
        },
        Stage::HostKey => "the one that ssh knows".to_owned(),
        Stage::LogIn => user.map_or_else(|| "accepted".to_owned(), |user| format!("as {user}")),
        Stage::RunAs => match &host.run_as {
            Some(run_as) => format!("as {run_as}, without a password"),
            None => "as the login user, unless an op says otherwise".to_owned(),
        },
        Stage::System => facts.map_or_else(|| "not read yet".to_owned(), system),
    }
}

fn system(facts: &FactsRow) -> String {
    let os = if facts.os.is_empty() {
        "an unknown system"
    } else {
        &facts.os
    };
    let Some(probed) = facts.probed_at.filter(|_| facts.clock_s > 0) else {
        return os.to_owned();
    };
    let ahead = facts.clock_s - probed.as_micros() / 1_000_000;
    let clock = match ahead {
        -5..=5 => "its clock agrees with the dashboard's".to_owned(),
        6.. => format!(
            "its clock is {} ahead of the dashboard's",
            Span::from_secs(ahead).human()
        ),
        _ => format!(
            "its clock is {} behind the dashboard's",
            Span::from_secs(-ahead).human()
        ),
    };
    format!("{os}; {clock}")
}

/// The line to paste, for what commonly goes wrong on the first contact.
fn paste(stage: Stage, reach: &Reach) -> Option<String> {
    let Reach::Ssh { user, address, port } = reach else {
        return None;
    };
    let port = port.map(|port| format!("-p {port} ")).unwrap_or_default();
    let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    match stage {
        Stage::Reached | Stage::HostKey => Some(format!("ssh {port}{user}{address} true")),
        Stage::LogIn => Some(format!("ssh-copy-id {port}{user}{address}")),
        Stage::RunAs | Stage::System => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_contact_shows_the_line_to_paste() {
        let reach = Reach::ssh("root@web-03:2222").expect("reach");
        assert_eq!(
            paste(Stage::HostKey, &reach).as_deref(),
            Some("ssh -p 2222 root@web-03 true")
        );
        assert_eq!(
            paste(Stage::LogIn, &reach).as_deref(),
            Some("ssh-copy-id -p 2222 root@web-03")
        );
        assert_eq!(paste(Stage::RunAs, &reach), None);
        assert_eq!(paste(Stage::HostKey, &Reach::Local), None);
    }
}
