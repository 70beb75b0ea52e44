//! What a command's status is called: the one table of words, for pages, print and command line alike.

use super::{CommandStatus, Invalid, Refusal, bounded};

/// What the words for a command depend on.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// Its status.
    pub status: CommandStatus,
    /// Whether it has ended.
    pub ended: bool,
    /// Whether it is overdue.
    pub overdue: bool,
    /// Whether somebody asked to stop it.
    pub stopping: bool,
    /// The exit code that its host published.
    pub exit_code: Option<i64>,
    /// Who cancelled it: a bare name.
    pub cancelled_by: &'a str,
    /// Why it was written off or refused, where there is a code for that.
    pub refusal: Option<Refusal>,
    /// Why it was refused or skipped, or what is known of its outcome.
    pub why: &'a str,
}

impl Standing<'_> {
    /// `Running, overdue`, `Failed, exit 4`, `Refused: busy with switch`.
    #[must_use]
    pub fn words(&self) -> String {
        let stopping = if self.stopping && !self.ended {
            ", being stopped"
        } else {
            ""
        };
        let name = self.status.name();
        match self.status {
            CommandStatus::Pending | CommandStatus::Validating => format!("{name}{stopping}"),
            CommandStatus::Executing if self.overdue && !self.stopping => format!("{name}, overdue"),
            CommandStatus::Executing => format!("{name}{stopping}"),
            CommandStatus::Success => name.to_owned(),
            CommandStatus::Error => match self.exit_code {
                Some(code) => format!("{name}, exit {code}"),
                None => name.to_owned(),
            },
            CommandStatus::Timeout => format!("{name}, stopped"),
            CommandStatus::Cancelled => format!("{name} by {}", self.cancelled_by),
            CommandStatus::Blocked => format!("{name}: {}", self.why_or("no reason was kept")),
            CommandStatus::Skipped => match self.refusal {
                Some(Refusal::EarlierStage) => format!("{name}: earlier stage failed"),
                Some(Refusal::Stopped) => format!("{name}: pipeline stopped"),
                _ => format!("{name}: not needed"),
            },
            CommandStatus::Orphaned if !self.ended => format!("Finding out{stopping}"),
            CommandStatus::Orphaned => format!("{name}: {}", self.why_or("no reason was kept")),
        }
    }

    fn why_or<'s>(&'s self, other: &'s str) -> &'s str {
        if self.why.is_empty() { other } else { self.why }
    }
}

impl CommandStatus {
    /// The status by itself, for a filter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Waiting",
            Self::Validating => "Checking",
            Self::Executing => "Running",
            Self::Success => "Succeeded",
            Self::Error => "Failed",
            Self::Timeout => "Timed out",
            Self::Cancelled => "Cancelled",
            Self::Blocked => "Refused",
            Self::Skipped => "Skipped",
            Self::Orphaned => "Outcome unknown",
        }
    }

    /// A status as somebody writes it: the word of the journal, or the words of the pages (`failed`, `timed-out`).
    ///
    /// # Errors
    /// When it is neither.
    pub fn asked(text: &str) -> Result<Self, Invalid> {
        let plain = |text: &str| text.trim().to_ascii_lowercase().replace(['-', '_'], " ");
        let wanted = plain(text);
        let known = Self::ALL.iter().copied().find(|status| {
            let orphaned = *status == Self::Orphaned && ["unknown", "finding out"].contains(&wanted.as_str());
            plain(status.as_str()) == wanted || plain(status.name()) == wanted || orphaned
        });
        known.ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|status| status.name().to_lowercase()).collect();
            let problem = format!("“{}” is none of {}", bounded(text, 60), words.join(", "));
            Invalid::new("status", problem)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_words_of_a_status_are_taken() {
        for status in CommandStatus::ALL {
            assert_eq!(CommandStatus::asked(status.as_str()), Ok(*status));
            assert_eq!(CommandStatus::asked(status.name()), Ok(*status));
            assert_ne!(status.name(), status.as_str(), "pages never show the journal's word");
        }
        assert_eq!(CommandStatus::asked("timed-out"), Ok(CommandStatus::Timeout));
        let wrong = CommandStatus::asked("BROKEN").expect_err("no status");
        assert!(wrong.problem.contains("is none of") && wrong.problem.contains("failed"));
    }

    #[test]
    fn a_wish_to_stop_is_said_until_it_has_ended() {
        let running = Standing {
            status: CommandStatus::Executing,
            ended: false,
            overdue: true,
            stopping: true,
            exit_code: None,
            cancelled_by: "alice",
            refusal: None,
            why: "",
        };
        assert_eq!(running.words(), "Running, being stopped");
        let stopped = Standing {
            status: CommandStatus::Cancelled,
            ended: true,
            ..running
        };
        assert_eq!(stopped.words(), "Cancelled by alice");
    }
}
