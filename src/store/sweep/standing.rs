//! What a sweep left standing of what it might have taken, and what is missing that no sweep took.

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::super::error::Fault;
use super::super::record::Of;
use super::super::schema::{event_log, sealed};
use super::super::tx::Tx;
use super::super::{Journal, ReadError, Store, WriteError};
use super::statement::{Standing, UpTo};
use crate::domain::{CommandId, Digest, PipelineId, Timestamp};

/// The action of the event that says that something else changed the database.
pub(in crate::store) const TAMPERED: &str = "tampered";

/// Ids that are read at once.
const STEP: i64 = 1_000;

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Nullable<Text>)]
    id: Option<String>,
}

impl Journal {
    /// The commands and pipelines that were made before a time.
    pub(super) fn standing_before(&mut self, time: Timestamp) -> Result<Standing, ReadError> {
        let commands = self.last_below(Of::Command, &CommandId::first_at(time).to_string())?;
        let pipelines = self.last_below(Of::Pipeline, &PipelineId::first_at(time).to_string())?;
        Ok(Standing {
            commands: self.up_to(Of::Command, commands)?,
            pipelines: self.up_to(Of::Pipeline, pipelines)?,
        })
    }

    /// What is there now of what a sweep left standing.
    pub(in crate::store) fn still_standing(&mut self, stated: &Standing) -> Result<Standing, ReadError> {
        Ok(Standing {
            commands: self.up_to(Of::Command, stated.commands.last.clone())?,
            pipelines: self.up_to(Of::Pipeline, stated.pipelines.last.clone())?,
        })
    }

    fn last_below(&mut self, of: Of, id: &str) -> Result<Option<String>, ReadError> {
        let found: Id = diesel::sql_query(format!("SELECT max(id) AS id FROM {} WHERE id < ?", of.table()))
            .bind::<Text, _>(id)
            .get_result(&mut self.conn)?;
        Ok(found.id)
    }

    fn up_to(&mut self, of: Of, last: Option<String>) -> Result<UpTo, ReadError> {
        use sha2::Digest as _;
        let Some(until) = &last else {
            return Ok(UpTo::default());
        };
        let query = format!(
            "SELECT id FROM {} WHERE id > ? AND id <= ? ORDER BY id LIMIT {STEP}",
            of.table()
        );
        let (mut hash, mut rows, mut after) = (sha2::Sha256::new(), 0, String::new());
        loop {
            let some: Vec<Id> = diesel::sql_query(&query)
                .bind::<Text, _>(&after)
                .bind::<Text, _>(until)
                .load(&mut self.conn)?;
            let Some(newest) = some.last().and_then(|row| row.id.clone()) else {
                break;
            };
            after = newest;
            rows += some.len();
            for id in some.iter().filter_map(|row| row.id.as_ref()) {
                hash.update(format!("{id}\n"));
            }
        }
        Ok(UpTo {
            last,
            rows,
            sha256: (rows > 0).then(|| Digest::from_hash(&hash.finalize())),
        })
    }

    /// What is missing that no sweep took, or there that no sweep left: what to say, and its details. None while a sweep
    /// is under way, or was cut off.
    fn unexplained(&mut self) -> Result<Option<(&'static str, serde_json::Value)>, ReadError> {
        if self.open_sweep()?.is_some() {
            return Ok(None);
        }
        let stated = self.newest_statement()?.unwrap_or_default();
        let hashes = self.hashes(stated.base)?;
        let unsigned: i64 = sealed::table
            .filter(sealed::checkpoint_id.is_null())
            .count()
            .get_result(&mut self.conn)?;
        if hashes != stated.hashes || unsigned > 0 {
            let details = serde_json::json!({ "stated": stated.hashes, "found": hashes, "unsigned": unsigned });
            let what = "events are gone that no sweep took, or digests were added that no sweep left";
            return Ok(Some((what, details)));
        }
        let Some(standing) = stated.standing else {
            return Ok(None);
        };
        let found = self.still_standing(&standing)?;
        let details = serde_json::json!({ "stated": standing, "found": found });
        let what = "commands or pipelines are gone that no sweep took";
        Ok((found != standing).then_some((what, details)))
    }

    /// Whether that was said since the newest sweep.
    fn is_said(&mut self) -> Result<bool, ReadError> {
        let closed = self.base_checkpoint()?.map_or(0, |checkpoint| checkpoint.event_id);
        let known: Option<i64> = event_log::table
            .filter(event_log::action.eq(TAMPERED))
            .filter(event_log::id.gt(closed))
            .filter(event_log::details.like("{\"found\":%\"stated\":%"))
            .select(event_log::id)
            .order(event_log::id.desc())
            .get_result(&mut self.conn)
            .optional()?;
        Ok(known.is_some())
    }
}

impl Store {
    /// Before a sweep signs for what is missing: that all of it was taken by sweeps. What was not is an event, and
    /// vouches for nothing.
    pub(super) async fn explain(&self) -> Result<(), WriteError> {
        let found = self.reader().read(Journal::unexplained).await;
        match found.map_err(|why| WriteError::Database(why.to_string()))? {
            None => Ok(()),
            Some(_) => self.write(explain).await,
        }
    }
}

fn explain(tx: &mut Tx<'_>) -> Result<(), Fault> {
    let Some((what, details)) = tx.journal.unexplained()? else {
        return Ok(());
    };
    diesel::delete(sealed::table.filter(sealed::checkpoint_id.is_null())).execute(&mut tx.journal.conn)?;
    if tx.journal.is_said()? {
        return Ok(());
    }
    tx.tampered(what, details)
}
