//! The journal whole: rows of the tables and of the archive together, each once, nearly oldest first.
//!
//! Rows move while somebody reads: a sweep writes them into the archive, and then takes them from their table. The
//! tables and the archive are walked side by side; at the end the files that have come meanwhile are read as well, so
//! that whatever a sweep took from under the walk is found there. Which rows were given is remembered (events as runs
//! of numbers), so that what stands in both comes once.
//!
//! The order is that of the ids as far as the archive has it: events that were kept longer than others (`audit_days`)
//! fall into their places; what somebody had kept or held back and released later, and commands that ended long after
//! others, stand where their sweep has them, and what a sweep took meanwhile stands last.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use super::archive::{Archived, Range, Rows, Seen};
use super::{
    CommandRow, Cursor, EventFilter, EventLine, EventRow, HistoryFilter, Journal, Keyed, PAGE_LIMIT, Page,
    PipelineFilter, PipelineRow, ReadError, Reader,
};
use crate::domain::{Category, CommandId, PipelineId, Timestamp};

/// Rows of a table that are read at once: some have a hundred kilobytes.
const ROWS: i64 = 200;
/// Rows of the archive that are read at once.
const SOME: usize = 100;

type Fits<R> = Box<dyn Fn(&R) -> bool + Send>;
type Step<R> = (Vec<R>, Option<<R as Keyed>::Id>);

/// A row that is in a table first and in the archive later.
pub trait Stored: Archived + Keyed {
    /// Which rows are asked for.
    type Filter: Clone + Send + 'static;

    /// The range of time that a filter has.
    fn range(filter: &Self::Filter) -> Range;
    /// Which rows of the archive are asked for; each of these is nearly in order by itself.
    #[doc(hidden)]
    fn lanes(filter: &Self::Filter) -> Vec<Fits<Self>>;
    /// Below this id there is none.
    #[doc(hidden)]
    fn beginning() -> Self::Id;
    /// The newest row's id.
    #[doc(hidden)]
    fn newest(journal: &mut Journal, filter: &Self::Filter) -> Result<Option<Self::Id>, ReadError>;
    /// The next rows of the table behind an id, oldest first, and from where to go on.
    #[doc(hidden)]
    fn some(journal: &mut Journal, filter: &Self::Filter, after: Self::Id) -> Result<Step<Self>, ReadError>;
}

/// A walk over tables and archive.
pub struct Whole<R: Stored> {
    filter: R::Filter,
    /// Above this id no row of the table is part of it; what is archived was there before.
    last: Option<R::Id>,
    table: VecDeque<R>,
    /// From where on the table is still to be read.
    next: Option<R::Id>,
    lanes: Vec<Lane<R>>,
    seen: Seen,
    /// What has come while it read was asked for.
    again: bool,
    broken: Vec<String>,
    archived: u64,
}

struct Lane<R> {
    rows: Rows<R>,
    heads: VecDeque<R>,
    ended: bool,
}

impl<R: Stored> Whole<R> {
    /// The rows that fit, up to the newest there is now. Blocks, as does the rest.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn begin(reader: &Reader, data_dir: &Path, filter: R::Filter) -> Result<Self, ReadError> {
        let range = R::range(&filter);
        let mut lanes = Vec::new();
        for fits in R::lanes(&filter) {
            lanes.push(Lane {
                rows: Rows::with_repeats(data_dir, range, fits).map_err(unread)?,
                heads: VecDeque::new(),
                ended: false,
            });
        }
        Ok(Self {
            last: reader.read_blocking(|journal| R::newest(journal, &filter))?,
            filter,
            table: VecDeque::new(),
            next: Some(R::beginning()),
            lanes,
            seen: Seen::default(),
            again: false,
            broken: Vec::new(),
            archived: 0,
        })
    }

    /// The next row; none after the last.
    ///
    /// # Errors
    /// [`ReadError`]; what is wrong with a file of the archive is in [`Whole::broken`].
    pub fn next(&mut self, reader: &Reader) -> Result<Option<R>, ReadError> {
        loop {
            self.fill(reader)?;
            let of_table = self.table.front().map(R::key);
            let lanes = self.lanes.iter().enumerate();
            let first = lanes
                .filter_map(|(at, lane)| Some((lane.heads.front()?.key(), at)))
                .min();
            let row = match (of_table, first) {
                (Some(table), Some((archived, at))) if archived < table => self.lanes[at].heads.pop_front(),
                (Some(_), _) => self.table.pop_front(),
                (None, Some((_, at))) => self.lanes[at].heads.pop_front(),
                (None, None) if self.again => return Ok(None),
                (None, None) => {
                    self.again = true;
                    for lane in &mut self.lanes {
                        lane.rows.again().map_err(unread)?;
                        lane.ended = false;
                    }
                    continue;
                }
            };
            if let Some(row) = row
                && row.is_new(&mut self.seen)
            {
                if of_table != Some(row.key()) {
                    self.archived += 1;
                }
                return Ok(Some(row));
            }
        }
    }

    /// What could not be read of the archive so far.
    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    /// How many of the rows came from the archive so far.
    pub fn archived(&self) -> u64 {
        self.archived
    }

    /// The names of the files of the archive that had rows, oldest first.
    pub fn files(&self) -> BTreeSet<String> {
        let names = self.lanes.iter().flat_map(|lane| lane.rows.had());
        names.cloned().collect()
    }

    fn fill(&mut self, reader: &Reader) -> Result<(), ReadError> {
        while self.table.is_empty()
            && let Some(after) = self.next
        {
            let (filter, last) = (&self.filter, self.last);
            let (rows, next) = reader.read_blocking(|journal| R::some(journal, filter, after))?;
            self.next = next.filter(|next| last.is_some_and(|last| *next < last));
            self.table.extend(
                rows.into_iter()
                    .filter(|row| last.is_some_and(|last| row.key() <= last)),
            );
        }
        for lane in &mut self.lanes {
            while lane.heads.is_empty() && !lane.ended {
                match lane.rows.batch(reader, SOME) {
                    Ok(Some(rows)) => lane.heads.extend(rows),
                    Ok(None) => lane.ended = true,
                    Err(ReadError::Row(why)) => self.broken.push(why),
                    Err(why) => return Err(why),
                }
            }
        }
        Ok(())
    }
}

fn unread(why: std::io::Error) -> ReadError {
    ReadError::Row(format!("the archive: {why}"))
}

/// A page that was cut after an id, oldest row first.
fn upward<R: Keyed>(page: Page<R>) -> (Vec<R>, Option<R::Id>) {
    let next = match page.newer {
        Some(Cursor::After(next)) => Some(next),
        Some(Cursor::Before(_)) | None => None,
    };
    let mut rows = page.rows;
    rows.reverse();
    (rows, next)
}

impl Stored for EventRow {
    type Filter = EventFilter;

    fn range(filter: &EventFilter) -> Range {
        Range {
            since: filter.since,
            until: filter.until,
        }
    }

    /// Two: one category may be kept longer than the others.
    fn lanes(filter: &EventFilter) -> Vec<Fits<Self>> {
        let lane = |of_audit: bool| -> Fits<Self> {
            let filter = filter.clone();
            Box::new(move |row| (row.category == Category::Audit) == of_audit && filter.fits(row))
        };
        match filter.category {
            Some(category) => vec![lane(category == Category::Audit)],
            None => vec![lane(true), lane(false)],
        }
    }

    fn beginning() -> i64 {
        0
    }

    fn newest(journal: &mut Journal, _: &EventFilter) -> Result<Option<i64>, ReadError> {
        journal.newest_event().map(Some)
    }

    fn some(journal: &mut Journal, filter: &EventFilter, after: i64) -> Result<Step<Self>, ReadError> {
        Ok(upward(journal.events(filter, Some(Cursor::After(after)), ROWS)?))
    }
}

impl Stored for CommandRow {
    type Filter = HistoryFilter;

    fn range(filter: &HistoryFilter) -> Range {
        Range {
            since: filter.since,
            until: filter.until,
        }
    }

    fn lanes(filter: &HistoryFilter) -> Vec<Fits<Self>> {
        let filter = filter.clone();
        vec![Box::new(move |row| filter.fits(row))]
    }

    fn beginning() -> CommandId {
        CommandId::first_at(Timestamp::from_micros(0))
    }

    fn newest(journal: &mut Journal, _: &HistoryFilter) -> Result<Option<CommandId>, ReadError> {
        let page = journal.history(&HistoryFilter::default(), None, 1)?;
        // The newest may be in the archive already.
        let now = CommandId::first_at(Timestamp::now());
        Ok(page.rows.first().map(Keyed::key).max(Some(now)))
    }

    fn some(journal: &mut Journal, filter: &HistoryFilter, after: CommandId) -> Result<Step<Self>, ReadError> {
        Ok(upward(journal.history(filter, Some(Cursor::After(after)), ROWS)?))
    }
}

impl Stored for PipelineRow {
    type Filter = PipelineFilter;

    fn range(filter: &PipelineFilter) -> Range {
        Range {
            since: filter.since,
            until: filter.until,
        }
    }

    fn lanes(filter: &PipelineFilter) -> Vec<Fits<Self>> {
        let filter = filter.clone();
        vec![Box::new(move |row| filter.fits(row))]
    }

    fn beginning() -> PipelineId {
        PipelineId::first_at(Timestamp::from_micros(0))
    }

    fn newest(journal: &mut Journal, _: &PipelineFilter) -> Result<Option<PipelineId>, ReadError> {
        let page = journal.pipelines(&PipelineFilter::default(), None, 1)?;
        let now = PipelineId::first_at(Timestamp::now());
        Ok(page.rows.first().map(Keyed::key).max(Some(now)))
    }

    fn some(journal: &mut Journal, filter: &PipelineFilter, after: PipelineId) -> Result<Step<Self>, ReadError> {
        Ok(upward(journal.pipelines(filter, Some(Cursor::After(after)), ROWS)?))
    }
}

/// The events of a range, for a report: up to one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventSpan {
    /// At this time or later.
    pub since: Timestamp,
    /// Before this time.
    pub until: Timestamp,
    /// No number above this.
    pub up_to: i64,
}

impl Keyed for EventLine {
    type Id = i64;

    fn key(&self) -> i64 {
        self.id
    }
}

impl Stored for EventLine {
    type Filter = EventSpan;

    fn range(span: &EventSpan) -> Range {
        Range {
            since: Some(span.since),
            until: Some(span.until),
        }
    }

    fn lanes(span: &EventSpan) -> Vec<Fits<Self>> {
        let up_to = span.up_to;
        vec![Box::new(move |row| row.id <= up_to)]
    }

    fn beginning() -> i64 {
        0
    }

    fn newest(_: &mut Journal, span: &EventSpan) -> Result<Option<i64>, ReadError> {
        Ok(Some(span.up_to))
    }

    fn some(journal: &mut Journal, span: &EventSpan, after: i64) -> Result<Step<Self>, ReadError> {
        let Some((low, high)) = journal.event_bounds(span.since, span.until, span.up_to)? else {
            return Ok((Vec::new(), None));
        };
        let mut lines = journal.event_lines(after.max(low - 1), high)?;
        let next = lines
            .last()
            .map(|line| line.id)
            .filter(|_| lines.len() as i64 >= PAGE_LIMIT);
        lines.retain(|line| line.timestamp >= span.since && line.timestamp < span.until);
        Ok((lines, next))
    }
}
