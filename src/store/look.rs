//! A look at the events themselves, for a beginning of so many words that they cannot be spelled out: where most events
//! have it, the next few hold a whole page, while FTS5 first puts the lists of all those words together. What the look
//! finds is what FTS5 finds: letters are folded as its tokenizer does, and where that is not sure the look gives up.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;

use super::event_page::Bounds;
use super::page::Cut;
use super::schema::event_log;
use super::search::words_of;
use super::{Journal, ReadError};

/// So many events are looked at in any case.
const FIRST: i64 = if cfg!(test) { 16 } else { 128 };

/// Then the look goes on while at least one of so many has the beginning; so it ends after as many times the rows that are
/// wanted. FTS5 is quick enough for what fewer events have.
const ONE_OF: i64 = 16;

/// A beginning of a word, or a phrase that ends in one, of ASCII letters and digits.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    /// As FTS5 is asked for it.
    pub(super) term: String,
    /// As it stands in a text that is [`folded`].
    needle: String,
}

impl Beginning {
    /// Of a term with a star, `"on web"*`; none where it has other letters.
    pub(super) fn of(term: &str) -> Option<Self> {
        let phrase = term.strip_suffix('*')?.trim_matches('"');
        let plain = phrase.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ');
        plain.then(|| Self {
            term: term.to_owned(),
            needle: format!(" {}", phrase.to_ascii_lowercase()),
        })
    }

    /// Whether FTS5 finds it in this text; none where that is not sure.
    fn is_in(&self, text: &str) -> Option<bool> {
        let (folded, sure) = folded(text);
        if folded.contains(&self.needle) {
            Some(true)
        } else {
            sure.then_some(false)
        }
    }

    /// The same for an event, whose details stand behind its message.
    fn is_of(&self, message: String, details: Option<&str>) -> Option<bool> {
        match (self.is_in(&message), details) {
            (Some(true), _) => Some(true),
            (answer, None) => answer,
            (_, Some(details)) => {
                let details = serde_json::from_str(details).ok()?;
                self.is_in(&words_of(message, Some(details)))
            }
        }
    }
}

impl Journal {
    /// The next `limit` events with this beginning (fewer where there are no more), in the order of the cut; none where
    /// too few of the next events have it, or it is not sure which.
    pub(super) fn events_nearby(
        &mut self,
        beginning: &Beginning,
        bounds: Bounds,
        at: Cut<i64>,
        limit: i64,
    ) -> Result<Option<Vec<i64>>, ReadError> {
        let indexed = self.indexed()?;
        // Then nobody knows which events FTS5 has, until the index has found its way back.
        if indexed.to > indexed.newest {
            return Ok(None);
        }
        let most = FIRST.max(limit.saturating_mul(ONE_OF));
        let query = events(bounds, at, indexed.to).limit(most);
        let (mut found, mut seen) = (Vec::new(), 0);
        // Row by row: what is not needed is not read.
        for row in query.load_iter::<Unread, DefaultLoadingMode>(&mut self.conn)? {
            let (id, message, details) = row?;
            match beginning.is_of(message, details.as_deref()) {
                Some(true) => found.push(id),
                Some(false) => {}
                None => return Ok(None),
            }
            seen += 1;
            let has = i64::try_from(found.len()).unwrap_or(i64::MAX);
            if has == limit {
                break;
            }
            if seen >= FIRST && has.saturating_mul(ONE_OF) <= seen {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }
}

/// Id, message, details.
type Unread = (i64, String, Option<String>);

#[diesel::dsl::auto_type]
fn texts() -> _ {
    event_log::table.select((event_log::id, event_log::message, event_log::details))
}

/// The events of a range, in the order of the cut, as far as they are indexed: along the key of the log.
fn events<'a>(
    (low, high): Bounds,
    at: Cut<i64>,
    indexed: i64,
) -> diesel::dsl::IntoBoxed<'a, texts, diesel::sqlite::Sqlite> {
    let high = high.map_or(indexed, |high| high.min(indexed));
    let mut query = texts().into_boxed().filter(event_log::id.le(high));
    if let Some(low) = low {
        query = query.filter(event_log::id.ge(low));
    }
    match at {
        Cut::Newest => query.order(event_log::id.desc()),
        Cut::Below(id) => query.filter(event_log::id.lt(id)).order(event_log::id.desc()),
        Cut::Above(id) => query.filter(event_log::id.gt(id)).order(event_log::id.asc()),
    }
}

/// What FTS5's tokenizer (`unicode61 remove_diacritics 2`) makes of a character.
enum Sort {
    /// Part of a word, as it stands in the index; where that is no letter of ASCII, only that it is none counts.
    Letter(char),
    /// Parts words.
    Sign,
    /// One of the many that are not told apart here.
    Other,
}

/// Signs that sentences have, beside those of ASCII.
const SIGNS: &str = "\u{a0}·×÷«»–—‘’“”„…→";

fn sort(c: char) -> Sort {
    match c {
        '0'..='9' | 'a'..='z' | 'A'..='Z' => Sort::Letter(c.to_ascii_lowercase()),
        c if c.is_ascii() || SIGNS.contains(c) => Sort::Sign,
        'à'..='å' | 'À'..='Å' => Sort::Letter('a'),
        'ç' | 'Ç' => Sort::Letter('c'),
        'è'..='ë' | 'È'..='Ë' => Sort::Letter('e'),
        'ì'..='ï' | 'Ì'..='Ï' => Sort::Letter('i'),
        'ñ' | 'Ñ' => Sort::Letter('n'),
        'ò'..='ö' | 'Ò'..='Ö' => Sort::Letter('o'),
        'ù'..='ü' | 'Ù'..='Ü' => Sort::Letter('u'),
        'ý' | 'ÿ' | 'Ý' => Sort::Letter('y'),
        'æ' | 'Æ' | 'ð' | 'Ð' | 'ø' | 'Ø' | 'þ' | 'Þ' | 'ß' => Sort::Letter('ß'),
        _ => Sort::Other,
    }
}

/// A text as its words, each behind one space; and whether all its characters are known. In the place of one that is not
/// stands what is in no word: of what is beside it, only that a word begins before it is sure.
fn folded(text: &str) -> (String, bool) {
    let mut folded = String::with_capacity(text.len() + 1);
    let mut sure = true;
    folded.push(' ');
    for c in text.chars() {
        match sort(c) {
            Sort::Letter(letter) => folded.push(letter),
            Sort::Sign if folded.ends_with(' ') => {}
            Sort::Sign => folded.push(' '),
            Sort::Other => {
                folded.push('\0');
                sure = false;
            }
        }
    }
    (folded, sure)
}

#[cfg(test)]
mod tests;
