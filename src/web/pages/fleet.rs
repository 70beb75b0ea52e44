//! The fleet: is anything wrong, what runs, since when, by whom, and the bar to run an op from.

use actix_web::web::{Data, Form, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{CommandStatus, Reach, Span, Timestamp};
use crate::engine::Start;
use crate::store::{EventFilter, EventRow, FleetRow, Topic};

use super::super::clock::{Clock, When};
use super::super::error::Problem;
use super::super::fields::{Fields, to_query};
use super::super::frame::{Frame, html, html_with, see};
use super::super::live::{self, Shown, Waited};
use super::super::words::{self, Word, count};
use super::super::{Visitor, Web};
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
    ops: Vec<Choice>,
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
    os: String,
    state: Word,
    since: Option<When>,
    running: Option<String>,
    last: Option<Last>,
    needs: Vec<Word>,
    uptime: String,
    tags: Vec<String>,
    rank: Rank,
}

struct Last {
    id: String,
    op: String,
    status: Word,
    at: When,
}

/// The last restart that found something running, while it is news.
struct Restart {
    at: When,
    text: String,
}

/// How long a restart is news.
const NEWS: Span = Span::from_days(1);
/// Recovery's events that are looked at for it.
const RECOVERED: i64 = 500;

/// The order of the rows, and the filters of the top line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Attention,
    Running,
    Unreachable,
    Idle,
}

impl Rank {
    const ALL: [Self; 4] = [Self::Idle, Self::Running, Self::Unreachable, Self::Attention];

    fn word(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Running => "running",
            Self::Unreachable => "unreachable",
            Self::Idle => "idle",
        }
    }

    fn sentence(self, number: usize) -> String {
        match self {
            Self::Attention if number == 1 => "1 needs attention".to_owned(),
            Self::Attention => format!("{number} need attention"),
            Self::Running | Self::Unreachable | Self::Idle => format!("{number} {}", self.word()),
        }
    }

    fn tone(self, number: usize) -> &'static str {
        match self {
            Self::Attention if number > 0 => "bad",
            Self::Unreachable if number > 0 => "warn",
            Self::Running if number > 0 => "run",
            Self::Attention | Self::Running | Self::Unreachable | Self::Idle => "quiet",
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
            Rank::ALL
                .into_iter()
                .find(|rank| rank.word() == word)
                .ok_or_else(|| Problem::missing("That filter"))?,
        ),
    };
    if let Some(shown) = &shown
        && live::wait(&web, &[Topic::Hosts, Topic::Commands], shown).await == Waited::Nothing
    {
        return Ok(live::nothing());
    }
    let (version, fleet, recovered) = web
        .engine
        .reader()
        .read(|journal| {
            let recovery = EventFilter {
                action: Some("recovery".to_owned()),
                since: Some(Timestamp::now().minus(NEWS)),
                ..EventFilter::default()
            };
            let recovered = journal.events(&recovery, None, RECOVERED)?.rows;
            Ok((journal.version()?, journal.fleet()?, recovered))
        })
        .await?;
    let page = FleetPage::new(&web, &visitor, version, fleet, &recovered, chosen);
    if shown.is_some() {
        html(&page.as_region())
    } else {
        html(&page)
    }
}

impl FleetPage {
    fn new(
        web: &Web,
        visitor: &Visitor,
        version: i64,
        fleet: Vec<FleetRow>,
        recovered: &[EventRow],
        chosen: Option<Rank>,
    ) -> Self {
        let clock = web.clock();
        let restart = Restart::of(recovered, &fleet, &clock);
        let only_this_machine = match fleet.as_slice() {
            [one] if one.host.reach == Reach::Local => Some(one.host.hostname.to_string()),
            _ => None,
        };
        let first_try = fleet.iter().all(|row| row.open.is_none() && row.last.is_none());
        let mut rows: Vec<Row> = fleet.into_iter().map(|row| Row::new(row, &clock)).collect();
        rows.sort_by(|a, b| a.rank.cmp(&b.rank).then_with(|| a.name.cmp(&b.name)));
        let hosts = rows.len();
        let mut filters = vec![Filter {
            text: count(hosts, "host", "hosts"),
            place: "/".to_owned(),
            chosen: chosen.is_none(),
            tone: "all",
        }];
        filters.extend(Rank::ALL.into_iter().map(|rank| {
            let number = rows.iter().filter(|row| row.rank == rank).count();
            Filter {
                text: rank.sentence(number),
                place: format!("/{}", to_query([("show", rank.word())])),
                chosen: chosen == Some(rank),
                tone: rank.tone(number),
            }
        }));
        if let Some(rank) = chosen {
            rows.retain(|row| row.rank == rank);
        }
        Self {
            frame: Frame::new(web, visitor, "fleet", "Fleet"),
            version: Shown::text(web, version),
            address: format!("/{}", to_query([("show", chosen.map_or("", Rank::word))])),
            filters,
            restart,
            rows,
            hosts,
            only_this_machine,
            first_try,
            ops: choices(&web.engine.catalog()),
        }
    }
}

impl Restart {
    /// Recovery writes one event for each command that was executing, then one for the restart itself.
    fn of(recovered: &[EventRow], fleet: &[FleetRow], clock: &Clock) -> Option<Self> {
        let summary = recovered.iter().position(|event| event.command_id.is_none())?;
        let found = recovered
            .iter()
            .skip(summary + 1)
            .take_while(|event| event.command_id.is_some())
            .count();
        let open = fleet.iter().filter_map(|row| row.open.as_ref());
        let unknown = open.filter(|open| open.status == CommandStatus::Orphaned).count();
        if found == 0 {
            return None;
        }
        let settled = count(found.saturating_sub(unknown), "command was", "commands were");
        let text = match unknown {
            0 => format!("{settled} found again or settled"),
            _ => format!("{settled} found again or settled, {unknown} still being found out"),
        };
        Some(Self {
            at: clock.when(recovered.get(summary)?.timestamp),
            text,
        })
    }
}

impl Row {
    fn new(row: FleetRow, clock: &Clock) -> Self {
        let facts = row.facts.as_ref();
        let lost = facts.is_some_and(super::host::is_lost);
        let rank = match (&row.open, row.attention, lost) {
            (_, true, _) => Rank::Attention,
            (Some(_), ..) => Rank::Running,
            (None, _, true) => Rank::Unreachable,
            (None, ..) => Rank::Idle,
        };
        let (state, since) = super::host::state(facts, row.open.as_ref(), clock);
        Self {
            name: row.host.hostname.to_string(),
            os: facts
                .and_then(super::host::os)
                .unwrap_or_else(|| "not met yet".to_owned()),
            state,
            since,
            running: row.open.as_ref().map(|open| open.id.to_string()),
            last: row.last.as_ref().map(|last| Last {
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
            rank,
        }
    }
}

/// Runs one op on the chosen hosts; a dangerous one asks first.
pub(in crate::web) async fn run(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    form: Result<Form<Vec<(String, String)>>, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let form = form.map_err(|why| super::super::error::bad_form(&why))?;
    let fields = Fields::form(form.into_inner());
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
