//! One host: how it is reached, what it said of itself, what ran there, and what can be done with it.

use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{Ask, HostName, Invalid, On, Reach, RunAs, Span, SpoolDir, Tag, Timestamp};
use crate::engine::Tested;
use crate::store::{CommandRow, FactsRow, FleetRow, HistoryFilter, HostRow, Journal, NewHost, ReadError, Topic};

use super::super::clock::{Clock, When};
use super::super::error::Problem;
use super::super::fields::{Fields, Wrong, to_query};
use super::super::frame::{Frame, html, html_with, see};
use super::super::live::{self, Shown, Waited};
use super::super::words::{self, Word};
use super::super::{Visitor, Web};
use super::history_line::Line;
use super::host_key::KeyView;
use super::run::{Choice, choices};
use super::ticks::{Failed, Tick, ticks};

/// Commands on a host's own page; the history has the rest.
const LATEST: i64 = 20;

#[derive(Template)]
#[template(path = "host/host.html", blocks = ["region"])]
struct HostPage {
    frame: Frame,
    version: String,
    name: String,
    removed: Option<When>,
    automatic: bool,
    reach: String,
    run_as: String,
    spool: String,
    tags: String,
    added: When,
    state: Word,
    since: Option<When>,
    running: Option<String>,
    facts: Option<FactsView>,
    ticks: Vec<Tick>,
    key: Option<KeyView>,
    wrong: Option<Wrong>,
    needs: Vec<Word>,
    lines: Vec<Line>,
    more: bool,
    history: String,
    ops: Vec<Choice>,
    /// Whether ops may be run there, and the connection tested.
    mine: bool,
}

struct FactsView {
    os: String,
    kernel: String,
    uptime: String,
    booted: Option<When>,
    user: String,
    disk: String,
    seen: Option<When>,
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let shown = Shown::of(&fields)?;
    let Ok(wanted) = name.parse::<HostName>() else {
        return Err(Problem::missing("That host"));
    };
    if let Some(shown) = &shown
        && live::wait(&web, &[Topic::Hosts, Topic::Commands], shown).await == Waited::Nothing
    {
        return Ok(live::nothing());
    }
    let page = HostPage::read(&web, &visitor, wanted, fields.text("tested").is_some(), None).await?;
    if shown.is_some() {
        html(&page.as_region())
    } else {
        html(&page)
    }
}

impl HostPage {
    /// The page of a host, from one read. `tested` asks for the ticks where all is well, too; `failed` is a test of
    /// just now.
    async fn read(
        web: &Web,
        visitor: &Visitor,
        wanted: HostName,
        tested: bool,
        failed: Option<Failed>,
    ) -> Result<Self, Problem> {
        let name = wanted.clone();
        let found = web
            .engine
            .reader()
            .read(move |journal| {
                let Some(host) = journal.host(&wanted)? else {
                    return Ok(None);
                };
                let FleetRow { host, facts, open, .. } = journal.fleet_row(host)?;
                // What is gone from the fleet has no state.
                let (facts, open) = if host.removed_at.is_some() {
                    (None, None)
                } else {
                    (facts, open)
                };
                let filter = HistoryFilter {
                    host: Some(host.id),
                    ..HistoryFilter::default()
                };
                let latest = journal.history_lines(&filter, None, LATEST)?;
                Ok(Some((journal.version()?, host, facts, open, latest)))
            })
            .await?;
        let Some((version, host, facts, open, latest)) = found else {
            return Err(Problem::missing(&format!("A host “{name}”")));
        };
        let advice = |refusal| web.engine.advice(&host, refusal);
        let now = failed.map(|failed| ticks(&host, facts.as_ref(), Some(&failed), advice));
        let mut page = Self::new(web, visitor, version, host, facts.as_ref(), open.as_ref(), tested);
        if let Some(now) = now {
            page.ticks = now;
        }
        page.more = latest.older.is_some();
        let clock = web.clock();
        page.lines = latest.rows.iter().map(|line| Line::of(line, &[], &clock)).collect();
        Ok(page)
    }

    fn new(
        web: &Web,
        visitor: &Visitor,
        version: i64,
        host: HostRow,
        facts: Option<&FactsRow>,
        open: Option<&CommandRow>,
        tested: bool,
    ) -> Self {
        let clock = web.clock();
        let may = |ask| visitor.may_on(ask, On::Host(&host.hostname, &host.tags));
        let name = host.hostname.to_string();
        let (state, since) = state(facts, open, &clock);
        let shown = web.engine.shown_key(&host);
        let mut failed = Failed::kept(facts, web.engine.last_refusal(&host));
        if shown.is_some() {
            failed = failed.map(Failed::in_brief);
        }
        let ticks = match (&failed, tested) {
            (None, false) => Vec::new(),
            // What is to be done about a key stands below, with the key.
            _ => ticks(&host, facts, failed.as_ref(), |refusal| {
                web.engine.advice(&host, refusal).filter(|_| shown.is_none())
            }),
        };
        Self {
            frame: Frame::new(web, visitor, "fleet", &name),
            version: Shown::text(web, version),
            removed: clock.maybe(host.removed_at),
            automatic: host.automatic,
            reach: match &host.reach {
                Reach::Local => "this machine, without SSH".to_owned(),
                reach @ Reach::Ssh { .. } => format!("ssh {reach}"),
            },
            run_as: host.run_as.as_ref().map(ToString::to_string).unwrap_or_default(),
            spool: host.spool.as_ref().map(ToString::to_string).unwrap_or_default(),
            tags: host.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            added: clock.when(host.created_at),
            state,
            since,
            running: open.map(|open| open.id.to_string()),
            facts: facts.map(|facts| FactsView::new(facts, &clock)),
            ticks,
            key: shown.map(|shown| KeyView::new(&shown, visitor)),
            wrong: None,
            needs: facts.map(words::needs).unwrap_or_default(),
            lines: Vec::new(),
            more: false,
            history: format!("/history{}", to_query([("host", name.as_str())])),
            ops: choices(&web.engine.catalog(), may(Ask::RunDangerous)),
            mine: may(Ask::Run),
            name,
        }
    }
}

impl FactsView {
    fn new(facts: &FactsRow, clock: &Clock) -> Self {
        let booted = booted(facts);
        Self {
            os: os(facts).unwrap_or_else(|| "unknown".to_owned()),
            kernel: facts.kernel.clone(),
            uptime: booted
                .map(|booted| words::uptime(booted, clock.now))
                .unwrap_or_default(),
            booted: clock.maybe(booted),
            user: facts.user.clone(),
            disk: facts
                .disk_used_percent
                .map(|used| format!("{used} % used"))
                .unwrap_or_default(),
            seen: clock.maybe(facts.probed_at),
        }
    }
}

/// What a host does now, in a word, and since when.
pub(super) fn state(facts: Option<&FactsRow>, open: Option<&CommandRow>, clock: &Clock) -> (Word, Option<When>) {
    if let Some(open) = open {
        let by = open.actor.name();
        let mut word = words::status(open, clock);
        word.text = format!("{} {}, {by}", word.text, open.op);
        return (word, clock.maybe(open.started_at.or(Some(open.created_at))));
    }
    match facts {
        None | Some(FactsRow { reachable: None, .. }) => (
            Word::new("quiet", "ask", "Not met yet", "nobody has contacted it so far"),
            None,
        ),
        Some(facts) if is_lost(facts) => (
            Word::new("warn", "warn", "Unreachable", "the last contact failed"),
            clock.maybe(facts.since),
        ),
        Some(_) => (Word::new("quiet", "idle", "Idle", "no command is open"), None),
    }
}

pub(super) fn is_lost(facts: &FactsRow) -> bool {
    facts.reachable == Some(false)
}

pub(super) fn os(facts: &FactsRow) -> Option<String> {
    Some(facts.os.clone()).filter(|os| !os.is_empty())
}

pub(super) fn booted(facts: &FactsRow) -> Option<Timestamp> {
    let probed = facts.probed_at?;
    (facts.uptime_s > 0).then(|| probed.minus(Span::from_secs(facts.uptime_s)))
}

/// Adds a host and contacts it at once; its page then shows how that went. What cannot be taken comes back with
/// the form as it was filled in.
pub(in crate::web) async fn add(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let added = match new_host(&fields) {
        Ok(host) => {
            let name = host.name.clone();
            let added = web.engine.add_host(host, visitor.by()).await;
            added.map(|_| name).map_err(|why| (Wrong::of(&why, "name"), why.into()))
        }
        Err(wrong) => Err((Some(Wrong::from(&wrong)), Problem::from(wrong))),
    };
    match added {
        Ok(name) => tested(&web, &visitor, name).await,
        Err((Some(wrong), problem)) => super::fleet::with_form(&web, &visitor, &fields, wrong, problem.status()).await,
        Err((None, problem)) => Err(problem),
    }
}

fn new_host(fields: &Fields) -> Result<NewHost, Invalid> {
    let reach = fields
        .text("address")
        .ok_or_else(|| Invalid::new("address", "is missing; write it as [USER@]ADDRESS[:PORT]"))?;
    let reach = Reach::ssh(reach).map_err(|wrong| Invalid::new("address", wrong.problem))?;
    let name = match (fields.parse::<HostName>("name")?, &reach) {
        (Some(name), _) => name,
        (None, Reach::Ssh { address, .. }) => address
            .parse()
            .map_err(|_| Invalid::new("name", "is missing, and the address cannot serve as one"))?,
        (None, Reach::Local) => return Err(Invalid::new("name", "is missing")),
    };
    let tags = fields
        .text("tags")
        .unwrap_or_default()
        .split([',', ' '])
        .filter(|tag| !tag.is_empty())
        .map(str::parse::<Tag>)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|wrong| Invalid::new("tags", wrong.problem))?;
    Ok(NewHost {
        name,
        reach,
        spool: fields.parse::<SpoolDir>("spool")?,
        run_as: fields.parse::<RunAs>("run_as")?,
        tags,
        automatic: false,
    })
}

/// Contacts a host. What the journal keeps of that is on its page; what it does not keep is shown at once.
async fn tested(web: &Web, visitor: &Visitor, name: HostName) -> Result<HttpResponse, Problem> {
    let tested = web.engine.test_host(&name, visitor.by()).await?;
    answer_test(web, visitor, name, &tested).await
}

pub(super) async fn answer_test(
    web: &Web,
    visitor: &Visitor,
    name: HostName,
    tested: &Tested,
) -> Result<HttpResponse, Problem> {
    match Failed::of(tested) {
        Some(failed) if !failed.is_kept() => html(&HostPage::read(web, visitor, name, true, Some(failed)).await?),
        _ => Ok(see(&format!("/hosts/{name}?tested=now"))),
    }
}

/// The row of the host that a filter names, or that there was never one.
pub(super) fn host_id(
    journal: &mut Journal,
    name: Option<&HostName>,
) -> Result<Result<Option<i64>, Invalid>, ReadError> {
    let Some(name) = name else { return Ok(Ok(None)) };
    let row = journal.host(name)?;
    Ok(row.map(|row| Some(row.id)).ok_or_else(never_a_host))
}

/// What is wrong with a filter by a host that never was in the fleet.
pub(super) fn never_a_host() -> Invalid {
    Invalid::new("host", "no host of that name was ever in the fleet")
}

/// Contacts a host now; its page then shows what it said.
pub(in crate::web) async fn test(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    let name: HostName = name.parse().map_err(|_| Problem::missing("That host"))?;
    tested(&web, &visitor, name).await
}

/// Takes a host out of the fleet, once its name was typed.
pub(in crate::web) async fn remove(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    name: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let name: HostName = name.parse().map_err(|_| Problem::missing("That host"))?;
    if fields.text("name") != Some(name.as_str()) {
        let wrong = Invalid::new("name", format!("type {name} to remove that host from the fleet"));
        let mut page = HostPage::read(&web, &visitor, name, false, None).await?;
        page.wrong = Some(Wrong::from(&wrong));
        return html_with(Problem::from(wrong).status(), &page);
    }
    web.engine.remove_host(&name, visitor.by()).await?;
    Ok(see("/"))
}
