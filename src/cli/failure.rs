//! Why a subcommand ends with another exit code than 0. The codes stand in `--help`.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use jiff::tz::TimeZone;

use crate::config::ConfigError;
use crate::domain::{Timestamp, spoken};
use crate::store::{OpenError, ReadError};

/// The way a subcommand failed; its text is for the person who typed it.
#[derive(Debug)]
pub(super) enum Failure {
    /// The op ended, and not with success; that was said already.
    Op,
    /// What was given cannot be taken, or does not exist.
    Usage(String),
    /// No dashboard, or no answer from it or from a host.
    Unreachable(String),
    /// Refused: busy, or not possible in this state.
    Refused(String),
    /// Refused, and that was said already.
    SaidRefused,
    /// Nobody reads our output any more: no failure of ours.
    Unread,
    /// Anything else.
    Other(anyhow::Error),
}

impl Failure {
    /// Says it on stderr and gives the exit code.
    pub(super) fn report(&self) -> ExitCode {
        let text = match self {
            Self::Op | Self::SaidRefused | Self::Unread => None,
            Self::Usage(text) | Self::Unreachable(text) | Self::Refused(text) => Some(text.clone()),
            Self::Other(why) => Some(format!("{why:#}")),
        };
        if let Some(text) = text {
            say(&format!("quarterdeck: {text}"));
        }
        ExitCode::from(self.code())
    }

    /// The same with the times that it names in this zone, as everything else that is printed.
    pub(super) fn spoken_in(self, zone: &TimeZone) -> Self {
        let say = |text: String| spoken(zone, &text, Timestamp::now());
        match self {
            Self::Usage(text) => Self::Usage(say(text)),
            Self::Unreachable(text) => Self::Unreachable(say(text)),
            Self::Refused(text) => Self::Refused(say(text)),
            said @ (Self::Op | Self::SaidRefused | Self::Unread | Self::Other(_)) => said,
        }
    }

    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Unread => 0,
            Self::Op | Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Refused(_) | Self::SaidRefused => 4,
        }
    }
}

/// A line for the person at the terminal, beside the data on stdout.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

impl From<std::io::Error> for Failure {
    fn from(why: std::io::Error) -> Self {
        if why.kind() == ErrorKind::BrokenPipe {
            Self::Unread
        } else {
            Self::Other(why.into())
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(why: ConfigError) -> Self {
        Self::Usage(why.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(why: OpenError) -> Self {
        Self::Unreachable(why.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(why: ReadError) -> Self {
        Self::Other(why.into())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(why: serde_json::Error) -> Self {
        Self::Other(anyhow::Error::new(why).context("the dashboard's answer cannot be read; is it of another version?"))
    }
}
