//! SCENARIOS, "Time-outs and kill": what stops a job, and what proves it.

mod support;

use serde_json::{Value, json};
use support::sshd::Sshd;
use support::{Dashboard, FakeBoot, processes_of, wait_for};

const OPS: &str = r#"
[probe]
interval = "0s"

[jobs]
kill_grace = "1s"

[[op]]
id = "overlong"
timeout = "1s"
script = "echo begun; sleep 300 & sleep 300"

[[op]]
id = "attended"
timeout = "1s"
on_timeout = "attend"
script = "echo begun; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done"

[[op]]
id = "warned"
timeout = "60s"
warn_after = "1s"
script = "while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done"

[[op]]
id = "stubborn"
script = "trap '' TERM; echo begun; sh -c 'trap \"\" TERM; while :; do sleep 1; done' & while :; do sleep 1; done"

[[op]]
id = "waits"
timeout = "60s"
script = "echo begun; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done"
"#;

async fn nothing_left(id: &str) {
    wait_for("the job's processes to be gone", async || {
        processes_of(id).is_empty().then_some(())
    })
    .await;
}

fn proof(events: &[Value]) -> Option<&Value> {
    events.iter().find(|event| event["details"]["gone"] == true)
}

#[tokio::test]
async fn s28_an_op_over_its_time_is_stopped_and_the_proof_is_journaled() {
    let qd = Dashboard::start(OPS).await;
    let id = qd.accepted("overlong", "localhost").await;
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["stop_reason"].as_str()),
        (Some("TIMEOUT"), Some("timeout")),
        "{row}"
    );
    assert_eq!(row["exit_code"], 143);
    assert!(processes_of(&id).is_empty(), "the whole group is gone by then");
    let events = qd.events_of(&id).await;
    let said = proof(&events).and_then(|event| event["message"].as_str());
    let verified = "nothing in its process groups and sessions is alive, nor any process";
    assert!(said.is_some_and(|said| said.contains(verified)), "{events:#?}");
}

#[tokio::test]
async fn s28_an_attended_op_is_overdue_and_never_stopped() {
    let qd = Dashboard::start(OPS).await;
    let id = qd.accepted("attended", "localhost").await;
    let row = qd.until(&id, "being overdue", |row| !row["overdue_at"].is_null()).await;
    assert_eq!(row["status"], "EXECUTING");
    assert_eq!(
        qd.run("uptime", "localhost").await["refusal"],
        "busy",
        "the host stays locked"
    );
    std::fs::write(qd.path("home/go"), "").expect("go");
    assert_eq!(qd.until_final(&id).await["status"], "SUCCESS");
}

#[tokio::test]
async fn s28_a_time_out_waits_for_an_unreachable_host() {
    let mut sshd = Sshd::start();
    let ops = format!(
        "{OPS}\n[ssh]\nconfig_file = \"{}\"\nconnect_timeout = \"2s\"\n",
        sshd.ssh_config.display()
    );
    let qd = Dashboard::start(&ops).await;
    qd.add_ssh("web-1", sshd.port, &[]).await;
    let id = qd.accepted("overlong", "web-1").await;
    qd.until_output(&id, "begun").await;
    sshd.stop();
    let row = qd
        .until(&id, "the loss to be noticed", |row| row["error"].as_str().is_some())
        .await;
    assert!(row["finished_at"].is_null(), "still open: {row}");
    sshd.again();
    qd.post(&format!("/commands/{id}/find-out"), &json!({})).await;
    let row = qd.until_final(&id).await;
    assert_eq!(row["status"], "TIMEOUT", "{row}");
    nothing_left(&id).await;
}

#[tokio::test]
async fn a_long_op_is_announced_once_over_restarts_too() {
    let mut qd = Dashboard::start(OPS).await;
    let id = qd.accepted("warned", "localhost").await;
    qd.until(&id, "the announcement", |row| !row["warned_at"].is_null())
        .await;
    qd.kill().await;
    qd.start_again().await;
    qd.until_status(&id, "EXECUTING").await;
    std::fs::write(qd.path("home/go"), "").expect("go");
    qd.until_final(&id).await;
    let warnings = qd
        .events_of(&id)
        .await
        .into_iter()
        .filter(|e| e["message"].as_str().unwrap_or_default().contains("longer than"));
    assert_eq!(warnings.count(), 1);
}

#[tokio::test]
async fn s29_a_cancelled_op_is_gone_and_says_who_and_why() {
    let qd = Dashboard::start(OPS).await;
    let id = qd.accepted("waits", "localhost").await;
    qd.until_output(&id, "begun").await;
    let wish = json!({ "reason": "wrong host" });
    qd.done(&format!("/commands/{id}/cancel"), &wish).await;
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["stop_reason"].as_str()),
        (Some("CANCELLED"), Some("cancel")),
        "{row}"
    );
    assert!(row["stop_by"].as_str().expect("by whom").starts_with("local:"));
    nothing_left(&id).await;
    let events = qd.events_of(&id).await;
    assert!(
        proof(&events).is_some() && events.iter().any(|e| e.to_string().contains("wrong host")),
        "{events:#?}"
    );
    let (status, _) = qd.post(&format!("/commands/{id}/cancel"), &json!({})).await;
    assert_eq!(status, 409, "there is nothing to stop any more");
}

#[tokio::test]
async fn s29_a_cancel_at_the_very_end_leaves_one_final_status() {
    let qd = Dashboard::start(OPS).await;
    for _ in 0..10 {
        let _ = std::fs::remove_file(qd.path("home/go"));
        let id = qd.accepted("waits", "localhost").await;
        qd.until_output(&id, "begun").await;
        std::fs::write(qd.path("home/go"), "").expect("go");
        let (status, _) = qd
            .post(&format!("/commands/{id}/cancel"), &json!({ "reason": "race" }))
            .await;
        assert!((200..300).contains(&status) || status == 409);
        let row = qd.until_final(&id).await;
        let status = row["status"].as_str().expect("status").to_owned();
        assert!(status == "SUCCESS" || status == "CANCELLED", "{row}");
        // Its host is free again, and its end is journaled once.
        let ends = qd
            .events_of(&id)
            .await
            .into_iter()
            .filter(|e| e["details"]["status"] == status.as_str())
            .count();
        assert!(ends <= 1, "one end");
    }
}

#[tokio::test]
async fn s30_what_ignores_term_is_killed_with_its_children() {
    let qd = Dashboard::start(OPS).await;
    let id = qd.accepted("stubborn", "localhost").await;
    qd.until_output(&id, "begun").await;
    qd.post(&format!("/commands/{id}/cancel"), &json!({})).await;
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["exit_code"].as_i64()),
        (Some("CANCELLED"), Some(137)),
        "{row}"
    );
    assert!(processes_of(&id).is_empty());
    let events = qd.events_of(&id).await;
    let steps = proof(&events).expect("proof")["details"]["steps"].to_string();
    assert!(steps.contains("TERM") && steps.contains("KILL"), "{steps}");
}

#[tokio::test]
async fn more_time_can_be_given() {
    let qd = Dashboard::start(
        &OPS.replace("timeout = \"60s\"", "timeout = \"3s\"")
            .replace("warn_after = \"1s\"\n", ""),
    )
    .await;
    let id = qd.accepted("waits", "localhost").await;
    qd.until_output(&id, "begun").await;
    let row = qd.until(&id, "its deadline", |row| !row["deadline"].is_null()).await;
    let before = row["deadline"].as_str().expect("deadline").to_owned();
    let more = json!({ "for": "10m" });
    qd.done(&format!("/commands/{id}/extend"), &more).await;
    assert!(qd.command(&id).await["deadline"].as_str() > Some(before.as_str()));
    std::fs::write(qd.path("home/go"), "").expect("go");
    assert_eq!(qd.until_final(&id).await["status"], "SUCCESS");
}

#[tokio::test]
async fn s32_a_reboot_succeeds_when_the_host_is_back_with_another_boot() {
    let boot = FakeBoot::new("11111111-1111-4111-8111-111111111111");
    let mut sshd = boot.sshd();
    let ops = format!(
        r#"
{}
[[op]]
id = "restart"
expect = "reboot"
timeout = "60s"
script = "echo going down"
post_check = "echo back"
[[op]]
id = "restart-in-vain"
expect = "reboot"
timeout = "2s"
script = "echo going down"
"#,
        sshd.config()
    );
    let qd = Dashboard::start(&ops).await;
    qd.add_ssh("web-1", sshd.port, &[]).await;
    let id = qd.accepted("restart", "web-1").await;
    qd.until_output(&id, "going down").await;
    sshd.stop();
    qd.until(&id, "the host to be gone", |row| row["error"].as_str().is_some())
        .await;
    boot.becomes("22222222-2222-4222-8222-222222222222");
    sshd.again();
    qd.post(&format!("/commands/{id}/find-out"), &json!({})).await;
    let row = qd.until_final(&id).await;
    assert_eq!(row["status"], "SUCCESS", "{row}");
    assert!(row["error"].is_null());
    let id = qd.accepted("restart-in-vain", "web-1").await;
    let row = qd.until_final(&id).await;
    assert_eq!(row["status"], "TIMEOUT", "never another boot: {row}");
    let id = qd.accepted("uptime", "web-1").await;
    assert_eq!(
        qd.until_final(&id).await["status"],
        "SUCCESS",
        "the host is usable afterwards"
    );
}
