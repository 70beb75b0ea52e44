//! The catalog: what can be started now, ops and pipelines, by name.

use std::collections::BTreeMap;

use super::op::{OpError, built_in};
use super::{Op, OpId, PipelineDef, nearest, pipeline};

/// All ops and pipelines that can be started now, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    ops: BTreeMap<OpId, Op>,
    pipelines: BTreeMap<OpId, PipelineDef>,
}

impl Catalog {
    /// The built-in ops and pipelines, the ops extended or replaced by `own`.
    ///
    /// # Errors
    /// Names the first op that cannot be taken.
    pub fn new(own: Vec<Op>) -> Result<Self, OpError> {
        let mut ops: BTreeMap<OpId, Op> = built_in().into_iter().map(|op| (op.id.clone(), op)).collect();
        for op in own {
            op.check()?;
            ops.insert(op.id.clone(), op);
        }
        let pipelines = pipeline::built_in()
            .into_iter()
            .map(|def| (def.id.clone(), def))
            .collect();
        Ok(Self { ops, pipelines })
    }

    /// The same with these pipelines, which extend or replace the built-in ones.
    ///
    /// # Errors
    /// The pipeline's id and what is wrong with it; the text begins with the key where there is one.
    pub fn with_pipelines(mut self, own: Vec<PipelineDef>) -> Result<Self, (OpId, String)> {
        for def in own {
            self.check(&def).map_err(|problem| (def.id.clone(), problem))?;
            self.pipelines.insert(def.id.clone(), def);
        }
        Ok(self)
    }

    /// Checks a pipeline against the ops that there are; the text begins with the key that is wrong.
    ///
    /// # Errors
    /// Names the key and the fix; an unknown op with the nearest known one.
    pub fn check(&self, def: &PipelineDef) -> Result<(), String> {
        def.check()?;
        if self.ops.contains_key(&def.id) {
            return Err(format!("id “{}” is that of an op; choose another", def.id));
        }
        let Some(op) = def.ops().find(|op| !self.ops.contains_key(*op)) else {
            return Ok(());
        };
        Err(match nearest(op.as_str(), self.ops.keys().map(OpId::as_str)) {
            Some(near) => format!("ops: there is no op “{op}”; did you mean “{near}”?"),
            None => format!("ops: there is no op “{op}”; define it in an [[op]] table"),
        })
    }

    /// The op of this name.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Op> {
        self.ops.values().find(|op| op.id.as_str() == id)
    }

    /// All ops, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Op> {
        self.ops.values()
    }

    /// The pipeline of this name.
    #[must_use]
    pub fn pipeline(&self, id: &str) -> Option<&PipelineDef> {
        self.pipelines.values().find(|def| def.id.as_str() == id)
    }

    /// All pipelines, by name.
    pub fn pipelines(&self) -> impl Iterator<Item = &PipelineDef> {
        self.pipelines.values()
    }

    /// Whether an op of this pipeline is dangerous.
    #[must_use]
    pub fn is_dangerous(&self, def: &PipelineDef) -> bool {
        def.ops().any(|op| self.ops.get(op).is_none_or(|op| op.dangerous))
    }
}
