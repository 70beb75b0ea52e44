//! What a command's status is called: the one table of words, for pages, print and command line alike.

use super::{CommandStatus, Evidence, Invalid, PipelineStatus, Refusal, STRAY_MARKER, Span, StopReason, bounded};

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
    /// What its host said after it had been resolved by hand; empty where it has said nothing.
    pub late: &'a str,
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
            CommandStatus::Orphaned => format!("{name}: {}{}", self.why_or("no reason was kept"), self.said_later()),
        }
    }

    fn said_later(&self) -> String {
        match self.late {
            "" => String::new(),
            late => format!("; the host said later: {late}"),
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

impl PipelineStatus {
    /// The status by itself, for a filter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Held => "Held",
            Self::Complete => "Complete",
            Self::Partial => "Partial",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// That it ended, behind its name in a sentence: `“update” ended partly after 3 min`.
    #[must_use]
    pub const fn ended(self) -> &'static str {
        match self {
            Self::Running => "is running",
            Self::Held => "is held",
            Self::Complete => "is complete",
            Self::Partial => "ended partly",
            Self::Failed => "failed",
            Self::Cancelled => "was cancelled, and has ended",
        }
    }

    /// How it stands, behind its name in a sentence: `“update” ended partly: …`.
    #[must_use]
    pub const fn stands(self) -> &'static str {
        match self {
            Self::Running => "is running",
            Self::Held => "is held",
            Self::Complete => "is complete: every host passed",
            Self::Partial => "ended partly: some hosts passed, some did not",
            Self::Failed => "failed: no host passed",
            Self::Cancelled => "was cancelled",
        }
    }
}

impl Evidence {
    /// What the host said, in a sentence. `spool` is the command's folder there; `asked` whether a wish to stop it is
    /// journaled.
    #[must_use]
    pub fn sentence(&self, spool: Option<&str>, asked: bool) -> String {
        let sentence = match self {
            Self::Exit {
                code,
                check,
                duration_ms,
                stopped,
                left_behind,
                output_cut,
            } => {
                let mut text = format!(
                    "The host published exit {code} after {}",
                    Span::from_millis(*duration_ms).human()
                );
                match stopped {
                    Some(_) if !asked => text.push_str(STRAY_MARKER),
                    Some(StopReason::Cancel) => text.push_str(", after it had been told to stop"),
                    Some(StopReason::Timeout) => text.push_str(", after it had been stopped because its time was up"),
                    None => {}
                }
                match check {
                    Some(0) => text.push_str("; the post-check agreed"),
                    Some(check) => text.push_str(&format!("; the post-check said no (exit {check})")),
                    None => {}
                }
                match left_behind {
                    0 => {}
                    1 => text.push_str("; one process that it started lives on"),
                    more => text.push_str(&format!("; {more} processes that it started live on")),
                }
                if *output_cut {
                    text.push_str("; its output was cut");
                }
                text
            }
            Self::Running {
                supervisor,
                processes,
                age_ms,
            } => {
                let age = Span::from_millis(*age_ms).human();
                let processes = match processes {
                    1 => "1 process".to_owned(),
                    more => format!("{more} processes"),
                };
                let lost = if *supervisor {
                    ""
                } else {
                    "; its supervisor is gone, so its exit code will be lost"
                };
                format!("When last asked, the host said it is alive: {processes}, for {age}{lost}")
            }
            Self::NeverStarted => "The host proved that it never started".to_owned(),
            Self::ExitLost { .. } => {
                "It was started; nothing of it is alive any more, and no exit was published".to_owned()
            }
            held @ Self::Locked { .. } => format!("It did not start: {}", held.holder(spool)),
            Self::Done => "The host had emptied its folder: the outcome was committed before".to_owned(),
            Self::Nothing { why } => format!("The host could say nothing of it: {why}"),
        };
        format!("{}.", sentence.trim_end_matches('.'))
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
            late: "",
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
