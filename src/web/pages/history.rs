//! Every command there was, newest first. The URL is the view: filters, tab and place in the list.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{Ask, CommandId, CommandStatus, ExportOf, HostName, Invalid, On, Timestamp};
use crate::engine::not_acknowledged;
use crate::store::{Counts, HistoryFilter, HistoryLine, HostRow, Page, PipelineRow, Selection, Topic};

use super::super::clock::{Clock, rough};
use super::super::error::Problem;
use super::super::fields::{Fields, Wrong, sentence, to_query};
use super::super::frame::{Frame, html_with, see};
use super::super::live::{self, Shown, Waited};
use super::super::words;
use super::super::{Visitor, Web};
use super::archived::{Archived, Asked as AskedFor, taken};
use super::export::Places;
use super::history_line::Line;
pub(super) use super::history_line::Pick;
use super::history_view::{Asked, FINDING_OUT, View};
use super::host::host_id;

/// Lines on one page.
const ROWS: i64 = 50;
/// Changes are gathered for so long before the list is drawn anew.
const GATHER: Duration = Duration::from_millis(250);

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
    /// A filter reaches behind what the table holds.
    beyond: Option<Archived>,
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

/// What the journal has for a view.
struct Found {
    version: i64,
    counts: Counts,
    page: Page<HistoryLine>,
    pipelines: Vec<PipelineRow>,
    /// Those of the commands, where they can be acknowledged together.
    hosts: Vec<HostRow>,
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
                filter.host = match host_id(journal, host.as_ref())? {
                    Ok(id) => id,
                    Err(wrong) => return Ok(Err(wrong)),
                };
                let page = journal.history_lines(&filter, cursor, ROWS)?;
                let of = |line: &HistoryLine| match line {
                    HistoryLine::Command(row, _) => row.pipeline_id,
                    HistoryLine::Pipeline(_) => None,
                };
                let ids: BTreeSet<_> = page.rows.iter().filter_map(of).collect();
                let mut hosts = Vec::new();
                if filter.attention_only {
                    let host_of = |line: &HistoryLine| match line {
                        HistoryLine::Command(row, _) => Some(row.host_id),
                        HistoryLine::Pipeline(_) => None,
                    };
                    for id in page.rows.iter().filter_map(host_of).collect::<BTreeSet<_>>() {
                        hosts.extend(journal.host_by_id(id)?);
                    }
                }
                let mut pipelines = Vec::new();
                for id in ids {
                    pipelines.extend(journal.pipeline(id)?);
                }
                Ok(Ok(Self {
                    version: journal.version()?,
                    counts: journal.counts()?,
                    page,
                    pipelines,
                    hosts,
                }))
            })
            .await?;
        Ok(found)
    }
}

/// The commands that a page's address asks for, and their host by its name.
pub(super) fn selection(fields: &Fields, clock: &Clock) -> Result<(Selection, Option<HostName>), Invalid> {
    let asked = View::read(fields).asked(clock)?;
    Ok((Selection::Commands(asked.filter), asked.host))
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
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let place = fields.owned("view").unwrap_or_default();
    let view = View::read(&Fields::query(place.split_once('?').map_or("", |(_, query)| query))?);
    let ids = fields.many("id").map(str::to_owned).collect::<Vec<_>>();
    let note = fields.owned("note").unwrap_or_default();
    let parsed: Result<Vec<CommandId>, Invalid> = ids.iter().map(|id| id.parse()).collect();
    let came = match parsed {
        Ok(parsed) => web.engine.acknowledge(parsed, note.clone(), visitor.by()).await,
        Err(_) => return Err(Problem::swept("One of these commands")),
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
            Ok(asked) => beyond(&asked.filter, web, &clock),
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
                page.beyond = beyond.map(|text| page.archived(text));
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
                    hosts: Vec::new(),
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
        let theirs: BTreeSet<&str> = (found.hosts.iter())
            .filter(|host| visitor.may_on(Ask::Steer, On::Host(&host.hostname, &host.tags)))
            .map(|host| host.hostname.as_str())
            .collect();
        let lines: Vec<Line> = (found.page.rows.iter())
            .map(|line| Line::of(line, &found.pipelines, clock))
            .map(|line| Line {
                picked_from: line.attention && line.host.as_deref().is_some_and(|host| theirs.contains(host)),
                ..line
            })
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
            take: Places::of(ExportOf::Commands, &view.place(&view.show, "", "")),
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
            self.problem = Some(sentence(wrong));
        }
    }

    fn archived(&self, text: String) -> Archived {
        let view = &self.view;
        let asked = AskedFor {
            since: &view.since,
            until: &view.until,
            host: &view.host,
            actor: &view.actor,
            op: &view.op,
        };
        Archived::new(text, &self.take, &asked)
    }

    fn is_picked(&self, id: &str) -> bool {
        self.picked.iter().any(|picked| picked == id)
    }
}

/// Said where a filter reaches back to what sweeps have taken.
fn beyond(filter: &HistoryFilter, web: &Web, clock: &Clock) -> Option<String> {
    let kept = web.engine.keeps_commands()?;
    let oldest = clock.now.minus(kept);
    let asked = [filter.since, filter.until].into_iter().flatten().min()?;
    (asked < oldest).then(|| {
        format!(
            "Commands stay listed for {} after their end, those that ended after {} that is; {}.",
            rough(kept),
            clock.when(oldest).full,
            taken(web)
        )
    })
}
