//! The text that goes over a channel: variables, then the shell program of one verb. A text that is cut off in transit
//! is a syntax error, because everything is one function that only the last line calls.
//! Knows shell quoting; knows nothing of how the text gets there.

use std::fmt::Write as _;

use super::{Host, Job, JobId};
use crate::domain::{Reach, RunAs};

const COMMON: &str = include_str!("sh/common.sh");
const SUPERVISOR: &str = include_str!("sh/supervisor.sh");
const CHANNEL: &str = concat!(
    include_str!("sh/channel.sh"),
    include_str!("sh/prepare.sh"),
    include_str!("sh/launch.sh"),
    include_str!("sh/follow.sh"),
    include_str!("sh/stop.sh"),
    include_str!("sh/after.sh"),
);

/// One verb with its variables.
pub(super) struct Script {
    /// `prepare`, `launch`, ...: the first word after `sh -s --`.
    pub(super) verb: &'static str,
    /// The job's folder name, or `-`: the second word, for whoever reads a list of processes.
    pub(super) job: String,
    variables: String,
}

impl Script {
    /// A verb that concerns no job.
    pub(super) fn new(verb: &'static str, host: &Host, dashboard: &str, local_spool: &str) -> Self {
        let mut script = Self {
            verb,
            job: "-".to_owned(),
            variables: String::new(),
        };
        // Another user cannot enter the data folder: its local jobs live in its own home.
        let here = host.reach == Reach::Local && host.spool.is_none() && host.run_as.as_ref().is_none();
        let spool = match &host.spool {
            Some(spool) => spool.as_str(),
            None if here => local_spool,
            None => "",
        };
        script.set("DASHBOARD", dashboard);
        script.set("HOST", host.name.as_str());
        script.set("SPOOL", spool);
        script.set("OP", "");
        script.set("HERE", if here { "1" } else { "" });
        script
    }

    /// A verb about one job.
    pub(super) fn about(mut self, id: JobId) -> Self {
        self.job = folder(id);
        let job = self.job.clone();
        self.set("JOB", &job);
        self.set("COMMAND", &id.command.to_string());
        self
    }

    /// Sets one variable, whatever it holds.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.variables, "{name}={}", quoted(value));
    }

    /// Adds what a launch writes on the host, with the sizes that the files must have.
    pub(super) fn carry(&mut self, job: &Job, host: &Host) {
        let supervisor = format!("{COMMON}{SUPERVISOR}job_main \"$@\"\n");
        let mut environment = String::new();
        let command = job.id.command.to_string();
        let ours = [("QD_COMMAND", command.as_str()), ("QD_HOST", host.name.as_str())];
        let theirs = job
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in theirs.filter(|(name, _)| is_name(name)).chain(ours) {
            let _ = writeln!(environment, "{name}={}; export {name}", quoted(value));
        }
        let timeout = job.timeout.map_or(0, |timeout| timeout.as_millis().max(1));
        self.set("OP", &job.op);
        self.set("TIMEOUT_MS", &timeout.to_string());
        self.set("OUTPUT_LIMIT", &job.output_limit.to_string());
        for (text, size, content) in [
            ("P_ENV", "N_ENV", Some(environment.as_str())),
            ("P_SUPER", "N_SUPER", Some(supervisor.as_str())),
            ("P_SCRIPT", "N_SCRIPT", Some(job.script.as_str())),
            ("P_CHECK", "N_CHECK", job.post_check.as_deref()),
        ] {
            self.set(text, content.unwrap_or_default());
            self.set(
                size,
                &content.map(|content| content.len().to_string()).unwrap_or_default(),
            );
        }
    }

    /// The whole text, for one channel that knows `nonce`.
    pub(super) fn text(&self, nonce: &str) -> String {
        let variables = &self.variables;
        format!("main() {{\nNONCE={nonce}\n{variables}{COMMON}{CHANNEL}qd_main \"$@\"\n}}\nmain \"$@\"\n")
    }
}

/// `sudo -n -u USER --`, or its like, before `/bin/sh`.
pub(super) fn become_words(run_as: Option<&RunAs>, doas: bool) -> Vec<String> {
    let Some(user) = run_as else { return Vec::new() };
    let words: &[&str] = if doas {
        &["doas", "-n", "-u"]
    } else {
        &["sudo", "-n", "-u"]
    };
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.extend([user.as_str().to_owned(), "--".to_owned()]);
    words
}

/// The name of a job's folder: the command's id, and the launch where it is not the first.
fn folder(id: JobId) -> String {
    match id.launch {
        ..=1 => id.command.to_string(),
        launch => format!("{}.{launch}", id.command),
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::domain::{CommandId, Span};

    fn host(spool: &std::path::Path) -> Host {
        Host {
            name: "here".parse().expect("name"),
            reach: Reach::Local,
            spool: Some(spool.to_str().expect("path").parse().expect("spool")),
            run_as: None,
        }
    }

    fn sh(text: &str, verb: &str, job: &str) -> String {
        let mut child = Command::new("/bin/sh")
            .args(["-s", "--", verb, job])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        // A shell that gave up early closes its end.
        let _ = child.stdin.take().expect("stdin").write_all(text.as_bytes());
        let output = child.wait_with_output().expect("output");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn a_text_cut_off_in_transit_starts_nothing_and_touches_nothing() {
        let dir = tempfile::tempdir().expect("folder");
        let spool = dir.path().join("base");
        let host = host(&spool);
        let seen = dir.path().join("seen");
        let job = Job {
            id: JobId {
                command: CommandId::after(None),
                launch: 1,
            },
            op: "touches".to_owned(),
            script: format!("touch {}", seen.display()),
            post_check: Some("true 'quoted' \"$x\"".to_owned()),
            timeout: Some(Span::from_secs(5)),
            output_limit: 1_000,
            environment: vec![("A".to_owned(), "it's\nx".to_owned())],
        };
        let mut script = Script::new("launch", &host, "dashboard", "").about(job.id);
        script.carry(&job, &host);
        let whole = script.text("0123456789abcdef");
        let cuts = (0..whole.len() - 9)
            .step_by(211)
            .chain(whole.len() - 14..whole.len() - 1);
        for cut in cuts {
            let said = sh(&whole[..cut], "launch", &script.job);
            assert!(
                !said.contains("quarterdeck 0123"),
                "cut at {cut} of {}: {said}",
                whole.len()
            );
            assert!(!spool.exists() && !seen.exists(), "cut at {cut} of {}", whole.len());
        }
        let said = sh(&whole, "launch", &script.job);
        assert!(said.contains("evidence exit 0 0 "), "{said}");
        assert!(seen.exists());
    }

    #[test]
    fn words_of_a_job_are_safe_whatever_its_values_hold() {
        assert_eq!(quoted("it's $x"), r"'it'\''s $x'");
        for (name, good) in [
            ("A_1", true),
            ("_", true),
            ("1A", false),
            ("A-B", false),
            ("", false),
            ("A;b", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
        let id = JobId {
            command: CommandId::after(None),
            launch: 3,
        };
        assert_eq!(folder(id), format!("{}.3", id.command));
    }
}
