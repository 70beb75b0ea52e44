//! The head of a report: the question that it answers, and who made it, when, from what.

use crate::domain::{Actor, ReportAsk, Span, Timestamp};
use crate::engine::ClockState;
use crate::store::ReportRow;
use crate::web::clock::Clock;
use crate::web::words::count;

use super::content::Making;

/// The report in one question.
pub(super) fn question(ask: &ReportAsk, clock: &Clock) -> String {
    let who = match &ask.actor {
        Some(actor) => format!("What did {} do", actor_words(actor)),
        None => "Who did what".to_owned(),
    };
    let place = match (&ask.host, &ask.tag) {
        (Some(host), Some(tag)) => format!(" on {host}, if it is tagged {tag},"),
        (Some(host), None) => format!(" on {host}"),
        (None, Some(tag)) => format!(" on hosts tagged {tag}"),
        (None, None) => " on any host".to_owned(),
    };
    let op = ask
        .op
        .as_ref()
        .map(|op| format!(" with the op {op}"))
        .unwrap_or_default();
    let end = match ask.status {
        Some(status) => format!("which of it ended as “{}”", status.name()),
        None => "how did it end".to_owned(),
    };
    format!(
        "{who}{place}{op} from {} to {}, and {end}?",
        stamp(ask.since, clock),
        stamp(ask.until, clock)
    )
}

fn actor_words(actor: &str) -> String {
    match actor.parse::<Actor>() {
        Ok(Actor::System) => "the dashboard itself".to_owned(),
        Ok(Actor::User(name)) => name,
        Ok(Actor::Token(name)) => format!("the program {name}"),
        Ok(Actor::Local(name)) => format!("{name} (account of the dashboard's machine)"),
        Err(_) => actor.to_owned(),
    }
}

/// `2026-11-23 14:02:11 CET`: for a sentence.
pub(super) fn stamp(at: Timestamp, clock: &Clock) -> String {
    clock.when(at).full
}

fn keeps(span: Option<Span>) -> String {
    match span {
        Some(span) => count(span.as_secs() / 86_400, "day", "days"),
        None => "for ever".to_owned(),
    }
}

pub(super) fn facts(row: &ReportRow, making: &Making, clock: &Clock) -> Vec<(&'static str, String)> {
    let ask = &row.parameters;
    let filters: Vec<String> = [
        ask.host.as_ref().map(|host| format!("host {host}")),
        ask.tag
            .as_ref()
            .map(|tag| format!("tag {tag} (hosts that have it now)")),
        ask.op.as_ref().map(|op| format!("op {op}")),
        ask.actor.as_ref().map(|actor| format!("actor {actor}")),
        ask.status.map(|status| format!("status “{}”", status.name())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let filters = if filters.is_empty() {
        "none: everything in the range".to_owned()
    } else {
        filters.join(", ")
    };
    let filters = match &ask.of {
        Some(of) => format!(
            "{filters}; a part of {of}, with the events that it knew: up to #{}",
            row.covers
        ),
        None => filters,
    };
    let from = row
        .address
        .as_ref()
        .map(|address| format!(", from {address}"))
        .unwrap_or_default();
    let synchronised = match making.clock {
        ClockState::Synchronised => "yes, the system says that it follows a time server",
        ClockState::Free => "NO: the system says that its clock follows no time server",
        ClockState::Unknown => "unknown: the system did not say whether its clock follows a time server",
    };
    vec![
        ("From", stamp(ask.since, clock)),
        ("To", format!("{} (not included)", stamp(ask.until, clock))),
        ("Time zone", format!("{}; the journal itself is in UTC", clock.zone())),
        ("Filters", filters),
        ("Made by", format!("{}{from}", row.made_by)),
        ("Made at", stamp(row.made_at, clock)),
        (
            "Software",
            format!("Quarterdeck {}, dashboard {}", making.version, making.dashboard),
        ),
        (
            "Retention",
            format!(
                "events {}, commands and pipelines {}",
                keeps(making.keeps_events),
                keeps(making.keeps_commands)
            ),
        ),
        ("Clock synchronised", synchronised.to_owned()),
        ("Paper", row.paper.name().to_owned()),
    ]
}

/// The zone's offset, where no clock was changed from the beginning of the range up to when the report was made.
pub(super) fn same_offset(ask: &ReportAsk, made: Timestamp, clock: &Clock) -> Option<String> {
    let until = ask.until.max(made).as_jiff();
    let mut changes = clock.zone.following(ask.since.as_jiff());
    if changes.next().is_some_and(|change| change.timestamp() <= until) {
        return None;
    }
    let at = ask.since.as_jiff().to_zoned(clock.zone.clone());
    Some(at.strftime("%Z, UTC%:z").to_string())
}
