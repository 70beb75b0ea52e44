//! Pages cut by id, in both directions, so that paging has neither gap nor repeat while rows arrive.

use super::ReadError;

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

/// Makes a page of `fetch(cut, limit)`, which returns rows in the order that the cut asks for.
pub(super) fn page<R: Keyed>(
    cursor: Option<Cursor<R::Id>>,
    limit: i64,
    mut fetch: impl FnMut(Cut<R::Id>, i64) -> Result<Vec<R>, ReadError>,
) -> Result<Page<R>, ReadError> {
    let limit = limit.clamp(1, PAGE_LIMIT);
    let wanted = usize::try_from(limit).unwrap_or(1);
    let cut = match cursor {
        None => Cut::Newest,
        Some(Cursor::Before(id)) => Cut::Below(id),
        Some(Cursor::After(id)) => Cut::Above(id),
    };
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
