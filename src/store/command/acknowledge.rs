//! What needs attention, as one condition for every page and count, and how a person takes it away: by acknowledging
//! the end, with a note. A later success of the same op on the host takes nothing away by itself.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::super::schema::commands;
use super::super::{By, Journal, NewEvent, ReadError, Store, Topic, WriteError};
use super::{COUNT_LIMIT, CommandRow, command_event};
use crate::domain::{CommandId, Level, MESSAGE_LIMIT, bounded};

/// [`CommandRow::needs_attention`] in SQL, word for word the condition of the indexes `commands_attention…`: SQLite
/// walks one of them only where a query says just this.
pub(in crate::store) fn attention() -> SqlLiteral<Bool> {
    sql(ATTENTION)
}

const ATTENTION: &str = "commands.finished_at IS NOT NULL AND commands.acknowledged_at IS NULL \
                         AND +commands.status IN ('ERROR', 'TIMEOUT', 'ORPHANED')";

/// What came of a wish to acknowledge.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    /// Those that are acknowledged now, as they stand.
    pub done: Vec<CommandRow>,
    /// Those that did not need it (open, ended well, or acknowledged before), as they stand.
    pub not: Vec<CommandRow>,
}

impl Store {
    /// Somebody has looked at how these commands ended, and notes it: they need no attention from now on. One event
    /// each. What needs none already is left as it is; ids without a row count for nothing.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn acknowledge_ends(
        &self,
        ids: Vec<CommandId>,
        note: String,
        by: By,
    ) -> Result<Acknowledged, WriteError> {
        self.write(move |tx| {
            let mut came = Acknowledged::default();
            let note = bounded(&note, MESSAGE_LIMIT);
            for id in &ids {
                let Some(row) = tx.journal.command(*id)? else {
                    continue;
                };
                let at = tx.now.max(row.settled_at.or(row.finished_at).unwrap_or(tx.now));
                let set = diesel::update(commands::table)
                    .filter(commands::id.eq(id))
                    .filter(attention())
                    .set((
                        commands::acknowledged_by.eq(&by.actor),
                        commands::acknowledged_at.eq(at),
                        commands::acknowledged_note.eq(&note),
                    ))
                    .execute(&mut tx.journal.conn)?;
                if set == 0 {
                    came.not.push(row);
                    continue;
                }
                tx.touch(Topic::Commands);
                let row = CommandRow {
                    acknowledged_by: Some(by.actor.clone()),
                    acknowledged_at: Some(at),
                    acknowledged_note: Some(note.clone()),
                    ..row
                };
                let message = format!(
                    "{} acknowledged how {} on {} ended: {note}",
                    by.actor.name(),
                    row.op,
                    row.host
                );
                let about = command_event(&row, Level::Info, "");
                tx.event(NewEvent {
                    details: Some(serde_json::json!({ "command_id": row.id, "note": note, "status": row.status })),
                    host_id: about.host_id,
                    command_id: about.command_id,
                    pipeline_id: about.pipeline_id,
                    seals: true,
                    ..NewEvent::audit(&by, Level::Info, "acknowledge", message)
                })?;
                came.done.push(row);
            }
            Ok(came)
        })
        .await
    }
}

impl Journal {
    /// How many commands need attention; above 1,000 it says 1,001.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn attention_count(&mut self) -> Result<i64, ReadError> {
        let some: Vec<CommandId> = commands::table
            .filter(attention())
            .order(commands::id.desc())
            .limit(COUNT_LIMIT + 1)
            .select(commands::id)
            .load(&mut self.conn)?;
        Ok(i64::try_from(some.len()).unwrap_or(COUNT_LIMIT))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::plan_of;
    use super::*;
    use crate::domain::CommandStatus;

    /// The condition in SQL, in the indexes and in the domain is one.
    #[test]
    fn what_needs_attention_is_said_once() {
        let bad: Vec<String> = CommandStatus::ALL
            .iter()
            .filter(|status| status.needs_attention())
            .map(|status| format!("'{status}'"))
            .collect();
        assert!(ATTENTION.ends_with(&format!("({})", bad.join(", "))), "{ATTENTION}");
        let plan = plan_of(&format!(
            "SELECT id FROM commands WHERE {ATTENTION} ORDER BY id DESC LIMIT 10"
        ));
        assert!(plan.contains("commands_attention") && !plan.contains("TEMP"), "{plan}");
    }
}
