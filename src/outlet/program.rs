//! One JSON text on the standard input of a program: no shell, a process group of its own, 30 s, then the whole group
//! is killed. What it writes is looked at only to say why it failed, and is bounded.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::NotSent;
use crate::domain::bounded;

/// How long it may run.
const LIMIT: Duration = Duration::from_secs(30);

/// How much of what it writes is kept.
const KEPT: usize = 4096;

/// What of our own environment it gets: nothing of our configuration.
const PASSED_ON: [&str; 9] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "XDG_RUNTIME_DIR",
];

/// Kills the group when its owner lets go, however that happens.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Runs a program to its end.
///
/// # Errors
/// Where it cannot be started, does not end in time, or ends with another exit code than 0.
pub async fn run(words: &[String], json: &[u8]) -> Result<(), NotSent> {
    let program = words.first().map_or("", String::as_str);
    let mut command = Command::new(program);
    command
        .args(words.iter().skip(1))
        .env_clear()
        .envs(
            PASSED_ON
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|why| NotSent::new(format!("{program} cannot be started: {why}")))?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    // Whatever of it is left at the end goes too; an empty group is no error.
    let _group = Group(pid.map(Pid::from_raw));
    match tokio::time::timeout(LIMIT, talk(&mut child, json)).await {
        Ok(ended) => ended,
        Err(_) => Err(NotSent::new(format!(
            "{program} was still running after {} s and was killed",
            LIMIT.as_secs()
        ))),
    }
}

async fn talk(child: &mut Child, json: &[u8]) -> Result<(), NotSent> {
    let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut input) = input {
            // A program need not read what it is told.
            let _ = input.write_all(json).await;
        }
    };
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let ended = {
        let reading = async { tokio::join!(write, drain(out, &mut said), drain(err, &mut complained)) };
        tokio::pin!(reading);
        tokio::select! {
            ended = child.wait() => {
                // What it wrote last is there by now; a child of its own may hold the pipe for ever.
                let _ = tokio::time::timeout(Duration::from_millis(200), reading).await;
                ended
            }
            _ = &mut reading => child.wait().await,
        }
    };
    let status = ended.map_err(NotSent::new)?;
    if status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(if complained.is_empty() { &said } else { &complained }).into_owned();
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let last = last
        .map(|line| format!(": {}", bounded(line.trim(), 200)))
        .unwrap_or_default();
    let how = match status.code() {
        Some(code) => format!("ended with exit {code}"),
        None => "was ended by a signal".to_owned(),
    };
    Err(NotSent::new(format!("the command {how}{last}")))
}

/// Reads to the end and keeps the last of it.
async fn drain(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut piece = [0; KEPT];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        kept.extend_from_slice(&piece[..read]);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
}
