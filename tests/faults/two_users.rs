//! Two users of one host have two locks: what was resolved by hand as one of them is asked about before the other starts.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::sshd::Sshd;
use crate::support::{Dashboard, processes_of, wait_for};

/// A user of this machine for one test.
struct User(String);

impl User {
    fn new(letter: char) -> Self {
        let name = format!("qdf{letter}{}", std::process::id() % 100_000);
        let made = Command::new("useradd")
            .args(["-m", "-p", "*", "-s", "/bin/sh", &name])
            .status();
        assert!(made.expect("useradd").success(), "making a user needs root");
        Self(name)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = Command::new("userdel")
            .args(["-r", "-f", &self.0])
            .stderr(Stdio::null())
            .status();
    }
}

/// Lets one user become another one; gone with its value.
struct Sudo(String);

impl Sudo {
    fn from_to(from: &User, to: &User) -> Self {
        let path = format!("/etc/sudoers.d/{}", from.0);
        let line = format!("{} ALL=({}) NOPASSWD: /bin/sh\n", from.0, to.0);
        std::fs::write(&path, line).expect("a rule of sudo");
        Self(path)
    }
}

impl Drop for Sudo {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn what_was_resolved_as_one_user_keeps_another_one_from_starting_beside_it() {
    let mut sshd = Sshd::start();
    let (login, other) = (User::new('a'), User::new('b'));
    let _sudo = Sudo::from_to(&login, &other);
    let flags = tempfile::tempdir().expect("folder");
    std::fs::set_permissions(flags.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    let config = format!(
        r#"
{}
[[op]]
id = "waits"
script = "echo begun; while [ ! -e {d}/go ]; do sleep 0.05; done"
[[op]]
id = "as-other"
run_as = "{}"
script = "id -un"
"#,
        sshd.config(),
        other.0,
        d = flags.path().display()
    );
    let qd = Dashboard::start(&config).await;
    let host = json!({ "name": "web-03", "ssh": format!("{}@127.0.0.1:{}", login.0, sshd.port) });
    let (status, answer) = qd.post("/hosts", &host).await;
    assert_eq!(status, 201, "{answer}");
    let first = qd.accepted("waits", "web-03").await;
    qd.until_output(&first, "begun").await;
    // The host is gone, and somebody gives the op up.
    sshd.stop();
    qd.until(&first, "the loss to be noticed", |row| row["error"].is_string())
        .await;
    let (status, answer) = qd
        .post(&format!("/commands/{first}/resolve"), &json!({ "reason": "sold" }))
        .await;
    assert!((200..300).contains(&status), "{answer}");
    // It is back, and so is the op.
    sshd.again();
    assert!(!processes_of(&first).is_empty(), "it runs");
    let second = qd.run("as-other", "web-03").await;
    let second = qd.until_final(second["id"].as_str().expect("id")).await;
    assert_eq!(
        (second["status"].as_str(), second["refusal"].as_str()),
        (Some("BLOCKED"), Some("locked")),
        "{second}"
    );
    let why = second["error"].as_str().expect("a reason");
    assert!(
        why.contains(&first) && why.contains("waits") && why.contains("resolved by hand"),
        "{why}"
    );
    // Once it has ended, and the host has said so, the other one starts.
    std::fs::write(flags.path().join("go"), "").expect("go");
    wait_for("its end", async || processes_of(&first).is_empty().then_some(())).await;
    let third = qd.accepted("as-other", "web-03").await;
    let third = qd.until_final(&third).await;
    assert_eq!(third["status"], "SUCCESS", "{third}");
    let output = qd.output(third["id"].as_str().expect("id")).await;
    assert_eq!(String::from_utf8_lossy(&output).trim(), other.0);
    // What the host said later stands beside what was said by hand.
    let row = qd
        .until(&first, "the late word", |row| row["late_at"].is_string())
        .await;
    assert_eq!(
        (row["status"].as_str(), row["late_word"].as_str()),
        (Some("ORPHANED"), Some("exit 0")),
        "{row}"
    );
}
