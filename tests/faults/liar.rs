//! Hosts that do not tell the truth: a script writes into its own job's folder what its supervisor never would.

use serde_json::{Value, json};

use crate::support::page::Browser;
use crate::support::sshd::Sshd;
use crate::support::{Dashboard, wait_for};

/// In a script, `$0` lies in the job's folder.
fn config(sshd: &Sshd) -> String {
    format!(
        r#"
{}
[jobs]
output_limit = "1MiB"
[[op]]
id = "floods"
script = """
head -c 5000000 /dev/zero >> "${{0%/*}}/out"
while [ ! -e {d}/go ]; do sleep 0.05; done
"""
[[op]]
id = "marks"
script = 'cd "${{0%/*}}" && mv nostop stop.cancel; exit 3'
[[op]]
id = "marks-and-succeeds"
script = 'cd "${{0%/*}}" && mv nostop stop.timeout'
[[op]]
id = "is-old"
timeout = "30m"
on_timeout = "attend"
script = """
cd "${{0%/*}}"
while [ ! -e {d}/go ]; do sleep 0.05; done
"""
[[op]]
id = "took-long"
script = 'cd "${{0%/*}}" && mv state exit.0.-.100000000000000.-7.-.whole; sleep 1'
[[op]]
id = "true"
script = "true"
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

fn go(sshd: &Sshd) {
    std::fs::write(sshd.dir.path().join("go"), "").expect("go");
}

async fn messages(qd: &Dashboard, id: &str) -> Vec<String> {
    let events = qd.events_of(id).await;
    let text = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
    events.iter().map(text).collect()
}

#[tokio::test]
async fn a_host_that_cuts_nothing_fills_no_disk() {
    let sshd = Sshd::start();
    let mut qd = with_host(&sshd).await;
    let id = qd.accepted("floods", "web-03").await;
    let row = qd
        .until(&id, "the cut", |row| {
            row["output_cut"] == true || !row["finished_at"].is_null()
        })
        .await;
    assert_eq!(row["status"], "EXECUTING", "the op goes on: {row}");
    let kept = || {
        std::fs::metadata(qd.path(&format!("data/output/{id}")))
            .expect("output")
            .len()
    };
    assert_eq!(kept(), 1 << 20);
    // What comes after another start is no more.
    qd.kill().await;
    qd.start_again().await;
    qd.until_status(&id, "EXECUTING").await;
    go(&sshd);
    let row = qd.until_final(&id).await;
    assert_eq!(
        (
            row["status"].as_str(),
            row["output_cut"].as_bool(),
            row["output_bytes"].as_i64()
        ),
        (Some("SUCCESS"), Some(true), Some(1 << 20)),
        "{row}"
    );
    let said = messages(&qd, &id).await;
    let cut = said
        .iter()
        .filter(|text| text.contains("it is cut there, and the op goes on"));
    assert_eq!(cut.count(), 1, "{said:#?}");
    let (status, shown) = Browser::signed_in(&qd).await.get(&format!("/commands/{id}")).await;
    assert!(status == 200 && shown.contains("more output than the limit"), "{shown}");
}

#[tokio::test]
async fn a_stop_marker_that_nobody_asked_for_makes_no_cancellation() {
    let sshd = Sshd::start();
    let qd = with_host(&sshd).await;
    for (op, status) in [("marks", "ERROR"), ("marks-and-succeeds", "SUCCESS")] {
        let id = qd.accepted(op, "web-03").await;
        let row = qd.until_final(&id).await;
        assert_eq!(row["status"], status, "{row}");
        assert!(row["stop_by"].is_null() && row["stop_reason"].is_null(), "{row}");
        assert!(row["evidence"]["stopped"].is_string(), "the host's word is kept: {row}");
        let said = messages(&qd, &id).await;
        let last = said.last().expect("an event");
        assert!(
            last.contains("a stop marker lay in its folder, though nobody"),
            "{last}"
        );
    }
}

#[tokio::test]
async fn ages_and_durations_that_no_job_can_have_are_not_believed() {
    let sshd = Sshd::start();
    let qd = with_host(&sshd).await;
    let id = qd.accepted("is-old", "web-03").await;
    qd.until(&id, "the acknowledgement", |row| !row["launched_at"].is_null())
        .await;
    let folder = qd.command(&id).await["spool"].as_str().expect("a folder").to_owned();
    let run = std::fs::read_dir(&folder)
        .expect("the job's folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with("run."))
        .expect("its start");
    let words: Vec<&str> = run.split('.').collect();
    // As if it had begun 292 million years ago: what follows it again hears that at once.
    let old = format!("run.{}.{}.-9223372000000000000", words[1], words[2]);
    std::fs::rename(format!("{folder}/{run}"), format!("{folder}/{old}")).expect("rename");
    sshd.drop_connections();
    let row = qd
        .until(&id, "its time to be up", |row| !row["overdue_at"].is_null())
        .await;
    assert_eq!(row["status"], "EXECUTING", "{row}");
    go(&sshd);
    let row = qd.until_final(&id).await;
    assert_eq!(row["status"], "SUCCESS", "it has a driver to its end: {row}");
    let took = qd.sql(&format!(
        "SELECT CAST((julianday(finished_at) - julianday(started_at)) * 86400 AS INTEGER) FROM commands WHERE id = '{id}'"
    ));
    assert!(took.parse::<i64>().expect("seconds") < 3_600, "{took} s");

    let id = qd.accepted("took-long", "web-03").await;
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), &row["evidence"]["left_behind"]),
        (Some("SUCCESS"), &json!(0)),
        "{row}"
    );
    let times = qd.sql(&format!(
        "SELECT finished_at < datetime('now', '+1 hour') FROM commands WHERE id = '{id}'"
    ));
    assert_eq!(times, "1", "{row}");
    let panicked = qd.log().contains("panicked");
    assert!(!panicked, "{}", qd.log());
    wait_for("the host to be free", async || {
        let row = qd.run("true", "web-03").await;
        row["finished_at"].is_null().then_some(())
    })
    .await;
}
