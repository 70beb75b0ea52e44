//! What a pipeline came to: counts, groups of equal results, and a window of its matrix of hosts and stages.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde::Serialize;

use super::super::command::rows as command_rows;
use super::super::schema::{commands, hosts};
use super::super::{CommandRow, Journal, PipelineRow, ReadError};
use crate::domain::{Cell, Cells, CommandId, CommandStatus, Digest, PipelineId, Plan, Refusal};

/// How many cells (a host in a stage that is for it, waits aside) stand how. All but `hosts` and `stages` add up to
/// `cells`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct PipelineCounts {
    /// SUCCESS.
    pub done: i64,
    /// ERROR, TIMEOUT, ORPHANED for good, CANCELLED by itself, BLOCKED for another reason than not being reached.
    pub failed: i64,
    /// SKIPPED because the pre-check said "not needed".
    pub not_needed: i64,
    /// BLOCKED because the host was not reached, or refused the log-in.
    pub unreachable: i64,
    /// Open.
    pub running: i64,
    /// Without a row: its turn has not come.
    pub waiting: i64,
    /// SKIPPED as the rest of a host that failed, or of a pipeline that stopped.
    pub skipped: i64,
    /// CANCELLED as the rest of a cancelled pipeline.
    pub cancelled: i64,
    /// All of the above.
    pub cells: i64,
    /// Hosts.
    pub hosts: i64,
    /// Stages, waits too.
    pub stages: i64,
    /// Hosts on which every stage ended well.
    pub hosts_passed: i64,
    /// Hosts on which a stage failed.
    pub hosts_failed: i64,
    /// Hosts that were not reached, and on which nothing else failed.
    pub hosts_unreachable: i64,
    /// Hosts that were written off with nothing failed.
    pub hosts_written_off: i64,
    /// Hosts that are still in.
    pub hosts_under_way: i64,
}

/// Commands of one stage with the same result: "52 hosts: this; 3: that".
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct Group {
    /// Which stage, from 0.
    pub stage: i64,
    /// Their status.
    pub status: CommandStatus,
    /// Why they were refused or written off.
    pub refusal: Option<Refusal>,
    /// Their exit code.
    pub exit_code: Option<i64>,
    /// The SHA-256 of their output.
    pub output_sha256: Option<Digest>,
    /// How many there are.
    pub hosts: i64,
    /// One of them, the oldest.
    pub example: CommandId,
    /// Names of the first ten, in the order of the pipeline's hosts.
    pub names: Vec<String>,
}

/// Which hosts of a matrix are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MatrixPart {
    /// All of them.
    #[default]
    All,
    /// On which a stage failed, and those that were not reached.
    Failed,
    /// With an open command.
    Running,
}

/// How one stage's commands stand; hosts without a row in it are not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StageCounts {
    /// SUCCESS.
    pub done: i64,
    /// SKIPPED because the pre-check said "not needed".
    pub not_needed: i64,
    /// Failed here, for another reason than not being reached.
    pub failed: i64,
    /// Not reached.
    pub unreachable: i64,
    /// Open.
    pub running: i64,
    /// Written off: skipped or cancelled as part of the rest.
    pub rest: i64,
}

/// Which rows of a matrix are asked for: by rank, hosts that need a look first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MatrixWindow {
    /// Which hosts.
    pub part: MatrixPart,
    /// How many rows are left out at the beginning.
    pub offset: usize,
    /// How many rows at most; 1,000 are the most there are.
    pub limit: usize,
    /// Failed hosts first, then those at work, those that wait, and those that are through; else in the order of
    /// their turns.
    pub failures_first: bool,
}

/// One host in a pipeline's matrix.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MatrixRow {
    /// The host's number.
    pub host_id: i64,
    /// Its name.
    pub host: String,
    /// Which batch, from 0.
    pub batch: usize,
    /// One for each stage: the command, where there is one.
    pub cells: Vec<Option<CommandRow>>,
    /// Whether a stage is for this host; where it is not, there never is a command.
    pub applies: Vec<bool>,
}

/// The most groups that are made; results that differ on every host are no groups.
const MOST_GROUPS: usize = 200;
const MOST_ROWS: usize = 1_000;
const NAMES: usize = 10;

type Result<T> = std::result::Result<T, ReadError>;
type Light = (
    CommandId,
    i64,
    Option<i64>,
    CommandStatus,
    Option<Refusal>,
    Option<i64>,
    Option<Digest>,
);
type Key = (i64, CommandStatus, Option<Refusal>, Option<i64>, Option<Digest>);

impl Journal {
    /// How a pipeline's cells and hosts stand; all 0 where there is no such pipeline.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn pipeline_counts(&mut self, id: PipelineId) -> Result<PipelineCounts> {
        let Some(row) = self.pipeline(id)? else {
            return Ok(PipelineCounts::default());
        };
        let counted: Vec<(CommandStatus, Option<Refusal>, i64)> = commands::table
            .filter(commands::pipeline_id.eq(id))
            .filter(commands::finished_at.is_not_null())
            .group_by((commands::status, commands::refusal))
            .select((commands::status, commands::refusal, diesel::dsl::count_star()))
            .load(&mut self.conn)?;
        let open = number(self.open_of_pipeline(id)?.len());
        let mut counts = PipelineCounts {
            running: open,
            waiting: -open,
            ..PipelineCounts::default()
        };
        for (status, refusal, n) in counted {
            let place = match (Cell::of(status, false, refusal), status) {
                (Cell::Open, _) => &mut counts.running,
                (Cell::Good, CommandStatus::Skipped) => &mut counts.not_needed,
                (Cell::Good, _) => &mut counts.done,
                (Cell::Failed, _) => &mut counts.failed,
                (Cell::Unreachable, _) => &mut counts.unreachable,
                (Cell::Rest, CommandStatus::Cancelled) => &mut counts.cancelled,
                (Cell::Rest, _) => &mut counts.skipped,
            };
            *place += n;
            counts.waiting -= n;
        }
        let cells: usize = row.plan.hosts().map(|host| row.plan.stages_of(host).count()).sum();
        counts.cells = number(cells);
        counts.waiting = (counts.waiting + counts.cells).max(0);
        counts.hosts = number(row.hosts.len());
        counts.stages = number(row.plan.stages.len());
        let tally = row.plan.tally(&self.pipeline_cells(id)?);
        counts.hosts_passed = number(tally.passed);
        counts.hosts_failed = number(tally.failed);
        counts.hosts_unreachable = number(tally.unreachable);
        counts.hosts_written_off = number(tally.written_off);
        counts.hosts_under_way = number(tally.under_way);
        Ok(counts)
    }

    /// How each stage's commands stand, in the order of the stages.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn pipeline_stages(&mut self, row: &PipelineRow) -> Result<Vec<StageCounts>> {
        type Counted = (Option<i64>, CommandStatus, Option<Refusal>, i64);
        let counted: Vec<Counted> = commands::table
            .filter(commands::pipeline_id.eq(row.id))
            .filter(commands::finished_at.is_not_null())
            .group_by((commands::stage, commands::status, commands::refusal))
            .select((
                commands::stage,
                commands::status,
                commands::refusal,
                diesel::dsl::count_star(),
            ))
            .load(&mut self.conn)?;
        let open: Vec<Option<i64>> = commands::table
            .filter(commands::pipeline_id.eq(row.id))
            .filter(commands::finished_at.is_null())
            .select(commands::stage)
            .load(&mut self.conn)?;
        let mut stages = vec![StageCounts::default(); row.plan.stages.len()];
        let index = |stage: Option<i64>| stage.and_then(|stage| usize::try_from(stage).ok());
        for (stage, status, refusal, n) in counted {
            let Some(stage) = index(stage).and_then(|stage| stages.get_mut(stage)) else {
                continue;
            };
            *match (Cell::of(status, false, refusal), status) {
                (Cell::Open, _) => &mut stage.running,
                (Cell::Good, CommandStatus::Skipped) => &mut stage.not_needed,
                (Cell::Good, _) => &mut stage.done,
                (Cell::Failed, _) => &mut stage.failed,
                (Cell::Unreachable, _) => &mut stage.unreachable,
                (Cell::Rest, _) => &mut stage.rest,
            } += n;
        }
        for stage in open {
            if let Some(stage) = index(stage).and_then(|stage| stages.get_mut(stage)) {
                stage.running += 1;
            }
        }
        Ok(stages)
    }

    /// A pipeline's final commands by identical result, stage by stage, the largest group of a stage first; 200 groups
    /// at most.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn pipeline_results(&mut self, id: PipelineId) -> Result<Vec<Group>> {
        let rows: Vec<Light> = commands::table
            .filter(commands::pipeline_id.eq(id))
            .filter(commands::finished_at.is_not_null())
            .order(commands::id.asc())
            .select((
                commands::id,
                commands::host_id,
                commands::stage,
                commands::status,
                commands::refusal,
                commands::exit_code,
                commands::output_sha256,
            ))
            .load(&mut self.conn)?;
        let mut groups: BTreeMap<Key, (CommandId, Vec<i64>)> = BTreeMap::new();
        for (command, host, stage, status, refusal, exit_code, output) in rows {
            let key = (stage.unwrap_or(0), status, refusal, exit_code, output);
            groups.entry(key).or_insert_with(|| (command, Vec::new())).1.push(host);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|((stage, ..), (_, hosts))| (*stage, std::cmp::Reverse(hosts.len())));
        groups.truncate(MOST_GROUPS);
        let shown: Vec<i64> = groups
            .iter()
            .flat_map(|(_, (_, hosts))| hosts.iter().take(NAMES).copied())
            .collect();
        let names = self.names_of(&shown)?;
        Ok(groups
            .into_iter()
            .map(
                |((stage, status, refusal, exit_code, output_sha256), (example, hosts))| Group {
                    stage,
                    status,
                    refusal,
                    exit_code,
                    output_sha256,
                    hosts: number(hosts.len()),
                    example,
                    names: hosts
                        .iter()
                        .take(NAMES)
                        .filter_map(|host| names.get(host).cloned())
                        .collect(),
                },
            )
            .collect())
    }

    /// Some rows of a pipeline's matrix, and how many there are in all.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn matrix(&mut self, id: PipelineId, window: MatrixWindow) -> Result<(Vec<MatrixRow>, usize)> {
        let Some(row) = self.pipeline(id)? else {
            return Ok((Vec::new(), 0));
        };
        let cells = self.pipeline_cells(id)?;
        let mut order: Vec<(usize, i64)> = (row.plan.batches.iter().enumerate())
            .flat_map(|(batch, members)| members.iter().map(move |host| (batch, *host)))
            .collect();
        match window.part {
            MatrixPart::All => {}
            MatrixPart::Failed => order.retain(|(_, host)| rank(&row.plan, &cells, *host) <= NOT_REACHED),
            MatrixPart::Running => order.retain(|(_, host)| of_host(&cells, *host).any(|cell| cell == Cell::Open)),
        }
        if window.failures_first {
            order.sort_by_key(|(_, host)| rank(&row.plan, &cells, *host));
        }
        let all = order.len();
        let shown: Vec<_> = order
            .into_iter()
            .skip(window.offset)
            .take(window.limit.min(MOST_ROWS))
            .collect();
        let ids: Vec<i64> = shown.iter().map(|(_, host)| *host).collect();
        let names = self.names_of(&ids)?;
        let mut found: BTreeMap<(i64, i64), CommandRow> = BTreeMap::new();
        for some in ids.chunks(500) {
            let rows: Vec<CommandRow> = command_rows()
                .filter(commands::pipeline_id.eq(id))
                .filter(commands::host_id.eq_any(some))
                .load(&mut self.conn)?;
            found.extend(rows.into_iter().map(|row| ((row.host_id, row.stage.unwrap_or(0)), row)));
        }
        let stages = row.plan.stages.len();
        let rows = shown.into_iter().map(|(batch, host_id)| MatrixRow {
            host_id,
            host: names.get(&host_id).cloned().unwrap_or_default(),
            batch,
            cells: (0..stages)
                .map(|stage| found.remove(&(host_id, number(stage))))
                .collect(),
            applies: (0..stages).map(|stage| row.plan.applies(host_id, stage)).collect(),
        });
        Ok((rows.collect(), all))
    }

    fn names_of(&mut self, ids: &[i64]) -> Result<BTreeMap<i64, String>> {
        let mut names = BTreeMap::new();
        for some in ids.chunks(500) {
            let rows: Vec<(i64, String)> = hosts::table
                .filter(hosts::id.eq_any(some))
                .select((hosts::id, hosts::hostname))
                .load(&mut self.conn)?;
            names.extend(rows);
        }
        Ok(names)
    }
}

fn of_host(cells: &Cells, host: i64) -> impl Iterator<Item = Cell> {
    cells.range((host, 0)..=(host, usize::MAX)).map(|(_, cell)| *cell)
}

/// The last rank of those that count as failed.
const NOT_REACHED: u8 = 1;

/// Who is shown first: failed, not reached, at work, written off, waiting, through.
fn rank(plan: &Plan, cells: &Cells, host: i64) -> u8 {
    let of_host = || of_host(cells, host);
    if of_host().any(|cell| cell == Cell::Failed) {
        0
    } else if of_host().any(|cell| cell == Cell::Unreachable) {
        NOT_REACHED
    } else if of_host().any(|cell| cell == Cell::Open) {
        2
    } else if of_host().any(|cell| cell == Cell::Rest) {
        3
    } else if plan.stopped_at(cells, host).is_some() {
        4
    } else {
        5
    }
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
