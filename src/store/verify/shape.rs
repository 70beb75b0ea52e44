//! Whether the database has the tables, indexes and triggers that this program makes, and no others.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::super::{ReadError, Reader, open};
use super::Verdict;

#[derive(QueryableByName)]
struct Thing {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    sql: Option<String>,
}

pub(super) fn verify(reader: &Reader, verdict: &mut Verdict) -> Result<(), ReadError> {
    let mut fresh = SqliteConnection::establish(":memory:").map_err(|why| ReadError::Database(why.to_string()))?;
    open::migrate(&mut fresh).map_err(ReadError::Database)?;
    let should = things(&mut fresh)?;
    let is = reader.read_blocking(|journal| things(&mut journal.conn))?;
    for name in should.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
        match (should.get(name), is.get(name)) {
            (Some(should), Some(is)) if should == is => {}
            (Some(_), Some(_)) => verdict.wrong(name.clone(), "it was changed: it is not what this program makes"),
            (Some(_), None) => verdict.wrong(name.clone(), "it is missing: this program makes it"),
            (None, _) => verdict.wrong(name.clone(), "this program makes nothing of this name"),
        }
    }
    Ok(())
}

/// `trigger event_log_is_only_swept` and so on, with its text.
fn things(conn: &mut SqliteConnection) -> Result<BTreeMap<String, Option<String>>, ReadError> {
    let all: Vec<Thing> = diesel::sql_query(
        "SELECT type || ' ' || name AS name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )
    .load(conn)?;
    Ok(all.into_iter().map(|thing| (thing.name, thing.sql)).collect())
}
