//! `commands`: each journaled execution of one op on one host. This file has the row and its look-ups;
//! `request` makes rows (`repeat`: refusals that repeat one), `begin`, `stop` and `finish` move them on by way of
//! `change`, `acknowledge` is what people say of an end, `late` what a host says after one, `history` pages through them.

mod acknowledge;
mod begin;
mod change;
mod finish;
mod history;
mod late;
mod repeat;
mod request;
mod stop;

use std::collections::HashSet;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

pub use acknowledge::Acknowledged;
pub use finish::{Finish, OutputFacts};
pub use history::{Counts, HistoryFilter, HistoryLine};
pub use request::Request;

pub(super) use acknowledge::attention;
pub(super) use change::{Change, change, command_event};
pub(super) use request::{Ask, in_the_way, insert, write_off};
pub(super) use stop::stop;

use super::schema::{commands, hosts};
use super::{Journal, Keyed, ReadError};
use crate::domain::{
    Actor, CommandId, CommandStatus, Digest, Evidence, IdPart, OpId, PipelineId, Refusal, StopReason, Timestamp,
};

/// A command as it stands in the journal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = commands, check_for_backend(diesel::sqlite::Sqlite))]
pub struct CommandRow {
    /// Its id; sorts by age.
    pub id: CommandId,
    /// Its host's number.
    pub host_id: i64,
    /// Its host's name.
    #[diesel(
        select_expression = hosts::hostname.assume_not_null(),
        select_expression_type = diesel::dsl::AssumeNotNull<hosts::hostname>
    )]
    pub host: String,
    /// The op.
    pub op: OpId,
    /// The pipeline that it is part of.
    pub pipeline_id: Option<PipelineId>,
    /// Which stage of it, from 0.
    pub stage: Option<i64>,
    /// Where it stands.
    pub status: CommandStatus,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When EXECUTING was committed.
    pub started_at: Option<Timestamp>,
    /// When the host acknowledged the start.
    pub launched_at: Option<Timestamp>,
    /// When it ended: by the duration that the host measured, where there is one. None while it is open.
    pub finished_at: Option<Timestamp>,
    /// When that was learned.
    pub settled_at: Option<Timestamp>,
    /// The exit code, where the host reported one.
    pub exit_code: Option<i64>,
    /// What went wrong, or why nothing was done, for a reader.
    pub error: Option<String>,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
    /// Its output, as a path in the data folder.
    pub output_file: Option<String>,
    /// The size of its output, once that is whole.
    pub output_bytes: Option<i64>,
    /// The SHA-256 of its output, once that is whole.
    pub output_sha256: Option<Digest>,
    /// Whether output was cut at the limit.
    pub output_cut: bool,
    /// Who asked for it.
    pub actor: Actor,
    /// Why, in their words.
    pub reason: Option<String>,
    /// What the host said last.
    pub evidence: Option<Evidence>,
    /// The definition that it was asked for with.
    pub definition: Digest,
    /// The command that it tries again.
    pub retry_of: Option<CommandId>,
    /// When its time is up.
    pub deadline: Option<Timestamp>,
    /// A wish to stop it: why.
    pub stop_reason: Option<StopReason>,
    /// A wish to stop it: whose.
    pub stop_by: Option<Actor>,
    /// A wish to stop it: when.
    pub stop_at: Option<Timestamp>,
    /// A wish to stop it: their words.
    pub stop_note: Option<String>,
    /// Which boot of the host it was started in.
    pub boot_id: Option<String>,
    /// Which machine it was started on.
    pub machine_id: Option<String>,
    /// Its folder on the host.
    pub spool: Option<String>,
    /// How often it was launched: 1, and one more after each proof that the one before never starts.
    pub launches: i64,
    /// When "takes longer than usual" was announced.
    pub warned_at: Option<Timestamp>,
    /// When "overdue" was announced.
    pub overdue_at: Option<Timestamp>,
    /// Who ended it by hand.
    pub resolved_by: Option<Actor>,
    /// What its host said after it had been resolved by hand, as part of a sentence: `exit 0`.
    pub late_word: Option<String>,
    /// When the host said so.
    pub late_at: Option<Timestamp>,
    /// Who has acknowledged its end.
    pub acknowledged_by: Option<Actor>,
    /// When that was.
    pub acknowledged_at: Option<Timestamp>,
    /// What they noted.
    pub acknowledged_note: Option<String>,
    /// The equal refusal, less than a minute before, that this one repeats.
    pub repeat_of: Option<CommandId>,
    /// Who wants it kept: no sweep takes it then.
    pub kept_by: Option<Actor>,
    /// When they said so.
    pub kept_at: Option<Timestamp>,
    /// Why, in their words.
    pub kept_reason: Option<String>,
}

impl CommandRow {
    /// Whether its outcome is still to come.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.finished_at.is_none()
    }

    /// Whether somebody should look at how it ended: ERROR, TIMEOUT or a final ORPHANED that nobody has acknowledged.
    /// A later success of the same op does not take that away; only a person does. [`attention`] is the same in SQL.
    #[must_use]
    pub const fn needs_attention(&self) -> bool {
        self.finished_at.is_some() && self.acknowledged_at.is_none() && self.status.needs_attention()
    }
}

impl Keyed for CommandRow {
    type Id = CommandId;

    fn key(&self) -> CommandId {
        self.id
    }
}

/// The most that a count counts up to: beyond it a page says "1,000+".
const COUNT_LIMIT: i64 = 1_000;

/// Commands with their host's name. A LEFT JOIN, though every command has a host: so SQLite walks commands first.
#[diesel::dsl::auto_type]
pub(super) fn rows() -> _ {
    let select: diesel::dsl::AsSelect<CommandRow, diesel::sqlite::Sqlite> = CommandRow::as_select();
    commands::table.left_join(hosts::table).select(select)
}

impl Journal {
    /// The command of this id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn command(&mut self, id: CommandId) -> Result<Option<CommandRow>, ReadError> {
        Ok(rows()
            .filter(commands::id.eq(id))
            .get_result(&mut self.conn)
            .optional()?)
    }

    /// Every open command, oldest first: one per host at most.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open_commands(&mut self) -> Result<Vec<CommandRow>, ReadError> {
        Ok(rows()
            .filter(commands::finished_at.is_null())
            .order(commands::id.asc())
            .load(&mut self.conn)?)
    }

    /// The open commands whose outcome is being found out, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn orphaned_commands(&mut self) -> Result<Vec<CommandRow>, ReadError> {
        let mut open = self.open_commands()?;
        open.retain(|command| command.status == CommandStatus::Orphaned);
        Ok(open)
    }

    /// The newest commands that were resolved by hand and whose hosts have said nothing since, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn resolved_unanswered(&mut self, limit: i64) -> Result<Vec<CommandRow>, ReadError> {
        Ok(rows()
            .filter(commands::resolved_by.is_not_null())
            .filter(commands::late_at.is_null())
            .order(commands::id.desc())
            .limit(limit)
            .load(&mut self.conn)?)
    }

    /// The commands that try this one again, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn retries_of(&mut self, id: CommandId) -> Result<Vec<CommandRow>, ReadError> {
        Ok(rows()
            .filter(commands::retry_of.eq(id))
            .order(commands::id.asc())
            .load(&mut self.conn)?)
    }

    /// The commands that a part of an id may mean, newest first: a whole id by itself, else those among the newest
    /// 10,000 whose id begins or ends so; at most ten.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn commands_like(&mut self, part: &IdPart) -> Result<Vec<CommandId>, ReadError> {
        if let Ok(id) = part.as_str().parse::<CommandId>() {
            return Ok(vec![id]);
        }
        let newest: Vec<CommandId> = commands::table
            .select(commands::id)
            .order(commands::id.desc())
            .limit(10_000)
            .load(&mut self.conn)?;
        let fits = newest.into_iter().filter(|id| part.fits(&id.to_string()));
        Ok(fits.take(10).collect())
    }

    /// The newest SUCCESS of an op on a host.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn last_success(&mut self, host_id: i64, op: &OpId) -> Result<Option<CommandRow>, ReadError> {
        Ok(rows()
            .filter(commands::host_id.eq(host_id))
            .filter(commands::op.eq(op))
            .filter(commands::status.eq(CommandStatus::Success))
            .order(commands::id.desc())
            .first(&mut self.conn)
            .optional()?)
    }

    /// Whether an op was ever started on a host, as far as the journal goes back.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn was_started(&mut self, host_id: i64, op: &OpId) -> Result<bool, ReadError> {
        let one: Option<CommandId> = commands::table
            .filter(commands::host_id.eq(host_id))
            .filter(commands::op.eq(op))
            .filter(commands::started_at.is_not_null())
            .select(commands::id)
            .order(commands::id.desc())
            .first(&mut self.conn)
            .optional()?;
        Ok(one.is_some())
    }

    /// The commands of these ids, in no order.
    pub(super) fn commands_by_id(&mut self, ids: &[CommandId]) -> Result<Vec<CommandRow>, ReadError> {
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(500) {
            let rows: Vec<CommandRow> = rows().filter(commands::id.eq_any(some)).load(&mut self.conn)?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Those of these ids that no command has.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn without_row(&mut self, ids: &[CommandId]) -> Result<Vec<CommandId>, ReadError> {
        let there: Vec<CommandId> = commands::table
            .filter(commands::id.eq_any(ids))
            .select(commands::id)
            .load(&mut self.conn)?;
        let there: HashSet<CommandId> = there.into_iter().collect();
        Ok(ids.iter().copied().filter(|id| !there.contains(id)).collect())
    }
}
