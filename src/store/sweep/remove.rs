//! What a sweep removes, in the transaction that removes it, and as the archive takes it before.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde_json::Value;

use super::super::archive::Added;
use super::super::error::Fault;
use super::super::record::Of;
use super::super::schema::{commands, event_log, hosts, pipeline_hosts, pipelines};
use super::super::search::unindex;
use super::super::tx::Tx;
use super::super::{Journal, ReadError, Topic};
use super::count;
use super::old_events::still_free;
use super::piece::{self, Said};
use super::select::{Old, quoted};
use super::statement::Summing;
use crate::domain::{CommandId, Link, PipelineId, Timestamp};

#[derive(QueryableByName)]
struct Whole {
    #[diesel(sql_type = Nullable<Text>)]
    host: Option<String>,
    #[diesel(sql_type = Text)]
    text: String,
}

/// Events as the archive takes them.
pub(super) fn events_of(journal: &mut Journal, ids: &[i64]) -> Result<Vec<Added>, ReadError> {
    let rows = journal.canonical_of(ids)?;
    let mut names = std::collections::HashMap::new();
    let mut added = Vec::with_capacity(rows.len());
    for row in rows {
        let host = match row.host_text.as_ref().and_then(|id| id.parse::<i64>().ok()) {
            None => None,
            Some(id) => match names.get(&id) {
                Some(name) => Option::<String>::clone(name),
                None => {
                    let name: Option<String> = hosts::table
                        .find(id)
                        .select(hosts::hostname)
                        .get_result(&mut journal.conn)
                        .optional()?;
                    names.insert(id, name.clone());
                    name
                }
            },
        };
        added.push(Added::Event(Box::new(row), host));
    }
    Ok(added)
}

/// Commands or pipelines as the archive takes them.
pub(super) fn rows_of(journal: &mut Journal, of: Of, ids: &[impl ToString]) -> Result<Vec<Added>, ReadError> {
    let host = match of {
        Of::Command => "(SELECT hostname FROM hosts WHERE hosts.id = commands.host_id)",
        Of::Pipeline | Of::Host | Of::User | Of::Token | Of::Hold | Of::Report | Of::Review => "NULL",
    };
    let query = format!(
        "SELECT {host} AS host, {} AS text FROM {} WHERE id IN ({}) ORDER BY id",
        of.object(),
        of.table(),
        quoted(ids)
    );
    let rows: Vec<Whole> = diesel::sql_query(query).load(&mut journal.conn)?;
    Ok(rows.into_iter().map(|row| Added::Row(of, row.host, row.text)).collect())
}

/// Removes commands; events keep what they said about them. One element for each command.
pub(super) fn remove(tx: &mut Tx<'_>, said: &Said, old: Vec<Old>) -> Result<Vec<Option<String>>, Fault> {
    if old.is_empty() {
        return Ok(Vec::new());
    }
    said.begin(tx)?;
    let ids: Vec<CommandId> = old.iter().map(|old| old.id).collect();
    diesel::delete(commands::table.filter(commands::id.eq_any(&ids))).execute(&mut tx.journal.conn)?;
    said.gone(tx, Of::Command, ids.iter().map(ToString::to_string).collect())?;
    tx.touch(Topic::Commands);
    Ok(old.into_iter().map(|old| old.output_file).collect())
}

/// 1 where the pipeline is gone, 0 where a command of it had to stay, or somebody wants it kept.
pub(super) fn remove_pipeline(tx: &mut Tx<'_>, said: &Said, before: Timestamp, id: PipelineId) -> Result<i64, Fault> {
    let left: Option<CommandId> = commands::table
        .filter(commands::pipeline_id.eq(id))
        .select(commands::id)
        .first(&mut tx.journal.conn)
        .optional()?;
    if left.is_some() || !tx.journal.is_free_pipeline(before, id)? {
        return Ok(0);
    }
    said.begin(tx)?;
    diesel::delete(pipeline_hosts::table.filter(pipeline_hosts::pipeline_id.eq(id))).execute(&mut tx.journal.conn)?;
    diesel::delete(pipelines::table.find(id)).execute(&mut tx.journal.conn)?;
    said.gone(tx, Of::Pipeline, vec![id.to_string()])?;
    tx.touch(Topic::Pipelines);
    Ok(1)
}

/// Removes events: what the chain needs of them stays, and what they said of rows that stay. How many, and the time of
/// the youngest.
pub(super) fn remove_events(tx: &mut Tx<'_>, said: &Said, ids: &[i64]) -> Result<(i64, Option<Timestamp>), Fault> {
    let ids = still_free(tx.journal, ids)?;
    let mut rows = tx.journal.canonical_of(&ids)?;
    // Looked at before, but it may have been changed since.
    let other = tx.journal.other_events(&rows)?;
    rows.retain(|row| !other.contains(&row.id));
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok((0, None));
    }
    said.begin(tx)?;
    let (mut until, mut hashes, mut vouched) = (String::new(), Vec::new(), Vec::new());
    let (mut hashed, mut sealed) = (Summing::default(), Summing::default());
    let number = piece::next(tx)?;
    for row in rows {
        let link = Link::from_bytes(&row.link).map_err(|why| ReadError::Row(why.to_string()))?;
        hashes.push(serde_json::json!([row.id, row.row_hash()]));
        hashed.hash(row.id, row.row_hash(), link);
        for (what, digest) in row.vouches_for() {
            sealed.seal(&what, &digest, Some(row.id));
            vouched.push(serde_json::json!([what, digest, row.id]));
        }
        until = until.max(row.at_text); // Their order as text is that of time.
    }
    // One statement for all of them: five hundred take many times as long, and nobody else writes meanwhile.
    diesel::sql_query(
        "INSERT INTO swept_events (id, row_hash, link, piece) SELECT e.id, unhex(gone.value ->> 1), e.link, ? \
         FROM json_each(?) gone JOIN event_log e ON e.id = gone.value ->> 0",
    )
    .bind::<BigInt, _>(number)
    .bind::<Text, _>(Value::Array(hashes).to_string())
    .execute(&mut tx.journal.conn)?;
    if !vouched.is_empty() {
        diesel::sql_query(
            "INSERT INTO sealed (what, digest, event_id) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) ORDER BY key",
        )
        .bind::<Text, _>(Value::Array(vouched).to_string())
        .execute(&mut tx.journal.conn)?;
    }
    said.events(tx, number, hashed.end(), sealed.end())?;
    unindex(tx, &ids)?;
    diesel::delete(event_log::table.filter(event_log::id.eq_any(&ids))).execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Events);
    Ok((count(ids.len()), until.parse().ok()))
}
