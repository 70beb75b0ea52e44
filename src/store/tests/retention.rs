//! Sweeps: what goes, what stays, and what is said about it.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};

use super::aged::say_again;
use super::*;
use crate::domain::Timestamp;

fn time(text: &str) -> Timestamp {
    text.parse().expect("time")
}

/// Makes a final command settle (and begin) at another time.
fn age(dir: &tempfile::TempDir, id: crate::domain::CommandId, at: &str) {
    let mut conn =
        SqliteConnection::establish(dir.path().join("quarterdeck.db").to_str().expect("path")).expect("opens");
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = 5000; UPDATE commands SET created_at = '{at}', started_at = CASE WHEN started_at IS NULL THEN NULL ELSE '{at}' END, \
         finished_at = CASE WHEN finished_at IS NULL THEN NULL ELSE '{at}' END, \
         settled_at = CASE WHEN finished_at IS NULL THEN NULL ELSE '{at}' END WHERE id = '{id}'"
    ))
    .expect("aged");
    say_again(dir);
}

async fn ended(store: &Store, host: &str, retry_of: Option<crate::domain::CommandId>) -> CommandRow {
    let request = Request {
        retry_of,
        ..ask("uptime", &[host])
    };
    let row = store.request(request).await.expect("asked").remove(0);
    store.begin_validating(row.id).await.expect("written").expect("open");
    store
        .begin_executing(row.id, &at(), None)
        .await
        .expect("written")
        .expect("open");
    store.finish(row.id, exit(1)).await.expect("written").expect("open")
}

async fn left(store: &Store) -> Vec<crate::domain::CommandId> {
    let page = store
        .reader()
        .read(|journal| journal.history(&HistoryFilter::default(), None, 1_000))
        .await
        .expect("read");
    page.rows.into_iter().map(|row| row.id).collect()
}

#[tokio::test]
async fn only_final_rows_past_the_limit_go() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    add(&store, "a").await;
    add(&store, "b").await;
    let old = ended(&store, "a", None).await;
    let edge = ended(&store, "a", None).await;
    let first_try = ended(&store, "a", None).await;
    let young_retry = ended(&store, "a", Some(first_try.id)).await;
    let old_first = ended(&store, "a", None).await;
    let old_retry = ended(&store, "a", Some(old_first.id)).await;
    let open = executing(&store, "b").await;
    age(&dir, old.id, "2026-01-01 00:00:00.000000");
    age(&dir, edge.id, "2026-02-01 00:00:00.000000");
    for id in [first_try.id, old_first.id, old_retry.id, open.id] {
        age(&dir, id, "2026-01-01 00:00:00.000000");
    }
    let cutoffs = Cutoffs {
        events: None,
        commands: Some(time("2026-02-01")),
        ..Cutoffs::default()
    };
    let swept = store.sweep(&cutoffs, false).await.expect("swept");
    assert_eq!((swept.commands, swept.events, swept.pipelines), (3, 0, 0));
    assert_eq!(swept.output_files.len(), 3);
    let mut stay = [edge.id, first_try.id, young_retry.id, open.id];
    stay.sort();
    let mut are = left(&store).await;
    are.sort();
    assert_eq!(are, stay);
    let again = store.sweep(&cutoffs, false).await.expect("swept");
    assert_eq!(again, Swept::default());
    let (sweeps, last, of_old) = store
        .reader()
        .read(move |journal| {
            let sweeps = EventFilter {
                action: Some("sweep".to_owned()),
                ..EventFilter::default()
            };
            Ok((
                journal.events(&sweeps, None, 10)?.rows,
                journal.last_cutoffs()?,
                journal.events_of(old.id, 10)?,
            ))
        })
        .await
        .expect("read");
    assert_eq!(sweeps.len(), 1, "only a sweep that removed something is an event");
    assert!(sweeps[0].message.contains("3 commands"), "{}", sweeps[0].message);
    assert_eq!(last.expect("kept").cutoffs, cutoffs);
    assert!(
        !of_old.is_empty(),
        "events keep what they said, also of a command that is gone"
    );
}

#[tokio::test]
async fn an_old_pipeline_stays_with_its_young_command() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let host = add(&store, "a").await;
    let one = ended(&store, "a", None).await;
    let two = ended(&store, "a", None).await;
    let pipeline = crate::domain::PipelineId::after(None);
    let mut conn =
        SqliteConnection::establish(dir.path().join("quarterdeck.db").to_str().expect("path")).expect("opens");
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = 5000; INSERT INTO pipelines (id, name, hosts, status, created_at, finished_at, actor) VALUES \
         ('{pipeline}', 'p', '[{h}]', 'COMPLETE', '2026-01-01 00:00:00', '2026-01-01 00:00:00', 'system'); \
         INSERT INTO pipeline_hosts (pipeline_id, host_id, released_at) VALUES ('{pipeline}', {h}, '2026-01-01 00:00:00'); \
         UPDATE commands SET pipeline_id = '{pipeline}'",
        h = host.id
    ))
    .expect("made");
    age(&dir, one.id, "2026-01-01 00:00:00.000000");
    let cutoffs = Cutoffs {
        events: None,
        commands: Some(time("2026-02-01")),
        ..Cutoffs::default()
    };
    assert_eq!(store.sweep(&cutoffs, false).await.expect("swept"), Swept::default());
    assert_eq!(left(&store).await.len(), 2);
    age(&dir, two.id, "2026-01-01 00:00:00.000000");
    let swept = store.sweep(&cutoffs, false).await.expect("swept");
    assert_eq!((swept.commands, swept.pipelines), (2, 1));
}

#[tokio::test]
async fn many_events_go_in_batches_and_the_space_comes_back() {
    let dir = tempfile::tempdir().expect("folder");
    store_in(&dir).close();
    let mut conn =
        SqliteConnection::establish(dir.path().join("quarterdeck.db").to_str().expect("path")).expect("opens");
    conn.batch_execute(
        "PRAGMA busy_timeout = 5000; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) \
         INSERT INTO event_log (timestamp, category, level, actor, action, message) \
         SELECT '2026-01-01 00:00:00', 'system', 'info', 'system', 'x', hex(randomblob(200)) FROM n",
    )
    .expect("filled");
    let size = |dir: &tempfile::TempDir| {
        std::fs::metadata(dir.path().join("quarterdeck.db"))
            .expect("file")
            .len()
    };
    conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("checkpoint");
    drop(conn);
    let before = size(&dir);
    // They are chained as they are found.
    let store = store_in(&dir);
    let swept = store
        .sweep(
            &Cutoffs {
                events: Some(time("2026-02-01")),
                commands: None,
                ..Cutoffs::default()
            },
            false,
        )
        .await
        .expect("swept");
    assert_eq!(swept.events, 5_999, "the newest stays: the chain goes on from it");
    store.close();
    assert!(size(&dir) < before / 2, "{} of {before}", size(&dir));
}

/// One event in a hundred is kept for longer, and nothing newer is there than what is past its time.
#[tokio::test]
async fn holes_verify_and_the_chain_goes_on_behind_them() {
    let dir = tempfile::tempdir().expect("folder");
    store_in(&dir).close();
    let mut conn =
        SqliteConnection::establish(dir.path().join("quarterdeck.db").to_str().expect("path")).expect("opens");
    conn.batch_execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO event_log (timestamp, category, level, actor, action, message) \
         SELECT '2026-01-01 00:00:00', CASE WHEN i % 100 = 1 THEN 'audit' ELSE 'system' END, 'info', 'system', 'x', 'y' FROM n",
    )
    .expect("filled");
    drop(conn);
    let store = store_in(&dir);
    let cutoffs = Cutoffs {
        events: Some(time("2026-02-01")),
        ..Cutoffs::default()
    };
    assert_eq!(store.sweep(&cutoffs, true).await.expect("swept").events, 2_969);
    let event = store
        .append_event(NewEvent::system(crate::domain::Level::Info, "x", "later"))
        .await
        .expect("written");
    assert_eq!(event, 3_003, "after the sweep's own two, which are after the newest");
    assert_eq!(store.sweep(&cutoffs, true).await.expect("swept").events, 1);
    let verdict = verify(store.reader(), dir.path(), &Against::default()).expect("read");
    assert_eq!(verdict.problems, []);
    assert_eq!((verdict.events, verdict.hashes), (35, 2_970));
    for file in std::fs::read_dir(dir.path().join("archive")).expect("archive") {
        let verdict = archive::verify_archive(&file.expect("file").path(), &[], &[]).expect("read");
        assert_eq!(verdict.problems, []);
    }
}

#[test]
fn what_is_old_is_found_by_indexes() {
    use super::super::sweep::{OLD_COMMANDS, OLD_PIPELINES};
    for query in [OLD_COMMANDS, OLD_PIPELINES] {
        let plan = plan_of(query);
        assert!(
            !plan.contains("TEMP B-TREE") && !plan.contains("SCAN c") && !plan.contains("SCAN p"),
            "{plan}"
        );
        assert!(plan.contains("COVERING INDEX commands_success"), "{plan}");
        assert!(
            plan.contains("commands_age") || plan.contains("pipelines_age"),
            "{plan}"
        );
    }
}

#[test]
fn output_is_a_prefix_of_what_the_host_wrote() {
    let dir = tempfile::tempdir().expect("folder");
    let id = crate::domain::CommandId::after(None);
    let mut output = output::Output::open(dir.path(), id).expect("opens");
    output.write_at(0, b"hello ").expect("written");
    assert!(output.write_at(7, b"x").is_err(), "a gap");
    output.write_at(6, b"world").expect("written");
    output.write_at(0, b"hello ").expect("again");
    let facts = output.seal().expect("sealed");
    assert_eq!(
        (facts.bytes, facts.sha256),
        (11, crate::domain::Digest::of(b"hello world"))
    );
    assert_eq!(output::read_range(dir.path(), id, 6, 99).expect("read"), b"world");
    assert_eq!(output::Output::open(dir.path(), id).expect("opens").len(), 11);
    let files = [format!("output/{id}"), "output/../quarterdeck.db".to_owned()];
    assert_eq!(output::remove(dir.path(), &files), 1, "only outputs are removed");
    assert_eq!(output::length(dir.path(), id).expect("length"), 0);
}
