//! One value of the configuration, from a file or the environment, read into what its key needs.
//!
//! Every message says what would be right; which key and where it stands is added by the caller.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::domain::{Span, bounded};

use super::Keep;

/// What was written.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    Text(String),
    Number(i64),
    List(Vec<String>),
    Flag(bool),
    /// Something that no key takes, by the name of its kind.
    Other(&'static str),
}

/// What was written, and the folder that a relative path in it begins at (the file's own).
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) raw: Raw,
    pub(super) base: Option<PathBuf>,
}

impl Value {
    /// From an environment variable: text, whatever the key needs is read out of it.
    pub(super) fn from_env(text: &str) -> Self {
        Self {
            raw: Raw::Text(text.to_owned()),
            base: None,
        }
    }

    pub(super) fn text(&self) -> Result<&str, String> {
        match &self.raw {
            Raw::Text(text) if text.is_empty() => Err("is empty; remove the key or give it a value".to_owned()),
            Raw::Text(text) => Ok(text),
            Raw::Number(_) => Err("is a number, but must be text in quotes".to_owned()),
            Raw::List(_) => Err("is a list, but must be one text in quotes".to_owned()),
            Raw::Flag(_) => Err("is a boolean, but must be text in quotes".to_owned()),
            Raw::Other(kind) => Err(format!("is a {kind}, but must be text in quotes")),
        }
    }

    pub(super) fn path(&self) -> Result<PathBuf, String> {
        let path = Path::new(self.text()?);
        if path.starts_with("~") {
            return Err("“~” is not expanded; write the whole path".to_owned());
        }
        Ok(match &self.base {
            Some(base) => base.join(path),
            None => path.to_owned(),
        })
    }

    /// A list of texts; in the environment they are separated by commas.
    pub(super) fn list(&self) -> Result<Vec<String>, String> {
        match &self.raw {
            Raw::List(texts) => Ok(texts.clone()),
            Raw::Text(text) if self.base.is_none() => Ok(text
                .split(',')
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect()),
            Raw::Text(_) | Raw::Number(_) | Raw::Flag(_) | Raw::Other(_) => {
                Err("must be a list of texts, for example [\"fleet.example.org\"]".to_owned())
            }
        }
    }

    pub(super) fn number(&self, range: RangeInclusive<i64>) -> Result<i64, String> {
        self.integer().filter(|number| range.contains(number)).ok_or_else(|| {
            format!(
                "must be a whole number from {} to {}, not {}",
                range.start(),
                range.end(),
                self.shown()
            )
        })
    }

    pub(super) fn count(&self, range: RangeInclusive<i64>) -> Result<usize, String> {
        let number = self.number(range)?;
        usize::try_from(number).map_err(|_| "is too large for this machine".to_owned())
    }

    pub(super) fn flag(&self) -> Result<bool, String> {
        match &self.raw {
            Raw::Flag(flag) => Ok(*flag),
            Raw::Text(text) if text == "true" => Ok(true),
            Raw::Text(text) if text == "false" => Ok(false),
            Raw::Text(_) | Raw::Number(_) | Raw::List(_) | Raw::Other(_) => {
                Err(format!("must be true or false, not {}", self.shown()))
            }
        }
    }

    /// Days of retention: never "delete all", never by accident "for ever".
    pub(super) fn days(&self) -> Result<Keep, String> {
        if matches!(&self.raw, Raw::Text(text) if text == "forever") {
            return Ok(Keep::Forever);
        }
        self.number(1..=3_650).map(Keep::Days).map_err(|_| {
            format!(
                "must be a number of days from 1 to 3650, or \"forever\", not {}",
                self.shown()
            )
        })
    }

    pub(super) fn span(&self, range: RangeInclusive<Span>) -> Result<Span, String> {
        let text = match &self.raw {
            Raw::Number(number) => return Err(format!("has no unit; write for example \"{number}s\"")),
            Raw::Text(_) | Raw::List(_) | Raw::Flag(_) | Raw::Other(_) => self.text()?,
        };
        let span: Span = text.parse().map_err(|wrong: crate::domain::Invalid| wrong.problem)?;
        if range.contains(&span) {
            Ok(span)
        } else {
            Err(format!(
                "must lie between {} and {}, not {span}",
                range.start(),
                range.end()
            ))
        }
    }

    /// A number of bytes: plain, or with a unit (KB, MB, GB in thousands, KiB, MiB, GiB in 1024s).
    pub(super) fn bytes(&self, range: RangeInclusive<u64>) -> Result<u64, String> {
        let wrong = || {
            format!(
                "must be a number of bytes such as \"64MiB\" or \"200MB\", from {} to {} bytes, not {}",
                range.start(),
                range.end(),
                self.shown()
            )
        };
        let bytes = match &self.raw {
            Raw::Number(number) => u64::try_from(*number).ok(),
            Raw::Text(text) => read_bytes(text),
            Raw::List(_) | Raw::Flag(_) | Raw::Other(_) => None,
        };
        bytes.filter(|bytes| range.contains(bytes)).ok_or_else(wrong)
    }

    fn integer(&self) -> Option<i64> {
        match &self.raw {
            Raw::Number(number) => Some(*number),
            Raw::Text(text) => text.trim().parse().ok(),
            Raw::List(_) | Raw::Flag(_) | Raw::Other(_) => None,
        }
    }

    fn shown(&self) -> String {
        match &self.raw {
            Raw::Text(text) => format!("“{}”", bounded(text, 60)),
            Raw::Number(number) => number.to_string(),
            Raw::List(_) => "a list".to_owned(),
            Raw::Flag(flag) => flag.to_string(),
            Raw::Other(kind) => format!("a {kind}"),
        }
    }
}

fn read_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_with_and_without_units() {
        for (text, bytes) in [
            ("4096", Some(4096)),
            ("64MiB", Some(64 << 20)),
            ("64 MiB", Some(64 << 20)),
            ("200MB", Some(200_000_000)),
            ("2GB", Some(2_000_000_000)),
            ("1KiB", Some(1024)),
            ("", None),
            ("MiB", None),
            ("-1MB", None),
            ("1.5GB", None),
            ("64M", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(read_bytes(text), bytes, "{text}");
        }
    }

    #[test]
    fn relative_paths_begin_at_the_file() {
        let value = Value {
            raw: Raw::Text("keys/config".to_owned()),
            base: Some("/etc/quarterdeck".into()),
        };
        assert_eq!(value.path().expect("path"), Path::new("/etc/quarterdeck/keys/config"));
        assert_eq!(Value::from_env("data").path().expect("path"), Path::new("data"));
        assert!(Value::from_env("~/data").path().is_err());
    }
}
