//! The OpenSSH client: its words, what its complaints mean, and how its masters are ended.
//! Knows nothing of scripts and verbs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::{Host, HostError, Settings};
use crate::domain::{MESSAGE_LIMIT, Reach, bounded};

/// The client's words up to and with the address; the remote words follow. `options` are further ones, as `Name=value`.
pub(super) fn command(settings: &Settings, socket: &Path, reach: &Reach, options: &[String]) -> Option<Command> {
    let Reach::Ssh { user, address, port } = reach else {
        return None;
    };
    let mut command = Command::new(&settings.ssh_program);
    command.args(["-T", "-a", "-x"]);
    if let Some(config) = &settings.ssh_config {
        command.arg("-F").arg(config);
    }
    let connect = settings.connect_timeout.as_secs().max(1);
    for option in [
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={connect}"),
        "ServerAliveInterval=5".to_owned(),
        "ServerAliveCountMax=3".to_owned(),
        "ControlMaster=auto".to_owned(),
        format!("ControlPath={}", socket.display()),
        "ControlPersist=60".to_owned(),
        "RequestTTY=no".to_owned(),
        "ClearAllForwardings=yes".to_owned(),
        "PermitLocalCommand=no".to_owned(),
        "RemoteCommand=none".to_owned(),
        "LogLevel=ERROR".to_owned(),
    ] {
        command.arg(format!("-o{option}"));
    }
    for option in options {
        command.arg(format!("-o{option}"));
    }
    if let Some(user) = user {
        command.arg("-l").arg(user);
    }
    if let Some(port) = port {
        command.arg("-p").arg(port.to_string());
    }
    command.arg("--").arg(address);
    Some(command)
}

/// Ends the master behind `socket`, if there is one, within two seconds.
pub(super) async fn end_master(settings: &Settings, socket: PathBuf) {
    let mut command = Command::new(&settings.ssh_program);
    command
        .args(["-F", "/dev/null", "-O", "exit"])
        .arg(format!("-oControlPath={}", socket.display()))
        .args(["--", "quarterdeck"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true);
    let _ = tokio::time::timeout(Duration::from_secs(2), command.status()).await;
    let _ = tokio::fs::remove_file(socket).await;
}

/// What an end of the channel before its first word means.
pub(super) enum Complaint {
    /// The connection was turned away at random (too many at once): worth another try.
    Busy(HostError),
    /// There is no `sudo` on that host.
    NoSudo,
    /// The answer.
    Final(HostError),
}

/// Reads what the client, the login shell and sudo wrote to standard error. `login`: who we are there, where it is known.
pub(super) fn classify(settings: &Settings, host: &Host, stderr: &str, doas: bool, login: Option<&str>) -> Complaint {
    let says = |parts: &[&str]| parts.iter().any(|part| stderr.contains(part));
    let text = bounded(stderr.trim(), MESSAGE_LIMIT - 600);
    if says(&["REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key verification failed"]) || says(&["host key is known"])
    {
        return Complaint::Final(HostError::HostKey(bounded(
            &host_key_help(settings, host, &text),
            MESSAGE_LIMIT,
        )));
    }
    if says(&[
        "Permission denied (",
        "Too many authentication failures",
        "No more authentication methods",
    ]) {
        let help = format!("{text}\nThe user, or the key that the dashboard's user offers, is not accepted there.");
        return Complaint::Final(HostError::Auth(help));
    }
    if let Some(user) = &host.run_as {
        let tool = if doas { "doas" } else { "sudo" };
        if says(&[tool]) {
            if !doas && says(&["not found", "nknown command", "No such file"]) {
                return Complaint::NoSudo;
            }
            let login = login.unwrap_or("THE-LOGIN-USER");
            let line = if doas {
                format!(
                    "permit nopass {login} as {} cmd /bin/sh   (in /etc/doas.conf)",
                    user.as_str()
                )
            } else {
                format!("{login} ALL=({}) NOPASSWD: /bin/sh   (with visudo)", user.as_str())
            };
            let said = text.trim_start_matches(tool).trim_start_matches(": ");
            return Complaint::Final(HostError::Sudo(format!("{said}\nThe host needs the line: {line}")));
        }
    }
    let busy = [
        "kex_exchange_identification",
        "banner exchange",
        "Connection reset by",
        "Connection closed by",
        "Session open refused by peer",
        "Broken pipe",
    ];
    if says(&busy) && !says(&["Connection refused", "timed out"]) {
        return Complaint::Busy(HostError::Unreachable(text));
    }
    let text = if text.is_empty() {
        "the connection ended before the host answered".to_owned()
    } else {
        text
    };
    Complaint::Final(HostError::Unreachable(text))
}

fn host_key_help(settings: &Settings, host: &Host, text: &str) -> String {
    let Some(line) = line(settings, &host.reach, "-o StrictHostKeyChecking=ask ") else {
        return text.to_owned();
    };
    format!(
        "{text}\nAs the dashboard's user, compare the fingerprint that this shows with the host's own, and accept it: \
         {line} true\n(A changed key is taken out first, from the file that ssh names: ssh-keygen -R NAME -f FILE)"
    )
}

/// What a person types, as the dashboard's user, to reach a host as we do; `options` go before its address.
pub(super) fn line(settings: &Settings, reach: &Reach, options: &str) -> Option<String> {
    let Reach::Ssh { user, address, port } = reach else {
        return None;
    };
    let program = word(&settings.ssh_program.to_string_lossy());
    let config = settings.ssh_config.as_ref();
    let config = config
        .map(|file| format!("-F {} ", word(&file.to_string_lossy())))
        .unwrap_or_default();
    let port = port.map(|port| format!("-p {port} ")).unwrap_or_default();
    let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    Some(format!("{program} {config}{options}{port}{user}{address}"))
}

/// A word of a shell's line, quoted where it must be.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The user that a log-in is for, from the address or from the client's own configuration.
pub(super) async fn login(settings: &Settings, reach: &Reach) -> Option<String> {
    match reach {
        Reach::Ssh { user: Some(user), .. } => return Some(user.clone()),
        Reach::Local => {
            let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??;
            return Some(user.name);
        }
        Reach::Ssh { .. } => {}
    }
    let text = configured(settings, reach).await?;
    value(&text, "user").map(str::to_owned)
}

/// What the client's configuration says for this address: a line for each keyword, which is in lower case.
pub(super) async fn configured(settings: &Settings, reach: &Reach) -> Option<String> {
    let Reach::Ssh { user, address, port } = reach else {
        return None;
    };
    let mut command = Command::new(&settings.ssh_program);
    command.arg("-G");
    if let Some(config) = &settings.ssh_config {
        command.arg("-F").arg(config);
    }
    if let Some(user) = user {
        command.arg("-l").arg(user);
    }
    if let Some(port) = port {
        command.arg("-p").arg(port.to_string());
    }
    command
        .arg("--")
        .arg(address)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let answer = tokio::time::timeout(Duration::from_secs(5), command.output())
        .await
        .ok()?
        .ok()?;
    Some(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// The value of a keyword in what [`configured`] gave.
pub(super) fn value<'a>(configured: &'a str, keyword: &str) -> Option<&'a str> {
    configured
        .lines()
        .find_map(|line| line.strip_prefix(keyword)?.strip_prefix(' '))
}
