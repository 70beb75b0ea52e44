//! What is kept, and for how long: sizes, sweeps, archive, holds, checkpoints. Whoever may see the journal may see it,
//! for an auditor has to; holds are placed and released by admins.

pub(in crate::web) mod sweep;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, ReqData};
use askama::Template;

use crate::domain::{Ask, Checkpoint, DeliveryKind, Invalid, Span};
use crate::engine::EngineError;
use crate::store::archive::{Archives, archives};
use crate::store::{
    Cutoffs, Delivery, EventFilter, EventRow, HoldRow, InstanceRow, Journal, LastSweep, Pending, ReadError, Survey,
    Witness,
};

use super::super::clock::{Clock, When};
use super::super::error::Problem;
use super::super::fields::{Fields, Wrong};
use super::super::frame::{Frame, html, html_with, see};
use super::super::words::{self, Word};
use super::super::{Visitor, Web};

/// Sweeps that are shown.
const SWEEPS: i64 = 10;

#[derive(Template)]
#[template(path = "settings/settings.html")]
struct SettingsPage {
    frame: Frame,
    /// Whether holds are theirs to place.
    manages: bool,
    database: String,
    wal: String,
    free: String,
    oldest: Vec<(&'static str, Option<When>)>,
    policy: Vec<(&'static str, String)>,
    last: Option<When>,
    gone_until: Option<When>,
    next: When,
    takes: String,
    /// What "Sweep now" would do, for those who may.
    asks: Option<sweep::Asks>,
    /// What it did.
    swept: Option<String>,
    failure: Vec<String>,
    sweeps: Vec<Sweep>,
    archive: Option<Archive>,
    holds: Vec<Hold>,
    checkpoint: Option<Signed>,
    /// Who outside of this machine has which checkpoint, since when.
    witness: Option<String>,
    places: Vec<Place>,
    version: &'static str,
    dashboard: String,
    started: Option<When>,
    wrong: Option<Wrong>,
    typed: Typed,
}

/// A hold as somebody filled it in.
#[derive(Default)]
struct Typed {
    from: String,
    until: String,
    reason: String,
}

struct Sweep {
    at: When,
    level: Word,
    message: String,
}

struct Archive {
    files: String,
    bytes: String,
    oldest: Option<When>,
    newest: String,
}

struct Hold {
    id: i64,
    from: When,
    until: Option<When>,
    reason: String,
    by: String,
    at: When,
    released: Option<(String, When, String)>,
}

/// A place outside that gets something from here.
struct Place {
    name: String,
    kind: &'static str,
    target: String,
    behind: i64,
    succeeded: Option<When>,
    state: String,
}

impl Place {
    fn new(place: &Delivery, clock: &Clock) -> Self {
        let state = match (&place.failure, place.failing_since) {
            _ if !place.active => "Not configured any more".to_owned(),
            (Some(why), Some(since)) => format!("Fails since {}: {why}", clock.when(since).full),
            _ => "Takes what comes".to_owned(),
        };
        Self {
            name: place.name.clone(),
            kind: match place.kind {
                DeliveryKind::Forward => "Every event",
                DeliveryKind::Witness => "Every checkpoint",
                DeliveryKind::Notify => "Notifications",
            },
            target: place.target.clone(),
            behind: place.behind,
            succeeded: clock.maybe(place.succeeded_at),
            state,
        }
    }
}

struct Signed {
    id: i64,
    kind: &'static str,
    at: When,
    event: i64,
    link: String,
    fingerprint: String,
    pem: String,
    line: String,
}

/// Everything that the journal says.
struct Found {
    survey: Survey,
    last: Option<LastSweep>,
    pending: Pending,
    /// The same for a sweep at this moment, where somebody looks who may ask for one.
    pending_now: Option<Pending>,
    sweeps: Vec<EventRow>,
    holds: Vec<HoldRow>,
    checkpoint: Option<Checkpoint>,
    instance: InstanceRow,
    witness: Option<Witness>,
    places: Vec<Delivery>,
}

pub(in crate::web) async fn show(web: Data<Web>, visitor: ReqData<Visitor>) -> Result<HttpResponse, Problem> {
    html(&page(&web, &visitor).await?)
}

pub(in crate::web) async fn hold(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    match place(&web, &visitor, &fields).await {
        Ok(()) => Ok(see("/settings#holds")),
        Err(EngineError::Invalid(wrong)) => {
            let mut page = page(&web, &visitor).await?;
            page.wrong = Some(Wrong::from(&wrong));
            page.typed = Typed {
                from: fields.owned("from").unwrap_or_default(),
                until: fields.owned("until").unwrap_or_default(),
                reason: fields.owned("reason").unwrap_or_default(),
            };
            html_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(why) => Err(why.into()),
    }
}

async fn place(web: &Web, visitor: &Visitor, fields: &Fields) -> Result<(), EngineError> {
    let clock = web.clock();
    let from = fields.text("from").ok_or_else(|| {
        Invalid::new(
            "from",
            "is missing; write the beginning of the range, for example 2026-11-01",
        )
    })?;
    let from = clock.read("from", from)?;
    let until = fields.text("until").map(|text| clock.read("until", text)).transpose()?;
    let reason = fields.owned("reason").unwrap_or_default();
    web.engine.place_hold(from, until, reason, visitor.by()).await?;
    Ok(())
}

pub(in crate::web) async fn release(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let id: i64 = id.parse().map_err(|_| Problem::missing("That hold"))?;
    let reason = fields.owned("reason").unwrap_or_default();
    web.engine.release_hold(id, reason, visitor.by()).await?;
    Ok(see("/settings#holds"))
}

impl Found {
    /// With the cut-offs of the next sweep, and those of this moment.
    fn read(journal: &mut Journal, next: &Cutoffs, now: Option<&Cutoffs>) -> Result<Self, ReadError> {
        let sweeps = EventFilter {
            action: Some("sweep".to_owned()),
            ..EventFilter::default()
        };
        Ok(Self {
            survey: journal.survey()?,
            last: journal.last_cutoffs()?,
            pending: journal.pending(next)?,
            pending_now: now.map(|now| journal.pending(now)).transpose()?,
            sweeps: journal.events(&sweeps, None, SWEEPS)?.rows,
            holds: journal.holds()?,
            checkpoint: journal.newest_checkpoint()?,
            instance: journal.instance_row()?,
            witness: journal.last_witness()?,
            places: journal.deliveries()?,
        })
    }
}

async fn page(web: &Web, visitor: &Visitor) -> Result<SettingsPage, Problem> {
    let manages = visitor.may(Ask::Settings);
    let ((next, cutoffs), now) = (web.engine.next_sweep(), web.engine.cutoffs());
    let found = web
        .engine
        .reader()
        .read(move |journal| Found::read(journal, &cutoffs, manages.then_some(&now)))
        .await?;
    let data_dir = web.engine.data_dir().to_owned();
    let archive = tokio::task::spawn_blocking(move || archives(&data_dir))
        .await
        .map_err(|why| Problem::internal(why.to_string()))?;
    let archive = archive.map_err(|why| Problem::internal(format!("the archive cannot be read: {why}")))?;
    let clock = web.clock();
    let health = web.engine.health();
    let policy = web.engine.policy();
    let asks = found.pending_now.map(|pending| {
        let waits = web.engine.would_wait(found.last.as_ref(), &now);
        sweep::Asks::new(&now, &pending, waits, policy.archive.is_some(), &clock)
    });
    Ok(SettingsPage {
        frame: Frame::new(web, visitor, "settings", "Settings"),
        asks,
        swept: None,
        manages,
        database: words::bytes(found.survey.database_bytes),
        wal: words::bytes(health.writer.wal_bytes),
        free: health
            .writer
            .free_bytes
            .map_or_else(|| "not known".to_owned(), words::bytes),
        oldest: vec![
            ("Event", clock.maybe(found.survey.event)),
            ("Command", clock.maybe(found.survey.command)),
            ("Pipeline", clock.maybe(found.survey.pipeline)),
        ],
        policy: vec![
            ("Events", days(policy.events)),
            ("Events of category audit", days(policy.audit)),
            ("Commands, pipelines and their output", days(policy.commands)),
            (
                "Archive",
                policy.archive.map_or_else(|| "off: what goes is gone".to_owned(), days),
            ),
        ],
        last: clock.maybe(found.last.map(|last| last.swept_at)),
        gone_until: clock.maybe(found.last.and_then(|last| last.gone_until)),
        next: clock.when(next),
        takes: takes(&found.pending),
        failure: health.problems,
        sweeps: found.sweeps.iter().map(|event| Sweep::new(event, &clock)).collect(),
        archive: (archive.files > 0).then(|| Archive::new(&archive, &clock)),
        holds: found.holds.iter().map(|hold| Hold::new(hold, &clock)).collect(),
        checkpoint: found.checkpoint.map(|checkpoint| Signed::new(&checkpoint, &clock)),
        witness: found.witness.map(|witness| {
            format!(
                "{} has had checkpoint {} (every event up to #{}) since {}.",
                witness.name,
                witness.checkpoint_id,
                witness.event_id,
                clock.when(witness.at).full
            )
        }),
        places: found.places.iter().map(|place| Place::new(place, &clock)).collect(),
        version: env!("CARGO_PKG_VERSION"),
        dashboard: found.instance.dashboard_id,
        started: clock.maybe(found.instance.started_at),
        wrong: None,
        typed: Typed::default(),
    })
}

/// `7 days`, `for ever`.
fn days(span: Option<Span>) -> String {
    match span {
        None => "for ever".to_owned(),
        Some(span) => words::count(span.as_secs() / 86_400, "day", "days"),
    }
}

fn takes(pending: &Pending) -> String {
    let number = |n: i64, one: &str, many: &str| match n {
        n if n >= Pending::MOST => format!("{n} {many} or more"),
        n => words::count(n, one, many),
    };
    if *pending == Pending::default() {
        return "nothing".to_owned();
    }
    let parts = [
        (pending.events, "event", "events", ""),
        (
            pending.commands,
            "command of no pipeline",
            "commands of no pipeline",
            "",
        ),
        (
            pending.pipelines,
            "pipeline",
            "pipelines",
            " with all of their commands",
        ),
    ];
    let due = parts.into_iter().filter(|(n, ..)| *n > 0);
    due.map(|(n, one, many, more)| number(n, one, many) + more)
        .collect::<Vec<_>>()
        .join(", ")
}

impl Sweep {
    fn new(event: &EventRow, clock: &Clock) -> Self {
        Self {
            at: clock.when(event.timestamp),
            level: words::level(event.level),
            message: clock.spoken(&event.message, event.timestamp),
        }
    }
}

impl Archive {
    fn new(archive: &Archives, clock: &Clock) -> Self {
        Self {
            files: words::count(i64::try_from(archive.files).unwrap_or(i64::MAX), "file", "files"),
            bytes: words::bytes(archive.bytes),
            oldest: clock.maybe(archive.oldest),
            newest: archive.newest.clone().unwrap_or_default(),
        }
    }
}

impl Hold {
    fn new(row: &HoldRow, clock: &Clock) -> Self {
        let released = row.released_by.as_ref().zip(row.released_at);
        Self {
            id: row.id,
            from: clock.when(row.from_at),
            until: clock.maybe(row.until_at),
            reason: row.reason.clone(),
            by: row.placed_by.name().to_owned(),
            at: clock.when(row.placed_at),
            released: released.map(|(by, at)| {
                let why = row.release_reason.clone().unwrap_or_default();
                (by.name().to_owned(), clock.when(at), why)
            }),
        }
    }
}

impl Signed {
    fn new(checkpoint: &Checkpoint, clock: &Clock) -> Self {
        Self {
            id: checkpoint.id,
            kind: checkpoint.kind.as_str(),
            at: clock.when(checkpoint.made_at),
            event: checkpoint.event_id,
            link: checkpoint.link.to_string(),
            fingerprint: checkpoint.key.fingerprint().to_string(),
            pem: checkpoint.key.to_pem(),
            line: checkpoint.line(),
        }
    }
}
