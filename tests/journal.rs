//! SCENARIOS, "Journal": what is journaled, refused and linked, through the API of a real dashboard.

mod support;

use serde_json::{Value, json};
use support::{Dashboard, id_of, wait_for};

const OPS: &str = r#"
[probe]
interval = "0s"

[[op]]
id = "fails"
script = "echo 'what went wrong' >&2; exit 3"
retryable = true

[[op]]
id = "waits"
script = "while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done"

[[op]]
id = "refused"
pre_check = "echo 'disk is nearly full'; exit 1"
script = "touch \"$HOME/was-started\""

[[op]]
id = "unneeded"
pre_check = "echo 'already there'; exit 10"
script = "touch \"$HOME/was-started\""

[[op]]
id = "unproved"
script = "true"
post_check = "echo 'the goal is not reached'; exit 4"

[[op]]
id = "environment"
script = "printf '%s %s' \"$QD_HOST\" \"$QD_COMMAND\""

[[op]]
id = "binary"
script = "head -c 300000 /dev/urandom > \"$HOME/bytes\"; cat \"$HOME/bytes\"; printf 'to stderr' >&2"
"#;

#[tokio::test]
async fn s01_an_op_is_journaled_from_pending_to_its_end() {
    let qd = Dashboard::start(OPS).await;
    let id = qd.accepted("uptime", "localhost").await;
    let row = qd.until_final(&id).await;
    assert_eq!(row["status"], "SUCCESS", "{row}\n{}", qd.log());
    assert_eq!(row["exit_code"], 0);
    assert_eq!(row["host"], "localhost");
    assert!(row["pipeline_id"].is_null());
    assert!(row["actor"].as_str().expect("actor").starts_with("local:"));
    let times: Vec<&str> = ["created_at", "started_at", "launched_at", "finished_at"]
        .iter()
        .map(|t| row[*t].as_str().expect("time"))
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(times.iter().all(|t| t.ends_with('Z')), "UTC: {times:?}");
    let output = qd.output(&id).await;
    assert!(String::from_utf8_lossy(&output).contains("load average"), "{output:?}");
    assert_eq!(row["output_bytes"], output.len());
    assert_eq!(row["output_sha256"], quarterdeck::domain::Digest::of(&output).as_str());
    let events = qd.events_of(&id).await;
    assert!(events.len() >= 3, "one event for each change: {events:#?}");
    assert!(events.iter().all(|event| event["action"] == "op:uptime"));
    assert_eq!(events.last().expect("last")["level"], "success");
}

#[tokio::test]
async fn s02_a_failure_keeps_its_exit_code_and_says_what_helps() {
    let qd = Dashboard::start(OPS).await;
    let row = qd.until_final(&qd.accepted("fails", "localhost").await).await;
    assert_eq!(
        (row["status"].as_str(), row["exit_code"].as_i64()),
        (Some("ERROR"), Some(3))
    );
    assert!(row["error"].as_str().expect("error").contains("exit 3"));
    assert_eq!(qd.output(&id_of(&row)).await, b"what went wrong\n");
}

#[tokio::test]
async fn s03_a_pre_check_decides_before_anything_is_sent() {
    let qd = Dashboard::start(OPS).await;
    let row = qd.until_final(&qd.accepted("refused", "localhost").await).await;
    assert_eq!(
        (row["status"].as_str(), row["refusal"].as_str()),
        (Some("BLOCKED"), Some("precheck"))
    );
    assert!(row["error"].as_str().expect("error").contains("disk is nearly full"));
    let row = qd.until_final(&qd.accepted("unneeded", "localhost").await).await;
    assert_eq!(row["status"], "SKIPPED");
    assert!(row["error"].as_str().expect("error").contains("not needed"));
    assert!(!qd.path("home/was-started").exists(), "nothing else was sent");
}

#[tokio::test]
async fn s04_a_busy_host_refuses_and_journals_the_refusal() {
    let qd = Dashboard::start(OPS).await;
    let first = qd.accepted("waits", "localhost").await;
    qd.until_status(&first, "EXECUTING").await;
    let (status, answer) = qd
        .post("/commands", &json!({ "op": "uptime", "hosts": ["localhost"] }))
        .await;
    assert_eq!(status, 409, "{answer}");
    let second = &answer["commands"][0];
    assert_eq!(
        (second["status"].as_str(), second["refusal"].as_str()),
        (Some("BLOCKED"), Some("busy"))
    );
    assert!(
        second["error"].as_str().expect("error").contains("waits"),
        "names what is in the way: {second}"
    );
    assert_eq!(
        qd.command(&first).await["status"],
        "EXECUTING",
        "the first is untouched"
    );
    std::fs::write(qd.path("home/go"), "").expect("go");
    assert_eq!(qd.until_final(&first).await["status"], "SUCCESS");
}

#[tokio::test]
async fn s05_of_fifty_parallel_requests_one_runs() {
    let qd = Dashboard::start(OPS).await;
    let body = json!({ "op": "waits", "hosts": ["localhost"] });
    let asked: Vec<_> = (0..50).map(|_| qd.post("/commands", &body)).collect();
    let answers = futures_util::future::join_all(asked).await;
    let accepted: Vec<&Value> = answers
        .iter()
        .filter(|(status, _)| *status == 202)
        .map(|(_, answer)| answer)
        .collect();
    assert_eq!(accepted.len(), 1, "exactly one is accepted");
    let blocked = qd.sql("SELECT count(*) FROM commands WHERE status = 'BLOCKED' AND refusal = 'busy'");
    assert_eq!(blocked, "49");
    std::fs::write(qd.path("home/go"), "").expect("go");
    let row = qd.until_final(&id_of(&accepted[0]["commands"][0])).await;
    assert_eq!(row["status"], "SUCCESS");
}

#[tokio::test]
async fn s06_the_same_host_twice_counts_once() {
    let qd = Dashboard::start(OPS).await;
    let (status, answer) = qd
        .post(
            "/commands",
            &json!({ "op": "uptime", "hosts": ["localhost", "localhost"] }),
        )
        .await;
    assert_eq!(status, 202);
    assert_eq!(answer["commands"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn s08_a_locked_database_loses_nothing() {
    use diesel::Connection as _;
    use diesel::connection::SimpleConnection as _;
    let qd = Dashboard::start(OPS).await;
    let file = qd.path("data/quarterdeck.db");
    let (held, is_held) = std::sync::mpsc::channel();
    let holder = std::thread::spawn(move || {
        let mut other = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
        other
            .batch_execute("PRAGMA busy_timeout=5000; BEGIN IMMEDIATE")
            .expect("locked");
        held.send(()).expect("sent");
        std::thread::sleep(std::time::Duration::from_secs(2));
        other.batch_execute("ROLLBACK").expect("released");
    });
    is_held.recv().expect("locked");
    let id = qd.accepted("uptime", "localhost").await;
    assert_eq!(qd.until_final(&id).await["status"], "SUCCESS");
    holder.join().expect("joined");
}

#[tokio::test]
async fn s10_what_cannot_be_taken_is_refused_without_a_row() {
    let qd = Dashboard::start(OPS).await;
    for (body, says) in [
        (json!({ "op": "uptine", "hosts": ["localhost"] }), "uptime"),
        (json!({ "op": "uptime", "hosts": ["nowhere"] }), "nowhere"),
        (json!({ "op": "uptime", "hosts": [] }), "host"),
        (json!({ "op": "uptime" }), "hosts"),
        (json!({ "op": "uptime", "hosts": ["localhost"], "reson": "x" }), "reson"),
        (json!("text"), ""),
    ] {
        let (status, answer) = qd.post("/commands", &body).await;
        assert!((400..500).contains(&status), "{status} {answer}");
        assert!(
            answer["detail"].as_str().unwrap_or_default().contains(says),
            "{says} in {answer}"
        );
    }
    assert_eq!(qd.sql("SELECT count(*) FROM commands"), "0");
    for path in [
        "/commands/nonsense",
        "/commands/01890000-0000-7000-8000-000000000000",
        "/hosts/nowhere",
    ] {
        let (status, _) = qd.get(path).await;
        assert!(status == 404 || status == 400, "{path}: {status}");
    }
}

#[tokio::test]
async fn s11_a_retry_is_a_new_row_linked_to_the_first() {
    let qd = Dashboard::start(OPS).await;
    let first = qd.accepted("fails", "localhost").await;
    qd.until_final(&first).await;
    let (status, answer) = qd
        .post(&format!("/commands/{first}/retry"), &json!({ "reason": "once more" }))
        .await;
    assert_eq!(status, 202, "{answer}");
    let retry = if answer["commands"].is_array() {
        answer["commands"][0].clone()
    } else {
        answer.clone()
    };
    assert_eq!(retry["retry_of"], first.as_str());
    qd.until_final(&id_of(&retry)).await;
    let fine = qd.accepted("uptime", "localhost").await;
    qd.until_final(&fine).await;
    let (status, _) = qd.post(&format!("/commands/{fine}/retry"), &json!({})).await;
    assert_eq!(status, 409, "what succeeded offers no retry");
    let unretryable = qd.accepted("unproved", "localhost").await;
    let row = qd.until_final(&unretryable).await;
    assert_eq!(
        (row["status"].as_str(), row["exit_code"].as_i64()),
        (Some("ERROR"), Some(0))
    );
    assert!(row["error"].as_str().expect("error").contains("post-check"));
    let (status, _) = qd.post(&format!("/commands/{unretryable}/retry"), &json!({})).await;
    assert_eq!(status, 409, "not marked retryable");
}

#[tokio::test]
async fn s12_a_host_with_something_open_stays_and_a_removed_one_keeps_its_history() {
    let qd = Dashboard::start(OPS).await;
    qd.add_local("web-1", &[]).await;
    let id = qd.accepted("waits", "web-1").await;
    let (status, answer) = qd.delete("/hosts/web-1").await;
    assert_eq!(status, 409, "{answer}");
    std::fs::write(qd.path("home/go"), "").expect("go");
    qd.until_final(&id).await;
    let (status, answer) = qd.delete("/hosts/web-1").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        qd.command(&id).await["host"],
        "web-1",
        "its commands still show under its name"
    );
    let (status, answer) = qd
        .post("/commands", &json!({ "op": "uptime", "hosts": ["web-1"] }))
        .await;
    assert_eq!(status, 409, "{answer}");
    assert_eq!(answer["commands"][0]["refusal"], "removed");
    qd.add_local("web-1", &[]).await;
    let (_, page) = qd.get("/commands?host=web-1").await;
    assert!(
        page["commands"].as_array().map(Vec::len) >= Some(2),
        "history is continuous: {page}"
    );
}

#[tokio::test]
async fn scripts_get_their_names_and_output_is_the_hosts_bytes() {
    let qd = Dashboard::start(OPS).await;
    let id = qd.accepted("environment", "localhost").await;
    qd.until_final(&id).await;
    assert_eq!(
        String::from_utf8_lossy(&qd.output(&id).await),
        format!("localhost {id}")
    );
    let id = qd.accepted("binary", "localhost").await;
    let row = qd.until_final(&id).await;
    let mut expected = std::fs::read(qd.path("home/bytes")).expect("bytes");
    expected.extend_from_slice(b"to stderr");
    assert_eq!(qd.output(&id).await, expected);
    assert_eq!(
        row["output_sha256"],
        quarterdeck::domain::Digest::of(&expected).as_str()
    );
}

#[tokio::test]
async fn every_system_event_is_in_the_log() {
    let mut qd = Dashboard::start(OPS).await;
    qd.post("/hosts", &json!({ "name": "web-1", "local": true })).await;
    qd.post("/hosts/web-1/test", &json!({})).await;
    qd.delete("/hosts/web-1").await;
    qd.stop().await;
    qd.start_again().await;
    qd.kill().await;
    qd.start_again().await;
    let actions: Vec<String> = qd
        .events()
        .await
        .iter()
        .map(|event| event["action"].as_str().unwrap_or_default().to_owned())
        .collect();
    for action in ["start", "stop", "crash", "host:add", "host:test", "host:remove"] {
        assert!(actions.iter().any(|a| a == action), "{action} in {actions:?}");
    }
    assert_eq!(
        actions.iter().filter(|a| *a == "crash").count(),
        1,
        "a clean stop is no crash: {actions:?}"
    );
    wait_for("readiness", async || {
        let ready = reqwest::get(format!("{}/readyz", qd.url))
            .await
            .expect("an answer")
            .status();
        ready.is_success().then_some(())
    })
    .await;
}
