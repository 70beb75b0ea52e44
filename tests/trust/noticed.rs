//! The dashboard itself notices who else writes at the end of its log: while it runs, and from one run to the next.

use std::fs;

use serde_json::json;

use crate::journal::{OPS, edit, journal};
use crate::support::cli::quarterdeck;
use crate::support::{Dashboard, chain, wait_for};

fn noticed(qd: &Dashboard) -> usize {
    let count =
        qd.sql("SELECT count(*) FROM event_log WHERE action = 'tampered' AND category = 'audit' AND level = 'error'");
    count.parse().expect("number")
}

fn last_said(qd: &Dashboard) -> String {
    qd.sql("SELECT message FROM event_log WHERE action = 'tampered' ORDER BY id DESC LIMIT 1")
}

#[tokio::test]
async fn what_somebody_writes_at_the_end_of_the_log_beside_a_running_dashboard_is_noticed_by_the_next_write() {
    let qd = Dashboard::start(OPS).await;
    let database = qd.path("data/quarterdeck.db");
    for (edits, (statement, says)) in (1..).zip([
        ("DELETE FROM event_log WHERE id = (SELECT max(id) FROM event_log)", "and now ends at event"),
        (
            "INSERT INTO event_log (category, level, actor, action, message) VALUES ('audit', 'info', 'user:alice', 'x', 'y')",
            "are not of its writing",
        ),
        (
            "UPDATE event_log SET message = 'other', link = randomblob(32) WHERE id = (SELECT max(id) FROM event_log)",
            "was replaced",
        ),
        ("DELETE FROM checkpoints WHERE id = (SELECT max(id) FROM checkpoints)", "the newest checkpoint was"),
    ]) {
        let id = qd.accepted("uptime", "localhost").await;
        qd.until_final(&id).await;
        edit(&database, statement);
        let id = qd.accepted("uptime", "localhost").await;
        let row = qd.until_final(&id).await;
        assert_eq!(row["status"], "SUCCESS", "work goes on: {row}");
        assert_eq!(noticed(&qd), edits, "{statement}");
        assert!(last_said(&qd).contains(says), "{statement}: {}", last_said(&qd));
    }
    let (code, text, _) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("the dashboard itself found"), "{text}");
}

#[tokio::test]
async fn what_somebody_writes_there_while_no_dashboard_runs_is_noticed_by_the_next_start() {
    let mut qd = journal().await;
    let database = qd.path("data/quarterdeck.db");
    for (edits, (statement, says)) in (1..).zip([
        ("DELETE FROM event_log WHERE id = (SELECT max(id) FROM event_log)", "but there was an event"),
        (
            "INSERT INTO event_log (category, level, actor, action, message) VALUES ('audit', 'info', 'user:alice', 'x', 'y')",
            "but the log goes on to event",
        ),
        (
            "UPDATE event_log SET message = 'other', link = randomblob(32) WHERE id = (SELECT max(id) FROM event_log)",
            "is not what it was",
        ),
        ("DELETE FROM checkpoints WHERE id = (SELECT max(id) FROM checkpoints)", "but there was a checkpoint"),
        // By who knows of the numbers that SQLite keeps.
        (
            "DELETE FROM event_log WHERE id = (SELECT max(id) FROM event_log); \
             UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'event_log'",
            "is gone, with which the log ended",
        ),
        // Laundering: rows are edited, and all that vouches for them is taken away, so that the start chains anew.
        (
            "UPDATE event_log SET actor = 'user:bob' WHERE actor = 'user:alice'; UPDATE event_log SET link = zeroblob(32); \
             DELETE FROM sealed; DELETE FROM checkpoints",
            "its events had links, which were taken away",
        ),
    ]) {
        edit(&database, statement);
        qd.start_again().await;
        assert_eq!(noticed(&qd), edits, "{statement}");
        assert!(last_said(&qd).contains(says), "{statement}: {}", last_said(&qd));
        qd.stop().await;
    }
    let (code, text, _) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 1, "{text}");
    // Who takes the key as well, and what tells of an older chain, is told by what nobody can leave out: an event that
    // says that everything before it was chained as it was found then, which `audit verify` repeats.
    edit(&database, "DELETE FROM event_log");
    chain::forget(
        &qd.path("data"),
        "DELETE FROM sqlite_sequence WHERE name = 'event_log'; INSERT INTO event_log \
        (category, level, actor, action, message) VALUES ('audit', 'info', 'user:bob', 'op:uptime', 'all was well')",
    );
    qd.start_again().await;
    qd.stop().await;
    assert_eq!(noticed(&qd), 0);
    let (_, text, _) = quarterdeck(&qd, "audit verify").await;
    assert!(text.contains("was chained as it was found then"), "{text}");
}

#[tokio::test]
async fn what_a_dashboard_does_and_suffers_itself_is_no_alarm() {
    let mut qd = Dashboard::start(OPS).await;
    let work = async |qd: &Dashboard| {
        let id = qd.accepted("uptime", "localhost").await;
        // Undone savepoints, refusals, and what is written beside.
        let (status, _) = qd
            .post("/commands", &json!({"op": "uptime", "hosts": ["localhost", "nowhere"]}))
            .await;
        assert!(status >= 400, "{status}");
        let (status, _) = qd.post("/tokens", &json!({"name": "a/b", "role": "viewer"})).await;
        assert!(status >= 400, "{status}");
        qd.until_final(&id).await;
    };
    work(&qd).await;
    let at_rest = |qd: &Dashboard| {
        let copy = qd.path("backup.db");
        fs::copy(qd.path("data/quarterdeck.db"), &copy).expect("copied");
        copy
    };
    qd.stop().await;
    let backup = at_rest(&qd);
    for _ in 0..3 {
        qd.start_again().await;
        work(&qd).await;
        qd.kill().await;
        qd.start_blindly();
        wait_for("its start", async || {
            (qd.sql("SELECT stopped_at IS NULL FROM instance") == "1").then_some(())
        })
        .await;
        qd.kill().await;
    }
    qd.start_again().await;
    work(&qd).await;
    qd.stop().await;
    let (code, text, err) = quarterdeck(&qd, "audit verify").await;
    assert_eq!((code, noticed(&qd)), (0, 0), "{text}{err}{}", qd.log());
    // An older backup is told as such, and by itself fits.
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(qd.path(&format!("data/quarterdeck.db{end}")));
    }
    fs::copy(&backup, qd.path("data/quarterdeck.db")).expect("restored");
    qd.start_again().await;
    work(&qd).await;
    qd.stop().await;
    assert_eq!(qd.sql("SELECT count(*) FROM event_log WHERE action = 'restored'"), "1");
    let (code, text, err) = quarterdeck(&qd, "audit verify --no-outputs").await;
    assert_eq!((code, noticed(&qd)), (0, 0), "{text}{err}");
}

/// What a piece of work has said of the schema is undone with it, and is said again by the next one that signs.
#[tokio::test]
async fn another_schema_that_makes_the_look_at_it_fail_is_said_by_the_next_checkpoint() {
    let mut qd = Dashboard::start(OPS).await;
    let (code, out, err) = quarterdeck(&qd, "audit report --from 1h").await;
    assert_eq!(code, 0, "{out}{err}");
    // No second checkpoint of a report can be signed: the piece that says so is undone alone.
    edit(
        &qd.path("data/quarterdeck.db"),
        "CREATE UNIQUE INDEX one_report ON checkpoints (kind) WHERE kind = 'report'",
    );
    let (code, out, err) = quarterdeck(&qd, "audit report --from 1h").await;
    assert_ne!(code, 0, "{out}{err}");
    assert_eq!(noticed(&qd), 0, "undone with the report");
    qd.stop().await;
    assert_eq!(noticed(&qd), 1);
    assert!(last_said(&qd).contains("index one_report"), "{}", last_said(&qd));
}
