//! Words, icons and colours of the pages; what a status is called is decided in `domain`. The journal's own word
//! stands in the `title`, and in the API and exports, never bare on a page.

use crate::domain::{Actor, CommandStatus, Evidence, Level, Refusal, Standing, Timestamp};
use crate::store::{CommandRow, FactsRow};

use super::clock::{Clock, When, rough};

/// One status for a reader. `tone` is a class of the style sheet, `icon` a symbol of `base.html`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Word {
    pub(super) tone: &'static str,
    pub(super) icon: &'static str,
    pub(super) text: String,
    pub(super) title: &'static str,
}

impl Word {
    pub(super) fn new(tone: &'static str, icon: &'static str, text: impl Into<String>, title: &'static str) -> Self {
        Self {
            tone,
            icon,
            text: text.into(),
            title,
        }
    }
}

/// What a host said of a command after somebody had resolved it, and when: `exit 0 (20 Nov 19:31)`.
fn said_later(row: &CommandRow, clock: &Clock) -> String {
    match (&row.late_word, row.late_at) {
        (Some(word), Some(at)) => format!("{word} ({})", clock.when(at).short),
        _ => String::new(),
    }
}

/// The word for where a command stands.
pub(super) fn status(row: &CommandRow, clock: &Clock) -> Word {
    let why = match row.status {
        CommandStatus::Blocked => refusal(row, clock),
        CommandStatus::Pending
        | CommandStatus::Validating
        | CommandStatus::Executing
        | CommandStatus::Success
        | CommandStatus::Error
        | CommandStatus::Timeout
        | CommandStatus::Cancelled
        | CommandStatus::Skipped
        | CommandStatus::Orphaned => row.error.clone().unwrap_or_default(),
    };
    let standing = Standing {
        status: row.status,
        ended: row.finished_at.is_some(),
        overdue: row.overdue_at.is_some(),
        stopping: row.stop_at.is_some(),
        exit_code: row.exit_code,
        cancelled_by: row.stop_by.as_ref().unwrap_or(&row.actor).name(),
        refusal: row.refusal,
        why: &why,
        late: &said_later(row, clock),
    };
    let (tone, icon) = match row.status {
        CommandStatus::Pending | CommandStatus::Validating => ("wait", "clock"),
        CommandStatus::Executing if row.overdue_at.is_some() => ("warn", "run"),
        CommandStatus::Executing => ("run", "run"),
        CommandStatus::Success => ("ok", "ok"),
        CommandStatus::Error => ("bad", "bad"),
        CommandStatus::Timeout => ("bad", "clock"),
        CommandStatus::Cancelled => ("quiet", "stop"),
        CommandStatus::Blocked => ("quiet", "ban"),
        CommandStatus::Skipped => ("quiet", "skip"),
        CommandStatus::Orphaned => ("warn", "ask"),
    };
    Word::new(tone, icon, standing.words(), row.status.as_str())
}

/// Why there is no output, where nothing was started on the host.
pub(super) fn never_ran(row: &CommandRow) -> bool {
    let proved = matches!(row.evidence, Some(Evidence::NeverStarted));
    row.finished_at.is_some() && (row.launched_at.is_none() || row.status == CommandStatus::Blocked || proved)
}

fn refusal(row: &CommandRow, clock: &Clock) -> String {
    if let Some(text) = &row.error {
        return clock.spoken(text, row.created_at);
    }
    let Some(code) = row.refusal else {
        return "no reason was kept".to_owned();
    };
    let text = match code {
        Refusal::Busy => "another command is open on this host",
        Refusal::Reserved => "a pipeline has reserved this host",
        Refusal::Removed => "the host was removed",
        Refusal::Unreachable => "the host did not answer",
        Refusal::Auth => "the host refused the log-in",
        Refusal::HostKey => "the host's key is unknown or has changed",
        Refusal::Sudo => "the host does not allow it without a password",
        Refusal::Precheck => "its pre-check said no",
        Refusal::DiskFull => "the host's disk is full",
        Refusal::Spool => "the spool folder on the host is not safe",
        Refusal::Locked => "another job holds the host's lock",
        Refusal::Scope => "the service manager would kill it together with the dashboard",
        Refusal::EarlierStage => "an earlier stage did not end well on this host",
        Refusal::Stopped => "the pipeline stopped because hosts failed",
        Refusal::Cancelled => "the pipeline was cancelled before",
    };
    text.to_owned()
}

/// The word for a level of the system log.
pub(super) fn level(level: Level) -> Word {
    match level {
        Level::Info => Word::new("quiet", "info", "Info", "info"),
        Level::Warn => Word::new("warn", "warn", "Warning", "warn"),
        Level::Error => Word::new("bad", "bad", "Error", "error"),
        Level::Success => Word::new("ok", "ok", "Success", "success"),
    }
}

/// What the host said, in a sentence.
pub(super) fn evidence(row: &CommandRow) -> Option<String> {
    let evidence = row.evidence.as_ref()?;
    let mut text = evidence.sentence(row.spool.as_deref(), row.stop_reason.is_some());
    if row.output_cut && !matches!(evidence, Evidence::Exit { output_cut: true, .. }) {
        text.push_str("; it sent more output than the limit, and the dashboard kept none of that");
    }
    Some(text)
}

/// Who wants a row kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) by: String,
    pub(super) at: When,
    pub(super) reason: String,
}

impl Kept {
    /// None where nobody does.
    pub(super) fn of(
        by: Option<&Actor>,
        at: Option<Timestamp>,
        reason: Option<&String>,
        clock: &Clock,
    ) -> Option<Self> {
        Some(Self {
            by: by?.name().to_owned(),
            at: clock.when(at?),
            reason: reason.cloned().unwrap_or_default(),
        })
    }
}

/// `1 host`, `7 hosts`.
pub(super) fn count(number: impl TryInto<i64>, one: &str, many: &str) -> String {
    let number: i64 = number.try_into().unwrap_or(i64::MAX);
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {many}")
    }
}

/// A count that stops at 1,000: `17`, `1,000+`.
pub(super) fn capped(number: i64) -> String {
    match number {
        ..1_000 => number.to_string(),
        1_000 => "1,000".to_owned(),
        _ => "1,000+".to_owned(),
    }
}

/// A refusal that was repeated so often: `Refused 49 times: busy with pull`.
pub(super) fn repeated(word: Word, repeats: i64) -> Word {
    let name = CommandStatus::Blocked.name();
    match word.text.strip_prefix(name) {
        Some(rest) if repeats > 0 => {
            let times = capped(repeats.saturating_add(1));
            let text = format!("{name} {times} times{rest}");
            Word { text, ..word }
        }
        _ => word,
    }
}

/// `812 bytes`, `12 KiB`, `3.1 MiB`, `38.2 GiB`.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// How long a command took, or has been going on.
pub(super) fn took(row: &CommandRow, now: Timestamp) -> Option<String> {
    let began = row.started_at?;
    Some(row.finished_at.unwrap_or(now).since(began).human())
}

/// What a host needs: a reboot, room on its disk.
pub(super) fn needs(facts: &FactsRow) -> Vec<Word> {
    let mut needs = Vec::new();
    if facts.reboot_needed {
        needs.push(Word::new(
            "warn",
            "warn",
            "reboot needed",
            "the system itself asks for a reboot",
        ));
    }
    if let Some(used) = facts.disk_used_percent
        && used >= 90
    {
        needs.push(Word::new("warn", "warn", format!("disk {used} %"), "used on /"));
    }
    needs
}

/// `12 days`, `3 h`.
pub(super) fn uptime(booted: Timestamp, now: Timestamp) -> String {
    rough(now.since(booted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_and_sizes_are_right() {
        assert_eq!(count(1, "host", "hosts"), "1 host");
        assert_eq!(count(0, "host", "hosts"), "0 hosts");
        assert_eq!(
            (capped(999), capped(1_000), capped(1_001)),
            ("999".into(), "1,000".into(), "1,000+".into())
        );
        let refused = Word::new("quiet", "ban", "Refused: busy", "BLOCKED");
        assert_eq!(repeated(refused.clone(), 0), refused);
        assert_eq!(repeated(refused, 48).text, "Refused 49 times: busy");
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(2_048), "2 KiB");
        assert_eq!(bytes(3_250_586), "3.1 MiB");
        assert_eq!(bytes(40_989_000_000), "38.2 GiB");
    }
}
