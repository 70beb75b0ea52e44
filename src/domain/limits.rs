//! What a pipeline is held back by: shares of hosts, what failures and busy hosts mean, and the limits of the catalog and
//! of one start.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schema::{described, text};
use super::{Invalid, Span};

/// A number of hosts: so many, or so many of a hundred.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// So many hosts, 1 or more.
    Count(usize),
    /// So many of a hundred, 1 to 100.
    Percent(usize),
}

impl Share {
    /// How many of `all` hosts that is, rounded up, never 0.
    #[must_use]
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Count(count) => count.max(1),
            Self::Percent(percent) => all.saturating_mul(percent).div_ceil(100).max(1),
        }
    }
}

impl FromStr for Share {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            let shown = super::bounded(text, 40);
            Invalid::new(
                "share",
                format!("“{shown}” is no number of hosts; write for example 3 or 25 %"),
            )
        };
        let (number, percent) = match text.trim().strip_suffix('%') {
            Some(number) => (number.trim(), true),
            None => (text.trim(), false),
        };
        let number: usize = number.parse().map_err(|_| wrong())?;
        match (percent, number) {
            (true, 1..=100) => Ok(Self::Percent(number)),
            (false, 1..) => Ok(Self::Count(number)),
            _ => Err(wrong()),
        }
    }
}

/// `3` or `25 %`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent} %"),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count as u64),
            Self::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a number of hosts, like 3 or \"25 %\"")]
        enum Either {
            Number(i64),
            Text(String),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Number(number) => number.to_string(),
            Either::Text(text) => text,
        };
        text.parse()
            .map_err(|wrong: Invalid| serde::de::Error::custom(wrong.problem))
    }
}

/// What a failed host means for its later stages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The host is out; its later stages are SKIPPED.
    #[default]
    StopHost,
    /// The host goes on with the next stage, and still counts as failed.
    GoOn,
}

/// What happens to a host that is busy when its turn comes. Written `refuse`, `leave_out` or `wait:5m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IfBusy {
    /// It gets its BLOCKED row; the others go on.
    #[default]
    Refuse,
    /// It is waited for, so long at most; then it gets its BLOCKED row.
    Wait(Span),
    /// It is left out when the pipeline starts.
    LeaveOut,
}

impl FromStr for IfBusy {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.trim() {
            "refuse" => Ok(Self::Refuse),
            "leave_out" => Ok(Self::LeaveOut),
            other => match other.strip_prefix("wait:") {
                Some(span) => span
                    .parse()
                    .map(Self::Wait)
                    .map_err(|wrong: Invalid| Invalid::new("if_busy", wrong.problem)),
                None => Err(Invalid::new(
                    "if_busy",
                    format!("“{}” is none of refuse, leave_out, wait:5m", super::bounded(other, 40)),
                )),
            },
        }
    }
}

impl fmt::Display for IfBusy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse => f.write_str("refuse"),
            Self::LeaveOut => f.write_str("leave_out"),
            Self::Wait(span) => write!(f, "wait:{span}"),
        }
    }
}

impl Serialize for IfBusy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IfBusy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|wrong: Invalid| serde::de::Error::custom(wrong.problem))
    }
}

/// What a pipeline is held back by, as the catalog has it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Limits {
    /// Hosts at work at once; none leaves it to the dashboard's `jobs.follow_limit`.
    pub max_parallel: Option<usize>,
    /// Sizes of the batches, as shares of all hosts; the last one repeats until none is left. Empty: one batch, or
    /// 1, 25 %, 100 % where an op is dangerous.
    pub batches: Vec<Share>,
    /// So many failed hosts, and nothing further starts.
    pub stop_when: Option<Share>,
    /// Busy hosts.
    pub if_busy: IfBusy,
    /// Whether a host that was not reached counts for `stop_when`.
    pub count_unreachable: bool,
}

/// Limits that somebody gives for one start; what is not given stays as the catalog has it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsGiven {
    /// See [`Limits::max_parallel`].
    #[serde(default)]
    pub max_parallel: Option<usize>,
    /// See [`Limits::batches`]; an empty list is one batch.
    #[serde(default)]
    pub batches: Option<Vec<Share>>,
    /// See [`Limits::stop_when`].
    #[serde(default)]
    pub stop_when: Option<Share>,
    /// See [`Limits::if_busy`].
    #[serde(default)]
    pub if_busy: Option<IfBusy>,
    /// See [`Limits::count_unreachable`].
    #[serde(default)]
    pub count_unreachable: Option<bool>,
}

described!(Share, share());
described!(
    IfBusy,
    text(
        &format!("^(refuse|leave_out|wait:{})$", super::duration::PATTERN),
        "wait:5m",
        "What becomes of a busy host: `refuse`, `leave_out` or `wait:5m`.",
    )
);

fn share() -> utoipa::openapi::Schema {
    use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
    let count = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(i64::MAX));
    let percent = text(
        "^([1-9][0-9]{0,8}|([1-9][0-9]?|100) ?%)$",
        "25 %",
        "So many of a hundred.",
    );
    let either = OneOfBuilder::new()
        .description(Some("A number of hosts: `3`, or `25 %` of them."))
        .item(count)
        .item(percent);
    Schema::OneOf(either.build())
}
