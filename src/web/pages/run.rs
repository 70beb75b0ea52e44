//! The ladder of danger: a plain op is one click; a dangerous one names what it interrupts; a dangerous
//! one on several hosts wants their number typed.

use actix_web::http::StatusCode;
use askama::Template;

use crate::domain::{Ask, Catalog, Decision, Expect, On, Reach};
use crate::store::{FleetRow, Journal};

use super::super::error::Problem;
use super::super::fields::Fields;
use super::super::frame::Frame;
use super::super::words::{self, count};
use super::super::{Visitor, Web};

/// One op in a select.
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) description: String,
    pub(super) dangerous: bool,
}

/// The ops that may be chosen; `dangerous` ones where those may be run.
pub(super) fn choices(catalog: &Catalog, dangerous: bool) -> Vec<Choice> {
    let mut choices: Vec<Choice> = catalog
        .iter()
        .filter(|op| dangerous || !op.dangerous)
        .map(|op| Choice {
            id: op.id.to_string(),
            label: op.label().to_owned(),
            description: op.description.clone(),
            dangerous: op.dangerous,
        })
        .collect();
    // What is read-only and known to everybody comes first, what can hurt last.
    choices.sort_by_key(|choice| (choice.dangerous, choice.id != "uptime", choice.id.clone()));
    choices
}

#[derive(Template)]
#[template(path = "fleet/confirm.html")]
pub(super) struct Confirm {
    frame: Frame,
    op: String,
    label: String,
    description: String,
    reboots: bool,
    hosts: Vec<Touched>,
    count: usize,
    several: bool,
    reason: String,
    wrong: Option<String>,
}

/// A host that a dangerous op is about to touch, and what it would interrupt there.
struct Touched {
    name: String,
    interrupts: String,
    warning: Option<&'static str>,
    busy: bool,
}

impl Confirm {
    /// The page that asks, where the op wants one and the form does not carry the answer yet.
    pub(super) async fn needed(
        web: &Web,
        visitor: &Visitor,
        fields: &Fields,
        op: &str,
        hosts: &[String],
    ) -> Result<Option<(StatusCode, Self)>, Problem> {
        let catalog = web.engine.catalog();
        let Some(op) = catalog.get(op).filter(|op| op.dangerous) else {
            return Ok(None);
        };
        let asked = fields.text("sure").is_some();
        let typed = fields.text("count");
        let several = hosts.len() > 1;
        let agrees = !several || typed == Some(hosts.len().to_string().as_str());
        if asked && agrees {
            return Ok(None);
        }
        let fleet = web.engine.reader().read(Journal::fleet).await?;
        for row in fleet.iter().map(|row| &row.host) {
            let on = On::Host(&row.hostname, &row.tags);
            if hosts.contains(&row.hostname.to_string())
                && let Decision::Denied(why) = visitor.by().access.may(Ask::RunDangerous, on)
            {
                return Err(Problem::not_allowed(why));
            }
        }
        let clock = web.clock();
        let hosts: Vec<Touched> = hosts
            .iter()
            .map(|name| {
                let row = fleet.iter().find(|row| row.host.hostname.to_string() == *name);
                Touched {
                    name: name.clone(),
                    warning: row.and_then(|row| warning(row, op.expect == Expect::Reboot)),
                    interrupts: row.map_or_else(|| "not in the fleet".to_owned(), |row| interrupts(row, &clock)),
                    busy: row.is_some_and(|row| row.open.is_some()),
                }
            })
            .collect();
        let (status, wrong) = if asked {
            let wrong = format!("Type {} to go on: that is how many hosts are chosen.", hosts.len());
            (StatusCode::BAD_REQUEST, Some(wrong))
        } else {
            (StatusCode::OK, None)
        };
        let title = format!("{} on {}?", op.label(), count(hosts.len(), "host", "hosts"));
        Ok(Some((
            status,
            Self {
                frame: Frame::new(web, visitor, "fleet", title),
                op: op.id.to_string(),
                label: op.label().to_owned(),
                description: op.description.clone(),
                reboots: op.expect == Expect::Reboot,
                count: hosts.len(),
                several,
                hosts,
                reason: fields.owned("reason").unwrap_or_default(),
                wrong,
            },
        )))
    }
}

/// What somebody should know before this op touches that very host.
fn warning(row: &FleetRow, reboots: bool) -> Option<&'static str> {
    if row.facts.as_ref().is_some_and(super::host::is_lost) {
        return Some("It cannot be reached now: the op will most likely be refused.");
    }
    match (&row.host.reach, reboots) {
        (Reach::Local, true) => Some(
            "This is the dashboard's own machine: the dashboard goes down with it, and comes back only if something starts it.",
        ),
        (Reach::Local, false) => Some("This is the dashboard's own machine."),
        (Reach::Ssh { .. }, _) => None,
    }
}

fn interrupts(row: &FleetRow, clock: &super::super::clock::Clock) -> String {
    if let Some(open) = &row.open {
        let took = words::took(open, clock.now).unwrap_or_else(|| "0.0 s".to_owned());
        return format!(
            "{} runs there for {took}, by {}; this op will be refused until it has ended",
            open.op,
            open.actor.name().to_owned()
        );
    }
    let up = row
        .facts
        .as_ref()
        .and_then(super::host::booted)
        .map(|booted| format!("; up for {}", words::uptime(booted, clock.now)))
        .unwrap_or_default();
    format!("no op runs there{up}")
}
