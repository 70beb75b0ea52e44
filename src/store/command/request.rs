//! How commands come into the journal: one row per host, PENDING where it may start, else final at once with
//! what is in the way. A refused attempt is a row too.

use std::collections::HashSet;

use diesel::prelude::*;

use super::super::error::{Fault, is_constraint};
use super::super::host::{HostRow, clock};
use super::super::schema::commands;
use super::super::tx::Tx;
use super::super::{By, Journal, NewEvent, ReadError, Store, Topic, WriteError};
use super::{CommandRow, command_event};
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
#[diesel(table_name = commands)]
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
}

impl Journal<'_> {
    /// The id that a new command gets: sorts above every other, whatever the clock says.
    pub(super) fn next_command_id(&mut self) -> Result<CommandId, ReadError> {
        let largest = commands::table
            .select(commands::id)
            .order(commands::id.desc())
            .first(self.conn)
            .optional()?;
        Ok(CommandId::after(largest))
    }
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
                match tx.journal().host(name)? {
                    Some(host) => hosts.push(host),
                    None => return Err(WriteError::UnknownHost(name.clone()).into()),
                }
            }
            let definition = tx.keep_definition(&request.definition)?;
            hosts
                .iter()
                .map(|host| insert(tx, &request, &definition, host))
                .collect()
        })
        .await
    }
}

fn insert(tx: &mut Tx<'_>, request: &Request, definition: &Digest, host: &HostRow) -> Result<CommandRow, Fault> {
    let pending = Insert {
        id: tx.journal().next_command_id()?,
        host_id: host.id,
        op: request.op.clone(),
        pipeline_id: None,
        stage: None,
        status: CommandStatus::Pending,
        created_at: tx.now,
        finished_at: None,
        settled_at: None,
        error: None,
        refusal: None,
        actor: request.by.actor.clone(),
        reason: request.reason.as_ref().map(|reason| bounded(reason, MESSAGE_LIMIT)),
        definition: definition.clone(),
        retry_of: request.retry_of,
    };
    let mut refused = in_the_way(tx, host)?;
    if refused.is_none() && !try_insert(tx, &pending)? {
        // The index knows better than the look before: whoever came first is in the way.
        refused = in_the_way(tx, host)?.or_else(|| Some((Refusal::Busy, "busy with another command".to_owned())));
    }
    if let Some((refusal, why)) = &refused {
        let blocked = Insert {
            status: CommandStatus::Blocked,
            finished_at: Some(tx.now),
            settled_at: Some(tx.now),
            error: Some(bounded(why, MESSAGE_LIMIT)),
            refusal: Some(*refusal),
            ..pending.clone()
        };
        diesel::insert_into(commands::table).values(&blocked).execute(tx.conn)?;
    }
    tx.touch(Topic::Commands);
    let row = tx
        .journal()
        .command(pending.id)?
        .ok_or_else(|| WriteError::Database("a row that was just written is not there".to_owned()))?;
    announce(tx, request, &row)?;
    Ok(row)
}

/// False where the one-open-command index (or any other constraint) refuses the row.
fn try_insert(tx: &mut Tx<'_>, row: &Insert) -> Result<bool, Fault> {
    match diesel::insert_into(commands::table).values(row).execute(tx.conn) {
        Ok(_) => Ok(true),
        Err(error) if is_constraint(&error) && tx.journal().open_command_of(row.host_id)?.is_some() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn in_the_way(tx: &mut Tx<'_>, host: &HostRow) -> Result<Option<(Refusal, String)>, Fault> {
    if let Some(removed) = host.removed_at {
        let why = format!("the host was removed from the fleet, {}", clock(removed));
        return Ok(Some((Refusal::Removed, why)));
    }
    if let Some(open) = tx.journal().open_command_of(host.id)? {
        return Ok(Some((Refusal::Busy, open.to_string())));
    }
    let reserved = tx.journal().reservation_of(host.id, None)?;
    Ok(reserved.map(|way| (Refusal::Reserved, way.to_string())))
}

fn announce(tx: &mut Tx<'_>, request: &Request, row: &CommandRow) -> Result<(), Fault> {
    let who = request.by.actor.name();
    let (level, message) = match (&row.error, request.retry_of) {
        (Some(why), _) => (
            Level::Warn,
            format!("{who} was refused {} on {}: {why}", row.op, row.host),
        ),
        (None, Some(_)) => (
            Level::Info,
            format!("{who} asked for {} on {}, again", row.op, row.host),
        ),
        (None, None) => (Level::Info, format!("{who} asked for {} on {}", row.op, row.host)),
    };
    let about = command_event(row, level, message);
    tx.event(NewEvent {
        details: Some(serde_json::json!({
            "reason": row.reason,
            "refusal": row.refusal,
            "retry_of": row.retry_of,
        })),
        host_id: about.host_id,
        command_id: about.command_id,
        pipeline_id: about.pipeline_id,
        ..NewEvent::audit(&request.by, level, about.action, about.message)
    })?;
    Ok(())
}
