//! Pages of the event log: an index for every filter, cut by id, no count and no offset.

use diesel::prelude::*;

use super::page::{Cut, merge, page};
use super::schema::{event_log, hosts};
use super::{Cursor, EventRow, Journal, Page, ReadError};
use crate::domain::{Category, CommandId, Level, PipelineId, Timestamp};

type Bounds = (Option<i64>, Option<i64>);

/// Which events are asked for; what is not given is not asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct EventFilter {
    /// Of this category.
    pub category: Option<Category>,
    /// Of this level.
    pub level: Option<Level>,
    /// Caused by this actor, as it is written: `user:alice`.
    pub actor: Option<String>,
    /// About the host of this id.
    pub host: Option<i64>,
    /// Whose action begins with this.
    pub action: Option<String>,
    /// About this command.
    pub command: Option<CommandId>,
    /// About this pipeline.
    pub pipeline: Option<PipelineId>,
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// How many different actions of one beginning are looked up one by one.
const ACTIONS: usize = 200;

impl Journal {
    /// The events that a filter asks for, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn events(
        &mut self,
        filter: &EventFilter,
        cursor: Option<Cursor<i64>>,
        limit: i64,
    ) -> Result<Page<EventRow>, ReadError> {
        let since = filter.since.map(|time| self.first_event_since(time)).transpose()?;
        let until = filter.until.map(|time| self.last_event_before(time)).transpose()?;
        if since == Some(None) || until == Some(None) {
            return page(cursor, limit, |_, _| Ok(Vec::new()));
        }
        let bounds = (since.flatten(), until.flatten());
        let actions = match &filter.action {
            None => None,
            Some(start) => Some(self.actions_from(start)?),
        };
        page(cursor, limit, |cut, limit| match &actions {
            None => self.cut_events(filter, bounds, None, cut, limit),
            Some(actions) => {
                let parts = actions
                    .iter()
                    .map(|action| self.cut_events(filter, bounds, Some(action), cut, limit))
                    .collect::<Result<_, _>>()?;
                Ok(merge(parts, cut, limit))
            }
        })
    }

    fn cut_events(
        &mut self,
        filter: &EventFilter,
        bounds: Bounds,
        action: Option<&String>,
        cut: Cut<i64>,
        limit: i64,
    ) -> Result<Vec<EventRow>, ReadError> {
        Ok(event_query(filter, action, bounds, cut)
            .limit(limit)
            .load(&mut self.conn)?)
    }

    /// What happened to a command, oldest first: the newest `limit` of its events.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn events_of(&mut self, command: CommandId, limit: i64) -> Result<Vec<EventRow>, ReadError> {
        let filter = EventFilter {
            command: Some(command),
            ..EventFilter::default()
        };
        let mut events = self.cut_events(&filter, (None, None), None, Cut::Newest, limit)?;
        events.reverse();
        Ok(events)
    }

    /// An id that no event since `time` is below (but for those of a clock that was set back by a thousand events).
    pub(super) fn first_event_since(&mut self, time: Timestamp) -> Result<Option<i64>, ReadError> {
        let near: Vec<i64> = event_log::table
            .select(event_log::id)
            .filter(event_log::timestamp.ge(time))
            .order((event_log::timestamp.asc(), event_log::id.asc()))
            .limit(1_000)
            .load(&mut self.conn)?;
        Ok(near.into_iter().min())
    }

    /// The same for the other edge.
    pub(super) fn last_event_before(&mut self, time: Timestamp) -> Result<Option<i64>, ReadError> {
        let near: Vec<i64> = event_log::table
            .select(event_log::id)
            .filter(event_log::timestamp.lt(time))
            .order((event_log::timestamp.desc(), event_log::id.desc()))
            .limit(1_000)
            .load(&mut self.conn)?;
        Ok(near.into_iter().max())
    }

    /// The different actions that begin so: one step in the index for each, however many events they have.
    fn actions_from(&mut self, start: &str) -> Result<Vec<String>, ReadError> {
        let mut actions: Vec<String> = Vec::new();
        loop {
            let query = event_log::table
                .select(event_log::action)
                .order(event_log::action.asc())
                .into_boxed();
            let query = match actions.last() {
                None => query.filter(event_log::action.ge(start.to_owned())),
                Some(last) => query.filter(event_log::action.gt(last.clone())),
            };
            let next: Option<String> = query.first(&mut self.conn).optional()?;
            match next {
                Some(action) if action.starts_with(start) && actions.len() < ACTIONS => actions.push(action),
                _ => return Ok(actions),
            }
        }
    }
}

#[diesel::dsl::auto_type]
fn rows() -> _ {
    let select: diesel::dsl::AsSelect<EventRow, diesel::sqlite::Sqlite> = EventRow::as_select();
    event_log::table.left_join(hosts::table).select(select)
}

fn event_query<'a>(
    filter: &EventFilter,
    action: Option<&String>,
    (low, high): Bounds,
    cut: Cut<i64>,
) -> diesel::dsl::IntoBoxed<'a, rows, diesel::sqlite::Sqlite> {
    let mut query = rows().into_boxed();
    if let Some(action) = action {
        query = query.filter(event_log::action.eq(action.clone()));
    }
    if let Some(category) = filter.category {
        query = query.filter(event_log::category.eq(category));
    }
    if let Some(level) = filter.level {
        query = query.filter(event_log::level.eq(level));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(event_log::actor.eq(actor.clone()));
    }
    if let Some(host) = filter.host {
        query = query.filter(event_log::host_id.eq(host));
    }
    if let Some(command) = filter.command {
        query = query.filter(event_log::command_id.eq(command));
    }
    if let Some(pipeline) = filter.pipeline {
        query = query.filter(event_log::pipeline_id.eq(pipeline));
    }
    if let Some(since) = filter.since {
        query = query.filter(event_log::timestamp.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(event_log::timestamp.lt(until));
    }
    if let Some(low) = low {
        query = query.filter(event_log::id.ge(low));
    }
    if let Some(high) = high {
        query = query.filter(event_log::id.le(high));
    }
    match cut {
        Cut::Newest => query.order(event_log::id.desc()),
        Cut::Below(id) => query.filter(event_log::id.lt(id)).order(event_log::id.desc()),
        Cut::Above(id) => query.filter(event_log::id.gt(id)).order(event_log::id.asc()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Plans;
    use super::*;

    /// Every filter beside every other, as the log's form and the API allow; bit by bit.
    #[test]
    fn every_combination_of_filters_walks_an_index() {
        let now = Timestamp::now();
        let mut plans = Plans::new();
        for bits in 0u32..1 << 8 {
            let given = |bit: u32| bits & (1 << bit) != 0;
            let filter = EventFilter {
                category: given(0).then_some(Category::Audit),
                level: given(1).then_some(Level::Warn),
                actor: given(2).then(|| "user:x".to_owned()),
                host: given(3).then_some(1),
                action: None,
                command: given(4).then(|| CommandId::after(None)),
                pipeline: given(5).then(|| PipelineId::after(None)),
                since: given(6).then_some(now),
                until: given(6).then_some(now),
            };
            let action = given(7).then(|| "op:pull".to_owned());
            let bounds = if given(6) { (Some(1), Some(9)) } else { (None, None) };
            for cut in [Cut::Newest, Cut::Below(7), Cut::Above(7)] {
                let query = event_query(&filter, action.as_ref(), bounds, cut).limit(50);
                let plan = plans.of(&diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query).to_string());
                assert!(!plan.contains("TEMP B-TREE"), "{bits:b} {cut:?}: {plan}");
                // Only the unfiltered log is walked by its own id, and stops after a page.
                assert!(
                    bits == 0 || !plan.contains("SCAN event_log"),
                    "{bits:b} {cut:?}: {plan}"
                );
                if bits == 0b11 {
                    assert!(plan.contains("category=? AND level=?"), "{cut:?}: {plan}");
                }
            }
        }
    }
}
