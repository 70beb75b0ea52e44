//! A copy of the whole data folder, put back: it agrees with itself, but this machine knows more.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::sshd::signal;
use crate::support::{Dashboard, lines_of, wait_for};

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("cp").success());
}

/// The folder of local jobs, of their lock and of the high-water mark lies outside of the data folder, as it does by
/// default.
fn with_machine(config: &str) -> Dashboard {
    let mut qd = Dashboard::prepare(config);
    let machine = qd.path("machine");
    std::fs::create_dir(&machine).expect("folder");
    std::fs::set_permissions(&machine, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("mode");
    qd.env = vec![(
        "QUARTERDECK_JOBS_LOCAL_SPOOL".to_owned(),
        machine.to_string_lossy().into_owned(),
    )];
    qd
}

async fn actions(qd: &Dashboard) -> Vec<String> {
    let events = qd.events().await;
    let action = |event: &serde_json::Value| event["action"].as_str().unwrap_or_default().to_owned();
    events.iter().map(action).collect()
}

#[tokio::test]
async fn a_copy_from_before_the_launch_starts_nothing_a_second_time() {
    let mut qd = with_machine(
        r#"
[probe]
interval = "0s"
[[op]]
id = "marks"
pre_check = "while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done"
script = "echo $QD_COMMAND >> \"$HOME/marks\""
"#,
    );
    qd.start_again().await;
    // An honest life first: a kill and a clean stop are no restores.
    qd.kill().await;
    qd.start_again().await;
    qd.stop().await;
    qd.start_again().await;
    let id = qd.accepted("marks", "localhost").await;
    qd.until_status(&id, "VALIDATING").await;
    copy(&qd.path("data"), &qd.path("copy"));
    std::fs::write(qd.path("home/go"), "").expect("go");
    assert_eq!(qd.until_final(&id).await["status"], "SUCCESS");
    assert!(!actions(&qd).await.contains(&"restored".to_owned()));
    // As if the machine had failed at that instant, and somebody put the copy back.
    qd.kill().await;
    std::fs::remove_dir_all(qd.path("data")).expect("removed");
    std::fs::rename(qd.path("copy"), qd.path("data")).expect("put back");
    qd.start_again().await;
    let row = qd.until_final(&id).await;
    assert_eq!(row["status"], "CANCELLED", "{row}");
    let error = row["error"].as_str().unwrap_or_default();
    assert!(error.contains("restored from a backup"), "{row}");
    assert!(actions(&qd).await.contains(&"restored".to_owned()));
    assert_eq!(lines_of(&qd.path("home/marks")), [id.as_str()], "started once");
    // It is said once: from here on the copy is the journal.
    qd.kill().await;
    qd.start_again().await;
    let said = actions(&qd).await.iter().filter(|action| *action == "restored").count();
    assert_eq!(said, 1);
    let next = qd.accepted("marks", "localhost").await;
    assert_eq!(qd.until_final(&next).await["status"], "SUCCESS");
}

#[tokio::test]
async fn a_closed_terminal_is_a_clean_stop() {
    let mut qd = Dashboard::start("[probe]\ninterval = \"0s\"\n").await;
    signal(Signal::SIGHUP, &[qd.pid()]);
    // Ends with 0, or this fails.
    qd.stop().await;
    qd.start_again().await;
    let seen = actions(&qd).await;
    assert!(!seen.contains(&"crash".to_owned()), "{seen:?}");
    qd.stop().await;

    // What `nohup` started outlives its terminal.
    qd.wrapper = vec!["nohup".to_owned()];
    qd.start_again().await;
    let stops = actions(&qd).await.iter().filter(|action| *action == "stop").count();
    signal(Signal::SIGHUP, &[qd.pid()]);
    let id = qd.accepted("uptime", "localhost").await;
    assert_eq!(qd.until_final(&id).await["status"], "SUCCESS");
    let after = wait_for("the log", async || Some(actions(&qd).await)).await;
    assert_eq!(after.iter().filter(|action| *action == "stop").count(), stops);
    qd.stop().await;
}
