//! Places outside that hear what happens here: log servers and files that get every event, witnesses that get
//! checkpoints, people and programs that are notified. Where they are may be a secret (the address of a webhook is),
//! so nothing of this shows it by `Debug`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use super::status::words;

words! {
    /// What a place outside gets.
    DeliveryKind, "kind" {
        /// Every event.
        Forward = "forward",
        /// Every checkpoint.
        Witness = "witness",
        /// A message about what needs somebody.
        Notify = "notify",
    }
}

words! {
    /// What somebody can be notified of.
    Notice, "on" {
        /// A command failed or timed out; a pipeline ended FAILED or PARTIAL.
        Failed = "failed",
        /// A command's outcome is unknown.
        Unknown = "unknown",
        /// A command is past its time and is not stopped.
        Overdue = "overdue",
        /// A pipeline ended, or is held until somebody says "go on".
        Pipeline = "pipeline",
        /// A host can no longer be reached, or the dashboard itself is not ready.
        Unhealthy = "unhealthy",
    }
}

/// Where something is sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A syslog server: `HOST:PORT`, RFC 5424 messages framed by their length (RFC 6587).
    Tcp(String),
    /// A syslog socket of this machine: a stream is framed like TCP, a datagram is one message.
    Socket(PathBuf),
    /// A file to which lines are appended.
    File(PathBuf),
    /// A web address that takes JSON by POST.
    Url(String),
    /// A program, with its arguments, that takes JSON on its standard input. No shell.
    Program(Vec<String>),
}

impl Target {
    /// Where that is, without what may be a secret: of a web address only the machine, of a command only the program.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Tcp(address) => format!("tcp://{address}"),
            Self::Socket(path) => format!("unix://{}", path.display()),
            Self::File(path) => path.display().to_string(),
            Self::Url(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
                let (machine, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
                let path = if path.trim_matches('/').is_empty() { "" } else { "/…" };
                format!("{scheme}://{machine}{path}")
            }
            Self::Program(words) => {
                let program = words.first().map_or("", String::as_str);
                let arguments = if words.len() > 1 { " …" } else { "" };
                format!("{program}{arguments}")
            }
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Further headers of a POST, `Name: value` on a line each; they may hold secrets.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Headers {
    /// None.
    #[default]
    None,
    /// In this file, which is read anew each time and must be its owner's alone.
    File(PathBuf),
    /// As they stand, out of the environment.
    Given(String),
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Given(_) => f.write_str("from the environment"),
        }
    }
}

/// A place that gets every event: `[[forward]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forward {
    /// Its name; what was sent is remembered under it.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// Whether it gets checkpoints as well.
    pub witness: bool,
    /// Whether it gets, at first, all events that there are; else only those from then on.
    pub from_start: bool,
}

/// A place that gets every checkpoint: `[[witness]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witnessing {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// Further headers.
    pub headers: Headers,
}

/// Somebody who is notified: `[[notify]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notify {
    /// Its name; what was sent is remembered under it.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// Further headers.
    pub headers: Headers,
    /// Of what.
    pub on: BTreeSet<Notice>,
    /// Whether the commands of a pipeline are told one by one as well, not only its end.
    pub pipeline_commands: bool,
    /// How often one message is tried before it is given up and named in the log.
    pub tries: u32,
}

/// Every place outside that hears what happens here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outside {
    /// Where every event goes.
    pub forwards: Vec<Forward>,
    /// Where checkpoints alone go.
    pub witnesses: Vec<Witnessing>,
    /// Who is notified.
    pub notifies: Vec<Notify>,
    /// Where the pages are, for links; without a slash at the end.
    pub public_url: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_an_address_is_never_shown() {
        let url = |text: &str| Target::Url(text.to_owned()).shown();
        assert_eq!(
            url("https://hooks.example.org/services/T0/s3cret"),
            "https://hooks.example.org/…"
        );
        assert_eq!(
            url("https://hooks.example.org?token=s3cret"),
            "https://hooks.example.org/…"
        );
        assert_eq!(url("http://127.0.0.1:9"), "http://127.0.0.1:9");
        assert_eq!(url("http://127.0.0.1:9/"), "http://127.0.0.1:9");
        let program = Target::Program(vec!["/bin/page".to_owned(), "--key=s3cret".to_owned()]);
        assert_eq!(format!("{program:?}"), "/bin/page …");
        let given = Headers::Given("Authorization: s3cret".to_owned());
        assert!(!format!("{given:?}").contains("s3cret"));
    }
}
