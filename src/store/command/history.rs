//! Pages of commands, and of the history: an index for every filter, cut by id, no count and no offset.

use diesel::prelude::*;

use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Bool, Text};

use super::super::page::{Cut, merge, page, page_of_some};
use super::super::schema::{commands, pipelines};
use super::super::{Cursor, Journal, Keyed, Page, PipelineFilter, PipelineRow, ReadError};
use super::{COUNT_LIMIT, CommandRow, attention, rows};
use crate::domain::{Actor, CommandId, CommandStatus, PipelineId, Timestamp};

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
    /// With an outcome.
    pub ended_only: bool,
    /// That need attention ([`CommandRow::needs_attention`]).
    pub attention_only: bool,
    /// Of this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Asked for by this actor, as it is written: `user:alice`; a bare name is whoever has it ([`Actor::meant`]).
    pub actor: Option<String>,
    /// Asked for at this time or later.
    pub since: Option<Timestamp>,
    /// Asked for before this time.
    pub until: Option<Timestamp>,
}

impl HistoryFilter {
    /// The statuses to ask for, one index walk each; none is any.
    fn statuses(&self) -> Option<Vec<CommandStatus>> {
        let all = CommandStatus::ALL.iter().copied();
        (!self.status.is_empty()).then(|| all.filter(|status| self.status.contains(status)).collect())
    }

    /// The actors to ask for, one index walk each; one `None` is any.
    fn actors(&self) -> Vec<Option<String>> {
        match &self.actor {
            None => vec![None],
            Some(name) => Actor::meant(name).into_iter().map(Some).collect(),
        }
    }

    /// The same filter, of one actor as it is written.
    fn of_actor(&self, actor: Option<String>) -> Self {
        Self { actor, ..self.clone() }
    }

    /// Whether it asks for something that only a single command has. Else a pipeline is one line.
    fn is_of_commands(&self) -> bool {
        let Self {
            host,
            op,
            status,
            open_only: _,
            ended_only,
            attention_only,
            pipeline,
            actor: _,
            since: _,
            until: _,
        } = self;
        host.is_some() || op.is_some() || !status.is_empty() || *ended_only || *attention_only || pipeline.is_some()
    }
}

/// One line of the history.
#[derive(Clone, PartialEq, Debug)]
pub enum HistoryLine {
    /// A command; where it was refused, how often that was repeated within its minute (above 1,000 it says 1,001).
    Command(Box<CommandRow>, i64),
    /// A pipeline, for all of its commands.
    Pipeline(Box<PipelineRow>),
}

impl Keyed for HistoryLine {
    type Id = CommandId;

    /// Ids of both are UUIDv7, so those of pipelines stand between those of commands by their time.
    fn key(&self) -> CommandId {
        match self {
            Self::Command(row, _) => row.id,
            Self::Pipeline(row) => row.id.among_commands(),
        }
    }
}

/// How many lines the tabs of the history have, each up to 1,001: that stands for "1,000+".
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Commands that need attention.
    pub attention: i64,
    /// Open pipelines, and open commands of none.
    pub running: i64,
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
        let Some(bounds) = self.bounds_of_commands(filter)? else {
            return page(cursor, limit, |_, _| Ok(Vec::new()));
        };
        page(cursor, limit, |cut, limit| {
            self.cut_statuses(filter, bounds, cut, limit)
        })
    }

    /// The history: a line for each pipeline, and one for each command of none; or, where the filter asks for a host,
    /// an op, a status, a pipeline or what needs attention, one for each command. A refusal that repeats one within a
    /// minute has no line of its own. Where very many such repeats stand in between, a page has fewer lines than
    /// `limit`, or none, and a way on all the same.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn history_lines(
        &mut self,
        filter: &HistoryFilter,
        cursor: Option<Cursor<CommandId>>,
        limit: i64,
    ) -> Result<Page<HistoryLine>, ReadError> {
        let bounds = self.bounds_of_commands(filter)?;
        let mut page = if filter.is_of_commands() {
            let shown = |line: &HistoryLine| match line {
                HistoryLine::Command(row, _) => row.repeat_of.is_none(),
                HistoryLine::Pipeline(_) => true,
            };
            page_of_some(cursor, limit, shown, |cut, limit| match bounds {
                None => Ok(Vec::new()),
                Some(bounds) => Ok(lines(self.cut_statuses(filter, bounds, cut, limit)?)),
            })?
        } else {
            let of_pipelines = PipelineFilter {
                actor: filter.actor.clone(),
                open_only: filter.open_only,
                since: filter.since,
                until: filter.until,
                ..PipelineFilter::default()
            };
            let within = self.bounds_of_pipelines(&of_pipelines)?;
            page(cursor, limit, |cut, limit| {
                let mut parts = Vec::new();
                if let Some(bounds) = bounds {
                    for actor in filter.actors() {
                        let query = alone_query(&filter.of_actor(actor), bounds, cut);
                        parts.push(lines(query.limit(limit).load(&mut self.conn)?));
                    }
                }
                if let Some(within) = within {
                    let rows = self.cut_pipelines(&of_pipelines, within, cut.among_pipelines(), limit)?;
                    let line = |row| HistoryLine::Pipeline(Box::new(row));
                    parts.push(rows.into_iter().map(line).collect());
                }
                Ok(merge(parts, cut, limit))
            })?
        };
        let refused = page.rows.iter().filter_map(|line| match line {
            HistoryLine::Command(row, _) if row.is_refused() => Some(row.id),
            HistoryLine::Command(..) | HistoryLine::Pipeline(_) => None,
        });
        let counts = self.repeats(refused.collect::<Vec<_>>())?;
        for line in &mut page.rows {
            if let HistoryLine::Command(row, repeats) = line {
                *repeats = counts.get(&row.id).copied().unwrap_or(0);
            }
        }
        Ok(page)
    }

    /// How many lines each tab of the history has.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn counts(&mut self) -> Result<Counts, ReadError> {
        let commands: Vec<CommandId> = open_alone()
            .select(commands::id)
            .limit(COUNT_LIMIT + 1)
            .load(&mut self.conn)?;
        let pipelines: Vec<PipelineId> = pipelines::table
            .filter(pipelines::finished_at.is_null())
            .select(pipelines::id)
            .limit(COUNT_LIMIT + 1)
            .load(&mut self.conn)?;
        let running = i64::try_from(commands.len() + pipelines.len()).unwrap_or(i64::MAX);
        Ok(Counts {
            attention: self.attention_count()?,
            running: running.min(COUNT_LIMIT + 1),
        })
    }

    /// Several statuses are several walks, merged: one IN would have to sort all of their rows.
    fn cut_statuses(
        &mut self,
        filter: &HistoryFilter,
        bounds: Bounds,
        cut: Cut<CommandId>,
        limit: i64,
    ) -> Result<Vec<CommandRow>, ReadError> {
        let statuses: Vec<Option<CommandStatus>> = match filter.statuses() {
            None => vec![None],
            Some(statuses) => statuses.into_iter().map(Some).collect(),
        };
        let mut parts = Vec::new();
        for actor in filter.actors() {
            let filter = filter.of_actor(actor);
            for status in &statuses {
                parts.push(self.cut_commands(&filter, *status, bounds, cut, limit)?);
            }
        }
        Ok(merge(parts, cut, limit))
    }

    /// Which ids a filter's range of time has; none where nothing is in it.
    fn bounds_of_commands(&mut self, filter: &HistoryFilter) -> Result<Option<Bounds>, ReadError> {
        let since = filter.since.map(|time| self.first_command_since(time)).transpose()?;
        let until = filter.until.map(|time| self.last_command_before(time)).transpose()?;
        let never = filter.open_only && (filter.attention_only || filter.ended_only);
        let nothing = never || since == Some(None) || until == Some(None);
        Ok((!nothing).then(|| (since.flatten(), until.flatten())))
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

fn lines(rows: Vec<CommandRow>) -> Vec<HistoryLine> {
    let line = |row| HistoryLine::Command(Box::new(row), 0);
    rows.into_iter().map(line).collect()
}

/// What is open and of no pipeline. With a `+`, so that it walks the few open ones and not all of no pipeline.
#[diesel::dsl::auto_type]
fn open_alone() -> _ {
    let of_none: diesel::expression::SqlLiteral<Bool> = sql("+commands.pipeline_id IS NULL");
    commands::table.filter(commands::finished_at.is_null()).filter(of_none)
}

/// The commands of no pipeline that repeat no refusal.
fn alone_query<'a>(
    filter: &HistoryFilter,
    bounds: Bounds,
    cut: Cut<CommandId>,
) -> diesel::dsl::IntoBoxed<'a, rows, diesel::sqlite::Sqlite> {
    let query = history_query(filter, None, bounds, cut);
    if filter.open_only {
        return query.filter(sql::<Bool>("+commands.pipeline_id IS NULL"));
    }
    query
        .filter(commands::pipeline_id.is_null())
        .filter(commands::repeat_of.is_null())
}

/// What is open is walked along its own index, one row a host at most: a `+` keeps SQLite from walking all that somebody
/// ever asked for instead.
fn history_query<'a>(
    filter: &HistoryFilter,
    status: Option<CommandStatus>,
    (low, high): Bounds,
    cut: Cut<CommandId>,
) -> diesel::dsl::IntoBoxed<'a, rows, diesel::sqlite::Sqlite> {
    let mut query = rows().into_boxed();
    if let Some(host) = filter.host {
        query = match filter.open_only {
            true => query.filter(sql::<Bool>("+commands.host_id = ").bind::<BigInt, _>(host)),
            false => query.filter(commands::host_id.eq(host)),
        };
    }
    if let Some(op) = &filter.op {
        query = match filter.open_only {
            true => query.filter(sql::<Bool>("+commands.op = ").bind::<Text, _>(op.clone())),
            false => query.filter(commands::op.eq(op.clone())),
        };
    }
    if let Some(status) = status {
        query = match filter.open_only {
            true => query.filter(sql::<Bool>("+commands.status = ").bind::<Text, _>(status)),
            false => query.filter(commands::status.eq(status)),
        };
    }
    if filter.attention_only {
        query = query.filter(attention());
    }
    if filter.open_only {
        query = query.filter(commands::finished_at.is_null());
    }
    if filter.ended_only {
        query = query.filter(commands::finished_at.is_not_null());
    }
    if let Some(pipeline) = filter.pipeline {
        query = query.filter(commands::pipeline_id.eq(pipeline));
    }
    if let Some(actor) = &filter.actor {
        query = match filter.open_only {
            true => query.filter(sql::<Bool>("+commands.actor = ").bind::<Text, _>(actor.clone())),
            false => query.filter(commands::actor.eq(actor.clone())),
        };
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
mod tests;
