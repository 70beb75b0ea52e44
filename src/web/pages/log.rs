//! The system log: who did what to what, when; newest first, live.
//!
//! A page that was scrolled down must not move: its poll says `hold`, and is answered with the number of
//! new rows alone.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{Actor, Category, HostName, Invalid, Level};
use crate::store::{Cursor, EventFilter, EventRow, Topic};

use super::super::clock::{Clock, When};
use super::super::error::Problem;
use super::super::fields::{Fields, to_query};
use super::super::frame::{Frame, html};
use super::super::live::{self, Shown, Waited};
use super::super::words::{self, Word, count};
use super::super::{Visitor, Web};
use super::history::Pick;

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
    newest: bool,
    filtered: bool,
    categories: Vec<Pick>,
    levels: Vec<Pick>,
    action: String,
    host: String,
    actor: String,
    since: String,
    until: String,
}

struct Chip {
    text: &'static str,
    place: String,
    chosen: bool,
}

struct Day {
    name: String,
    events: Vec<Line>,
}

struct Line {
    id: i64,
    at: When,
    level: Word,
    by: String,
    action: String,
    host: String,
    message: String,
    command: Option<String>,
    pipeline: Option<String>,
}

struct View {
    category: Option<Category>,
    level: Option<Level>,
    action: String,
    host: Option<HostName>,
    actor: String,
    since: String,
    until: String,
    filter: EventFilter,
    cursor: Option<Cursor<i64>>,
}

impl View {
    fn read(fields: &Fields, clock: &Clock) -> Result<Self, Invalid> {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        let time = |name: &str| fields.text(name).map(|text| clock.read(name, text)).transpose();
        let id = |name: &str| -> Result<Option<i64>, Invalid> {
            let number = fields.number(name)?;
            number
                .map(|n| i64::try_from(n).map_err(|_| Invalid::new(name, "is no event's number")))
                .transpose()
        };
        let cursor = match (id("before")?, id("after")?) {
            (Some(id), _) => Some(Cursor::Before(id)),
            (None, Some(id)) => Some(Cursor::After(id)),
            (None, None) => None,
        };
        let (category, level) = (fields.parse("category")?, fields.parse("level")?);
        Ok(Self {
            category,
            level,
            action: text("action"),
            host: fields.parse("host")?,
            actor: text("actor"),
            since: text("since"),
            until: text("until"),
            filter: EventFilter {
                category,
                level,
                actor: fields.text("actor").map(Actor::asked),
                action: fields.owned("action"),
                since: time("since")?,
                until: time("until")?,
                ..EventFilter::default()
            },
            cursor,
        })
    }

    fn place(&self, key: &str, cursor: &str) -> String {
        let query = to_query([
            ("category", self.category.map_or("", Category::as_str)),
            ("level", self.level.map_or("", Level::as_str)),
            ("action", &self.action),
            ("host", self.host.as_ref().map_or("", HostName::as_str)),
            ("actor", &self.actor),
            ("since", &self.since),
            ("until", &self.until),
            (key, cursor),
        ]);
        format!("/log{query}")
    }

    fn at(&self, cursor: Cursor<i64>) -> String {
        match cursor {
            Cursor::Before(id) => self.place("before", &id.to_string()),
            Cursor::After(id) => self.place("after", &id.to_string()),
        }
    }

    /// The common questions, one click each.
    fn chips(&self) -> Vec<Chip> {
        let plain = self.host.is_none() && self.actor.is_empty();
        let chip = |text, category: &str, action: &str, level: &str| Chip {
            text,
            place: format!(
                "/log{}",
                to_query([("category", category), ("action", action), ("level", level)])
            ),
            chosen: plain
                && self.category.map_or("", Category::as_str) == category
                && self.level.map_or("", Level::as_str) == level
                && self.action == action,
        };
        vec![
            chip("Everything", "", "", ""),
            chip("Refusals", "", "refused", ""),
            chip("Log-ins", "", "session", ""),
            chip("Changes", "audit", "", ""),
            chip("Recovery", "", "recovery", ""),
            chip("Sweeps", "", "sweep", ""),
            chip("Errors", "", "", "error"),
        ]
    }

    fn is_filtered(&self) -> bool {
        self.place("", "") != "/log"
    }
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
    let held = fields.number("hold")?;
    if let Some(shown) = &shown
        && live::wait(&web, &[Topic::Events], shown).await == Waited::Nothing
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
            Ok(Some((journal.version()?, journal.events(&filter, cursor, ROWS)?)))
        })
        .await?;
    let Some((version, page)) = found else {
        return Err(Invalid::new("host", "no host of that name was ever in the fleet").into());
    };
    let fresh = held.map_or(0, |held| {
        let held = i64::try_from(held).unwrap_or(i64::MAX);
        page.rows.iter().filter(|row| row.id > held).count()
    });
    let here = match view.cursor {
        Some(cursor) => view.at(cursor),
        None => view.place("", ""),
    };
    let page = LogPage {
        frame: Frame::new(&web, &visitor, "log", "System log"),
        version: Shown::text(&web, version),
        address: here,
        chips: view.chips(),
        news: if fresh == 0 {
            String::new()
        } else {
            count(fresh, "new event", "new events")
        },
        newer: page.newer.map(|cursor| view.at(cursor)),
        older: page.older.map(|cursor| view.at(cursor)),
        newest: view.cursor.is_none(),
        filtered: view.is_filtered(),
        days: days(&page.rows, &clock),
        categories: picks(Category::ALL, Category::as_str, view.category),
        levels: picks(Level::ALL, Level::as_str, view.level),
        host: view.host.as_ref().map(ToString::to_string).unwrap_or_default(),
        action: view.action,
        actor: view.actor,
        since: view.since,
        until: view.until,
    };
    if shown.is_none() {
        return html(&page);
    }
    if held.is_none() {
        return html(&page.as_region());
    }
    let mut answer = html(&page.as_news())?;
    if let Ok(version) = HeaderValue::from_str(&page.version) {
        answer
            .headers_mut()
            .insert(HeaderName::from_static("quarterdeck-version"), version);
    }
    Ok(answer)
}

fn picks<T: Copy + PartialEq>(all: &[T], word: fn(T) -> &'static str, chosen: Option<T>) -> Vec<Pick> {
    all.iter()
        .map(|value| Pick {
            value: word(*value).to_owned(),
            text: word(*value).to_owned(),
            chosen: chosen == Some(*value),
        })
        .collect()
}

fn days(rows: &[EventRow], clock: &Clock) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for row in rows {
        let at = clock.when(row.timestamp);
        if days.last().is_none_or(|day| day.name != at.day) {
            days.push(Day {
                name: at.day.clone(),
                events: Vec::new(),
            });
        }
        let line = Line {
            id: row.id,
            at,
            level: words::level(row.level),
            by: row.actor.name().to_owned(),
            action: row.action.clone(),
            host: row.host.as_ref().map(ToString::to_string).unwrap_or_default(),
            message: clock.spoken(&row.message, row.timestamp),
            command: row.command_id.map(|id| id.to_string()),
            pipeline: row.pipeline_id.map(|id| id.to_string()),
        };
        if let Some(day) = days.last_mut() {
            day.events.push(line);
        }
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_cursor_is_refused_and_a_good_one_reads_back() {
        let clock = Clock::now(jiff::tz::TimeZone::UTC);
        let view = |query: &str| View::read(&Fields::query(query).expect("query"), &clock);
        assert_eq!(view("before=x").err().expect("no number").field, "before");
        assert_eq!(
            view("before=99999999999999999999").err().expect("too large").field,
            "before"
        );
        let good = view("level=warn&before=17").expect("view");
        assert_eq!(good.at(Cursor::Before(17)), "/log?level=warn&before=17");
        assert!(good.is_filtered());
    }
}
