//! Somebody without the key leaves in the database what a sweep would leave, and waits for the dashboard to sign it.

use quarterdeck::domain::{Digest, Link};
use serde_json::{Value, json};

use crate::journal::{edit, found_in, journal};
use crate::support::cli::quarterdeck;
use crate::support::fake_clock::FakeClock;
use crate::support::{Dashboard, wait_for};

const COLUMNS: &str =
    "id, timestamp, category, level, actor, host_id, action, message, details, command_id, pipeline_id";

fn link(hex: &str) -> Link {
    serde_json::from_value(json!(hex.to_lowercase())).expect("a link")
}

fn row_hash(columns: &Value) -> Link {
    let text = |value: &Value| {
        let plain = value.as_str().map(str::to_owned);
        (!value.is_null()).then(|| plain.unwrap_or_else(|| value.to_string()))
    };
    let texts: Vec<Option<String>> = columns.as_array().expect("columns").iter().take(11).map(text).collect();
    Link::of_row(texts.iter().map(Option::as_deref))
}

/// A failed command becomes a success; its events become hashes, what they said of it the digest of the lie.
fn laundering(qd: &Dashboard) -> String {
    let id = qd.sql("SELECT id FROM commands WHERE op = 'three' AND pipeline_id IS NULL");
    let record = qd.sql(&format!(
        "SELECT details ->> '$.record' FROM event_log WHERE command_id = '{id}' AND details ->> '$.record' IS NOT NULL ORDER BY id DESC LIMIT 1"
    ));
    let mut record: Value = serde_json::from_str(&record).expect("a record");
    record["status"] = "SUCCESS".into();
    record["exit_code"] = 0.into();
    record.as_object_mut().expect("columns").remove("error");
    let mut edits = format!("UPDATE commands SET status = 'SUCCESS', exit_code = 0, error = NULL WHERE id = '{id}';");
    let events = qd.sql(&format!(
        "SELECT json_group_array(json_array({COLUMNS}, hex(link))) FROM event_log WHERE command_id = '{id}'"
    ));
    for event in serde_json::from_str::<Vec<Value>>(&events).expect("events") {
        edits += &format!(
            "INSERT INTO swept_events (id, row_hash, link) VALUES ({n}, x'{}', x'{}'); DELETE FROM event_log WHERE id = {n};",
            row_hash(&event),
            event[11].as_str().expect("link"),
            n = event[0],
        );
    }
    let digest = Digest::of(record.to_string().as_bytes());
    edits + &format!("INSERT INTO sealed (what, digest) VALUES ('{id}', '{digest}');")
}

/// The event with which a sweep begins, well chained.
fn beginning(qd: &Dashboard) -> String {
    let last = qd.sql("SELECT max(id) FROM event_log").parse::<i64>().expect("number");
    let before = link(&qd.sql(&format!("SELECT hex(link) FROM event_log WHERE id = {last}")));
    let details = json!({"events_before": "2099-01-01 00:00:00.000000", "commands_before": null}).to_string();
    let (n, at) = (last + 1, "2026-11-23 12:00:00.000000");
    let event = json!([
        n,
        at,
        "system",
        "info",
        "system",
        null,
        "retention",
        "A sweep begins",
        details,
        null,
        null
    ]);
    format!(
        "INSERT INTO event_log ({COLUMNS}, link) VALUES ({n}, '{at}', 'system', 'info', 'system', NULL, 'retention', \
         'A sweep begins', '{details}', NULL, NULL, x'{}');",
        before.next(row_hash(&event))
    )
}

async fn said(qd: &Dashboard, what: &str) {
    wait_for(what, async || {
        let like = format!("SELECT count(*) FROM event_log WHERE action = 'tampered' AND message LIKE '%{what}%'");
        (qd.sql(&like) == "1").then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_sweep_signs_for_hashes_and_digests_that_no_sweep_left() {
    for with_beginning in [true, false] {
        let mut qd = journal().await;
        let database = qd.path("data/quarterdeck.db");
        let mut edits = laundering(&qd);
        if with_beginning {
            edits += &beginning(&qd);
        }
        edit(&database, &edits);
        let (code, text, _) = quarterdeck(&qd, "audit verify").await;
        assert_eq!(code, 1, "{text}");
        found_in(&text, "the table swept_events");
        found_in(&text, "the table sealed");
        qd.start_again().await;
        said(&qd, "no sweep took").await;
        qd.stop().await;
        let (code, text, _) = quarterdeck(&qd, "audit verify").await;
        assert_eq!(code, 1, "{text}");
        found_in(&text, "the dashboard itself found");
        // All of it is past its time, and a real sweep goes over it, twice: it still does not sign, and what was said stays.
        let clock = FakeClock::of(&mut qd);
        for (round, days) in [(1, 20), (2, 40)] {
            clock.is_off_by(days * 86_400);
            edit(&database, "DELETE FROM sweeps");
            qd.start_again().await;
            wait_for("the sweep's checkpoint", async || {
                (qd.sql("SELECT count(*) FROM checkpoints WHERE kind = 'sweep'") == round.to_string()).then_some(())
            })
            .await;
            qd.stop().await;
            let (code, text, _) = quarterdeck(&qd, "audit verify").await;
            assert_eq!(code, 1, "{text}");
            found_in(&text, "the dashboard itself found");
            found_in(&text, "it refused to sign");
        }
        said(&qd, "no sweep took").await;
        // Nor is it forgotten when somebody takes that event away as a sweep would.
        let event = qd.sql("SELECT max(id) FROM event_log WHERE action = 'tampered'");
        edit(
            &database,
            &format!(
                "INSERT INTO swept_events (id, row_hash, link) SELECT id, link, link FROM event_log WHERE id = {event}; \
                 DELETE FROM event_log WHERE id = {event}"
            ),
        );
        let (code, text, _) = quarterdeck(&qd, "audit verify").await;
        assert_eq!(code, 1, "{text}");
        found_in(&text, "the newest sweep names it");
    }
}

#[tokio::test]
async fn a_piece_that_the_dashboard_did_not_sign_is_none() {
    let qd = journal().await;
    let database = qd.path("data/quarterdeck.db");
    let line = json!({"dashboard": qd.sql("SELECT dashboard_id FROM instance"), "id": 0, "kind": "hour"}).to_string();
    edit(
        &database,
        &format!("INSERT INTO sweep_pieces (line) VALUES ('{line}'); {}", laundering(&qd)),
    );
    let (code, text, _) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 1, "{text}");
    found_in(&text, "piece 1 is none that the dashboard signed");
    found_in(&text, "the table sealed");
}
