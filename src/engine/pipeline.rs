//! What people ask of pipelines: start, cancel, hold, continue, retry. Each journals the wish first; the pipeline's
//! driver acts on it.

use serde::Serialize;

use crate::domain::{
    Action, Ask, CancelMode, Cell, CommandStatus, HostName, LimitsGiven, Op, PipelineDef, PipelineId, PipelineStatus,
    Plan, Selection, Stage,
};
use crate::store::{By, CommandRow, NewPipeline, PipelineRow};

use super::command::clean;
use super::preview::{Prepared, action_of};
use super::{Engine, EngineError};

/// A wish to run a pipeline.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StartPipeline {
    /// A pipeline's id in the catalog, or an op's: a pipeline of one stage.
    pub name: String,
    /// Where.
    pub selection: Selection,
    /// What holds it back; what is not given stays as the catalog has it.
    pub limits: LimitsGiven,
    /// Why, for the journal.
    pub reason: Option<String>,
}

/// What a retry would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct RetryPreview {
    /// The pipeline's name.
    pub name: String,
    /// Each host with the stage that it begins with (from 0) and why: how that stage ended there.
    pub hosts: Vec<(String, usize, String)>,
    /// Hosts that would be tried again, but cannot be, and why.
    pub left_out: Vec<(String, String)>,
    /// Ops whose definition is another one today.
    pub changed: Vec<String>,
    /// Whether an op that would run is dangerous.
    pub dangerous: bool,
}

/// A retry that could be started.
struct Retry {
    preview: RetryPreview,
    plan: Plan,
    definitions: Vec<crate::domain::Definition>,
}

impl Engine {
    /// Freezes a plan, journals it with its first commands, and drives it.
    ///
    /// # Errors
    /// Unknown name, host or tag; a removed host; nonsense limits; no host that is free where busy ones are left out; no
    /// room for the journal: then nothing is written or started.
    pub async fn start_pipeline(&self, start: StartPipeline, by: By) -> Result<PipelineRow, EngineError> {
        let prepared = self.prepare(&start).await?;
        self.begin(prepared, start.reason, by).await
    }

    /// One op on several hosts: a pipeline of one stage. Gives the rows that were journaled at once.
    pub(super) async fn start_on_many(
        &self,
        op: &Op,
        hosts: Vec<HostName>,
        reason: Option<String>,
        by: By,
    ) -> Result<Vec<CommandRow>, EngineError> {
        let start = StartPipeline {
            name: op.id.to_string(),
            selection: Selection {
                names: hosts.iter().map(ToString::to_string).collect(),
                ..Selection::default()
            },
            ..StartPipeline::default()
        };
        let prepared = self.prepare_def(PipelineDef::of_op(op), &start).await?;
        let row = self.begin(prepared, reason, by).await?;
        let rows = self
            .reader()
            .read(move |journal| journal.commands_of_pipeline(row.id))
            .await?;
        Ok(rows)
    }

    async fn begin(&self, prepared: Prepared, reason: Option<String>, by: By) -> Result<PipelineRow, EngineError> {
        let new = NewPipeline {
            name: prepared.def.id.to_string(),
            plan: prepared.plan,
            definitions: prepared.definitions,
            by,
            reason: clean(reason),
            retry_of: None,
            held: None,
        };
        self.journal_pipeline(new).await
    }

    async fn journal_pipeline(&self, new: NewPipeline) -> Result<PipelineRow, EngineError> {
        self.takes_new()?;
        self.may_run(&new.by, &new.plan).await?;
        if new.plan.stages.iter().any(Stage::is_dangerous) {
            self.proved_lately(&new.by)?;
        }
        let advanced = self.0.store.start_pipeline(new).await?;
        for id in &advanced.open {
            self.drive(*id);
        }
        self.drive_pipeline(advanced.row.id);
        Ok(advanced.row)
    }

    /// Starts nothing further; what runs ends by itself or is stopped. What was asked for and has not started is
    /// cancelled in both modes.
    ///
    /// # Errors
    /// When there is no such pipeline, or it is final.
    pub async fn cancel_pipeline(
        &self,
        id: PipelineId,
        mode: CancelMode,
        reason: Option<String>,
        by: By,
    ) -> Result<PipelineRow, EngineError> {
        let before = self.pipeline_row(id).await?;
        self.allow_on_hosts(&by, Ask::Steer, before.hosts).await?;
        let row = self.0.store.cancel_pipeline(id, mode, by, clean(reason)).await?;
        self.wake_pipeline(id).await?;
        Ok(row)
    }

    /// Starts nothing new until somebody says "go on"; what was started is followed.
    ///
    /// # Errors
    /// When there is no such pipeline, or it is not RUNNING, or being cancelled.
    pub async fn hold_pipeline(&self, id: PipelineId, by: By) -> Result<PipelineRow, EngineError> {
        let before = self.pipeline_row(id).await?;
        self.allow_on_hosts(&by, Ask::Steer, before.hosts).await?;
        let row = self.0.store.hold_pipeline(id, None, by).await?;
        self.wake_pipeline(id).await?;
        Ok(row)
    }

    /// Lets a HELD pipeline go on; where it waited for a person, that wait is passed.
    ///
    /// # Errors
    /// When there is no such pipeline, or it is not HELD.
    pub async fn continue_pipeline(&self, id: PipelineId, by: By) -> Result<PipelineRow, EngineError> {
        let before = self.pipeline_row(id).await?;
        self.may_run(&by, &before.plan).await?;
        self.takes_new()?;
        let row = self.0.store.continue_pipeline(id, by).await?;
        self.wake_pipeline(id).await?;
        Ok(row)
    }

    /// Whether somebody may hold and cancel this pipeline, and whether they may continue and retry it: for what a page
    /// offers. What is asked for is looked at again.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn rights_on(&self, row: &PipelineRow, by: &By) -> Result<(bool, bool), EngineError> {
        let yes = |asked: Result<(), EngineError>| match asked {
            Ok(()) => Ok(true),
            Err(EngineError::Forbidden(_)) => Ok(false),
            Err(why) => Err(why),
        };
        let steer = yes(self.allow_on_hosts(by, Ask::Steer, row.hosts.clone()).await)?;
        Ok((steer, yes(self.may_run(by, &row.plan).await)?))
    }

    /// Which hosts a retry would try again, and from which stage each.
    ///
    /// # Errors
    /// When there is no such pipeline, it is open, or nothing of it is left to try.
    pub async fn preview_retry(&self, id: PipelineId) -> Result<RetryPreview, EngineError> {
        Ok(self.plan_retry(id).await?.preview)
    }

    /// A new pipeline over the hosts that did not pass, from the stage where each of them stopped being good, with
    /// today's definitions, linked to the first.
    ///
    /// # Errors
    /// As [`Engine::preview_retry`]; when an op is gone from the catalog, or there is no room for the journal.
    pub async fn retry_pipeline(
        &self,
        id: PipelineId,
        reason: Option<String>,
        by: By,
    ) -> Result<PipelineRow, EngineError> {
        let first = self.pipeline_row(id).await?;
        self.allow_on_hosts(&by, Ask::Run, first.hosts).await?;
        let retry = self.plan_retry(id).await?;
        let new = NewPipeline {
            name: retry.preview.name,
            plan: retry.plan,
            definitions: retry.definitions,
            by,
            reason: clean(reason),
            retry_of: Some(id),
            held: None,
        };
        self.journal_pipeline(new).await
    }

    /// A dangerous stage takes the right on every host; that it is them, is asked once, at the start.
    pub(super) async fn may_run(&self, by: &By, plan: &Plan) -> Result<(), EngineError> {
        let dangerous = plan.stages.iter().any(Stage::is_dangerous);
        let ask = if dangerous { Ask::RunDangerous } else { Ask::Run };
        self.allow_on_hosts(by, ask, plan.hosts().collect()).await
    }

    async fn plan_retry(&self, id: PipelineId) -> Result<Retry, EngineError> {
        let first = self.pipeline_row(id).await?;
        if first.status.is_open() {
            return Err(EngineError::Conflict(format!(
                "“{}” is {}; wait for its end or cancel it",
                first.name, first.status
            )));
        }
        let mut plan = first.plan.clone();
        let mut definitions = Vec::new();
        let mut changed = Vec::new();
        for stage in &mut plan.stages {
            let Action::Op { op, definition, .. } = &stage.action else {
                continue;
            };
            let today = self.op(op.as_str())?.definition();
            let action = action_of(&today);
            if !matches!(&action, Action::Op { definition: now, .. } if now == definition) {
                changed.push(op.to_string());
            }
            stage.action = action;
            definitions.push(today);
        }
        let found = self
            .reader()
            .read(move |journal| {
                let cells = journal.pipeline_cells(id)?;
                let rows = journal.commands_of_pipeline(id)?;
                let mut hosts = Vec::new();
                for host in first.plan.hosts() {
                    if let Some(stage) = first.plan.stopped_at(&cells, host) {
                        hosts.push((host, stage, journal.host_by_id(host)?));
                    }
                }
                Ok((cells, rows, hosts, first))
            })
            .await?;
        let (cells, rows, hosts, first) = found;
        let mut preview = RetryPreview {
            name: first.name.clone(),
            hosts: Vec::new(),
            left_out: Vec::new(),
            changed,
            dangerous: false,
        };
        let mut gone: std::collections::BTreeSet<i64> = first.plan.hosts().collect();
        plan.begin.clear();
        for (id, stage, host) in hosts {
            let Some(host) = host else { continue };
            let name = host.hostname.to_string();
            if host.removed_at.is_some() {
                preview
                    .left_out
                    .push((name, "it was removed from the fleet".to_owned()));
                continue;
            }
            gone.remove(&id);
            plan.begin.insert(id, stage);
            let row = rows
                .iter()
                .find(|row| row.host_id == id && usize::try_from(row.stage.unwrap_or(0)) == Ok(stage));
            let why = why_again(&first.plan, stage, row, cells.get(&(id, stage)).copied());
            preview.hosts.push((name, stage, why));
        }
        if preview.hosts.is_empty() {
            let why = if first.status == PipelineStatus::Complete {
                "every host passed; start it anew instead"
            } else {
                "no host of it is left to try again"
            };
            return Err(EngineError::Conflict(format!("“{}”: {why}", first.name)));
        }
        let plan = plan.without(&gone);
        preview.dangerous = plan
            .hosts()
            .any(|host| plan.stages_of(host).any(|stage| plan.stages[stage].is_dangerous()));
        Ok(Retry {
            preview,
            plan,
            definitions,
        })
    }

    pub(super) async fn pipeline_row(&self, id: PipelineId) -> Result<PipelineRow, EngineError> {
        let row = self.reader().read(move |journal| journal.pipeline(id)).await?;
        row.ok_or(EngineError::UnknownPipeline(id))
    }
}

/// How an end is called in a sentence.
const fn how(status: CommandStatus) -> &'static str {
    match status {
        CommandStatus::Error => "failed",
        CommandStatus::Timeout => "ran out of time",
        CommandStatus::Cancelled => "was cancelled",
        CommandStatus::Blocked => "was refused",
        CommandStatus::Skipped => "was skipped",
        CommandStatus::Orphaned => "has an unknown outcome",
        CommandStatus::Success => "succeeded",
        CommandStatus::Pending | CommandStatus::Validating | CommandStatus::Executing => "has not ended",
    }
}

/// "switch failed: ...".
fn why_again(plan: &Plan, stage: usize, row: Option<&CommandRow>, cell: Option<Cell>) -> String {
    let op = plan.stages.get(stage).map(Stage::text).unwrap_or_default();
    match (row, cell) {
        (Some(row), Some(Cell::Rest)) if row.launched_at.is_none() => {
            format!("{op} never began: {}", row.error.as_deref().unwrap_or("written off"))
        }
        (Some(row), _) => {
            let error = row.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            crate::domain::bounded(&format!("{op} {}{error}", how(row.status)), 500)
        }
        (None, _) => format!("{op} never began"),
    }
}
