//! The look at events beside what FTS5 finds.

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
