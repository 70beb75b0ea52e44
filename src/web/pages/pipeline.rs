//! One pipeline: where it stands in a sentence, what can be done, its matrix of hosts and stages, its results in groups.

use std::time::Duration;

use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{CancelMode, Cells, CommandId, PipelineId, PipelineStatus, Refusal, Stage};
use crate::store::{
    CommandRow, Group, Journal, MatrixPart, MatrixRow, MatrixWindow, PipelineCounts, PipelineRow, ReadError,
    StageCounts, Topic,
};

use super::super::clock::{Clock, When};
use super::super::error::Problem;
use super::super::fields::Fields;
use super::super::frame::{Frame, html};
use super::super::live::{self, Shown, Waited};
use super::super::words::{Kept, Word, count};
use super::super::{Visitor, Web};
use super::pipeline_cells::{GroupsOfStage, Line, Tab};
use super::pipeline_view::{HOSTS, View};
use super::pipeline_words as pipelines;

/// Groups whose output is shown; the matrix has every host.
const GROUPS: usize = 30;
/// Changes are gathered for so long before the page is drawn anew.
const GATHER: Duration = Duration::from_millis(250);

#[derive(Template)]
#[template(path = "pipeline/pipeline.html", blocks = ["region"])]
struct PipelinePage {
    frame: Frame,
    version: String,
    live: bool,
    address: String,
    id: String,
    name: String,
    status: Word,
    hosts: String,
    sentence: String,
    held: Option<String>,
    cancelling: Option<String>,
    /// Who cancelled it, when and why.
    cancelled: Option<(String, When, String)>,
    stopped: bool,
    settled: i64,
    cells: i64,
    counts: Vec<(&'static str, i64, &'static str)>,
    by: String,
    actor: String,
    reason: String,
    asked: When,
    ended: Option<When>,
    took: String,
    stages: Vec<StageHead>,
    limits: Vec<String>,
    retry_of: Option<String>,
    retries: Vec<(String, Word, When)>,
    buttons: Buttons,
    kept: Option<Kept>,
    /// Its own address.
    place: String,
    tabs: Vec<Tab>,
    several_batches: bool,
    lines: Vec<Line>,
    from: usize,
    to: usize,
    all: usize,
    earlier: Option<String>,
    later: Option<String>,
    groups: Vec<GroupsOfStage>,
    more_groups: bool,
}

/// One column of the matrix.
struct StageHead {
    number: usize,
    text: String,
    wait: bool,
    dangerous: bool,
    counts: String,
}

/// What the state allows, and is theirs to do; the engine decides again when a button is pressed.
struct Buttons {
    pause: bool,
    go_on: bool,
    cancel: bool,
    retry: bool,
    /// Whether to keep it is theirs to say; in every state.
    keep: bool,
}

impl Buttons {
    fn new(row: &PipelineRow, (steer, run): (bool, bool)) -> Self {
        let free = row.cancel_mode.is_none();
        Self {
            pause: steer && free && row.status == PipelineStatus::Running,
            go_on: run && free && row.status == PipelineStatus::Held,
            cancel: steer && row.is_open() && row.cancel_mode != Some(CancelMode::Kill),
            retry: run && !row.is_open() && row.status != PipelineStatus::Complete,
            keep: steer,
        }
    }

    fn any(&self) -> bool {
        self.pause || self.go_on || self.cancel || self.retry
    }
}

/// Everything that the page shows, from one read.
struct Found {
    version: i64,
    row: PipelineRow,
    counts: PipelineCounts,
    stages: Vec<StageCounts>,
    cells: Cells,
    matrix: Vec<MatrixRow>,
    /// Hosts of the part that is shown; of all; on which something failed; with something open.
    shown: usize,
    hosts_failed: i64,
    hosts_running: usize,
    groups: Vec<(Group, Option<CommandRow>)>,
    more_groups: bool,
    /// So many hosts failed that the rest was written off.
    stopped: bool,
    retries: Vec<PipelineRow>,
}

impl Found {
    fn read(journal: &mut Journal, id: PipelineId, window: MatrixWindow) -> Result<Option<Self>, ReadError> {
        use crate::domain::Cell::{Failed, Open, Rest, Unreachable};
        let version = journal.version()?;
        let Some(row) = journal.pipeline(id)? else {
            return Ok(None);
        };
        let cells = journal.pipeline_cells(id)?;
        let (matrix, shown) = journal.matrix(id, window)?;
        let mut groups = journal.pipeline_results(id)?;
        // What was written off says least.
        let is_rest = |group: &Group| crate::domain::Cell::of(group.status, false, group.refusal) == Rest;
        groups.sort_by_key(|group| (group.stage, is_rest(group)));
        let more_groups = groups.len() > GROUPS;
        let stopped = groups.iter().any(|group| group.refusal == Some(Refusal::Stopped));
        groups.truncate(GROUPS);
        let groups = groups
            .into_iter()
            .map(|group| Ok((journal.command(group.example)?, group)))
            .map(|found: Result<_, ReadError>| found.map(|(row, group)| (group, row)))
            .collect::<Result<_, _>>()?;
        let counts = journal.pipeline_counts(id)?;
        let has = |wanted: &[crate::domain::Cell]| {
            let hosts = cells.iter().filter(|(_, cell)| wanted.contains(cell));
            hosts
                .map(|((host, _), _)| *host)
                .collect::<std::collections::BTreeSet<_>>()
                .len()
        };
        Ok(Some(Self {
            version,
            hosts_failed: i64::try_from(has(&[Failed, Unreachable])).unwrap_or(i64::MAX),
            hosts_running: has(&[Open]),
            stages: journal.pipeline_stages(&row)?,
            retries: journal.retries_of_pipeline(id)?,
            counts,
            cells,
            matrix,
            shown,
            groups,
            more_groups,
            stopped,
            row,
        }))
    }
}

pub(super) fn id_of(text: &str) -> Result<PipelineId, Problem> {
    text.parse().map_err(|_| Problem::swept("That pipeline"))
}

pub(super) fn missing(id: PipelineId) -> Problem {
    Problem::swept(&format!("Pipeline {id}"))
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id_of(&id)?;
    let fields = Fields::query(request.query_string())?;
    let shown = Shown::of(&fields)?;
    let view = View::read(&fields)?;
    if let Some(shown) = &shown
        && live::wait_and_gather(&web, &[Topic::Pipelines], shown, GATHER).await == Waited::Nothing
    {
        return Ok(live::nothing());
    }
    let window = view.window();
    let found = web
        .engine
        .reader()
        .read(move |journal| Found::read(journal, id, window))
        .await?
        .ok_or_else(|| missing(id))?;
    let excerpts: Vec<CommandId> = found.groups.iter().map(|(group, _)| group.example).collect();
    let excerpts = super::output::excerpts(&web, excerpts).await?;
    let mut page = PipelinePage::new(&web, &visitor, &found, &excerpts, &view);
    page.buttons = Buttons::new(&found.row, web.engine.rights_on(&found.row, &visitor.by()).await?);
    if shown.is_some() {
        html(&page.as_region())
    } else {
        html(&page)
    }
}

impl PipelinePage {
    fn new(web: &Web, visitor: &Visitor, found: &Found, excerpts: &[super::output::Excerpt], view: &View) -> Self {
        let clock = web.clock();
        let row = &found.row;
        let hosts = count(row.hosts.len(), "host", "hosts");
        let counts = &found.counts;
        let turn = row.plan.turn(&found.cells, row.hold_reason.as_deref());
        let pages = found.shown.div_ceil(HOSTS);
        let from = ((view.page - 1) * HOSTS).min(found.shown);
        let place = |page: usize| View::place(row.id, view.part, page);
        let tab = |text: &'static str, part, number: i64, tone| Tab {
            text,
            number,
            place: View::place(row.id, part, 1),
            chosen: view.part == part,
            tone: if number > 0 { tone } else { "quiet" },
        };
        let stages = row.plan.stages.iter().zip(&found.stages).enumerate();
        Self {
            frame: Frame::new(web, visitor, "pipelines", format!("{} on {hosts}", row.name)),
            version: Shown::text(web, found.version),
            live: row.is_open(),
            address: place(view.page),
            id: row.id.to_string(),
            name: row.name.clone(),
            status: pipelines::headline(row),
            sentence: pipelines::sentence(row, counts, &found.stages, turn),
            held: (row.status == PipelineStatus::Held && row.cancel_mode.is_none()).then(|| waits_for(row, &clock)),
            cancelling: row
                .cancel_mode
                .filter(|_| row.is_open())
                .map(|mode| cancelling(mode, counts.running)),
            cancelled: row.cancel_by.as_ref().zip(row.cancel_at).map(|(by, at)| {
                let note = row.cancel_note.as_ref().map(|note| format!(": {note}"));
                (by.name().to_owned(), clock.when(at), note.unwrap_or_default())
            }),
            stopped: found.stopped,
            settled: counts.cells - counts.running - counts.waiting,
            cells: counts.cells,
            counts: vec![
                ("done", counts.done, "ok"),
                ("not needed", counts.not_needed, "quiet"),
                ("failed", counts.failed, "bad"),
                ("unreachable", counts.unreachable, "warn"),
                ("running", counts.running, "run"),
                ("to come", counts.waiting, "quiet"),
                ("skipped", counts.skipped, "quiet"),
                ("cancelled", counts.cancelled, "quiet"),
            ],
            by: row.actor.name().to_owned(),
            actor: row.actor.to_string(),
            reason: row.reason.clone().unwrap_or_default(),
            asked: clock.when(row.created_at),
            ended: clock.maybe(row.finished_at),
            took: pipelines::took(row, clock.now),
            stages: stages
                .map(|(index, (stage, counts))| StageHead::new(index, stage, counts))
                .collect(),
            limits: pipelines::limits(&row.plan),
            retry_of: row.retry_of.map(|id| id.to_string()),
            retries: found
                .retries
                .iter()
                .map(|retry| {
                    (
                        retry.id.to_string(),
                        pipelines::status(retry),
                        clock.when(retry.created_at),
                    )
                })
                .collect(),
            buttons: Buttons::new(row, (false, false)),
            kept: Kept::of(row.kept_by.as_ref(), row.kept_at, row.kept_reason.as_ref(), &clock),
            place: format!("/pipelines/{}", row.id),
            tabs: vec![
                tab("All", MatrixPart::All, counts.hosts, "all"),
                tab("Failed", MatrixPart::Failed, found.hosts_failed, "bad"),
                tab(
                    "Running",
                    MatrixPart::Running,
                    i64::try_from(found.hosts_running).unwrap_or(i64::MAX),
                    "run",
                ),
            ],
            several_batches: row.plan.batches.len() > 1,
            lines: found
                .matrix
                .iter()
                .map(|host| Line::new(host, row, turn, &clock))
                .collect(),
            from: from + 1,
            to: from + found.matrix.len(),
            all: found.shown,
            earlier: (view.page > 1).then(|| place((view.page - 1).min(pages.max(1)))),
            later: (view.page < pages).then(|| place(view.page + 1)),
            groups: GroupsOfStage::of(row, &found.groups, excerpts, &clock),
            more_groups: found.more_groups,
            hosts,
        }
    }
}

impl StageHead {
    fn new(index: usize, stage: &Stage, counts: &StageCounts) -> Self {
        let parts = [
            (counts.done, "done"),
            (counts.not_needed, "not needed"),
            (counts.failed, "failed"),
            (counts.unreachable, "unreachable"),
            (counts.running, "running"),
        ];
        let parts = parts.iter().filter(|(number, _)| *number > 0);
        Self {
            number: index + 1,
            text: stage.text().to_owned(),
            wait: stage.op().is_none(),
            dangerous: stage.is_dangerous(),
            counts: parts
                .map(|(number, what)| format!("{number} {what}"))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

/// Why nothing new starts.
fn waits_for(row: &PipelineRow, clock: &Clock) -> String {
    let reason = row.hold_reason.as_deref().unwrap_or("no reason was kept");
    clock.spoken(reason, clock.now)
}

fn cancelling(mode: CancelMode, running: i64) -> String {
    let running = count(running, "command", "commands");
    match mode {
        CancelMode::Finish => format!("Nothing further starts; {running} may end by themselves."),
        CancelMode::Kill => format!("Nothing further starts; {running} are being stopped."),
    }
}
