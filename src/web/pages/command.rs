//! One command: what it is, how it stands, what its host said, what it wrote, and what can be done.

use actix_web::http::header::RANGE;
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{CommandId, CommandStatus, Definition, Digest, Invalid};
use crate::store::{CommandRow, EventRow, HostRow, PipelineRow, Topic};

use super::super::ansi::Pen;
use super::super::clock::When;
use super::super::error::Problem;
use super::super::fields::{Fields, Wrong};
use super::super::frame::{Frame, html, html_with};
use super::super::live::{self, PATIENCE, Waited, Waiter};
use super::super::words::{self, Kept, Word};
use super::super::{Visitor, Web};
use super::command_parts::{Buttons, Moment, Retry, place_in, restarts};
use super::output::{self, Part};

/// Events of one command that its page shows: the newest.
const EVENTS: usize = 200;

#[derive(Template)]
#[template(path = "command/command.html", blocks = ["facts", "timeline"])]
struct CommandPage {
    frame: Frame,
    stamp: String,
    live: bool,
    /// What the page says below the output while it follows.
    follows: &'static str,
    id: String,
    op: String,
    host: String,
    status: Word,
    error: String,
    by: String,
    actor: String,
    reason: String,
    asked: When,
    began: Option<When>,
    ended: Option<When>,
    took: String,
    deadline: Option<When>,
    digest: String,
    run_as: String,
    evidence: Option<String>,
    /// Who has acknowledged the end, when, and what they noted.
    acknowledged: Option<(String, When, String)>,
    none: &'static str,
    stopping: Option<String>,
    retry_of: Option<String>,
    retries: Vec<Retry>,
    last_good: Option<(String, When)>,
    pipeline: Option<(String, String)>,
    buttons: Buttons,
    kept: Option<Kept>,
    /// Its own address.
    place: String,
    timeline: Vec<Moment>,
    /// There are more events than the timeline shows.
    earlier: bool,
    restarts: Vec<String>,
    output: Part,
    all: bool,
    /// What is wrong with a form of this page, and what was typed there.
    wrong: Option<Wrong>,
    typed: String,
}

#[derive(Template)]
#[template(path = "command/tail.html")]
struct TailAnswer {
    state: Option<CommandPage>,
    output: Part,
}

/// Everything that the journal has for one command, from one read.
pub(super) struct Found {
    pub(super) row: CommandRow,
    events: Vec<EventRow>,
    earlier: bool,
    pub(super) definition: Option<Definition>,
    retries: Vec<CommandRow>,
    last_good: Option<CommandRow>,
    /// Its own user goes before the op's; its tags say whose it is to run ops on.
    pub(super) host: Option<HostRow>,
    pipeline: Option<PipelineRow>,
}

impl Found {
    pub(super) async fn read(web: &Web, id: CommandId) -> Result<Self, Problem> {
        let found = web
            .engine
            .reader()
            .read(move |journal| {
                let Some(row) = journal.command(id)? else {
                    return Ok(None);
                };
                let mut events = journal.events_of(id, EVENTS as i64 + 1)?;
                let earlier = events.len() > EVENTS;
                if earlier {
                    events.remove(0);
                }
                Ok(Some(Self {
                    events,
                    earlier,
                    definition: journal
                        .definition(&row.definition)?
                        .and_then(|text| Definition::read(&text).ok()),
                    retries: journal.retries_of(id)?,
                    last_good: journal.last_success(row.host_id, &row.op)?,
                    host: journal.host_by_id(row.host_id)?,
                    pipeline: match row.pipeline_id {
                        Some(id) => journal.pipeline(id)?,
                        None => None,
                    },
                    row,
                }))
            })
            .await?;
        found.ok_or_else(|| Problem::swept(&format!("Command {id}")))
    }

    /// Changes whenever the page would: what a poll compares.
    fn stamp(&self) -> String {
        let last = self.events.last().map_or(0, |event| event.id);
        let text = format!("{:?} {last} {}", self.row, self.retries.len());
        Digest::of(text.as_bytes()).as_str().chars().take(16).collect()
    }
}

pub(super) fn id_of(text: &str) -> Result<CommandId, Problem> {
    text.parse().map_err(|_| Problem::swept("That command"))
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id_of(&id)?;
    let fields = Fields::query(request.query_string())?;
    let all = match fields.text("output") {
        None => false,
        Some("all") => true,
        Some(_) => return Err(Invalid::new("output", "must be “all”, or not there at all").into()),
    };
    let from = fields.number("from")?;
    let found = Found::read(&web, id).await?;
    let open = found.row.finished_at.is_none();
    let part = if all {
        output::range(&web, id, from).await?
    } else {
        output::tail(&web, id, open).await?
    };
    html(&CommandPage::new(&web, &visitor, &found, part, all))
}

/// The page once more, with a form as it was filled in and what is wrong beside its field.
pub(super) async fn again(
    web: &Web,
    visitor: &Visitor,
    id: CommandId,
    wrong: Invalid,
    typed: Option<String>,
) -> Result<HttpResponse, Problem> {
    let found = Found::read(web, id).await?;
    let part = output::tail(web, id, found.row.finished_at.is_none()).await?;
    let mut page = CommandPage::new(web, visitor, &found, part, false);
    page.wrong = Some(Wrong::from(&wrong));
    page.typed = typed.unwrap_or_default();
    html_with(Problem::from(wrong).status(), &page)
}

/// Answers as soon as there is more output, or something else of the command has changed.
pub(in crate::web) async fn tail(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id_of(&id)?;
    let fields = Fields::query(request.query_string())?;
    let from = fields.number("from")?.unwrap_or(0);
    let pen = Pen::read(fields.text("pen").unwrap_or_default());
    let stamp = fields.text("stamp").unwrap_or_default();
    let found = match wait(&web, id, from, pen, stamp).await.map_err(Problem::into_fragment)? {
        Some(found) => found,
        None => return Ok(live::nothing()),
    };
    let open = found.row.finished_at.is_none();
    let part = output::piece(&web, id, from, pen, open).await?;
    // The last piece of a final command brings the page that polls no more.
    let ended = !open && part.end >= part.size;
    let state = (ended || found.stamp() != stamp).then(|| {
        let nothing = Part {
            html: String::new(),
            note: String::new(),
            pen: String::new(),
            ..part
        };
        CommandPage::new(&web, &visitor, &found, nothing, false)
    });
    html(&TailAnswer { state, output: part })
}

async fn wait(web: &Web, id: CommandId, from: u64, pen: Pen, stamp: &str) -> Result<Option<Found>, Problem> {
    let waiter = Waiter::new(web);
    let mut topics = [web.engine.watch(Topic::Commands), web.engine.watch(Topic::Events)];
    let until = waiter.arrived + PATIENCE;
    // Paced before anything is read: many pages on a busy journal wait, they do not work.
    if waiter.pace(web).await == Waited::Nothing {
        return Ok(None);
    }
    let mut found = Found::read(web, id).await?;
    // Half a character, or a line's return, waits for what follows it: it is no news by itself.
    let mut held = from;
    loop {
        let length = output::length(web, id).await?;
        let longer = length > held && output::piece(web, id, from, pen, true).await?.end > from;
        held = held.max(length);
        if longer || found.row.finished_at.is_some() || found.stamp() != stamp {
            return Ok(Some(found));
        }
        // Only what runs can write; every other change is told by the journal.
        let writes = found.row.status == CommandStatus::Executing;
        let pause = waiter.pause().max(output::GLANCE);
        tokio::select! {
            () = web.shutdown.cancelled() => return Ok(None),
            () = tokio::time::sleep_until(until) => return Ok(None),
            () = tokio::time::sleep(pause), if writes => {}
            () = live::changed(&mut topics) => {
                tokio::time::sleep(waiter.pause()).await;
                found = Found::read(web, id).await?;
            }
        }
    }
}

impl CommandPage {
    fn new(web: &Web, visitor: &Visitor, found: &Found, output: Part, all: bool) -> Self {
        let clock = web.clock();
        let row = &found.row;
        let (op, host) = (row.op.to_string(), row.host.to_string());
        let definition = found.definition.as_ref();
        let stopping = row.stop_at.filter(|_| row.finished_at.is_none()).map(|at| {
            let by = row.stop_by.as_ref().unwrap_or(&row.actor).name();
            format!(
                "{by} asked at {} to stop it; its host has not confirmed that yet.",
                clock.when(at).clock
            )
        });
        let open = row.finished_at.is_none();
        let last_good = found.last_good.as_ref().filter(|good| good.id != row.id);
        Self {
            frame: Frame::new(web, visitor, "history", format!("{op} on {host}")),
            stamp: found.stamp(),
            live: (open || output.end < output.size) && !all,
            follows: if open && row.status == CommandStatus::Orphaned {
                "Its host is asked what became of it; what it wrote meanwhile appears here when the host answers."
            } else {
                "Following: what the command writes appears here as it comes."
            },
            id: row.id.to_string(),
            status: words::status(row, &clock),
            error: match row.status {
                CommandStatus::Blocked | CommandStatus::Success => String::new(),
                CommandStatus::Orphaned if !open => String::new(),
                CommandStatus::Pending
                | CommandStatus::Validating
                | CommandStatus::Executing
                | CommandStatus::Error
                | CommandStatus::Timeout
                | CommandStatus::Cancelled
                | CommandStatus::Skipped
                | CommandStatus::Orphaned => clock.spoken(row.error.as_deref().unwrap_or_default(), row.created_at),
            },
            by: row.actor.name().to_owned(),
            actor: row.actor.to_string(),
            reason: row.reason.clone().unwrap_or_default(),
            asked: clock.when(row.created_at),
            began: clock.maybe(row.started_at),
            ended: clock.maybe(row.finished_at),
            took: words::took(row, clock.now).unwrap_or_default(),
            deadline: clock.maybe(row.deadline.filter(|_| open)),
            digest: row.definition.to_string(),
            run_as: found
                .host
                .as_ref()
                .and_then(|host| host.run_as.as_ref())
                .or_else(|| definition.and_then(|d| d.run_as.as_ref()))
                .map(ToString::to_string)
                .unwrap_or_default(),
            evidence: words::evidence(row),
            acknowledged: row.acknowledged_by.as_ref().zip(row.acknowledged_at).map(|(by, at)| {
                let note = row.acknowledged_note.clone().unwrap_or_default();
                (by.name().to_owned(), clock.when(at), note)
            }),
            none: if words::never_ran(row) {
                "It did not run, so there is no output."
            } else {
                "The command wrote nothing (0 bytes)."
            },
            stopping,
            retry_of: row.retry_of.map(|id| id.to_string()),
            retries: found.retries.iter().map(|row| Retry::new(row, &clock)).collect(),
            last_good: last_good.map(|good| (good.id.to_string(), clock.when(good.created_at))),
            pipeline: found.pipeline.as_ref().map(|pipeline| place_in(pipeline, row)),
            buttons: Buttons::new(web, visitor, found),
            kept: Kept::of(row.kept_by.as_ref(), row.kept_at, row.kept_reason.as_ref(), &clock),
            place: format!("/commands/{}", row.id),
            restarts: restarts(&found.events, row, &clock),
            timeline: found.events.iter().map(|event| Moment::new(event, &clock)).collect(),
            earlier: found.earlier,
            output,
            all,
            wrong: None,
            typed: String::new(),
            op,
            host,
        }
    }
}

/// The output as a file.
pub(in crate::web) async fn download(
    web: Data<Web>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id_of(&id)?;
    let row = web.engine.reader().read(move |journal| journal.command(id)).await?;
    let row = row.ok_or_else(|| Problem::swept(&format!("Command {id}")))?;
    let name = format!("{}-{}-{}.txt", row.op, row.host, id.short());
    let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
    output::download(&web, id, &name, range).await
}
