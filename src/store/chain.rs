//! The event log's hash chain: where it stands, and what of a row goes into it. The form is in [`crate::domain::Link`];
//! the head is read from the database in each piece of work, so that one which is undone leaves no trace.

use diesel::connection::SimpleConnection as _;
use diesel::deserialize::FromSql;
use diesel::prelude::*;
use diesel::serialize::{IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel::sqlite::{Sqlite, SqliteValue};
use serde_json::Value;

use super::record::{self, Of};
use super::schema::{checkpoints, event_log, swept_events};
use super::{Journal, ReadError};
use crate::domain::{Digest, Link};

#[derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
#[diesel(foreign_derive, sql_type = Binary)]
#[expect(dead_code, reason = "only carries the derives to a type of the domain")]
struct LinkColumn(Link);

impl FromSql<Binary, Sqlite> for Link {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> diesel::deserialize::Result<Self> {
        let bytes: Vec<u8> = FromSql::<Binary, Sqlite>::from_sql(value)?;
        Ok(Self::from_bytes(&bytes)?)
    }
}

impl ToSql<Binary, Sqlite> for Link {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> diesel::serialize::Result {
        out.set_value(self.as_bytes().as_slice());
        Ok(IsNull::No)
    }
}

/// Where the chain stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The newest event; 0 before the first.
    pub event_id: i64,
    /// Its link.
    pub link: Link,
}

/// The canonical columns of an event, as the text that the database holds.
pub(super) const CANONICAL: &str = "CAST(id AS TEXT) AS id_text, timestamp AS at_text, category, level, actor, \
     CAST(host_id AS TEXT) AS host_text, action, message, details, command_id, pipeline_id";

/// An event as the chain sees it.
#[derive(QueryableByName)]
pub(super) struct Canonical {
    #[diesel(sql_type = BigInt)]
    pub(super) id: i64,
    #[diesel(sql_type = Binary)]
    pub(super) link: Vec<u8>,
    #[diesel(sql_type = Text)]
    pub(super) id_text: String,
    #[diesel(sql_type = Text)]
    pub(super) at_text: String,
    #[diesel(sql_type = Text)]
    pub(super) category: String,
    #[diesel(sql_type = Text)]
    pub(super) level: String,
    #[diesel(sql_type = Text)]
    pub(super) actor: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) host_text: Option<String>,
    #[diesel(sql_type = Text)]
    pub(super) action: String,
    #[diesel(sql_type = Text)]
    pub(super) message: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) details: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) command_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) pipeline_id: Option<String>,
}

impl Canonical {
    /// The hash of its row.
    pub(super) fn row_hash(&self) -> Link {
        Link::of_row([
            Some(self.id_text.as_str()),
            Some(&self.at_text),
            Some(&self.category),
            Some(&self.level),
            Some(&self.actor),
            self.host_text.as_deref(),
            Some(&self.action),
            Some(&self.message),
            self.details.as_deref(),
            self.command_id.as_deref(),
            self.pipeline_id.as_deref(),
        ])
    }
}

impl Canonical {
    /// The rows that it vouches for: their places, and their digests.
    pub(super) fn vouches_for(&self) -> Vec<(String, Digest)> {
        let details = self.details.as_deref();
        let Some(details) = details.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        if let Some(record) = details.get("record")
            && let Some((of, id)) = self.about(&details)
        {
            all.push((place(of, &id), record::digest(record)));
        }
        for (what, digest) in details.get("records").and_then(Value::as_object).into_iter().flatten() {
            let digest = digest.as_str().unwrap_or_default().to_owned();
            all.push((what.clone(), Digest::from_stored(digest)));
        }
        all
    }
}

impl Canonical {
    /// The row that its record is of.
    pub(super) fn about(&self, details: &Value) -> Option<(Of, String)> {
        match (&self.command_id, &self.pipeline_id) {
            (Some(id), _) => Some((Of::Command, id.clone())),
            (None, Some(id)) => Some((Of::Pipeline, id.clone())),
            (None, None) => {
                let of = Of::by_action(&self.action)?;
                Some((of, of.named_in(details)?))
            }
        }
    }
}

/// How a row is named among the digests that sweeps leave: ids by themselves, names after what they are names of.
pub(super) fn place(of: Of, id: &str) -> String {
    match of {
        Of::Command | Of::Pipeline => id.to_owned(),
        Of::Host | Of::User | Of::Token | Of::Hold | Of::Report | Of::Review => {
            format!("{} {id}", of.word())
        }
    }
}

impl Journal {
    /// These events as the chain sees them, in the order of their ids.
    pub(super) fn canonical_of(&mut self, ids: &[i64]) -> Result<Vec<Canonical>, ReadError> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        Ok(diesel::sql_query(format!(
            "SELECT id, link, {CANONICAL} FROM event_log WHERE id IN ({}) ORDER BY id",
            ids.join(",")
        ))
        .load(&mut self.conn)?)
    }

    /// Where the chain stands: at the newest event, also where that is being swept.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn head(&mut self) -> Result<Head, ReadError> {
        let newest: Option<(i64, Link)> = event_log::table
            .select((event_log::id, event_log::link))
            .order(event_log::id.desc())
            .get_result(&mut self.conn)
            .optional()?;
        let newest = match newest {
            Some(newest) => Some(newest),
            None => swept_events::table
                .select((swept_events::id, swept_events::link))
                .order(swept_events::id.desc())
                .get_result(&mut self.conn)
                .optional()?,
        };
        let newest = match newest {
            Some(newest) => Some(newest),
            None => checkpoints::table
                .select((checkpoints::event_id, checkpoints::link))
                .order(checkpoints::id.desc())
                .get_result(&mut self.conn)
                .optional()?,
        };
        let (event_id, link) = newest.unwrap_or((0, Link::START));
        Ok(Head { event_id, link })
    }

    /// The largest number that SQLite has given to a row of this table, also where that row is gone.
    pub(super) fn largest_ever(&mut self, table: &str) -> Result<i64, ReadError> {
        let numbers: Vec<Number> = diesel::sql_query("SELECT seq AS n FROM sqlite_sequence WHERE name = ?")
            .bind::<Text, _>(table)
            .load(&mut self.conn)?;
        Ok(numbers.first().map_or(0, |number| number.n))
    }

    /// Events in the order of their ids, beginning after `after`, as the chain sees them.
    pub(super) fn canonical(&mut self, after: i64, limit: i64) -> Result<Vec<Canonical>, ReadError> {
        Ok(diesel::sql_query(format!(
            "SELECT id, link, {CANONICAL} FROM event_log WHERE id > ? ORDER BY id LIMIT ?"
        ))
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(limit)
        .load(&mut self.conn)?)
    }
}

/// The link of the event before one; none where the journal does not have that any more.
pub(super) fn link_before(journal: &mut Journal, id: i64) -> Result<Option<Link>, ReadError> {
    if id == 1 {
        return Ok(Some(Link::START));
    }
    let row: Option<Link> = event_log::table
        .find(id - 1)
        .select(event_log::link)
        .get_result(&mut journal.conn)
        .optional()?;
    if row.is_some() {
        return Ok(row);
    }
    let swept: Option<Link> = swept_events::table
        .find(id - 1)
        .select(swept_events::link)
        .get_result(&mut journal.conn)
        .optional()?;
    if swept.is_some() {
        return Ok(swept);
    }
    let base = journal.newest_statement()?.and_then(|statement| statement.base);
    Ok(base.filter(|base| base.event == id - 1).map(|base| base.link))
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// The action of the event that says that older events were chained as they were found.
pub(super) const CHAINED: &str = "chained";

/// Rows that are linked in one step.
const STEP: i64 = 1_000;

/// Gives events from before there was a chain their links, and says how many. Does nothing where the oldest event has one.
pub(super) fn link_old_events(journal: &mut Journal) -> Result<u64, ReadError> {
    let oldest: Option<Link> = event_log::table
        .select(event_log::link)
        .order(event_log::id.asc())
        .get_result(&mut journal.conn)
        .optional()?;
    let signed: Option<i64> = checkpoints::table
        .select(checkpoints::id)
        .order(checkpoints::id.desc())
        .get_result(&mut journal.conn)
        .optional()?;
    if oldest != Some(Link::START) || signed.is_some() {
        return Ok(0);
    }
    journal.conn.batch_execute("BEGIN IMMEDIATE")?;
    let done = link_all(journal);
    journal
        .conn
        .batch_execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    done
}

fn link_all(journal: &mut Journal) -> Result<u64, ReadError> {
    let (mut last, mut link, mut linked) = (0, Link::START, 0);
    loop {
        let some = journal.canonical(last, STEP)?;
        let Some(newest) = some.last() else { return Ok(linked) };
        last = newest.id;
        linked += some.len() as u64;
        let links = some.iter().map(|row| {
            link = link.next(row.row_hash());
            serde_json::json!([row.id, link])
        });
        // One statement for all of them: each by itself costs twice the time.
        let links = Value::Array(links.collect()).to_string();
        diesel::sql_query(
            "UPDATE event_log SET link = unhex(new.value ->> 1) FROM json_each(?) new WHERE event_log.id = new.value ->> 0",
        )
        .bind::<Text, _>(links)
        .execute(&mut journal.conn)?;
    }
}
