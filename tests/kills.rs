//! The four promises of DESIGN 9, tested by killing the dashboard (also while it recovers), the connections and the
//! processes of jobs at random, seeded instants: 20 kills in the normal run, as many as `QUARTERDECK_KILLS` says
//! otherwise. `QUARTERDECK_SEED` repeats a run's choices:
//!
//! ```text
//! QUARTERDECK_KILLS=200 cargo test --release --test kills -- --nocapture
//! ```

mod support;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use support::sshd::Sshd;
use support::{Dashboard, Dice, audit, id_of, jobs_of, kill_hard, lines_of, supervisors_in, wait_for};

const HOSTS: usize = 6;

/// An op that writes down its start, guards its host against a second one, and writes down its own end. The guard is a
/// lock that goes with the op's shell, however that ends.
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
n=$(printf %d 0x$(printf %s "$QD_COMMAND" | tail -c 2))
exec 9>>{marks}/busy.$QD_HOST
flock -n 9 || echo "$QD_COMMAND" >> {marks}/two-at-once
i=0
while [ $i -lt $((n % 23)) ]; do i=$((i+1)); echo "$QD_COMMAND line $i"; sleep 0.05 9>&-; done
echo "$QD_COMMAND $((n % 3))" >> {marks}/ended
exit $((n % 3))
"""
"#
    )
}

/// Everything that a run knows, beside the journal.
struct Run {
    qd: Dashboard,
    sshd: Sshd,
    dice: Dice,
    marks: tempfile::TempDir,
    /// The rows that anybody was told.
    answered: HashMap<String, Value>,
    /// Commands whose supervisor was killed, and those of which another process was.
    headless: HashSet<String>,
    wounded: HashSet<String>,
    /// How many of what was killed.
    killed: HashMap<&'static str, usize>,
}

impl Run {
    async fn new() -> Self {
        let dice = Dice::new();
        let marks = tempfile::tempdir().expect("folder");
        let sshd = Sshd::start();
        let config = format!(
            "[ssh]\nconfig_file = \"{}\"\n{}",
            sshd.ssh_config.display(),
            op(&marks.path().display().to_string())
        );
        let qd = Dashboard::start(&config).await;
        for i in 0..HOSTS {
            let name = format!("h{i}");
            if i % 2 == 0 {
                qd.add_local(&name, &[]).await;
            } else {
                qd.add_ssh(&name, sshd.port, &[]).await;
            }
        }
        Self {
            qd,
            sshd,
            dice,
            marks,
            answered: HashMap::new(),
            headless: HashSet::new(),
            wounded: HashSet::new(),
            killed: HashMap::new(),
        }
    }

    fn journal(&self) -> PathBuf {
        self.qd.path("data/quarterdeck.db")
    }

    async fn ask(&mut self) {
        let hosts: Vec<String> = (0..HOSTS).map(|i| format!("h{i}")).collect();
        let (status, answer) = self
            .qd
            .post("/commands", &json!({ "op": "work", "hosts": hosts }))
            .await;
        assert!(status == 202 || status == 409, "{status} {answer}");
        for row in answer["commands"].as_array().expect("rows") {
            self.answered.insert(id_of(row), row.clone());
        }
    }

    async fn all_final(&self) {
        wait_for("every command's end", async || {
            (self.qd.sql("SELECT count(*) FROM commands WHERE finished_at IS NULL") == "0").then_some(())
        })
        .await;
    }

    async fn pause(&mut self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.dice.below(most))).await;
    }

    fn count(&mut self, what: &'static str) {
        *self.killed.entry(what).or_default() += 1;
    }

    /// Kills something on the hosts' side, or nothing.
    fn hurt_a_host(&mut self) {
        match self.dice.below(7) {
            0 | 1 => {
                self.count("connections");
                self.sshd.drop_connections();
            }
            2 | 3 => {
                let alive: Vec<(i32, String)> = (0..HOSTS)
                    .flat_map(|i| supervisors_in(&self.qd.path(&format!("spool-h{i}"))))
                    .filter(|(pid, id)| self.answered.contains_key(id) && is_alive(*pid, id))
                    .collect();
                if let Some((pid, id)) = self.one_of(alive) {
                    self.count("supervisors");
                    self.headless.insert(id);
                    kill_hard(&[pid]);
                }
            }
            4 | 5 => {
                let jobs = jobs_of(&self.answered);
                if let Some((pid, id)) = self.one_of(jobs) {
                    self.count("processes of jobs");
                    self.wounded.insert(id);
                    kill_hard(&[pid]);
                }
            }
            _ => {}
        }
    }

    fn one_of<T>(&mut self, mut all: Vec<T>) -> Option<T> {
        if all.is_empty() {
            return None;
        }
        let at = self.dice.below(all.len() as u64);
        Some(all.swap_remove(usize::try_from(at).expect("index")))
    }

    /// Kills the dashboard, and every other time its successor in the middle of its recovery.
    async fn kill_the_dashboard(&mut self, when: &str) {
        let largest = self.qd.sql("SELECT coalesce(max(id), 0) FROM event_log");
        let committed = format!("SELECT count(*) FROM event_log WHERE id <= {largest}");
        let before = self.qd.sql(&committed);
        self.qd.kill().await;
        self.count("dashboards");
        audit::sound(&self.journal(), when);
        if self.dice.below(2) == 0 {
            self.qd.start_blindly();
            self.pause(400).await;
            self.qd.kill().await;
            self.count("recoveries");
            audit::sound(&self.journal(), &format!("{when}, in its recovery"));
        }
        self.qd.start_again().await;
        assert_eq!(self.qd.sql(&committed), before, "{when}: no committed event is lost");
    }

    /// What the op itself wrote down.
    fn ends(&self) -> HashMap<String, i64> {
        lines_of(&self.marks.path().join("ended"))
            .iter()
            .map(|line| {
                let (id, code) = line.split_once(' ').expect("id and code");
                (id.to_owned(), code.parse().expect("code"))
            })
            .collect()
    }

    /// Every id that anybody was told is journaled, was started once at most, and ended as its host said.
    async fn check(&self, id: &str, starts: usize, ended: Option<i64>) -> String {
        let row = self.qd.command(id).await;
        let status = row["status"].as_str().expect("status").to_owned();
        let hurt = self.headless.contains(id) || self.wounded.contains(id);
        assert!(starts <= 1, "started {starts} times: {row}");
        match status.as_str() {
            "SUCCESS" | "ERROR" => {
                let code = row["exit_code"].as_i64();
                let own = code == ended;
                let by_signal = self.wounded.contains(id) && code > Some(128);
                assert!(own || by_signal, "the host's own exit code, {ended:?}: {row}");
                let expected = if code == Some(0) { "SUCCESS" } else { "ERROR" };
                assert_eq!(status, expected, "{row}");
                if !hurt {
                    let n = i64::from_str_radix(&id[id.len() - 2..], 16).expect("hex") % 23;
                    let output = String::from_utf8_lossy(&self.qd.output(id).await).into_owned();
                    let lines: Vec<String> = (1..=n).map(|i| format!("{id} line {i}")).collect();
                    assert_eq!(output.lines().collect::<Vec<_>>(), lines, "gapless output");
                }
            }
            "BLOCKED" | "CANCELLED" => assert_eq!(starts, 0, "nothing was started: {row}"),
            "ORPHANED" => {
                assert!(
                    self.headless.contains(id),
                    "with every host reachable in the end, only a killed supervisor leaves an outcome unknown: {row}"
                );
                assert_eq!(row["error"], "exit code lost", "{row}");
                assert!(row["exit_code"].is_null(), "{row}");
            }
            other => panic!("{other}: {row}"),
        }
        status
    }
}

#[tokio::test]
async fn nothing_is_lost_twice_or_invented_under_random_kills() {
    let kills: u64 = std::env::var("QUARTERDECK_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let mut run = Run::new().await;
    for round in 0..kills {
        // Now and then every host is free again: then the kill meets launches, not what earlier kills left.
        if run.dice.below(3) == 0 {
            run.all_final().await;
        }
        run.ask().await;
        run.pause(900).await;
        run.hurt_a_host();
        run.pause(60).await;
        run.kill_the_dashboard(&format!("round {round}")).await;
    }
    run.all_final().await;
    assert!(
        lines_of(&run.marks.path().join("two-at-once")).is_empty(),
        "two ops never run on one host at once"
    );
    let started = lines_of(&run.marks.path().join("started"));
    assert!(
        started.iter().all(|id| run.answered.contains_key(id)),
        "nothing runs that nobody asked for"
    );
    let ends = run.ends();
    let mut tally: HashMap<String, usize> = HashMap::new();
    for id in run.answered.keys() {
        let starts = started.iter().filter(|line| *line == id).count();
        let status = run.check(id, starts, ends.get(id).copied()).await;
        *tally.entry(status).or_default() += 1;
    }
    audit::sound(&run.journal(), "at the end");
    eprintln!("killed {:?}: {tally:?}", run.killed);
    assert!(
        tally.get("SUCCESS").copied().unwrap_or_default() > 0,
        "some succeeded: {tally:?}"
    );
}

/// Whether this process is still the supervisor of that command, and not another one under its number.
fn is_alive(pid: i32, id: &str) -> bool {
    let words = std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).contains(id)
}
