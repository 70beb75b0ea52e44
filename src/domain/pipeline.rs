//! Pipelines of the catalog: ordered stages with their limits, as they are written in `[[pipeline]]` tables.
//!
//! What one start makes of them is a [`super::Plan`]; which hosts it is for is decided in `selection`.

use serde::{Deserialize, Serialize};

use super::{IfBusy, Limits, OnFailure, Op, OpId, Share, Tag};

/// What a stage of the catalog does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionDef {
    /// This op.
    Op(OpId),
    /// A person has to look, with this text in front of them, and say "go on".
    Wait(String),
}

/// One stage of the catalog.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
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
