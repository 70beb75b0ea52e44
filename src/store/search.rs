//! The full-text search of the event log: which words stand in which event (an FTS5 table without the texts), filled
//! behind the log in small pieces. What was typed never reaches FTS5 as syntax of its own.

use diesel::expression_methods::ExpressionMethods;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::column::MaybeJson;
use super::error::Fault;
use super::page::Cut;
use super::schema::{event_index, event_log};
use super::tx::Tx;
use super::{Journal, ReadError, Store, WriteError};
use crate::domain::{Invalid, flattened};

/// Events that one piece indexes at most.
const BATCH: i64 = 200;

/// Of each event's text so many bytes are indexed.
const LONGEST: usize = 16 * 1024;

/// More words than anybody types, fewer than a query may cost.
const WORDS: usize = 16;

// Not in `schema.rs`: it has no columns of a type, and its key has no name of its own.
diesel::table! {
    event_words (rowid) {
        rowid -> BigInt,
        text -> Text,
    }
}

diesel::infix_operator!(Matches, " MATCH ", diesel::sql_types::Bool);

/// How far the index reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Indexed {
    /// The last event whose words are indexed.
    pub to: i64,
    /// The newest event.
    pub newest: i64,
}

impl Indexed {
    /// Whether there are events that a search does not find yet.
    #[must_use]
    pub const fn lags(self) -> bool {
        self.to < self.newest
    }
}

/// What one piece of the pass behind the log did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexedSome {
    /// The last event whose words are indexed now.
    pub to: i64,
    /// Whether there may be further ones.
    pub more: bool,
}

/// What somebody looks for: every word (or, in quotes, every phrase) must be there; a star stands for the rest of a word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchText {
    typed: String,
    terms: Vec<String>,
}

/// So many letters are given before a star: the words that begin with fewer are too many to be put together for a page.
const BEFORE_STAR: usize = 3;

impl SearchText {
    /// Its words and phrases, each a query of FTS5 by itself: what two common ones have in common is looked for in
    /// bounds, as with other filters.
    pub(super) fn terms(&self) -> &[String] {
        &self.terms
    }

    /// What was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }
}

impl std::fmt::Display for SearchText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.typed)
    }
}

impl std::str::FromStr for SearchText {
    type Err = Invalid;

    /// Signs are no words: `web-03` is looked for as the phrase "web 03", as the index has it.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut terms = Vec::new();
        for (index, part) in text.split('"').enumerate() {
            // Between quotes one phrase, outside of them each word is one.
            if index % 2 == 1 {
                terms.extend(term(part));
            } else {
                terms.extend(part.split_whitespace().filter_map(term));
            }
        }
        if terms.is_empty() {
            return Err(Invalid::new(
                "q",
                "has no word to look for; give one, a \"phrase in quotes\", or begin*",
            ));
        }
        let last = |term: &str| {
            term.trim_matches(['"', '*'])
                .rsplit(' ')
                .next()
                .map_or(0, |word| word.chars().count())
        };
        let short = |term: &String| term.ends_with('*') && last(term) < BEFORE_STAR;
        if terms.iter().any(short) {
            let problem = format!("needs {BEFORE_STAR} letters or more before a star");
            return Err(Invalid::new("q", problem));
        }
        if terms.len() > WORDS {
            return Err(Invalid::new("q", format!("has more than {WORDS} words")));
        }
        Ok(Self {
            typed: text.trim().to_owned(),
            terms,
        })
    }
}

/// One phrase of FTS5: only letters, digits and spaces between quotes, so nothing in it can be syntax.
fn term(part: &str) -> Option<String> {
    let words: Vec<&str> = part
        .split(|c: char| !is_of_a_word(c))
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return None;
    }
    let star = if part.trim_end().ends_with('*') { "*" } else { "" };
    Some(format!("\"{}\"{star}", words.join(" ")))
}

/// Letters, digits and marks upon them; whatever FTS5 takes for a sign beyond that only parts words further.
fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c)
}

impl Journal {
    /// How far the index reaches.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn indexed(&mut self) -> Result<Indexed, ReadError> {
        let to = event_index::table
            .select(event_index::event_id)
            .get_result(&mut self.conn)?;
        let newest: Option<i64> = event_log::table
            .select(event_log::id)
            .order(event_log::id.desc())
            .first(&mut self.conn)
            .optional()?;
        Ok(Indexed {
            to,
            newest: newest.unwrap_or(0),
        })
    }

    /// The next events with this word or phrase, in the order of the cut.
    pub(super) fn events_with(&mut self, term: &str, cut: Cut<i64>, limit: i64) -> Result<Vec<i64>, ReadError> {
        Ok(words_query(term, cut).limit(limit).load(&mut self.conn)?)
    }
}

#[diesel::dsl::auto_type]
fn ids() -> _ {
    event_words::table.select(event_words::rowid)
}

fn words_query<'a>(term: &str, cut: Cut<i64>) -> diesel::dsl::IntoBoxed<'a, ids, diesel::sqlite::Sqlite> {
    let matches = Matches::new(event_words::text, term.to_owned().into_sql::<Text>());
    let query = ids().into_boxed().filter(matches);
    match cut {
        Cut::Newest => query.order(event_words::rowid.desc()),
        Cut::Below(id) => query.filter(event_words::rowid.lt(id)).order(event_words::rowid.desc()),
        Cut::Above(id) => query.filter(event_words::rowid.gt(id)).order(event_words::rowid.asc()),
    }
}

type Unindexed = (i64, String, MaybeJson);

impl Store {
    /// Indexes the words of the next events. Touches no topic: nothing that a page shows
    /// has changed but for how far the index reaches.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn index_some_events(&self) -> Result<IndexedSome, WriteError> {
        self.write(index_some).await
    }
}

fn index_some(tx: &mut Tx<'_>) -> Result<IndexedSome, Fault> {
    let conn = &mut tx.journal.conn;
    let mut to: i64 = event_index::table.select(event_index::event_id).get_result(conn)?;
    // Behind the newest event there is nothing that it could have indexed: somebody else has set it, or the log is
    // shorter than it was. It goes on behind the last event whose words it has.
    let newest = tx.journal.head()?.event_id;
    let conn = &mut tx.journal.conn;
    if to > newest {
        let last: Option<i64> = event_words::table
            .select(event_words::rowid)
            .filter(event_words::rowid.le(newest))
            .order(event_words::rowid.desc())
            .first(conn)
            .optional()?;
        to = last.unwrap_or(0);
        diesel::update(event_index::table)
            .set(event_index::event_id.eq(to))
            .execute(conn)?;
    }
    let rows: Vec<Unindexed> = event_log::table
        .select((event_log::id, event_log::message, event_log::details))
        .filter(event_log::id.gt(to))
        .order(event_log::id.asc())
        .limit(BATCH)
        .load(conn)?;
    let Some(last) = rows.last().map(|(id, ..)| *id) else {
        return Ok(IndexedSome { to, more: false });
    };
    let more = i64::try_from(rows.len()) == Ok(BATCH);
    for (id, message, details) in rows {
        diesel::sql_query("INSERT INTO event_words (rowid, text) VALUES (?, ?)")
            .bind::<BigInt, _>(id)
            .bind::<Text, _>(words_of(message, details.into()))
            .execute(conn)?;
    }
    diesel::update(event_index::table)
        .set(event_index::event_id.eq(last))
        .execute(conn)?;
    Ok(IndexedSome { to: last, more })
}

pub(super) fn words_of(message: String, details: Option<serde_json::Value>) -> String {
    let mut text = message;
    for (key, value) in details.iter().flat_map(flattened) {
        if text.len() > LONGEST {
            break;
        }
        text.push('\n');
        text.push_str(&key);
        text.push(' ');
        text.extend(value.chars().take(LONGEST));
    }
    text
}

/// Takes the words of events that go out of the index; those that were not indexed yet have none there.
pub(super) fn unindex(tx: &mut Tx<'_>, events: &[i64]) -> Result<(), Fault> {
    diesel::sql_query("DELETE FROM event_words WHERE rowid IN (SELECT value FROM json_each(?))")
        .bind::<Text, _>(serde_json::json!(events).to_string())
        .execute(&mut tx.journal.conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{plan_of, store_in};
    use super::super::{EventFilter, NewEvent};
    use super::*;
    use crate::domain::{Level, Timestamp};

    fn query(text: &str) -> String {
        text.parse::<SearchText>()
            .map_or_else(|wrong| wrong.problem, |text| text.terms.join(" "))
    }

    #[test]
    fn what_is_typed_becomes_phrases_and_nothing_else() {
        assert_eq!(query("refused web-03"), "\"refused\" \"web 03\"");
        assert_eq!(query("\"busy with\" swi*"), "\"busy with\" \"swi\"*");
        assert_eq!(query("a AND NOT b"), "\"a\" \"AND\" \"NOT\" \"b\"");
        assert_eq!(query("text : x ^y {z} (NEAR"), "\"text\" \"x\" \"y\" \"z\" \"NEAR\"");
        assert_eq!(query("\"open"), "\"open\"");
        assert_eq!(query("a\0b"), "\"a b\"");
        assert_eq!(query("Größe"), "\"Größe\"");
        for short in ["ab*", "web-0*"] {
            assert_eq!(query(short), "needs 3 letters or more before a star");
        }
        for nothing in ["", "  ", "*", "\"\"", "-+:^", "\" \" *"] {
            assert!(nothing.parse::<SearchText>().is_err(), "{nothing:?}");
        }
        assert!("a ".repeat(17).parse::<SearchText>().is_err());
    }

    #[tokio::test]
    async fn swept_events_leave_the_index_and_a_rare_pair_is_looked_for_in_bounds() {
        let dir = tempfile::tempdir().expect("folder");
        let store = store_in(&dir);
        let write = |action: &'static str, message: String| {
            let event = NewEvent::system(Level::Info, action, message);
            store.append_event(event)
        };
        // Two filters that take turns and never meet, long enough for the look to be bounded.
        let mut turns = Vec::new();
        for n in 0..1200 {
            turns.push(write(
                if n % 2 == 0 { "even" } else { "odd" },
                format!("turn {}", if n % 2 == 0 { "a" } else { "b" }),
            ));
        }
        for turn in turns {
            turn.await.expect("written");
        }
        let last = write("odd", "turn a".to_owned()).await.expect("written");
        while store.index_some_events().await.expect("indexed").more {}
        let filter = |text: &str, action: &str| EventFilter {
            text: Some(text.parse().expect("text")),
            action: Some(action.to_owned()),
            ..EventFilter::default()
        };
        let read = |filter: EventFilter, cursor| {
            store
                .reader()
                .read_blocking(move |journal| journal.events(&filter, cursor, 50))
                .expect("read")
        };
        let first = read(filter("turn a", "odd"), None);
        assert_eq!(first.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [last]);
        // Whoever goes on comes to the end, without another row on the way.
        let (mut older, mut looks) = (first.older, 0);
        while let Some(cursor) = older {
            let page = read(filter("turn a", "odd"), Some(cursor));
            assert!(page.rows.is_empty());
            assert_ne!(page.older, Some(cursor), "each look goes further");
            older = page.older;
            looks += 1;
        }
        assert!(looks >= 1, "the look was bounded");
        assert_eq!(read(filter("turn b", "odd"), None).rows.len(), 50);

        let soon = Timestamp::now().plus(crate::domain::Span::from_secs(60));
        let cutoffs = super::super::Cutoffs {
            events: Some(soon),
            audit: Some(soon),
            ..super::super::Cutoffs::default()
        };
        store.sweep(&cutoffs, false).await.expect("swept");
        let left = |journal: &mut Journal| journal.events_with("\"turn\"", Cut::Newest, 10);
        // The newest event is never swept.
        assert_eq!(store.reader().read_blocking(left).expect("read"), vec![1_201]);
        while store.index_some_events().await.expect("indexed").more {}
        let indexed = store.reader().read_blocking(Journal::indexed).expect("read");
        assert!(!indexed.lags(), "{indexed:?}");
    }

    #[tokio::test]
    async fn a_look_along_many_lists_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().expect("folder");
        let store = store_in(&dir);
        let write = |message: &str| store.append_event(NewEvent::system(Level::Info, "x", message));
        let wanted = write("one two three four five six seven eight").await.expect("written");
        write("one two three four five six seven").await.expect("written");
        while store.index_some_events().await.expect("indexed").more {}
        let filter = EventFilter {
            text: Some("one two three four five six seven eight".parse().expect("text")),
            ..EventFilter::default()
        };
        let (mut cursor, mut found) = (None, Vec::new());
        for _ in 0..20 {
            let filter = filter.clone();
            let read = move |journal: &mut Journal| journal.events(&filter, cursor, 50);
            let page = store.reader().read_blocking(read).expect("read");
            found.extend(page.rows.iter().map(|row| row.id));
            cursor = page.older;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, [wanted]);
        assert_eq!(cursor, None, "it comes to the end");
    }

    /// SQLite's own check of a full-text index believes what its connection remembers of it.
    #[tokio::test]
    async fn a_journal_verifies_however_often_its_index_is_merged() {
        let dir = tempfile::tempdir().expect("folder");
        let store = store_in(&dir);
        let begun = store.checkpoint(crate::domain::CheckpointKind::Start).await;
        begun.expect("checkpoint");
        for n in 0..30 {
            let event = NewEvent::system(Level::Info, "x", format!("word{n}"));
            store.append_event(event).await.expect("written");
            while store.index_some_events().await.expect("indexed").more {}
            let verdict = store.verify(super::super::Against::default()).await.expect("verified");
            assert_eq!(verdict.problems, [], "after {n} events");
        }
    }

    #[test]
    fn a_search_walks_the_index_in_the_order_of_events() {
        for cut in [Cut::Newest, Cut::Below(7), Cut::Above(7)] {
            let query = words_query("\"beg\"*", cut).limit(50);
            let plan = plan_of(&diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query).to_string());
            assert!(
                plan.contains("VIRTUAL TABLE INDEX") && !plan.contains("TEMP B-TREE"),
                "{cut:?}: {plan}"
            );
        }
    }
}
