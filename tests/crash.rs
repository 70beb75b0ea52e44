//! SCENARIOS, "Crash and recovery": the dashboard is killed with SIGKILL and started again; the jobs
//! go on, and are settled with what their host says.

mod support;

use std::fs;

use serde_json::json;
use support::page::Browser;
use support::sshd::Sshd;
use support::{Dashboard, kill_hard, lines_of, processes_of, supervisor_of, wait_for};

/// Ops that leave a line in `$D/started` when they start, so that a second start would be seen.
fn config(qd_dir: &str, ssh: Option<&Sshd>) -> String {
    let ssh = ssh
        .map(|sshd| format!("[ssh]\nconfig_file = \"{}\"\n", sshd.ssh_config.display()))
        .unwrap_or_default();
    format!(
        r#"
{ssh}
[probe]
interval = "0s"

[[op]]
id = "counts"
script = """
echo "$QD_COMMAND" >> {qd_dir}/started
i=0
while [ ! -e {qd_dir}/go ]; do i=$((i+1)); echo "line $i"; sleep 0.05; done
echo "line last"
exit 7
"""

[[op]]
id = "ends"
script = """
echo "$QD_COMMAND" >> {qd_dir}/started
echo begun
while [ ! -e {qd_dir}/go ]; do sleep 0.05; done
echo ended
touch {qd_dir}/ended
exit 5
"""
"#
    )
}

/// A dashboard with one ssh host on a real sshd, and a folder that ops write to.
async fn with_ssh_host() -> (Dashboard, Sshd, tempfile::TempDir) {
    let sshd = Sshd::start();
    let marks = tempfile::tempdir().expect("folder");
    let qd = Dashboard::start(&config(&marks.path().display().to_string(), Some(&sshd))).await;
    qd.add_ssh("web-03", sshd.port, &[]).await;
    (qd, sshd, marks)
}

fn assert_no_gap(output: &str) {
    let lines: Vec<&str> = output.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let expected = if i + 1 == lines.len() {
            "line last".to_owned()
        } else {
            format!("line {}", i + 1)
        };
        assert_eq!(*line, expected, "no gap and no repeat");
    }
}

async fn until_more_output(qd: &Dashboard, id: &str) {
    let so_far = qd.output(id).await.len();
    wait_for("more output", async || {
        (qd.output(id).await.len() > so_far).then_some(())
    })
    .await;
}

async fn until_ended(marks: &tempfile::TempDir) {
    wait_for("the job's end", async || {
        marks.path().join("ended").exists().then_some(())
    })
    .await;
}

#[tokio::test]
async fn s13_a_job_that_still_runs_is_reattached() {
    for over_ssh in [false, true] {
        let (mut qd, _sshd, marks) = with_ssh_host().await;
        let host = if over_ssh { "web-03" } else { "localhost" };
        let id = qd.accepted("counts", host).await;
        qd.until_output(&id, "line 3").await;
        qd.kill().await;
        qd.start_again().await;
        let row = qd
            .until(&id, "being reattached", |row| row["status"] == "EXECUTING")
            .await;
        assert!(row["error"].is_null(), "{row}");
        until_more_output(&qd, &id).await;
        fs::write(marks.path().join("go"), "").expect("go");
        let row = qd.until_final(&id).await;
        assert_eq!(
            (row["status"].as_str(), row["exit_code"].as_i64()),
            (Some("ERROR"), Some(7)),
            "{row}"
        );
        assert_no_gap(&String::from_utf8_lossy(&qd.output(&id).await));
        assert_eq!(lines_of(&marks.path().join("started")), [id.as_str()], "started once");
        let recovery: Vec<_> = qd
            .events_of(&id)
            .await
            .into_iter()
            .filter(|e| e["action"] == "recovery")
            .collect();
        assert!(!recovery.is_empty(), "the orphaning is an event");
    }
}

#[tokio::test]
async fn s14_a_job_that_ended_meanwhile_is_settled_with_its_exit_code() {
    for over_ssh in [false, true] {
        let (mut qd, _sshd, marks) = with_ssh_host().await;
        let host = if over_ssh { "web-03" } else { "localhost" };
        let id = qd.accepted("ends", host).await;
        qd.until_output(&id, "begun").await;
        qd.kill().await;
        fs::write(marks.path().join("go"), "").expect("go");
        until_ended(&marks).await;
        qd.start_again().await;
        let row = qd.until_final(&id).await;
        assert_eq!(
            (row["status"].as_str(), row["exit_code"].as_i64()),
            (Some("ERROR"), Some(5)),
            "{row}"
        );
        assert!(
            row["settled_at"].as_str() > row["finished_at"].as_str(),
            "ended before we learned it: {row}"
        );
        assert_eq!(row["evidence"]["kind"], "exit");
        assert_eq!(qd.output(&id).await, b"begun\nended\n");
        assert_eq!(lines_of(&marks.path().join("started")), [id.as_str()], "started once");
    }
}

#[tokio::test]
async fn s15_an_unreachable_host_stays_locked_until_it_answers() {
    let (mut qd, mut sshd, marks) = with_ssh_host().await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    qd.kill().await;
    sshd.stop();
    qd.start_again().await;
    let row = qd
        .until(&id, "the host to be found unreachable", |row| {
            row["status"] == "ORPHANED"
                && row["error"]
                    .as_str()
                    .is_some_and(|error| error != "Dashboard restarted")
        })
        .await;
    assert!(row["finished_at"].is_null(), "open: {row}");
    let refused = qd.run("uptime", "web-03").await;
    assert_eq!(refused["refusal"], "busy", "the host is locked: {refused}");
    let (_, preview) = qd.get("/recovery").await;
    assert_eq!(
        preview["asked_again"][0]["id"],
        id.as_str(),
        "the next start asks again: {preview}"
    );
    sshd.again();
    fs::write(marks.path().join("go"), "").expect("go");
    qd.done(&format!("/commands/{id}/find-out"), &json!({})).await;
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["exit_code"].as_i64()),
        (Some("ERROR"), Some(5)),
        "{row}"
    );
    let asked = qd.events_of(&id).await.into_iter().find(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        event["category"] == "audit" && message.contains("asked web-03 again about ends")
    });
    assert!(asked.is_some(), "who asked is in the log");
}

#[tokio::test]
async fn s15_an_orphan_can_be_resolved_by_hand_with_a_reason() {
    let (mut qd, mut sshd, marks) = with_ssh_host().await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    qd.kill().await;
    sshd.stop();
    qd.start_again().await;
    qd.until_status(&id, "ORPHANED").await;
    let (status, _) = qd
        .post(&format!("/commands/{id}/resolve"), &json!({ "reason": " " }))
        .await;
    assert!((400..500).contains(&status), "a reason is needed");
    let burnt = json!({ "reason": "the machine burnt down" });
    qd.done(&format!("/commands/{id}/resolve"), &burnt).await;
    let row = qd.command(&id).await;
    assert_eq!(row["status"], "ORPHANED");
    assert!(!row["finished_at"].is_null());
    assert!(
        row["error"].as_str().expect("error").contains("the machine burnt down"),
        "{row}"
    );
    // The host is free in the journal, but its own lock still keeps a second job out.
    sshd.again();
    let next = qd.accepted("counts", "web-03").await;
    let row = qd.until_final(&next).await;
    assert_eq!(
        (row["status"].as_str(), row["refusal"].as_str()),
        (Some("BLOCKED"), Some("locked")),
        "{row}"
    );
    assert_eq!(lines_of(&marks.path().join("started")), [id.as_str()]);
    fs::write(marks.path().join("go"), "").expect("go");
    wait_for("the late result in the log", async || {
        let late = qd
            .events_of(&id)
            .await
            .into_iter()
            .find(|e| e["message"].as_str().unwrap_or_default().contains("exit 5"));
        late.map(|_| ())
    })
    .await;
    assert_eq!(qd.command(&id).await["status"], "ORPHANED", "the row does not change");
}

#[tokio::test]
async fn s16_a_killed_job_is_unknown_not_failed() {
    let (mut qd, _sshd, marks) = with_ssh_host().await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    qd.kill().await;
    kill_hard(&[supervisor_of(&qd.path("spool-web-03"), &id)]);
    kill_hard(&processes_of(&id));
    qd.start_again().await;
    let row = qd.until_final(&id).await;
    assert_eq!(row["status"], "ORPHANED", "{row}");
    assert_eq!(row["error"], "exit code lost");
    assert_eq!(lines_of(&marks.path().join("started")), [id.as_str()]);
}

#[tokio::test]
async fn s23_a_dead_supervisor_under_a_live_command_keeps_the_host_locked() {
    let (mut qd, _sshd, marks) = with_ssh_host().await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    qd.kill().await;
    kill_hard(&[supervisor_of(&qd.path("spool-web-03"), &id)]);
    qd.start_again().await;
    qd.until_status(&id, "EXECUTING").await;
    assert_eq!(qd.run("uptime", "web-03").await["refusal"], "busy");
    fs::write(marks.path().join("go"), "").expect("go");
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["error"].as_str()),
        (Some("ORPHANED"), Some("exit code lost")),
        "{row}"
    );
}

#[tokio::test]
async fn s18_a_second_recovery_changes_nothing() {
    let (mut qd, mut sshd, _marks) = with_ssh_host().await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    qd.kill().await;
    sshd.stop();
    qd.start_again().await;
    let count = async |qd: &Dashboard| {
        qd.events_of(&id)
            .await
            .iter()
            .filter(|e| e["action"] == "recovery")
            .count()
    };
    let first = count(&qd).await;
    assert!(first >= 1);
    let browser = Browser::signed_in(&qd).await;
    let (_, page) = browser.get(&format!("/commands/{id}")).await;
    assert!(
        page.contains("→ still being found out") && !page.contains("→ settled"),
        "{page}"
    );
    let below = page
        .split("id=\"following\"")
        .nth(1)
        .expect("the line below the output");
    let below = below.split_once("</p>").expect("its end").0;
    assert!(below.contains(">Reload to see more<"), "without the script: {below}");
    assert!(
        !below.contains("Following"),
        "nothing comes from a host that is away: {below}"
    );
    qd.kill().await;
    qd.start_again().await;
    assert_eq!(count(&qd).await, first, "nothing was reattached meanwhile");
    sshd.again();
    let wish = json!({ "reason": "test ends" });
    qd.done(&format!("/commands/{id}/cancel"), &wish).await;
    qd.post(&format!("/commands/{id}/find-out"), &json!({})).await;
    assert_eq!(qd.until_final(&id).await["status"], "CANCELLED");
}

#[tokio::test]
async fn s20_a_clean_stop_leaves_jobs_running_and_is_told_from_a_crash() {
    let (mut qd, _sshd, marks) = with_ssh_host().await;
    let id = qd.accepted("counts", "web-03").await;
    qd.until_output(&id, "line 2").await;
    let took = qd.stop().await;
    assert!(took.as_secs() < 10, "a quick exit, this one took {took:?}");
    qd.start_again().await;
    qd.until_status(&id, "EXECUTING").await;
    fs::write(marks.path().join("go"), "").expect("go");
    let row = qd.until_final(&id).await;
    assert_eq!(row["exit_code"], 7);
    assert_no_gap(&String::from_utf8_lossy(&qd.output(&id).await));
    let actions: Vec<_> = qd.events().await.into_iter().map(|e| e["action"].clone()).collect();
    assert!(
        actions.iter().any(|a| a == "stop") && !actions.iter().any(|a| a == "crash"),
        "{actions:?}"
    );
}

#[tokio::test]
async fn s21_a_second_dashboard_on_the_same_data_is_refused() {
    let qd = Dashboard::start("[probe]\ninterval = \"0s\"\n").await;
    let before = qd.events().await.len();
    let output = qd
        .program()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .output()
        .expect("it ends");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("another dashboard") || text.contains("already"), "{text}");
    assert_eq!(qd.events().await.len(), before, "nothing was touched");
}

#[tokio::test]
async fn s24_a_restored_database_resumes_nothing() {
    let (mut qd, _sshd, marks) = with_ssh_host().await;
    qd.stop().await;
    let data = qd.path("data");
    let backup = qd.path("backup.db");
    fs::copy(data.join("quarterdeck.db"), &backup).expect("backup");
    qd.start_again().await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    qd.stop().await;
    for part in ["quarterdeck.db", "quarterdeck.db-wal", "quarterdeck.db-shm"] {
        let _ = fs::remove_file(data.join(part));
    }
    fs::copy(&backup, data.join("quarterdeck.db")).expect("restored");
    qd.start_again().await;
    let events = qd.events().await;
    let told = events
        .iter()
        .any(|e| e["category"] == "audit" && e["message"].as_str().unwrap_or_default().contains("restored"));
    assert!(told, "an audit event says so: {events:#?}");
    assert!(
        data.join("output").join(&id).exists(),
        "no output of the lost time is deleted"
    );
    let row = qd.accepted("counts", "web-03").await;
    let row = qd.until_final(&row).await;
    assert_eq!(row["refusal"], "locked", "the host's own lock knows better: {row}");
    fs::write(marks.path().join("go"), "").expect("go");
    assert_eq!(lines_of(&marks.path().join("started")), [id.as_str()]);
    until_ended(&marks).await;
}

#[tokio::test]
async fn s25_a_wish_to_stop_survives_a_kill() {
    let (mut qd, mut sshd, _marks) = with_ssh_host().await;
    let id = qd.accepted("ends", "web-03").await;
    qd.until_output(&id, "begun").await;
    sshd.stop();
    let wish = json!({ "reason": "wrong host" });
    qd.done(&format!("/commands/{id}/cancel"), &wish).await;
    qd.kill().await;
    sshd.again();
    qd.start_again().await;
    let row = qd.until_final(&id).await;
    assert_eq!(row["status"], "CANCELLED", "{row}");
    assert!(row["stop_by"].as_str().expect("by whom").starts_with("local:"));
}

#[tokio::test]
async fn s31_a_dropped_connection_decides_nothing() {
    let (qd, mut sshd, marks) = with_ssh_host().await;
    let id = qd.accepted("counts", "web-03").await;
    qd.until_output(&id, "line 3").await;
    sshd.stop();
    qd.until(&id, "the loss to be noticed", |row| row["error"].as_str().is_some())
        .await;
    assert_eq!(
        qd.command(&id).await["status"],
        "EXECUTING",
        "no outcome from that alone"
    );
    sshd.again();
    qd.post(&format!("/commands/{id}/find-out"), &json!({})).await;
    until_more_output(&qd, &id).await;
    fs::write(marks.path().join("go"), "").expect("go");
    assert_eq!(qd.until_final(&id).await["exit_code"], 7);
    assert_no_gap(&String::from_utf8_lossy(&qd.output(&id).await));
}
