//! Who may do what. One place decides: [`Access::may`]. What is not granted is denied.
//!
//! A role holds for the whole fleet, or (`operator`, `dangerous`) for the hosts of one tag. Whoever has any role sees
//! everything; running dangerous ops is a right of its own, which no role brings along.
//!
//! **Nobody gives away more than they have**, in any of these ways:
//!
//! * Rights are given to users and tokens by who has them ([`Access::may_give`]).
//! * A token may never do more than who made it may now: it is refused while they are disabled, or could not make it
//!   today ([`Access::may_make_token`]).
//! * A tag hands a host to everybody whose rights are for that tag. So a host gets a tag (when it is added, or added
//!   again) only from who has each of those rights *on all hosts* ([`Access::may_tag`]): who may run dangerous ops on the
//!   hosts of a tag alone cannot draw another host to themselves. Taking a host away gives nobody anything.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::schema::{described, text};
use super::status::words;
use super::{HostName, Invalid, Tag, Timestamp, bounded};

words! {
    /// What somebody is, here. Each may all that the ones before it may.
    Role, "role" {
        /// Sees, prints, exports.
        Viewer = "viewer",
        /// Runs ops and pipelines, stops, retries and resolves them.
        Operator = "operator",
        /// Hosts, users, tokens, settings.
        Admin = "admin",
    }
}

words! {
    /// Everything that can be asked of the dashboard.
    Ask, "action" {
        /// Look at pages and rows, print, export.
        See = "see",
        /// One's own account: sessions, password, second factor.
        Account = "account",
        /// Start, or retry, an op or a pipeline.
        Run = "run",
        /// The same with an op that is marked dangerous.
        RunDangerous = "run-dangerous",
        /// Stop, extend, hold, find out, resolve what runs.
        Steer = "steer",
        /// Contact a host to see how it is.
        Test = "test",
        /// Add, change and remove hosts.
        Hosts = "hosts",
        /// Add, change and disable users; end their sessions.
        Users = "users",
        /// Make and revoke tokens.
        Tokens = "tokens",
        /// Sweep, and whatever else concerns the dashboard as a whole.
        Settings = "settings",
        /// A one-time link to a session: break-glass, for the account that owns the data folder.
        Link = "link",
    }
}

words! {
    /// How somebody proved who they are.
    Factor, "factor" {
        /// By the password.
        Password = "password",
        /// By a code of the second factor.
        Totp = "totp",
        /// By a recovery code in place of the second factor.
        Recovery = "recovery",
    }
}

/// One thing that somebody was given.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Right {
    Role(Role),
    Dangerous,
}

/// What somebody was given: roles, each for all hosts or for those of a tag, and the right to run dangerous ops.
///
/// Written as words: `operator@lab dangerous@lab viewer`. Without any word it grants nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Grants(BTreeSet<(Right, Option<Tag>)>);

impl Grants {
    /// Everything that can be granted.
    #[must_use]
    pub fn all() -> Self {
        Self(BTreeSet::from([
            (Right::Role(Role::Admin), None),
            (Right::Dangerous, None),
        ]))
    }

    /// True where this role, or a higher one, is held on all hosts.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0
            .iter()
            .any(|(right, tag)| tag.is_none() && matches!(right, Right::Role(held) if *held >= role))
    }

    /// True where this very role, or a higher one, is held on any host.
    #[must_use]
    pub fn has_somewhere(&self, role: Role) -> bool {
        self.0
            .iter()
            .any(|(right, _)| matches!(right, Right::Role(held) if *held >= role))
    }

    /// True where everything in `other` is granted here too: nobody gives away more than they have.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(right, tag)| {
            self.0.iter().any(|(mine, on)| {
                let enough = match (mine, right) {
                    (Right::Role(mine), Right::Role(wanted)) => mine >= wanted,
                    (Right::Dangerous, Right::Dangerous) => true,
                    (Right::Role(_), Right::Dangerous) | (Right::Dangerous, Right::Role(_)) => false,
                };
                enough && (on.is_none() || on == tag)
            })
        })
    }

    /// What of it holds on a host only because that has one of these tags.
    #[must_use]
    pub fn through(&self, tags: &[Tag]) -> Self {
        let by_tag = |(_, tag): &&(Right, Option<Tag>)| tag.as_ref().is_some_and(|tag| tags.contains(tag));
        Self(self.0.iter().filter(by_tag).cloned().collect())
    }

    /// True where running dangerous ops is among it, on any host.
    #[must_use]
    pub fn has_dangerous(&self) -> bool {
        self.0.iter().any(|(right, _)| *right == Right::Dangerous)
    }

    /// The same rights on all hosts.
    #[must_use]
    pub fn everywhere(&self) -> Self {
        Self(self.0.iter().map(|(right, _)| (right.clone(), None)).collect())
    }

    fn any_role(&self) -> bool {
        self.has_somewhere(Role::Viewer)
    }

    fn fits(&self, on: On<'_>, right: impl Fn(&Right) -> bool) -> bool {
        self.0.iter().any(|(held, tag)| {
            right(held)
                && match (tag, on) {
                    (None, _) | (Some(_), On::Somewhere) => true,
                    (Some(tag), On::Host(_, tags)) => tags.contains(tag),
                    (Some(_), On::Everywhere) => false,
                }
        })
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (right, tag)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match right {
                Right::Role(role) => write!(f, "{role}")?,
                Right::Dangerous => f.write_str("dangerous")?,
            }
            if let Some(tag) = tag {
                write!(f, "@{tag}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Grants {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = |problem: String| Invalid::new("role", problem);
        let mut grants = BTreeSet::new();
        for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            let (name, tag) = match word.split_once('@') {
                Some((name, tag)) => (name, Some(tag.parse::<Tag>()?)),
                None => (word, None),
            };
            let right = if name.eq_ignore_ascii_case("dangerous") {
                Right::Dangerous
            } else {
                let role = name.parse::<Role>().map_err(|_| {
                    wrong(format!(
                        "“{}” is none of viewer, operator, admin, dangerous; operator and dangerous may be for a tag: operator@lab",
                        bounded(name, 60)
                    ))
                })?;
                Right::Role(role)
            };
            if tag.is_some() && !matches!(right, Right::Role(Role::Operator) | Right::Dangerous) {
                return Err(wrong(format!("{name} is for the whole fleet; it takes no tag")));
            }
            grants.insert((right, tag));
        }
        Ok(Self(grants))
    }
}

impl serde::Serialize for Grants {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What an action is asked for.
#[derive(Clone, Copy, Debug)]
pub enum On<'a> {
    /// Before it is known what for: may it be done at all?
    Somewhere,
    /// A host, and its tags.
    Host(&'a HostName, &'a [Tag]),
    /// All hosts, whatever their tags.
    Everywhere,
}

/// The answer to "may they?".
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Decision {
    /// Yes.
    Allowed,
    /// No, and what is missing, in half a sentence.
    Denied(String),
}

impl Decision {
    /// Yes or no.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        *self == Self::Allowed
    }
}

/// What somebody who was recognised may do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// Nothing at all.
    #[default]
    Nothing,
    /// What was granted.
    Granted(Grants),
    /// The dashboard itself, and the account of its own machine that owns its data.
    Everything,
}

impl Access {
    /// **The one place that decides.**
    pub fn may(&self, action: Ask, on: On<'_>) -> Decision {
        let grants = match self {
            Self::Nothing => return Decision::Denied("nothing is granted".to_owned()),
            Self::Everything => return Decision::Allowed,
            Self::Granted(grants) => grants,
        };
        let operator = || {
            grants.fits(
                on,
                |right| matches!(right, Right::Role(role) if *role >= Role::Operator),
            )
        };
        let (allowed, missing) = match action {
            Ask::See => (grants.any_role(), "the role viewer"),
            Ask::Account => (true, ""),
            Ask::Run | Ask::Steer | Ask::Test => (operator(), "the role operator"),
            Ask::RunDangerous if !operator() => (false, "the role operator"),
            Ask::RunDangerous => (
                grants.fits(on, |right| *right == Right::Dangerous),
                "the right to run dangerous ops",
            ),
            Ask::Hosts | Ask::Users | Ask::Tokens | Ask::Settings => (grants.has(Role::Admin), "the role admin"),
            Ask::Link => (false, "to be the account that owns the data folder"),
        };
        match (allowed, on) {
            (true, _) => Decision::Allowed,
            (false, On::Somewhere) => Decision::Denied(format!("that takes {missing}")),
            (false, On::Host(host, _)) => Decision::Denied(format!("that takes {missing} on {host}")),
            (false, On::Everywhere) => Decision::Denied(format!("that takes {missing} on all hosts")),
        }
    }
}

impl Access {
    /// Whether this may be given to somebody, or changed of somebody who has it.
    pub fn may_give(&self, grants: &Grants) -> Decision {
        let enough = match self {
            Self::Nothing => false,
            Self::Granted(mine) => mine.covers(grants),
            Self::Everything => true,
        };
        if enough {
            return Decision::Allowed;
        }
        Decision::Denied(format!(
            "you cannot give, or change, what you do not have yourself ({grants})"
        ))
    }

    /// Whether a token with these rights may be made, and so may do anything.
    pub fn may_make_token(&self, grants: &Grants) -> Decision {
        match self.may(Ask::Tokens, On::Somewhere) {
            Decision::Allowed => self.may_give(grants),
            denied @ Decision::Denied(_) => denied,
        }
    }

    /// Whether a host may be given tags through which `holder` gets these rights on it.
    pub fn may_tag(&self, holder: &str, through: &Grants) -> Decision {
        let wanted = through.everywhere();
        match self.may_give(&wanted) {
            Decision::Allowed => Decision::Allowed,
            Decision::Denied(_) => Decision::Denied(format!(
                "such a tag gives {holder} rights on the host ({through}), which takes to have them on all hosts ({wanted})"
            )),
        }
    }
}

/// What stands behind a request beside a name: goes into the details of what it caused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    /// Said by the other end and not proved: `SUDO_USER=alice`.
    Claims(String),
    /// Proved at this time.
    Given(Factor, Timestamp),
}

described!(
    Grants,
    text(
        "^((viewer|admin|(operator|dangerous)(@[A-Za-z0-9][A-Za-z0-9._:-]{0,63})?)( |$))*$",
        "operator@lab dangerous@lab viewer",
        "What somebody may do, as words: `viewer`, `operator`, `admin`, `dangerous`; `operator` and `dangerous` may be for a tag.",
    )
);

#[cfg(test)]
#[path = "access/tests.rs"]
mod tests;
