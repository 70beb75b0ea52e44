//! The fleet: is anything wrong, what runs, since when, by whom, and the bar to run an op from.

use actix_web::http::StatusCode;
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{Ask, CommandStatus, On, Reach};
use crate::engine::Start;
use crate::store::{FleetRow, Topic};

use super::super::clock::{Clock, When};
use super::super::error::Problem;
use super::super::fields::{Fields, Wrong, to_query};
use super::super::frame::{Frame, html, html_with, see};
use super::super::live::{self, Shown, Waited};
use super::super::words::{self, Word, count};
use super::super::{Visitor, Web};
use super::restart::{Past, Restart};
use super::run::{Choice, Confirm, choices};

#[derive(Template)]
#[template(path = "fleet/fleet.html", blocks = ["region"])]
struct FleetPage {
    frame: Frame,
    version: String,
    address: String,
    filters: Vec<Filter>,
    restart: Option<Restart>,
    rows: Vec<Row>,
    hosts: usize,
    only_this_machine: Option<String>,
    first_try: bool,
    /// Whether ops may be run on any host that is shown.
    runs: bool,
    try_it: Option<u32>,
    ops: Vec<Choice>,
    form: HostForm,
    wrong: Option<Wrong>,
}

/// What somebody filled in to add a host; empty at first.
#[derive(Default)]
struct HostForm {
    address: String,
    name: String,
    tags: String,
    run_as: String,
}

/// One part of the top line.
struct Filter {
    text: String,
    place: String,
    chosen: bool,
    tone: &'static str,
}

struct Row {
    name: String,
    /// Whether ops may be run there.
    mine: bool,
    os: String,
    state: Word,
    since: Option<When>,
    running: Option<String>,
    last: Option<Last>,
    needs: Vec<Word>,
    uptime: String,
    tags: Vec<String>,
    state_of: Part,
    attention: bool,
}

struct Last {
    id: String,
    op: String,
    status: Word,
    at: When,
}

/// The parts of the top line, each a filter of the rows that it counts. Every host is in one of the others;
/// what needs attention is counted besides, whatever its host does now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Attention,
    Running,
    Unreachable,
    NotMet,
    Idle,
}

impl Part {
    const ALL: [Self; 5] = [
        Self::Idle,
        Self::Running,
        Self::Unreachable,
        Self::NotMet,
        Self::Attention,
    ];

    fn key(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Running => "running",
            Self::Unreachable => "unreachable",
            Self::NotMet => "not-met",
            Self::Idle => "idle",
        }
    }

    fn sentence(self, number: usize) -> String {
        match self {
            Self::Attention if number == 1 => "1 needs attention".to_owned(),
            Self::Attention => format!("{number} need attention"),
            Self::NotMet => format!("{number} not met yet"),
            Self::Running | Self::Unreachable | Self::Idle => format!("{number} {}", self.key()),
        }
    }

    fn tone(self, number: usize) -> &'static str {
        match self {
            Self::Attention if number > 0 => "bad",
            Self::Unreachable if number > 0 => "warn",
            Self::Running if number > 0 => "run",
            Self::Attention | Self::Running | Self::Unreachable | Self::NotMet | Self::Idle => "quiet",
        }
    }

    fn has(self, row: &Row) -> bool {
        match self {
            Self::Attention => row.attention,
            Self::Running | Self::Unreachable | Self::NotMet | Self::Idle => row.state_of == self,
        }
    }
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let shown = Shown::of(&fields)?;
    let chosen = match fields.text("show") {
        None => None,
        Some(word) => Some(
            Part::ALL
                .into_iter()
                .find(|part| part.key() == word)
                .ok_or_else(|| Problem::missing("That filter"))?,
        ),
    };
    if let Some(shown) = &shown
        && live::wait(&web, &[Topic::Hosts, Topic::Commands], shown).await == Waited::Nothing
    {
        return Ok(live::nothing());
    }
    let page = FleetPage::read(&web, &visitor, chosen).await?;
    if shown.is_some() {
        html(&page.as_region())
    } else {
        html(&page)
    }
}

/// The page once more, with the form to add a host as it was filled in, and what is wrong beside its field.
pub(super) async fn with_form(
    web: &Web,
    visitor: &Visitor,
    fields: &Fields,
    wrong: Wrong,
    status: StatusCode,
) -> Result<HttpResponse, Problem> {
    let mut page = FleetPage::read(web, visitor, None).await?;
    let text = |name: &str| fields.owned(name).unwrap_or_default();
    page.form = HostForm {
        address: text("address"),
        name: text("name"),
        tags: text("tags"),
        run_as: text("run_as"),
    };
    page.wrong = Some(wrong);
    html_with(status, &page)
}

impl FleetPage {
    async fn read(web: &Web, visitor: &Visitor, chosen: Option<Part>) -> Result<Self, Problem> {
        let (version, fleet, past) = web
            .engine
            .reader()
            .read(|journal| Ok((journal.version()?, journal.fleet()?, Past::read(journal)?)))
            .await?;
        Ok(Self::new(web, visitor, version, fleet, &past, chosen))
    }

    fn new(
        web: &Web,
        visitor: &Visitor,
        version: i64,
        fleet: Vec<FleetRow>,
        past: &Past,
        chosen: Option<Part>,
    ) -> Self {
        let clock = web.clock();
        let restart = Restart::of(past, &fleet, &clock);
        let only_this_machine = match fleet.as_slice() {
            [one] if one.host.reach == Reach::Local => Some(one.host.hostname.to_string()),
            _ => None,
        };
        let first_try = fleet.iter().all(|row| row.open.is_none() && row.last.is_none());
        let begun = fleet.iter().any(|row| {
            let good = row
                .last
                .as_ref()
                .is_some_and(|last| last.status == CommandStatus::Success);
            good || row
                .open
                .as_ref()
                .is_some_and(|open| open.status == CommandStatus::Executing)
        });
        let try_it = (begun && past.young && restart.is_none()).then(std::process::id);
        let mut rows: Vec<Row> = fleet.into_iter().map(|row| Row::new(row, visitor, &clock)).collect();
        rows.sort_by(|a, b| a.order().cmp(&b.order()));
        let hosts = rows.len();
        let mut filters = vec![Filter {
            text: count(hosts, "host", "hosts"),
            place: "/".to_owned(),
            chosen: chosen.is_none(),
            tone: "all",
        }];
        for part in Part::ALL {
            let number = rows.iter().filter(|row| part.has(row)).count();
            if part == Part::NotMet && number == 0 && chosen != Some(part) {
                continue;
            }
            filters.push(Filter {
                text: part.sentence(number),
                place: format!("/{}", to_query([("show", part.key())])),
                chosen: chosen == Some(part),
                tone: part.tone(number),
            });
        }
        if let Some(part) = chosen {
            rows.retain(|row| part.has(row));
        }
        let runs = rows.iter().any(|row| row.mine);
        Self {
            frame: Frame::new(web, visitor, "fleet", "Fleet"),
            version: Shown::text(web, version),
            address: format!("/{}", to_query([("show", chosen.map_or("", Part::key))])),
            filters,
            restart,
            rows,
            hosts,
            only_this_machine,
            first_try,
            runs,
            try_it,
            ops: choices(&web.engine.catalog(), visitor.may(Ask::RunDangerous)),
            form: HostForm::default(),
            wrong: None,
        }
    }
}

impl Row {
    fn new(row: FleetRow, visitor: &Visitor, clock: &Clock) -> Self {
        let facts = row.facts.as_ref();
        let lost = facts.is_some_and(super::host::is_lost);
        let met = facts.is_some_and(|facts| facts.reachable.is_some());
        let state_of = match &row.open {
            Some(_) => Part::Running,
            None if lost => Part::Unreachable,
            None if !met => Part::NotMet,
            None => Part::Idle,
        };
        let (state, since) = super::host::state(facts, row.open.as_ref(), clock);
        Self {
            mine: visitor.may_on(Ask::Run, On::Host(&row.host.hostname, &row.host.tags)),
            name: row.host.hostname.to_string(),
            os: facts
                .and_then(super::host::os)
                .unwrap_or_else(|| "not met yet".to_owned()),
            state,
            since,
            running: row.open.as_ref().map(|open| open.id.to_string()),
            // Where nothing ever ran, what was refused last is all there is to say.
            last: row.last.as_ref().or(row.refused.as_ref()).map(|last| Last {
                id: last.id.to_string(),
                op: last.op.to_string(),
                status: words::status(last, clock),
                at: clock.when(last.finished_at.unwrap_or(last.created_at)),
            }),
            needs: facts.map(words::needs).unwrap_or_default(),
            uptime: facts
                .and_then(super::host::booted)
                .map(|booted| words::uptime(booted, clock.now))
                .unwrap_or_default(),
            tags: row.host.tags.iter().map(ToString::to_string).collect(),
            state_of,
            attention: row.attention,
        }
    }

    /// What needs a look first, then by what the host does now, then by name.
    fn order(&self) -> (bool, Part, &str) {
        (!self.attention, self.state_of, &self.name)
    }
}

/// Runs one op on the chosen hosts; a dangerous one asks first.
pub(in crate::web) async fn run(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let mut hosts: Vec<String> = fields.many("host").map(str::to_owned).collect();
    hosts.sort();
    hosts.dedup();
    let op = fields
        .owned("op")
        .ok_or_else(|| crate::domain::Invalid::new("op", "none was chosen; choose what to run"))?;
    if hosts.is_empty() {
        return Err(crate::domain::Invalid::new("hosts", "none was chosen; tick one or more in the list").into());
    }
    let reason = fields.owned("reason");
    if let Some((status, confirm)) = Confirm::needed(&web, &visitor, &fields, &op, &hosts).await? {
        return html_with(status, &confirm);
    }
    let commands = web
        .engine
        .start(
            Start {
                op: op.clone(),
                hosts,
                reason,
            },
            visitor.by(),
        )
        .await?;
    // On several hosts it is a pipeline of one stage: its page has all of them.
    let place = match commands.first() {
        Some(first) => match first.pipeline_id {
            Some(pipeline) => format!("/pipelines/{pipeline}"),
            None => format!("/commands/{}", first.id),
        },
        None => "/pipelines".to_owned(),
    };
    Ok(see(&place))
}
