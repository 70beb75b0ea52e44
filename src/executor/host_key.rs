//! Host keys: which one a host shows, which ones are known, and how one becomes known.
//!
//! The client itself is asked for all of it, with the configuration that every dial has (jump hosts, aliases, files of
//! known keys): it files the key that a host shows in an empty file of ours, and sends nothing that would let it log in.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::ssh::{self, Complaint};
use super::{Host, HostError, Settings, known_hosts};
use crate::domain::{HostKey, MESSAGE_LIMIT, Reach, bounded};

/// The key that a host shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownKey {
    /// The key.
    pub key: HostKey,
    /// Those that are known of this host; where the shown one is not among them it has changed.
    pub known: Vec<HostKey>,
    /// A file of known keys says that nobody may take it any more.
    pub revoked: bool,
    /// What the client calls the host in such a file: `web-03`, `[10.0.0.3]:2222`.
    pub(super) name: String,
    /// The key itself, in base64.
    pub(super) blob: String,
}

impl ShownKey {
    /// True where the client takes it already.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known.contains(&self.key)
    }

    /// What is wrong with it, and what to do, for whoever reads why a host is not reached.
    pub(super) fn help(&self, host: &Host) -> String {
        let key = &self.key;
        let what = if self.revoked {
            format!("it shows a key that is marked as revoked: {key}")
        } else if self.known.is_empty() {
            format!("it shows a key that nobody here has accepted yet: {key}")
        } else {
            let known: Vec<String> = self.known.iter().map(ToString::to_string).collect();
            format!(
                "it shows another key than the one that is known: {key}; known: {}",
                known.join(", ")
            )
        };
        let text = format!(
            "{what}\nCompare it with what the host itself says at its console: {}\nOnly where it is the same, accept it: \
             on the host's page, or quarterdeck host accept {} {}",
            key.line_on_host(),
            host.name,
            key.fingerprint
        );
        bounded(&text, MESSAGE_LIMIT)
    }
}

/// A folder of ours for the files of one question; gone with it.
struct Private(PathBuf);

impl Private {
    fn make(within: &Path) -> Result<Self, HostError> {
        let cannot = |why: String| HostError::Unreachable(format!("no folder for its key: {why}"));
        let random = getrandom::u64().map_err(|why| cannot(why.to_string()))?;
        let path = within.join(format!("key-{random:016x}"));
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|why| cannot(why.to_string()))?;
        Ok(Self(path))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Dials a host for the key that it shows now; `within` is a private folder.
pub(super) async fn shown(settings: &Settings, within: &Path, host: &Host) -> Result<ShownKey, HostError> {
    let folder = Private::make(within)?;
    let file = folder.0.join("shown");
    let options = [
        format!("UserKnownHostsFile=\"{}\"", file.display()),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "KnownHostsCommand=none".to_owned(),
        "StrictHostKeyChecking=accept-new".to_owned(),
        "HashKnownHosts=no".to_owned(),
        "CheckHostIP=no".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        "PreferredAuthentications=none".to_owned(),
    ];
    // No socket: a connection that is there already would show nothing.
    let Some(mut command) = ssh::command(settings, Path::new("none"), &host.reach, &options) else {
        return Err(HostError::Unreachable("it is not reached by ssh".to_owned()));
    };
    command
        .arg("exit")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let patience = settings.connect_timeout.to_std() + Duration::from_secs(15);
    let said = match tokio::time::timeout(patience, command.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Ok(Err(why)) => return Err(HostError::Unreachable(format!("cannot start the client: {why}"))),
        Err(_) => format!("no answer within {} s", patience.as_secs()),
    };
    let text = tokio::fs::read_to_string(&file).await.unwrap_or_default();
    let Some((name, kind, blob)) = text.lines().find_map(known_hosts::entry) else {
        return Err(match ssh::classify(settings, host, &said, false, None) {
            Complaint::Final(why) | Complaint::Busy(why) => why,
            Complaint::NoSudo => HostError::Unreachable(bounded(&said, MESSAGE_LIMIT)),
        });
    };
    let key = key_of(&kind, &blob).ok_or_else(|| HostError::Unreachable("its key cannot be read".to_owned()))?;
    let mut shown = ShownKey {
        key,
        known: Vec::new(),
        revoked: false,
        name,
        blob,
    };
    for file in files(settings, &host.reach).await {
        let named = known_hosts::find(settings, &shown.name, &file).await;
        for found in named.map_err(|why| HostError::Unreachable(format!("{}: {why}", file.display())))? {
            match found.marker.as_str() {
                "" => shown.known.extend(key_of(&found.kind, &found.blob)),
                "REVOKED" => shown.revoked |= found.blob == shown.blob,
                // Who signs keys is no key of the host.
                _ => {}
            }
        }
    }
    shown.known.dedup();
    Ok(shown)
}

/// Makes `shown` the one key that is known of its host in the files where the client keeps such keys: it stands in the
/// first of them. The file of the whole system is not ours to change.
pub(super) async fn pin(settings: &Settings, within: &Path, reach: &Reach, shown: &ShownKey) -> io::Result<()> {
    let folder = Private::make(within).map_err(io::Error::other)?;
    let configured = ssh::configured(settings, reach).await.unwrap_or_default();
    let mut files = files_in(&configured, "userknownhostsfile");
    let file = files
        .next()
        .filter(|file| file.is_absolute() && file != Path::new("/dev/null"))
        .ok_or_else(|| io::Error::other("ssh is configured to keep no known host keys (UserKnownHostsFile)"))?;
    let others: Vec<PathBuf> = files.filter(|file| file.is_file()).collect();
    let mut line = format!("{} {} {}\n", shown.name, shown.key.kind, shown.blob);
    if ssh::value(&configured, "hashknownhosts") == Some("yes") {
        line = known_hosts::hashed(settings, &folder.0.join("line"), &line).await?;
    }
    let (settings, name, copy) = (settings.clone(), shown.name.clone(), folder.0.join("copy"));
    let written = tokio::task::spawn_blocking(move || {
        for other in others {
            known_hosts::replace(&settings, &other, &copy, &name, "")?;
        }
        known_hosts::replace(&settings, &file, &copy, &name, &line)
    });
    written.await.map_err(io::Error::other)?
}

fn key_of(kind: &str, blob: &str) -> Option<HostKey> {
    let bytes = STANDARD.decode(blob).ok()?;
    let digest = STANDARD_NO_PAD.encode(Sha256::digest(bytes));
    Some(HostKey {
        kind: bounded(kind, 100),
        fingerprint: format!("SHA256:{digest}").parse().ok()?,
    })
}

/// Every file in which the client looks for known keys.
async fn files(settings: &Settings, reach: &Reach) -> Vec<PathBuf> {
    let configured = ssh::configured(settings, reach).await.unwrap_or_default();
    let all = files_in(&configured, "userknownhostsfile").chain(files_in(&configured, "globalknownhostsfile"));
    all.filter(|file| file.is_file()).collect()
}

/// The client names them in one line, with spaces between.
fn files_in<'a>(configured: &'a str, keyword: &str) -> impl Iterator<Item = PathBuf> + use<'a> {
    let names = ssh::value(configured, keyword).unwrap_or_default();
    names.split(' ').filter(|name| !name.is_empty()).map(PathBuf::from)
}
