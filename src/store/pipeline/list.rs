//! Pages of pipelines: cut by id, newest first.

use diesel::prelude::*;

use super::super::page::{Cut, merge, page};
use super::super::schema::{pipeline_hosts, pipelines};
use super::super::{Cursor, Journal, Page, ReadError};
use super::PipelineRow;
use crate::domain::{Actor, PipelineId, PipelineStatus, Timestamp};

/// Which pipelines are asked for; what is not given is not asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PipelineFilter {
    /// Of one of these statuses; empty is any.
    pub status: Vec<PipelineStatus>,
    /// Of this name.
    pub name: Option<String>,
    /// Started by this actor, as it is written: `user:alice`; a bare name is whoever has it ([`Actor::meant`]).
    pub actor: Option<String>,
    /// With the host of this id.
    pub host: Option<i64>,
    /// RUNNING or HELD.
    pub open_only: bool,
    /// Started at this time or later.
    pub since: Option<Timestamp>,
    /// Started before this time.
    pub until: Option<Timestamp>,
}

impl Journal {
    /// The pipelines that a filter asks for, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn pipelines(
        &mut self,
        filter: &PipelineFilter,
        cursor: Option<Cursor<PipelineId>>,
        limit: i64,
    ) -> Result<Page<PipelineRow>, ReadError> {
        let Some(bounds) = self.bounds_of_pipelines(filter)? else {
            return page(cursor, limit, |_, _| Ok(Vec::new()));
        };
        page(cursor, limit, |cut, limit| {
            self.cut_pipelines(filter, bounds, cut, limit)
        })
    }

    /// Several statuses or actors are several walks, merged: one IN would have to sort all of their rows.
    pub(in crate::store) fn cut_pipelines(
        &mut self,
        filter: &PipelineFilter,
        bounds: Bounds,
        cut: Cut<PipelineId>,
        limit: i64,
    ) -> Result<Vec<PipelineRow>, ReadError> {
        let mut statuses: Vec<Option<PipelineStatus>> = filter.status.iter().copied().map(Some).collect();
        statuses.sort_unstable();
        statuses.dedup();
        if statuses.is_empty() {
            statuses.push(None);
        }
        let actors: Vec<Option<String>> = match &filter.actor {
            None => vec![None],
            Some(name) => Actor::meant(name).into_iter().map(Some).collect(),
        };
        let mut parts = Vec::new();
        for actor in actors {
            let filter = PipelineFilter {
                actor,
                ..filter.clone()
            };
            for status in &statuses {
                let query = pipelines_query(&filter, *status, bounds, cut);
                parts.push(query.limit(limit).load(&mut self.conn)?);
            }
        }
        Ok(merge(parts, cut, limit))
    }

    /// Which ids a filter's range of time has (as of commands); none where nothing is in it.
    pub(in crate::store) fn bounds_of_pipelines(
        &mut self,
        filter: &PipelineFilter,
    ) -> Result<Option<Bounds>, ReadError> {
        let near = pipelines::table.select(pipelines::id).limit(1_000);
        let (mut low, mut high) = (None, None);
        if let Some(since) = filter.since {
            let first: Vec<PipelineId> = near
                .filter(pipelines::created_at.ge(since))
                .order((pipelines::created_at.asc(), pipelines::id.asc()))
                .load(&mut self.conn)?;
            low = first.into_iter().min();
            if low.is_none() {
                return Ok(None);
            }
        }
        if let Some(until) = filter.until {
            let last: Vec<PipelineId> = near
                .filter(pipelines::created_at.lt(until))
                .order((pipelines::created_at.desc(), pipelines::id.desc()))
                .load(&mut self.conn)?;
            high = last.into_iter().max();
            if high.is_none() {
                return Ok(None);
            }
        }
        Ok(Some((low, high)))
    }
}

/// The lowest and the highest id of a range.
pub(in crate::store) type Bounds = (Option<PipelineId>, Option<PipelineId>);

type Boxed<'a> = diesel::helper_types::IntoBoxed<
    'a,
    diesel::dsl::Select<pipelines::table, diesel::dsl::AsSelect<PipelineRow, diesel::sqlite::Sqlite>>,
    diesel::sqlite::Sqlite,
>;

fn pipelines_query<'a>(
    filter: &PipelineFilter,
    status: Option<PipelineStatus>,
    (low, high): Bounds,
    cut: Cut<PipelineId>,
) -> Boxed<'a> {
    let mut query = pipelines::table.select(PipelineRow::as_select()).into_boxed();
    if let Some(status) = status {
        query = query.filter(pipelines::status.eq(status));
    }
    if let Some(name) = &filter.name {
        query = query.filter(pipelines::name.eq(name.clone()));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(pipelines::actor.eq(actor.clone()));
    }
    if let Some(host) = filter.host {
        let of_host = pipeline_hosts::table
            .filter(pipeline_hosts::pipeline_id.eq(pipelines::id))
            .filter(pipeline_hosts::host_id.eq(host));
        query = query.filter(diesel::dsl::exists(of_host));
    }
    if filter.open_only {
        query = query.filter(pipelines::finished_at.is_null());
    }
    if let Some(since) = filter.since {
        query = query.filter(pipelines::created_at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(pipelines::created_at.lt(until));
    }
    if let Some(low) = low {
        query = query.filter(pipelines::id.ge(low));
    }
    if let Some(high) = high {
        query = query.filter(pipelines::id.le(high));
    }
    match cut {
        Cut::Newest => query.order(pipelines::id.desc()),
        Cut::Below(id) => query.filter(pipelines::id.lt(id)).order(pipelines::id.desc()),
        Cut::Above(id) => query.filter(pipelines::id.gt(id)).order(pipelines::id.asc()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::plan_of;
    use super::*;

    #[test]
    fn every_filter_walks_an_index() {
        let any = PipelineFilter::default();
        let cases = [
            ("all", any.clone(), None),
            ("status", any.clone(), Some(PipelineStatus::Held)),
            (
                "name",
                PipelineFilter {
                    name: Some("x".to_owned()),
                    ..any.clone()
                },
                None,
            ),
            (
                "actor",
                PipelineFilter {
                    actor: Some("system".to_owned()),
                    ..any.clone()
                },
                None,
            ),
            (
                "open",
                PipelineFilter {
                    open_only: true,
                    ..any.clone()
                },
                None,
            ),
            ("host", PipelineFilter { host: Some(1), ..any }, None),
        ];
        let id = PipelineId::after(None);
        for (what, filter, status) in cases {
            for cut in [Cut::Newest, Cut::Below(id), Cut::Above(id)] {
                let query = pipelines_query(&filter, status, (None, None), cut).limit(50);
                let plan = plan_of(&diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query).to_string());
                assert!(!plan.contains("TEMP B-TREE"), "{what} {cut:?}: {plan}");
                let walks = plan.contains("SCAN pipelines") && !plan.contains("SCAN pipelines USING INDEX");
                assert!(!walks, "{what} {cut:?}: {plan}");
            }
        }
    }
}
