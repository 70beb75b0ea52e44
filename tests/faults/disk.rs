//! SCENARIOS 7 and 26: a journal that cannot be written starts nothing, and whoever is told something finds it so.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::disk::SmallDisk;
use crate::support::{Dashboard, id_of, lines_of, wait_for};

/// Ops that leave a line where they start, off the small disk; `waits` ends when told to.
const OPS: &str = r#"
[probe]
interval = "0s"
[[op]]
id = "marks"
script = "echo $QD_COMMAND >> \"$HOME/started\""
[[op]]
id = "waits"
script = "echo $QD_COMMAND >> \"$HOME/started\"; echo begun; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done; seq 500; exit 6"
"#;

async fn add_host(qd: &Dashboard, name: &str) -> (u16, Value) {
    let host = json!({ "name": name, "local": true, "spool": qd.path(&format!("spool-{name}")) });
    qd.post("/hosts", &host).await
}

async fn readiness(qd: &Dashboard) -> (u16, String) {
    let answer = reqwest::get(format!("{}/readyz", qd.url)).await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

#[tokio::test]
async fn s07_below_the_mark_nothing_new_is_begun_and_what_runs_comes_to_its_end() {
    let (disk, mut qd) = SmallDisk::with_dashboard(32, &format!("low_space = \"8MB\"\n{OPS}"));
    qd.start_again().await;
    add_host(&qd, "web-1").await;
    add_host(&qd, "web-2").await;
    let id = qd.accepted("waits", "web-1").await;
    qd.until_output(&id, "begun").await;
    assert_eq!(readiness(&qd).await.0, 200);
    disk.fill(7_000_000);
    let (status, answer) = qd
        .post("/commands", &json!({ "op": "marks", "hosts": ["web-2"] }))
        .await;
    assert_eq!(status, 503, "{answer}");
    let text = answer["detail"].as_str().expect("a text");
    assert!(text.contains("MB are free") && text.contains("make room"), "{text}");
    let (status, text) = readiness(&qd).await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("free") || text.contains("space"), "it says why: {text}");
    let (_, page) = qd.get("/commands").await;
    assert_eq!(page["commands"].as_array().map(Vec::len), Some(1), "no row: {page}");
    // The room that is kept is for what runs.
    fs::write(qd.path("home/go"), "").expect("go");
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["exit_code"].as_i64()),
        (Some("ERROR"), Some(6)),
        "{row}"
    );
    assert_eq!(lines_of(&qd.path("home/started")), [id.as_str()], "nothing was sent");
    disk.empty();
    assert_eq!(readiness(&qd).await.0, 200);
    let id = qd.accepted("marks", "web-2").await;
    assert_eq!(qd.until_final(&id).await["status"], "SUCCESS");
}

#[tokio::test]
async fn s07_s26_on_a_full_disk_whoever_is_told_something_finds_it_so() {
    let (disk, mut qd) = SmallDisk::with_dashboard(12, &format!("low_space = 0\n{OPS}"));
    qd.start_again().await;
    for i in 0..6 {
        let (status, answer) = add_host(&qd, &format!("web-{i}")).await;
        assert_eq!(status, 201, "{answer}");
    }
    let running = qd.accepted("waits", "web-0").await;
    qd.until_output(&running, "begun").await;
    // What the journal needs to write one row, it has: the disk runs full in the midst of its work.
    disk.fill(200_000);
    // Many at once share commits; they go on until the journal has no more room, and a while longer.
    let mut done = BTreeSet::new();
    let mut failed = BTreeSet::new();
    let mut started = BTreeSet::from([running.clone()]);
    let mut refused_ops = 0;
    for round in 0.. {
        assert!(round < 60, "the disk is full, and yet everything is written");
        let names: Vec<String> = (0..24).map(|i| format!("new-{round}-{i}")).collect();
        let op = json!({ "op": "marks", "hosts": [format!("web-{}", 1 + round % 5)] });
        let (answers, op) = tokio::join!(
            futures_util::future::join_all(names.iter().map(|name| add_host(&qd, name))),
            qd.post("/commands", &op)
        );
        for (name, (status, answer)) in names.into_iter().zip(answers) {
            match status {
                201 => done.insert(name),
                503 => {
                    assert!(
                        answer["detail"].as_str().is_some_and(|text| text.len() > 20),
                        "{answer}"
                    );
                    failed.insert(name)
                }
                _ => panic!("{status}: {answer}"),
            };
        }
        match op.0 {
            202 => started.insert(id_of(&op.1["commands"][0])),
            409 => false,
            503 => {
                refused_ops += 1;
                false
            }
            status => panic!("{status}: {}", op.1),
        };
        if refused_ops >= 3 && failed.len() > 48 {
            break;
        }
    }
    assert!(!done.is_empty(), "the first found room");
    let (status, text) = readiness(&qd).await;
    assert_eq!(status, 503, "readiness is red: {text}");
    // The running op ends while nothing can be written: its outcome waits in its spool.
    fs::write(qd.path("home/go"), "").expect("go");
    wait_for("the op's own end", async || {
        fs::read_dir(qd.path("spool-web-0"))
            .is_ok_and(|mut dashboards| dashboards.any(|dashboard| has_exit(&dashboard.expect("entry").path())))
            .then_some(())
    })
    .await;
    assert!(qd.command(&running).await["finished_at"].is_null(), "open");

    disk.empty();
    let row = qd.until_final(&running).await;
    assert_eq!(
        (row["status"].as_str(), row["exit_code"].as_i64()),
        (Some("ERROR"), Some(6)),
        "{row}"
    );
    let whole: String = std::iter::once("begun".to_owned())
        .chain((1..=500).map(|i| i.to_string()))
        .map(|line| line + "\n")
        .collect();
    assert_eq!(String::from_utf8_lossy(&qd.output(&running).await), whole);
    for id in &started {
        qd.until_final(id).await;
    }
    wait_for("readiness", async || (readiness(&qd).await.0 == 200).then_some(())).await;
    let (_, hosts) = qd.get("/hosts").await;
    let there: BTreeSet<String> = hosts["hosts"]
        .as_array()
        .expect("hosts")
        .iter()
        .map(|host| host["hostname"].as_str().expect("name").to_owned())
        .filter(|name| name.starts_with("new-"))
        .collect();
    assert_eq!(
        there, done,
        "who was told “done” finds it, who was told “failed” does not"
    );
    qd.stop().await;
    assert_eq!(disk.sql("SELECT * FROM pragma_integrity_check LIMIT 1"), "ok");
    let alarms = disk.sql("SELECT count(*) FROM event_log WHERE action = 'tampered'");
    assert_eq!(alarms, "0", "a commit that failed is no change by somebody else");
    let rows = disk.sql("SELECT count(*) FROM commands WHERE status != 'BLOCKED'");
    assert_eq!(rows, started.len().to_string(), "no row of an op that was answered 503");
    let marks = lines_of(&qd.path("home/started"));
    let unique: BTreeSet<String> = marks.iter().cloned().collect();
    assert_eq!(marks.len(), unique.len(), "none started twice");
    assert!(unique.is_subset(&started), "none started that is not journaled");
}

fn has_exit(dashboard: &std::path::Path) -> bool {
    let jobs = fs::read_dir(dashboard).into_iter().flatten().filter_map(Result::ok);
    jobs.flat_map(|job| fs::read_dir(job.path()).into_iter().flatten().filter_map(Result::ok))
        .any(|file| file.file_name().to_string_lossy().starts_with("exit."))
}

#[tokio::test]
async fn s07_a_data_folder_that_cannot_be_written_is_refused_at_the_start() {
    let (disk, mut qd) = SmallDisk::with_dashboard(12, &format!("low_space = 0\n{OPS}"));
    qd.start_again().await;
    let id = qd.accepted("marks", "localhost").await;
    qd.until_final(&id).await;
    qd.kill().await;
    disk.becomes_read_only(&qd);
    let before = fs::read(disk.data().join("quarterdeck.db")).expect("journal");
    let output = qd.program().arg("serve").output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text}");
    assert!(
        text.contains("Read-only file system") && text.contains("data"),
        "{text}"
    );
    assert_eq!(fs::read(disk.data().join("quarterdeck.db")).expect("journal"), before);
}
