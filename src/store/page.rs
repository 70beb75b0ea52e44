//! Pages cut by id, in both directions, so that paging has neither gap nor repeat while rows arrive.

use super::ReadError;
use crate::domain::{CommandId, PipelineId};

/// Where a page begins: beside an id that was shown before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cursor<I> {
    /// The rows older than this id.
    Before(I),
    /// The rows newer than this id, those next to it.
    After(I),
}

/// A row that pages are cut by.
pub trait Keyed {
    /// The type of its id; ids sort by age.
    type Id: Copy + Ord;
    /// Its id.
    fn key(&self) -> Self::Id;
}

/// One page, newest row first.
#[derive(Clone, Debug)]
pub struct Page<R: Keyed> {
    /// At most as many rows as were asked for.
    pub rows: Vec<R>,
    /// Leads to the page of newer rows, where there are any.
    pub newer: Option<Cursor<R::Id>>,
    /// Leads to the page of older rows, where there are any.
    pub older: Option<Cursor<R::Id>>,
}

/// The most rows that one page may have: no read transaction outlives that many.
pub const PAGE_LIMIT: i64 = 1_000;

/// Which way a cut goes, and from where (the id itself is not part of it).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut<I> {
    /// The newest rows, newest first.
    Newest,
    /// Below the id, newest first.
    Below(I),
    /// Above the id, oldest first.
    Above(I),
}

impl Cut<CommandId> {
    /// The same place among pipelines, for lists of both.
    pub(super) fn among_pipelines(self) -> Cut<PipelineId> {
        match self {
            Self::Newest => Cut::Newest,
            Self::Below(id) => Cut::Below(id.among_pipelines()),
            Self::Above(id) => Cut::Above(id.among_pipelines()),
        }
    }
}

/// Makes a page of `fetch(cut, limit)`, which returns rows in the order that the cut asks for.
pub(super) fn page<R: Keyed>(
    cursor: Option<Cursor<R::Id>>,
    limit: i64,
    mut fetch: impl FnMut(Cut<R::Id>, i64) -> Result<Vec<R>, ReadError>,
) -> Result<Page<R>, ReadError> {
    let limit = limit.clamp(1, PAGE_LIMIT);
    let wanted = usize::try_from(limit).unwrap_or(1);
    let cut = cut_of(cursor);
    let mut rows = fetch(cut, limit + 1)?;
    let more = rows.len() > wanted;
    rows.truncate(wanted);
    let upward = matches!(cut, Cut::Above(_));
    if upward {
        rows.reverse();
    }
    let (Some(first), Some(last)) = (rows.first().map(R::key), rows.last().map(R::key)) else {
        return Ok(Page {
            rows,
            newer: None,
            older: None,
        });
    };
    let newer = match cut {
        Cut::Newest => false,
        Cut::Above(_) => more,
        Cut::Below(_) => !fetch(Cut::Above(first), 1)?.is_empty(),
    };
    let older = if upward {
        !fetch(Cut::Below(last), 1)?.is_empty()
    } else {
        more
    };
    Ok(Page {
        rows,
        newer: newer.then_some(Cursor::After(first)),
        older: older.then_some(Cursor::Before(last)),
    })
}

/// The most rows that one page passes over.
const PASSED: usize = 1_000;

/// The same where rows that are not to be shown stand between the others. A page that has passed over 1,000 rows is
/// given as it is, with fewer rows than were asked for, or none, and a way on.
pub(super) fn page_of_some<R: Keyed>(
    cursor: Option<Cursor<R::Id>>,
    limit: i64,
    shown: impl Fn(&R) -> bool,
    mut fetch: impl FnMut(Cut<R::Id>, i64) -> Result<Vec<R>, ReadError>,
) -> Result<Page<R>, ReadError> {
    let limit = limit.clamp(1, PAGE_LIMIT);
    let wanted = usize::try_from(limit).unwrap_or(1);
    let begin = cut_of(cursor);
    let upward = matches!(begin, Cut::Above(_));
    let (mut rows, mut passed, mut more) = (Vec::new(), 0, false);
    let mut edges: Option<(R::Id, R::Id)> = None;
    let mut cut = begin;
    'page: loop {
        let some = fetch(cut, limit + 1)?;
        let whole = some.len() <= wanted;
        for row in some {
            let key = row.key();
            if shown(&row) {
                if rows.len() == wanted {
                    more = true;
                    break 'page;
                }
                rows.push(row);
            }
            passed += 1;
            edges = Some((edges.map_or(key, |(first, _)| first), key));
        }
        let Some((_, last)) = edges.filter(|_| !whole) else {
            break;
        };
        if passed >= PASSED {
            more = true;
            break;
        }
        cut = if upward { Cut::Above(last) } else { Cut::Below(last) };
    }
    let Some((first, last)) = edges else {
        return Ok(Page {
            rows,
            newer: None,
            older: None,
        });
    };
    let (newest, oldest) = if upward { (last, first) } else { (first, last) };
    if upward {
        rows.reverse();
    }
    let newer = match begin {
        Cut::Newest => false,
        Cut::Above(_) => more,
        Cut::Below(_) => !fetch(Cut::Above(newest), 1)?.is_empty(),
    };
    let older = if upward {
        !fetch(Cut::Below(oldest), 1)?.is_empty()
    } else {
        more
    };
    Ok(Page {
        rows,
        newer: newer.then_some(Cursor::After(newest)),
        older: older.then_some(Cursor::Before(oldest)),
    })
}

fn cut_of<I>(cursor: Option<Cursor<I>>) -> Cut<I> {
    match cursor {
        None => Cut::Newest,
        Some(Cursor::Before(id)) => Cut::Below(id),
        Some(Cursor::After(id)) => Cut::Above(id),
    }
}

/// Merges what several cuts of the same order returned, without repeats, down to `limit` rows.
pub(super) fn merge<R: Keyed>(parts: Vec<Vec<R>>, cut: Cut<R::Id>, limit: i64) -> Vec<R> {
    let mut rows: Vec<R> = parts.into_iter().flatten().collect();
    match cut {
        Cut::Above(_) => rows.sort_by_key(R::key),
        Cut::Newest | Cut::Below(_) => rows.sort_by_key(|row| std::cmp::Reverse(row.key())),
    }
    rows.truncate(usize::try_from(limit).unwrap_or(0));
    rows
}
