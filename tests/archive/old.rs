//! Journals whose rows are old, and files of the archive, looked at with other programs than ours.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};

use crate::support::cli::quarterdeck;
use crate::support::fake_clock::FakeClock;
use crate::support::{Dashboard, files, wait_for};

pub(crate) const DAY: i64 = 86_400;

pub(crate) const OPS: &str = "[probe]\ninterval = \"0s\"\n\
     [[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n\
     [[op]]\nid = \"waits\"\nscript = \"while [ ! -e \\\"$HOME/go\\\" ]; do sleep 0.05; done\"\n\
     [[pipeline]]\nid = \"both\"\nstages = [{ op = \"uptime\" }, { op = \"three\" }]\n";

pub(crate) fn alter(qd: &Dashboard, sql: &str) {
    let file = qd.path("data/quarterdeck.db");
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    connection
        .batch_execute(&format!("PRAGMA busy_timeout=5000; {sql}"))
        .expect("altered");
}

/// A dashboard that believes it is as many days ago.
pub(crate) async fn ago(days: i64, config: &str) -> (Dashboard, FakeClock) {
    let mut qd = Dashboard::prepare(config);
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-days * DAY);
    qd.start_again().await;
    (qd, clock)
}

/// As if the days had gone by with a sweep in each hour: the clock is right from the next start on.
pub(crate) async fn until_today(qd: &mut Dashboard, clock: &FakeClock) {
    qd.stop().await;
    clock.is_off_by(0);
    alter(qd, "DELETE FROM sweeps;");
}

pub(crate) async fn ended(qd: &Dashboard, op: &str) -> String {
    let id = qd.accepted(op, "localhost").await;
    qd.until_final(&id).await;
    id
}

pub(crate) async fn pipeline(qd: &Dashboard) -> String {
    let id = qd.started(&json!({"name": "both", "hosts": ["localhost"]})).await;
    qd.until_through(&id).await;
    id
}

pub(crate) async fn gone(qd: &Dashboard, path: &str) {
    wait_for(&format!("{path} to go"), async || {
        (qd.get(path).await.0 == 404).then_some(())
    })
    .await;
}

pub(crate) async fn swept(qd: &Dashboard) {
    let (status, answer) = qd.post("/sweep", &json!({})).await;
    assert!(
        (200..300).contains(&status) && answer["postponed_until"].is_null(),
        "{answer}"
    );
}

pub(crate) fn whole(qd: &Dashboard) -> Vec<PathBuf> {
    files(&qd.path("data/archive"), ".jsonl.gz")
}

/// With another program than ours.
pub(crate) fn lines(file: &Path) -> Vec<Value> {
    let output = Command::new("gzip").arg("-dc").arg(file).output().expect("gzip");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

pub(crate) fn text_of(file: &Path) -> String {
    let output = Command::new("gzip").arg("-dc").arg(file).output().expect("gzip");
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn pack(file: &Path, text: &str) {
    let out = std::fs::File::create(file).expect("file");
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(out)
        .spawn()
        .expect("gzip");
    gzip.stdin
        .take()
        .expect("stdin")
        .write_all(text.as_bytes())
        .expect("written");
    assert!(gzip.wait().expect("gzip").success());
}

pub(crate) async fn verified(qd: &Dashboard) {
    let (code, text, err) = quarterdeck(qd, "audit verify").await;
    assert_eq!(code, 0, "{text}{err}");
    let names: Vec<String> = whole(qd).iter().map(|file| file.display().to_string()).collect();
    if !names.is_empty() {
        let (code, text, err) = quarterdeck(qd, &format!("audit verify --archive {}", names.join(" "))).await;
        assert_eq!(code, 0, "{text}{err}");
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o777
}
