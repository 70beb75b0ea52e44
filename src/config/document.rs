//! The text of `quarterdeck.toml` taken apart: every key with its line and value, every `[[op]]` as an op.
//!
//! Knows which keys an op has; which other keys exist is decided by the table in `config`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, ValueDeserializer};

use crate::domain::{Op, nearest};

use super::ConfigError;
use super::value::{Raw, Value};

/// The keys of a `[[op]]` table.
const OP_KEYS: &[&str] = &[
    "id",
    "label",
    "description",
    "script",
    "pre_check",
    "post_check",
    "timeout",
    "warn_after",
    "on_timeout",
    "kill_grace",
    "retryable",
    "dangerous",
    "run_as",
    "expect",
];

/// One key outside the ops.
pub(super) struct Entry {
    /// With its section: `retention.events_days`.
    pub(super) key: String,
    /// `quarterdeck.toml:12`.
    pub(super) place: String,
    pub(super) value: Value,
}

/// What a file says.
pub(super) struct Document {
    pub(super) entries: Vec<Entry>,
    pub(super) ops: Vec<Op>,
}

/// Turns byte offsets into `FILE:LINE`.
struct Lines<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Lines<'_> {
    fn at(&self, span: Option<Range<usize>>) -> String {
        let start = span.map_or(0, |span| span.start).min(self.text.len());
        let line = self.text.as_bytes()[..start]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        format!("{}:{line}", self.path.display())
    }

    fn wrong(&self, span: Range<usize>, problem: impl Into<String>) -> ConfigError {
        ConfigError::new(self.at(Some(span)), problem)
    }
}

pub(super) fn read(path: &Path, text: &str) -> Result<Document, ConfigError> {
    let lines = Lines { path, text };
    let table = DeTable::parse(text).map_err(|why| ConfigError::new(lines.at(why.span()), why.message()))?;
    let mut document = Document {
        entries: Vec::new(),
        ops: Vec::new(),
    };
    for (key, value) in table.into_inner() {
        if key.get_ref() == "op" {
            document.ops = ops(&lines, value)?;
        } else {
            flatten(&lines, "", &key, value, &mut document.entries);
        }
    }
    Ok(document)
}

fn flatten(
    lines: &Lines<'_>,
    section: &str,
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: Spanned<DeValue<'_>>,
    entries: &mut Vec<Entry>,
) {
    let full = format!("{section}{}", key.get_ref());
    let raw = match value.into_inner() {
        DeValue::Table(table) if section.is_empty() => {
            for (key, value) in table {
                flatten(lines, &format!("{full}."), &key, value, entries);
            }
            return;
        }
        DeValue::String(text) => Raw::Text(text.into_owned()),
        // What does not fit is text: no key takes so large a number.
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Raw::Number(number),
            Err(_) => Raw::Text(number.to_string()),
        },
        DeValue::Array(array) => texts(&array).map_or(Raw::Other("list of something else than texts"), Raw::List),
        other @ (DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_)) => {
            Raw::Other(other.type_str())
        }
    };
    entries.push(Entry {
        key: full,
        place: lines.at(Some(key.span())),
        value: Value {
            raw,
            base: Some(lines.path.parent().unwrap_or(Path::new("")).to_owned()),
        },
    });
}

fn texts(array: &DeArray<'_>) -> Option<Vec<String>> {
    array
        .iter()
        .map(|item| item.get_ref().as_str().map(str::to_owned))
        .collect()
}

fn ops(lines: &Lines<'_>, value: Spanned<DeValue<'_>>) -> Result<Vec<Op>, ConfigError> {
    let span = value.span();
    let DeValue::Array(tables) = value.into_inner() else {
        return Err(lines.wrong(span, "ops are written as [[op]], with double brackets"));
    };
    let mut ops = Vec::new();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for table in tables {
        let span = table.span();
        let op = op(lines, table)?;
        let place = lines.at(Some(span));
        if let Some(first) = seen.insert(op.id.to_string(), place.clone()) {
            return Err(ConfigError::new(
                place,
                format!("op “{}” is already defined at {first}; remove one or rename it", op.id),
            ));
        }
        ops.push(op);
    }
    Ok(ops)
}

fn op(lines: &Lines<'_>, value: Spanned<DeValue<'_>>) -> Result<Op, ConfigError> {
    let span = value.span();
    let mut places = BTreeMap::new();
    let mut id = None;
    if let DeValue::Table(table) = value.get_ref() {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !OP_KEYS.contains(&name) {
                return Err(lines.wrong(key.span(), unknown_key(name, OP_KEYS.iter().copied())));
            }
            if name == "id" {
                id = value.get_ref().as_str().map(str::to_owned);
            }
            places.insert(name.to_owned(), key.span());
        }
    }
    let named = id.map_or_else(|| "this op".to_owned(), |id| format!("op “{id}”"));
    let op = Op::deserialize(ValueDeserializer::from(value)).map_err(|why| {
        let place = why.span().unwrap_or_else(|| span.clone());
        let key = places
            .iter()
            .filter(|(_, key)| key.start <= place.start && place.start > span.start)
            .max_by_key(|(_, key)| key.start)
            .map_or(String::new(), |(key, _)| format!("{key}: "));
        lines.wrong(place, format!("{named}: {key}{}", why.message()))
    })?;
    op.check().map_err(|why| {
        let place = why
            .problem
            .split_whitespace()
            .next()
            .and_then(|word| places.get(word))
            .cloned();
        lines.wrong(place.unwrap_or(span), why.to_string())
    })?;
    Ok(op)
}

/// What is said of a key that nobody knows.
pub(super) fn unknown_key<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(key, known) {
        Some(near) => format!("“{key}” is no known key; did you mean “{near}”?"),
        None => format!("“{key}” is no known key; the README lists them all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::built_in;

    #[test]
    fn knows_every_key_of_an_op() {
        let op = serde_json::to_value(&built_in()[0]).expect("json");
        let mut fields: Vec<_> = op.as_object().expect("object").keys().map(String::as_str).collect();
        let mut keys = OP_KEYS.to_vec();
        fields.sort_unstable();
        keys.sort_unstable();
        assert_eq!(fields, keys);
    }

    #[test]
    fn a_bad_op_is_refused_with_file_line_and_reason() {
        for (text, place, words) in [
            ("\n[op]\nid = \"a\"", "c.toml:2", "[[op]]"),
            ("[[op]]\nid = \"a\"", "c.toml:1", "script"),
            ("[[op]]\nid = \"A b\"\nscript = \"true\"", "c.toml:2", "lower-case"),
            ("[[op]]\nid = \"a\"\nscirpt = \"true\"", "c.toml:3", "script"),
            ("[[op]]\nid = \"a\"\nscript = \" \"", "c.toml:3", "script is empty"),
            (
                "[[op]]\nid = \"a\"\nscript = \"true\"\ntimeout = \"5 parsecs\"",
                "c.toml:4",
                "timeout: “5 parsecs” is no duration",
            ),
            (
                "[[op]]\nid = \"a\"\nscript = \"true\"\ntimeout = \"1m\"\nwarn_after = \"2m\"",
                "c.toml:5",
                "warn_after",
            ),
            (
                "[[op]]\nid = \"a\"\nscript = \"true\"\n\n[[op]]\nid = \"a\"\nscript = \"true\"",
                "c.toml:5",
                "already defined at c.toml:1",
            ),
            (
                "[[op]]\nid = \"a\"\nscript = \"true\"\non_timeout = \"explode\"",
                "c.toml:4",
                "explode",
            ),
            ("zone = \"UTC\"\nlisten = ", "c.toml:2", ""),
        ] {
            let wrong = read(Path::new("c.toml"), text).map(|_| ()).expect_err(text);
            assert_eq!(wrong.place, place, "{text}: {wrong}");
            assert!(wrong.problem.contains(words), "{text}: {wrong}");
        }
    }
}
