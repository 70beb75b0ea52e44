//! Ops: named actions of the catalog, and the definition that is stored with every command.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::schema::{described, text};
use super::{Invalid, RunAs, Span};

/// An op's name: 1 to 64 lower-case letters, digits, `-` or `_`, beginning with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct OpId(String);

impl OpId {
    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OpId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(
                "op",
                "must be 1 to 64 lower-case letters, digits, “-” or “_”, beginning with a letter or digit",
            ))
        }
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for OpId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|wrong: Invalid| serde::de::Error::custom(wrong.problem))
    }
}

/// What happens when an op's time is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnTimeout {
    /// It is stopped: TERM, wait, KILL, verify.
    #[default]
    Kill,
    /// It is never stopped: "overdue" is an event and needs attention, the host stays locked.
    Attend,
}

/// What ends an op.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Its exit code.
    #[default]
    Exit,
    /// The host being back with another boot id.
    Reboot,
}

/// One op of the catalog, as it is written in a `[[op]]` table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Op {
    /// Its name in commands and URLs.
    pub id: OpId,
    /// Its name on a button; the id where it has none.
    #[serde(default)]
    pub label: String,
    /// What it does, in one sentence.
    #[serde(default)]
    pub description: String,
    /// The shell script (POSIX sh) that is the op. It gets `QD_COMMAND` and `QD_HOST` in its environment.
    pub script: String,
    /// Decides before the start: 0 = go, 10 = not needed, anything else = refused with its text. Reads only.
    #[serde(default)]
    pub pre_check: Option<String>,
    /// Proves the goal after exit 0: 0 = good, anything else makes the command ERROR.
    #[serde(default)]
    pub post_check: Option<String>,
    /// How long it may run, from the host's acknowledgement of the start.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// When "takes longer than usual" is announced, once.
    #[serde(default)]
    pub warn_after: Option<Span>,
    /// What happens when its time is up.
    #[serde(default)]
    pub on_timeout: OnTimeout,
    /// Between TERM and KILL; the configured one where none is given.
    #[serde(default)]
    pub kill_grace: Option<Span>,
    /// Whether doing it twice is safe, so that a retry is offered.
    #[serde(default)]
    pub retryable: bool,
    /// Whether it can hurt: asks before it starts, is never resumed after a long absence.
    #[serde(default)]
    pub dangerous: bool,
    /// The user that it runs as on the host; a host can override it.
    #[serde(default)]
    pub run_as: Option<RunAs>,
    /// What ends it.
    #[serde(default)]
    pub expect: Expect,
}

fn default_timeout() -> Span {
    Span::from_secs(600)
}

/// Why an op or a pipeline cannot be taken into the catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("op “{op}”: {problem}")]
pub struct OpError {
    /// The op's id.
    pub op: String,
    /// The field and what is wrong with it.
    pub problem: String,
}

impl Op {
    /// The name for a reader.
    #[must_use]
    pub fn label(&self) -> &str {
        if self.label.is_empty() {
            self.id.as_str()
        } else {
            &self.label
        }
    }

    /// Checks what the types do not: sizes, empty scripts, times that contradict each other.
    ///
    /// # Errors
    /// Names the field and the fix.
    pub fn check(&self) -> Result<(), OpError> {
        let wrong = |problem: &str| {
            Err(OpError {
                op: self.id.to_string(),
                problem: problem.to_owned(),
            })
        };
        let scripts = [Some(&self.script), self.pre_check.as_ref(), self.post_check.as_ref()];
        if self.script.trim().is_empty() {
            return wrong("script is empty; write what sh should run");
        }
        if scripts.iter().flatten().any(|script| script.len() > 64 * 1024) {
            return wrong("a script is larger than 64 KiB; put it on the host and call it from here");
        }
        if scripts.iter().flatten().any(|script| script.contains('\0')) {
            return wrong("a script holds a NUL byte");
        }
        if self.timeout < Span::from_secs(1) {
            return wrong("timeout must be 1s or more");
        }
        if self.warn_after.is_some_and(|warn| warn >= self.timeout) {
            return wrong("warn_after must be shorter than timeout");
        }
        if self.label.len() > 80 || self.description.len() > 500 {
            return wrong("label may have 80 bytes, description 500");
        }
        Ok(())
    }

    /// The text that decides what is done: what a command stores, by its digest.
    #[must_use]
    pub fn definition(&self) -> Definition {
        Definition {
            op: self.id.clone(),
            script: self.script.clone(),
            pre_check: self.pre_check.clone(),
            post_check: self.post_check.clone(),
            timeout: self.timeout,
            warn_after: self.warn_after,
            on_timeout: self.on_timeout,
            kill_grace: self.kill_grace,
            retryable: self.retryable,
            dangerous: self.dangerous,
            run_as: self.run_as.clone(),
            expect: self.expect,
            environment: vec!["QD_COMMAND".to_owned(), "QD_HOST".to_owned()],
        }
    }
}

/// The resolved text of an op: everything that decides what happens on a host. Stored once by its
/// digest; a command is followed, checked, settled and resumed by the one stored with it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// The op's name.
    pub op: OpId,
    /// See [`Op::script`].
    pub script: String,
    /// See [`Op::pre_check`].
    pub pre_check: Option<String>,
    /// See [`Op::post_check`].
    pub post_check: Option<String>,
    /// See [`Op::timeout`].
    pub timeout: Span,
    /// See [`Op::warn_after`].
    pub warn_after: Option<Span>,
    /// See [`Op::on_timeout`].
    pub on_timeout: OnTimeout,
    /// See [`Op::kill_grace`].
    pub kill_grace: Option<Span>,
    /// See [`Op::retryable`].
    pub retryable: bool,
    /// See [`Op::dangerous`].
    pub dangerous: bool,
    /// See [`Op::run_as`].
    pub run_as: Option<RunAs>,
    /// See [`Op::expect`].
    pub expect: Expect,
    /// The names, never the values, of the variables that the scripts get.
    pub environment: Vec<String>,
}

impl Definition {
    /// The stored text: JSON with the fields in the order of their declaration.
    ///
    /// # Panics
    /// Never: a definition is plain data.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Reads a stored text.
    ///
    /// # Errors
    /// When the text is none that [`Definition::text`] wrote.
    pub fn read(text: &str) -> Result<Self, Invalid> {
        serde_json::from_str(text).map_err(|why| Invalid::new("definition", why.to_string()))
    }
}

/// A SHA-256 in 64 lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(&Sha256::digest(bytes))
    }

    /// From a finished SHA-256.
    #[must_use]
    pub fn from_hash(hash: &[u8]) -> Self {
        use std::fmt::Write as _;
        Self(hash.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }

    /// From the text of a row.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

described!(
    OpId,
    text(
        "^[a-z0-9][a-z0-9_-]{0,63}$",
        "uptime",
        "The name of an op, or of a pipeline, in the catalog."
    )
);
described!(
    Digest,
    text(
        "^[0-9a-f]{64}$",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "A SHA-256 in hex.",
    )
);

/// The ops that come with the binary. They are written like anybody's: in `[[op]]` tables.
///
/// # Panics
/// Never: a test reads the table.
#[must_use]
pub fn built_in() -> Vec<Op> {
    #[derive(Deserialize)]
    struct Table {
        op: Vec<Op>,
    }
    toml::from_str::<Table>(include_str!("built_in.toml"))
        .map(|table| table.op)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalog_is_sound() {
        let ids: Vec<_> = built_in().iter().map(|op| op.id.to_string()).collect();
        for id in [
            "uptime",
            "disk",
            "services-failed",
            "reboot",
            "pull",
            "switch",
            "test",
            "rollback",
        ] {
            assert!(ids.iter().any(|i| i == id), "{id} is missing from {ids:?}");
        }
        for op in built_in() {
            op.check().expect("sound");
            assert!(!op.description.is_empty(), "{} says what it does", op.id);
        }
    }

    #[test]
    fn a_definition_reads_back_and_its_digest_tells_changes() {
        let op = built_in().remove(0);
        let text = op.definition().text();
        assert_eq!(Definition::read(&text).expect("own text"), op.definition());
        let mut changed = op.clone();
        changed.script.push_str("\ntrue");
        assert_ne!(
            Digest::of(text.as_bytes()),
            Digest::of(changed.definition().text().as_bytes())
        );
        let mut relabelled = op;
        relabelled.label = "other".to_owned();
        assert_eq!(text, relabelled.definition().text(), "a label decides nothing");
    }

    #[test]
    fn bad_ops_are_refused_by_field() {
        let good = built_in().remove(0);
        let mut op = good.clone();
        op.script = "  \n".to_owned();
        assert!(op.check().expect_err("empty").problem.contains("script"));
        let mut op = good;
        op.warn_after = Some(op.timeout);
        assert!(op.check().expect_err("late").problem.contains("warn_after"));
    }
}
