//! SCENARIO 43: 100,000 events and 20,000 commands, most of them past their time. No stopwatch: who waits for whom is
//! read from the order of the log.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::{Dashboard, chain, wait_for};

const QUIET: &str = "[probe]\ninterval = \"0s\"\n";
const HOSTS: usize = 5;
const EVENTS: usize = 100_000;
const COMMANDS: usize = 20_000;
/// One row in so many is young.
const YOUNG: usize = 20;
const PAGE: usize = 100;

/// Fills a journal, in one transaction: old rows, and a young one after each 19 of them. The next start chains them, and
/// vouches for them, as it finds them.
fn fill(data: &Path) {
    let back = |young: &str, old: &str| {
        format!("strftime('%Y-%m-%d %H:%M:%f000', 'now', iif(i % {YOUNG} = 0, '-{young}', '-{old}'))")
    };
    let rows =
        |count: usize| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})");
    let host = format!("(SELECT id FROM hosts WHERE hostname = 'h' || (i / {YOUNG} % {HOSTS}))");
    chain::forget(
        data,
        &format!(
            "PRAGMA busy_timeout = 10000;
             BEGIN IMMEDIATE;
             {n} INSERT INTO commands (id, host_id, op, status, created_at, started_at, finished_at, settled_at, exit_code,
                     error, actor, definition)
                 SELECT printf('01890000-%04x-7000-8000-%012x', i / 10, i), {host},
                     CASE i / {YOUNG} % 2 WHEN 0 THEN 'uptime' ELSE 'update' END,
                     CASE i / {YOUNG} % 3 WHEN 0 THEN 'ERROR' ELSE 'SUCCESS' END, {t}, {t}, {t}, {t}, 0,
                     CASE i / {YOUNG} % 3 WHEN 0 THEN 'it failed' END, 'user:alice',
                     (SELECT sha256 FROM definitions LIMIT 1) FROM n;
             {e} INSERT INTO event_log (timestamp, category, level, actor, host_id, action, message, command_id)
                 SELECT {et}, CASE i / {YOUNG} % 3 WHEN 0 THEN 'audit' WHEN 1 THEN 'system' ELSE 'error' END,
                     CASE i / {YOUNG} % 4 WHEN 0 THEN 'info' WHEN 1 THEN 'warn' WHEN 2 THEN 'error' ELSE 'success' END,
                     'user:alice', {host}, CASE i / {YOUNG} % 2 WHEN 0 THEN 'op:uptime' ELSE 'op:update' END,
                     'row ' || i, iif(i <= {COMMANDS}, printf('01890000-%04x-7000-8000-%012x', i / 10, i), NULL) FROM n;
             COMMIT",
            n = rows(COMMANDS),
            e = rows(EVENTS),
            t = back("5 days", "40 days"),
            et = back("2 days", "10 days"),
        ),
    );
}

/// A filter, what it is asked of, and what each row then has.
const FILTERS: &[(&str, &str, &str, &str)] = &[
    ("/events", "category=system", "category", "system"),
    ("/events", "level=warn", "level", "warn"),
    ("/events", "actor=user:alice", "actor", "user:alice"),
    ("/events", "action=op:update", "action", "op:update"),
    ("/events", "host=h2", "host", "h2"),
    ("/events", "level=error&category=audit", "category", "audit"),
    ("/events", "since=2020-01-01", "", ""),
    ("/commands", "status=SUCCESS", "status", "SUCCESS"),
    ("/commands", "status=ERROR", "status", "ERROR"),
    ("/commands", "op=update", "op", "update"),
    ("/commands", "host=h1", "host", "h1"),
    ("/commands", "actor=user:alice", "actor", "user:alice"),
    ("/commands", "op=update&status=SUCCESS", "op", "update"),
    ("/commands", "until=2100-01-01", "", ""),
];

async fn every_filter_answers_with_a_full_page(qd: &Dashboard) {
    for (path, filter, column, expected) in FILTERS {
        let (status, page) = qd.get(&format!("{path}?{filter}&limit={PAGE}")).await;
        assert_eq!(status, 200, "{filter}: {page}");
        let rows = page[&path[1..]].as_array().expect("rows");
        assert_eq!(rows.len(), PAGE, "{path}?{filter}");
        assert!(!page["next"].is_null(), "{path}?{filter} goes on");
        for row in rows.iter().filter(|_| !column.is_empty()) {
            assert_eq!(row[*column], *expected, "{path}?{filter}: {row}");
        }
    }
}

/// Pages through all events of a filter, backwards: no id twice, each older than the one before.
async fn page_through(qd: &Dashboard, filter: &str) -> BTreeSet<i64> {
    let mut seen = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = qd.get(&format!("/events?{filter}&limit=1000{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        for row in page["events"].as_array().expect("rows") {
            let id = row["id"].as_i64().expect("id");
            assert!(seen.first().is_none_or(|oldest| id < *oldest), "no gap, no repeat");
            seen.insert(id);
        }
        let Some(next) = page["next"].as_i64() else { return seen };
        cursor = format!("&cursor={next}");
    }
}

fn id_of_event(events: &[Value], words: &str) -> i64 {
    let event = events.iter().find(|event| event["message"].to_string().contains(words));
    event.unwrap_or_else(|| panic!("an event with “{words}”"))["id"]
        .as_i64()
        .expect("id")
}

#[tokio::test]
async fn s43_a_large_sweep_lets_ops_and_pages_through() {
    let mut qd = Dashboard::start(QUIET).await;
    for i in 0..HOSTS {
        qd.add_local(&format!("h{i}"), &[]).await;
    }
    let first = qd.accepted("uptime", "localhost").await;
    qd.until_final(&first).await;
    qd.stop().await;
    fill(&qd.path("data"));
    let young = "SELECT count(*) FROM event_log WHERE message LIKE 'row %' AND timestamp > strftime('%Y-%m-%d', 'now', '-7 days')";
    let young: usize = qd.sql(young).parse().expect("number");
    assert_eq!(young, EVENTS / YOUNG);

    // The newest success of each op on each host stays, however old.
    let kept = "SELECT count(*) FROM commands WHERE id IN (SELECT max(id) FROM commands WHERE status = 'SUCCESS' \
                GROUP BY host_id, op) AND settled_at < strftime('%Y-%m-%d %H:%M:%f', 'now', '-30 days')";
    let kept: usize = qd.sql(kept).parse().expect("number");

    // The start sweeps. Ops, filters and pages while it goes on; each round begins only when the one before has ended.
    qd.start_again().await;
    let removed = "SELECT details FROM event_log WHERE action = 'sweep' AND message LIKE 'Removed by age%'";
    let mut ops = Vec::new();
    while qd.sql(&format!("SELECT count(*) FROM ({removed})")) == "0" {
        let id = qd.accepted("uptime", "localhost").await;
        assert_eq!(qd.until_final(&id).await["status"], "SUCCESS");
        ops.push(id);
        every_filter_answers_with_a_full_page(&qd).await;
        assert!(page_through(&qd, "actor=user:alice&level=success").await.len() >= young / 4 - 1);
    }
    let swept: Value = serde_json::from_str(&qd.sql(removed)).expect("JSON");
    assert_eq!(swept["events"], EVENTS - EVENTS / YOUNG, "{swept}");
    assert_eq!(swept["commands"], COMMANDS - COMMANDS / YOUNG - kept, "{swept}");

    let events = qd.events().await;
    let (begun, done) = (
        id_of_event(&events, "A sweep begins"),
        id_of_event(&events, "Removed by age"),
    );
    let whole = ops.iter().filter(|id| {
        let of: Vec<i64> = events
            .iter()
            .filter(|event| event["command_id"] == id.as_str())
            .map(|event| event["id"].as_i64().expect("id"))
            .collect();
        of.iter().all(|id| (begun..done).contains(id))
    });
    let whole = whole.count();
    assert!(whole >= 1, "an op begins and ends within the sweep ({} ran)", ops.len());
    eprintln!("{whole} ops ran from their beginning to their end within the sweep");

    every_filter_answers_with_a_full_page(&qd).await;
    assert_eq!(
        page_through(&qd, "actor=user:alice").await.len(),
        young,
        "every young event is there"
    );
    // After the last piece.
    wait_for("the space to be given back", async || {
        (qd.sql("SELECT freelist_count FROM pragma_freelist_count") == "0").then_some(())
    })
    .await;
    assert_eq!(qd.sql("SELECT count(*) FROM pragma_foreign_key_check"), "0");
    assert_eq!(
        qd.sql("SELECT integrity_check FROM pragma_integrity_check LIMIT 1"),
        "ok"
    );
}
