//! The form that asks for a report, and how its fields are read.

use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use jiff::ToSpan as _;

use super::super::history::Pick;
use super::known;
use crate::domain::{CommandStatus, Invalid, Paper, ReportAsk, ReportNumber, Timestamp};
use crate::engine::EngineError;
use crate::web::clock::{Clock, When};
use crate::web::error::Problem;
use crate::web::fields::{Fields, Wrong, sentence};
use crate::web::frame::{Frame, html, html_with};
use crate::web::{Visitor, Web};

#[derive(Template)]
#[template(path = "report/form.html")]
struct AuditPage {
    frame: Frame,
    since: String,
    until: String,
    host: String,
    tag: String,
    op: String,
    actor: String,
    events: bool,
    excerpts: bool,
    definitions: bool,
    ranges: Vec<Pick>,
    statuses: Vec<Pick>,
    ops: Vec<Pick>,
    pipelines: Vec<Pick>,
    papers: Vec<Pick>,
    reviews: Vec<Reviewed>,
    /// Events since the last review.
    unreviewed: Option<i64>,
    wrong: Option<Wrong>,
    /// What is wrong where the form has no field for it.
    problem: Option<String>,
}

struct Reviewed {
    up_to: i64,
    by: String,
    at: When,
    number: String,
    /// It looked at a part of the range only.
    filtered: bool,
}

/// The ranges that can be chosen with one click.
const RANGES: [(&str, &str); 5] = [
    ("today", "Today, up to now"),
    ("yesterday", "Yesterday"),
    ("week", "The last 7 days: today, up to now, and the 6 days before"),
    ("month", "This month, up to now"),
    ("custom", "From … to …"),
];
/// The fields that the form has a place for what is wrong with them.
const FIELDS: [&str; 10] = [
    "range", "since", "until", "host", "tag", "op", "actor", "status", "coverage", "paper",
];

/// The form; filled in with what its address names.
pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    html(&AuditPage::new(&web, &visitor, &fields, None).await?)
}

/// The form as it was sent, with what is wrong with it.
pub(super) async fn again(
    web: &Web,
    visitor: &Visitor,
    fields: &Fields,
    wrong: Invalid,
) -> Result<HttpResponse, Problem> {
    let page = AuditPage::new(web, visitor, fields, Some(&wrong)).await?;
    html_with(Problem::from(wrong).status(), &page)
}

impl AuditPage {
    async fn new(web: &Web, visitor: &Visitor, fields: &Fields, wrong: Option<&Invalid>) -> Result<Self, Problem> {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        let is_custom = ["since", "until"].iter().any(|name| fields.text(name).is_some());
        let range = fields
            .text("range")
            .unwrap_or(if is_custom { "custom" } else { "week" });
        // Nothing is ticked in a form that came back but what was ticked there.
        let ticked = |name: &str, at_first: bool| match wrong {
            Some(_) => fields.text(name).is_some(),
            None => at_first,
        };
        let (reviews, newest) = web
            .engine
            .reader()
            .read(|journal| Ok((journal.last_reviews(5)?, journal.newest_event()?)))
            .await?;
        let clock = web.clock();
        let catalog = web.engine.catalog();
        let pick = |field: &str, value: &str, text: &str| Pick {
            value: value.to_owned(),
            text: text.to_owned(),
            chosen: fields.text(field) == Some(value),
        };
        let (here, elsewhere) = wrong.map_or((None, None), |wrong| {
            if FIELDS.contains(&wrong.field.as_str()) {
                (Some(Wrong::from(wrong)), None)
            } else {
                (None, Some(sentence(wrong)))
            }
        });
        Ok(Self {
            frame: Frame::new(web, visitor, "audit", "Audit"),
            since: text("since"),
            until: text("until"),
            host: text("host"),
            tag: text("tag"),
            op: text("op"),
            actor: text("actor"),
            events: ticked("events", true),
            excerpts: ticked("excerpts", false),
            definitions: ticked("definitions", true),
            ranges: RANGES
                .iter()
                .map(|(value, text)| Pick {
                    chosen: *value == range,
                    ..pick("range", value, text)
                })
                .collect(),
            statuses: CommandStatus::ALL
                .iter()
                .map(|status| pick("status", status.as_str(), status.name()))
                .collect(),
            ops: catalog
                .iter()
                .map(|op| pick("coverage", op.id.as_str(), op.id.as_str()))
                .collect(),
            pipelines: catalog
                .pipelines()
                .map(|pipeline| pick("coverage", pipeline.id.as_str(), pipeline.id.as_str()))
                .collect(),
            papers: Paper::ALL
                .iter()
                .map(|paper| pick("paper", paper.as_str(), paper.name()))
                .collect(),
            unreviewed: reviews
                .iter()
                .filter(|(_, _, ask)| !ask.is_filtered())
                .map(|(review, ..)| review.up_to)
                .max()
                .map(|up_to| newest - up_to),
            reviews: reviews
                .into_iter()
                .map(|(review, number, ask)| Reviewed {
                    filtered: ask.is_filtered(),
                    up_to: review.up_to,
                    by: review.reviewed_by.to_string(),
                    at: clock.when(review.reviewed_at),
                    number: number.to_string(),
                })
                .collect(),
            wrong: here,
            problem: elsewhere,
        })
    }
}

/// What a report is asked for: by its fields, or as another part of an earlier one.
pub(in crate::web) async fn read(fields: &Fields, web: &Web) -> Result<ReportAsk, EngineError> {
    if fields.text("up_to").is_some() {
        let problem = "is not taken: a report knows every event of its range; another part of one names that in “of”";
        return Err(Invalid::new("up_to", problem).into());
    }
    let part = fields.number("part")?.unwrap_or(1);
    let part = u32::try_from(part).ok().filter(|part| *part > 0);
    let part = part.ok_or_else(|| Invalid::new("part", "is a number from 1 on"))?;
    let paper = fields.parse("paper")?;
    if let Some(number) = fields.parse::<ReportNumber>("of")? {
        return part_of(number, part, paper, fields, web).await;
    }
    let clock = web.clock();
    let (since, until) = range(fields, &clock)?;
    let actor = match fields.text("actor") {
        None => None,
        Some(text) => Some(known::actor(text, &web.engine).await?),
    };
    let ask = ReportAsk {
        since,
        until,
        host: fields.parse("host")?,
        tag: fields.parse("tag")?,
        op: fields.parse("op")?,
        actor,
        status: fields.parse("status")?,
        events: fields.text("events").is_some(),
        excerpts: fields.text("excerpts").is_some(),
        definitions: fields.text("definitions").is_some(),
        coverage: fields.parse("coverage")?,
        paper: paper.unwrap_or(Paper::A4),
        part,
        up_to: None,
        of: None,
    };
    known::check(&ask, &web.engine).await?;
    Ok(ask)
}

/// A part of an earlier report, with its range and filters, and the events that it knew.
async fn part_of(
    number: ReportNumber,
    part: u32,
    paper: Option<Paper>,
    fields: &Fields,
    web: &Web,
) -> Result<ReportAsk, EngineError> {
    let also = fields
        .pairs()
        .find(|(name, _)| !["of", "part", "paper", "form_token"].contains(name));
    if let Some((name, _)) = also {
        let problem = "is given beside “of”; an earlier report brings its own range and filters";
        return Err(Invalid::new(name, problem).into());
    }
    let row = web.engine.reader().read(move |journal| journal.report(number)).await?;
    let row = row.filter(|row| row.digest.is_some());
    let row = row.ok_or_else(|| Invalid::new("of", "no report of that number was ever whole"))?;
    Ok(ReportAsk {
        part,
        paper: paper.unwrap_or(row.paper),
        up_to: Some(row.covers),
        of: Some(row.parameters.of.clone().unwrap_or_else(|| row.number.to_string())),
        ..row.parameters
    })
}

/// The range that was chosen, in the zone of the pages.
fn range(fields: &Fields, clock: &Clock) -> Result<(Timestamp, Timestamp), Invalid> {
    let range = fields.text("range").ok_or_else(|| {
        Invalid::new(
            "range",
            "is missing; choose one: today, yesterday, week, month or custom",
        )
    })?;
    let typed = |name: &str| fields.text(name).map(|text| clock.read(name, text)).transpose();
    let (since, until) = match range {
        "custom" => {
            let since = typed("since")?.ok_or_else(|| Invalid::new("since", "is missing"))?;
            let until = typed("until")?;
            if until.is_none() && since >= clock.now {
                return Err(Invalid::new("since", "is not before now; nothing can lie between"));
            }
            (since, until.unwrap_or(clock.now))
        }
        named => named_range(named, clock)?,
    };
    if since >= until {
        return Err(Invalid::new("until", "is not after From; nothing can lie between"));
    }
    Ok((since, until))
}

fn named_range(name: &str, clock: &Clock) -> Result<(Timestamp, Timestamp), Invalid> {
    let now = clock.now.as_jiff().to_zoned(clock.zone.clone());
    let wrong = |_| Invalid::new("range", "lies beyond what a calendar can say");
    let today = now.start_of_day().map_err(wrong)?;
    let instant = |day: &jiff::Zoned| Timestamp::from_micros(day.timestamp().as_microsecond());
    let back = |days: i64| {
        let day = today.date().checked_sub(days.days()).map_err(wrong)?;
        day.to_zoned(clock.zone.clone()).map_err(wrong)
    };
    Ok(match name {
        "today" => (instant(&today), clock.now),
        "yesterday" => (instant(&back(1)?), instant(&today)),
        "week" => (instant(&back(6)?), clock.now),
        "month" => {
            let first = today
                .date()
                .first_of_month()
                .to_zoned(clock.zone.clone())
                .map_err(wrong)?;
            (instant(&first), clock.now)
        }
        other => {
            let problem = format!(
                "“{}” is none of today, yesterday, week, month, custom",
                crate::domain::bounded(other, 40)
            );
            return Err(Invalid::new("range", problem));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock: &Clock, query: &str) -> Result<(String, String), Invalid> {
        let (since, until) = range(&Fields::query(query)?, clock)?;
        Ok((since.to_rfc3339(), until.to_rfc3339()))
    }

    #[test]
    fn ranges_are_days_of_the_pages_zone() {
        // The hour after midnight in Vienna, two days after its clocks were set back.
        let clock = Clock {
            zone: jiff::tz::TimeZone::get("Europe/Vienna").expect("zone"),
            now: "2026-10-26 23:30:00".parse().expect("time"),
        };
        let now = "2026-10-26T23:30:00.000000Z".to_owned();
        let day = |text: &str| format!("{text}:00:00.000000Z");
        for (query, since, until) in [
            ("range=today", "2026-10-26T23", &now),
            ("range=week", "2026-10-20T22", &now),
            ("range=month", "2026-09-30T22", &now),
            ("range=yesterday", "2026-10-25T23", &day("2026-10-26T23")),
            (
                "range=custom&since=2026-10-24&until=2026-10-26",
                "2026-10-23T22",
                &day("2026-10-25T23"),
            ),
        ] {
            assert_eq!(at(&clock, query).expect(query), (day(since), until.clone()), "{query}");
        }
        for (query, field) in [
            ("", "range"),
            ("range=ever", "range"),
            ("range=custom", "since"),
            ("range=custom&since=soon", "since"),
            ("range=custom&since=2026-10-25&until=2026-10-25", "until"),
            ("range=custom&since=2126-10-25", "since"),
        ] {
            assert_eq!(at(&clock, query).expect_err(query).field, field, "{query}");
        }
    }
}
