//! Pages of the event log: an index for every filter, cut by id, no count and no offset.

use diesel::prelude::*;

use super::page::Cut;
use super::schema::{event_log, hosts};
use super::walk::Part;
use super::{Cursor, EventRow, Journal, PAGE_LIMIT, Page, ReadError, SearchText};
use crate::domain::{Actor, Category, CommandId, Level, PipelineId, Timestamp};

/// The lowest and the highest id that are asked for, where a range of time is.
pub(super) type Bounds = (Option<i64>, Option<i64>);

/// Which events are asked for; what is not given is not asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct EventFilter {
    /// Of this category.
    pub category: Option<Category>,
    /// Of this level.
    pub level: Option<Level>,
    /// Caused by this actor, as it is written: `user:alice`; a bare name is whoever has it ([`Actor::meant`]).
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
    /// With these words in message or details; the newest events may not be indexed yet ([`Journal::indexed`]).
    pub text: Option<SearchText>,
}

/// How many different actions of one beginning are looked up one by one.
const ACTIONS: usize = 200;

impl Journal {
    /// The events that a filter asks for, newest first. Where several filters have little in common the look is bounded:
    /// then the page may have fewer rows than there are (none even), and its `older` (or `newer`) leads to where the
    /// look goes on.
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
            return Ok(Page {
                rows: Vec::new(),
                newer: None,
                older: None,
            });
        }
        let bounds = (since.flatten(), until.flatten());
        let parts = self.parts(filter)?;
        let wanted = usize::try_from(limit.clamp(1, PAGE_LIMIT)).unwrap_or(1);
        let cut = match cursor {
            None => Cut::Newest,
            Some(Cursor::Before(id)) => Cut::Below(id),
            Some(Cursor::After(id)) => Cut::Above(id),
        };
        let mut walked = self.walk(&parts, bounds, cut, wanted + 1)?;
        let more = walked.ids.len() > wanted;
        walked.ids.truncate(wanted);
        let onward = match walked.ids.last() {
            Some(last) if more => Some(*last),
            _ => walked.stopped,
        };
        // Whether there is anything on the side that the page was reached from.
        let back = match cut {
            _ if walked.ids.is_empty() && onward.is_none() => None,
            Cut::Newest => None,
            Cut::Below(id) => {
                let first = walked.ids.first().copied().unwrap_or(id.saturating_sub(1));
                self.any(&parts, bounds, Cut::Above(first))?.then_some(first)
            }
            Cut::Above(id) => {
                let first = walked.ids.first().copied().unwrap_or(id.saturating_add(1));
                self.any(&parts, bounds, Cut::Below(first))?.then_some(first)
            }
        };
        let rows = self.events_by_id(&walked.ids, filter)?;
        let (newer, older) = match cut {
            Cut::Above(_) => (onward, back),
            Cut::Newest | Cut::Below(_) => (back, onward),
        };
        Ok(Page {
            rows,
            newer: newer.map(Cursor::After),
            older: older.map(Cursor::Before),
        })
    }

    fn any(&mut self, parts: &[Part], bounds: Bounds, cut: Cut<i64>) -> Result<bool, ReadError> {
        let walked = self.walk(parts, bounds, cut, 1)?;
        Ok(!walked.ids.is_empty() || walked.stopped.is_some())
    }

    fn parts(&mut self, filter: &EventFilter) -> Result<Vec<Part>, ReadError> {
        let mut parts = Vec::new();
        match (filter.category, filter.level) {
            (Some(category), Some(level)) => parts.push(Part::Kind(category, level)),
            (Some(category), None) => parts.push(Part::Category(category)),
            (None, Some(level)) => parts.push(Part::Level(level)),
            (None, None) => {}
        }
        if let Some(name) = &filter.actor {
            parts.push(any(Actor::meant(name).into_iter().map(Part::Actor)));
        }
        parts.extend(filter.host.map(Part::Host));
        if let Some(start) = &filter.action {
            parts.push(any(self.actions_from(start)?.into_iter().map(Part::Action)));
        }
        parts.extend(filter.command.map(Part::Command));
        parts.extend(filter.pipeline.map(Part::Pipeline));
        for term in filter.text.iter().flat_map(SearchText::terms) {
            parts.push(self.spelled_out(term)?);
        }
        if parts.is_empty() {
            parts.push(Part::All);
        }
        Ok(parts)
    }

    /// The events of these ids, newest first. A clock that was set back may have put others into a range of ids.
    fn events_by_id(&mut self, ids: &[i64], filter: &EventFilter) -> Result<Vec<EventRow>, ReadError> {
        let ends = ids.iter().min().zip(ids.iter().max());
        let mut rows: Vec<EventRow> = match ends {
            // Without a gap, as the whole log is: one range.
            Some((low, high)) if usize::try_from(high - low + 1) == Ok(ids.len()) => {
                rows().filter(event_log::id.between(*low, *high)).load(&mut self.conn)?
            }
            Some(_) | None => rows().filter(event_log::id.eq_any(ids)).load(&mut self.conn)?,
        };
        rows.retain(|row| {
            filter.since.is_none_or(|since| row.timestamp >= since)
                && filter.until.is_none_or(|until| row.timestamp < until)
        });
        rows.sort_by_key(|row| std::cmp::Reverse(row.id));
        Ok(rows)
    }

    /// The event of this id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn event(&mut self, id: i64) -> Result<Option<EventRow>, ReadError> {
        Ok(rows()
            .filter(event_log::id.eq(id))
            .get_result(&mut self.conn)
            .optional()?)
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
        let mut events = self.events(&filter, None, limit)?.rows;
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

/// One of these; where that is one, itself.
fn any(parts: impl Iterator<Item = Part>) -> Part {
    let mut parts: Vec<Part> = parts.collect();
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            Part::Any(parts)
        }
    }
}

#[diesel::dsl::auto_type]
fn rows() -> _ {
    let select: diesel::dsl::AsSelect<EventRow, diesel::sqlite::Sqlite> = EventRow::as_select();
    event_log::table.left_join(hosts::table).select(select)
}
