//! "Sweep now": what it would take, and doing it.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Data, ReqData};

use crate::domain::Timestamp;
use crate::engine::{EngineError, SweepDone};
use crate::store::{Cutoffs, Pending};

use super::super::super::clock::{Clock, When};
use super::super::super::error::Problem;
use super::super::super::frame::html;
use super::super::super::{Visitor, Web};
use super::{page, takes};

/// A sweep that takes longer goes on without the page.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a sweep at this moment would do.
pub(super) struct Asks {
    /// What is older goes: of what, and from before when.
    pub(super) cuts: Vec<(&'static str, When)>,
    pub(super) takes: String,
    /// It is announced first, because it would take two days more than the last one.
    pub(super) waits: bool,
    pub(super) archives: bool,
}

impl Asks {
    pub(super) fn new(cutoffs: &Cutoffs, pending: &Pending, waits: bool, archives: bool, clock: &Clock) -> Self {
        let cuts = [
            ("Events from before", cutoffs.events),
            ("Events of category audit from before", cutoffs.audit),
            ("Commands and pipelines that ended before", cutoffs.commands),
            ("Archive files from before", cutoffs.archive),
        ];
        let cut = |(what, before): (&'static str, Option<Timestamp>)| Some((what, clock.maybe(before)?));
        Self {
            cuts: cuts.into_iter().filter_map(cut).collect(),
            takes: takes(pending),
            waits,
            archives,
        }
    }
}

/// Sweeps, and shows the settings with what came of it.
pub(in crate::web) async fn now(web: Data<Web>, visitor: ReqData<Visitor>) -> Result<HttpResponse, Problem> {
    let (engine, by) = (web.engine.clone(), visitor.by());
    // Whoever closes the page ends no sweep.
    let sweep = tokio::spawn(async move { engine.sweep(by).await });
    let swept = match tokio::time::timeout(PATIENCE, sweep).await {
        Ok(Ok(Ok(done))) => said(&done, &web.clock()),
        Ok(Ok(Err(why))) => return Err(why.into()),
        Ok(Err(why)) => return Err(EngineError::Internal(why.to_string()).into()),
        Err(_) => "The sweep goes on; when it is done, it stands below.".to_owned(),
    };
    let mut page = page(&web, &visitor).await?;
    page.swept = Some(swept);
    html(&page)
}

fn said(done: &SweepDone, clock: &Clock) -> String {
    if let Some(until) = done.postponed_until {
        return format!(
            "Nothing was removed: it would be two days more than the last sweep removed, so it waits for a sweep after {}.",
            clock.when(until).full
        );
    }
    let swept = Pending {
        events: done.swept.events,
        commands: done.swept.commands,
        pipelines: done.swept.pipelines,
    };
    if swept == Pending::default() {
        return "Nothing was past its retention; nothing was removed.".to_owned();
    }
    let many = |n: i64, one: &str, many: &str| super::words::count(n, one, many);
    format!(
        "Removed {}, {}, {}.",
        many(swept.events, "event", "events"),
        many(swept.commands, "command", "commands"),
        many(swept.pipelines, "pipeline", "pipelines")
    )
}
