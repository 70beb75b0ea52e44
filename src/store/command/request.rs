//! How commands come into the journal: one row per host, PENDING where it may start, else final at once with
//! what is in the way. A refused attempt is a row too.

use std::collections::HashSet;

use diesel::prelude::*;

use super::super::error::{Fault, is_constraint};
use super::super::host::{HostRow, clock};
use super::super::pipeline::release_if_done;
use super::super::schema::commands;
use super::super::tx::Tx;
use super::super::{By, Journal, NewEvent, ReadError, Store, Topic, WriteError};
use super::repeat::{Refused, repeated};
use super::{CommandRow, StopReason, command_event};
use crate::domain::{
    Actor, CommandId, CommandStatus, Definition, Digest, HostName, Level, MESSAGE_LIMIT, OpId, PipelineId, Refusal,
    Timestamp, bounded,
};

/// An op that is asked for on some hosts.
#[derive(Clone, Debug)]
pub struct Request {
    /// The op.
    pub op: OpId,
    /// What it is made of today; stored with each command.
    pub definition: Definition,
    /// Where; a host that is named twice counts once.
    pub hosts: Vec<HostName>,
    /// Who asks.
    pub by: By,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The command that is tried again.
    pub retry_of: Option<CommandId>,
}

#[derive(Insertable, Clone)]
#[diesel(table_name = commands, treat_none_as_default_value = false)]
struct Insert {
    id: CommandId,
    host_id: i64,
    op: OpId,
    pipeline_id: Option<PipelineId>,
    stage: Option<i64>,
    status: CommandStatus,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    settled_at: Option<Timestamp>,
    error: Option<String>,
    refusal: Option<Refusal>,
    actor: Actor,
    reason: Option<String>,
    definition: Digest,
    retry_of: Option<CommandId>,
    stop_reason: Option<StopReason>,
    stop_by: Option<Actor>,
    stop_at: Option<Timestamp>,
    repeat_of: Option<CommandId>,
}

impl Insert {
    fn refused<'a>(&'a self, refusal: Refusal, why: &'a str) -> Refused<'a> {
        Refused {
            host_id: self.host_id,
            op: &self.op,
            actor: &self.actor,
            refusal,
            why,
            asked_at: self.created_at,
        }
    }
}

impl Journal {
    /// The id that a new command gets: sorts above every other, whatever the clock says.
    fn next_command_id(&mut self) -> Result<CommandId, ReadError> {
        let largest = commands::table
            .select(commands::id)
            .order(commands::id.desc())
            .get_result(&mut self.conn)
            .optional()?;
        Ok(CommandId::after(largest))
    }
}

/// What a new row says, beside its host.
#[derive(Clone)]
pub(in crate::store) struct Ask {
    pub(in crate::store) op: OpId,
    pub(in crate::store) definition: Digest,
    pub(in crate::store) by: By,
    pub(in crate::store) reason: Option<String>,
    pub(in crate::store) retry_of: Option<CommandId>,
    /// The pipeline that asks, its name, and which stage of it this is.
    pub(in crate::store) pipeline: Option<(PipelineId, String, i64)>,
}

impl Store {
    /// Journals an op on each of the hosts: PENDING, or BLOCKED with what is in the way (another command, a
    /// pipeline's reservation, the host's removal). One event each.
    ///
    /// # Errors
    /// [`WriteError::UnknownHost`] where a name was never added: then nothing was written.
    pub async fn request(&self, request: Request) -> Result<Vec<CommandRow>, WriteError> {
        self.write(move |tx| {
            let mut seen = HashSet::new();
            let mut hosts = Vec::with_capacity(request.hosts.len());
            for name in request.hosts.iter().filter(|name| seen.insert(*name)) {
                match tx.journal.host(name)? {
                    Some(host) => hosts.push(host),
                    None => return Err(WriteError::UnknownHost(name.clone()).into()),
                }
            }
            let ask = Ask {
                op: request.op.clone(),
                definition: tx.keep_definition(&request.definition)?,
                by: request.by.clone(),
                reason: request.reason.as_ref().map(|reason| bounded(reason, MESSAGE_LIMIT)),
                retry_of: request.retry_of,
                pipeline: None,
            };
            let rows: Vec<CommandRow> = hosts
                .iter()
                .map(|host| insert(tx, &ask, host))
                .collect::<Result<_, Fault>>()?;
            tx.only_once(&request.by, rows.first().map(|row| row.id), None)?;
            Ok(rows)
        })
        .await
    }
}

impl Ask {
    fn row(&self, id: CommandId, host: i64, now: Timestamp) -> Insert {
        Insert {
            id,
            host_id: host,
            op: self.op.clone(),
            pipeline_id: self.pipeline.as_ref().map(|(id, ..)| *id),
            stage: self.pipeline.as_ref().map(|(.., stage)| *stage),
            status: CommandStatus::Pending,
            created_at: now,
            finished_at: None,
            settled_at: None,
            error: None,
            refusal: None,
            actor: self.by.actor.clone(),
            reason: self.reason.clone(),
            definition: self.definition.clone(),
            retry_of: self.retry_of,
            stop_reason: None,
            stop_by: None,
            stop_at: None,
            repeat_of: None,
        }
    }
}

/// One row for one host, PENDING or BLOCKED, with its event. A pipeline is not in its own way.
pub(in crate::store) fn insert(tx: &mut Tx<'_>, ask: &Ask, host: &HostRow) -> Result<CommandRow, Fault> {
    let pending = ask.row(tx.journal.next_command_id()?, host.id, tx.now);
    let mine = pending.pipeline_id;
    let mut refused = in_the_way(tx, host, mine)?;
    if refused.is_none() && !try_insert(tx, &pending)? {
        // The index knows better than the look before: whoever came first is in the way.
        refused = in_the_way(tx, host, mine)?.or_else(|| Some((Refusal::Busy, "busy with another command".to_owned())));
    }
    let row = match refused {
        Some((refusal, why)) => {
            let repeat_of = match mine {
                Some(_) => None,
                None => repeated(tx, &pending.refused(refusal, &why))?,
            };
            let pending = Insert { repeat_of, ..pending };
            insert_final(tx, pending, CommandStatus::Blocked, refusal, &why)?
        }
        None => written(tx, &pending)?,
    };
    announce(tx, ask, &row)?;
    Ok(row)
}

/// One row for one host that is final at once, without an event: what a pipeline writes off. `stopped` is who
/// cancelled it, and when.
pub(in crate::store) fn write_off(
    tx: &mut Tx<'_>,
    ask: &Ask,
    host: i64,
    status: CommandStatus,
    refusal: Refusal,
    why: &str,
    stopped: Option<(&Actor, Timestamp)>,
) -> Result<CommandRow, Fault> {
    let row = Insert {
        stop_reason: stopped.map(|_| StopReason::Cancel),
        stop_by: stopped.map(|(by, _)| by.clone()),
        stop_at: stopped.map(|(_, at)| at),
        ..ask.row(tx.journal.next_command_id()?, host, tx.now)
    };
    insert_final(tx, row, status, refusal, why)
}

fn insert_final(
    tx: &mut Tx<'_>,
    row: Insert,
    status: CommandStatus,
    refusal: Refusal,
    why: &str,
) -> Result<CommandRow, Fault> {
    let row = Insert {
        status,
        finished_at: Some(tx.now),
        settled_at: Some(tx.now),
        error: Some(bounded(why, MESSAGE_LIMIT)),
        refusal: Some(refusal),
        ..row
    };
    diesel::insert_into(commands::table)
        .values(&row)
        .execute(&mut tx.journal.conn)?;
    written(tx, &row)
}

fn written(tx: &mut Tx<'_>, row: &Insert) -> Result<CommandRow, Fault> {
    tx.touch(Topic::Commands);
    if row.pipeline_id.is_some() {
        tx.touch(Topic::Pipelines);
    }
    let row = tx.journal.command(row.id)?;
    Ok(row.ok_or_else(|| WriteError::Database("a row that was just written is not there".to_owned()))?)
}

/// False where the one-open-command index (or any other constraint) refuses the row.
fn try_insert(tx: &mut Tx<'_>, row: &Insert) -> Result<bool, Fault> {
    match diesel::insert_into(commands::table)
        .values(row)
        .execute(&mut tx.journal.conn)
    {
        Ok(_) => Ok(true),
        Err(error) if is_constraint(&error) && tx.journal.open_command_of(row.host_id)?.is_some() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What keeps a command off a host now. A pipeline that is done with the host, and only has not said so yet, does not.
pub(in crate::store) fn in_the_way(
    tx: &mut Tx<'_>,
    host: &HostRow,
    mine: Option<PipelineId>,
) -> Result<Option<(Refusal, String)>, Fault> {
    if let Some(removed) = host.removed_at {
        let why = format!("the host was removed from the fleet, {}", clock(removed));
        return Ok(Some((Refusal::Removed, why)));
    }
    if let Some(open) = tx.journal.open_command_of(host.id)? {
        return Ok(Some((Refusal::Busy, open.to_string())));
    }
    if !release_if_done(tx, host.id, mine)? {
        return Ok(None);
    }
    let reserved = tx.journal.reservation_of(host.id, mine)?;
    Ok(reserved.map(|way| (Refusal::Reserved, way.to_string())))
}

fn announce(tx: &mut Tx<'_>, ask: &Ask, row: &CommandRow) -> Result<(), Fault> {
    let who = ask.by.actor.name();
    let what = format!("{} on {}", row.op, row.host);
    let (level, message) = match (&row.error, &ask.pipeline) {
        (Some(why), None) => (Level::Warn, format!("{who} was refused {what}: {why}")),
        (Some(why), Some((_, name, _))) => (Level::Warn, format!("the pipeline “{name}” was refused {what}: {why}")),
        (None, Some((_, name, _))) => (Level::Info, format!("the pipeline “{name}” asks for {what}")),
        (None, None) if ask.retry_of.is_some() => (Level::Info, format!("{who} asked for {what}, again")),
        (None, None) => (Level::Info, format!("{who} asked for {what}")),
    };
    let mut about = command_event(row, level, message);
    if row.refusal.is_some() {
        about.action = format!("refused:{}", row.op);
    }
    let details = serde_json::json!({
        "reason": row.reason,
        "refusal": row.refusal,
        "retry_of": row.retry_of,
    });
    let event = match &ask.pipeline {
        Some(_) => NewEvent {
            details: Some(details),
            ..about
        },
        None => NewEvent {
            details: Some(details),
            host_id: about.host_id,
            command_id: about.command_id,
            seals: about.seals,
            ..NewEvent::audit(&ask.by, level, about.action, about.message)
        },
    };
    tx.event(event)?;
    Ok(())
}
