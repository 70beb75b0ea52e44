//! Equal refusals within a minute are one line of the history: the first, with a count. Each attempt keeps its row and
//! its event; a repeat only names the row that it repeats, so that no reader has to compare rows.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::super::error::Fault;
use super::super::schema::commands;
use super::super::tx::Tx;
use super::super::{Journal, ReadError};
use super::{COUNT_LIMIT, CommandRow};
use crate::domain::{Actor, CommandId, OpId, Refusal, Span, Timestamp};

/// How long after a refusal an equal one is its repeat.
const A_MINUTE: Span = Span::from_secs(60);
/// Different refusals of one op, host and actor that are looked through for an equal one.
const LOOKED_AT: i64 = 10;

/// A refusal, as far as it must be the same to be a repeat.
pub(super) struct Refused<'a> {
    pub(super) host_id: i64,
    pub(super) op: &'a OpId,
    pub(super) actor: &'a Actor,
    pub(super) refusal: Refusal,
    pub(super) why: &'a str,
    pub(super) asked_at: Timestamp,
}

/// The refusal, less than a minute before, that this one repeats. Not asked of pipelines: they are one line anyway.
pub(super) fn repeated(tx: &mut Tx<'_>, refused: &Refused<'_>) -> Result<Option<CommandId>, Fault> {
    type Light = (CommandId, Timestamp, Option<Refusal>, Option<String>);
    let before: Vec<Light> = commands::table
        .filter(commands::host_id.eq(refused.host_id))
        .filter(commands::op.eq(refused.op))
        .filter(commands::actor.eq(refused.actor))
        .filter(sql::<Bool>(HEADS))
        .order(commands::id.desc())
        .limit(LOOKED_AT)
        .select((commands::id, commands::created_at, commands::refusal, commands::error))
        .load(&mut tx.journal.conn)?;
    let equal = |(_, at, refusal, why): &&Light| {
        *refusal == Some(refused.refusal)
            && why.as_deref() == Some(refused.why)
            && *at <= refused.asked_at
            && refused.asked_at.since(*at) < A_MINUTE
    };
    Ok(before.iter().find(equal).map(|(id, ..)| *id))
}

/// The condition of the index `commands_refused`, word for word.
const HEADS: &str = "commands.status = 'BLOCKED' AND commands.pipeline_id IS NULL AND commands.repeat_of IS NULL";

impl Journal {
    /// How often each of these refusals was repeated within its minute, where it was; above 1,000 it says 1,001.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(in crate::store) fn repeats(
        &mut self,
        rows: impl IntoIterator<Item = CommandId>,
    ) -> Result<HashMap<CommandId, i64>, ReadError> {
        let mut counts = HashMap::new();
        for id in rows {
            let some: Vec<i32> = commands::table
                .filter(commands::repeat_of.eq(id))
                .limit(COUNT_LIMIT + 1)
                .select(sql::<diesel::sql_types::Integer>("1"))
                .load(&mut self.conn)?;
            if !some.is_empty() {
                counts.insert(id, i64::try_from(some.len()).unwrap_or(COUNT_LIMIT));
            }
        }
        Ok(counts)
    }
}

impl CommandRow {
    /// Whether it was refused: only then it may have repeats.
    #[must_use]
    pub(in crate::store) fn is_refused(&self) -> bool {
        self.status == crate::domain::CommandStatus::Blocked
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::plan_of;

    #[test]
    fn a_refusal_costs_one_step_in_an_index() {
        let plan = plan_of(&format!(
            "SELECT id FROM commands WHERE host_id = ? AND op = ? AND actor = ? AND {} ORDER BY id DESC LIMIT 10",
            super::HEADS
        ));
        assert!(
            plan.contains("commands_refused (host_id=? AND op=? AND actor=?)") && !plan.contains("TEMP"),
            "{plan}"
        );
        let plan = plan_of("SELECT 1 FROM commands WHERE repeat_of = ? LIMIT 1001");
        assert!(plan.contains("COVERING INDEX commands_repeats"), "{plan}");
    }
}
