//! Pages of commands: an index for every filter, cut by id, no count and no offset.

use diesel::prelude::*;

use super::super::page::{Cut, merge, page};
use super::super::schema::commands;
use super::super::{Cursor, Journal, Page, ReadError};
use super::{CommandRow, rows};
use crate::domain::{CommandId, CommandStatus, PipelineId, Timestamp};

/// Which commands are asked for; what is not given is not asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HistoryFilter {
    /// On the host of this id.
    pub host: Option<i64>,
    /// Of this op.
    pub op: Option<String>,
    /// Of one of these statuses; empty is any.
    pub status: Vec<CommandStatus>,
    /// Without an outcome yet.
    pub open_only: bool,
    /// Whose status needs attention.
    pub attention_only: bool,
    /// Of this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Asked for by this actor, as it is written: `user:alice`.
    pub actor: Option<String>,
    /// Asked for at this time or later.
    pub since: Option<Timestamp>,
    /// Asked for before this time.
    pub until: Option<Timestamp>,
}

impl HistoryFilter {
    /// The statuses to ask for, one index walk each; none is any.
    fn statuses(&self) -> Option<Vec<CommandStatus>> {
        if self.status.is_empty() && !self.attention_only {
            return None;
        }
        let asked = |status: &CommandStatus| self.status.is_empty() || self.status.contains(status);
        let all = CommandStatus::ALL.iter().copied();
        Some(
            all.filter(|status| asked(status) && (!self.attention_only || status.needs_attention()))
                .collect(),
        )
    }
}

type Bounds = (Option<CommandId>, Option<CommandId>);

impl Journal {
    /// The commands that a filter asks for, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn history(
        &mut self,
        filter: &HistoryFilter,
        cursor: Option<Cursor<CommandId>>,
        limit: i64,
    ) -> Result<Page<CommandRow>, ReadError> {
        let since = filter.since.map(|time| self.first_command_since(time)).transpose()?;
        let until = filter.until.map(|time| self.last_command_before(time)).transpose()?;
        if since == Some(None) || until == Some(None) {
            return page(cursor, limit, |_, _| Ok(Vec::new()));
        }
        let bounds = (since.flatten(), until.flatten());
        // Several statuses are several walks, merged: one IN would have to sort all of their rows.
        page(cursor, limit, |cut, limit| match filter.statuses() {
            None => self.cut_commands(filter, None, bounds, cut, limit),
            Some(statuses) => {
                let parts = statuses
                    .into_iter()
                    .map(|status| self.cut_commands(filter, Some(status), bounds, cut, limit))
                    .collect::<Result<_, _>>()?;
                Ok(merge(parts, cut, limit))
            }
        })
    }

    fn cut_commands(
        &mut self,
        filter: &HistoryFilter,
        status: Option<CommandStatus>,
        (low, high): Bounds,
        cut: Cut<CommandId>,
        limit: i64,
    ) -> Result<Vec<CommandRow>, ReadError> {
        let query = history_query(filter, status, (low, high), cut);
        Ok(query.limit(limit).load(&mut self.conn)?)
    }

    /// An id that no command asked for since `time` is below (but for those of a clock that was set back by a
    /// thousand commands).
    fn first_command_since(&mut self, time: Timestamp) -> Result<Option<CommandId>, ReadError> {
        let near: Vec<CommandId> = commands::table
            .select(commands::id)
            .filter(commands::created_at.ge(time))
            .order((commands::created_at.asc(), commands::id.asc()))
            .limit(1_000)
            .load(&mut self.conn)?;
        Ok(near.into_iter().min())
    }

    /// The same for the other edge.
    fn last_command_before(&mut self, time: Timestamp) -> Result<Option<CommandId>, ReadError> {
        let near: Vec<CommandId> = commands::table
            .select(commands::id)
            .filter(commands::created_at.lt(time))
            .order((commands::created_at.desc(), commands::id.desc()))
            .limit(1_000)
            .load(&mut self.conn)?;
        Ok(near.into_iter().max())
    }
}

fn history_query<'a>(
    filter: &HistoryFilter,
    status: Option<CommandStatus>,
    (low, high): Bounds,
    cut: Cut<CommandId>,
) -> diesel::dsl::IntoBoxed<'a, rows, diesel::sqlite::Sqlite> {
    let mut query = rows().into_boxed();
    if let Some(host) = filter.host {
        query = query.filter(commands::host_id.eq(host));
    }
    if let Some(op) = &filter.op {
        query = query.filter(commands::op.eq(op.clone()));
    }
    if let Some(status) = status {
        query = query.filter(commands::status.eq(status));
    }
    if filter.open_only {
        query = query.filter(commands::finished_at.is_null());
    }
    if let Some(pipeline) = filter.pipeline {
        query = query.filter(commands::pipeline_id.eq(pipeline));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(commands::actor.eq(actor.clone()));
    }
    if let Some(since) = filter.since {
        query = query.filter(commands::created_at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(commands::created_at.lt(until));
    }
    if let Some(low) = low {
        query = query.filter(commands::id.ge(low));
    }
    if let Some(high) = high {
        query = query.filter(commands::id.le(high));
    }
    match cut {
        Cut::Newest => query.order(commands::id.desc()),
        Cut::Below(id) => query.filter(commands::id.lt(id)).order(commands::id.desc()),
        Cut::Above(id) => query.filter(commands::id.gt(id)).order(commands::id.asc()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::Plans;
    use super::*;

    /// Every filter beside every other, as the history's form and the API allow; bit by bit.
    #[test]
    fn every_combination_of_filters_walks_an_index() {
        const HOST: u32 = 1;
        const OP: u32 = 2;
        const STATUS: u32 = 4;
        const ACTOR: u32 = 8;
        const OPEN: u32 = 16;
        const PIPELINE: u32 = 32;
        const RANGE: u32 = 64;
        let id = CommandId::after(None);
        let now = Timestamp::now();
        let mut plans = Plans::new();
        for bits in 0..RANGE * 2 {
            let given = |bit: u32| bits & bit != 0;
            let filter = HistoryFilter {
                host: given(HOST).then_some(1),
                op: given(OP).then(|| "pull".to_owned()),
                status: Vec::new(),
                open_only: given(OPEN),
                attention_only: false,
                pipeline: given(PIPELINE).then(|| PipelineId::after(None)),
                actor: given(ACTOR).then(|| "user:x".to_owned()),
                since: given(RANGE).then_some(now),
                until: given(RANGE).then_some(now),
            };
            let status = given(STATUS).then_some(CommandStatus::Error);
            let bounds = if given(RANGE) {
                (Some(id), Some(id))
            } else {
                (None, None)
            };
            for cut in [Cut::Newest, Cut::Below(id), Cut::Above(id)] {
                let query = history_query(&filter, status, bounds, cut).limit(50);
                let plan = plans.of(&diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query).to_string());
                assert!(!plan.contains("TEMP B-TREE"), "{bits:b} {cut:?}: {plan}");
                // "all" walks the index of ids, and "open" that of open ones, one row a host: both stop after a page.
                let walks = plan.contains("SCAN commands");
                let may = bits == 0 || given(OPEN);
                assert!(
                    !walks || may && plan.contains("SCAN commands USING INDEX"),
                    "{bits:b} {cut:?}: {plan}"
                );
                // Pairs whose walk along either alone may pass most of the table.
                let pairs = [HOST | OP, HOST | STATUS, OP | STATUS, ACTOR | STATUS];
                if pairs.contains(&bits) {
                    assert!(plan.contains("=? AND"), "{bits:b} {cut:?}: {plan}");
                }
            }
        }
    }
}
