//! Events that fit several filters at once, found along the indexes of all of them: each filter by itself is a list of
//! ids in order, and what they have in common is found by jumping from list to list. No pair of filters can be so rare
//! together that a page walks through the whole log: the time that it looks is bounded, and the walk says where it stopped.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use diesel::prelude::*;

use super::event_page::Bounds;
use super::look::Beginning;
use super::page::Cut;
use super::schema::event_log;
use super::{Journal, ReadError};
use crate::domain::{Category, CommandId, Level, PipelineId};

/// Ids that are asked for at once, at most where several filters are joined, and at least.
const MOST: i64 = 256;
const LEAST: i64 = 8;
/// The same of a query of FTS5, which takes its time to find a place in a long list, and little to go on from there
/// (benches/README.md).
const MOST_WORDS: i64 = 600;

/// So often a walk asks for ids at least, and then for so long, before it stops.
const FETCHES: usize = if cfg!(test) { 4 } else { 16 };
const LOOK: Duration = if cfg!(test) {
    Duration::ZERO
} else {
    Duration::from_millis(5)
};
/// Where each time takes long (a star for very many words), it stops after this.
const LONGEST_LOOK: Duration = Duration::from_millis(50);

/// One filter, with an index of its own whose entries are in the order of ids.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// No filter at all.
    All,
    Category(Category),
    Level(Level),
    /// Both of them: a pair that is common on pages and may be rare.
    Kind(Category, Level),
    Actor(String),
    Host(i64),
    Action(String),
    Command(CommandId),
    Pipeline(PipelineId),
    /// A query of FTS5.
    Text(String),
    /// A beginning of more words than are spelled out: first the events themselves are looked at.
    Beginning(Beginning),
    /// One of these.
    Any(Vec<Part>),
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Ids, in the order of the cut.
    pub(super) ids: Vec<i64>,
    /// Where it stopped because it had looked long enough: everything before this id (in its direction) was looked at.
    pub(super) stopped: Option<i64>,
}

/// One filter's list, as far as it was read.
struct Run<'p> {
    part: &'p Part,
    ids: VecDeque<i64>,
    /// Nothing comes after `ids`.
    ended: bool,
    chunk: i64,
}

impl Journal {
    /// The next `wanted` ids that every part has.
    pub(super) fn walk(
        &mut self,
        parts: &[Part],
        bounds: Bounds,
        cut: Cut<i64>,
        wanted: usize,
    ) -> Result<Walked, ReadError> {
        let chunk = i64::try_from(wanted).unwrap_or(MOST);
        let chunk = |part: &Part| match parts.len() {
            1 => chunk,
            _ if matches!(part, Part::Text(_)) => chunk.max(MOST_WORDS),
            _ => chunk.max(MOST),
        };
        let mut runs: Vec<Run<'_>> = parts.iter().map(|part| Run::new(part, chunk(part))).collect();
        let mut walked = Walked::default();
        let mut at = cut;
        let (mut fetches, begun) = (0, Instant::now());
        loop {
            let mut heads = Vec::with_capacity(runs.len());
            for run in &mut runs {
                run.skip_to(at);
                if run.ids.is_empty() && !run.ended {
                    // Whoever goes on where it stopped must come further, so it moves at least once.
                    let moved = at != cut;
                    let looked = begun.elapsed();
                    if moved && (fetches >= FETCHES && looked >= LOOK || looked >= LONGEST_LOOK) {
                        walked.stopped = place(at);
                        return Ok(walked);
                    }
                    fetches += 1;
                    run.fetch(self, bounds, at)?;
                }
                match run.ids.front() {
                    Some(head) => heads.push(*head),
                    None => return Ok(walked),
                }
            }
            let furthest = match cut {
                Cut::Newest | Cut::Below(_) => heads.iter().min(),
                Cut::Above(_) => heads.iter().max(),
            };
            let Some(furthest) = furthest.copied() else {
                return Ok(walked);
            };
            if heads.iter().any(|head| *head != furthest) {
                at = from(cut, furthest);
                continue;
            }
            walked.ids.push(furthest);
            if walked.ids.len() == wanted {
                return Ok(walked);
            }
            at = beyond(cut, furthest);
        }
    }

    fn ids_of(&mut self, part: &Part, bounds: Bounds, at: Cut<i64>, limit: i64) -> Result<Vec<i64>, ReadError> {
        if let Part::Beginning(beginning) = part
            && let Some(ids) = self.events_nearby(beginning, bounds, at, limit)?
        {
            return Ok(ids);
        }
        if let Part::Text(text) | Part::Beginning(Beginning { term: text, .. }) = part {
            let mut ids = self.events_with(text, within(at, bounds), limit)?;
            ids.retain(|id| bounds.0.is_none_or(|low| *id >= low) && bounds.1.is_none_or(|high| *id <= high));
            return Ok(ids);
        }
        let Part::Any(parts) = part else {
            return Ok(query(part, bounds, at).limit(limit).load(&mut self.conn)?);
        };
        let mut all = Vec::new();
        for part in parts {
            all.extend(self.ids_of(part, bounds, at, limit)?);
        }
        match at {
            Cut::Newest | Cut::Below(_) => all.sort_unstable_by_key(|id| std::cmp::Reverse(*id)),
            Cut::Above(_) => all.sort_unstable(),
        }
        all.truncate(usize::try_from(limit).unwrap_or(0));
        Ok(all)
    }
}

impl<'p> Run<'p> {
    fn new(part: &'p Part, chunk: i64) -> Self {
        Self {
            part,
            ids: VecDeque::new(),
            ended: false,
            chunk,
        }
    }

    /// Leaves out what was passed. Where a jump went past all that was read, less is read next time; else more.
    fn skip_to(&mut self, at: Cut<i64>) {
        let read = self.ids.len();
        while self.ids.front().is_some_and(|id| passed(at, *id)) {
            self.ids.pop_front();
        }
        if self.ids.is_empty() && read > 0 {
            self.chunk = if read > 1 {
                (self.chunk / 2).max(LEAST)
            } else {
                (self.chunk * 2).min(MOST.max(self.chunk))
            };
        }
    }

    fn fetch(&mut self, journal: &mut Journal, bounds: Bounds, at: Cut<i64>) -> Result<(), ReadError> {
        let ids = journal.ids_of(self.part, bounds, at, self.chunk)?;
        self.ended = i64::try_from(ids.len()).unwrap_or(i64::MAX) < self.chunk;
        self.ids = ids.into();
        Ok(())
    }
}

/// A cut that begins with this id, in the direction of `like`.
fn from(like: Cut<i64>, id: i64) -> Cut<i64> {
    match like {
        Cut::Newest | Cut::Below(_) => Cut::Below(id.saturating_add(1)),
        Cut::Above(_) => Cut::Above(id.saturating_sub(1)),
    }
}

/// A cut that begins behind this id.
fn beyond(like: Cut<i64>, id: i64) -> Cut<i64> {
    match like {
        Cut::Newest | Cut::Below(_) => Cut::Below(id),
        Cut::Above(_) => Cut::Above(id),
    }
}

fn passed(at: Cut<i64>, id: i64) -> bool {
    match at {
        Cut::Newest => false,
        Cut::Below(edge) => id >= edge,
        Cut::Above(edge) => id <= edge,
    }
}

fn place(at: Cut<i64>) -> Option<i64> {
    match at {
        Cut::Newest => None,
        Cut::Below(id) | Cut::Above(id) => Some(id),
    }
}

/// The cut moved to where the bounds begin.
fn within(at: Cut<i64>, (low, high): Bounds) -> Cut<i64> {
    match (at, low, high) {
        (Cut::Newest, _, Some(high)) => Cut::Below(high.saturating_add(1)),
        (Cut::Below(id), _, Some(high)) => Cut::Below(id.min(high.saturating_add(1))),
        (Cut::Above(id), Some(low), _) => Cut::Above(id.max(low.saturating_sub(1))),
        (at, ..) => at,
    }
}

type Ids<'a> =
    diesel::helper_types::IntoBoxed<'a, diesel::dsl::Select<event_log::table, event_log::id>, diesel::sqlite::Sqlite>;

/// The ids of one part that has a list of its own in the log: answered by its index alone.
fn query<'a>(part: &Part, bounds: Bounds, at: Cut<i64>) -> Ids<'a> {
    let mut query = event_log::table.select(event_log::id).into_boxed();
    query = match part {
        Part::All | Part::Text(_) | Part::Beginning(_) | Part::Any(_) => query,
        Part::Category(category) => query.filter(event_log::category.eq(*category)),
        Part::Level(level) => query.filter(event_log::level.eq(*level)),
        Part::Kind(category, level) => query
            .filter(event_log::category.eq(*category))
            .filter(event_log::level.eq(*level)),
        Part::Actor(actor) => query.filter(event_log::actor.eq(actor.clone())),
        Part::Host(host) => query.filter(event_log::host_id.eq(*host)),
        Part::Action(action) => query.filter(event_log::action.eq(action.clone())),
        Part::Command(id) => query.filter(event_log::command_id.eq(*id)),
        Part::Pipeline(id) => query.filter(event_log::pipeline_id.eq(*id)),
    };
    if let Some(low) = bounds.0 {
        query = query.filter(event_log::id.ge(low));
    }
    if let Some(high) = bounds.1 {
        query = query.filter(event_log::id.le(high));
    }
    match at {
        Cut::Newest => query.order(event_log::id.desc()),
        Cut::Below(id) => query.filter(event_log::id.lt(id)).order(event_log::id.desc()),
        Cut::Above(id) => query.filter(event_log::id.gt(id)).order(event_log::id.asc()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Plans;
    use super::*;

    #[test]
    fn every_part_is_answered_by_its_index_alone() {
        let mut plans = Plans::new();
        let parts = [
            (Part::All, "PRIMARY KEY"),
            (Part::Category(Category::Audit), "event_log_category"),
            (Part::Level(Level::Warn), "event_log_level"),
            (Part::Kind(Category::Audit, Level::Warn), "event_log_category_level"),
            (Part::Actor("user:x".to_owned()), "event_log_actor"),
            (Part::Host(1), "event_log_host"),
            (Part::Action("op:pull".to_owned()), "event_log_action"),
            (Part::Command(CommandId::after(None)), "event_log_command"),
            (Part::Pipeline(PipelineId::after(None)), "event_log_pipeline"),
        ];
        for (part, index) in parts {
            for bounds in [(None, None), (Some(1), Some(9)), (Some(1), None)] {
                for at in [Cut::Newest, Cut::Below(7), Cut::Above(7)] {
                    let query = query(&part, bounds, at).limit(50);
                    let plan = plans.of(&diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query).to_string());
                    assert!(!plan.contains("TEMP B-TREE"), "{part:?} {at:?}: {plan}");
                    // Only the unfiltered log is walked by its own id, and stops after a page.
                    let all = matches!(part, Part::All) && plan.contains("event_log");
                    assert!(
                        all || plan.contains(&format!("COVERING INDEX {index} ")),
                        "{part:?} {bounds:?} {at:?}: {plan}"
                    );
                }
            }
        }
    }
}
