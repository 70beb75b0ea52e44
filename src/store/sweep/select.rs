//! What is past its time and may go. Candidates are looked for by readers, so that no writer waits for it; what a
//! candidate depends on is asked once more in the transaction that removes it.

use std::collections::{HashSet, VecDeque};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp as TimestampColumn};

use super::super::schema::{commands, definitions, event_log, pipelines};
use super::super::{Journal, ReadError};
use super::{BATCH, Cutoffs};
use crate::domain::{Category, CommandId, Digest, PipelineId, Timestamp};

/// An old event.
#[derive(Clone, Debug, Queryable)]
pub(super) struct OldEvent {
    pub(super) id: i64,
    timestamp: Timestamp,
    command_id: Option<CommandId>,
    pipeline_id: Option<PipelineId>,
}

/// What people want kept.
pub(super) struct Kept {
    pub(super) held: Vec<(Timestamp, Option<Timestamp>)>,
    commands: HashSet<CommandId>,
    pipelines: HashSet<PipelineId>,
}

impl Kept {
    pub(super) fn load(journal: &mut Journal) -> Result<Self, ReadError> {
        let holds = journal.standing_holds()?;
        let commands: Vec<CommandId> = commands::table
            .filter(commands::kept_at.is_not_null())
            .select(commands::id)
            .load(&mut journal.conn)?;
        let pipelines: Vec<PipelineId> = pipelines::table
            .filter(pipelines::kept_at.is_not_null())
            .select(pipelines::id)
            .load(&mut journal.conn)?;
        Ok(Self {
            held: holds.into_iter().map(|hold| (hold.from_at, hold.until_at)).collect(),
            commands: commands.into_iter().collect(),
            pipelines: pipelines.into_iter().collect(),
        })
    }

    fn has(&self, event: &OldEvent) -> bool {
        let held = |(from, until): &(Timestamp, Option<Timestamp>)| {
            *from <= event.timestamp && until.is_none_or(|until| event.timestamp < until)
        };
        event.command_id.is_some_and(|id| self.commands.contains(&id))
            || event.pipeline_id.is_some_and(|id| self.pipelines.contains(&id))
            || self.held.iter().any(held)
    }
}

/// The old events of one category, in the order of their ids.
struct Lane {
    category: Category,
    before: Timestamp,
    /// No id above this is old, but for a clock that was set back by a thousand events: those go later.
    high: i64,
    after: i64,
    found: VecDeque<OldEvent>,
    done: bool,
}

/// A walk over all old events, in the order of their ids. What is younger than its category's cut-off is passed by the
/// index, and only what is kept for another reason is looked at in vain.
pub(super) struct EventWalk {
    lanes: Vec<Lane>,
}

impl EventWalk {
    pub(super) fn begin(journal: &mut Journal, cutoffs: &Cutoffs) -> Result<Self, ReadError> {
        let newest: Option<i64> = event_log::table
            .select(event_log::id)
            .order(event_log::id.desc())
            .limit(1)
            .get_result(&mut journal.conn)
            .optional()?;
        // The chain goes on from the newest event: it stays until there is a newer one, or ids would be used again
        // where an older one is kept.
        let most = newest.map_or(0, |newest| newest - 1);
        let mut lanes = Vec::new();
        for category in Category::ALL.iter().copied() {
            let before = match category {
                Category::Audit => cutoffs.audit,
                Category::System | Category::Error => cutoffs.events,
            };
            let Some(before) = before else { continue };
            if let Some(high) = last_before(journal, before)? {
                lanes.push(Lane {
                    category,
                    before,
                    high: high.min(most),
                    after: 0,
                    found: VecDeque::new(),
                    done: false,
                });
            }
        }
        Ok(Self { lanes })
    }

    /// The next old events that nobody wants kept; none at the end.
    pub(super) fn next(&mut self, journal: &mut Journal, kept: &Kept) -> Result<Vec<i64>, ReadError> {
        let mut ids = Vec::new();
        while ids.len() < BATCH as usize {
            for lane in &mut self.lanes {
                lane.refill(journal, kept)?;
            }
            let first = self
                .lanes
                .iter()
                .enumerate()
                .filter_map(|(at, lane)| Some((lane.found.front()?.id, at)));
            let Some((id, lane)) = first.min() else { break };
            self.lanes[lane].found.pop_front();
            ids.push(id);
        }
        Ok(ids)
    }
}

impl Lane {
    fn refill(&mut self, journal: &mut Journal, kept: &Kept) -> Result<(), ReadError> {
        while self.found.is_empty() && !self.done {
            let some: Vec<OldEvent> = event_log::table
                .filter(event_log::category.eq(self.category))
                .filter(event_log::id.gt(self.after))
                .filter(event_log::id.le(self.high))
                .order(event_log::id.asc())
                .limit(BATCH)
                .select(OLD_EVENT)
                .load(&mut journal.conn)?;
            self.done = some.len() < BATCH as usize;
            self.after = some.last().map_or(self.after, |event| event.id);
            let before = self.before;
            let old = some
                .into_iter()
                .filter(|event| event.timestamp < before && !kept.has(event));
            self.found.extend(old);
        }
        Ok(())
    }
}

type Columns = (
    event_log::id,
    event_log::timestamp,
    event_log::command_id,
    event_log::pipeline_id,
);

const OLD_EVENT: Columns = (
    event_log::id,
    event_log::timestamp,
    event_log::command_id,
    event_log::pipeline_id,
);

/// The largest id of the thousand newest events from before a time.
fn last_before(journal: &mut Journal, before: Timestamp) -> Result<Option<i64>, ReadError> {
    let near: Vec<i64> = event_log::table
        .select(event_log::id)
        .filter(event_log::timestamp.lt(before))
        .order((event_log::timestamp.desc(), event_log::id.desc()))
        .limit(1_000)
        .load(&mut journal.conn)?;
    Ok(near.into_iter().max())
}

/// Of these events those that still may go.
pub(super) fn still_free(journal: &mut Journal, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
    let kept = Kept::load(journal)?;
    let rows: Vec<OldEvent> = event_log::table
        .filter(event_log::id.eq_any(ids))
        .select(OLD_EVENT)
        .load(&mut journal.conn)?;
    let free = rows.into_iter().filter(|event| !kept.has(event));
    let mut ids: Vec<i64> = free.map(|event| event.id).collect();
    ids.sort_unstable();
    Ok(ids)
}

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
