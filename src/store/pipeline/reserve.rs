//! Which hosts a pipeline has for itself: reserved at its start, or when their turn comes, until they are through or out.

use diesel::prelude::*;

use super::super::Topic;
use super::super::error::Fault;
use super::super::schema::pipeline_hosts;
use super::super::tx::Tx;
use super::PipelineRow;
use crate::domain::{Cell, Next, PipelineId, Timestamp};

/// Since when a host's turn has come, in the journal: now, where it was not so before.
pub(super) fn waiting_since(tx: &mut Tx<'_>, id: PipelineId, host: i64) -> Result<Timestamp, Fault> {
    let since: Option<Option<Timestamp>> = pipeline_hosts::table
        .find((id, host))
        .select(pipeline_hosts::waiting_since)
        .get_result(&mut tx.journal.conn)
        .optional()?;
    if let Some(since) = since.flatten() {
        return Ok(since);
    }
    diesel::update(pipeline_hosts::table.find((id, host)))
        .set(pipeline_hosts::waiting_since.eq(tx.now))
        .execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Pipelines);
    Ok(tx.now)
}

/// Reserves a host, unless another pipeline has it.
pub(super) fn reserve(tx: &mut Tx<'_>, id: PipelineId, host: i64) -> Result<(), Fault> {
    if release_if_done(tx, host, Some(id))? {
        return Ok(());
    }
    diesel::update(pipeline_hosts::table.find((id, host)))
        .filter(pipeline_hosts::released_at.is_not_null())
        .set((
            pipeline_hosts::released_at.eq(None::<Timestamp>),
            pipeline_hosts::reserved_at.eq(tx.now),
        ))
        .execute(&mut tx.journal.conn)?;
    Ok(())
}

/// Releases the hosts that are through or out.
pub(super) fn release(tx: &mut Tx<'_>, row: &PipelineRow, next: &Next) -> Result<(), Fault> {
    let reserved: Vec<i64> = pipeline_hosts::table
        .filter(pipeline_hosts::pipeline_id.eq(row.id))
        .filter(pipeline_hosts::released_at.is_null())
        .select(pipeline_hosts::host_id)
        .load(&mut tx.journal.conn)?;
    for host in reserved.into_iter().filter(|host| next.release.contains(host)) {
        let_go(tx, row.id, host)?;
    }
    Ok(())
}

fn let_go(tx: &mut Tx<'_>, id: PipelineId, host: i64) -> Result<(), Fault> {
    diesel::update(pipeline_hosts::table.find((id, host)))
        .set(pipeline_hosts::released_at.eq(tx.now))
        .execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Pipelines);
    Ok(())
}

/// A host that is through or out in the pipeline that has it, other than `mine`, is released now: between the end of
/// its last command and that pipeline's next advance nobody should be refused. True while another pipeline has it.
pub(in crate::store) fn release_if_done(tx: &mut Tx<'_>, host: i64, mine: Option<PipelineId>) -> Result<bool, Fault> {
    let holder: Option<PipelineId> = pipeline_hosts::table
        .filter(pipeline_hosts::host_id.eq(host))
        .filter(pipeline_hosts::released_at.is_null())
        .select(pipeline_hosts::pipeline_id)
        .get_result(&mut tx.journal.conn)
        .optional()?;
    let Some(id) = holder.filter(|id| Some(*id) != mine) else {
        return Ok(false);
    };
    let cells = tx.journal.cells(id, Some(host))?;
    if cells.is_empty() || cells.values().any(|cell| *cell == Cell::Open) {
        return Ok(true);
    }
    let Some(row) = tx.journal.pipeline(id)? else {
        return Ok(true);
    };
    let orders = tx.journal.pipeline_orders(&row)?;
    if row.plan.next(&cells, &orders).release.contains(&host) {
        let_go(tx, id, host)?;
        return Ok(false);
    }
    Ok(true)
}
