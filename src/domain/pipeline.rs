//! Pipelines of the catalog: ordered stages with their limits, as they are written in `[[pipeline]]` tables.
//!
//! What one start makes of them is a [`super::Plan`]; which hosts it is for is decided in `selection`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Invalid, Op, OpId, Span, Tag};

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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
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

/// What a stage of the catalog does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionDef {
    /// This op.
    Op(OpId),
    /// A person has to look, with this text in front of them, and say "go on".
    Wait(String),
}

/// One stage of the catalog.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StageDef {
    /// What is done.
    pub action: ActionDef,
    /// What a failure means.
    pub on_failure: OnFailure,
    /// The only tags whose hosts it is for; none is every host.
    pub only_tags: Vec<Tag>,
}

impl StageDef {
    fn of_op(op: OpId) -> Self {
        Self {
            action: ActionDef::Op(op),
            on_failure: OnFailure::StopHost,
            only_tags: Vec::new(),
        }
    }
}

/// One pipeline of the catalog.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PipelineDef {
    /// Its name in commands and URLs.
    pub id: OpId,
    /// Its name on a button.
    pub label: String,
    /// What it does, in one sentence.
    pub description: String,
    /// Ordered; a barrier each.
    pub stages: Vec<StageDef>,
    /// What holds it back, unless a start says otherwise.
    pub defaults: Limits,
}

/// A `[[pipeline]]` table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: OpId,
    #[serde(default)]
    label: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    ops: Option<Vec<OpId>>,
    #[serde(default)]
    stages: Option<Vec<WrittenStage>>,
    #[serde(default)]
    max_parallel: Option<i64>,
    #[serde(default)]
    batches: Vec<Share>,
    #[serde(default)]
    stop_when: Option<Share>,
    #[serde(default)]
    if_busy: IfBusy,
    #[serde(default)]
    count_unreachable: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStage {
    #[serde(default)]
    op: Option<OpId>,
    #[serde(default)]
    wait: Option<String>,
    #[serde(default)]
    on_failure: OnFailure,
    #[serde(default)]
    only_tags: Vec<Tag>,
}

impl<'de> Deserialize<'de> for PipelineDef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        written.read().map_err(serde::de::Error::custom)
    }
}

impl Written {
    fn read(self) -> Result<PipelineDef, String> {
        let stages = match (self.ops, self.stages) {
            (Some(ops), None) => ops.into_iter().map(StageDef::of_op).collect(),
            (None, Some(stages)) => stages
                .into_iter()
                .enumerate()
                .map(|(index, stage)| stage.read(index + 1))
                .collect::<Result<_, _>>()?,
            (Some(_), Some(_)) => return Err("ops and stages are two ways to write the same; keep one".to_owned()),
            (None, None) => return Err("ops is missing; write for example ops = [\"pull\", \"switch\"]".to_owned()),
        };
        let max_parallel = match self.max_parallel.map(usize::try_from) {
            None => None,
            Some(Ok(most)) if most >= 1 => Some(most),
            Some(_) => return Err("max_parallel must be 1 or more".to_owned()),
        };
        Ok(PipelineDef {
            id: self.id,
            label: self.label,
            description: self.description,
            stages,
            defaults: Limits {
                max_parallel,
                batches: self.batches,
                stop_when: self.stop_when,
                if_busy: self.if_busy,
                count_unreachable: self.count_unreachable,
            },
        })
    }
}

impl WrittenStage {
    fn read(self, number: usize) -> Result<StageDef, String> {
        let action = match (self.op, self.wait) {
            (Some(op), None) => ActionDef::Op(op),
            (None, Some(text)) => ActionDef::Wait(text),
            _ => {
                return Err(format!(
                    "stages: stage {number} needs either op = \"...\" or wait = \"...\""
                ));
            }
        };
        Ok(StageDef {
            action,
            on_failure: self.on_failure,
            only_tags: self.only_tags,
        })
    }
}

impl PipelineDef {
    /// The pipeline of one stage that one op on several hosts is; named after the op.
    #[must_use]
    pub fn of_op(op: &Op) -> Self {
        Self {
            id: op.id.clone(),
            label: op.label().to_owned(),
            description: op.description.clone(),
            stages: vec![StageDef::of_op(op.id.clone())],
            defaults: Limits::default(),
        }
    }

    /// The name for a reader.
    #[must_use]
    pub fn label(&self) -> &str {
        if self.label.is_empty() {
            self.id.as_str()
        } else {
            &self.label
        }
    }

    /// The ops of its stages, in order.
    pub fn ops(&self) -> impl Iterator<Item = &OpId> {
        self.stages.iter().filter_map(|stage| match &stage.action {
            ActionDef::Op(op) => Some(op),
            ActionDef::Wait(_) => None,
        })
    }

    /// Checks what the types do not; the text begins with the key that is wrong.
    ///
    /// # Errors
    /// Names the key and the fix.
    pub fn check(&self) -> Result<(), String> {
        if self.ops().next().is_none() {
            return Err("ops is empty; name at least one op".to_owned());
        }
        if self.stages.len() > 32 {
            return Err("stages: at most 32 of them".to_owned());
        }
        for stage in &self.stages {
            if let ActionDef::Wait(text) = &stage.action {
                if text.trim().is_empty() || text.len() > 500 {
                    return Err(
                        "stages: a wait needs a text of 500 bytes at most: what should be looked at?".to_owned(),
                    );
                }
                if stage.on_failure != OnFailure::StopHost {
                    return Err("stages: a wait cannot fail, so it has no on_failure".to_owned());
                }
            }
        }
        if self.label.len() > 80 || self.description.len() > 500 {
            return Err("label may have 80 bytes, description 500".to_owned());
        }
        if self.defaults.batches.len() > 100 {
            return Err("batches: at most 100 of them; the last one repeats by itself".to_owned());
        }
        Ok(())
    }
}

/// The pipelines that come with the binary.
#[must_use]
pub(super) fn built_in() -> Vec<PipelineDef> {
    #[derive(Deserialize)]
    struct Table {
        pipeline: Vec<PipelineDef>,
    }
    toml::from_str::<Table>(include_str!("built_in_pipelines.toml"))
        .map(|table| table.pipeline)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
