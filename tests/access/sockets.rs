//! `/tmp` is everybody's: who takes the name of the folder of ssh's control sockets there keeps no dashboard from starting,
//! and is given nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::OPS;
use super::support::Dashboard;
use super::support::sshd::Sshd;

/// Goes when the test ends, however it ends.
struct Squat(PathBuf);

impl Squat {
    /// What another account could make of that name: a folder that is open to others, and not ours where we may say so.
    fn of(dashboard: &Dashboard) -> Self {
        let data = dashboard.path("data");
        let digest: String = Sha256::digest(data.as_os_str().as_encoded_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let uid = nix::unistd::geteuid();
        let path = PathBuf::from(format!("/tmp/qd-{uid}-{}", &digest[..8]));
        fs::create_dir(&path).expect("taken");
        fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("mode");
        if uid.is_root() {
            nix::unistd::chown(&path, Some(nix::unistd::Uid::from_raw(65_534)), None).expect("given away");
        }
        Self(path)
    }
}

impl Drop for Squat {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_folder_of_sockets_that_somebody_else_took_stops_nothing() {
    let sshd = Sshd::start();
    let config = format!("[ssh]\nconfig_file = \"{}\"\n{OPS}", sshd.ssh_config.display());
    let mut dashboard = Dashboard::prepare(&config);
    let squat = Squat::of(&dashboard);
    dashboard.start_again().await;
    let ssh = format!("127.0.0.1:{}", sshd.port);
    let host = json!({ "name": "web-03", "ssh": ssh, "spool": dashboard.path("spool-web-03") });
    assert_eq!(dashboard.post("/hosts", &host).await.0, 201);
    let row = dashboard.run("quick", "web-03").await;
    let row = dashboard.until_final(row["id"].as_str().expect("id")).await;
    assert_eq!(row["status"], "SUCCESS", "{row}");
    assert_eq!(
        fs::read_dir(&squat.0).expect("still there").count(),
        0,
        "nothing of ours is in it"
    );
    let line = dashboard.log();
    let elsewhere = line
        .split("folder=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let elsewhere = PathBuf::from(elsewhere.expect("where it is"));
    let mode = fs::metadata(&elsewhere).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700, "{}", elsewhere.display());
    dashboard.stop().await;
    assert!(!elsewhere.exists(), "it goes with the dashboard");
}

#[tokio::test]
async fn who_takes_the_folder_while_it_runs_is_given_nothing() {
    let sshd = Sshd::start();
    let config = format!("[ssh]\nconfig_file = \"{}\"\n{OPS}", sshd.ssh_config.display());
    let dashboard = Dashboard::start(&config).await;
    let ssh = format!("127.0.0.1:{}", sshd.port);
    let host = json!({ "name": "web-03", "ssh": ssh, "spool": dashboard.path("spool-web-03") });
    assert_eq!(dashboard.post("/hosts", &host).await.0, 201);
    let reached = async || {
        let (status, answer) = dashboard.post("/hosts/web-03/test", &json!({})).await;
        assert_eq!((status, answer["reached"].as_bool()), (200, Some(true)), "{answer}");
    };
    reached().await;
    // It is tidied away, and somebody is faster than the next dial: with a socket of the same name.
    let digest: String = Sha256::digest(dashboard.path("data").as_os_str().as_encoded_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let ours = PathBuf::from(format!("/tmp/qd-{}-{}", nix::unistd::geteuid(), &digest[..8]));
    let socket = fs::read_dir(&ours)
        .expect("ours")
        .next()
        .expect("a socket")
        .expect("entry");
    let name = socket.file_name();
    fs::remove_dir_all(&ours).expect("tidied");
    let squat = Squat::of(&dashboard);
    let trap = std::os::unix::net::UnixListener::bind(squat.0.join(name)).expect("a trap");
    trap.set_nonblocking(true).expect("mode");
    reached().await;
    assert!(trap.accept().is_err(), "nobody came");
}
