//! Whether what is past its time is what was written. Of anything else nothing is archived, nothing is signed and nothing
//! is removed: what a sweep signs counts as the truth from then on, and what it removes proves nothing any more.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;

use super::super::chain::{Canonical, link_before};
use super::super::error::Fault;
use super::super::schema::{checkpoints, event_log};
use super::super::tx::Tx;
use super::super::{Journal, ReadError, Store, WriteError};
use super::TAMPERED;
use crate::domain::Link;

/// Rows that one sentence names.
const NAMED: usize = 3;

impl Journal {
    /// Of these events (in the order of their ids) those that do not follow from the one before, or are not what a
    /// checkpoint says of them.
    pub(super) fn other_events(&mut self, rows: &[Canonical]) -> Result<BTreeSet<i64>, ReadError> {
        let mut other = BTreeSet::new();
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(other);
        };
        let mut stated: HashMap<i64, Vec<Link>> = HashMap::new();
        let checkpoints: Vec<(i64, Link)> = checkpoints::table
            .filter(checkpoints::event_id.between(first.id, last.id))
            .select((checkpoints::event_id, checkpoints::link))
            .load(&mut self.conn)?;
        for (event, link) in checkpoints {
            stated.entry(event).or_default().push(link);
        }
        let mut before: Option<(i64, Link)> = None;
        for row in rows {
            let link = Link::from_bytes(&row.link).ok();
            let from = match before {
                Some((id, link)) if id + 1 == row.id => Some(link),
                Some(_) | None => link_before(self, row.id)?,
            };
            let follows = from.map(|from| from.next(row.row_hash())) == link && link.is_some();
            let agreed = stated
                .get(&row.id)
                .into_iter()
                .flatten()
                .all(|said| Some(*said) == link);
            if !follows || !agreed {
                other.insert(row.id);
            }
            before = link.map(|link| (row.id, link));
        }
        Ok(other)
    }
}

impl Store {
    /// Says, once, that these rows (`event 17`) are past their time and stay.
    pub(super) async fn leave(&self, what: BTreeSet<String>) -> Result<(), WriteError> {
        if what.is_empty() {
            return Ok(());
        }
        self.write(move |tx| leave(tx, what.clone())).await
    }
}

fn leave(tx: &mut Tx<'_>, what: BTreeSet<String>) -> Result<(), Fault> {
    let said: Vec<Option<String>> = event_log::table
        .filter(event_log::action.eq(TAMPERED))
        .filter(event_log::details.like("{\"stays\":%"))
        .select(event_log::details)
        .load(&mut tx.journal.conn)?;
    let mut known = BTreeSet::new();
    for details in said.into_iter().flatten() {
        let mut details: serde_json::Value = serde_json::from_str(&details).unwrap_or_default();
        known.extend(serde_json::from_value::<Vec<String>>(details["stays"].take()).unwrap_or_default());
    }
    let what: Vec<String> = what.into_iter().filter(|name| !known.contains(name)).collect();
    if what.is_empty() {
        return Ok(());
    }
    let named = what[..what.len().min(NAMED)].join(", ");
    let more = match what.len() {
        many if many > NAMED => format!(" and {} more", many - NAMED),
        _ => String::new(),
    };
    let text = format!("{named}{more}: past its time, but not what was written, so no sweep takes or signs it");
    tx.tampered(&text, serde_json::json!({ "stays": what }))
}
