//! SCENARIO 42: the clock of the dashboard's machine is set while it runs and while it is down. Hosts' clocks go on.

use std::fs;

use serde_json::{Value, json};

use crate::support::fake_clock::FakeClock;
use crate::support::{Dashboard, wait_for};

const HOUR: i64 = 3_600;
const YEAR: i64 = 366 * 24 * HOUR;

const OPS: &str = r#"
[probe]
interval = "0s"
[[op]]
id = "waits"
timeout = "30m"
warn_after = "20m"
script = "echo begun; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done"
"#;

/// What the clock of the database says, less what it says in truth, in hours.
async fn hours_off(qd: &Dashboard) -> i64 {
    let events = qd.events().await;
    let last = events.last().expect("events")["timestamp"]
        .as_str()
        .expect("time")
        .to_owned();
    let off = qd.sql(&format!(
        "SELECT CAST(round((julianday('{}') - julianday('now')) * 24) AS INTEGER)",
        last.trim_end_matches('Z')
    ));
    off.parse().expect("hours")
}

fn times(row: &Value) -> Vec<&str> {
    ["created_at", "started_at", "launched_at", "finished_at", "settled_at"]
        .iter()
        .filter_map(|column| row[*column].as_str())
        .collect()
}

/// No negative duration, every list newest first by id, no id twice.
async fn in_order(qd: &Dashboard) {
    let (_, page) = qd.get("/commands?limit=100").await;
    let rows = page["commands"].as_array().expect("rows");
    for row in rows {
        assert!(times(row).is_sorted(), "{row}");
    }
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().expect("id")).collect();
    assert!(ids.is_sorted_by(|newer, older| newer > older), "newest first: {ids:?}");
    assert_eq!(
        qd.sql("SELECT group_concat(id) FROM (SELECT id FROM commands ORDER BY rowid DESC)"),
        ids.join(","),
        "in the order in which they were asked for"
    );
    let events: Vec<i64> = qd
        .events()
        .await
        .iter()
        .map(|event| event["id"].as_i64().expect("id"))
        .collect();
    assert!(events.is_sorted_by(|a, b| a < b));
    assert_eq!(
        qd.sql("SELECT count(*) FROM commands WHERE finished_at < created_at OR started_at < created_at OR finished_at < started_at"),
        "0"
    );
}

async fn done(qd: &Dashboard) -> String {
    let id = qd.accepted("uptime", "localhost").await;
    assert_eq!(qd.until_final(&id).await["status"], "SUCCESS");
    id
}

#[tokio::test]
async fn s42_a_clock_set_while_ops_run_ends_none_and_turns_no_duration_round() {
    let mut qd = Dashboard::prepare(OPS);
    let clock = FakeClock::of(&mut qd);
    qd.start_again().await;
    for (hours, seconds) in [(-1, -HOUR), (YEAR / HOUR, YEAR), (0, 0)] {
        let _ = fs::remove_file(qd.path("home/go"));
        let id = qd.accepted("waits", "localhost").await;
        qd.until_output(&id, "begun").await;
        qd.until(&id, "its deadline", |row| !row["deadline"].is_null()).await;
        clock.is_off_by(seconds);
        // A change of the deadline makes the driver look at the clock, and the log shows which one it sees.
        let more = json!({ "for": "10m" });
        qd.done(&format!("/commands/{id}/extend"), &more).await;
        assert_eq!(hours_off(&qd).await, hours, "the dashboard believes it");
        let row = qd.command(&id).await;
        assert_eq!(
            (row["status"].as_str(), row["stop_reason"].as_str()),
            (Some("EXECUTING"), None),
            "a job's age is its host's: {row}"
        );
        assert!(row["warned_at"].is_null(), "{row}");
        fs::write(qd.path("home/go"), "").expect("go");
        let row = qd.until_final(&id).await;
        assert_eq!(row["status"], "SUCCESS", "{row}");
        done(&qd).await;
        in_order(&qd).await;
    }
}

#[tokio::test]
async fn s42_an_hour_back_over_a_restart_loses_nothing() {
    let mut qd = Dashboard::prepare(OPS);
    let clock = FakeClock::of(&mut qd);
    qd.start_again().await;
    done(&qd).await;
    let open = qd.accepted("waits", "localhost").await;
    qd.until_output(&open, "begun").await;
    qd.kill().await;
    clock.is_off_by(-HOUR);
    qd.start_again().await;
    qd.until_status(&open, "EXECUTING").await;
    fs::write(qd.path("home/go"), "").expect("go");
    assert_eq!(qd.until_final(&open).await["status"], "SUCCESS");
    done(&qd).await;
    in_order(&qd).await;
    let warned = qd
        .events()
        .await
        .into_iter()
        .any(|event| event["message"].to_string().contains("restored"));
    assert!(!warned, "a clock that was set back is no restored database");
}

async fn until_swept(qd: &Dashboard) {
    wait_for("the first sweep", async || {
        (qd.sql("SELECT count(*) FROM sweeps") != "0").then_some(())
    })
    .await;
}

async fn announced(qd: &Dashboard) -> usize {
    let events = qd.events().await;
    let warnings = events
        .iter()
        .filter(|event| event["action"] == "sweep" && event["level"] == "warn");
    warnings.count()
}

#[tokio::test]
async fn s42_a_year_forward_deletes_nothing_before_an_announced_hour() {
    let mut qd = Dashboard::prepare(OPS);
    let clock = FakeClock::of(&mut qd);
    qd.start_again().await;
    let id = done(&qd).await;
    until_swept(&qd).await;
    let first = qd.events().await[0]["id"].clone();
    qd.stop().await;

    clock.is_off_by(YEAR);
    qd.start_again().await;
    wait_for("the announcement", async || (announced(&qd).await == 1).then_some(())).await;
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 200);
    assert_eq!(qd.events().await[0]["id"], first, "no event is gone either");
    // Within the hour nothing is deleted, and it is not announced again.
    qd.stop().await;
    clock.is_off_by(YEAR + HOUR / 2);
    qd.start_again().await;
    done(&qd).await;
    assert_eq!(announced(&qd).await, 1);
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 200);
    qd.stop().await;
    clock.is_off_by(YEAR + HOUR);
    qd.start_again().await;
    wait_for("the sweep an hour later", async || {
        (qd.get(&format!("/commands/{id}")).await.0 == 404).then_some(())
    })
    .await;
    in_order(&qd).await;
}

#[tokio::test]
async fn s42_a_year_forward_and_corrected_within_the_hour_deletes_nothing() {
    let mut qd = Dashboard::prepare(OPS);
    let clock = FakeClock::of(&mut qd);
    qd.start_again().await;
    let id = done(&qd).await;
    until_swept(&qd).await;
    qd.stop().await;
    clock.is_off_by(YEAR);
    qd.start_again().await;
    wait_for("the announcement", async || (announced(&qd).await == 1).then_some(())).await;
    let ahead = done(&qd).await;
    qd.stop().await;
    clock.is_off_by(0);
    qd.start_again().await;
    done(&qd).await;
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 200);
    assert_eq!(qd.get(&format!("/commands/{ahead}")).await.0, 200);
    in_order(&qd).await;
    // A jump after that one was put right is another jump, with an hour of its own.
    qd.stop().await;
    clock.is_off_by(YEAR + 2 * HOUR);
    qd.start_again().await;
    wait_for("the second announcement", async || {
        (announced(&qd).await == 2).then_some(())
    })
    .await;
    assert_eq!(
        qd.get(&format!("/commands/{id}")).await.0,
        200,
        "nothing was deleted by the second jump"
    );
    // And so is one that follows within the hour.
    qd.stop().await;
    clock.is_off_by(2 * YEAR);
    qd.start_again().await;
    wait_for("the third announcement", async || {
        (announced(&qd).await == 3).then_some(())
    })
    .await;
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 200, "nor by the third");
}
