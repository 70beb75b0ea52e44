//! How a pipeline comes into the journal: its row, its reservations and its first commands in one transaction.

use std::collections::BTreeSet;

use diesel::prelude::*;

use super::super::column::Ids;
use super::super::command::in_the_way;
use super::super::error::Fault;
use super::super::schema::{pipeline_hosts, pipelines};
use super::super::tx::Tx;
use super::super::{By, Journal, NewEvent, ReadError, Store, Topic, WriteError};
use super::advance::advance;
use super::reserve::reserve;
use super::{Advanced, PipelineRow, hosts_in_words};
use crate::domain::{
    Definition, IfBusy, Level, MESSAGE_LIMIT, PipelineId, PipelineStatus, Plan, Refusal, Stage, Timestamp, bounded,
};

/// A pipeline that is to be started.
#[derive(Clone, Debug)]
pub struct NewPipeline {
    /// The pipeline's name, or the op's where it is one op on several hosts.
    pub name: String,
    /// What it does, frozen; its hosts are those of the batches.
    pub plan: Plan,
    /// The definitions that the plan's stages name.
    pub definitions: Vec<Definition>,
    /// Who starts it.
    pub by: By,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The pipeline that is tried again.
    pub retry_of: Option<PipelineId>,
    /// Why it is held from the first, where it is.
    pub held: Option<String>,
}

#[derive(Insertable)]
#[diesel(table_name = pipelines)]
struct Insert<'a> {
    id: PipelineId,
    name: &'a str,
    hosts: Ids,
    status: PipelineStatus,
    created_at: Timestamp,
    actor: &'a crate::domain::Actor,
    reason: Option<String>,
    plan: &'a Plan,
    hold_reason: Option<&'a str>,
    retry_of: Option<PipelineId>,
}

impl Journal {
    fn next_pipeline_id(&mut self) -> Result<PipelineId, ReadError> {
        let largest = pipelines::table
            .select(pipelines::id)
            .order(pipelines::id.desc())
            .get_result(&mut self.conn)
            .optional()?;
        Ok(PipelineId::after(largest))
    }
}

impl Store {
    /// Journals a pipeline, reserves its hosts and asks for its first commands. Hosts that are busy are left out, where
    /// the plan says so; else they are reserved all the same, and looked at when their turn comes.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where a host was removed, or every host would be left out: then nothing was written.
    pub async fn start_pipeline(&self, new: NewPipeline) -> Result<Advanced, WriteError> {
        self.write(move |tx| start(tx, &new)).await
    }
}

fn start(tx: &mut Tx<'_>, new: &NewPipeline) -> Result<Advanced, Fault> {
    let left_out = look(tx, &new.plan)?;
    let gone: BTreeSet<i64> = left_out.iter().map(|(id, ..)| *id).collect();
    let plan = new.plan.clone().without(&gone);
    let hosts: Vec<i64> = plan.hosts().collect();
    if hosts.is_empty() {
        let why: Vec<_> = left_out
            .iter()
            .take(3)
            .map(|(_, name, why)| format!("{name} is {why}"))
            .collect();
        return Err(WriteError::Conflict(format!("no host is left: {}", why.join("; "))).into());
    }
    for definition in &new.definitions {
        tx.keep_definition(definition)?;
    }
    let id = tx.journal.next_pipeline_id()?;
    tx.only_once(&new.by, None, Some(id))?;
    let status = match new.held {
        Some(_) => PipelineStatus::Held,
        None => PipelineStatus::Running,
    };
    diesel::insert_into(pipelines::table)
        .values(Insert {
            id,
            name: &new.name,
            hosts: Ids(hosts.clone()),
            status,
            created_at: tx.now,
            actor: &new.by.actor,
            reason: new.reason.as_ref().map(|reason| bounded(reason, MESSAGE_LIMIT)),
            plan: &plan,
            hold_reason: new.held.as_deref(),
            retry_of: new.retry_of,
        })
        .execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Pipelines);
    for host in &hosts {
        // Not reserved yet; whoever reserves it now keeps it, and it is tried again when its turn comes.
        diesel::insert_into(pipeline_hosts::table)
            .values((
                pipeline_hosts::pipeline_id.eq(id),
                pipeline_hosts::host_id.eq(host),
                pipeline_hosts::reserved_at.eq(tx.now),
                pipeline_hosts::released_at.eq(tx.now),
            ))
            .execute(&mut tx.journal.conn)?;
        reserve(tx, id, *host)?;
    }
    let row = tx
        .journal
        .pipeline(id)?
        .ok_or_else(|| WriteError::Database("a row that was just written is not there".to_owned()))?;
    announce(tx, new, &row, &left_out)?;
    advance(tx, id)
}

/// Refuses removed hosts, and finds those that are left out because they are busy: number, name and why.
fn look(tx: &mut Tx<'_>, plan: &Plan) -> Result<Vec<(i64, String, String)>, Fault> {
    let mut left_out = Vec::new();
    for id in plan.hosts() {
        let Some(host) = tx.journal.host_by_id(id)? else {
            return Err(WriteError::NotFound(format!("host number {id}")).into());
        };
        if host.removed_at.is_some() {
            let why = format!(
                "{} was removed from the fleet; add it again, or leave it out",
                host.hostname
            );
            return Err(WriteError::Conflict(why).into());
        }
        if plan.if_busy == IfBusy::LeaveOut
            && let Some((Refusal::Busy | Refusal::Reserved, why)) = in_the_way(tx, &host, None)?
        {
            left_out.push((id, host.hostname.to_string(), why));
        }
    }
    Ok(left_out)
}

fn announce(
    tx: &mut Tx<'_>,
    new: &NewPipeline,
    row: &PipelineRow,
    left_out: &[(i64, String, String)],
) -> Result<(), Fault> {
    let stages: Vec<&str> = row.plan.stages.iter().map(Stage::text).collect();
    let again = new
        .retry_of
        .map(|first| format!(", again for what {} left", first.short()))
        .unwrap_or_default();
    let without = match left_out.len() {
        0 => String::new(),
        n => format!("; {} left out as busy", hosts_in_words(n)),
    };
    let message = format!(
        "{} started the pipeline “{}” ({}) on {}{again}{without}",
        new.by.actor.name(),
        row.name,
        bounded(&stages.join(", "), 200),
        hosts_in_words(row.hosts.len()),
    );
    let left_out: Vec<String> = left_out.iter().map(|(_, name, why)| format!("{name}: {why}")).collect();
    tx.event(NewEvent {
        details: Some(serde_json::json!({
            "reason": row.reason,
            "retry_of": row.retry_of,
            "hosts": row.hosts.len(),
            "batches": row.plan.batches.iter().map(Vec::len).collect::<Vec<_>>(),
            "max_parallel": row.plan.max_parallel,
            "stop_at": row.plan.stop_at,
            "first_batch_must_pass": row.plan.first_batch_must_pass,
            "if_busy": row.plan.if_busy,
            "left_out": left_out,
        })),
        pipeline_id: Some(row.id),
        ..NewEvent::audit(&new.by, Level::Info, "pipeline:start", message)
    })?;
    Ok(())
}
