//! What people ask of commands: start, cancel, retry, extend, find out, resolve. Each journals the
//! wish first; the command's driver acts on it.

use crate::domain::{Ask, CommandId, CommandStatus, HostName, Op, Span, StopReason, Timestamp};
use crate::store::{Acknowledged, By, CommandRow, Request};

use super::preview::MOST_HOSTS;
use super::{Engine, EngineError};

/// A wish to run one op on some hosts.
#[derive(Clone, Debug)]
pub struct Start {
    /// The op's id in the catalog.
    pub op: String,
    /// Names of hosts; each counts once.
    pub hosts: Vec<String>,
    /// Why, for the journal.
    pub reason: Option<String>,
}

impl Engine {
    /// Journals an op and starts it. On one host it is a plain command; where the host is busy, reserved or removed it
    /// gets its row too, as BLOCKED. On several hosts it is a pipeline of one stage, named after the op: then the
    /// answer has the rows that were journaled at once, and each names the pipeline.
    ///
    /// # Errors
    /// Unknown op or host, no hosts, a removed host among several, no room for the journal: nothing is written or
    /// started.
    pub async fn start(&self, start: Start, by: By) -> Result<Vec<CommandRow>, EngineError> {
        let op = self.op(&start.op)?.clone();
        let mut hosts: Vec<HostName> = Vec::with_capacity(start.hosts.len());
        for name in &start.hosts {
            let name: HostName = name
                .parse()
                .map_err(|_| EngineError::UnknownHost(crate::domain::bounded(name, 80)))?;
            if !hosts.contains(&name) {
                hosts.push(name);
            }
        }
        if hosts.is_empty() {
            return Err(crate::domain::Invalid::new("hosts", "name at least one host").into());
        }
        if hosts.len() > MOST_HOSTS {
            return Err(
                crate::domain::Invalid::new("hosts", format!("at most {MOST_HOSTS} hosts in one request")).into(),
            );
        }
        if hosts.len() > 1 {
            return self.start_on_many(&op, hosts, start.reason, by).await;
        }
        self.request(&op, hosts, start.reason, None, by).await
    }

    /// Refuses what is new while the dashboard stops, or the journal has no room.
    pub(super) fn takes_new(&self) -> Result<(), EngineError> {
        if self.0.stopping.is_cancelled() {
            return Err(EngineError::Unavailable(
                "the dashboard is stopping; try again when it is back".to_owned(),
            ));
        }
        Ok(self.0.store.room_for_new()?)
    }

    async fn request(
        &self,
        op: &Op,
        hosts: Vec<HostName>,
        reason: Option<String>,
        retry_of: Option<CommandId>,
        by: By,
    ) -> Result<Vec<CommandRow>, EngineError> {
        self.takes_new()?;
        let ask = if op.dangerous { Ask::RunDangerous } else { Ask::Run };
        for host in &hosts {
            self.allow_on_host(&by, ask, host).await?;
        }
        if op.dangerous {
            self.proved_lately(&by)?;
        }
        let rows = self
            .0
            .store
            .request(Request {
                op: op.id.clone(),
                definition: op.definition(),
                hosts,
                by,
                reason: clean(reason),
                retry_of,
            })
            .await?;
        for row in rows.iter().filter(|row| row.finished_at.is_none()) {
            self.drive(row.id);
        }
        Ok(rows)
    }

    /// Journals the wish to stop a command; its driver stops the job and verifies it.
    ///
    /// # Errors
    /// When there is no such command, or it is final.
    pub async fn cancel(&self, id: CommandId, reason: Option<String>, by: By) -> Result<CommandRow, EngineError> {
        let before = self.row(id).await?;
        self.may_steer(&by, &before).await?;
        let Some(row) = self
            .0
            .store
            .wish_stop(id, StopReason::Cancel, by, clean(reason))
            .await?
        else {
            return Err(final_already(&before, "there is nothing to stop"));
        };
        self.drive(id); // What waits in a held pipeline has no driver yet.
        self.nudge(id);
        Ok(row)
    }

    /// Asks for the op once more on the same host, with today's definition, linked to the first try.
    ///
    /// # Errors
    /// When the command is open or succeeded, or its op is not retryable or gone from the catalog.
    pub async fn retry(&self, id: CommandId, reason: Option<String>, by: By) -> Result<CommandRow, EngineError> {
        let first = self.row(id).await?;
        self.allow_on_hosts(&by, Ask::Run, vec![first.host_id]).await?;
        if first.finished_at.is_none() {
            return Err(EngineError::Conflict(format!(
                "{} on {} is still open; wait for its end or stop it",
                first.op, first.host
            )));
        }
        if first.status == CommandStatus::Success {
            return Err(EngineError::Conflict(format!(
                "{} on {} succeeded; start it anew instead",
                first.op, first.host
            )));
        }
        let op = self.op(first.op.as_str())?.clone();
        if !op.retryable {
            return Err(EngineError::Conflict(format!(
                "{} is not marked retryable in the catalog: doing it twice may hurt; start it anew if you are sure",
                op.id
            )));
        }
        let host: HostName = first.host.parse()?;
        let rows = self.request(&op, vec![host], reason, Some(id), by).await?;
        rows.into_iter()
            .next()
            .ok_or_else(|| EngineError::Internal("a retry made no row".to_owned()))
    }

    /// Gives a running command more time, on top of what it has left.
    ///
    /// # Errors
    /// When it is not running, or the time is none.
    pub async fn extend(&self, id: CommandId, span: Span, by: By) -> Result<CommandRow, EngineError> {
        let before = self.row(id).await?;
        self.may_steer(&by, &before).await?;
        if span == Span::ZERO {
            return Err(crate::domain::Invalid::new("for", "must be longer than 0s, for example 30m").into());
        }
        // Never less than it had; an overdue op is given the time from now on.
        let deadline = before
            .deadline
            .map_or_else(Timestamp::now, |old| old.max(Timestamp::now()))
            .plus(span);
        let extended = match before.launched_at {
            Some(_) => self.0.store.extend(id, deadline, by).await?,
            None => None,
        };
        let Some(row) = extended else {
            return Err(EngineError::Conflict(format!(
                "{} on {} is not running, so it cannot be given more time",
                before.op, before.host
            )));
        };
        self.nudge(id);
        Ok(row)
    }

    /// Asks the host of an open command once more, now, even where its log-in was refused before.
    ///
    /// # Errors
    /// When the command is final.
    pub async fn find_out(&self, id: CommandId, by: By) -> Result<CommandRow, EngineError> {
        let row = self.row(id).await?;
        self.may_steer(&by, &row).await?;
        if row.finished_at.is_some() {
            return Err(final_already(&row, "there is nothing to find out"));
        }
        let host = self.host_of(&row).await?;
        self.0.executor.forgive(&host);
        self.0.store.asked_to_find_out(id, by).await?;
        self.drive(id);
        self.nudge(id);
        Ok(row)
    }

    /// Ends an open ORPHANED command as ORPHANED, by somebody's word. The host is asked once more
    /// first: where it knows of the job, its evidence counts and not the word. An EXECUTING command whose host does not
    /// answer then becomes ORPHANED on the way.
    ///
    /// # Errors
    /// When the command is neither, there is no reason, or the host answered.
    pub async fn resolve(&self, id: CommandId, reason: String, by: By) -> Result<CommandRow, EngineError> {
        let row = self.row(id).await?;
        self.may_steer(&by, &row).await?;
        let Some(reason) = clean(Some(reason)) else {
            return Err(crate::domain::Invalid::new("reason", "say why it is resolved by hand").into());
        };
        let resolvable = matches!(row.status, CommandStatus::Orphaned | CommandStatus::Executing);
        if !resolvable || row.finished_at.is_some() {
            return Err(final_already(
                &row,
                "only what was started, and whose host does not answer, can be resolved by hand",
            ));
        }
        let found = self.last_word(&row).await?;
        if row.status == CommandStatus::Executing {
            let why = format!("its host is silent: {found}");
            self.0.store.orphan(id, by.clone(), why).await?;
        }
        let Some(row) = self.0.store.resolve(id, by, reason, found).await? else {
            let row = self.row(id).await?;
            return Err(final_already(&row, "its host has answered meanwhile"));
        };
        self.nudge(id);
        Ok(row)
    }

    /// Somebody has looked at how these commands ended, and notes it: they need no attention from now on. What needs
    /// none (any more) is left as it is, and is said.
    ///
    /// # Errors
    /// When there is no such command, no note, or none of them needs it.
    pub async fn acknowledge(&self, ids: Vec<CommandId>, note: String, by: By) -> Result<Acknowledged, EngineError> {
        let mut rows = Vec::with_capacity(ids.len());
        for id in &ids {
            rows.push(self.row(*id).await?);
        }
        let hosts = rows.iter().map(|row| row.host_id).collect();
        self.allow_on_hosts(&by, Ask::Steer, hosts).await?;
        let Some(note) = clean(Some(note)) else {
            return Err(crate::domain::Invalid::new("note", "is missing; say what you found").into());
        };
        if ids.is_empty() {
            return Err(crate::domain::Invalid::new("id", "none was chosen; tick one or more in the list").into());
        }
        if ids.len() > MOST_ACKNOWLEDGED {
            let problem = format!("are more than {MOST_ACKNOWLEDGED} at once");
            return Err(crate::domain::Invalid::new("id", problem).into());
        }
        let came = self.0.store.acknowledge_ends(ids, note, by).await?;
        match came.not.first() {
            Some(first) if came.done.is_empty() => Err(EngineError::Conflict(not_acknowledged(first))),
            _ => Ok(came),
        }
    }

    async fn may_steer(&self, by: &By, row: &CommandRow) -> Result<(), EngineError> {
        self.allow_on_hosts(by, Ask::Steer, vec![row.host_id]).await
    }

    pub(super) fn op(&self, id: &str) -> Result<&Op, EngineError> {
        self.0.catalog.get(id).ok_or_else(|| {
            let asked = crate::domain::bounded(id, 80);
            let known = self.0.catalog.iter().map(|op| op.id.as_str());
            let nearest = crate::domain::nearest(&asked, known).map(str::to_owned);
            EngineError::UnknownOp { op: asked, nearest }
        })
    }

    pub(super) async fn row(&self, id: CommandId) -> Result<CommandRow, EngineError> {
        self.reader()
            .read(move |journal| journal.command(id))
            .await?
            .ok_or(EngineError::UnknownCommand(id))
    }
}

/// An empty reason is none.
pub(super) fn clean(reason: Option<String>) -> Option<String> {
    reason
        .map(|text| crate::domain::bounded(text.trim(), 500))
        .filter(|text| !text.is_empty())
}

/// The most commands that are acknowledged at once.
const MOST_ACKNOWLEDGED: usize = 1_000;

/// Why a command was not acknowledged now.
#[must_use]
pub fn not_acknowledged(row: &CommandRow) -> String {
    let what = format!("{} on {}", row.op, row.host);
    match (&row.acknowledged_by, row.acknowledged_at, row.finished_at) {
        (Some(by), Some(at), _) => {
            let note = row.acknowledged_note.as_deref().unwrap_or_default();
            format!("{} has acknowledged {what} already, {}: {note}", by.name(), second(at))
        }
        (_, _, None) => format!("{what} has not ended yet; there is nothing to acknowledge"),
        _ => format!(
            "{what} ended “{}”, which needs no attention; there is nothing to acknowledge",
            row.status.name()
        ),
    }
}

/// `2026-11-23 14:02:11 UTC`.
fn second(at: Timestamp) -> String {
    at.to_string().chars().take(19).chain(" UTC".chars()).collect()
}

/// The state of a command does not allow it: how it stands, in the words of the pages, and what follows.
fn final_already(row: &CommandRow, so: &str) -> EngineError {
    let what = format!("{} on {}", row.op, row.host);
    let stands = row.status.name();
    EngineError::Conflict(match row.finished_at {
        Some(at) => format!("{what} has ended: {stands}, {}; {so}", second(at)),
        None => format!("{what} stands at “{stands}”; {so}"),
    })
}
