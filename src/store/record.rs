//! A final row of `commands` or `pipelines`, a whole one of `reports`, or any of `hosts`, `users`, `tokens`, `holds` and `reviews`, as its events vouch for it: every column that is not empty, as JSON. The event that ends a
//! command carries it (`details.record`), so that the chain covers the row; whoever changes a final row writes such an
//! event again. Of rows that a pipeline writes off in numbers, an event carries digests (`details.records`).

use std::sync::LazyLock;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;
use serde_json::{Map, Value};

use super::{Journal, ReadError};
use crate::domain::Digest;

/// Every column of `commands`. `evidence` is JSON itself.
pub(super) const COMMAND: &[&str] = &[
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
pub(super) const PIPELINE: &[&str] = &[
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
pub(super) enum Of {
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
    pub(super) const ALL: [Self; 8] = [
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
    pub(super) fn by_action(action: &str) -> Option<Self> {
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
    pub(super) fn named_in(self, details: &Value) -> Option<String> {
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
    pub(super) const fn word(self) -> &'static str {
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
    pub(super) const fn has_id(self) -> bool {
        matches!(self, Self::Command | Self::Pipeline)
    }

    pub(super) const fn table(self) -> &'static str {
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
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Command | Self::Pipeline | Self::Hold | Self::Review => "id",
            Self::Host => "hostname",
            Self::User | Self::Token => "name",
            Self::Report => "number",
        }
    }

    /// Whether its key is a number.
    const fn numbered(self) -> bool {
        matches!(self, Self::Hold | Self::Review)
    }

    /// Whether this row may still change without an event that carries it: nothing vouches for it yet.
    pub(super) fn is_open(self, row: &Value) -> bool {
        match self {
            Self::Command | Self::Pipeline => row.get("finished_at").is_none(),
            Self::Report => row.get("digest").is_none(),
            Self::Host | Self::User | Self::Token | Self::Hold | Self::Review => false,
        }
    }

    const fn columns(self) -> &'static [&'static str] {
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
    const fn digested(self) -> &'static [&'static str] {
        match self {
            Self::Pipeline => &["hosts", "plan", "passed"],
            Self::User => &["password", "totp_secret"],
            Self::Token => &["hash"],
            Self::Report => &["parameters", "summary"],
            Self::Command | Self::Host | Self::Hold | Self::Review => &[],
        }
    }

    /// One row as one text: a JSON object.
    pub(super) fn object(self) -> String {
        let column = |name: &&str| match *name {
            "evidence" => "'evidence', CASE WHEN json_valid(evidence) THEN json(evidence) ELSE evidence END".to_owned(),
            "stamp" => format!("'stamp', substr(stamp, 1, instr(stamp || {BEFORE}, {BEFORE}))"),
            name => format!("'{name}', {name}"),
        };
        let columns: Vec<String> = self.columns().iter().map(column).collect();
        format!("json_object({})", columns.join(", "))
    }

    /// The same of a row in which somebody may have put bytes where text belongs: JSON takes none.
    fn object_of_any(self) -> String {
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

/// The object of a row as an event carries it: without what is empty.
pub(super) fn shortened(of: Of, text: &str) -> Result<Value, ReadError> {
    let mut record: Map<String, Value> = serde_json::from_str(text).map_err(|why| ReadError::Row(why.to_string()))?;
    // So that a column which a later migration adds changes no record of today.
    record.retain(|_, value| !value.is_null());
    for column in of.digested() {
        if let Some(Value::String(text)) = record.get(*column) {
            let digest = Digest::of(text.as_bytes()).to_string();
            record.insert((*column).to_owned(), Value::String(digest));
        }
    }
    Ok(Value::Object(record))
}

/// The same for the archive: whole, also what is long.
pub(super) fn archived(text: &str) -> Result<Value, ReadError> {
    let mut row: Map<String, Value> = serde_json::from_str(text).map_err(|why| ReadError::Row(why.to_string()))?;
    row.retain(|_, value| !value.is_null());
    Ok(Value::Object(row))
}

/// What stands for a record where only a digest is kept.
pub(super) fn digest(record: &Value) -> Digest {
    Digest::of(record.to_string().as_bytes())
}

/// The look-up of one row. With a text of its own, so that it stays prepared: it is asked for with each end of a command.
struct ById<'a> {
    of: Of,
    id: &'a str,
}

static SELECT: LazyLock<[String; Of::ALL.len()]> =
    LazyLock::new(|| Of::ALL.map(|of| format!("SELECT {} FROM {} WHERE {} = ", of.object(), of.table(), of.key())));

impl QueryFragment<Sqlite> for ById<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(&SELECT[self.of as usize]);
        out.push_bind_param::<Text, _>(self.id)
    }
}

impl QueryId for ById<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for ById<'_> {
    type SqlType = Text;
}

impl RunQueryDsl<SqliteConnection> for ById<'_> {}

impl Journal {
    /// A row as an event carries it; none where there is no such row.
    pub(super) fn record(&mut self, of: Of, id: &str) -> Result<Option<Value>, ReadError> {
        let text: Option<String> = ById { of, id }.get_result(&mut self.conn).optional()?;
        text.map(|text| shortened(of, &text)).transpose()
    }
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(diesel::QueryableByName)]
struct One {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    one: i64,
}

impl Journal {
    /// Whether there is such a row, whatever it holds.
    pub(super) fn has_row(&mut self, of: Of, id: &str) -> Result<bool, ReadError> {
        let found: Vec<One> = diesel::sql_query(format!(
            "SELECT 1 AS one FROM {} WHERE {} = ? LIMIT 1",
            of.table(),
            of.key()
        ))
        .bind::<Text, _>(id)
        .load(&mut self.conn)?;
        Ok(found.iter().any(|row| row.one == 1))
    }

    /// These rows as events carry them, in the order of their ids.
    pub(super) fn records_of(&mut self, of: Of, ids: &[impl ToString]) -> Result<Vec<(String, Value)>, ReadError> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let rows: Vec<Row> = diesel::sql_query(format!(
            "SELECT {key} AS id, {} AS text FROM {} WHERE {key} IN (SELECT value FROM json_each(?)) ORDER BY {key}",
            of.object_of_any(),
            of.table(),
            key = of.key(),
        ))
        .bind::<Text, _>(serde_json::json!(ids).to_string())
        .load(&mut self.conn)?;
        rows.into_iter()
            .map(|row| Ok((row.id, shortened(of, &row.text)?)))
            .collect()
    }

    /// Some rows in the order of their keys, as events carry them: those after a key, or from the first on.
    pub(super) fn records_after(
        &mut self,
        of: Of,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<(String, Value)>, ReadError> {
        let rows: Vec<Row> = diesel::sql_query(format!(
            "SELECT CAST({key} AS TEXT) AS id, {} AS text FROM {} WHERE {key} {than} {after} AND {key} < x'' ORDER BY {key} LIMIT ?",
            of.object_of_any(),
            of.table(),
            key = of.key(),
            // An empty name is one, too: somebody may have given it.
            than = if after.is_none() { ">=" } else { ">" },
            // What is no text comes behind all texts, and is found by the look at the kinds of columns.
            after = if of.numbered() { "CAST(? AS INTEGER)" } else { "?" },
        ))
        .bind::<Text, _>(after.unwrap_or_default())
        .bind::<diesel::sql_types::BigInt, _>(limit)
        .load(&mut self.conn)?;
        rows.into_iter()
            .map(|row| Ok((row.id, shortened(of, &row.text)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Plans;
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
