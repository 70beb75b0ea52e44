//! Every command there was, newest first. The URL is the view: filters, tab and place in the list.

use std::collections::BTreeSet;

use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{Actor, CommandId, CommandStatus, ExportOf, HostName, Invalid, Span};
use crate::store::{CommandRow, Cursor, HistoryFilter, PipelineRow, Selection, Topic};

use super::super::clock::{Clock, When, rough};
use super::super::error::Problem;
use super::super::fields::{Fields, to_query};
use super::super::frame::{Frame, html};
use super::super::live::{self, Shown, Waited};
use super::super::words::{self, Word};
use super::super::{Visitor, Web};
use super::export::Places;

/// Rows on one page.
const ROWS: i64 = 50;
/// An outcome that was learned this much after the end was learned later than usual: after a restart or a loss.
const LATE: Span = Span::from_secs(30);

#[derive(Template)]
#[template(path = "history/history.html", blocks = ["region"])]
struct HistoryPage {
    frame: Frame,
    version: String,
    address: String,
    tabs: Vec<Tab>,
    lines: Vec<Line>,
    newer: Option<String>,
    older: Option<String>,
    newest: bool,
    filtered: bool,
    take: Places,
    beyond: Option<String>,
    clear: String,
    show: String,
    host: String,
    actor: String,
    since: String,
    until: String,
    ops: Vec<Pick>,
    statuses: Vec<Pick>,
}

struct Tab {
    text: &'static str,
    count: Option<i64>,
    place: String,
    chosen: bool,
}

/// One value of a select.
pub(super) struct Pick {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) chosen: bool,
}

/// One command in a table.
pub(super) struct Line {
    pub(super) id: String,
    pub(super) at: When,
    pub(super) status: Word,
    pub(super) op: String,
    pub(super) host: String,
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) took: String,
    pub(super) late: bool,
    pub(super) open: bool,
    /// The pipeline that it is part of, and its size: `12 hosts`.
    pub(super) pipeline: Option<(String, String)>,
}

impl Line {
    pub(super) fn new(row: &CommandRow, clock: &Clock) -> Self {
        let late = match (row.finished_at, row.settled_at) {
            (Some(finished), Some(settled)) => settled.since(finished) > LATE,
            _ => false,
        };
        Self {
            id: row.id.to_string(),
            at: clock.when(row.created_at),
            status: words::status(row, clock),
            op: row.op.to_string(),
            host: row.host.to_string(),
            by: row.actor.name().to_owned(),
            reason: row.reason.clone().unwrap_or_default(),
            took: words::took(row, clock.now).unwrap_or_default(),
            late,
            open: row.finished_at.is_none(),
            pipeline: None,
        }
    }

    fn in_pipeline(row: &CommandRow, pipelines: &[PipelineRow], clock: &Clock) -> Self {
        let pipeline = row.pipeline_id.and_then(|id| pipelines.iter().find(|row| row.id == id));
        Self {
            pipeline: pipeline.map(|row| (row.id.to_string(), words::count(row.hosts.len(), "host", "hosts"))),
            ..Self::new(row, clock)
        }
    }
}

/// The view that a URL asks for, as text for its links and as a filter for the journal.
struct View {
    show: String,
    host: Option<HostName>,
    op: String,
    status: String,
    actor: String,
    since: String,
    until: String,
    filter: HistoryFilter,
    cursor: Option<Cursor<CommandId>>,
}

impl View {
    fn read(fields: &Fields, clock: &Clock) -> Result<Self, Invalid> {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        let time = |name: &str| fields.text(name).map(|text| clock.read(name, text)).transpose();
        let show = text("show");
        if !["", "attention", "running"].contains(&show.as_str()) {
            return Err(Invalid::new("show", "must be attention or running"));
        }
        let cursor = match (fields.parse("before")?, fields.parse("after")?) {
            (Some(id), _) => Some(Cursor::Before(id)),
            (None, Some(id)) => Some(Cursor::After(id)),
            (None, None) => None,
        };
        let filter = HistoryFilter {
            op: fields.owned("op"),
            status: fields
                .text("status")
                .map(CommandStatus::asked)
                .transpose()?
                .into_iter()
                .collect(),
            open_only: show == "running",
            attention_only: show == "attention",
            actor: fields.text("actor").map(Actor::asked),
            since: time("since")?,
            until: time("until")?,
            ..HistoryFilter::default()
        };
        Ok(Self {
            host: fields.parse("host")?,
            op: text("op"),
            status: filter.status.first().map_or("", |status| status.as_str()).to_owned(),
            actor: text("actor"),
            since: text("since"),
            until: text("until"),
            show,
            filter,
            cursor,
        })
    }

    /// The same view with another tab, at another place.
    fn place(&self, show: &str, key: &str, cursor: &str) -> String {
        let host = self.host.as_ref().map_or("", HostName::as_str);
        let query = to_query([
            ("show", show),
            ("host", host),
            ("op", &self.op),
            ("status", &self.status),
            ("actor", &self.actor),
            ("since", &self.since),
            ("until", &self.until),
            (key, cursor),
        ]);
        format!("/history{query}")
    }

    fn at(&self, cursor: Cursor<CommandId>) -> String {
        match cursor {
            Cursor::Before(id) => self.place(&self.show, "before", &id.to_string()),
            Cursor::After(id) => self.place(&self.show, "after", &id.to_string()),
        }
    }

    fn is_filtered(&self) -> bool {
        self.host.is_some()
            || [&self.op, &self.status, &self.actor, &self.since, &self.until]
                .iter()
                .any(|f| !f.is_empty())
    }
}

/// The commands that a page's address asks for, and their host by its name.
pub(super) fn selection(fields: &Fields, clock: &Clock) -> Result<(Selection, Option<HostName>), Invalid> {
    let view = View::read(fields, clock)?;
    Ok((Selection::Commands(view.filter), view.host))
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let shown = Shown::of(&fields)?;
    let clock = web.clock();
    let view = View::read(&fields, &clock)?;
    if let Some(shown) = &shown
        && live::wait(&web, &[Topic::Commands], shown).await == Waited::Nothing
    {
        return Ok(live::nothing());
    }
    let (host, mut filter, cursor) = (view.host.clone(), view.filter.clone(), view.cursor);
    let found = web
        .engine
        .reader()
        .read(move |journal| {
            if let Some(name) = &host {
                match journal.host(name)? {
                    Some(row) => filter.host = Some(row.id),
                    None => return Ok(None),
                }
            }
            let page = journal.history(&filter, cursor, ROWS)?;
            let ids: BTreeSet<_> = page.rows.iter().filter_map(|row| row.pipeline_id).collect();
            let mut pipelines = Vec::new();
            for id in ids {
                pipelines.extend(journal.pipeline(id)?);
            }
            Ok(Some((journal.version()?, journal.counts()?, page, pipelines)))
        })
        .await?;
    let Some((version, (attention, running), page, pipelines)) = found else {
        return Err(Invalid::new("host", "no host of that name was ever in the fleet").into());
    };
    let tab = |text, name: &str, count| Tab {
        text,
        count,
        place: view.place(name, "", ""),
        chosen: view.show == name,
    };
    let catalog = web.engine.catalog();
    let mut ops: Vec<Pick> = catalog
        .iter()
        .map(|op| Pick {
            value: op.id.to_string(),
            text: op.id.to_string(),
            chosen: view.op == op.id.as_str(),
        })
        .collect();
    if !view.op.is_empty() && !ops.iter().any(|pick| pick.chosen) {
        ops.push(Pick {
            value: view.op.clone(),
            text: view.op.clone(),
            chosen: true,
        });
    }
    let here = match view.cursor {
        Some(cursor) => view.at(cursor),
        None => view.place(&view.show, "", ""),
    };
    let beyond = beyond(&view.filter, web.engine.keeps_commands(), &clock);
    let page = HistoryPage {
        frame: Frame::new(&web, &visitor, "history", "History"),
        version: Shown::text(&web, version),
        address: here,
        tabs: vec![
            tab("Needs attention", "attention", Some(attention)),
            tab("Running", "running", Some(running)),
            tab("All", "", None),
        ],
        lines: (page.rows.iter())
            .map(|row| Line::in_pipeline(row, &pipelines, &clock))
            .collect(),
        newer: page.newer.map(|cursor| view.at(cursor)),
        older: page.older.map(|cursor| view.at(cursor)),
        newest: view.cursor.is_none(),
        filtered: view.is_filtered(),
        take: Places::of(ExportOf::Commands, &view.place(&view.show, "", "")),
        beyond,
        clear: format!("/history{}", to_query([("show", view.show.as_str())])),
        ops,
        statuses: CommandStatus::ALL
            .iter()
            .map(|status| Pick {
                value: status.as_str().to_owned(),
                text: status.name().to_owned(),
                chosen: view.status == status.as_str(),
            })
            .collect(),
        host: view.host.as_ref().map(ToString::to_string).unwrap_or_default(),
        show: view.show,
        actor: view.actor,
        since: view.since,
        until: view.until,
    };
    if shown.is_some() {
        html(&page.as_region())
    } else {
        html(&page)
    }
}

/// Said where a filter reaches back to what is deleted already.
fn beyond(filter: &HistoryFilter, kept: Option<Span>, clock: &Clock) -> Option<String> {
    let kept = kept?;
    let oldest = clock.now.minus(kept);
    let asked = [filter.since, filter.until].into_iter().flatten().min()?;
    (asked < oldest).then(|| {
        format!(
            "Commands are kept for {} after their end: what ended before {} is deleted and cannot be listed.",
            rough(kept),
            clock.when(oldest).full
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(query: &str) -> Result<View, Invalid> {
        let fields = Fields::query(query).expect("query");
        View::read(&fields, &Clock::now(jiff::tz::TimeZone::UTC))
    }

    #[test]
    fn the_url_reproduces_the_view() {
        let url = "show=attention&host=web-03&op=switch&status=ERROR&actor=local:alice&since=2026-11-01&until=2026-11-23%2014:05";
        let view = view(url).expect("view");
        assert_eq!(view.place("attention", "", ""), format!("/history?{url}"));
        assert!(view.filter.attention_only);
        assert_eq!(view.filter.status, [CommandStatus::Error]);
    }

    #[test]
    fn nonsense_is_refused_with_its_field() {
        for (query, field) in [
            ("before=17", "before"),
            ("since=soon", "since"),
            ("status=FINE", "status"),
            ("show=odd", "show"),
            ("host=-x", "host"),
        ] {
            assert_eq!(view(query).err().expect(query).field, field);
        }
    }
}
