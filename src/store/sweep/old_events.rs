//! Which events are past their time, and not wanted kept by anybody.

use std::collections::{HashSet, VecDeque};

use diesel::prelude::*;

use super::super::schema::{commands, event_log, pipelines};
use super::super::{Journal, ReadError};
use super::standing::TAMPERED;
use super::{BATCH, Cutoffs};
use crate::domain::{Category, CommandId, PipelineId, Timestamp};

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
    /// Events that say that somebody changed the database.
    tampered: HashSet<i64>,
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
        let tampered: Vec<i64> = event_log::table
            .filter(event_log::action.eq(TAMPERED))
            .select(event_log::id)
            .load(&mut journal.conn)?;
        Ok(Self {
            tampered: tampered.into_iter().collect(),
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
            || self.tampered.contains(&event.id)
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
