//! How a command moves on: by compare-and-set on its old status and `finished_at IS NULL`, with its event and
//! the version in the same transaction. That nothing matched is an answer (`None`), not an error.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;

use super::super::error::Fault;
use super::super::schema::commands;
use super::super::tx::Tx;
use super::super::{NewEvent, Topic, WriteError};
use super::{CommandRow, Digest, StopReason};
use crate::domain::{Actor, CommandId, CommandStatus, Evidence, Level, MESSAGE_LIMIT, Refusal, Timestamp, bounded};

/// What changes in a row; `None` leaves a column as it is, `Some(None)` empties it.
#[derive(AsChangeset, Clone, Default)]
#[diesel(table_name = commands)]
pub(in crate::store) struct Change {
    pub(in crate::store) status: Option<CommandStatus>,
    pub(in crate::store) started_at: Option<Timestamp>,
    pub(in crate::store) launched_at: Option<Option<Timestamp>>,
    pub(in crate::store) finished_at: Option<Timestamp>,
    pub(in crate::store) settled_at: Option<Timestamp>,
    pub(in crate::store) exit_code: Option<Option<i64>>,
    pub(in crate::store) error: Option<Option<String>>,
    pub(in crate::store) refusal: Option<Refusal>,
    pub(in crate::store) output_file: Option<String>,
    pub(in crate::store) output_bytes: Option<i64>,
    pub(in crate::store) output_sha256: Option<Digest>,
    pub(in crate::store) output_cut: Option<bool>,
    pub(in crate::store) evidence: Option<Evidence>,
    pub(in crate::store) deadline: Option<Option<Timestamp>>,
    pub(in crate::store) stop_reason: Option<StopReason>,
    pub(in crate::store) stop_by: Option<Actor>,
    pub(in crate::store) stop_at: Option<Timestamp>,
    pub(in crate::store) stop_note: Option<String>,
    pub(in crate::store) boot_id: Option<String>,
    pub(in crate::store) machine_id: Option<String>,
    pub(in crate::store) spool: Option<String>,
    pub(in crate::store) launches: Option<i64>,
    pub(in crate::store) warned_at: Option<Timestamp>,
    pub(in crate::store) overdue_at: Option<Option<Timestamp>>,
    pub(in crate::store) resolved_by: Option<Actor>,
    pub(in crate::store) repeat_of: Option<CommandId>,
}

impl Change {
    /// The change that ends `row` now, without a word from its host.
    pub(in crate::store) fn end(
        row: &CommandRow,
        status: CommandStatus,
        error: Option<String>,
        now: Timestamp,
    ) -> Self {
        let finished = now.max(row.started_at.unwrap_or(row.created_at)).max(row.created_at);
        Self {
            status: Some(status),
            finished_at: Some(finished),
            settled_at: Some(now.max(finished)),
            error: Some(error.map(|text| bounded(&text, MESSAGE_LIMIT))),
            ..Self::default()
        }
    }

    /// `row` as it is once this change is written: what a look at the journal would find, without the look.
    fn applied_to(&self, row: &CommandRow) -> CommandRow {
        let mut row = row.clone();
        macro_rules! put {
            ($($column:ident),+ as $wrap:expr) => {
                $(if let Some(value) = &self.$column {
                    row.$column = $wrap(value.clone());
                })+
            };
        }
        put!(status, output_cut, launches as std::convert::identity);
        put!(
            launched_at,
            exit_code,
            error,
            deadline,
            overdue_at as std::convert::identity
        );
        put!(
            started_at,
            finished_at,
            settled_at,
            refusal,
            output_file,
            output_bytes,
            output_sha256,
            evidence as Some
        );
        put!(
            stop_reason,
            stop_by,
            stop_at,
            stop_note,
            boot_id,
            machine_id,
            spool,
            warned_at,
            resolved_by,
            repeat_of as Some
        );
        row
    }
}

/// The UPDATE of one command by compare-and-set. Diesel prepares its own anew each time, because a changeset may
/// have any columns; ours have a handful of shapes, so each is prepared once (that is most of what a change costs).
struct Update<C> {
    set: C,
    id: CommandId,
    from: CommandStatus,
}

impl<C: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Update<C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE commands SET ");
        self.set.walk_ast(out.reborrow())?;
        out.push_sql(" WHERE id = ");
        out.push_bind_param::<Text, _>(&self.id)?;
        out.push_sql(" AND status = ");
        out.push_bind_param::<Text, _>(&self.from)?;
        out.push_sql(" AND finished_at IS NULL");
        Ok(())
    }
}

/// By its text: it has no type of its own for each set of columns.
impl<C> QueryId for Update<C> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C> RunQueryDsl<SqliteConnection> for Update<C> {}

/// The command as it is now, if it is open and stands where one of `from` says.
pub(in crate::store) fn load(
    tx: &mut Tx<'_>,
    id: CommandId,
    from: &[CommandStatus],
) -> Result<Option<CommandRow>, Fault> {
    let row = tx.journal.command(id)?;
    Ok(row.filter(|row| row.is_open() && from.contains(&row.status)))
}

/// Writes a change of a row that [`load`] found, where it is still so. Refuses what [`CommandStatus::may_become`] refuses.
pub(in crate::store) fn change(
    tx: &mut Tx<'_>,
    row: &CommandRow,
    change: &Change,
) -> Result<Option<CommandRow>, Fault> {
    if let Some(next) = change.status
        && next != row.status
        && !row.status.may_become(next)
    {
        return Err(WriteError::Conflict(format!(
            "{} on {} stands at “{}”; it cannot become “{}”",
            row.op,
            row.host,
            row.status.name(),
            next.name()
        ))
        .into());
    }
    let stopped_with_its_pipeline;
    let change = if change.status == Some(CommandStatus::Cancelled) && goes_with_its_pipeline(tx, row)? {
        stopped_with_its_pipeline = Change {
            refusal: Some(Refusal::Cancelled),
            ..change.clone()
        };
        &stopped_with_its_pipeline
    } else {
        change
    };
    let update = Update {
        set: change.as_changeset(),
        id: row.id,
        from: row.status,
    };
    let changed = update.execute(&mut tx.journal.conn)?;
    if changed == 0 {
        return Ok(None);
    }
    tx.touch(Topic::Commands);
    if row.pipeline_id.is_some() {
        tx.touch(Topic::Pipelines);
    }
    Ok(Some(change.applied_to(row)))
}

/// Whether a command was stopped because its pipeline was cancelled, and not for itself: then its host did not fail.
fn goes_with_its_pipeline(tx: &mut Tx<'_>, row: &CommandRow) -> Result<bool, Fault> {
    let Some(id) = row.pipeline_id else {
        return Ok(false);
    };
    let cancelled = tx.journal.pipeline(id)?.and_then(|pipeline| pipeline.cancel_at);
    Ok(cancelled.is_some_and(|at| row.stop_at.is_some_and(|stop| stop >= at)))
}

/// An event about a command, by the dashboard; fill in the rest with struct update. Of one that is final it seals the row.
pub(in crate::store) fn command_event(row: &CommandRow, level: Level, message: impl Into<String>) -> NewEvent {
    NewEvent {
        host_id: Some(row.host_id),
        command_id: Some(row.id),
        pipeline_id: row.pipeline_id,
        seals: !row.is_open(),
        ..NewEvent::system(level, format!("op:{}", row.op), message)
    }
}
