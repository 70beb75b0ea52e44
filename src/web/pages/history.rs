//! Every command there was, newest first. The URL is the view: filters, tab and place in the list.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{CommandId, CommandStatus, HostName, Invalid, Span, Timestamp};
use crate::engine::not_acknowledged;
use crate::store::{CommandRow, Counts, Cursor, HistoryFilter, HistoryLine, Page, PipelineRow, Topic};

use super::super::clock::{Clock, When, rough};
use super::super::error::Problem;
use super::super::fields::{Fields, Wrong, to_query};
use super::super::frame::{Frame, html_with, see};
use super::super::live::{self, Shown, Waited};
use super::super::words::{self, Word};
use super::super::{Visitor, Web};
use super::{pipeline_words, wish};

type FormPairs = Result<Form<Vec<(String, String)>>, actix_web::Error>;

/// Lines on one page.
const ROWS: i64 = 50;
/// An outcome that was learned this much after the end was learned later than usual: after a restart or a loss.
const LATE: Span = Span::from_secs(30);
/// Changes are gathered for so long before the list is drawn anew.
const GATHER: Duration = Duration::from_millis(250);
/// An orphaned command that is open: its status as the filter writes it, for the journal has one word for both.
const FINDING_OUT: &str = "finding-out";

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
    beyond: Option<String>,
    clear: String,
    view: View,
    ops: Vec<Pick>,
    statuses: Vec<Pick>,
    /// Whether lines can be ticked, to acknowledge them.
    ticks: bool,
    picked: Vec<String>,
    note: String,
    wrong: Option<Wrong>,
    /// The same where it is not about a field of a form.
    problem: Option<String>,
}

struct Tab {
    text: &'static str,
    count: Option<String>,
    place: String,
    chosen: bool,
}

/// One value of a select.
pub(super) struct Pick {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) chosen: bool,
}

/// One line of a table: a command, or a pipeline with all of its hosts.
pub(super) struct Line {
    pub(super) id: String,
    /// The page that has all of it.
    pub(super) place: String,
    pub(super) at: When,
    pub(super) status: Word,
    pub(super) op: String,
    /// None of a pipeline.
    pub(super) host: Option<String>,
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) took: String,
    pub(super) exit: String,
    pub(super) late: bool,
    pub(super) open: bool,
    /// Whether somebody should look at it and say so.
    pub(super) attention: bool,
    /// Who has, when and with which note.
    pub(super) acknowledged: Option<String>,
    /// The pipeline that it is part of (or is), and its size: `12 hosts`.
    pub(super) pipeline: Option<(String, String)>,
}

impl Line {
    pub(super) fn new(row: &CommandRow, repeats: i64, clock: &Clock) -> Self {
        let late = match (row.finished_at, row.settled_at) {
            (Some(finished), Some(settled)) => settled.since(finished) > LATE,
            _ => false,
        };
        let acknowledged = row.acknowledged_by.as_ref().map(|by| {
            let at = row.acknowledged_at.map(|at| clock.when(at).full).unwrap_or_default();
            let note = row.acknowledged_note.as_deref().unwrap_or_default();
            format!("{}, {at}: {note}", by.name())
        });
        Self {
            id: row.id.to_string(),
            place: format!("/commands/{}", row.id),
            at: clock.when(row.created_at),
            status: words::repeated(words::status(row, clock), repeats),
            op: row.op.to_string(),
            host: Some(row.host.to_string()),
            by: row.actor.name().to_owned(),
            reason: row.reason.clone().unwrap_or_default(),
            took: words::took(row, clock.now).unwrap_or_default(),
            exit: row.exit_code.map(|code| code.to_string()).unwrap_or_default(),
            late,
            open: row.finished_at.is_none(),
            attention: row.needs_attention(),
            acknowledged,
            pipeline: None,
        }
    }

    fn of_pipeline(row: &PipelineRow, clock: &Clock) -> Self {
        Self {
            id: row.id.to_string(),
            place: format!("/pipelines/{}", row.id),
            at: clock.when(row.created_at),
            status: pipeline_words::status(row),
            op: row.name.clone(),
            host: None,
            by: row.actor.name().to_owned(),
            reason: row.reason.clone().unwrap_or_default(),
            took: pipeline_words::took(row, clock.now),
            exit: String::new(),
            late: false,
            open: row.is_open(),
            attention: false,
            acknowledged: None,
            pipeline: Some((row.id.to_string(), words::count(row.hosts.len(), "host", "hosts"))),
        }
    }

    pub(super) fn of(line: &HistoryLine, pipelines: &[PipelineRow], clock: &Clock) -> Self {
        match line {
            HistoryLine::Pipeline(row) => Self::of_pipeline(row, clock),
            HistoryLine::Command(row, repeats) => {
                let pipeline = row.pipeline_id.and_then(|id| pipelines.iter().find(|row| row.id == id));
                Self {
                    pipeline: pipeline.map(|row| (row.id.to_string(), words::count(row.hosts.len(), "host", "hosts"))),
                    ..Self::new(row, *repeats, clock)
                }
            }
        }
    }
}

/// The view that a URL asks for, as it was written.
#[derive(Clone, Default)]
struct View {
    show: String,
    host: String,
    op: String,
    status: String,
    actor: String,
    pipeline: String,
    since: String,
    until: String,
    before: String,
    after: String,
}

/// The same as the journal is asked for it.
struct Asked {
    host: Option<HostName>,
    filter: HistoryFilter,
    cursor: Option<Cursor<CommandId>>,
}

impl View {
    fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        Self {
            show: text("show"),
            host: text("host"),
            op: text("op"),
            status: text("status"),
            actor: text("actor"),
            pipeline: text("pipeline"),
            since: text("since"),
            until: text("until"),
            before: text("before"),
            after: text("after"),
        }
    }

    fn asked(&self, clock: &Clock) -> Result<Asked, Invalid> {
        let time = |name: &str, text: &str| given(text).map(|text| clock.read(name, text)).transpose();
        if !["", "attention", "running"].contains(&self.show.as_str()) {
            return Err(Invalid::new("show", "must be attention or running"));
        }
        let cursor = match (parsed("before", &self.before)?, parsed("after", &self.after)?) {
            (Some(id), _) => Some(Cursor::Before(id)),
            (None, Some(id)) => Some(Cursor::After(id)),
            (None, None) => None,
        };
        let finding_out = self.status == FINDING_OUT;
        let status = match given(&self.status) {
            None => None,
            Some(_) if finding_out => Some(CommandStatus::Orphaned),
            Some(text) => Some(CommandStatus::asked(text)?),
        };
        let filter = HistoryFilter {
            op: given(&self.op).map(str::to_owned),
            status: status.into_iter().collect(),
            open_only: self.show == "running" || finding_out,
            ended_only: !finding_out && status == Some(CommandStatus::Orphaned),
            attention_only: self.show == "attention",
            actor: given(&self.actor).map(str::to_owned),
            pipeline: parsed("pipeline", &self.pipeline)?,
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            ..HistoryFilter::default()
        };
        Ok(Asked {
            host: parsed("host", &self.host)?,
            filter,
            cursor,
        })
    }

    /// The same view with another tab, at another place.
    fn place(&self, show: &str, key: &str, cursor: &str) -> String {
        let query = to_query([
            ("show", show),
            ("host", &self.host),
            ("op", &self.op),
            ("status", &self.status),
            ("actor", &self.actor),
            ("pipeline", &self.pipeline),
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

    /// Where it is now.
    fn here(&self) -> String {
        match (given(&self.before), given(&self.after)) {
            (Some(id), _) => self.place(&self.show, "before", id),
            (None, Some(id)) => self.place(&self.show, "after", id),
            (None, None) => self.place(&self.show, "", ""),
        }
    }

    fn is_filtered(&self) -> bool {
        let all = [
            &self.host,
            &self.op,
            &self.status,
            &self.actor,
            &self.pipeline,
            &self.since,
            &self.until,
        ];
        all.iter().any(|field| !field.is_empty())
    }
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn parsed<T: FromStr<Err = Invalid>>(field: &str, text: &str) -> Result<Option<T>, Invalid> {
    let read = |text: &str| text.parse::<T>().map_err(|wrong| Invalid::new(field, wrong.problem));
    given(text).map(read).transpose()
}

/// What the journal has for a view.
struct Found {
    version: i64,
    counts: Counts,
    page: Page<HistoryLine>,
    pipelines: Vec<PipelineRow>,
}

impl Found {
    async fn read(web: &Web, asked: Asked) -> Result<Result<Self, Invalid>, Problem> {
        let Asked {
            host,
            mut filter,
            cursor,
        } = asked;
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
                let page = journal.history_lines(&filter, cursor, ROWS)?;
                let of = |line: &HistoryLine| match line {
                    HistoryLine::Command(row, _) => row.pipeline_id,
                    HistoryLine::Pipeline(_) => None,
                };
                let ids: BTreeSet<_> = page.rows.iter().filter_map(of).collect();
                let mut pipelines = Vec::new();
                for id in ids {
                    pipelines.extend(journal.pipeline(id)?);
                }
                Ok(Some(Self {
                    version: journal.version()?,
                    counts: journal.counts()?,
                    page,
                    pipelines,
                }))
            })
            .await?;
        Ok(found.ok_or_else(|| Invalid::new("host", "no host of that name was ever in the fleet")))
    }
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let shown = Shown::of(&fields)?;
    let view = View::read(&fields);
    let topics = [Topic::Commands, Topic::Pipelines];
    if let Some(shown) = &shown
        && live::wait_and_gather(&web, &topics, shown, GATHER).await == Waited::Nothing
    {
        return Ok(live::nothing());
    }
    let (page, status) = HistoryPage::read(&web, &visitor, view).await?;
    if shown.is_some() {
        html_with(status, &page.as_region())
    } else {
        html_with(status, &page)
    }
}

/// Acknowledges what was ticked, and shows the same list again.
pub(in crate::web) async fn acknowledge(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    form: FormPairs,
) -> Result<HttpResponse, Problem> {
    let fields = wish::read(form)?;
    let place = fields.owned("view").unwrap_or_default();
    let view = View::read(&Fields::query(place.split_once('?').map_or("", |(_, query)| query))?);
    let ids = fields.many("id").map(str::to_owned).collect::<Vec<_>>();
    let note = fields.owned("note").unwrap_or_default();
    let parsed: Result<Vec<CommandId>, Invalid> = ids.iter().map(|id| id.parse()).collect();
    let came = match parsed {
        Ok(parsed) => web.engine.acknowledge(parsed, note.clone(), visitor.by()).await,
        Err(_) => return Err(Problem::missing("One of these commands")),
    };
    let (status, wrong) = match came {
        Ok(came) if came.not.is_empty() => return Ok(see(&view.here())),
        Ok(came) => {
            let done = words::count(came.done.len(), "command is", "commands are");
            let not = came.not.iter().map(not_acknowledged).collect::<Vec<_>>().join("; ");
            let problem = format!("{done} acknowledged now, but {not}");
            (StatusCode::CONFLICT, Invalid::new("id", problem))
        }
        Err(why) => match Wrong::of(&why, "id") {
            Some(wrong) => (Problem::from(why).status(), Invalid::new(wrong.field, wrong.problem)),
            None => return Err(why.into()),
        },
    };
    let (mut page, _) = HistoryPage::read(&web, &visitor, view).await?;
    let spoken = web.clock().spoken(&wrong.problem, Timestamp::now());
    page.set_wrong(&Invalid::new(wrong.field, spoken));
    page.picked = ids;
    page.note = note;
    html_with(status, &page)
}

impl HistoryPage {
    /// The page of a view; where that cannot be read, the page with its form and what is wrong.
    async fn read(web: &Web, visitor: &Visitor, view: View) -> Result<(Self, StatusCode), Problem> {
        let clock = web.clock();
        let asked = view.asked(&clock);
        let beyond = match &asked {
            Ok(asked) => beyond(&asked.filter, web.engine.keeps_commands(), &clock),
            Err(_) => None,
        };
        let found = match asked {
            Ok(asked) => Found::read(web, asked).await?,
            Err(wrong) => Err(wrong),
        };
        let ops = web.engine.catalog().iter().map(|op| op.id.to_string()).collect();
        match found {
            Ok(found) => {
                let mut page = Self::new(web, visitor, view, &found, &clock, ops);
                page.beyond = beyond;
                Ok((page, StatusCode::OK))
            }
            Err(wrong) => {
                let nothing = Found {
                    version: 0,
                    counts: Counts::default(),
                    page: Page {
                        rows: Vec::new(),
                        newer: None,
                        older: None,
                    },
                    pipelines: Vec::new(),
                };
                let mut page = Self::new(web, visitor, view, &nothing, &clock, ops);
                page.tabs.iter_mut().for_each(|tab| tab.count = None);
                page.newest = false; // Nothing comes that could be shown.
                page.set_wrong(&wrong);
                Ok((page, Problem::from(wrong).status()))
            }
        }
    }

    fn new(web: &Web, visitor: &Visitor, view: View, found: &Found, clock: &Clock, ops: Vec<String>) -> Self {
        let tab = |text, name: &str, count: Option<i64>| Tab {
            text,
            count: count.map(words::capped),
            place: view.place(name, "", ""),
            chosen: view.show == name,
        };
        let pick = |value: &str, text: &str, chosen: &str| Pick {
            value: value.to_owned(),
            text: text.to_owned(),
            chosen: value == chosen,
        };
        let mut ops: Vec<Pick> = ops.iter().map(|op| pick(op, op, &view.op)).collect();
        if !view.op.is_empty() && !ops.iter().any(|pick| pick.chosen) {
            ops.push(pick(&view.op, &view.op, &view.op));
        }
        let chosen = match CommandStatus::asked(&view.status) {
            Ok(status) if view.status != FINDING_OUT => status.as_str(),
            _ => view.status.as_str(),
        };
        let statuses = CommandStatus::ALL
            .iter()
            .map(|status| pick(status.as_str(), status.name(), chosen))
            .chain([pick(FINDING_OUT, "Finding out", chosen)]);
        let frame = Frame::new(web, visitor, "history", "History");
        let lines: Vec<Line> = (found.page.rows.iter())
            .map(|line| Line::of(line, &found.pipelines, clock))
            .collect();
        Self {
            version: Shown::text(web, found.version),
            address: view.here(),
            tabs: vec![
                tab("Needs attention", "attention", Some(found.counts.attention)),
                tab("Running", "running", Some(found.counts.running)),
                tab("All", "", None),
            ],
            ticks: frame.steers && view.show == "attention",
            lines,
            newer: found.page.newer.map(|cursor| view.at(cursor)),
            older: found.page.older.map(|cursor| view.at(cursor)),
            newest: view.before.is_empty() && view.after.is_empty(),
            filtered: view.is_filtered(),
            beyond: None,
            clear: format!("/history{}", to_query([("show", view.show.as_str())])),
            ops,
            statuses: statuses.collect(),
            picked: Vec::new(),
            note: String::new(),
            wrong: None,
            problem: None,
            frame,
            view,
        }
    }

    /// Beside its field; where no form has that, above the list.
    fn set_wrong(&mut self, wrong: &Invalid) {
        const FIELDS: [&str; 8] = ["host", "op", "status", "actor", "pipeline", "since", "until", "note"];
        if FIELDS.contains(&wrong.field.as_str()) {
            self.wrong = Some(Wrong::from(wrong));
        } else if wrong.field == "id" {
            self.problem = Some(wrong.problem.clone());
        } else {
            self.problem = Some(format!("{}: {}", wrong.field, wrong.problem));
        }
    }

    fn is_picked(&self, id: &str) -> bool {
        self.picked.iter().any(|picked| picked == id)
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

    fn view(query: &str) -> (View, Result<Asked, Invalid>) {
        let view = View::read(&Fields::query(query).expect("query"));
        let asked = view.asked(&Clock::now(jiff::tz::TimeZone::UTC));
        (view, asked)
    }

    #[test]
    fn the_url_reproduces_the_view() {
        let url = "show=attention&host=web-03&op=switch&status=ERROR&actor=local:alice\
                   &pipeline=0193a5c2-1f60-7c3e-8a4b-5d6e7f809102&since=2026-11-01&until=2026-11-23%2014:05\
                   &before=0193a5c2-1f60-7c3e-8a4b-5d6e7f809103";
        let (view, asked) = view(url);
        let filter = asked.map_err(|wrong| wrong.to_string()).expect("view").filter;
        assert_eq!(view.here(), format!("/history?{url}"));
        assert!(filter.attention_only && filter.pipeline.is_some());
        assert_eq!(filter.status, [CommandStatus::Error]);
    }

    #[test]
    fn what_is_being_found_out_and_what_stays_unknown_are_two_filters() {
        let filter = |query: &str| view(query).1.map_err(|wrong| wrong.to_string()).expect(query).filter;
        let (open, ended) = (filter("status=finding-out"), filter("status=unknown"));
        assert_eq!(
            (&open.status, open.open_only, open.ended_only),
            (&ended.status, true, false)
        );
        assert_eq!((ended.open_only, ended.ended_only), (false, true));
    }

    #[test]
    fn nonsense_is_refused_with_its_field() {
        for (query, field) in [
            ("before=17", "before"),
            ("since=soon", "since"),
            ("status=FINE", "status"),
            ("show=odd", "show"),
            ("host=-x", "host"),
            ("pipeline=x", "pipeline"),
        ] {
            assert_eq!(view(query).1.err().expect(query).field, field);
        }
    }
}
