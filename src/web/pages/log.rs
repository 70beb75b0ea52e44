//! The system log: who did what to what, when; newest first, live.
//!
//! A page that was scrolled down must not move: its poll says `hold`, and is answered with the number of
//! new rows alone.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Bytes, Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{Category, ExportOf, HostName, Invalid, Level, Timestamp};
use crate::store::{Cursor, EventRow, Indexed, Page, Selection, Topic};

use super::super::clock::Clock;
use super::super::error::Problem;
use super::super::fields::{Fields, Wrong, sentence};
use super::super::frame::{Frame, as_html, drawn, html_with};
use super::super::live::{self, Shown, Waited};
use super::super::words::count;
use super::super::{Visitor, Web};
use super::archived::{Archived, Asked as AskedFor, taken};
use super::event::{Kept, Line};
use super::export::Places;
use super::history::Pick;
use super::host::host_id;
use super::log_view::{Asked, Chip, View};

/// Rows on one page.
const ROWS: i64 = 100;

#[derive(Template)]
#[template(path = "log/log.html", blocks = ["region", "news"])]
struct LogPage {
    frame: Frame,
    version: String,
    address: String,
    chips: Vec<Chip>,
    days: Vec<Day>,
    news: String,
    newer: Option<String>,
    older: Option<String>,
    /// Whether new events come by themselves.
    live: bool,
    filtered: bool,
    take: Places,
    categories: Vec<Pick>,
    levels: Vec<Pick>,
    view: View,
    lags: Option<Indexed>,
    looked_back: Option<i64>,
    /// The list goes on behind what the table holds.
    beyond: Option<Archived>,
    wrong: Option<Wrong>,
    /// The same where it is not about a field of the form.
    problem: Option<String>,
}

struct Day {
    name: String,
    events: Vec<Line>,
}

/// What the journal has for a view.
struct Found {
    version: i64,
    page: Page<EventRow>,
    kept: Kept,
    indexed: Option<Indexed>,
    /// From when on the table has all; none where nothing was ever swept.
    reaches: Option<Timestamp>,
    /// What was asked for reaches back to this; none is to the beginning.
    since: Option<Timestamp>,
}

impl Found {
    async fn read(web: &Web, asked: Asked) -> Result<Result<Self, Invalid>, Problem> {
        let Asked {
            host,
            mut filter,
            cursor,
        } = asked;
        let since = [filter.since, filter.until].into_iter().flatten().min();
        let indexed = match &filter.text {
            Some(_) => Some(web.engine.indexed().await?),
            None => None,
        };
        let found = web
            .engine
            .reader()
            .read(move |journal| {
                filter.host = match host_id(journal, host.as_ref())? {
                    Ok(id) => id,
                    Err(wrong) => return Ok(Err(wrong)),
                };
                let page = journal.events(&filter, cursor, ROWS)?;
                let kept = Kept::of(&page.rows, journal)?;
                Ok(Ok(Self {
                    version: journal.version()?,
                    page,
                    kept,
                    indexed,
                    reaches: journal.reaches_back_to()?,
                    since,
                }))
            })
            .await?;
        Ok(found)
    }

    fn nothing() -> Self {
        Self {
            version: 0,
            page: Page {
                rows: Vec::new(),
                newer: None,
                older: None,
            },
            kept: Kept::default(),
            indexed: None,
            reaches: None,
            since: None,
        }
    }

    /// Where a range that was asked for, or the last page, reaches behind what the table holds.
    fn beyond(&self, web: &Web, page: &LogPage, clock: &Clock) -> Option<Archived> {
        let reaches = self.reaches?;
        if !self.since.map_or(self.page.older.is_none(), |since| since <= reaches) {
            return None;
        }
        let since = clock.when(reaches).full;
        let text = format!("Events after {since} are all listed here; {}.", taken(web));
        let view = &page.view;
        let asked = AskedFor {
            since: &view.since,
            until: &view.until,
            host: &view.host,
            actor: &view.actor,
            op: view.action.strip_prefix("op:").unwrap_or_default(),
        };
        Some(Archived::new(text, &page.take, &asked))
    }
}

/// The events that a page's address asks for, and the host that they are about by its name.
pub(super) fn selection(fields: &Fields, clock: &Clock) -> Result<(Selection, Option<HostName>), Invalid> {
    let asked = View::read(fields).asked(clock)?;
    Ok((Selection::Events(asked.filter), asked.host))
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let shown = Shown::of(&fields)?;
    let clock = web.clock();
    let view = View::read(&fields);
    let asked = view.asked(&clock);
    let held = fields.number("hold")?;
    if let (Some(shown), Ok(_)) = (&shown, &asked)
        && live::wait(&web, &[Topic::Events], shown).await == Waited::Nothing
    {
        return Ok(live::nothing());
    }
    if shown.is_some() && held.is_none() && asked.is_ok() {
        // Nothing of the region depends on who sees it.
        let draw = async {
            let (page, _) = draw(&web, &visitor, view.clone(), asked, held).await?;
            drawn(&page.as_region()).map(Bytes::from)
        };
        let region = web.drawn.get(web.engine.commits(), view.here(), draw).await?;
        return Ok(as_html(StatusCode::OK, region));
    }
    let (page, status) = draw(&web, &visitor, view, asked, held).await?;
    if shown.is_none() {
        return html_with(status, &page);
    }
    if held.is_none() {
        return html_with(status, &page.as_region());
    }
    let mut answer = html_with(status, &page.as_news())?;
    if let Ok(version) = HeaderValue::from_str(&page.version) {
        answer
            .headers_mut()
            .insert(HeaderName::from_static("quarterdeck-version"), version);
    }
    Ok(answer)
}

/// The page of a view: its rows, or what is wrong with its filters.
async fn draw(
    web: &Web,
    visitor: &Visitor,
    view: View,
    asked: Result<Asked, Invalid>,
    held: Option<u64>,
) -> Result<(LogPage, StatusCode), Problem> {
    let clock = web.clock();
    let found = match asked {
        Ok(asked) => Found::read(web, asked).await?,
        Err(wrong) => Err(wrong),
    };
    let frame = Frame::new(web, visitor, "log", "System log");
    Ok(match found {
        Ok(found) => {
            let mut page = LogPage::new(frame, view, &found, &clock);
            page.version = Shown::text(web, found.version);
            page.beyond = found.beyond(web, &page, &clock);
            page.news = held.map(|held| news(&found.page.rows, held)).unwrap_or_default();
            (page, StatusCode::OK)
        }
        Err(wrong) => {
            let mut page = LogPage::new(frame, view, &Found::nothing(), &clock);
            page.set_wrong(&wrong);
            (page, Problem::from(wrong).status())
        }
    })
}

impl LogPage {
    fn new(frame: Frame, view: View, found: &Found, clock: &Clock) -> Self {
        let page = &found.page;
        // Fewer rows than fit, and a way on: the look was ended before its end.
        let looked_back = match page.older {
            Some(Cursor::Before(id)) if (page.rows.len() as i64) < ROWS && view.after.is_empty() => Some(id),
            Some(Cursor::Before(_) | Cursor::After(_)) | None => None,
        };
        Self {
            frame,
            version: String::new(),
            address: view.here(),
            chips: view.chips(),
            days: days(&page.rows, &found.kept, clock),
            news: String::new(),
            newer: page.newer.map(|cursor| view.at(cursor)),
            older: page.older.map(|cursor| view.at(cursor)),
            live: view.is_newest(),
            filtered: view.is_filtered(),
            take: Places::of(ExportOf::Events, &view.place("", "")),
            categories: picks(Category::ALL, Category::as_str, &view.category),
            levels: picks(Level::ALL, Level::as_str, &view.level),
            lags: found.indexed.filter(|indexed| indexed.lags()),
            looked_back,
            beyond: None,
            wrong: None,
            problem: None,
            view,
        }
    }

    /// Beside its field; where the form has none of that name, above the list. Nothing comes that could be shown.
    fn set_wrong(&mut self, wrong: &Invalid) {
        self.live = false;
        if ["before", "after"].contains(&wrong.field.as_str()) {
            self.problem = Some(sentence(wrong));
        } else {
            self.wrong = Some(Wrong::from(wrong));
        }
    }

    fn is_wrong(&self) -> bool {
        self.wrong.is_some() || self.problem.is_some()
    }
}

/// "3 new events", of those above the one that is seen.
fn news(rows: &[EventRow], seen: u64) -> String {
    let seen = i64::try_from(seen).unwrap_or(i64::MAX);
    let fresh = rows.iter().filter(|row| row.id > seen).count();
    match fresh {
        0 => String::new(),
        all if all as i64 == ROWS => format!("{ROWS} new events or more"),
        some => count(some, "new event", "new events"),
    }
}

/// What there is to choose from, and what was asked for, though there be no such thing.
fn picks<T: Copy>(all: &[T], word: fn(T) -> &'static str, asked: &str) -> Vec<Pick> {
    let pick = |text: &str| Pick {
        value: text.to_owned(),
        text: text.to_owned(),
        chosen: text == asked,
    };
    let mut picks: Vec<Pick> = all.iter().map(|value| pick(word(*value))).collect();
    if !asked.is_empty() && !picks.iter().any(|pick| pick.chosen) {
        picks.push(pick(asked));
    }
    picks
}

fn days(rows: &[EventRow], kept: &Kept, clock: &Clock) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for row in rows {
        let line = Line::new(row, kept, clock);
        match days.last_mut() {
            Some(day) if day.name == line.at.day => day.events.push(line),
            Some(_) | None => days.push(Day {
                name: line.at.day.clone(),
                events: vec![line],
            }),
        }
    }
    days
}
