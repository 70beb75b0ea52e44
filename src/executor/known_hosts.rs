//! Files of known host keys, as `ssh` and `ssh-keygen` have them. `ssh-keygen` finds the lines (names may be hashed, or
//! patterns); what is changed is written beside the file and renamed over it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::Settings;

/// How often a file is read again that somebody else wrote to meanwhile.
const TRIES: usize = 5;

/// A line that is about a host.
pub(super) struct Found {
    /// Its number, from 1.
    number: usize,
    /// `CA`, `REVOKED`, or nothing: a key of the host.
    pub(super) marker: String,
    /// The key's type.
    pub(super) kind: String,
    /// The key, in base64.
    pub(super) blob: String,
}

/// Names, type and key of a line; none where it is something else.
pub(super) fn entry(line: &str) -> Option<(String, String, String)> {
    let mut words = line.split_ascii_whitespace().filter(|word| !word.starts_with('@'));
    let (names, kind, blob) = (words.next()?, words.next()?, words.next()?);
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    (!names.starts_with('#') && plain(names) && plain(kind) && plain(blob))
        .then(|| (names.to_owned(), kind.to_owned(), blob.to_owned()))
}

/// The lines of a file that are about a host.
pub(super) async fn find(settings: &Settings, name: &str, file: &Path) -> io::Result<Vec<Found>> {
    let mut command = tokio::process::Command::from(finder(settings, name, file));
    Ok(read(&command.kill_on_drop(true).output().await?.stdout))
}

/// A line with its name hashed, by way of a private file.
pub(super) async fn hashed(settings: &Settings, file: &Path, line: &str) -> io::Result<String> {
    tokio::fs::write(file, line).await?;
    let mut command = tokio::process::Command::new(keygen(settings));
    command.args(["-q", "-H", "-f"]).arg(file);
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !quiet.kill_on_drop(true).status().await?.success() {
        return Err(io::Error::other("ssh-keygen cannot hash the host's name"));
    }
    tokio::fs::read_to_string(file).await
}

/// Puts `line` (or nothing, where it is empty) into `file` in place of every key that is known of `name` there. The file is there afterwards with all of
/// that, for its owner alone, or as it was. `copy` is a private file. Blocks.
pub(super) fn replace(settings: &Settings, file: &Path, copy: &Path, name: &str, line: &str) -> io::Result<()> {
    let file = whole_path(file)?;
    for _ in 0..TRIES {
        let before = contents(&file)?;
        fs::write(copy, &before)?;
        let found = read(&finder(settings, name, copy).output()?.stdout);
        let after = edited(&before, &found, name, line);
        if after == before {
            return Ok(());
        }
        let new = beside(&file)?;
        let written = write(&new, &after).and_then(|()| {
            // Somebody's ssh may have added a host: then once more.
            if contents(&file)? != before {
                return Ok(false);
            }
            fs::rename(&new, &file)?;
            fs::File::open(file.parent().unwrap_or(Path::new("/")))?.sync_all()?;
            Ok(true)
        });
        if !matches!(written, Ok(true)) {
            let _ = fs::remove_file(&new);
        }
        if written.map_err(|why| io::Error::new(why.kind(), format!("{}: {why}", file.display())))? {
            return Ok(());
        }
    }
    Err(io::Error::other(format!(
        "{} is being written to by others; try again",
        file.display()
    )))
}

/// Where the file really is, behind any link. As the client does, a folder that is missing is made.
fn whole_path(file: &Path) -> io::Result<PathBuf> {
    let named = |why: io::Error| io::Error::new(why.kind(), format!("{}: {why}", file.display()));
    match fs::canonicalize(file) {
        Ok(file) if file.is_file() => Ok(file),
        Ok(_) => Err(named(io::Error::other("is no file"))),
        Err(why) if why.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(file).is_err() => {
            if let Some(parent) = file.parent().filter(|parent| !parent.exists()) {
                fs::DirBuilder::new().mode(0o700).create(parent).map_err(named)?;
            }
            Ok(file.to_owned())
        }
        Err(why) => Err(named(why)),
    }
}

fn contents(file: &Path) -> io::Result<Vec<u8>> {
    match fs::read(file) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn beside(file: &Path) -> io::Result<PathBuf> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    Ok(file.with_file_name(format!(".quarterdeck-{random:016x}")))
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The text with `line` at its end, without other keys of `name`. A line for several hosts loses that one.
fn edited(before: &[u8], found: &[Found], name: &str, line: &str) -> Vec<u8> {
    let mut after = Vec::with_capacity(before.len() + line.len() + 1);
    for (index, old) in before.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let ours = found
            .iter()
            .any(|found| found.number == index + 1 && found.marker.is_empty());
        if !ours {
            after.extend_from_slice(old);
        } else if let Some(rest) = without(&String::from_utf8_lossy(old), name) {
            after.extend_from_slice(rest.as_bytes());
        }
    }
    if !line.is_empty() && after.last().is_some_and(|byte| *byte != b'\n') {
        after.push(b'\n');
    }
    after.extend_from_slice(line.as_bytes());
    after
}

/// A line that is no longer about `name`; none where it was about nothing else.
fn without(line: &str, name: &str) -> Option<String> {
    let names = line.split_ascii_whitespace().next()?;
    if names.starts_with('|') {
        return None;
    }
    let others: Vec<&str> = names
        .split(',')
        .filter(|other| !other.eq_ignore_ascii_case(name))
        .collect();
    if others.iter().all(|other| other.starts_with('!')) {
        return None;
    }
    let pattern = others.iter().any(|other| other.contains(['*', '?']));
    let except = if pattern { format!("!{name},") } else { String::new() };
    Some(line.replacen(names, &format!("{except}{}", others.join(",")), 1))
}

fn finder(settings: &Settings, name: &str, file: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(keygen(settings));
    command.arg("-F").arg(name).arg("-f").arg(file);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// What `ssh-keygen -F` prints: `# Host NAME found: line N MARKER`, and the line.
fn read(stdout: &[u8]) -> Vec<Found> {
    let text = String::from_utf8_lossy(stdout);
    let mut found = Vec::new();
    let mut at = None;
    for line in text.lines() {
        if let Some((_, place)) = line
            .strip_prefix("# Host ")
            .and_then(|rest| rest.split_once(" found: line "))
        {
            let (number, marker) = place.split_once(' ').unwrap_or((place, ""));
            at = number.parse().ok().map(|number| (number, marker.trim().to_owned()));
        } else if let Some((number, marker)) = at.take()
            && let Some((_, kind, blob)) = entry(line)
        {
            found.push(Found {
                number,
                marker,
                kind,
                blob,
            });
        }
    }
    found
}

/// The program beside the client, else the one of the system.
fn keygen(settings: &Settings) -> PathBuf {
    let beside = settings.ssh_program.with_file_name("ssh-keygen");
    if beside.is_absolute() && beside.exists() {
        beside
    } else {
        PathBuf::from("ssh-keygen")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(number: usize, marker: &str) -> Found {
        Found {
            number,
            marker: marker.to_owned(),
            kind: "ssh-ed25519".to_owned(),
            blob: "AAAA".to_owned(),
        }
    }

    #[test]
    fn other_hosts_comments_and_markers_stay() {
        let before = "# mine\nweb ssh-ed25519 OLD\nweb,10.0.0.3 ssh-rsa OLD note\n*.lab,web ssh-rsa WIDE\n\
                      |1|aa=|bb= ssh-rsa OLD\n@revoked web ssh-rsa BAD\nother ssh-rsa KEEP";
        let ours = [
            found(2, ""),
            found(3, ""),
            found(4, ""),
            found(5, ""),
            found(6, "REVOKED"),
        ];
        let after = edited(before.as_bytes(), &ours, "web", "web ssh-ed25519 NEW\n");
        assert_eq!(
            String::from_utf8(after).expect("text"),
            "# mine\n10.0.0.3 ssh-rsa OLD note\n!web,*.lab ssh-rsa WIDE\n@revoked web ssh-rsa BAD\nother ssh-rsa KEEP\n\
             web ssh-ed25519 NEW\n"
        );
        assert_eq!(
            edited(b"", &[], "web", "web ssh-ed25519 NEW\n"),
            b"web ssh-ed25519 NEW\n"
        );
    }

    #[test]
    fn reads_what_ssh_keygen_found() {
        let text = b"# Host web found: line 3 \nweb ssh-ed25519 AAAA note\n# Host web found: line 9 REVOKED\n\
                     @revoked web ssh-rsa BBBB\n";
        let found = read(text);
        let lines: Vec<_> = found
            .iter()
            .map(|f| (f.number, f.marker.as_str(), f.blob.as_str()))
            .collect();
        assert_eq!(lines, [(3, "", "AAAA"), (9, "REVOKED", "BBBB")]);
    }
}
