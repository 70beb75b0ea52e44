//! Coverage: for an op or a pipeline, every host with its last success in the range.

use std::collections::HashMap;

use crate::domain::{Actor, CommandStatus, OpId, Timestamp};
use crate::engine::EngineError;
use crate::store::{HistoryFilter, HostRow, PipelineFilter, Reader};

use super::gather::{Covered, Gathered, Wanted};

/// Pipelines that are looked at.
const PIPELINES: usize = 2_000;

/// Every host that was in the fleet in the range, with its last success: those without one first.
pub(super) async fn cover(
    reader: &Reader,
    wanted: &Wanted<'_>,
    name: &OpId,
    is_pipeline: bool,
    found: &Gathered,
) -> Result<Vec<Covered>, EngineError> {
    let (since, until) = (wanted.ask.since, wanted.ask.until);
    let there = |host: &&HostRow| {
        host.created_at < until && host.removed_at.is_none_or(|at| at >= since) && wanted.host(Some(host.id))
    };
    let hosts: Vec<HostRow> = found.hosts.values().filter(there).cloned().collect();
    let mut ended = if is_pipeline {
        pipeline_successes(reader, name, since, until).await?
    } else {
        HashMap::new()
    };
    let mut covered = Vec::with_capacity(hosts.len());
    for host in hosts {
        let filter = HistoryFilter {
            host: Some(host.id),
            op: Some(name.to_string()),
            since: Some(since),
            until: Some(until),
            ..HistoryFilter::default()
        };
        let success = if is_pipeline {
            ended.remove(&host.id)
        } else {
            let good = HistoryFilter {
                status: vec![CommandStatus::Success],
                ..filter.clone()
            };
            let page = reader.read(move |journal| journal.history(&good, None, 1)).await?;
            let row = page.rows.into_iter().next();
            row.map(|row| (row.finished_at.unwrap_or(row.created_at), row.actor, row.id.to_string()))
        };
        let attempt = if success.is_none() && !is_pipeline {
            let page = reader.read(move |journal| journal.history(&filter, None, 1)).await?;
            page.rows.into_iter().next()
        } else {
            None
        };
        covered.push(Covered { host, success, attempt });
    }
    covered.sort_by(|a, b| {
        let key = |covered: &Covered| (covered.success.is_some(), covered.host.hostname.to_string());
        key(a).cmp(&key(b))
    });
    Ok(covered)
}

type Success = (Timestamp, Actor, String);

/// The hosts that passed every stage of a pipeline of this name, each with the last time.
async fn pipeline_successes(
    reader: &Reader,
    name: &OpId,
    since: Timestamp,
    until: Timestamp,
) -> Result<HashMap<i64, Success>, EngineError> {
    let mut passed: HashMap<i64, Success> = HashMap::new();
    let (mut cursor, mut seen) = (None, 0);
    loop {
        let filter = PipelineFilter {
            name: Some(name.to_string()),
            since: Some(since),
            until: Some(until),
            ..PipelineFilter::default()
        };
        let (page, cells) = reader
            .read(move |journal| {
                let page = journal.pipelines(&filter, cursor, 50)?;
                let mut cells = Vec::with_capacity(page.rows.len());
                for row in &page.rows {
                    cells.push(journal.pipeline_cells(row.id)?);
                }
                Ok((page, cells))
            })
            .await?;
        seen += page.rows.len();
        for (row, cells) in page.rows.iter().zip(&cells) {
            for host in &row.hosts {
                if !passed.contains_key(host) && row.plan.stopped_at(cells, *host).is_none() {
                    let at = row.finished_at.unwrap_or(row.created_at);
                    passed.insert(*host, (at, row.actor.clone(), row.id.to_string()));
                }
            }
        }
        cursor = page.older;
        if cursor.is_none() || seen >= PIPELINES {
            return Ok(passed);
        }
    }
}
