//! The form that asks for a report, and how its fields are read.

use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use jiff::ToSpan as _;

use super::super::history::Pick;
use crate::domain::{Actor, CommandStatus, Invalid, Paper, ReportAsk, Timestamp};
use crate::engine::EngineError;
use crate::web::clock::{Clock, When};
use crate::web::error::Problem;
use crate::web::fields::Fields;
use crate::web::frame::{Frame, html};
use crate::web::{Visitor, Web};

#[derive(Template)]
#[template(path = "report/form.html")]
struct AuditPage {
    frame: Frame,
    since: String,
    until: String,
    host: String,
    op: String,
    actor: String,
    ranges: Vec<Pick>,
    statuses: Vec<Pick>,
    ops: Vec<Pick>,
    pipelines: Vec<Pick>,
    papers: Vec<Pick>,
    reviews: Vec<Reviewed>,
    /// Events since the last review.
    unreviewed: Option<i64>,
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
    ("week", "The last 7 days, up to now"),
    ("month", "This month, up to now"),
    ("custom", "From … to …"),
];

/// The form; filled in with what its address names.
pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let text = |name: &str| fields.owned(name).unwrap_or_default();
    let is_custom = ["since", "until"].iter().any(|name| fields.text(name).is_some());
    let range = if is_custom { "custom" } else { "week" };
    let (reviews, newest) = web
        .engine
        .reader()
        .read(|journal| Ok((journal.last_reviews(5)?, journal.newest_event()?)))
        .await?;
    let clock = web.clock();
    let catalog = web.engine.catalog();
    let pick = |value: &str, text: &str, chosen: bool| Pick {
        value: value.to_owned(),
        text: text.to_owned(),
        chosen,
    };
    html(&AuditPage {
        frame: Frame::new(&web, &visitor, "audit", "Audit"),
        since: text("since"),
        until: text("until"),
        host: text("host"),
        op: text("op"),
        actor: text("actor"),
        ranges: RANGES
            .iter()
            .map(|(value, text)| pick(value, text, *value == range))
            .collect(),
        statuses: CommandStatus::ALL
            .iter()
            .map(|status| pick(status.as_str(), status.name(), false))
            .collect(),
        ops: catalog
            .iter()
            .map(|op| pick(op.id.as_str(), op.id.as_str(), false))
            .collect(),
        pipelines: catalog
            .pipelines()
            .map(|pipeline| pick(pipeline.id.as_str(), pipeline.id.as_str(), false))
            .collect(),
        papers: Paper::ALL
            .iter()
            .map(|paper| pick(paper.as_str(), paper.name(), *paper == Paper::A4))
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
    })
}

/// What a report is asked for.
pub(in crate::web) async fn read(fields: &Fields, web: &Web) -> Result<ReportAsk, EngineError> {
    let clock = web.clock();
    let (since, until) = range(fields, &clock)?;
    let actor = match fields.text("actor") {
        None => None,
        Some(text) => Some(actor(web, text).await?),
    };
    let part = fields.number("part")?.unwrap_or(1);
    let part = u32::try_from(part).ok().filter(|part| *part > 0);
    let up_to = fields.number("up_to")?.map(|id| i64::try_from(id).unwrap_or(i64::MAX));
    Ok(ReportAsk {
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
        paper: fields.parse("paper")?.unwrap_or(Paper::A4),
        part: part.ok_or_else(|| Invalid::new("part", "is a number from 1 on"))?,
        up_to,
    })
}

/// A bare name is a user's, where there is one of that name.
async fn actor(web: &Web, text: &str) -> Result<String, EngineError> {
    let name = text.to_owned();
    let user = web.engine.reader().read(move |journal| journal.user(&name)).await?;
    let asked = match user {
        Some(user) => Actor::User(user.name).to_string(),
        None => Actor::asked(text),
    };
    asked
        .parse::<Actor>()
        .map_err(|why| Invalid::new("actor", why.problem))?;
    Ok(asked)
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
            (since, typed("until")?.unwrap_or(clock.now))
        }
        named => named_range(named, clock)?,
    };
    if since >= until {
        return Err(Invalid::new(
            "until",
            "is not after its beginning; nothing can lie between",
        ));
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
        "week" => (instant(&back(7)?), clock.now),
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

/// The fields that ask for the same again.
pub(super) fn fields_of(ask: &ReportAsk) -> Vec<(&'static str, String)> {
    let yes = |given: bool| if given { "yes".to_owned() } else { String::new() };
    let text = |value: Option<String>| value.unwrap_or_default();
    let fields = vec![
        ("range", "custom".to_owned()),
        ("since", ask.since.to_rfc3339()),
        ("until", ask.until.to_rfc3339()),
        ("host", text(ask.host.as_ref().map(ToString::to_string))),
        ("tag", text(ask.tag.as_ref().map(ToString::to_string))),
        ("op", text(ask.op.as_ref().map(ToString::to_string))),
        ("actor", text(ask.actor.clone())),
        ("status", text(ask.status.map(|status| status.to_string()))),
        ("events", yes(ask.events)),
        ("excerpts", yes(ask.excerpts)),
        ("definitions", yes(ask.definitions)),
        ("coverage", text(ask.coverage.as_ref().map(ToString::to_string))),
        ("paper", ask.paper.to_string()),
        ("part", ask.part.to_string()),
        ("up_to", text(ask.up_to.map(|up_to| up_to.to_string()))),
    ];
    fields.into_iter().filter(|(_, value)| !value.is_empty()).collect()
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
            ("range=week", "2026-10-19T22", &now),
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
        ] {
            assert_eq!(at(&clock, query).expect_err(query).field, field, "{query}");
        }
    }
}
