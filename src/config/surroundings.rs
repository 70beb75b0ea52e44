//! What a start checks beside the configuration's own words: that the programs and files which it names are there, and
//! that its scripts are what `sh` takes for scripts.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Config, ConfigError};
use crate::domain::Target;

/// One script of the configuration's own ops.
#[derive(Clone)]
pub(super) struct ScriptAt {
    /// `quarterdeck.toml:12`, the line of its key.
    pub(super) place: String,
    /// `op “pull”: pre_check`.
    pub(super) what: String,
    pub(super) text: String,
}

impl Config {
    /// Looks at this machine: what `[ssh]` names must be there, and every configured script must pass `sh -n`. Blocks.
    ///
    /// # Errors
    /// Says what is wrong, with its file and line.
    pub fn check_surroundings(&self) -> Result<(), ConfigError> {
        if let Some(place) = self.places.get("ssh.program") {
            let program = &self.ssh.program;
            if !is_program(program) {
                let problem = format!(
                    "ssh.program: there is no program {}; install it or correct this",
                    program.display()
                );
                return Err(ConfigError::new(place, problem));
            }
        }
        if let (Some(place), Some(file)) = (self.places.get("ssh.config_file"), &self.ssh.config_file)
            && let Err(why) = std::fs::File::open(file).and_then(|file| file.metadata())
        {
            let problem = format!("ssh.config_file: {} cannot be read: {why}", file.display());
            return Err(ConfigError::new(place, problem));
        }
        for notify in &self.outside.notifies {
            if let Target::Program(words) = &notify.target
                && let Some(program) = words.first()
                && !is_program(Path::new(program))
            {
                let problem = format!("command: there is no program {program}; install it or correct this");
                return Err(ConfigError::new(format!("notify “{}”", notify.name), problem));
            }
        }
        for script in &self.scripts {
            if let Some(why) = complaint_of_sh(&script.text) {
                return Err(ConfigError::new(
                    &script.place,
                    format!("{} is no script for sh: {why}", script.what),
                ));
            }
        }
        Ok(())
    }
}

/// A bare name is looked up in the PATH, as it will be when it is started.
fn is_program(program: &Path) -> bool {
    let runs = |path: &Path| path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok();
    if program.components().count() > 1 {
        return runs(program);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| runs(&folder.join(program)))
}

/// What `sh -n` has against a text, if anything. Where no shell can be asked, nothing is said.
fn complaint_of_sh(text: &str) -> Option<String> {
    let mut child = Command::new("/bin/sh")
        .args(["-n", "-s"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // A shell that has found its error reads no further.
    let _ = child.stdin.take()?.write_all(text.as_bytes());
    let ended = child.wait_with_output().ok()?;
    if ended.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let line = said.lines().next().unwrap_or("it was refused without a word");
    let line = line
        .trim_start_matches("/bin/")
        .trim_start_matches("sh: ")
        .trim_start_matches("line ");
    Some(in_words(line))
}

/// `3: Syntax error: ...` as part of a sentence.
fn in_words(said: &str) -> String {
    match said.split_once(": ") {
        Some((number, why)) if number.chars().all(|c| c.is_ascii_digit()) => {
            format!("in its line {number}: {}", why.trim())
        }
        Some(_) | None => said.trim().to_owned(),
    }
}
