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

fn sort(c: char) -> Sort {
    match c {
        '0'..='9' | 'a'..='z' | 'A'..='Z' => Sort::Letter(c.to_ascii_lowercase()),
        '\0'..='\x7f'
        | '\u{a0}'
        | '·'
        | '×'
        | '÷'
        | '«'
        | '»'
        | '–'
        | '—'
        | '‘'
        | '’'
        | '“'
        | '”'
        | '„'
        | '…'
        | '→' => Sort::Sign,
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
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeSet;

    use diesel::connection::SimpleConnection as _;
    use diesel::sql_types::{BigInt, Nullable, Text};
    use proptest::prelude::*;
    use proptest::test_runner::{RngSeed, TestRunner};

    use super::super::open;
    use super::super::tests::Plans;
    use super::super::walk::Part;
    use super::*;

    fn journal() -> (Journal, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("folder");
        let opened = open::open(dir.path()).expect("opens");
        (Journal::over(opened.conn), dir)
    }

    fn beginning(term: &str) -> Beginning {
        Beginning::of(term).expect("of ASCII")
    }

    fn index(journal: &mut Journal, id: i64, text: &str) {
        diesel::sql_query("INSERT INTO event_words (rowid, text) VALUES (?, ?)")
            .bind::<BigInt, _>(id)
            .bind::<Text, _>(text)
            .execute(&mut journal.conn)
            .expect("indexed");
    }

    fn by_fts5(journal: &mut Journal, term: &str) -> BTreeSet<i64> {
        let ids = journal.events_with(term, Cut::Newest, i64::MAX).expect("read");
        ids.into_iter().collect()
    }

    #[test]
    fn every_character_parts_or_makes_words_as_fts5_has_it() {
        let (mut journal, _dir) = journal();
        let places = |c: char| {
            [
                format!("a{c}node"),
                format!("{c}bcd"),
                format!("no{c}e"),
                format!("on{c}web1"),
            ]
        };
        let texts: Vec<String> = ('\0'..'\u{3000}').flat_map(places).collect();
        journal.conn.batch_execute("BEGIN").expect("begun");
        for (id, text) in texts.iter().enumerate() {
            index(&mut journal, id as i64, text);
        }
        let of_letters = "abceinouydkst".chars().map(|letter| format!("\"{letter}bc\"*"));
        let others = [
            "\"nod\"*",
            "\"node\"*",
            "\"noe\"*",
            "\"noae\"*",
            "\"on web\"*",
            "\"onweb\"*",
        ];
        for term in others.into_iter().map(str::to_owned).chain(of_letters) {
            let (beginning, found) = (beginning(&term), by_fts5(&mut journal, &term));
            for (id, text) in texts.iter().enumerate() {
                let answer = beginning.is_in(text);
                assert!(answer.is_some() || !text.is_ascii(), "{text:?}");
                let agrees = answer.is_none_or(|has| has == found.contains(&(id as i64)));
                assert!(agrees, "{term} in {text:?}: {answer:?}");
            }
        }
    }

    /// Message and, of some, a word of its details; ids have gaps.
    type Event = (String, Option<String>);

    fn text(wild: bool) -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            8 => "(node|NODE|nod|n|web|on|nöd)[0-9]{0,2}",
            8 => "[ -/:-@]",
            2 => "[“”…–ÄéßñÿÅ·]",
            if wild { 2 } else { 0 } => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
    }

    fn events_of_a_case() -> impl Strategy<Value = Vec<Event>> {
        any::<bool>().prop_flat_map(|wild| prop::collection::vec((text(wild), prop::option::of(text(wild))), 1..60))
    }

    fn fill(journal: &mut Journal, events: &[Event], indexed: usize) {
        for (n, (message, word)) in events.iter().enumerate() {
            let id = n as i64 * 3 + 1;
            let details = word
                .as_ref()
                .map(|word| serde_json::json!({"at": {"web": [word, 7]}, "on": word}));
            diesel::sql_query(
                "INSERT INTO event_log (id, category, level, actor, action, message, details)
                 VALUES (?, 'system', 'info', 'system', 'x', ?, ?)",
            )
            .bind::<BigInt, _>(id)
            .bind::<Text, _>(message)
            .bind::<Nullable<Text>, _>(details.as_ref().map(ToString::to_string))
            .execute(&mut journal.conn)
            .expect("written");
            if n < indexed {
                index(journal, id, &words_of(message.clone(), details));
                let to = format!("UPDATE event_index SET event_id = {id}");
                journal.conn.batch_execute(&to).expect("indexed");
            }
        }
    }

    #[test]
    fn a_look_finds_what_fts5_finds() {
        let seed = std::env::var("QUARTERDECK_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                since.expect("clock").as_nanos() as u64
            });
        eprintln!("QUARTERDECK_SEED={seed}");
        let mut runner = TestRunner::new(ProptestConfig {
            cases: 200,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let (journal, _dir) = journal();
        let journal = RefCell::new(journal);
        let (looked, gave_up, found) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let terms = [
            "\"nod\"*",
            "\"node1\"*",
            "\"on nod\"*",
            "\"web n\"*",
            "\"on web node\"*",
            "\"at web\"*",
        ];
        let edge = || prop::option::of(0i64..180);
        let cases = (events_of_a_case(), 0usize..60, 1i64..30, edge(), edge(), 0i64..180);
        let outcome = runner.run(&cases, |(events, lag, limit, low, high, at)| {
            let journal = &mut *journal.borrow_mut();
            journal.conn.batch_execute("SAVEPOINT a_case").expect("begun");
            fill(journal, &events, events.len().saturating_sub(lag % 4));
            let mut compared = Ok(());
            for term in terms {
                for cut in [Cut::Newest, Cut::Below(at), Cut::Above(at)] {
                    for bounds in [(None, None), (low, high)] {
                        let by_look = journal
                            .events_nearby(&beginning(term), bounds, cut, limit)
                            .expect("read");
                        let part = [Part::Text(term.to_owned())];
                        let by_fts5 = journal.walk(&part, bounds, cut, limit as usize).expect("read").ids;
                        let Some(by_look) = by_look else {
                            gave_up.set(gave_up.get() + 1);
                            continue;
                        };
                        looked.set(looked.get() + 1);
                        found.set(found.get() + by_look.len());
                        if by_look != by_fts5 {
                            let what = format!("{term} {cut:?} {bounds:?}: {by_look:?}, by FTS5 {by_fts5:?}");
                            compared = Err(TestCaseError::fail(what));
                        }
                    }
                }
            }
            let back = journal.conn.batch_execute("ROLLBACK TO a_case; RELEASE a_case");
            back.expect("rolled back");
            compared
        });
        outcome.unwrap_or_else(|why| panic!("QUARTERDECK_SEED={seed}: {why}"));
        assert!(
            looked.get() > 1000 && gave_up.get() > 1000 && found.get() > 1000,
            "{looked:?} {gave_up:?} {found:?}"
        );
    }

    #[test]
    fn a_look_gives_up_where_it_must() {
        let (mut journal, _dir) = journal();
        let of_message = |message: &str| (message.to_owned(), None);
        let (with, without) = (of_message("on node7"), of_message("on web-1"));
        let mut look = |events: &[Event], limit| {
            journal.conn.batch_execute("SAVEPOINT a_case").expect("begun");
            fill(&mut journal, events, events.len());
            let found = journal.events_nearby(&beginning("\"node\"*"), (None, None), Cut::Newest, limit);
            let back = journal.conn.batch_execute("ROLLBACK TO a_case; RELEASE a_case");
            back.expect("rolled back");
            found.expect("read").map(|ids| ids.len())
        };
        let many = vec![with.clone(); 300];
        assert_eq!(look(&many, 100), Some(100));
        let rare = [vec![with.clone(); 300], vec![without.clone(); 200]].concat();
        assert_eq!(look(&rare, 100), None, "the newest have none");
        let few = [without.clone(), with.clone(), without.clone()];
        assert_eq!(look(&few, 100), Some(1), "that is all");
        let strange = [with.clone(), of_message("о ноде"), with.clone()];
        assert_eq!(look(&strange, 100), None, "of Cyrillic nothing is known");
        assert_eq!(look(&strange, 1), Some(1), "it was not needed");
        // An index that claims more than there is.
        fill(&mut journal, &many, many.len());
        journal
            .conn
            .batch_execute("UPDATE event_index SET event_id = 99999")
            .expect("edited");
        let found = journal.events_nearby(&beginning("\"node\"*"), (None, None), Cut::Newest, 100);
        assert_eq!(found.expect("read"), None);
    }

    #[test]
    fn a_look_goes_along_the_key() {
        let mut plans = Plans::new();
        for bounds in [(None, None), (Some(1), Some(9)), (Some(1), None)] {
            for at in [Cut::Newest, Cut::Below(7), Cut::Above(7)] {
                let query = events(bounds, at, 8).limit(50);
                let plan = plans.of(&diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query).to_string());
                assert!(
                    plan.starts_with("SEARCH event_log USING INTEGER PRIMARY KEY") && !plan.contains(';'),
                    "{bounds:?} {at:?}: {plan}"
                );
            }
        }
    }
}
