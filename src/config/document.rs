//! The text of `quarterdeck.toml` taken apart: every key with its line and value, every `[[op]]` as an op, every
//! `[[pipeline]]` as a pipeline.
//!
//! Knows which keys those two have (`outside` those of its tables); which other keys exist is decided by the table in `config`.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::domain::{Catalog, Op, PipelineDef};

use super::ConfigError;
use super::outside::Written;
use super::surroundings::ScriptAt;
use super::tables::{Lines, Places, tables};
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

/// The keys of a `[[pipeline]]` table.
const PIPELINE_KEYS: &[&str] = &[
    "id",
    "label",
    "description",
    "ops",
    "stages",
    "max_parallel",
    "batches",
    "stop_when",
    "if_busy",
    "count_unreachable",
];

/// The keys of both.
#[cfg(test)]
pub(super) fn table_keys() -> impl Iterator<Item = &'static str> {
    OP_KEYS.iter().chain(PIPELINE_KEYS).copied()
}

/// One key outside the ops and pipelines.
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
    pub(super) catalog: Catalog,
    /// Every script of its ops.
    pub(super) scripts: Vec<ScriptAt>,
    /// Places outside.
    pub(super) outside: Written,
}

pub(super) fn read(path: &Path, text: &str) -> Result<Document, ConfigError> {
    let lines = Lines { path, text };
    let table = DeTable::parse(text).map_err(|why| ConfigError::new(lines.at(why.span()), why.message()))?;
    let mut entries = Vec::new();
    let mut ops = Vec::new();
    let mut pipelines = Vec::new();
    let mut outside = Written::default();
    for (key, value) in table.into_inner() {
        match key.get_ref().as_ref() {
            "op" => ops = tables(&lines, "op", OP_KEYS, value, check_op)?,
            "pipeline" => pipelines = tables(&lines, "pipeline", PIPELINE_KEYS, value, PipelineDef::check)?,
            kind @ ("forward" | "witness" | "notify") => outside.take(&lines, kind, value)?,
            _ => flatten(&lines, "", &key, value, &mut entries),
        }
    }
    let scripts = ops.iter().flat_map(|(op, at)| scripts_of(&lines, op, at)).collect();
    let ops = ops.into_iter().map(|(op, _)| op).collect();
    let catalog = Catalog::new(ops).map_err(|why| ConfigError::new(path.display().to_string(), why.to_string()))?;
    // Ops may stand behind the pipelines that name them.
    for (def, at) in &pipelines {
        catalog
            .check(def)
            .map_err(|problem| lines.wrong(at.of(&problem), format!("pipeline “{}”: {problem}", def.id)))?;
    }
    let pipelines = pipelines.into_iter().map(|(def, _)| def).collect();
    let catalog = catalog
        .with_pipelines(pipelines)
        .map_err(|(id, problem)| ConfigError::new(path.display().to_string(), format!("pipeline “{id}”: {problem}")))?;
    Ok(Document {
        entries,
        catalog,
        scripts,
        outside,
    })
}

fn scripts_of(lines: &Lines<'_>, op: &Op, at: &Places) -> Vec<ScriptAt> {
    let texts = [
        ("script", Some(&op.script)),
        ("pre_check", op.pre_check.as_ref()),
        ("post_check", op.post_check.as_ref()),
    ];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text?)));
    texts
        .map(|(key, text)| ScriptAt {
            place: lines.at(Some(at.of(key))),
            what: format!("op “{}”: {key}", op.id),
            text: text.clone(),
        })
        .collect()
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
        DeValue::Boolean(flag) => Raw::Flag(flag),
        DeValue::Array(array) => texts(&array).map_or(Raw::Other("list of something else than texts"), Raw::List),
        other @ (DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_)) => Raw::Other(other.type_str()),
    };
    entries.push(Entry {
        key: full,
        place: lines.at(Some(key.span())),
        value: Value {
            raw,
            base: Some(lines.folder().to_owned()),
        },
    });
}

fn texts(array: &DeArray<'_>) -> Option<Vec<String>> {
    array
        .iter()
        .map(|item| item.get_ref().as_str().map(str::to_owned))
        .collect()
}

fn check_op(op: &Op) -> Result<(), String> {
    op.check().map_err(|why| why.problem)
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
    fn knows_every_key_of_a_pipeline() {
        let values = [
            "id = \"a\"",
            "label = \"A\"",
            "description = \"d\"",
            "ops = [\"mine\"]",
            "max_parallel = 2",
            "batches = [1, \"50%\"]",
            "stop_when = 3",
            "if_busy = \"leave_out\"",
            "count_unreachable = true",
        ];
        let keys: Vec<_> = values.iter().filter_map(|value| value.split(' ').next()).collect();
        assert_eq!(
            PIPELINE_KEYS
                .iter()
                .filter(|key| !keys.contains(*key))
                .collect::<Vec<_>>(),
            [&"stages"]
        );
        // An op may be defined behind the pipeline that names it.
        let text = format!(
            "[[pipeline]]\n{}\n[[op]]\nid = \"mine\"\nscript = \"true\"",
            values.join("\n")
        );
        let document = read(Path::new("c.toml"), &text)
            .map_err(|why| why.to_string())
            .expect("good");
        let def = document.catalog.pipeline("a").expect("there");
        assert_eq!((def.label(), def.defaults.max_parallel), ("A", Some(2)));
    }

    #[test]
    fn a_bad_table_is_refused_with_file_line_and_reason() {
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
            ("\n[pipeline]\nid = \"a\"", "c.toml:2", "[[pipeline]]"),
            ("[[pipeline]]\nid = \"a\"", "c.toml:1", "pipeline “a”: ops is missing"),
            ("[[pipeline]]\nid = \"a\"\nopps = []", "c.toml:3", "did you mean “ops”"),
            ("[[pipeline]]\nid = \"a\"\nops = []", "c.toml:3", "ops is empty"),
            (
                "[[pipeline]]\nid = \"a\"\nops = [\"pull\",\n \"swich\"]",
                "c.toml:3",
                "pipeline “a”: ops: there is no op “swich”; did you mean “switch”?",
            ),
            (
                "[[pipeline]]\nid = \"a\"\nstages = [{ op = \"pul\" }]",
                "c.toml:3",
                "did you mean “pull”?",
            ),
            (
                "[[pipeline]]\nid = \"a\"\nops = [\"pull\"]\nbatches = [1, \"half\"]",
                "c.toml:4",
                "batches: “half” is no number of hosts",
            ),
            (
                "[[pipeline]]\nid = \"a\"\nops = [\"pull\"]\nmax_parallel = 0",
                "c.toml:4",
                "max_parallel must be 1 or more",
            ),
            (
                "[[pipeline]]\nid = \"a\"\nops = [\"pull\"]\n\n[[pipeline]]\nid = \"a\"\nops = [\"pull\"]",
                "c.toml:5",
                "pipeline “a” is already defined at c.toml:1",
            ),
            (
                "[[pipeline]]\nid = \"x\"\nops = [\"pull\"]\n[[op]]\nid = \"x\"\nscript = \"true\"",
                "c.toml:2",
                "that of an op",
            ),
        ] {
            let wrong = read(Path::new("c.toml"), text).map(|_| ()).expect_err(text);
            assert_eq!(wrong.place, place, "{text}: {wrong}");
            assert!(wrong.problem.contains(words), "{text}: {wrong}");
        }
    }
}
