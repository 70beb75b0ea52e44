//! Every pipeline there was, newest first; those that are open stand above. The URL is the view.

use std::time::Duration;

use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{HostName, Invalid, PipelineId, PipelineStatus};
use crate::store::{Cursor, Journal, PipelineCounts, PipelineFilter, PipelineRow, ReadError, Selection, Topic};

use super::super::clock::{Clock, When};
use super::super::error::Problem;
use super::super::fields::{Fields, Wrong, to_query};
use super::super::frame::{Frame, html, html_with};
use super::super::live::{self, Shown, Waited};
use super::super::words::Word;
use super::super::{Visitor, Web};
use super::history_line::Pick;
use super::host::host_id;
use super::pipeline_words as pipelines;

/// Rows on one page.
const ROWS: i64 = 25;
/// Open pipelines that stand above; more than these are rare, and the filter shows them.
const OPEN: i64 = 20;
/// Changes are gathered for so long before the list is drawn anew.
const GATHER: Duration = Duration::from_millis(750);

#[derive(Template)]
#[template(path = "pipeline/list.html", blocks = ["region"])]
struct ListPage {
    frame: Frame,
    version: String,
    address: String,
    open: Vec<Line>,
    lines: Vec<Line>,
    newer: Option<String>,
    older: Option<String>,
    newest: bool,
    filtered: bool,
    name: String,
    actor: String,
    host: String,
    statuses: Vec<Pick>,
    /// What of the filter cannot be read; then nothing is listed.
    wrong: Option<Wrong>,
}

/// One pipeline in the table.
struct Line {
    id: String,
    name: String,
    at: When,
    status: Word,
    result: String,
    settled: i64,
    cells: i64,
    by: String,
    reason: String,
    took: String,
    open: bool,
}

impl Line {
    fn new(row: &PipelineRow, counts: &PipelineCounts, clock: &Clock) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name.clone(),
            at: clock.when(row.created_at),
            status: pipelines::status(row),
            result: pipelines::sentence(row, counts, &[], None)
                .trim_end_matches('.')
                .to_owned(),
            settled: counts.cells - counts.running - counts.waiting,
            cells: counts.cells,
            by: row.actor.name().to_owned(),
            reason: row.reason.clone().unwrap_or_default(),
            took: pipelines::took(row, clock.now),
            open: row.is_open(),
        }
    }
}

/// The view that a URL asks for.
struct View {
    status: String,
    name: String,
    actor: String,
    host: Option<HostName>,
    filter: PipelineFilter,
    cursor: Option<Cursor<PipelineId>>,
}

impl View {
    fn read(fields: &Fields) -> Result<Self, Invalid> {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        let cursor = match (fields.parse("before")?, fields.parse("after")?) {
            (Some(id), _) => Some(Cursor::Before(id)),
            (None, Some(id)) => Some(Cursor::After(id)),
            (None, None) => None,
        };
        Ok(Self {
            status: text("status").to_ascii_uppercase(),
            name: text("name"),
            actor: text("actor"),
            host: fields.parse("host")?,
            filter: PipelineFilter {
                status: fields.parse::<PipelineStatus>("status")?.into_iter().collect(),
                name: fields.owned("name"),
                actor: fields.owned("actor"),
                ..PipelineFilter::default()
            },
            cursor,
        })
    }

    fn at(&self, cursor: Option<Cursor<PipelineId>>) -> String {
        let (key, id) = match cursor {
            Some(Cursor::Before(id)) => ("before", id.to_string()),
            Some(Cursor::After(id)) => ("after", id.to_string()),
            None => ("", String::new()),
        };
        let host = self.host.as_ref().map_or("", HostName::as_str);
        let query = to_query([
            ("status", self.status.as_str()),
            ("name", &self.name),
            ("actor", &self.actor),
            ("host", host),
            (key, &id),
        ]);
        format!("/pipelines{query}")
    }

    fn is_filtered(&self) -> bool {
        self.host.is_some() || [&self.status, &self.name, &self.actor].iter().any(|f| !f.is_empty())
    }
}

/// The pipelines that a page's address asks for, and the host that is part of them by its name.
pub(super) fn selection(fields: &Fields) -> Result<(Selection, Option<HostName>), Invalid> {
    let view = View::read(fields)?;
    Ok((Selection::Pipelines(view.filter), view.host))
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let shown = Shown::of(&fields)?;
    let view = match View::read(&fields) {
        Ok(view) => view,
        Err(wrong) => return again(&web, &visitor, &fields, wrong),
    };
    if let Some(shown) = &shown
        && live::wait_and_gather(&web, &[Topic::Pipelines], shown, GATHER).await == Waited::Nothing
    {
        return Ok(live::nothing());
    }
    let (host, mut filter, cursor) = (view.host.clone(), view.filter.clone(), view.cursor);
    let newest = cursor.is_none();
    let found = web
        .engine
        .reader()
        .read(move |journal| {
            filter.host = match host_id(journal, host.as_ref())? {
                Ok(id) => id,
                Err(wrong) => return Ok(Err(wrong)),
            };
            let version = journal.version()?;
            let mut open = Vec::new();
            if newest {
                let filter = PipelineFilter {
                    open_only: true,
                    ..filter.clone()
                };
                open = journal.pipelines(&filter, None, OPEN)?.rows;
            }
            let mut page = journal.pipelines(&filter, cursor, ROWS)?;
            page.rows.retain(|row| !open.iter().any(|open| open.id == row.id));
            let open = counted(journal, open)?;
            let ended = counted(journal, std::mem::take(&mut page.rows))?;
            Ok(Ok((version, open, ended, page)))
        })
        .await?;
    let (version, open, ended, page) = match found {
        Ok(found) => found,
        Err(wrong) => return again(&web, &visitor, &fields, wrong),
    };
    let clock = web.clock();
    let lines = |rows: &[(PipelineRow, PipelineCounts)]| -> Vec<Line> {
        rows.iter()
            .map(|(row, counts)| Line::new(row, counts, &clock))
            .collect()
    };
    let page = ListPage {
        frame: Frame::new(&web, &visitor, "pipelines", "Pipelines"),
        version: Shown::text(&web, version),
        address: view.at(view.cursor),
        open: lines(&open),
        lines: lines(&ended),
        newer: page.newer.map(|cursor| view.at(Some(cursor))),
        older: page.older.map(|cursor| view.at(Some(cursor))),
        newest,
        filtered: view.is_filtered(),
        statuses: statuses(&view.status),
        wrong: None,
        host: view.host.as_ref().map(ToString::to_string).unwrap_or_default(),
        name: view.name,
        actor: view.actor,
    };
    if shown.is_some() {
        html(&page.as_region())
    } else {
        html(&page)
    }
}

fn statuses(chosen: &str) -> Vec<Pick> {
    let pick = |status: &PipelineStatus| Pick {
        value: status.as_str().to_owned(),
        text: status.name().to_owned(),
        chosen: chosen == status.as_str(),
    };
    PipelineStatus::ALL.iter().map(pick).collect()
}

/// The page with its filter as it was written, and what is wrong with it.
fn again(web: &Web, visitor: &Visitor, fields: &Fields, wrong: Invalid) -> Result<HttpResponse, Problem> {
    const FIELDS: [&str; 4] = ["status", "name", "actor", "host"];
    if !FIELDS.contains(&wrong.field.as_str()) {
        return Err(wrong.into());
    }
    let text = |name: &str| fields.owned(name).unwrap_or_default();
    let page = ListPage {
        frame: Frame::new(web, visitor, "pipelines", "Pipelines"),
        version: String::new(),
        address: "/pipelines".to_owned(),
        open: Vec::new(),
        lines: Vec::new(),
        newer: None,
        older: None,
        newest: false,
        filtered: true,
        name: text("name"),
        actor: text("actor"),
        host: text("host"),
        statuses: statuses(&text("status")),
        wrong: Some(Wrong::from(&wrong)),
    };
    html_with(Problem::from(wrong).status(), &page)
}

type Counted = Vec<(PipelineRow, PipelineCounts)>;

fn counted(journal: &mut Journal, rows: Vec<PipelineRow>) -> Result<Counted, ReadError> {
    rows.into_iter()
        .map(|row| Ok((journal.pipeline_counts(row.id)?, row)))
        .map(|counted| counted.map(|(counts, row)| (row, counts)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_reproduces_the_view() {
        let read = |query: &str| View::read(&Fields::query(query).expect("query"));
        let url = "status=HELD&name=do-all&actor=local:alice&host=web-03";
        let view = read(url).expect("view");
        assert_eq!(view.at(None), format!("/pipelines?{url}"));
        assert!(view.is_filtered());
        assert!(!read("").expect("view").is_filtered());
        for (query, field) in [("before=17", "before"), ("status=FINE", "status"), ("host=-x", "host")] {
            assert_eq!(read(query).err().expect(query).field, field);
        }
    }
}
