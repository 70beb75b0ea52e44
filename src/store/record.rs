//! A final row of `commands` or `pipelines`, a whole one of `reports`, or any of `hosts`, `users`, `tokens`, `holds` and
//! `reviews`, as its events vouch for it: every column that is not empty, as JSON. The event that ends a command carries it
//! (`details.record`), so that the chain covers the row; whoever changes a final row writes such an event again. Of rows
//! that a pipeline writes off in numbers, an event carries digests (`details.records`).

mod of;

use std::sync::LazyLock;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;
use serde_json::{Map, Value};

use super::{Journal, ReadError};
use crate::domain::Digest;

pub(super) use of::Of;

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
