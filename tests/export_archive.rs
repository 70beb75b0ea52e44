//! Exports over what sweeps have moved into the archive: each row once, as it was, in its order, also while a sweep is
//! under way; and where the archive is damaged, that is said.

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};
use support::cli::quarterdeck;
use support::fake_clock::FakeClock;
use support::{Dashboard, files, wait_for};

const DAY: i64 = 86_400;

const OPS: &str = "[probe]\ninterval = \"0s\"\n\
     [[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n\
     [[pipeline]]\nid = \"both\"\nstages = [{ op = \"uptime\" }, { op = \"three\" }]\n";

fn alter(qd: &Dashboard, sql: &str) {
    let file = qd.path("data/quarterdeck.db");
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    connection
        .batch_execute(&format!("PRAGMA busy_timeout=5000; {sql}"))
        .expect("altered");
}

fn archived(qd: &Dashboard) -> Vec<PathBuf> {
    files(&qd.path("data/archive"), ".jsonl.gz")
}

async fn ended(qd: &Dashboard, op: &str) -> String {
    let id = qd.accepted(op, "localhost").await;
    qd.until_final(&id).await;
    id
}

/// A dashboard that ran 40 and 20 days ago.
async fn past(config: &str) -> (Dashboard, FakeClock) {
    let mut qd = Dashboard::prepare(config);
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-40 * DAY);
    qd.start_again().await;
    for op in ["uptime", "three", "uptime"] {
        ended(&qd, op).await;
    }
    let id = qd.started(&json!({ "name": "both", "hosts": ["localhost"] })).await;
    qd.until_through(&id).await;
    clock.is_off_by(-20 * DAY);
    ended(&qd, "three").await;
    // Newest successes of each op stay in the table, so the pipeline would, too.
    ended(&qd, "uptime").await;
    (qd, clock)
}

/// Today, when the sweep of the start is over.
async fn swept(qd: &mut Dashboard, clock: &FakeClock) {
    qd.stop().await;
    clock.is_off_by(0);
    alter(qd, "DELETE FROM sweeps");
    qd.start_again().await;
    wait_for("the sweep", async || (!archived(qd).is_empty()).then_some(())).await;
}

async fn lines(qd: &Dashboard, query: &str) -> Vec<Value> {
    let bytes = qd.bytes(&format!("/export?format=jsonl&{query}")).await;
    let text = String::from_utf8(bytes).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn ids(lines: &[Value]) -> Vec<i64> {
    lines.iter().map(|line| line["id"].as_i64().expect("id")).collect()
}

#[tokio::test]
async fn an_export_has_what_sweeps_took_as_it_was() {
    // Audit events are kept for longer, so that old rows stand in the table as well.
    let (mut qd, clock) = past(&format!("{OPS}[retention]\naudit_days = 100\n")).await;
    let mut before = Vec::new();
    for what in ["events", "commands", "pipelines"] {
        before.push(lines(&qd, &format!("what={what}")).await);
    }
    let filtered = "what=events&action=op:three&level=error";
    let of_three = lines(&qd, filtered).await;
    assert!(of_three.len() >= 3, "{of_three:?}");
    swept(&mut qd, &clock).await;
    assert_ne!(
        qd.sql("SELECT count(*) FROM event_log WHERE category = 'audit' AND id < 30"),
        "0"
    );
    for (what, before) in ["events", "commands", "pipelines"].iter().zip(&before) {
        let now = lines(&qd, &format!("what={what}")).await;
        assert_eq!(
            &now[..before.len()],
            &before[..],
            "{what}: the same rows, in their order"
        );
        let distinct: BTreeSet<String> = now.iter().map(|line| line["id"].to_string()).collect();
        assert_eq!(distinct.len(), now.len(), "{what}: each once");
    }
    assert!(
        qd.sql("SELECT count(*) FROM commands")
            .parse::<usize>()
            .expect("number")
            < before[1].len(),
        "they were swept"
    );
    let now = ids(&lines(&qd, "what=events").await);
    let last = now.last().copied().expect("events");
    assert_eq!(now, (1..=last).collect::<Vec<_>>(), "without gap or repeat at the seam");
    assert_eq!(lines(&qd, filtered).await, of_three, "the filters hold");
    let (host, op) = (lines(&qd, "what=commands&host=localhost&op=three").await, "three");
    assert_eq!(host.len(), before[1].iter().filter(|row| row["op"] == op).count());
    let none = lines(&qd, "what=commands&until=2020-01-01").await;
    assert!(none.is_empty(), "{none:?}");
    // A range on the far side of the seam alone.
    let until = before[1][2]["created_at"].as_str().expect("time").replace(':', "%3A");
    let older = lines(&qd, &format!("what=commands&until={until}")).await;
    assert_eq!(older, before[1][..2]);
    let csv = qd.bytes("/export?what=commands&format=csv").await;
    let rows = csv::Reader::from_reader(&csv[..]).into_records().count();
    assert_eq!(rows, before[1].len());

    // The command line, from the dashboard and from a journal at rest.
    let (code, live, err) = quarterdeck(&qd, "audit export --what commands --format jsonl").await;
    assert_eq!(code, 0, "{err}");
    assert!(err.is_empty(), "{err}");
    assert_eq!(live.lines().count(), before[1].len());
    qd.stop().await;
    let (code, at_rest, err) = quarterdeck(&qd, "audit export --what commands --format jsonl").await;
    assert_eq!((code, at_rest), (0, live), "{err}");
    let (code, events, err) = quarterdeck(&qd, "audit export --format jsonl").await;
    assert_eq!(code, 0, "{err}");
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert_eq!(events[..before[0].len()], before[0][..]);
}

#[tokio::test]
async fn a_damaged_archive_is_said_and_the_rest_is_given() {
    let (mut qd, clock) = past(OPS).await;
    swept(&mut qd, &clock).await;
    let all = lines(&qd, "what=events").await;
    let file = archived(&qd).remove(0);
    let whole = std::fs::read(&file).expect("file");
    let ask = async || {
        let answer = qd.client.get("http://localhost/api/v1/export?what=events&format=jsonl");
        let answer = answer.send().await.expect("an answer");
        let header = |name: &str| {
            let value = answer
                .headers()
                .get(name)
                .map(|value| value.to_str().expect("text").to_owned());
            value.unwrap_or_default()
        };
        let said = (header("quarterdeck-damaged"), header("content-disposition"));
        (said, answer.text().await.expect("all of it").lines().count())
    };
    let last = async || {
        let (_, page) = qd.get("/events?action=export&limit=1").await;
        page["events"][0].clone()
    };
    let ((damaged, name), _) = ask().await;
    assert!(damaged.is_empty() && !name.contains("INCOMPLETE"), "{damaged} {name}");
    let mut torn = whole.clone();
    torn.truncate(whole.len() / 2);
    let mut flipped = whole.clone();
    let at = whole.len() * 3 / 4;
    flipped[at] ^= 0x55;
    for (what, bytes, says) in [
        ("torn", Some(torn), "cannot be relied on"),
        ("flipped", Some(flipped), "cannot be relied on"),
        ("missing", None, "is missing; the sweep of"),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).expect("written"),
            None => std::fs::remove_file(&file).expect("removed"),
        }
        let ((damaged, name), rows) = ask().await;
        assert!(damaged.contains(says), "{what}: {damaged}");
        assert!(name.contains("-INCOMPLETE.jsonl"), "{what}: {name}");
        assert!(rows > 0 && rows < all.len() + 10, "{what}: {rows}");
        let event = last().await;
        assert_eq!(event["level"], "warn", "{event}");
        assert!(event["message"].to_string().contains("rows are lacking"), "{event}");
        assert_eq!(event["details"]["lacking"][0]["damage"], true, "{event}");
        let (code, out, err) = quarterdeck(&qd, "audit export --format jsonl").await;
        assert_eq!(code, 1, "{what}: {err}");
        assert!(err.contains("INCOMPLETE") && err.contains(says), "{what}: {err}");
        assert!(out.lines().count() >= rows, "{what}: what is there is given");
    }
    // A range that needs nothing of it is not concerned.
    let since = "since=".to_owned()
        + &qd
            .sql("strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-1 hours')")
            .replace(':', "%3A");
    let answer = qd.client.get(format!(
        "http://localhost/api/v1/export?what=events&format=jsonl&{since}"
    ));
    let answer = answer.send().await.expect("an answer");
    assert!(answer.headers().get("quarterdeck-damaged").is_none());
    qd.stop().await;
    let (code, _, err) = quarterdeck(&qd, "audit export --format jsonl").await;
    assert!(code == 1 && err.contains("is missing"), "at rest, too: {code} {err}");
}

#[tokio::test]
async fn retention_without_an_archive_is_said_too() {
    let (mut qd, clock) = past(&format!("{OPS}[retention]\narchive = false\n")).await;
    let last: i64 = qd.sql("SELECT max(id) FROM event_log").parse().expect("number");
    qd.stop().await;
    clock.is_off_by(0);
    alter(&qd, "DELETE FROM sweeps");
    qd.start_again().await;
    wait_for("the sweep", async || {
        (qd.sql("SELECT count(*) FROM sweeps") == "1").then_some(())
    })
    .await;
    let (code, out, err) = quarterdeck(&qd, "audit export --format jsonl").await;
    assert_eq!(code, 0, "that is as it was configured: {err}");
    assert!(err.contains("not kept:") && err.contains("without an archive"), "{err}");
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert!(ids(&lines).iter().all(|id| *id > last / 2), "{:?}", ids(&lines));
}

/// Events of last month, of the database's own making; the next start links them.
fn fill(qd: &Dashboard, events: i64) {
    let triggers = qd.sql(
        "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE name IN ('event_log_is_not_rewritten', 'event_log_is_linked_once')",
    );
    alter(
        qd,
        &format!(
            "DROP TRIGGER event_log_is_not_rewritten; DROP TRIGGER event_log_is_linked_once; DELETE FROM checkpoints; \
             UPDATE event_log SET timestamp = '2026-01-01 00:00:00.000000', link = zeroblob(32); \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events}) \
             INSERT INTO event_log (timestamp, category, level, actor, action, message) \
             SELECT '2026-01-01 00:00:01.' || printf('%06d', i), 'system', 'info', 'system', 'x', 'number ' || i FROM n; \
             DELETE FROM sweeps; {triggers};"
        ),
    );
}

#[tokio::test]
async fn an_export_beside_a_sweep_has_each_row_once() {
    const EVENTS: i64 = 12_000;
    let mut qd = Dashboard::start(OPS).await;
    qd.stop().await;
    fill(&qd, EVENTS);
    qd.start_again().await;
    let (mut exports, mut beside) = (0, 0);
    loop {
        let over = qd.sql("SELECT count(*) FROM sweeps") == "1";
        let left = || -> i64 {
            let left = qd.sql("SELECT count(*) FROM event_log WHERE message LIKE 'number %'");
            left.parse().expect("number")
        };
        let begun = left();
        let rows = lines(&qd, "what=events&action=x").await;
        if left() != begun {
            beside += 1;
        }
        exports += 1;
        let messages: BTreeSet<&str> = rows.iter().filter_map(|row| row["message"].as_str()).collect();
        assert_eq!(rows.len() as i64, EVENTS, "export {exports}: no repeat");
        assert_eq!(messages.len() as i64, EVENTS, "export {exports}: no gap");
        if over || exports == 50 {
            break;
        }
    }
    assert_eq!(
        qd.sql("SELECT count(*) FROM event_log WHERE message LIKE 'number %'"),
        "0"
    );
    eprintln!("{exports} exports, {beside} of them while rows went");
    assert!(beside > 0, "at least one was beside the sweep");
}
