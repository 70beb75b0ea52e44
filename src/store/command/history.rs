//! Pages of commands: an index for every filter, cut by id, no count and no offset.

use diesel::prelude::*;

use super::super::page::{Cut, merge, page};
use super::super::schema::commands;
use super::super::{Cursor, Journal, Page, ReadError};
use super::{CommandRow, rows};
use crate::domain::{CommandId, CommandStatus, PipelineId, Timestamp};

/// Which commands are asked for; what is not given is not asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HistoryFilter {
    /// On the host of this id.
    pub host: Option<i64>,
    /// Of this op.
    pub op: Option<String>,
    /// Of one of these statuses; empty is any.
    pub status: Vec<CommandStatus>,
    /// Without an outcome yet.
    pub open_only: bool,
    /// Whose status needs attention.
    pub attention_only: bool,
    /// Of this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Asked for by this actor, as it is written: `user:alice`.
    pub actor: Option<String>,
    /// Asked for at this time or later.
    pub since: Option<Timestamp>,
    /// Asked for before this time.
    pub until: Option<Timestamp>,
}

impl HistoryFilter {
    /// The statuses to ask for, one index walk each; none is any.
    fn statuses(&self) -> Option<Vec<CommandStatus>> {
        if self.status.is_empty() && !self.attention_only {
            return None;
        }
        let asked = |status: &CommandStatus| self.status.is_empty() || self.status.contains(status);
        let all = CommandStatus::ALL.iter().copied();
        Some(
            all.filter(|status| asked(status) && (!self.attention_only || status.needs_attention()))
                .collect(),
        )
    }
}

type Bounds = (Option<CommandId>, Option<CommandId>);

impl Journal {
    /// The commands that a filter asks for, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn history(
        &mut self,
        filter: &HistoryFilter,
        cursor: Option<Cursor<CommandId>>,
        limit: i64,
    ) -> Result<Page<CommandRow>, ReadError> {
        let since = filter.since.map(|time| self.first_command_since(time)).transpose()?;
        let until = filter.until.map(|time| self.last_command_before(time)).transpose()?;
        if since == Some(None) || until == Some(None) {
            return page(cursor, limit, |_, _| Ok(Vec::new()));
        }
        let bounds = (since.flatten(), until.flatten());
        // Several statuses are several walks, merged: one IN would have to sort all of their rows.
        page(cursor, limit, |cut, limit| match filter.statuses() {
            None => self.cut_commands(filter, None, bounds, cut, limit),
            Some(statuses) => {
                let parts = statuses
                    .into_iter()
                    .map(|status| self.cut_commands(filter, Some(status), bounds, cut, limit))
                    .collect::<Result<_, _>>()?;
                Ok(merge(parts, cut, limit))
            }
        })
    }

    fn cut_commands(
        &mut self,
        filter: &HistoryFilter,
        status: Option<CommandStatus>,
        (low, high): Bounds,
        cut: Cut<CommandId>,
        limit: i64,
    ) -> Result<Vec<CommandRow>, ReadError> {
        let query = history_query(filter, status, (low, high), cut);
        Ok(query.limit(limit).load(&mut self.conn)?)
    }

    /// An id that no command asked for since `time` is below (but for those of a clock that was set back by a
    /// thousand commands).
    fn first_command_since(&mut self, time: Timestamp) -> Result<Option<CommandId>, ReadError> {
        let near: Vec<CommandId> = commands::table
            .select(commands::id)
            .filter(commands::created_at.ge(time))
            .order((commands::created_at.asc(), commands::id.asc()))
            .limit(1_000)
            .load(&mut self.conn)?;
        Ok(near.into_iter().min())
    }

    /// The same for the other edge.
    fn last_command_before(&mut self, time: Timestamp) -> Result<Option<CommandId>, ReadError> {
        let near: Vec<CommandId> = commands::table
            .select(commands::id)
            .filter(commands::created_at.lt(time))
            .order((commands::created_at.desc(), commands::id.desc()))
            .limit(1_000)
            .load(&mut self.conn)?;
        Ok(near.into_iter().max())
    }
}

fn history_query<'a>(
    filter: &HistoryFilter,
    status: Option<CommandStatus>,
    (low, high): Bounds,
    cut: Cut<CommandId>,
) -> diesel::dsl::IntoBoxed<'a, rows, diesel::sqlite::Sqlite> {
    let mut query = rows().into_boxed();
    if let Some(host) = filter.host {
        query = query.filter(commands::host_id.eq(host));
    }
    if let Some(op) = &filter.op {
        query = query.filter(commands::op.eq(op.clone()));
    }
    if let Some(status) = status {
        query = query.filter(commands::status.eq(status));
    }
    if filter.open_only {
        query = query.filter(commands::finished_at.is_null());
    }
    if let Some(pipeline) = filter.pipeline {
        query = query.filter(commands::pipeline_id.eq(pipeline));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(commands::actor.eq(actor.clone()));
    }
    if let Some(since) = filter.since {
        query = query.filter(commands::created_at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(commands::created_at.lt(until));
    }
    if let Some(low) = low {
        query = query.filter(commands::id.ge(low));
    }
    if let Some(high) = high {
        query = query.filter(commands::id.le(high));
    }
    match cut {
        Cut::Newest => query.order(commands::id.desc()),
        Cut::Below(id) => query.filter(commands::id.lt(id)).order(commands::id.desc()),
        Cut::Above(id) => query.filter(commands::id.gt(id)).order(commands::id.asc()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::plan_of;
    use super::*;

    #[test]
    fn every_filter_and_pair_walks_an_index() {
        let any = HistoryFilter::default();
        let id = CommandId::after(None);
        let now = Timestamp::now();
        let host = HistoryFilter {
            host: Some(1),
            ..any.clone()
        };
        let op = HistoryFilter {
            op: Some("pull".to_owned()),
            ..any.clone()
        };
        let error = Some(CommandStatus::Error);
        let cases = [
            ("all", any.clone(), None, (None, None)),
            ("host", host.clone(), None, (None, None)),
            ("op", op.clone(), None, (None, None)),
            ("status", any.clone(), error, (None, None)),
            (
                "open",
                HistoryFilter {
                    open_only: true,
                    ..any.clone()
                },
                None,
                (None, None),
            ),
            (
                "pipeline",
                HistoryFilter {
                    pipeline: Some(PipelineId::after(None)),
                    ..any.clone()
                },
                None,
                (None, None),
            ),
            (
                "actor",
                HistoryFilter {
                    actor: Some("user:x".to_owned()),
                    ..any.clone()
                },
                None,
                (None, None),
            ),
            (
                "host, op",
                HistoryFilter {
                    host: Some(1),
                    ..op.clone()
                },
                None,
                (None, None),
            ),
            ("host, status", host, error, (None, None)),
            ("op, status", op, error, (None, None)),
            (
                "range",
                HistoryFilter {
                    since: Some(now),
                    until: Some(now),
                    ..any
                },
                None,
                (Some(id), Some(id)),
            ),
        ];
        for (what, filter, status, bounds) in cases {
            for cut in [Cut::Newest, Cut::Below(id), Cut::Above(id)] {
                let query = history_query(&filter, status, bounds, cut).limit(50);
                let plan = plan_of(&diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query).to_string());
                assert!(!plan.contains("TEMP B-TREE"), "{what} {cut:?}: {plan}");
                // "all" walks the index of ids, and "open" that of open ones: both stop after a page.
                let walks = plan.contains("SCAN commands") && !plan.contains("SCAN commands USING INDEX");
                assert!(!walks, "{what} {cut:?}: {plan}");
                if what.contains(", ") {
                    assert!(plan.contains("=? AND"), "{what} {cut:?}: {plan}");
                }
            }
        }
    }
}
