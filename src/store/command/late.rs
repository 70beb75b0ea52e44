//! What a host says of a command that has ended already. The outcome stays; of one that was resolved by hand the word is
//! kept on the row, because whoever reads the result should read both.

use diesel::prelude::*;
use serde_json::Value;

use super::super::schema::commands;
use super::super::{NewEvent, Store, Topic, WriteError};
use super::{CommandRow, command_event};
use crate::domain::{CommandId, Level, MESSAGE_LIMIT, bounded};

impl Store {
    /// Journals what a host said of a command after its end: `word` as part of a sentence, `message` as one. Where it had
    /// been resolved by hand, the row keeps the first such word; a later one changes nothing and is no event.
    ///
    /// # Errors
    /// [`WriteError`]; `None` where there is no such command, or its host had its word before.
    pub async fn note_late(
        &self,
        id: CommandId,
        word: String,
        message: String,
        details: Value,
    ) -> Result<Option<CommandRow>, WriteError> {
        self.write(move |tx| {
            let Some(mut row) = tx.journal.command(id)? else {
                return Ok(None);
            };
            if row.resolved_by.is_some() && !row.is_open() {
                if row.late_at.is_some() {
                    return Ok(None);
                }
                let word = bounded(&word, MESSAGE_LIMIT);
                let at = tx.now.max(row.settled_at.or(row.finished_at).unwrap_or(tx.now));
                diesel::update(commands::table)
                    .filter(commands::id.eq(id))
                    .set((commands::late_word.eq(&word), commands::late_at.eq(at)))
                    .execute(&mut tx.journal.conn)?;
                tx.touch(Topic::Commands);
                (row.late_word, row.late_at) = (Some(word), Some(at));
            }
            tx.event(NewEvent {
                details: Some(details.clone()),
                ..command_event(&row, Level::Warn, message.clone())
            })?;
            Ok(Some(row))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::plan_of;

    #[test]
    fn those_without_an_answer_and_those_that_were_started_are_found_by_an_index() {
        let plan = plan_of(
            "SELECT id FROM commands WHERE (resolved_by IS NOT NULL) AND (late_at IS NULL) ORDER BY id DESC LIMIT 200",
        );
        assert!(plan.contains("commands_unanswered") && !plan.contains("TEMP"), "{plan}");
        let plan = plan_of(
            "SELECT id FROM commands WHERE host_id = 1 AND op = 'x' AND started_at IS NOT NULL ORDER BY id DESC LIMIT 1",
        );
        assert!(
            plan.contains("(host_id=? AND op=?)") && !plan.contains("TEMP"),
            "{plan}"
        );
    }
}
