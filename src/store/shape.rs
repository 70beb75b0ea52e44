//! Whether the database has the tables, indexes, triggers and views that this program makes, and no others. What stands
//! there besides runs with each write, unseen: a trigger may make of a failure a success before it is journaled.

use std::sync::OnceLock;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::error::Fault;
use super::tx::Tx;
use super::{Journal, ReadError, open};

/// One row of SQLite's own list.
#[derive(QueryableByName, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Thing {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = Nullable<Text>)]
    sql: Option<String>,
}

impl Thing {
    /// What `ANALYZE` makes, which changes no row and no answer. Its text counts, not its name alone: SQLite runs
    /// whatever text stands in the list.
    fn is_sqlites(&self) -> bool {
        let text = match self.name.as_str() {
            "sqlite_stat1" => "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
            "sqlite_stat4" => "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
            _ => return false,
        };
        self.kind == "table" && self.sql.as_deref() == Some(text)
    }

    fn called(&self) -> String {
        crate::domain::bounded(&format!("{} {}", self.kind, self.name), 100)
    }
}

/// What this program makes: the migrations, in a database of their own. Made once.
fn ours() -> Result<&'static [Thing], ReadError> {
    static OURS: OnceLock<Result<Vec<Thing>, ReadError>> = OnceLock::new();
    let made = OURS.get_or_init(|| {
        let mut fresh = SqliteConnection::establish(":memory:").map_err(|why| ReadError::Database(why.to_string()))?;
        open::migrate(&mut fresh).map_err(ReadError::Database)?;
        things(&mut fresh)
    });
    match made {
        Ok(things) => Ok(things),
        Err(why) => Err(ReadError::Database(why.to_string())),
    }
}

/// In order; what stands in the list twice is here twice.
fn things(conn: &mut SqliteConnection) -> Result<Vec<Thing>, ReadError> {
    let all: Vec<Thing> = diesel::sql_query(
        "SELECT coalesce(type, '') AS kind, coalesce(name, '') AS name, coalesce(tbl_name, '') AS of, sql FROM sqlite_schema",
    )
    .load(conn)?;
    let mut all: Vec<Thing> = all.into_iter().filter(|thing| !thing.is_sqlites()).collect();
    all.sort();
    Ok(all)
}

impl Journal {
    /// Where the schema differs from what the migrations make: `trigger x`, and what of it.
    pub(super) fn other_shape(&mut self) -> Result<Vec<(String, &'static str)>, ReadError> {
        let should = ours()?;
        let is = things(&mut self.conn)?;
        if is == should {
            return Ok(Vec::new());
        }
        let same = |a: &Thing, b: &Thing| a.kind == b.kind && a.name == b.name;
        let times = |all: &[Thing], thing: &Thing| all.iter().filter(|other| same(other, thing)).count();
        let mut all: Vec<(String, &'static str)> = Vec::new();
        for thing in &is {
            if should.contains(thing) && times(&is, thing) == times(should, thing) {
                continue;
            }
            let text = match times(should, thing) {
                0 => "this program makes nothing of this name",
                _ => "it was changed: it is not what this program makes",
            };
            all.push((thing.called(), text));
        }
        for thing in should.iter().filter(|thing| times(&is, thing) == 0) {
            all.push((thing.called(), "it is missing: this program makes it"));
        }
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// The same as sentences without their ends; nothing where the schema has not changed since this connection looked.
    pub(super) fn new_shape(&mut self) -> Result<Vec<String>, ReadError> {
        let version: Version = diesel::sql_query("PRAGMA schema_version").get_result(&mut self.conn)?;
        if self.shape == Some(version.schema_version) {
            return Ok(Vec::new());
        }
        let other = self.other_shape()?;
        self.shape = Some(version.schema_version);
        Ok(other
            .into_iter()
            .map(|(what, text)| format!("{what}: {text}"))
            .collect())
    }
}

impl Tx<'_> {
    /// Says so where the schema is another one, before something is signed.
    pub(super) fn look_at_shape(&mut self) -> Result<(), Fault> {
        let other = self.journal.new_shape()?;
        if other.is_empty() {
            return Ok(());
        }
        self.tampered(&other.join("; "), serde_json::json!({ "schema": other }))
    }
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = BigInt)]
    schema_version: i64,
}
