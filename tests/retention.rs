//! SCENARIOS, "Retention and time", through a real dashboard: rows are aged in the database while it
//! is down, and what is left is looked at while it is up.

mod support;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use support::cli::{json, quarterdeck};
use support::{Dashboard, chain, wait_for};

/// `three` fails: the newest success of an op on a host would stay.
const QUIET: &str = "[probe]\ninterval = \"0s\"\n[[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n";

fn alter(qd: &Dashboard, sql: &str) {
    let file = qd.path("data/quarterdeck.db");
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    connection.batch_execute("PRAGMA busy_timeout=5000").expect("patience");
    // Events are not rewritten, but a test has to move them into the past.
    let triggers = "DROP TRIGGER IF EXISTS event_log_is_not_rewritten;";
    connection.batch_execute(triggers).expect("allowed");
    connection.batch_execute(sql).expect("altered");
}

/// Moves the times of all final commands and of their events `days` into the past, while no dashboard runs: the next start
/// chains them, and vouches for rows, as it finds them.
fn age_everything(qd: &Dashboard, days: i64) {
    let back = |column: &str| format!("{column} = strftime('%Y-%m-%d %H:%M:%f000', {column}, '-{days} days')");
    let columns = ["created_at", "started_at", "launched_at", "finished_at", "settled_at"]
        .map(back)
        .join(", ");
    chain::forget(
        &qd.path("data"),
        &format!(
            "UPDATE commands SET {columns} WHERE finished_at IS NOT NULL; UPDATE event_log SET {}; \
             UPDATE event_log SET details = json_remove(details, '$.record', '$.records') WHERE details IS NOT NULL",
            back("timestamp")
        ),
    );
}

async fn ended(qd: &Dashboard, op: &str) -> String {
    let id = qd.accepted(op, "localhost").await;
    qd.until_final(&id).await;
    id
}

/// Says that sweeps have been going on all the time, so that the guard against clock jumps is content.
fn forget_the_last_sweep(qd: &Dashboard) {
    alter(qd, "DELETE FROM sweeps;");
}

#[tokio::test]
async fn s38_final_rows_past_the_limit_go_and_their_files_with_them() {
    let mut qd = Dashboard::start(QUIET).await;
    let old = ended(&qd, "three").await;
    qd.stop().await;
    age_everything(&qd, 31);
    forget_the_last_sweep(&qd);
    qd.start_again().await;
    let young = ended(&qd, "uptime").await;
    wait_for("the sweep", async || {
        (qd.get(&format!("/commands/{old}")).await.0 == 404).then_some(())
    })
    .await;
    assert_eq!(qd.command(&young).await["status"], "SUCCESS");
    wait_for("its output to go", async || {
        (!qd.path(&format!("data/output/{old}")).exists()).then_some(())
    })
    .await;
    assert!(qd.path(&format!("data/output/{young}")).exists());
    let events = qd.events().await;
    let sweep = events
        .iter()
        .find(|event| event["action"] == "sweep")
        .expect("a sweep is an event");
    assert!(sweep["details"].to_string().contains("commands"), "{sweep}");
    assert!(
        events.iter().all(|event| event["command_id"] != old.as_str()),
        "its events are past 7 days"
    );
}

#[tokio::test]
async fn s38_open_rows_stay_whatever_their_age() {
    let config =
        format!("{QUIET}[[op]]\nid = \"waits\"\nscript = \"while [ ! -e \\\"$HOME/go\\\" ]; do sleep 0.05; done\"\n");
    let mut qd = Dashboard::start(&config).await;
    let open = qd.accepted("waits", "localhost").await;
    qd.until(&open, "its start", |row| !row["launched_at"].is_null()).await;
    qd.kill().await;
    alter(
        &qd,
        "UPDATE commands SET created_at = '2020-01-01 00:00:00.000000', started_at = '2020-01-01 00:00:01.000000', launched_at = '2020-01-01 00:00:02.000000'",
    );
    forget_the_last_sweep(&qd);
    qd.start_again().await;
    let (status, _) = qd.post("/sweep", &serde_json::json!({})).await;
    assert!((200..300).contains(&status));
    assert!(qd.command(&open).await["finished_at"].is_null());
    std::fs::write(qd.path("home/go"), "").expect("go");
    let row = qd.until_final(&open).await;
    assert!(
        row["finished_at"].as_str() >= row["started_at"].as_str(),
        "no negative duration: {row}"
    );
}

#[tokio::test]
async fn s40_limits_that_make_no_sense_are_refused_at_start() {
    let qd = Dashboard::start(QUIET).await;
    for value in ["0", "-1", "\"abc\"", "99999999999", "3651", "1.5"] {
        let file = qd.path("bad.toml");
        std::fs::write(
            &file,
            format!(
                "data_dir = \"{}\"\n[retention]\nevents_days = {value}\n",
                qd.path("other").display()
            ),
        )
        .expect("config");
        let output = qd
            .program_with(&file)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .output();
        let output = output.expect("it ends");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{value}: {text}");
        assert!(text.contains("events_days"), "{value}: {text}");
        assert!(!qd.path("other").exists(), "nothing was made");
    }
}

#[tokio::test]
async fn s41_the_zone_of_the_machine_changes_nothing() {
    for zone in ["America/New_York", "Asia/Kolkata", "Europe/Vienna"] {
        let mut qd = Dashboard::start(QUIET).await;
        let id = ended(&qd, "uptime").await;
        qd.stop().await;
        // Exactly at the edge of 30 days less a minute: whoever counts in local time deletes it.
        let edge = "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-30 days', '+1 minutes')";
        alter(
            &qd,
            &format!(
                "UPDATE commands SET created_at = {edge}, started_at = {edge}, launched_at = {edge}, finished_at = {edge}, settled_at = {edge}"
            ),
        );
        forget_the_last_sweep(&qd);
        qd.zone = Some(zone.to_owned());
        qd.start_again().await;
        let (status, _) = qd.post("/sweep", &serde_json::json!({})).await;
        assert!((200..300).contains(&status));
        assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 200, "{zone}: it stays");
    }
}

#[tokio::test]
async fn s42_a_clock_that_jumps_is_announced_before_anything_is_deleted() {
    let mut qd = Dashboard::start(QUIET).await;
    let id = ended(&qd, "three").await;
    wait_for("the first sweep", async || {
        (qd.sql("SELECT count(*) FROM sweeps") != "0").then_some(())
    })
    .await;
    qd.stop().await;
    age_everything(&qd, 31);
    // As if the last sweep had been a month ago: the clock went forward by that much since.
    alter(
        &qd,
        "UPDATE sweeps SET events_before = strftime('%Y-%m-%d %H:%M:%f000', events_before, '-40 days'), commands_before = strftime('%Y-%m-%d %H:%M:%f000', commands_before, '-40 days')",
    );
    qd.start_again().await;
    wait_for("the announcement", async || {
        let events = qd.events().await;
        events
            .iter()
            .any(|e| e["action"] == "sweep" && e["level"] == "warn")
            .then_some(())
    })
    .await;
    assert_eq!(
        qd.get(&format!("/commands/{id}")).await.0,
        200,
        "nothing was deleted by the jump"
    );
    let sweep = async || qd.post("/sweep", &serde_json::json!({})).await.1;
    let asked = sweep().await;
    assert!(
        asked["postponed_until"].is_string(),
        "asking for it is no way around: {asked}"
    );
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 200);
    alter(
        &qd,
        "UPDATE sweeps SET swept_at = strftime('%Y-%m-%d %H:%M:%f000', swept_at, '-2 hours'); \
         UPDATE event_log SET timestamp = strftime('%Y-%m-%d %H:%M:%f000', timestamp, '-61 minutes') WHERE action = 'sweep' AND level = 'warn'",
    );
    let asked = sweep().await;
    assert!(asked["postponed_until"].is_null(), "an hour later it is done: {asked}");
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 404);
}

#[tokio::test]
async fn output_that_a_cut_off_sweep_left_goes_with_the_next_but_not_after_a_restore() {
    let mut qd = Dashboard::start(QUIET).await;
    let id = ended(&qd, "uptime").await;
    qd.stop().await;
    // An id of 2024: one that no row has any more, and one whose row stays.
    let (gone, kept) = (
        "01900000-0000-7000-8000-000000000000",
        "01900000-0000-7000-8000-000000000001",
    );
    let file = |name: &str| qd.path(&format!("data/output/{name}"));
    std::fs::rename(file(&id), file(kept)).expect("renamed");
    for name in [gone, "notes.txt"] {
        std::fs::write(file(name), "x").expect("written");
    }
    alter(
        &qd,
        &format!(
            "UPDATE event_log SET command_id = NULL; UPDATE commands SET id = '{kept}', output_file = 'output/{kept}'; \
             UPDATE instance SET restored_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')"
        ),
    );
    let (gone, kept, notes) = (file(gone), file(kept), file("notes.txt"));
    qd.start_again().await;
    let (status, _) = qd.post("/sweep", &serde_json::json!({})).await;
    assert!((200..300).contains(&status));
    assert!(gone.exists(), "the lost rows of a restored database may have had it");
    alter(&qd, "UPDATE instance SET restored_at = NULL");
    let (status, _) = qd.post("/sweep", &serde_json::json!({})).await;
    assert!((200..300).contains(&status));
    assert!(!gone.exists());
    assert!(
        kept.exists() && notes.exists(),
        "only what has no row and the name of an output"
    );
    let said = qd.events().await;
    assert!(
        said.iter()
            .any(|e| e["message"].as_str().unwrap_or_default().contains("1 output file"))
    );
}

#[tokio::test]
async fn a_sweep_that_fails_is_an_event_and_not_each_time_anew() {
    let mut qd = Dashboard::start(QUIET).await;
    let id = ended(&qd, "three").await;
    qd.stop().await;
    age_everything(&qd, 31);
    forget_the_last_sweep(&qd);
    alter(
        &qd,
        "CREATE TRIGGER stuck BEFORE DELETE ON commands BEGIN SELECT RAISE(ABORT, 'stuck on purpose'); END",
    );
    qd.start_again().await;
    let failures = async || {
        let events = qd.events().await;
        let failed =
            |e: &&serde_json::Value| e["action"] == "sweep" && e["category"] == "error" && e["level"] == "error";
        events.iter().filter(failed).count()
    };
    wait_for("the failure", async || (failures().await > 0).then_some(())).await;
    for _ in 0..2 {
        let (status, answer) = qd.post("/sweep", &serde_json::json!({})).await;
        assert!(status >= 400, "{answer}");
    }
    assert_eq!(failures().await, 1);
    alter(&qd, "DROP TRIGGER stuck");
    let (status, answer) = qd.post("/sweep", &serde_json::json!({})).await;
    assert!((200..300).contains(&status), "{answer}");
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 404);
}

#[tokio::test]
async fn s39_an_old_pipeline_with_a_young_command_stays_and_the_command_with_it() {
    let config = format!(
        "{QUIET}[[op]]\nid = \"fine\"\nscript = \"exit 1\"\n[[pipeline]]\nid = \"all\"\nops = [\"fine\", \"fine\"]\n"
    );
    let mut qd = Dashboard::start(&config).await;
    let mut pipelines = Vec::new();
    for _ in 0..2 {
        let started = json(&qd, "pipeline start all --host localhost").await;
        pipelines.push(started[0]["id"].as_str().expect("id").to_owned());
        wait_for("the pipeline's end", async || {
            (qd.sql("SELECT count(*) FROM pipelines WHERE finished_at IS NULL") == "0").then_some(())
        })
        .await;
    }
    let [mixed, old] = [&pipelines[0], &pipelines[1]];
    let alone = ended(&qd, "three").await;
    let ids = qd.sql(&format!(
        "SELECT group_concat(id) FROM commands WHERE pipeline_id = '{mixed}'"
    ));
    let ids: Vec<&str> = ids.split(',').collect();
    assert_eq!(ids.len(), 2);
    qd.stop().await;
    let young = qd.sql(&format!("SELECT max(id) FROM commands WHERE pipeline_id = '{mixed}'"));
    let times = qd.sql(&format!("SELECT settled_at FROM commands WHERE id = '{young}'"));
    age_everything(&qd, 31);
    alter(
        &qd,
        &format!(
            "UPDATE commands SET finished_at = '{times}', settled_at = '{times}' WHERE id = '{young}';
             UPDATE pipelines SET created_at = strftime('%Y-%m-%d %H:%M:%f000', created_at, '-31 days'),
                 finished_at = strftime('%Y-%m-%d %H:%M:%f000', finished_at, '-31 days');"
        ),
    );
    forget_the_last_sweep(&qd);
    qd.start_again().await;
    let (code, out, err) = quarterdeck(&qd, "sweep").await;
    assert_eq!(code, 0, "{out}{err}");
    // The start's own sweep may have been the first to remove what is old: what is left is what counts.
    wait_for("what is old to go", async || {
        (qd.get(&format!("/commands/{alone}")).await.0 == 404).then_some(())
    })
    .await;
    for id in &ids {
        let row = qd.command(id).await;
        assert_eq!(row["pipeline_id"], mixed.as_str(), "old and young stay together: {row}");
    }
    assert_eq!(qd.get(&format!("/pipelines/{mixed}")).await.0, 200);
    assert_eq!(
        qd.get(&format!("/pipelines/{old}")).await.0,
        404,
        "one that is old as a whole goes"
    );
    for dangling in [
        "SELECT count(*) FROM pragma_foreign_key_check",
        "SELECT count(*) FROM commands WHERE pipeline_id IS NOT NULL AND pipeline_id NOT IN (SELECT id FROM pipelines)",
        "SELECT count(*) FROM event_log WHERE command_id IS NOT NULL AND command_id NOT IN (SELECT id FROM commands)",
        "SELECT count(*) FROM event_log WHERE pipeline_id IS NOT NULL AND pipeline_id NOT IN (SELECT id FROM pipelines)",
    ] {
        assert_eq!(qd.sql(dangling), "0", "{dangling}");
    }
    let (_, out, _) = quarterdeck(&qd, "sweep").await;
    assert!(out.contains("nothing was past its retention"), "{out}");
}
