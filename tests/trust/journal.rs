//! A journal that a dashboard wrote, copies of it, and edits of those.

use std::path::{Path, PathBuf};
use std::process::Command;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use serde_json::json;

use crate::support::{Dashboard, sql};

pub(crate) const OPS: &str = "[probe]\ninterval = \"0s\"\n\
     [[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n\
     [[op]]\nid = \"waits\"\nscript = \"while [ ! -e \\\"$HOME/go\\\" ]; do sleep 0.05; done\"\n\
     [[pipeline]]\nid = \"both\"\nstages = [{ op = \"three\" }, { op = \"uptime\" }]\n";

/// What stands in the way of somebody who edits is the first thing that they remove.
const NO_TRIGGERS: &str = "DROP TRIGGER event_log_is_not_rewritten; DROP TRIGGER event_log_is_linked_once; \
     DROP TRIGGER event_log_is_only_swept;";

/// A journal with one of each, at rest.
pub(crate) async fn journal() -> Dashboard {
    let mut qd = Dashboard::start(OPS).await;
    for op in ["uptime", "three"] {
        let id = qd.accepted(op, "localhost").await;
        qd.until_final(&id).await;
    }
    let runs = qd.accepted("waits", "localhost").await;
    qd.until_status(&runs, "EXECUTING").await;
    let refused = qd.run("uptime", "localhost").await;
    assert_eq!(refused["status"], "BLOCKED", "{refused}");
    let (status, _) = qd
        .post(&format!("/commands/{runs}/cancel"), &json!({"reason": "enough"}))
        .await;
    assert!((200..300).contains(&status), "{status}");
    qd.until_final(&runs).await;
    let pipeline = qd.started(&json!({"name": "both", "hosts": ["localhost"]})).await;
    qd.until_through(&pipeline).await;
    for (path, body) in [
        (
            "/users",
            json!({"name": "vic", "password": "a password of vic's", "role": "viewer"}),
        ),
        ("/tokens", json!({"name": "ci", "role": "viewer"})),
    ] {
        let (status, answer) = qd.post(path, &body).await;
        assert!((200..300).contains(&status), "{path}: {answer}");
    }
    qd.stop().await;
    qd
}

/// A copy of a data folder, to be edited.
pub(crate) struct Copied {
    pub(crate) dir: tempfile::TempDir,
}

impl Copied {
    pub(crate) fn of(qd: &Dashboard) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let copied = Command::new("cp")
            .arg("-r")
            .arg(qd.path("data"))
            .arg(dir.path())
            .status()
            .expect("cp");
        assert!(copied.success());
        Self { dir }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data().join("quarterdeck.db")
    }

    /// As somebody who puts back what they had to take away.
    pub(crate) fn edit(&self, statements: &str) {
        edit(&self.database(), statements);
    }
}

/// The same, in any journal; also beside its dashboard.
pub(crate) fn edit(database: &Path, statements: &str) {
    let triggers = sql(
        database,
        "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE type = 'trigger'",
    );
    let mut connection = diesel::SqliteConnection::establish(&database.to_string_lossy()).expect("database");
    connection
        .batch_execute(&format!(
            "PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; {NO_TRIGGERS} {statements}; {triggers}; COMMIT;"
        ))
        .expect(statements);
}

impl Copied {
    pub(crate) fn sql(&self, query: &str) -> String {
        sql(&self.database(), query)
    }

    pub(crate) fn verify(&self, more: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .arg("--data-dir")
            .arg(self.data())
            .args(["audit", "verify"])
            .args(more)
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), text)
    }
}

/// An edit has to be found, and this word has to be in what is said first.
pub(crate) fn found(copied: &Copied, edit: &str, names: &str) {
    let (code, text) = copied.verify(&[]);
    assert_eq!(code, 1, "not found: {edit}\n{text}");
    assert!(text.starts_with("DOES NOT FIT"), "{text}");
    let first = text.lines().next().unwrap_or_default();
    assert!(first.contains(names), "{edit}: expected {names} in\n{text}");
}

/// What verify says has to contain this.
pub(crate) fn found_in(text: &str, what: &str) {
    assert!(text.contains(what), "expected {what} in\n{text}");
}

/// With its triggers as they are.
pub(crate) fn copied_edit(copied: &Copied, statement: &str) {
    let mut connection = diesel::SqliteConnection::establish(&copied.database().to_string_lossy()).expect("database");
    connection
        .batch_execute(&format!("PRAGMA foreign_keys = OFF; {statement}"))
        .expect(statement);
}
