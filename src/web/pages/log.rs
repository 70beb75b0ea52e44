//! The system log: who did what to what, when; newest first, live.
//!
//! A page that was scrolled down must not move: its poll says `hold`, and is answered with the number of
//! new rows alone.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{Actor, Category, CommandId, ExportOf, HostName, Invalid, Level, PipelineId, Timestamp};
use crate::store::{Cursor, EventFilter, EventRow, Indexed, SearchText, Selection, Topic};

use super::super::clock::Clock;
use super::super::error::Problem;
use super::super::fields::{Fields, to_query};
use super::super::frame::{Frame, html};
use super::super::live::{self, Shown, Waited};
use super::super::words::count;
use super::super::{Visitor, Web};
use super::archived::{Archived, Asked, taken};
use super::event::{Kept, Line};
use super::export::Places;
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
    take: Places,
    categories: Vec<Pick>,
    levels: Vec<Pick>,
    action: String,
    host: String,
    actor: String,
    since: String,
    until: String,
    command: String,
    pipeline: String,
    q: String,
    lags: Option<Indexed>,
    looked_back: Option<i64>,
    /// The list goes on behind what the table holds.
    beyond: Option<Archived>,
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

struct View {
    category: Option<Category>,
    level: Option<Level>,
    action: String,
    host: Option<HostName>,
    actor: String,
    since: String,
    until: String,
    command: Option<CommandId>,
    pipeline: Option<PipelineId>,
    q: Option<SearchText>,
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
        let (command, pipeline) = (fields.parse("command")?, fields.parse("pipeline")?);
        let q: Option<SearchText> = fields.parse("q")?;
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
                command,
                pipeline,
                text: q.clone(),
                host: None,
            },
            command,
            pipeline,
            q,
            cursor,
        })
    }

    fn place(&self, key: &str, cursor: &str) -> String {
        let id = |id: Option<String>| id.unwrap_or_default();
        let (command, pipeline) = (
            id(self.command.map(|id| id.to_string())),
            id(self.pipeline.map(|id| id.to_string())),
        );
        let query = to_query([
            ("q", self.q.as_ref().map_or("", SearchText::as_str)),
            ("category", self.category.map_or("", Category::as_str)),
            ("level", self.level.map_or("", Level::as_str)),
            ("action", &self.action),
            ("host", self.host.as_ref().map_or("", HostName::as_str)),
            ("actor", &self.actor),
            ("since", &self.since),
            ("until", &self.until),
            ("command", &command),
            ("pipeline", &pipeline),
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
        let plain = self.host.is_none()
            && self.actor.is_empty()
            && self.q.is_none()
            && self.command.is_none()
            && self.pipeline.is_none()
            && self.since.is_empty()
            && self.until.is_empty();
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

    /// Whether it is read from newer to older.
    fn goes_back(&self) -> bool {
        !matches!(self.cursor, Some(Cursor::After(_)))
    }

    fn is_filtered(&self) -> bool {
        self.place("", "") != "/log"
    }

    /// Where a range that was asked for, or the last page, reaches behind what the table holds.
    fn beyond(
        &self,
        web: &Web,
        reaches: Option<Timestamp>,
        is_last: bool,
        take: &Places,
        clock: &Clock,
    ) -> Option<Archived> {
        let reaches = reaches?;
        let asked = [self.filter.since, self.filter.until].into_iter().flatten().min();
        if !asked.map_or(is_last, |asked| asked <= reaches) {
            return None;
        }
        let since = clock.when(reaches).full;
        let text = format!("Events after {since} are all listed here; {}.", taken(web));
        let asked = Asked {
            since: &self.since,
            until: &self.until,
            host: self.host.as_ref().map_or("", HostName::as_str),
            actor: &self.actor,
            op: self.action.strip_prefix("op:").unwrap_or_default(),
        };
        Some(Archived::new(text, take, &asked))
    }
}

/// The events that a page's address asks for, and the host that they are about by its name.
pub(super) fn selection(fields: &Fields, clock: &Clock) -> Result<(Selection, Option<HostName>), Invalid> {
    let view = View::read(fields, clock)?;
    Ok((Selection::Events(view.filter), view.host))
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
    let indexed = match &view.q {
        Some(_) => Some(web.engine.indexed().await?),
        None => None,
    };
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
            let page = journal.events(&filter, cursor, ROWS)?;
            let kept = Kept::of(&page.rows, journal)?;
            Ok(Some((journal.version()?, page, kept, journal.reaches_back_to()?)))
        })
        .await?;
    let Some((version, page, kept, reaches)) = found else {
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
    // Fewer rows than fit, and a way on: the look was ended before its end.
    let looked_back = match page.older {
        Some(Cursor::Before(id)) if (page.rows.len() as i64) < ROWS && view.goes_back() => Some(id),
        Some(Cursor::Before(_) | Cursor::After(_)) | None => None,
    };
    let take = Places::of(ExportOf::Events, &view.place("", ""));
    let page = LogPage {
        beyond: view.beyond(&web, reaches, page.older.is_none(), &take, &clock),
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
        take,
        days: days(&page.rows, &kept, &clock),
        categories: picks(Category::ALL, Category::as_str, view.category),
        levels: picks(Level::ALL, Level::as_str, view.level),
        host: view.host.as_ref().map(ToString::to_string).unwrap_or_default(),
        action: view.action,
        actor: view.actor,
        since: view.since,
        until: view.until,
        command: view.command.map(|id| id.to_string()).unwrap_or_default(),
        pipeline: view.pipeline.map(|id| id.to_string()).unwrap_or_default(),
        q: view.q.map(|text| text.to_string()).unwrap_or_default(),
        lags: indexed.filter(|indexed| indexed.lags()),
        looked_back,
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
        assert_eq!(view("q=-+*").err().expect("no word").field, "q");
        let url = "/log?q=%22busy%20with%22&category=audit&actor=alice&since=2026-11-01&command=0193a5c2-1f60-7c3e-8a4b-5d6e7f809102";
        assert_eq!(view(&url[5..]).expect("view").place("", ""), url);
    }
}
