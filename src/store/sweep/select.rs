//! Commands and pipelines that are past their time and may go. Candidates are looked for by readers, so that no writer waits for it; what a
//! candidate depends on is asked once more in the transaction that removes it.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp as TimestampColumn};

use super::super::schema::definitions;
use super::super::{Journal, ReadError};
use super::BATCH;
use crate::domain::{CommandId, Digest, PipelineId, Timestamp};

/// A command past its time.
#[derive(QueryableByName, Clone, Debug)]
pub(super) struct Old {
    #[diesel(sql_type = Text)]
    pub(super) id: CommandId,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) output_file: Option<String>,
    #[diesel(sql_type = TimestampColumn)]
    pub(super) at: Timestamp,
}

#[derive(QueryableByName, Clone, Debug)]
pub(super) struct OldPipeline {
    #[diesel(sql_type = Text)]
    pub(super) id: PipelineId,
    #[diesel(sql_type = TimestampColumn)]
    pub(super) at: Timestamp,
}

/// Where a walk by age stands.
pub(super) type Place = (Timestamp, String);

/// Before the first.
pub(super) fn beginning() -> Place {
    (Timestamp::from_micros(0), String::new())
}

/// The newest SUCCESS of a host and op, which always stays: one index says whether there is a newer one.
macro_rules! newest_success {
    ($c:literal) => {
        concat!(
            "(",
            $c,
            ".status = 'SUCCESS' AND NOT EXISTS (SELECT 1 FROM commands n WHERE n.status = 'SUCCESS' \
             AND n.host_id = ",
            $c,
            ".host_id AND n.op = ",
            $c,
            ".op AND n.id > ",
            $c,
            ".id))"
        )
    };
}

/// Something of it lies in a range that somebody holds.
macro_rules! held {
    ($begin:literal, $end:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM holds h WHERE h.released_at IS NULL AND h.from_at <= ",
            $end,
            " AND (h.until_at IS NULL OR h.until_at > ",
            $begin,
            "))"
        )
    };
}

macro_rules! age {
    () => {
        "coalesce(c.settled_at, c.finished_at)"
    };
}

/// Final commands of no pipeline that nobody tried again, nor wants kept.
macro_rules! free_command {
    () => {
        concat!(
            "c.finished_at IS NOT NULL AND ",
            age!(),
            " < ?1 AND c.pipeline_id IS NULL AND c.kept_at IS NULL \
             AND NOT EXISTS (SELECT 1 FROM commands r WHERE r.retry_of = c.id) \
             AND NOT ",
            newest_success!("c"),
            " AND NOT ",
            held!("c.created_at", "coalesce(c.settled_at, c.finished_at)")
        )
    };
}

/// Final pipelines of which every command may go as well, and which nobody tried again, nor a command of it.
macro_rules! free_pipeline {
    () => {
        concat!(
            "p.finished_at IS NOT NULL AND p.finished_at < ?1 AND p.kept_at IS NULL \
             AND NOT EXISTS (SELECT 1 FROM commands y WHERE y.pipeline_id = p.id AND (y.finished_at IS NULL \
                 OR coalesce(y.settled_at, y.finished_at) >= ?1 OR y.kept_at IS NOT NULL OR ",
            newest_success!("y"),
            "    OR ",
            held!("y.created_at", "coalesce(y.settled_at, y.finished_at)"),
            ")) \
             AND NOT EXISTS (SELECT 1 FROM commands y JOIN commands r ON r.retry_of = y.id \
                 WHERE y.pipeline_id = p.id AND r.pipeline_id IS NOT p.id) \
             AND NOT EXISTS (SELECT 1 FROM pipelines r WHERE r.retry_of = p.id) \
             AND NOT ",
            held!("p.created_at", "p.finished_at")
        )
    };
}

/// Old commands after a place: cut-off, age, id, limit.
pub(in crate::store) const OLD_COMMANDS: &str = concat!(
    "SELECT c.id, c.output_file, ",
    age!(),
    " AS at FROM commands c WHERE ",
    free_command!(),
    " AND ",
    age!(),
    " >= ?2 AND (",
    age!(),
    " > ?2 OR c.id > ?3) ORDER BY ",
    age!(),
    ", c.id LIMIT ?4"
);

/// Old pipelines after a place.
pub(in crate::store) const OLD_PIPELINES: &str = concat!(
    "SELECT p.id, p.finished_at AS at FROM pipelines p WHERE ",
    free_pipeline!(),
    " AND p.finished_at >= ?2 AND (p.finished_at > ?2 OR p.id > ?3) ORDER BY p.finished_at, p.id LIMIT ?4"
);

/// Commands of one pipeline that goes.
const PIPELINE_COMMANDS: &str = concat!(
    "SELECT c.id, c.output_file, ",
    age!(),
    " AS at FROM commands c WHERE c.pipeline_id = ? \
     AND c.finished_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM commands r WHERE r.retry_of = c.id) LIMIT ?"
);

impl Journal {
    pub(super) fn old_commands(&mut self, before: Timestamp, after: &Place, limit: i64) -> Result<Vec<Old>, ReadError> {
        Ok(diesel::sql_query(OLD_COMMANDS)
            .bind::<TimestampColumn, _>(before)
            .bind::<TimestampColumn, _>(after.0)
            .bind::<Text, _>(&after.1)
            .bind::<BigInt, _>(limit)
            .load(&mut self.conn)?)
    }

    /// Of these commands those that still may go.
    pub(super) fn free_commands(&mut self, before: Timestamp, ids: &[CommandId]) -> Result<Vec<Old>, ReadError> {
        let query = format!(
            "SELECT c.id, c.output_file, {} AS at FROM commands c WHERE c.id IN ({}) AND {}",
            age!(),
            quoted(ids),
            free_command!()
        );
        Ok(diesel::sql_query(query)
            .bind::<TimestampColumn, _>(before)
            .load(&mut self.conn)?)
    }

    pub(super) fn old_pipelines(
        &mut self,
        before: Timestamp,
        after: &Place,
        limit: i64,
    ) -> Result<Vec<OldPipeline>, ReadError> {
        Ok(diesel::sql_query(OLD_PIPELINES)
            .bind::<TimestampColumn, _>(before)
            .bind::<TimestampColumn, _>(after.0)
            .bind::<Text, _>(&after.1)
            .bind::<BigInt, _>(limit)
            .load(&mut self.conn)?)
    }

    /// Whether a pipeline still may go.
    pub(super) fn is_free_pipeline(&mut self, before: Timestamp, id: PipelineId) -> Result<bool, ReadError> {
        let query = concat!(
            "SELECT p.id, p.finished_at AS at FROM pipelines p WHERE ",
            free_pipeline!(),
            " AND p.id = ?2"
        );
        let found: Vec<OldPipeline> = diesel::sql_query(query)
            .bind::<TimestampColumn, _>(before)
            .bind::<Text, _>(id)
            .load(&mut self.conn)?;
        Ok(!found.is_empty())
    }

    pub(super) fn commands_of_old_pipeline(&mut self, id: PipelineId) -> Result<Vec<Old>, ReadError> {
        Ok(diesel::sql_query(PIPELINE_COMMANDS)
            .bind::<Text, _>(id)
            .bind::<BigInt, _>(BATCH)
            .load(&mut self.conn)?)
    }

    /// Definitions that no command refers to, nor a pipeline that is open.
    pub(super) fn unused_definitions(&mut self) -> Result<Vec<(Digest, String)>, ReadError> {
        let unused: Vec<Unused> = diesel::sql_query(
            "SELECT sha256, text FROM definitions WHERE NOT EXISTS (SELECT 1 FROM commands WHERE definition = sha256) \
             AND NOT EXISTS (SELECT 1 FROM pipelines WHERE finished_at IS NULL AND instr(coalesce(plan, ''), sha256) > 0)",
        )
        .load(&mut self.conn)?;
        Ok(unused
            .into_iter()
            .map(|row| (Digest::from_stored(row.sha256), row.text))
            .collect())
    }

    /// Removes those of these definitions that are still unused.
    pub(super) fn remove_definitions(&mut self, some: &[Digest]) -> Result<(), ReadError> {
        let unused = self.unused_definitions()?;
        let gone: Vec<&str> = some
            .iter()
            .filter(|digest| unused.iter().any(|(unused, _)| unused == *digest))
            .map(Digest::as_str)
            .collect();
        diesel::delete(definitions::table.filter(definitions::sha256.eq_any(gone))).execute(&mut self.conn)?;
        Ok(())
    }
}

#[derive(QueryableByName)]
struct Unused {
    #[diesel(sql_type = Text)]
    sha256: String,
    #[diesel(sql_type = Text)]
    text: String,
}

/// Ids as a list for SQL. They are UUIDs: nothing in them has to be escaped.
pub(super) fn quoted(ids: &[impl ToString]) -> String {
    let quoted: Vec<String> = ids.iter().map(|id| format!("'{}'", id.to_string())).collect();
    quoted.join(",")
}
