//! `[[noun]]` tables of `quarterdeck.toml`: read strictly, with the place of everything that is wrong.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use crate::domain::nearest;

use super::ConfigError;

/// What stands behind a key.
pub(super) type Table<'a> = Spanned<DeValue<'a>>;

/// Turns byte offsets into `FILE:LINE`.
pub(super) struct Lines<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Lines<'_> {
    /// The folder that relative paths begin at: the file's own.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    pub(super) fn at(&self, span: Option<Range<usize>>) -> String {
        let start = span.map_or(0, |span| span.start).min(self.text.len());
        let line = self.text.as_bytes()[..start]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        format!("{}:{line}", self.path.display())
    }

    pub(super) fn wrong(&self, span: Range<usize>, problem: impl Into<String>) -> ConfigError {
        ConfigError::new(self.at(Some(span)), problem)
    }
}

/// Where a table and its keys stand.
pub(super) struct Places {
    table: Range<usize>,
    keys: BTreeMap<String, Range<usize>>,
}

impl Places {
    /// The place that a problem is about: of the key that its text begins with, else of the table. `ops` may have been
    /// written as `stages`.
    pub(super) fn of(&self, problem: &str) -> Range<usize> {
        let word = problem.split([' ', ':']).next().unwrap_or_default();
        let other = if word == "ops" { "stages" } else { word };
        let key = self.keys.get(word).or_else(|| self.keys.get(other));
        key.unwrap_or(&self.table).clone()
    }

    /// The keys that are there.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }
}

/// Every `[[noun]]` table with its place; no id twice.
pub(super) fn tables<T: for<'de> Deserialize<'de>>(
    lines: &Lines<'_>,
    noun: &str,
    known: &[&str],
    value: Spanned<DeValue<'_>>,
    check: impl Fn(&T) -> Result<(), String>,
) -> Result<Vec<(T, Places)>, ConfigError> {
    let span = value.span();
    let DeValue::Array(tables) = value.into_inner() else {
        return Err(lines.wrong(span, format!("{noun}s are written as [[{noun}]], with double brackets")));
    };
    let mut read = Vec::new();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for item in tables {
        let (id, found, places) = table(lines, noun, known, item, &check)?;
        let place = lines.at(Some(places.table.clone()));
        if let Some(first) = seen.insert(id.clone(), place.clone()) {
            return Err(ConfigError::new(
                place,
                format!("{noun} “{id}” is already defined at {first}; remove one or rename it"),
            ));
        }
        read.push((found, places));
    }
    Ok(read)
}

fn table<T: for<'de> Deserialize<'de>>(
    lines: &Lines<'_>,
    noun: &str,
    known: &[&str],
    value: Spanned<DeValue<'_>>,
    check: &impl Fn(&T) -> Result<(), String>,
) -> Result<(String, T, Places), ConfigError> {
    let span = value.span();
    let mut keys = BTreeMap::new();
    let mut id = None;
    if let DeValue::Table(table) = value.get_ref() {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                return Err(lines.wrong(key.span(), unknown_key(name, known.iter().copied())));
            }
            if name == "id" || name == "name" {
                id = value.get_ref().as_str().map(str::to_owned);
            }
            keys.insert(name.to_owned(), key.span());
        }
    }
    let places = Places { table: span, keys };
    let named = id
        .as_ref()
        .map_or_else(|| format!("this {noun}"), |id| format!("{noun} “{id}”"));
    let found = T::deserialize(ValueDeserializer::from(value)).map_err(|why| {
        // What is missing or contradicts itself has the whole table as its place.
        let (place, key) = match why.span() {
            Some(span) if span != places.table => {
                let keys = places.keys.iter().filter(|(_, key)| key.start <= span.start);
                let nearest = keys
                    .filter(|_| span.start > places.table.start)
                    .max_by_key(|(_, key)| key.start);
                let key = nearest.map_or(String::new(), |(key, _)| format!("{key}: "));
                (span, key)
            }
            Some(_) | None => (places.of(why.message()), String::new()),
        };
        lines.wrong(place, format!("{named}: {key}{}", without_value(why.message())))
    })?;
    check(&found).map_err(|problem| lines.wrong(places.of(&problem), format!("{named}: {problem}")))?;
    Ok((id.unwrap_or_default(), found, places))
}

/// What a reader of values complains about, without the value that it quotes: one may be a secret.
fn without_value(message: &str) -> String {
    let quotes = message.starts_with("invalid type: ") || message.starts_with("invalid value: ");
    match message.rsplit_once(", expected ") {
        Some((_, "a sequence")) if quotes => "must be a list of texts, such as [\"/path\", \"word\"]".to_owned(),
        Some((_, expected)) if quotes => format!("must be {expected}"),
        _ => message.to_owned(),
    }
}

/// What is said of a key that nobody knows.
pub(super) fn unknown_key<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(key, known) {
        Some(near) => format!("“{key}” is no known key; did you mean “{near}”?"),
        None => format!("“{key}” is no known key; the README lists them all"),
    }
}
