//! SCENARIOS 9 and 16: results that come late, hosts that were rebooted while nobody looked, jobs that were killed.

use std::fs;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};

use crate::support::cli::quarterdeck;
use crate::support::page::Browser;
use crate::support::sshd::Sshd;
use crate::support::{Dashboard, FakeBoot, kill_hard, lines_of, processes_of, supervisor_of, wait_for};

fn config(sshd: &Sshd) -> String {
    format!(
        r#"
{}
[[op]]
id = "ends"
script = """
echo "$QD_COMMAND" >> {d}/started
echo begun
while [ ! -e {d}/go ]; do sleep 0.05; done
echo ended
exit 5
"""
[[op]]
id = "marks"
script = "echo $QD_COMMAND >> {d}/marks"
"#,
        sshd.config(),
        d = sshd.dir.path().display()
    )
}

async fn with_host(sshd: &Sshd) -> Dashboard {
    let qd = Dashboard::start(&config(sshd)).await;
    qd.add_ssh("web-03", sshd.port, &[]).await;
    qd
}

/// The row as it stands in the journal, every column but what its host said after the end.
fn whole_row(qd: &Dashboard, id: &str) -> String {
    let columns = qd
        .sql("SELECT group_concat(quote(name), ', ') FROM pragma_table_info('commands') WHERE name NOT LIKE 'late_%'");
    let list: Vec<String> = columns
        .split(", ")
        .map(|name| format!("quote({})", name.trim_matches('\'')))
        .collect();
    qd.sql(&format!(
        "SELECT {} FROM commands WHERE id = '{id}'",
        list.join(" || ' ' || ")
    ))
}

async fn late(qd: &Dashboard, id: &str) -> Vec<Value> {
    let events = qd.events_of(id).await;
    events
        .into_iter()
        .filter(|event| event["details"]["late"] == true)
        .collect()
}

#[tokio::test]
async fn s09_a_late_result_changes_no_outcome_and_is_noted_once() {
    let mut sshd = Sshd::start();
    let mut qd = with_host(&sshd).await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    sshd.stop();
    qd.until(&id, "the loss to be noticed", |row| row["error"].is_string())
        .await;
    qd.kill().await;
    qd.start_again().await;
    qd.until_status(&id, "ORPHANED").await;
    let sold = json!({ "reason": "sold" });
    qd.done(&format!("/commands/{id}/resolve"), &sold).await;
    let resolved = whole_row(&qd, &id);
    // A second verdict by hand is refused as well.
    let (status, _) = qd
        .post(&format!("/commands/{id}/resolve"), &json!({ "reason": "burnt" }))
        .await;
    assert_eq!(status, 409);
    fs::write(sshd.dir.path().join("go"), "").expect("go");
    sshd.again();
    qd.post(&format!("/commands/{id}/find-out"), &json!({})).await;
    let noted = wait_for("the late result in the log", async || {
        let found = late(&qd, &id).await;
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(noted[0]["details"]["evidence"]["code"], 5, "{noted:?}");
    assert_eq!(whole_row(&qd, &id), resolved, "what it says of the end does not change");
    // Whoever reads the result reads both.
    let row = qd.command(&id).await;
    assert_eq!(row["late_word"], "exit 5", "{row}");
    let browser = Browser::signed_in(&qd).await;
    for place in [format!("/commands/{id}"), "/history".to_owned()] {
        let (_, page) = browser.get(&place).await;
        assert!(page.contains("; the host said later: exit 5 ("), "{place}: {page}");
    }
    for words in [format!("show {id}"), "history".to_owned()] {
        let (_, out, err) = quarterdeck(&qd, &words).await;
        assert!(out.contains("the host said later: exit 5"), "{words}: {out}{err}");
    }
    let (code, out, err) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 0, "the row is sealed again: {out}{err}");
    // The repeat: after another restart, and when somebody asks, nothing is said a second time.
    qd.kill().await;
    qd.start_again().await;
    qd.post(&format!("/commands/{id}/find-out"), &json!({})).await;
    let next = qd.accepted("marks", "web-03").await;
    assert_eq!(qd.until_final(&next).await["status"], "SUCCESS", "its host is free");
    assert_eq!(late(&qd, &id).await.len(), 1);
    assert_eq!(whole_row(&qd, &id), resolved);
    // Once its event is past its time, it is not said again as if it were new.
    qd.kill().await;
    let file = qd.path("data/quarterdeck.db");
    let mut journal = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    let sweep = format!(
        "DROP TRIGGER event_log_is_only_swept; DELETE FROM event_log WHERE command_id = '{id}' AND details LIKE '%late%'"
    );
    journal.batch_execute(&sweep).expect("swept");
    drop(journal);
    qd.start_again().await;
    let next = qd.accepted("marks", "web-03").await;
    assert_eq!(qd.until_final(&next).await["status"], "SUCCESS");
    assert_eq!(late(&qd, &id).await.len(), 0);
}

#[tokio::test]
async fn s16_a_host_that_rebooted_while_nobody_looked_leaves_an_unknown_outcome() {
    let boot = FakeBoot::new("11111111-1111-4111-8111-111111111111");
    let mut sshd = boot.sshd();
    let mut qd = with_host(&sshd).await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    qd.kill().await;
    // The reboot: nothing of the job lives on, and the boot has another id. Its spool is still there.
    sshd.stop();
    let spool = qd.path("spool-web-03");
    kill_hard(&[supervisor_of(&spool, &id)]);
    kill_hard(&processes_of(&id));
    boot.becomes("22222222-2222-4222-8222-222222222222");
    sshd.again();
    qd.start_again().await;
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["error"].as_str()),
        (Some("ORPHANED"), Some("host rebooted")),
        "{row}"
    );
    assert!(row["exit_code"].is_null() && !row["settled_at"].is_null(), "{row}");
    assert_eq!(qd.output(&id).await, b"begun\n", "what was seen of it is kept");
    let events = qd.events_of(&id).await;
    let last = events.last().expect("an event");
    assert!(
        last["details"]["evidence"]["kind"].is_string() && last.to_string().contains("host rebooted"),
        "its event says from what: {last}"
    );
    let next = qd.accepted("marks", "web-03").await;
    assert_eq!(qd.until_final(&next).await["status"], "SUCCESS", "its host is free");
    assert_eq!(
        lines_of(&sshd.dir.path().join("started")),
        [id.as_str()],
        "started once"
    );
}

#[tokio::test]
async fn s16_a_job_that_ended_before_the_reboot_has_its_outcome() {
    let boot = FakeBoot::new("33333333-3333-4333-8333-333333333333");
    let mut sshd = boot.sshd();
    let mut qd = with_host(&sshd).await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    qd.kill().await;
    fs::write(sshd.dir.path().join("go"), "").expect("go");
    wait_for("the job's end", async || processes_of(&id).is_empty().then_some(())).await;
    let supervisor = supervisor_of(&qd.path("spool-web-03"), &id);
    wait_for("its supervisor's end", async || {
        (!fs::exists(format!("/proc/{supervisor}")).unwrap_or(true)).then_some(())
    })
    .await;
    sshd.stop();
    boot.becomes("44444444-4444-4444-8444-444444444444");
    sshd.again();
    qd.start_again().await;
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["exit_code"].as_i64()),
        (Some("ERROR"), Some(5)),
        "{row}"
    );
    assert_eq!(qd.output(&id).await, b"begun\nended\n");
}

#[tokio::test]
async fn s16_a_script_killed_meanwhile_is_settled_as_its_supervisor_says() {
    let sshd = Sshd::start();
    let mut qd = with_host(&sshd).await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    qd.kill().await;
    let supervisor = supervisor_of(&qd.path("spool-web-03"), &id);
    let own: Vec<i32> = processes_of(&id).into_iter().filter(|pid| *pid != supervisor).collect();
    kill_hard(&own);
    wait_for("the supervisor to record it", async || {
        (!fs::exists(format!("/proc/{supervisor}")).unwrap_or(true)).then_some(())
    })
    .await;
    qd.start_again().await;
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["exit_code"].as_i64()),
        (Some("ERROR"), Some(137)),
        "the host reported the signal: {row}"
    );
    assert!(
        row["error"].as_str().is_some_and(|error| error.contains("signal 9")),
        "{row}"
    );
}
