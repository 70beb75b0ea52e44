//! The tables whose rows are records, and their columns.

use serde_json::Value;

/// Every column of `commands`. `evidence` is JSON itself.
const COMMAND: &[&str] = &[
    "id",
    "host_id",
    "op",
    "pipeline_id",
    "stage",
    "status",
    "created_at",
    "started_at",
    "launched_at",
    "finished_at",
    "settled_at",
    "exit_code",
    "error",
    "refusal",
    "output_file",
    "output_bytes",
    "output_sha256",
    "output_cut",
    "actor",
    "reason",
    "evidence",
    "definition",
    "retry_of",
    "deadline",
    "stop_reason",
    "stop_by",
    "stop_at",
    "stop_note",
    "boot_id",
    "machine_id",
    "spool",
    "launches",
    "warned_at",
    "overdue_at",
    "resolved_by",
    "late_word",
    "late_at",
    "acknowledged_by",
    "acknowledged_at",
    "acknowledged_note",
    "repeat_of",
    "kept_by",
    "kept_at",
    "kept_reason",
];

/// Every column of `pipelines`.
const PIPELINE: &[&str] = &[
    "id",
    "name",
    "hosts",
    "current_stage",
    "status",
    "created_at",
    "finished_at",
    "actor",
    "reason",
    "plan",
    "hold_reason",
    "cancel_mode",
    "cancel_by",
    "cancel_at",
    "retry_of",
    "passed",
    "at_wait",
    "evidence",
    "cancel_note",
    "kept_by",
    "kept_at",
    "kept_reason",
];

/// Every column of `hosts`.
const HOST: &[&str] = &[
    "id",
    "hostname",
    "reach",
    "spool",
    "run_as",
    "tags",
    "automatic",
    "created_at",
    "updated_at",
    "removed_at",
];

/// The columns of `users` that change by events alone: not what each log-in counts up.
const USER: &[&str] = &[
    "id",
    "name",
    "password",
    "grants",
    "totp_secret",
    "created_at",
    "password_at",
    "disabled_at",
];

/// The columns of `tokens` that change by events alone: not when one was last used.
const TOKEN: &[&str] = &[
    "id",
    "name",
    "hash",
    "grants",
    "created_by",
    "created_at",
    "expires_at",
    "revoked_at",
];

/// Every column of `holds`.
const HOLD: &[&str] = &[
    "id",
    "from_at",
    "until_at",
    "reason",
    "placed_by",
    "placed_at",
    "released_by",
    "released_at",
    "release_reason",
];

/// The columns of `reports`; of `stamp` what stands before its checkpoint, which is made after the event, and signed.
const REPORT: &[&str] = &[
    "id",
    "number",
    "made_at",
    "made_by",
    "address",
    "parameters",
    "paper",
    "covers",
    "summary",
    "digest",
    "content_bytes",
    "event_id",
    "stamp",
];

/// Every column of `reviews`.
const REVIEW: &[&str] = &["id", "report_id", "up_to", "reviewed_by", "reviewed_at", "note"];

/// Which table a record is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Of {
    Command,
    Pipeline,
    Host,
    User,
    Token,
    Hold,
    Report,
    Review,
}

impl Of {
    pub(in super::super) const ALL: [Self; 8] = [
        Self::Command,
        Self::Pipeline,
        Self::Host,
        Self::User,
        Self::Token,
        Self::Hold,
        Self::Report,
        Self::Review,
    ];

    /// What an event is about that names neither command nor pipeline, by its action; its details name the row
    /// ([`Of::named_in`]).
    pub(in super::super) fn by_action(action: &str) -> Option<Self> {
        match action {
            "report" => return Some(Self::Report),
            "report:review" => return Some(Self::Review),
            _ => {}
        }
        match action.split_once(':')?.0 {
            "hold" => Some(Self::Hold),
            "host" => Some(Self::Host),
            "user" => Some(Self::User),
            "token" => Some(Self::Token),
            _ => None,
        }
    }

    /// The key of the row that the details of such an event name.
    pub(in super::super) fn named_in(self, details: &Value) -> Option<String> {
        let name = match self {
            Self::Report => &details["number"],
            Self::Hold => &details["hold"]["id"],
            Self::Command | Self::Pipeline | Self::Host | Self::User | Self::Token | Self::Review => {
                &details[self.word()]
            }
        };
        let id = || name.as_i64().map(|id| id.to_string());
        name.as_str().map(str::to_owned).or_else(id)
    }

    /// What a row of it is called.
    pub(in super::super) const fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Pipeline => "pipeline",
            Self::Host => "host",
            Self::User => "user",
            Self::Token => "token",
            Self::Hold => "hold",
            Self::Report => "report",
            Self::Review => "review",
        }
    }

    /// Whether events name its rows by their ids; else by their actions and details.
    pub(in super::super) const fn has_id(self) -> bool {
        matches!(self, Self::Command | Self::Pipeline)
    }

    pub(in super::super) const fn table(self) -> &'static str {
        match self {
            Self::Command => "commands",
            Self::Pipeline => "pipelines",
            Self::Host => "hosts",
            Self::User => "users",
            Self::Token => "tokens",
            Self::Hold => "holds",
            Self::Report => "reports",
            Self::Review => "reviews",
        }
    }

    /// The column that names a row.
    pub(in super::super) const fn key(self) -> &'static str {
        match self {
            Self::Command | Self::Pipeline | Self::Hold | Self::Review => "id",
            Self::Host => "hostname",
            Self::User | Self::Token => "name",
            Self::Report => "number",
        }
    }

    /// Whether its key is a number.
    pub(super) const fn numbered(self) -> bool {
        matches!(self, Self::Hold | Self::Review)
    }

    /// Whether this row may still change without an event that carries it: nothing vouches for it yet.
    pub(in super::super) fn is_open(self, row: &Value) -> bool {
        match self {
            Self::Command | Self::Pipeline => row.get("finished_at").is_none(),
            Self::Report => row.get("digest").is_none(),
            Self::Host | Self::User | Self::Token | Self::Hold | Self::Review => false,
        }
    }

    pub(super) const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Command => COMMAND,
            Self::Pipeline => PIPELINE,
            Self::Host => HOST,
            Self::User => USER,
            Self::Token => TOKEN,
            Self::Hold => HOLD,
            Self::Report => REPORT,
            Self::Review => REVIEW,
        }
    }

    /// Columns whose digest stands for them: those that may be as long as the fleet, and those that nobody is to read.
    pub(super) const fn digested(self) -> &'static [&'static str] {
        match self {
            Self::Pipeline => &["hosts", "plan", "passed"],
            Self::User => &["password", "totp_secret"],
            Self::Token => &["hash"],
            Self::Report => &["parameters", "summary"],
            Self::Command | Self::Host | Self::Hold | Self::Review => &[],
        }
    }

    /// One row as one text: a JSON object.
    pub(in super::super) fn object(self) -> String {
        let column = |name: &&str| match *name {
            "evidence" => "'evidence', CASE WHEN json_valid(evidence) THEN json(evidence) ELSE evidence END".to_owned(),
            "stamp" => format!("'stamp', substr(stamp, 1, instr(stamp || {BEFORE}, {BEFORE}))"),
            name => format!("'{name}', {name}"),
        };
        let columns: Vec<String> = self.columns().iter().map(column).collect();
        format!("json_object({})", columns.join(", "))
    }

    /// The same of a row in which somebody may have put bytes where text belongs: JSON takes none.
    pub(super) fn object_of_any(self) -> String {
        let columns: Vec<String> = self
            .columns()
            .iter()
            .map(|name| format!("typeof({name}) = 'blob'"))
            .collect();
        format!(
            "CASE WHEN {} THEN json_object('{key}', CAST({key} AS TEXT)) ELSE {} END",
            columns.join(" OR "),
            self.object(),
            key = self.key(),
        )
    }
}

/// Where a report's stamp comes to what is made after its event.
const BEFORE: &str = "char(10) || 'checkpoint '";

#[cfg(test)]
mod tests {
    use super::super::super::tests::Plans;
    use super::*;

    /// A column that a migration adds and this file does not know would stand outside of the chain.
    #[test]
    fn every_column_of_a_row_is_part_of_its_record() {
        let mut plans = Plans::new();
        for of in Of::ALL {
            let columns: std::collections::BTreeSet<String> = plans.columns(of.table()).into_iter().collect();
            let left_out: &[&str] = match of {
                Of::User => &["totp_step", "era"],
                Of::Token => &["last_used_at"],
                Of::Report => &["checkpoint_id"],
                Of::Command | Of::Pipeline | Of::Host | Of::Hold | Of::Review => &[],
            };
            let known = of
                .columns()
                .iter()
                .chain(left_out)
                .map(|name| (*name).to_owned())
                .collect();
            assert_eq!(columns, known, "{}", of.table());
        }
    }
}
