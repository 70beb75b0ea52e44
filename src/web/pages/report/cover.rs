//! Coverage: for an op or a pipeline, every host with its last success in the range.

use std::collections::{BTreeMap, HashMap};

use crate::domain::{Actor, Cell, Cells, CommandId, CommandStatus, OpId, PipelineId, Timestamp};
use crate::store::archive::{self, Range};
use crate::store::{CommandRow, HistoryFilter, HostRow, PipelineFilter, PipelineRow, ReadError, Whole};

use super::gather::{Covered, Gathered, Place, Wanted};

/// Pipelines that are looked at: the newest ones.
const PIPELINES: usize = 2_000;
/// Rows of the archive that are looked at at once.
const SOME: usize = 500;

/// Every host that was in the fleet in the range, with its last success: those without one first.
pub(super) fn cover(
    place: Place<'_>,
    wanted: &Wanted<'_>,
    name: &OpId,
    is_pipeline: bool,
    found: &mut Gathered,
) -> Result<Vec<Covered>, ReadError> {
    let (since, until) = (wanted.ask.since, wanted.ask.until);
    let there = |host: &&HostRow| {
        host.created_at < until && host.removed_at.is_none_or(|at| at >= since) && wanted.host(Some(host.id))
    };
    let hosts: Vec<HostRow> = found.hosts.values().filter(there).cloned().collect();
    let (mut ended, mut attempts) = if is_pipeline {
        (pipeline_successes(place, wanted, name, found)?, HashMap::new())
    } else {
        op_successes(place, wanted, name)?
    };
    let mut covered: Vec<Covered> = hosts
        .into_iter()
        .map(|host| {
            let success = ended.remove(&host.id);
            let attempt = attempts.remove(&host.id).filter(|_| success.is_none());
            Covered { host, success, attempt }
        })
        .collect();
    covered.sort_by(|a, b| {
        let key = |covered: &Covered| (covered.success.is_some(), covered.host.hostname.to_string());
        key(a).cmp(&key(b))
    });
    Ok(covered)
}

type Success = (Timestamp, Actor, String);

/// Of an op: by host the newest success, and the newest attempt.
#[expect(clippy::type_complexity, reason = "two maps by host, taken apart at once")]
fn op_successes(
    place: Place<'_>,
    wanted: &Wanted<'_>,
    name: &OpId,
) -> Result<(HashMap<i64, Success>, HashMap<i64, CommandRow>), ReadError> {
    let filter = HistoryFilter {
        op: Some(name.to_string()),
        since: Some(wanted.ask.since),
        until: Some(wanted.ask.until),
        ..HistoryFilter::default()
    };
    let mut successes: HashMap<i64, (CommandId, Success)> = HashMap::new();
    let mut attempts: HashMap<i64, CommandRow> = HashMap::new();
    let mut walk = Whole::<CommandRow>::begin(place.reader, place.data_dir, filter)?;
    while let Some(row) = walk.next(place.reader)? {
        if row.status == CommandStatus::Success
            && successes.get(&row.host_id).is_none_or(|(newest, _)| *newest < row.id)
        {
            let at = row.finished_at.unwrap_or(row.created_at);
            let success = (at, row.actor.clone(), row.id.to_string());
            successes.insert(row.host_id, (row.id, success));
        }
        if attempts.get(&row.host_id).is_none_or(|newest| newest.id < row.id) {
            attempts.insert(row.host_id, row);
        }
    }
    let successes = successes.into_iter().map(|(host, (_, success))| (host, success));
    Ok((successes.collect(), attempts))
}

/// The hosts that passed every stage of a pipeline of this name, each with the last time.
fn pipeline_successes(
    place: Place<'_>,
    wanted: &Wanted<'_>,
    name: &OpId,
    found: &mut Gathered,
) -> Result<HashMap<i64, Success>, ReadError> {
    let filter = PipelineFilter {
        name: Some(name.to_string()),
        since: Some(wanted.ask.since),
        until: Some(wanted.ask.until),
        ..PipelineFilter::default()
    };
    let mut rows: BTreeMap<PipelineId, PipelineRow> = BTreeMap::new();
    let mut walk = Whole::<PipelineRow>::begin(place.reader, place.data_dir, filter)?;
    while let Some(row) = walk.next(place.reader)? {
        rows.insert(row.id, row);
        if rows.len() > PIPELINES {
            rows.pop_first();
        }
    }
    let from_archive = walk.archived() > 0;
    let ids: Vec<PipelineId> = rows.keys().copied().collect();
    let mut cells = cells_of(place, &ids, from_archive.then_some(wanted.ask.since), found)?;
    let mut passed: HashMap<i64, Success> = HashMap::new();
    for row in rows.values().rev() {
        let cells = cells.remove(&row.id).unwrap_or_default();
        for host in &row.hosts {
            if !passed.contains_key(host) && row.plan.stopped_at(&cells, *host).is_none() {
                let at = row.finished_at.unwrap_or(row.created_at);
                passed.insert(*host, (at, row.actor.clone(), row.id.to_string()));
            }
        }
    }
    Ok(passed)
}

/// Where the hosts of these pipelines stand, by the commands of the table; where a time is given, also by those of the
/// archive from then on.
pub(super) fn cells_of(
    place: Place<'_>,
    ids: &[PipelineId],
    archived_since: Option<Timestamp>,
    found: &mut Gathered,
) -> Result<BTreeMap<PipelineId, Cells>, ReadError> {
    let mut cells: BTreeMap<PipelineId, Cells> = BTreeMap::new();
    for id in ids {
        let of_table = place.reader.read_blocking(|journal| journal.pipeline_cells(*id))?;
        cells.insert(*id, of_table);
    }
    if let Some(since) = archived_since {
        archived_cells(place, since, &mut cells, found)?;
    }
    Ok(cells)
}

/// Adds what the archived commands of these pipelines say. They are in the archive before they leave their table, which
/// was read before.
fn archived_cells(
    place: Place<'_>,
    since: Timestamp,
    cells: &mut BTreeMap<PipelineId, Cells>,
    found: &mut Gathered,
) -> Result<(), ReadError> {
    let ours: Vec<PipelineId> = cells.keys().copied().collect();
    let range = Range {
        since: Some(since),
        until: None,
    };
    let fits = move |row: &CommandRow| row.pipeline_id.is_some_and(|id| ours.binary_search(&id).is_ok());
    let mut walk =
        archive::commands(place.data_dir, range, fits).map_err(|why| ReadError::Row(format!("the archive: {why}")))?;
    loop {
        let rows = match walk.batch(place.reader, SOME) {
            Ok(Some(rows)) => rows,
            Ok(None) => return Ok(()),
            Err(ReadError::Row(why)) => {
                found.lacking.push(why);
                continue;
            }
            Err(why) => return Err(why),
        };
        for row in rows {
            let stage = row.stage.and_then(|stage| usize::try_from(stage).ok());
            if let (Some(id), Some(stage)) = (row.pipeline_id, stage)
                && let Some(cells) = cells.get_mut(&id)
            {
                let cell = Cell::of(row.status, row.is_open(), row.refusal);
                cells.insert((row.host_id, stage), cell);
            }
        }
    }
}
