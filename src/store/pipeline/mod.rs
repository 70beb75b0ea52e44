//! `pipelines` and `pipeline_hosts`: journaled runs of ordered stages over frozen sets of hosts. This file has the
//! row and its look-ups; `start` makes rows, `advance` carries out what the planner says (`rest`: what is written off;
//! `reserve`: hosts), `orders` are what people say meanwhile, `away` is what a start holds, `list` pages through them,
//! `results` sums them up.
//!
//! The rows of a pipeline's commands are its only state: the planner ([`crate::domain::Plan`]) reads everything from
//! them, so a restart changes nothing.

mod advance;
mod away;
mod list;
mod orders;
mod reserve;
mod rest;
mod results;
mod start;

use std::collections::BTreeSet;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

pub use advance::Advanced;
pub use list::PipelineFilter;
pub use results::{Group, MatrixPart, MatrixRow, MatrixWindow, PipelineCounts, StageCounts};
pub use start::NewPipeline;

pub(super) use away::{hold_after_absence, hold_before_danger};
pub(super) use reserve::release_if_done;

use super::column::{Ids, MaybeJson, MaybePlan};
use super::command::rows as command_rows;
use super::error::Fault;
use super::schema::{commands, pipelines};
use super::tx::Tx;
use super::{CommandRow, Journal, Keyed, NewEvent, ReadError, Topic};
use crate::domain::{
    Actor, CancelMode, Cell, Cells, CommandId, CommandStatus, IdPart, Level, Orders, PipelineId, PipelineStatus, Plan,
    Refusal, Timestamp,
};

/// A pipeline as it stands in the journal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = pipelines, check_for_backend(diesel::sqlite::Sqlite))]
pub struct PipelineRow {
    /// Its id; sorts by age.
    pub id: PipelineId,
    /// The pipeline's name in the catalog, or the op's where it is one op on several hosts.
    pub name: String,
    /// Numbers of its hosts, in the order of their turns.
    #[diesel(deserialize_as = Ids)]
    pub hosts: Vec<i64>,
    /// The first stage that any host has not left, from 0; the number of stages when there is none.
    pub current_stage: i64,
    /// Where it stands.
    pub status: PipelineStatus,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended; none while it is open.
    pub finished_at: Option<Timestamp>,
    /// Who started it.
    pub actor: Actor,
    /// Why, in their words.
    pub reason: Option<String>,
    /// What it was told at its start.
    #[diesel(deserialize_as = MaybePlan)]
    pub plan: Plan,
    /// Why it is held, for a reader; none where it is not.
    pub hold_reason: Option<String>,
    /// How it is being, or was, cancelled.
    pub cancel_mode: Option<CancelMode>,
    /// Who cancelled it.
    pub cancel_by: Option<Actor>,
    /// When it was cancelled.
    pub cancel_at: Option<Timestamp>,
    /// Why, in their words.
    pub cancel_note: Option<String>,
    /// The pipeline that it tries again.
    pub retry_of: Option<PipelineId>,
    /// What its end stands on: its hosts by how they ended, its commands by status. None while it is open.
    #[diesel(deserialize_as = MaybeJson)]
    pub evidence: Option<serde_json::Value>,
    /// Who wants it kept: no sweep takes it then.
    pub kept_by: Option<Actor>,
    /// When they said so.
    pub kept_at: Option<Timestamp>,
    /// Why, in their words.
    pub kept_reason: Option<String>,
}

impl PipelineRow {
    /// Whether something of it may still start, or is followed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.finished_at.is_none()
    }
}

impl Keyed for PipelineRow {
    type Id = PipelineId;

    fn key(&self) -> PipelineId {
        self.id
    }
}

impl Journal {
    /// The pipeline of this id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn pipeline(&mut self, id: PipelineId) -> Result<Option<PipelineRow>, ReadError> {
        Ok(pipelines::table
            .find(id)
            .select(PipelineRow::as_select())
            .get_result(&mut self.conn)
            .optional()?)
    }

    /// The pipelines that a part of an id may mean, newest first: a whole id by itself, else those among the newest
    /// 10,000 whose id begins or ends so; at most ten.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn pipelines_like(&mut self, part: &IdPart) -> Result<Vec<PipelineId>, ReadError> {
        if let Ok(id) = part.as_str().parse::<PipelineId>() {
            return Ok(vec![id]);
        }
        let newest: Vec<PipelineId> = pipelines::table
            .select(pipelines::id)
            .order(pipelines::id.desc())
            .limit(10_000)
            .load(&mut self.conn)?;
        let fits = newest.into_iter().filter(|id| part.fits(&id.to_string()));
        Ok(fits.take(10).collect())
    }

    /// Whether there is a pipeline of this id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn has_pipeline(&mut self, id: PipelineId) -> Result<bool, ReadError> {
        let found: Option<PipelineId> = pipelines::table
            .find(id)
            .select(pipelines::id)
            .get_result(&mut self.conn)
            .optional()?;
        Ok(found.is_some())
    }

    /// Every RUNNING or HELD pipeline, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open_pipelines(&mut self) -> Result<Vec<PipelineRow>, ReadError> {
        Ok(pipelines::table
            .filter(pipelines::finished_at.is_null())
            .order(pipelines::id.asc())
            .select(PipelineRow::as_select())
            .load(&mut self.conn)?)
    }

    /// The pipelines that try this one again, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn retries_of_pipeline(&mut self, id: PipelineId) -> Result<Vec<PipelineRow>, ReadError> {
        Ok(pipelines::table
            .filter(pipelines::retry_of.eq(id))
            .order(pipelines::id.asc())
            .select(PipelineRow::as_select())
            .load(&mut self.conn)?)
    }

    /// All commands of a pipeline, oldest first: as many as it has hosts times stages, at most.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn commands_of_pipeline(&mut self, id: PipelineId) -> Result<Vec<CommandRow>, ReadError> {
        Ok(command_rows()
            .filter(commands::pipeline_id.eq(id))
            .order(commands::id.asc())
            .load(&mut self.conn)?)
    }

    /// The command of a pipeline on one host in one stage.
    pub(super) fn command_at(&mut self, id: PipelineId, host: i64, stage: i64) -> Result<Option<CommandId>, ReadError> {
        Ok(commands::table
            .filter(commands::pipeline_id.eq(id))
            .filter(commands::host_id.eq(host))
            .filter(commands::stage.eq(stage))
            .select(commands::id)
            .first(&mut self.conn)
            .optional()?)
    }

    /// The open commands of a pipeline, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open_of_pipeline(&mut self, id: PipelineId) -> Result<Vec<CommandId>, ReadError> {
        Ok(commands::table
            .filter(commands::pipeline_id.eq(id))
            .filter(commands::finished_at.is_null())
            .order(commands::id.asc())
            .select(commands::id)
            .load(&mut self.conn)?)
    }

    /// The rows of a pipeline as the planner reads them.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn pipeline_cells(&mut self, id: PipelineId) -> Result<Cells, ReadError> {
        self.cells(id, None)
    }

    /// The same, of one host alone where one is given.
    fn cells(&mut self, id: PipelineId, host: Option<i64>) -> Result<Cells, ReadError> {
        type Light = (i64, Option<i64>, CommandStatus, Option<Timestamp>, Option<Refusal>);
        let mut query = commands::table
            .filter(commands::pipeline_id.eq(id))
            .select((
                commands::host_id,
                commands::stage,
                commands::status,
                commands::finished_at,
                commands::refusal,
            ))
            .into_boxed();
        if let Some(host) = host {
            query = query.filter(commands::host_id.eq(host));
        }
        let rows: Vec<Light> = query.load(&mut self.conn)?;
        Ok(rows
            .into_iter()
            .filter_map(|(host, stage, status, finished, refusal)| {
                let stage = usize::try_from(stage?).ok()?;
                Some(((host, stage), Cell::of(status, finished.is_none(), refusal)))
            })
            .collect())
    }

    /// What people said of a pipeline meanwhile.
    fn pipeline_orders(&mut self, row: &PipelineRow) -> Result<Orders, ReadError> {
        let passed: String = pipelines::table
            .find(row.id)
            .select(pipelines::passed)
            .get_result(&mut self.conn)?;
        let passed: BTreeSet<(usize, usize)> =
            serde_json::from_str(&passed).map_err(|why| ReadError::Row(why.to_string()))?;
        Ok(Orders {
            cancelled: row.cancel_mode.is_some(),
            held: row.status == PipelineStatus::Held,
            passed,
            busy: BTreeSet::new(),
        })
    }
}

/// An event about a pipeline, by the dashboard; fill in the rest with struct update.
fn pipeline_event(row: &PipelineRow, level: Level, action: &str, message: impl Into<String>) -> NewEvent {
    NewEvent {
        pipeline_id: Some(row.id),
        ..NewEvent::system(level, format!("pipeline:{action}"), message)
    }
}

/// Starts nothing new from now on, and says why. None where it is not RUNNING, or being cancelled.
fn hold(
    tx: &mut Tx<'_>,
    row: &PipelineRow,
    why: &str,
    at_wait: Option<(usize, usize)>,
) -> Result<Option<PipelineRow>, Fault> {
    let held = diesel::update(pipelines::table)
        .filter(pipelines::id.eq(row.id))
        .filter(pipelines::status.eq(PipelineStatus::Running))
        .filter(pipelines::cancel_mode.is_null())
        .set((
            pipelines::status.eq(PipelineStatus::Held),
            pipelines::hold_reason.eq(why),
            pipelines::at_wait.eq(at_wait.map(|(batch, stage)| format!("[{batch},{stage}]"))),
        ))
        .execute(&mut tx.journal.conn)?;
    if held == 0 {
        return Ok(None);
    }
    tx.touch(Topic::Pipelines);
    Ok(tx.journal.pipeline(row.id)?)
}

/// "1 host", "3 hosts".
fn hosts_in_words(hosts: usize) -> String {
    match hosts {
        1 => "1 host".to_owned(),
        n => format!("{n} hosts"),
    }
}
