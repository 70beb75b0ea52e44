//! Words of the event log: who caused an event, of what kind it is, how much it matters.

use std::fmt;
use std::str::FromStr;

use super::Invalid;
use super::schema::{described, text};
use super::status::words;

words! {
    /// What an event is about.
    Category, "category" {
        /// Somebody did, or was refused, something.
        Audit = "audit",
        /// The dashboard itself: start, stop, recovery, sweeps, hosts coming and going.
        System = "system",
        /// Something of the dashboard went wrong.
        Error = "error",
    }
}

words! {
    /// How much an event matters.
    Level, "level" {
        /// For the record.
        Info = "info",
        /// Worth a look.
        Warn = "warn",
        /// Went wrong.
        Error = "error",
        /// Ended well.
        Success = "success",
    }
}

/// Who caused an event.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Actor {
    /// A person with an account here.
    User(String),
    /// A program with a token.
    Token(String),
    /// An account of the dashboard's own machine, proved by the kernel on the Unix socket.
    Local(String),
    /// The dashboard itself.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::Local(name) => write!(f, "local:{name}"),
            Self::System => f.write_str("system"),
        }
    }
}

impl FromStr for Actor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.split_once(':') {
            None if text == "system" => Ok(Self::System),
            Some(("user", name)) if !name.is_empty() => Ok(Self::User(name.to_owned())),
            Some(("token", name)) if !name.is_empty() => Ok(Self::Token(name.to_owned())),
            Some(("local", name)) if !name.is_empty() => Ok(Self::Local(name.to_owned())),
            _ => Err(Invalid::new(
                "actor",
                "must be user:NAME, token:NAME, local:NAME or system",
            )),
        }
    }
}

impl Actor {
    /// An actor as somebody asks for one: a bare name is an account of the dashboard's own machine.
    #[must_use]
    pub fn asked(text: &str) -> String {
        match text {
            "the dashboard" => Self::System.to_string(),
            bare if bare != "system" && !bare.contains(':') => Self::Local(bare.to_owned()).to_string(),
            whole => whole.to_owned(),
        }
    }

    /// Everybody whom somebody may mean by a name as pages show it: `alice` is a user, a token or an account.
    #[must_use]
    pub fn meant(text: &str) -> Vec<String> {
        match text {
            "the dashboard" => vec![Self::System.to_string()],
            bare if bare != "system" && !bare.contains(':') => {
                let name = || bare.to_owned();
                let all = [Self::User(name()), Self::Token(name()), Self::Local(name())];
                all.iter().map(ToString::to_string).collect()
            }
            whole => vec![whole.to_owned()],
        }
    }

    /// The bare name, for a sentence.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::User(name) | Self::Token(name) | Self::Local(name) => name,
            Self::System => "the dashboard",
        }
    }
}

impl<'de> serde::Deserialize<'de> for Actor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

described!(
    Actor,
    text(
        "^(system|(user|token|local):.+)$",
        "user:alice",
        "Who caused it: `user:NAME`, `token:NAME`, `local:NAME` (an account of the dashboard's machine) or `system`.",
    )
);
