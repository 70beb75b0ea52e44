//! The four promises of DESIGN 9, tested by killing the dashboard and the connections at random,
//! seeded instants: 20 kills in the normal run, as many as `QUARTERDECK_KILLS` says otherwise:
//!
//! ```text
//! QUARTERDECK_KILLS=200 cargo test --release --test kills -- --nocapture
//! ```

mod support;

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use support::sshd::Sshd;
use support::{Dashboard, Dice, id_of, lines_of, wait_for};

const HOSTS: usize = 6;

/// An op that writes down its start, guards its host against a second one, and writes down its own end.
fn op(marks: &str) -> String {
    format!(
        r#"
[probe]
interval = "0s"
[[op]]
id = "work"
retryable = true
script = """
echo "$QD_COMMAND" >> {marks}/started
mkdir {marks}/busy.$QD_HOST || echo "$QD_COMMAND" >> {marks}/two-at-once
n=$(printf %d 0x$(printf %s "$QD_COMMAND" | tail -c 2))
i=0
while [ $i -lt $((n % 23)) ]; do i=$((i+1)); echo "$QD_COMMAND line $i"; sleep 0.05; done
rmdir {marks}/busy.$QD_HOST
echo "$QD_COMMAND $((n % 3))" >> {marks}/ended
exit $((n % 3))
"""
"#
    )
}

#[tokio::test]
async fn nothing_is_lost_twice_or_invented_under_random_kills() {
    let kills: u64 = std::env::var("QUARTERDECK_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let mut dice = Dice::new();
    let marks_dir = tempfile::tempdir().expect("folder");
    let marks = marks_dir.path().to_path_buf();
    let sshd = Sshd::start();
    let config = format!(
        "[ssh]\nconfig_file = \"{}\"\n{}",
        sshd.ssh_config.display(),
        op(&marks.display().to_string())
    );
    let mut qd = Dashboard::start(&config).await;
    for i in 0..HOSTS {
        let spool = qd.path(&format!("spool-{i}"));
        let host = if i % 2 == 0 {
            json!({ "name": format!("h{i}"), "local": true, "spool": spool })
        } else {
            json!({ "name": format!("h{i}"), "ssh": format!("127.0.0.1:{}", sshd.port), "spool": spool })
        };
        let (status, answer) = qd.post("/hosts", &host).await;
        assert!((200..300).contains(&status), "{answer}");
    }
    let hosts: Vec<String> = (0..HOSTS).map(|i| format!("h{i}")).collect();
    let mut answered: HashMap<String, Value> = HashMap::new();
    let mut committed = 0;

    for round in 0..kills {
        let (status, answer) = qd.post("/commands", &json!({ "op": "work", "hosts": hosts })).await;
        assert!(status == 202 || status == 409, "{status} {answer}");
        for row in answer["commands"].as_array().expect("rows") {
            answered.insert(id_of(row), row.clone());
        }
        tokio::time::sleep(Duration::from_millis(dice.below(900))).await;
        if dice.below(3) == 0 {
            sshd.drop_connections();
        }
        let (_, page) = qd.get("/events?after=0&limit=1").await;
        assert!(
            page["events"][0]["id"].is_number(),
            "round {round}: the first event is there: {page}"
        );
        let largest: i64 = qd.sql("SELECT max(id) FROM event_log").parse().expect("number");
        assert!(largest >= committed, "round {round}: no committed event is lost");
        committed = largest;
        qd.kill().await;
        assert_eq!(
            qd.sql("SELECT * FROM pragma_integrity_check LIMIT 1"),
            "ok",
            "round {round}"
        );
        let kept: i64 = qd.sql("SELECT max(id) FROM event_log").parse().expect("number");
        assert!(kept >= committed, "round {round}: {kept} < {committed}");
        qd.start_again().await;
    }

    for id in answered.keys() {
        qd.until_final(id).await;
    }
    // Every id that anybody was told is journaled, was started once at most, and ended as its host said.
    let started = lines_of(&marks.join("started"));
    let ended: HashMap<String, i64> = lines_of(&marks.join("ended"))
        .iter()
        .map(|line| {
            let (id, code) = line.split_once(' ').expect("id and code");
            (id.to_owned(), code.parse().expect("code"))
        })
        .collect();
    assert!(
        lines_of(&marks.join("two-at-once")).is_empty(),
        "two ops never run on one host at once"
    );
    let mut tally: HashMap<String, usize> = HashMap::new();
    let mut unknown: Vec<String> = Vec::new();
    for id in answered.keys() {
        let row = qd.command(id).await;
        let status = row["status"].as_str().expect("status").to_owned();
        let starts = started.iter().filter(|line| *line == id).count();
        assert!(starts <= 1, "started {starts} times: {row}");
        match status.as_str() {
            "SUCCESS" | "ERROR" => {
                assert_eq!(
                    row["exit_code"].as_i64(),
                    ended.get(id).copied(),
                    "the host's own exit code: {row}"
                );
                let expected = if ended[id] == 0 { "SUCCESS" } else { "ERROR" };
                assert_eq!(status, expected, "{row}");
                let n = i64::from_str_radix(&id[id.len() - 2..], 16).expect("hex") % 23;
                let output = String::from_utf8_lossy(&qd.output(id).await).into_owned();
                let lines: Vec<String> = (1..=n).map(|i| format!("{id} line {i}")).collect();
                assert_eq!(output.lines().collect::<Vec<_>>(), lines, "gapless output");
            }
            "BLOCKED" | "CANCELLED" => assert_eq!(starts, 0, "nothing was started: {row}"),
            "ORPHANED" => unknown.push(row["error"].as_str().unwrap_or_default().to_owned()),
            other => panic!("{other}: {row}"),
        }
        let events = qd.sql(&format!("SELECT count(*) FROM event_log WHERE command_id = '{id}'"));
        assert_ne!(events, "0", "rows and events agree");
        *tally.entry(status).or_default() += 1;
    }
    wait_for("every host to be free", async || {
        (qd.sql("SELECT count(*) FROM commands WHERE finished_at IS NULL") == "0").then_some(())
    })
    .await;
    assert!(
        tally.get("SUCCESS").copied().unwrap_or_default() > 0,
        "some succeeded: {tally:?}"
    );
    assert_eq!(
        tally.get("ORPHANED"),
        None,
        "with every host reachable in the end, nothing stays unknown: {tally:?} {unknown:?}"
    );
    eprintln!("{kills} kills: {tally:?}");
}
