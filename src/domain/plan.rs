//! The words of the planner: a frozen plan, the rows of the journal as it reads them, and its answers. What follows
//! from what is decided in `next`.

mod next;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{CommandStatus, Digest, IfBusy, OnFailure, OpId, PipelineStatus, Refusal};

/// One stage of a frozen plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stage {
    /// What is done.
    pub action: Action,
    /// What a failure means.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// The only hosts that it is for, by id; none is all.
    #[serde(default)]
    pub only: Option<BTreeSet<i64>>,
}

/// What a stage does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// An op, by the definition that it had at the start.
    Op {
        /// Its id.
        op: OpId,
        /// Its definition.
        definition: Digest,
        /// Whether it is dangerous.
        dangerous: bool,
    },
    /// A person has to look and say "go on"; for each batch anew.
    Wait {
        /// What to look at.
        text: String,
    },
}

impl Stage {
    /// What it is, for a reader: the op's id, or what to look at.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.action {
            Action::Op { op, .. } => op.as_str(),
            Action::Wait { text } => text,
        }
    }

    /// Its op; none where a person is waited for.
    #[must_use]
    pub const fn op(&self) -> Option<&OpId> {
        match &self.action {
            Action::Op { op, .. } => Some(op),
            Action::Wait { .. } => None,
        }
    }

    /// Whether its op is dangerous.
    #[must_use]
    pub const fn is_dangerous(&self) -> bool {
        matches!(self.action, Action::Op { dangerous: true, .. })
    }
}

/// What a pipeline was told at its start; never changed afterwards.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    /// Ordered.
    pub stages: Vec<Stage>,
    /// Host ids, in order; each host once.
    pub batches: Vec<Vec<i64>>,
    /// Hosts at work at once.
    pub max_parallel: usize,
    /// So many failed hosts, and nothing further starts; none is never.
    #[serde(default)]
    pub stop_at: Option<usize>,
    /// One failed host of the first batch, or none of it reached, and nothing further starts. For one batch alone it
    /// means nothing.
    #[serde(default)]
    pub first_batch_must_pass: bool,
    /// Busy hosts.
    #[serde(default)]
    pub if_busy: IfBusy,
    /// Whether an unreachable host counts for `stop_at`.
    #[serde(default)]
    pub count_unreachable: bool,
    /// The stage that a host begins with, where it is not the first: a retry.
    #[serde(default)]
    pub begin: BTreeMap<i64, usize>,
}

/// Where one host stands in one stage, by its row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cell {
    /// Open: waiting, checking, running, or being found out.
    Open,
    /// Succeeded, or was not needed.
    Good,
    /// Failed, timed out, refused, cancelled by itself, or unknown for good.
    Failed,
    /// Was not reached: failed, with a total of its own.
    Unreachable,
    /// Written off: SKIPPED or CANCELLED as part of the rest.
    Rest,
}

impl Cell {
    /// What a row says.
    #[must_use]
    pub const fn of(status: CommandStatus, is_open: bool, refusal: Option<Refusal>) -> Self {
        if is_open {
            return Self::Open;
        }
        match (status, refusal) {
            (CommandStatus::Success, _) | (CommandStatus::Skipped, None) => Self::Good,
            (CommandStatus::Skipped, Some(_)) | (CommandStatus::Cancelled, Some(Refusal::Cancelled)) => Self::Rest,
            (CommandStatus::Blocked, Some(Refusal::Unreachable | Refusal::Auth | Refusal::HostKey)) => {
                Self::Unreachable
            }
            (
                CommandStatus::Error
                | CommandStatus::Timeout
                | CommandStatus::Orphaned
                | CommandStatus::Blocked
                | CommandStatus::Cancelled,
                _,
            ) => Self::Failed,
            (CommandStatus::Pending | CommandStatus::Validating | CommandStatus::Executing, _) => Self::Open,
        }
    }
}

/// The rows of a pipeline: by host and stage.
pub type Cells = BTreeMap<(i64, usize), Cell>;

/// What is known beside the rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Orders {
    /// Somebody cancelled it.
    pub cancelled: bool,
    /// It is held: nothing new starts.
    pub held: bool,
    /// Waits that somebody let pass, as (batch, stage).
    pub passed: BTreeSet<(usize, usize)>,
    /// Hosts that are busy with something else, and are waited for.
    pub busy: BTreeSet<i64>,
}

/// Why a stage of a host is written off.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Why {
    /// An earlier stage failed on this host.
    EarlierStage,
    /// So many hosts failed that the pipeline stopped.
    Stopped,
    /// The pipeline was cancelled.
    Cancelled,
}

/// What comes next.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Next {
    /// Commands to start now, as (host, stage).
    pub start: Vec<(i64, usize)>,
    /// The (batch, stage) whose turn it is; none where nothing further starts.
    pub turn: Option<(usize, usize)>,
    /// Rows to write off, as (host, stage, why).
    pub write_off: Vec<(i64, usize, Why)>,
    /// Hosts that are through or out, with nothing open: their reservation can go.
    pub release: BTreeSet<i64>,
    /// The first stage that any host has not left; the number of stages when there is none.
    pub current_stage: usize,
    /// The (batch, stage) at which a person is waited for.
    pub waits: Option<(usize, usize)>,
    /// The pipeline is over.
    pub end: Option<PipelineStatus>,
}

/// How many hosts stand how; the numbers add up to all hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tally {
    /// Every stage ended well.
    pub passed: usize,
    /// A stage failed.
    pub failed: usize,
    /// Was not reached, and nothing else failed.
    pub unreachable: usize,
    /// Written off with nothing failed: the pipeline stopped or was cancelled before.
    pub written_off: usize,
    /// Still in.
    pub under_way: usize,
}

impl Plan {
    /// All hosts, in the order of their turns.
    pub fn hosts(&self) -> impl Iterator<Item = i64> {
        self.batches.iter().flatten().copied()
    }

    /// The stages with an op that are for this host, in order.
    pub fn stages_of(&self, host: i64) -> impl Iterator<Item = usize> {
        (0..self.stages.len()).filter(move |stage| self.stages[*stage].op().is_some() && self.applies(host, *stage))
    }

    /// Whether failures can stop it.
    #[must_use]
    pub const fn may_trip(&self) -> bool {
        self.stop_at.is_some() || self.first_batch_must_pass
    }

    /// Whether a stage is for a host.
    #[must_use]
    pub fn applies(&self, host: i64, stage: usize) -> bool {
        let begin = self.begin.get(&host).copied().unwrap_or(0);
        stage >= begin
            && self
                .stages
                .get(stage)
                .is_some_and(|stage| stage.only.as_ref().is_none_or(|only| only.contains(&host)))
    }

    /// Where a retry of this host would begin: the first stage that did not end well; none where all did.
    #[must_use]
    pub fn stopped_at(&self, cells: &Cells, host: i64) -> Option<usize> {
        self.stages_of(host)
            .find(|stage| cells.get(&(host, *stage)) != Some(&Cell::Good))
    }

    /// The batch and the stage whose turn it is, from 0: the first batch that is not through, and the first stage that
    /// one of its hosts has not left; where `hold` says that a person is waited for, that wait. None where every fate is
    /// known.
    #[must_use]
    pub fn turn(&self, cells: &Cells, hold: Option<&str>) -> Option<(usize, usize)> {
        let (batch, stage) = self.batches.iter().enumerate().find_map(|(batch, hosts)| {
            let not_left = hosts.iter().filter_map(|host| {
                self.stages_of(*host)
                    .find(|stage| matches!(cells.get(&(*host, *stage)), None | Some(Cell::Open)))
            });
            not_left.min().map(|stage| (batch, stage))
        })?;
        let waits = (0..stage).rev().find(|before| {
            let wait = &self.stages[*before];
            wait.op().is_none() && hold.and_then(|hold| hold.strip_prefix("waits for a person: ")) == Some(wait.text())
        });
        Some((batch, waits.unwrap_or(stage)))
    }

    /// The same plan without these hosts.
    #[must_use]
    pub fn without(mut self, gone: &BTreeSet<i64>) -> Self {
        for batch in &mut self.batches {
            batch.retain(|host| !gone.contains(host));
        }
        self.batches.retain(|batch| !batch.is_empty());
        self
    }
}

#[cfg(test)]
mod tests;
