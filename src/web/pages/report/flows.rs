//! The pipelines of a range: what became of them host by host, and who held them, let them go on or cancelled them.

use std::collections::{BTreeMap, HashSet};

use crate::domain::{Cells, PipelineId, PipelineStatus};
use crate::store::{EventLine, PipelineFilter, PipelineRow, ReadError, Whole};

use super::cover::cells_of;
use super::gather::{Gathered, Place, Wanted};

/// Pipelines that a report lists at most; the rest is counted.
const LISTED: usize = 1_000;
/// Orders of one pipeline that are listed at most.
const ORDERS: usize = 50;

/// A pipeline of the range.
pub(super) struct Flow {
    pub(super) row: PipelineRow,
    /// Where its hosts stand, by its commands.
    pub(super) cells: Cells,
    /// Holds, cancels and the like, with who gave them.
    pub(super) orders: Vec<EventLine>,
    pub(super) orders_left_out: usize,
}

/// The pipelines that the filters let through.
#[derive(Default)]
pub(super) struct Flows {
    pub(super) rows: BTreeMap<PipelineId, Flow>,
    pub(super) total: usize,
    pub(super) by_status: BTreeMap<PipelineStatus, usize>,
    /// Failed, partial or cancelled.
    pub(super) bad: usize,
}

impl Flow {
    pub(super) fn is_bad(&self) -> bool {
        is_bad(self.row.status)
    }
}

fn is_bad(status: PipelineStatus) -> bool {
    match status {
        PipelineStatus::Partial | PipelineStatus::Failed | PipelineStatus::Cancelled => true,
        PipelineStatus::Running | PipelineStatus::Held | PipelineStatus::Complete => false,
    }
}

/// True for what somebody ordered, or the dashboard did in their place; each command and stage has its own events.
pub(super) fn is_order(action: &str) -> bool {
    [
        "pipeline:hold",
        "pipeline:continue",
        "pipeline:cancel",
        "keep",
        "unkeep",
    ]
    .contains(&action)
}

impl Flows {
    /// The pipelines that were asked for in the range, by whom and on what the filters let through; with a filter on op
    /// or status, those with such a command (`ours`).
    pub(super) fn take(
        place: Place<'_>,
        wanted: &Wanted<'_>,
        ours: &HashSet<PipelineId>,
        found: &mut Gathered,
    ) -> Result<Self, ReadError> {
        let (ask, mut flows) = (wanted.ask, Self::default());
        let filter = PipelineFilter {
            since: Some(ask.since),
            until: Some(ask.until),
            actor: ask.actor.clone(),
            ..PipelineFilter::default()
        };
        let any = ask.op.is_none() && ask.status.is_none();
        let (mut rows, mut walk) = (
            BTreeMap::new(),
            Whole::<PipelineRow>::begin(place.reader, place.data_dir, filter)?,
        );
        while let Some(row) = walk.next(place.reader)? {
            let fits = any && row.hosts.iter().any(|host| wanted.host(Some(*host)));
            if !fits && !ours.contains(&row.id) {
                continue;
            }
            flows.total += 1;
            flows.bad += usize::from(is_bad(row.status));
            *flows.by_status.entry(row.status).or_default() += 1;
            rows.insert(row.id, row);
            if rows.len() > LISTED {
                rows.pop_last();
            }
        }
        let from_archive = walk.archived() > 0;
        found.lacking.extend(walk.broken().iter().cloned());
        let ids: Vec<PipelineId> = rows.keys().copied().collect();
        let mut cells = cells_of(place, &ids, from_archive.then_some(ask.since), found)?;
        flows.rows = rows
            .into_iter()
            .map(|(id, row)| {
                let flow = Flow {
                    row,
                    cells: cells.remove(&id).unwrap_or_default(),
                    orders: Vec::new(),
                    orders_left_out: 0,
                };
                (id, flow)
            })
            .collect();
        Ok(flows)
    }

    /// Puts an event to the pipeline that it is an order to; false where none of these is.
    pub(super) fn order(&mut self, line: &EventLine) -> bool {
        let Some(flow) = line.pipeline_id.and_then(|id| self.rows.get_mut(&id)) else {
            return false;
        };
        if line.command_id.is_some() || !is_order(&line.action) {
            return false;
        }
        if flow.orders.len() < ORDERS {
            flow.orders.push(line.clone());
        } else {
            flow.orders_left_out += 1;
        }
        true
    }
}
