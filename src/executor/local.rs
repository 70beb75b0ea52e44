//! The dashboard's own machine: a shell beside us, in its own process group, with a plain environment; inside a systemd
//! service in a scope of its own, because a stop of the service would end whatever is left in the service's.

use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

use super::HostError;

/// What of our own environment a local shell gets: nothing of the service manager's, nothing of our configuration.
const PASSED_ON: [&str; 10] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// `words` with the environment of a local shell.
pub(super) fn command(words: &[String]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().map_or("/bin/sh", String::as_str));
    command.args(words).env_clear();
    command.envs(
        PASSED_ON
            .iter()
            .filter_map(|name| std::env::var_os(name).map(|value| (name, value))),
    );
    command
}

/// The words that give what follows its own soft limit of open files.
pub(super) fn limited(files: Option<u64>) -> Vec<String> {
    let Some(files) = files else { return Vec::new() };
    let text = format!("ulimit -S -n {files}; exec \"$@\"");
    ["/bin/sh", "-c", &text, "sh"].map(str::to_owned).to_vec()
}

/// The words that put a launch into a scope of its own; none where no service manager would end the job.
pub(super) async fn scope(known: &OnceCell<Result<Vec<String>, HostError>>) -> Result<Vec<String>, HostError> {
    known.get_or_init(find_scope).await.clone()
}

async fn find_scope() -> Result<Vec<String>, HostError> {
    let Some(unit) = own_service().await else {
        return Ok(Vec::new());
    };
    let user: &[&str] = if nix::unistd::geteuid().is_root() {
        &[]
    } else {
        &["--user"]
    };
    let mut words: Vec<String> = ["systemd-run", "--scope", "--collect", "--quiet"]
        .map(str::to_owned)
        .to_vec();
    words.extend(user.iter().map(|word| (*word).to_owned()));
    words.push("--".to_owned());
    let mut trial = words.clone();
    trial.push("true".to_owned());
    if quiet(&trial).await.is_some() {
        return Ok(words);
    }
    let question = ["systemctl", "show", "-p", "KillMode", "--value", &unit].map(str::to_owned);
    match quiet(&question).await.as_deref().map(str::trim) {
        Some("process" | "none") => Ok(Vec::new()),
        _ => Err(HostError::Scope(format!(
            "a stop of {unit} would end its jobs: systemd-run gives no scope here, and the service's KillMode is not \
             “process”; set KillMode=process in the unit, or run as root, or enable lingering for this user"
        ))),
    }
}

/// The systemd service that we are in, from our cgroup.
async fn own_service() -> Option<String> {
    std::env::var_os("INVOCATION_ID")?;
    let groups = tokio::fs::read_to_string("/proc/self/cgroup").await.ok()?;
    groups
        .lines()
        .filter_map(|line| line.rsplit('/').next())
        .find(|unit| unit.ends_with(".service"))
        .map(str::to_owned)
}

async fn quiet(words: &[String]) -> Option<String> {
    let mut command = command(words);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(std::time::Duration::from_secs(5), command.output())
        .await
        .ok()?
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
