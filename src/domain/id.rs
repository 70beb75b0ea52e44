//! Ids of what the journal holds. Commands and pipelines have UUIDv7, so that ids sort by time.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::schema::{described, format, text};
use super::{Invalid, Timestamp};

macro_rules! sorted_id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// An id that sorts after `largest`, whatever the clock says: the one of this instant,
            /// else the next number after the largest.
            #[must_use]
            pub fn after(largest: Option<Self>) -> Self {
                let fresh = Self(Uuid::now_v7());
                match largest {
                    Some(largest) if fresh <= largest => Self(Uuid::from_u128(largest.0.as_u128() + 1)),
                    _ => fresh,
                }
            }

            /// The smallest id that an instant can have: where a range of time starts among ids.
            #[must_use]
            pub fn first_at(instant: Timestamp) -> Self {
                let millis = (instant.as_micros() / 1_000).unsigned_abs();
                Self(Uuid::from_u128(u128::from(millis) << 80))
            }

            /// Eight hex digits for a reader; the last ones, which differ most.
            #[must_use]
            pub fn short(self) -> String {
                let text = self.to_string();
                text[text.len() - 8..].to_owned()
            }
        }

        described!($name, format("uuid", "0193a5c2-1f60-7c3e-8a4b-5d6e7f809102", "A UUIDv7: ids sort by time."));

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0.hyphenated())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| Invalid::new($field, format!("“{}” is no id", super::bounded(text, 60))))
            }
        }
    };
}

sorted_id!(
    /// A command: one journaled execution of one op on one host.
    CommandId,
    "command"
);
sorted_id!(
    /// A pipeline: one journaled run of ordered stages over a set of hosts.
    PipelineId,
    "pipeline"
);

/// An id as somebody gives it: whole, its beginning, or the short form that pages show (its end).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdPart(String);

impl IdPart {
    /// The fewest digits that are taken for a part of an id.
    const LEAST: usize = 4;

    /// The part as it was given, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an id begins or ends with it.
    #[must_use]
    pub fn fits(&self, id: &str) -> bool {
        id.starts_with(&self.0) || id.ends_with(&self.0)
    }
}

impl PipelineId {
    /// The same number among the ids of commands: both sort by time, so lists can hold both.
    #[must_use]
    pub const fn among_commands(self) -> CommandId {
        CommandId(self.0)
    }
}

impl CommandId {
    /// The same number among the ids of pipelines.
    #[must_use]
    pub const fn among_pipelines(self) -> PipelineId {
        PipelineId(self.0)
    }
}

impl From<PipelineId> for IdPart {
    fn from(id: PipelineId) -> Self {
        Self(id.to_string())
    }
}

impl From<CommandId> for IdPart {
    fn from(id: CommandId) -> Self {
        Self(id.to_string())
    }
}

impl fmt::Display for IdPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for IdPart {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !digits || !(Self::LEAST..=36).contains(&text.len()) {
            return Err(Invalid::new("id", format!("“{}” is no id", super::bounded(text, 60))));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// The only id that was found, or why there is not one: the command line says the same without a dashboard.
///
/// # Errors
/// A sentence: there is none, or there are several, which it names. `what` is `command` or `pipeline`.
pub fn part_means<I: Copy + fmt::Display>(what: &str, part: &str, found: &[I]) -> Result<I, String> {
    match found {
        [one] => Ok(*one),
        [] => Err(format!(
            "no {what}'s id begins or ends with {part}; it may be past its retention"
        )),
        several => {
            let ids: Vec<_> = several.iter().map(ToString::to_string).collect();
            Err(format!(
                "several {what}s' ids begin or end with {part}: {}; write more of it",
                ids.join(", ")
            ))
        }
    }
}

described!(
    IdPart,
    text(
        "^[0-9A-Fa-f-]{4,36}$",
        "0193a5c2-1f60-7c3e-8a4b-5d6e7f809102",
        "An id, whole, or its beginning or end."
    )
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_id_is_its_beginning_or_its_end() {
        let part: IdPart = "0FFFFFFF-ffff".parse().expect("a part");
        assert!(
            part.fits("0fffffff-ffff-7fff-8fff-fffffffffff0") && !part.fits("1fffffff-ffff-7fff-8fff-fffffffffff0")
        );
        assert!(
            "fffffff0"
                .parse::<IdPart>()
                .expect("short")
                .fits("0fffffff-ffff-7fff-8fff-fffffffffff0")
        );
        for wrong in ["42", "web-03", "", "0fffffff-ffff-7fff-8fff-fffffffffff00"] {
            assert!(wrong.parse::<IdPart>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn never_sorts_below_the_largest() {
        let far: CommandId = "0fffffff-ffff-7fff-8fff-fffffffffff0".parse().expect("id");
        let next = CommandId::after(Some(far));
        assert!(next > far);
        assert!(next.to_string() > far.to_string(), "text order is id order");
        assert!(CommandId::after(None) > CommandId::first_at("2026-01-01".parse().expect("time")));
    }
}
