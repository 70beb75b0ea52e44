//! The text that goes over a channel: variables, then the shell program of one verb. A text that is cut off in transit
//! is a syntax error, because everything is one function that only the last line calls.
//! Knows shell quoting; knows nothing of how the text gets there.

use std::fmt::Write as _;

use super::{Host, Job, JobId};
use crate::domain::{Reach, RunAs};

const COMMON: &str = include_str!("common.sh");
const CHANNEL: &str = include_str!("job.sh");
const SUPERVISOR: &str = include_str!("supervisor.sh");

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
