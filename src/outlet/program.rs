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

/// How much of that the program's own log gets.
const SHOWN: usize = 200;

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
    // A whole command line that was written as one word may hold a secret.
    let shown = program.split_whitespace().next().unwrap_or_default();
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
        .map_err(|why| NotSent::new(format!("{shown} cannot be started: {why}")))?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    // Whatever of it is left at the end goes too; an empty group is no error.
    let _group = Group(pid.map(Pid::from_raw));
    match tokio::time::timeout(LIMIT, talk(&mut child, words, json)).await {
        Ok(ended) => ended,
        Err(_) => Err(NotSent::new(format!(
            "{shown} was still running after {} s and was killed",
            LIMIT.as_secs()
        ))),
    }
}

async fn talk(child: &mut Child, words: &[String], json: &[u8]) -> Result<(), NotSent> {
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
    let how = match status.code() {
        Some(code) => format!("ended with exit {code}"),
        None => "was ended by a signal".to_owned(),
    };
    let wrote = if complained.is_empty() { said } else { complained };
    if wrote.is_empty() {
        return Err(NotSent::new(format!("the command {how} and wrote nothing")));
    }
    // The journal is kept, printed and sent on; what a program wrote may be a secret of its own.
    let text = masked(&String::from_utf8_lossy(&wrote), words);
    let last = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    tracing::warn!(wrote = %bounded(last.trim(), SHOWN), "a command of a notification {how}");
    let length = if wrote.len() >= KEPT {
        "4 KiB or more".to_owned()
    } else {
        format!("{} bytes", wrote.len())
    };
    Err(NotSent::new(format!(
        "the command {how} and wrote {length}; the dashboard's own log has its last line"
    )))
}

/// What a program wrote, without what stands in its arguments: whole, or behind a sign such as that of `--token=`.
fn masked(text: &str, words: &[String]) -> String {
    let mut secrets: Vec<&str> = words
        .iter()
        .enumerate()
        .flat_map(|(nth, word)| {
            // The program's own name is no secret, but for a whole command line that was written as one word.
            let word = if nth == 0 {
                word.split_once(' ').map_or("", |(_, rest)| rest)
            } else {
                word
            };
            let parts = word.split(|c: char| c.is_whitespace() || "=:,;/@?&".contains(c));
            parts.chain([word])
        })
        .filter(|part| part.chars().count() >= 4)
        .collect();
    // The longest first: a part of it must not leave the rest behind.
    secrets.sort_by_key(|part| std::cmp::Reverse(part.len()));
    secrets
        .iter()
        .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_program_complains_of_is_not_passed_on() {
        let script = "echo \"cannot log in with $1 and hunter22\" >&2; exit 3";
        let words = ["/bin/sh", "-c", script, "sh", "--token=s3cret"].map(str::to_owned);
        let why = run(&words, b"{}").await.expect_err("exit 3").to_string();
        assert!(why.contains("exit 3") && why.contains("bytes"), "{why}");
        assert!(!why.contains("s3cret") && !why.contains("hunter22"), "{why}");
        let whole = ["/nowhere/x --token s3cret".to_owned()];
        let why = run(&whole, b"{}").await.expect_err("no such program").to_string();
        assert!(why.contains("/nowhere/x") && !why.contains("s3cret"), "{why}");
    }

    #[test]
    fn the_arguments_are_masked_in_what_the_log_gets() {
        let words = ["/bin/x", "--token=s3cret", "no"].map(str::to_owned);
        let text = "x: --token=s3cret is refused: s3cret, no";
        assert_eq!(masked(text, &words), "x: *** is refused: ***, no");
        assert_eq!(masked("/bin/x: not found", &words), "/bin/x: not found");
    }
}
