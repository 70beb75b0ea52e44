//! SCENARIOS 17 and 22: the dashboard is killed around the start of a job, and while `ssh` still delivers the script.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::support::sshd::Sshd;
use crate::support::{Dashboard, Dice, lines_of, wait_for};

const ROUNDS: usize = 12;

fn config(marks: &Path, sshd: &Sshd, program: Option<&Path>) -> String {
    let program = program
        .map(|path| format!("program = \"{}\"\n", path.display()))
        .unwrap_or_default();
    format!(
        "[ssh]\nconfig_file = \"{}\"\n{program}\n[probe]\ninterval = \"0s\"\n\
         [[op]]\nid = \"marks\"\nscript = \"echo $QD_COMMAND >> {}/started; echo done\"\n",
        sshd.ssh_config.display(),
        marks.display()
    )
}

async fn add(qd: &Dashboard, name: &str, sshd: Option<&Sshd>) {
    match sshd {
        Some(sshd) => qd.add_ssh(name, sshd.port, &[]).await,
        None => qd.add_local(name, &[]).await,
    }
}

/// How often each command was started.
fn starts(marks: &Path) -> HashMap<String, usize> {
    let mut starts = HashMap::new();
    for line in lines_of(&marks.join("started")) {
        *starts.entry(line).or_default() += 1;
    }
    starts
}

#[tokio::test]
async fn s17_a_kill_around_the_launch_starts_once_or_never() {
    let mut dice = Dice::new();
    let sshd = Sshd::start();
    let marks = tempfile::tempdir().expect("folder");
    let mut qd = Dashboard::start(&config(marks.path(), &sshd, None)).await;
    add(&qd, "here", None).await;
    add(&qd, "there", Some(&sshd)).await;
    // The connection is up, as it is for most ops: what follows is as fast as it gets.
    let first = qd.accepted("marks", "there").await;
    qd.until_final(&first).await;
    let mut asked = Vec::new();
    for round in 0..ROUNDS {
        let body = json!({ "op": "marks", "hosts": ["here", "there"] });
        let (status, answer) = qd.post("/commands", &body).await;
        assert!(status == 202 || status == 409, "{status} {answer}");
        let rows = answer["commands"].as_array().expect("rows").iter();
        let ids: Vec<String> = rows.map(crate::support::id_of).collect();
        // Every other time from the instant on at which the launch is under way, else from the journal's row on.
        let within = if round % 2 == 0 {
            qd.until(&ids[0], "EXECUTING", |row| {
                !row["started_at"].is_null() || !row["finished_at"].is_null()
            })
            .await;
            80
        } else {
            220
        };
        tokio::time::sleep(Duration::from_millis(dice.below(within))).await;
        qd.kill().await;
        qd.start_again().await;
        // Both hosts are free again before the next round.
        for id in ids {
            qd.until_final(&id).await;
            asked.push(id);
        }
    }
    let starts = starts(marks.path());
    let mut tally: HashMap<String, usize> = HashMap::new();
    for id in &asked {
        let row = qd.command(id).await;
        let status = row["status"].as_str().expect("status").to_owned();
        let times = starts.get(id).copied().unwrap_or_default();
        match status.as_str() {
            "SUCCESS" => {
                assert_eq!(times, 1, "{row}");
                assert_eq!(qd.output(id).await, b"done\n", "{row}");
            }
            "BLOCKED" | "CANCELLED" => assert_eq!(times, 0, "{row}"),
            other => panic!("{other}: every host answers in the end: {row}"),
        }
        *tally.entry(status).or_default() += 1;
    }
    let again = qd.sql("SELECT count(*) FROM commands WHERE launches > 1");
    eprintln!("{ROUNDS} kills around the launch: {tally:?}, {again} launched again");
    assert!(tally.contains_key("SUCCESS"), "{tally:?}");
}

/// An `ssh` that delivers the beginning of the first launch's script, waits for a sign, and delivers the rest: on a
/// line as slow as that, also after the dashboard is gone.
fn slow_ssh(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("slow-ssh");
    let f = folder.display();
    let text = format!(
        r#"#!/bin/sh
case "$*" in
*' launch '*) mkdir {f}/first 2>/dev/null || exec ssh "$@" ;;
*) exec ssh "$@" ;;
esac
{{ head -c 3000; touch {f}/holding; while [ ! -e {f}/deliver ]; do sleep 0.02; done; cat; }} | ssh "$@"
touch {f}/delivered
"#
    );
    fs::write(&path, text).expect("script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
    path
}

struct Slow {
    qd: Dashboard,
    sshd: Sshd,
    marks: tempfile::TempDir,
    id: String,
}

impl Slow {
    /// A dashboard that was killed while its `ssh` was delivering.
    async fn killed_while_delivering() -> Self {
        let sshd = Sshd::start();
        let marks = tempfile::tempdir().expect("folder");
        let program = slow_ssh(marks.path());
        let mut qd = Dashboard::start(&config(marks.path(), &sshd, Some(&program))).await;
        add(&qd, "there", Some(&sshd)).await;
        let id = qd.accepted("marks", "there").await;
        wait_for("the script to be on its way", async || {
            marks.path().join("holding").exists().then_some(())
        })
        .await;
        assert_eq!(qd.command(&id).await["status"], "EXECUTING");
        qd.kill().await;
        Self { qd, sshd, marks, id }
    }

    /// The rest of the script arrives.
    async fn deliver(&self) {
        fs::write(self.marks.path().join("deliver"), "").expect("sign");
        wait_for("the delivery", async || {
            self.marks.path().join("delivered").exists().then_some(())
        })
        .await;
    }

    async fn once_and_journaled(&self) {
        let row = self.qd.until_final(&self.id).await;
        assert_eq!(row["status"], "SUCCESS", "{row}");
        assert_eq!(self.qd.output(&self.id).await, b"done\n");
        assert_eq!(
            starts(self.marks.path()),
            HashMap::from([(self.id.clone(), 1)]),
            "{row}"
        );
    }
}

#[tokio::test]
async fn s22_a_script_that_arrives_after_the_fence_starts_nothing_more() {
    let mut slow = Slow::killed_while_delivering().await;
    slow.qd.start_again().await;
    // Nothing arrived yet: the host proves behind a fence that nothing started, and the op is launched again.
    slow.once_and_journaled().await;
    let events = slow.qd.events_of(&slow.id).await;
    let again = events
        .iter()
        .find(|event| event["details"]["evidence"]["kind"] == "never_started");
    assert!(again.is_some(), "by that evidence: {events:#?}");
    slow.deliver().await;
    slow.once_and_journaled().await;
    let next = slow.qd.accepted("marks", "there").await;
    assert_eq!(
        slow.qd.until_final(&next).await["status"],
        "SUCCESS",
        "the host is free"
    );
}

#[tokio::test]
async fn s22_a_script_that_arrives_while_the_dashboard_is_away_is_found() {
    let mut slow = Slow::killed_while_delivering().await;
    slow.deliver().await;
    slow.qd.start_again().await;
    slow.once_and_journaled().await;
    let row = slow.qd.command(&slow.id).await;
    assert_eq!(row["launches"], 1, "the one that was on its way: {row}");
}

#[tokio::test]
async fn s22_a_connection_cut_in_the_middle_of_the_script_is_half_of_nothing() {
    let mut slow = Slow::killed_while_delivering().await;
    // What arrived is the beginning of a function that nobody calls.
    slow.sshd.drop_connections();
    slow.qd.start_again().await;
    slow.once_and_journaled().await;
    fs::write(slow.marks.path().join("deliver"), "").expect("sign");
}
