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
    /// Whether it is the host's key that is refused.
    pub(super) by_key: bool,
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

/// Which stage a refusal is about. What is left is about the spool, the disk or the service manager of a host
/// that answered.
const STAGES: [(Refusal, Stage); 4] = [
    (Refusal::Unreachable, Stage::Reached),
    (Refusal::HostKey, Stage::HostKey),
    (Refusal::Auth, Stage::LogIn),
    (Refusal::Sudo, Stage::RunAs),
];

fn stage_of(refusal: Refusal) -> Stage {
    let known = STAGES.into_iter().find(|(code, _)| *code == refusal);
    known.map_or(Stage::System, |(_, stage)| stage)
}

impl Failed {
    /// From a test of just now.
    pub(super) fn of(tested: &Tested) -> Option<Self> {
        let problem = tested.problem.as_ref()?;
        Some(Self {
            stage: stage_of(problem.refusal()),
            why: problem.to_string(),
        })
    }

    /// From what the journal keeps of the last contact, and what is remembered of it since the start.
    pub(super) fn kept(facts: Option<&FactsRow>, refusal: Option<Refusal>) -> Option<Self> {
        let facts = facts.filter(|facts| facts.reachable == Some(false))?;
        let why = facts.problem.clone().unwrap_or_else(|| "it did not answer".to_owned());
        let stage = refusal.map_or(Stage::Reached, stage_of);
        Some(Self { stage, why })
    }

    /// Its first line alone.
    pub(super) fn in_brief(mut self) -> Self {
        self.why.truncate(self.why.find('\n').unwrap_or(self.why.len()));
        self
    }

    /// Whether the journal keeps it: the host answered, so it is not lost, it only would not do this.
    pub(super) fn is_kept(&self) -> bool {
        self.stage <= Stage::LogIn
    }
}

/// The ticks of a host that was contacted; `advice` knows the line to paste.
pub(super) fn ticks(
    host: &HostRow,
    facts: Option<&FactsRow>,
    failed: Option<&Failed>,
    advice: impl Fn(Refusal) -> Option<String>,
) -> Vec<Tick> {
    let local = host.reach == Reach::Local;
    let stages = Stage::ALL
        .into_iter()
        .filter(|stage| !local || !matches!(stage, Stage::HostKey | Stage::LogIn));
    stages
        .map(|stage| match failed {
            Some(failed) if failed.stage == stage => Tick {
                word: Word::new("bad", "bad", stage.name(), "this failed"),
                said: failed.why.clone(),
                by_key: stage == Stage::HostKey,
                paste: STAGES
                    .into_iter()
                    .find(|(_, about)| *about == stage)
                    .and_then(|(refusal, _)| advice(refusal)),
            },
            Some(failed) if failed.stage < stage => Tick {
                word: Word::new("quiet", "skip", stage.name(), "this was not come to"),
                said: "not tried: what is before it must work first".to_owned(),
                by_key: false,
                paste: None,
            },
            _ => Tick {
                word: Word::new("ok", "ok", stage.name(), "this works"),
                said: found(stage, host, facts),
                by_key: false,
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
