//! Starting a pipeline: a form, then what would run where in which order, then the start. Nothing starts unseen.

use actix_web::http::StatusCode;
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::{Ask, Digest, IfBusy, On, PipelineDef, Tag, bounded};
use crate::engine::{EngineError, Preview, StartPipeline};
use crate::store::{HostRow, Journal};

use super::super::error::Problem;
use super::super::fields::Fields;
use super::super::frame::{Frame, html, html_with, see};
use super::super::words::count;
use super::super::{Visitor, Web};
use super::pipeline_fields::Wish;
use super::pipeline_words as pipelines;
use super::run::{Choice, choices};

/// Names of hosts that the preview shows of one batch, batches, and hosts that are in the way.
const NAMES: usize = 40;
const BATCHES: usize = 12;

#[derive(Template)]
#[template(path = "pipeline/new.html")]
struct FormPage {
    frame: Frame,
    wish: Wish,
    definitions: Vec<Definition>,
    ops: Vec<Choice>,
    tags: Vec<(String, usize, bool)>,
    all_hosts: usize,
    all_mine: bool,
    /// The limits of the chosen definition, as they would be written.
    defaults: Defaults,
    wrong: Option<Wrong>,
}

/// What cannot be taken, and the field that it is about; empty where it is about no field.
struct Wrong {
    field: String,
    text: String,
}

impl FormPage {
    fn is_wrong(&self, field: &str) -> bool {
        self.wrong.as_ref().is_some_and(|wrong| wrong.field == field)
    }

    fn knows(&self, name: &str) -> bool {
        self.definitions.iter().any(|def| def.id == name) || self.ops.iter().any(|op| op.id == name)
    }
}

/// One pipeline of the catalog.
struct Definition {
    id: String,
    label: String,
    description: String,
    stages: Vec<String>,
    dangerous: bool,
}

#[derive(Default)]
struct Defaults {
    max_parallel: String,
    batches: String,
    stop_when: String,
    if_busy: String,
    count_unreachable: &'static str,
}

impl Defaults {
    fn of(def: Option<&PipelineDef>, dangerous: bool) -> Self {
        let Some(limits) = def.map(|def| &def.defaults) else {
            return Self {
                batches: if dangerous { "1, 25 %, 100 %" } else { "all at once" }.to_owned(),
                max_parallel: "as the dashboard has it".to_owned(),
                stop_when: "never".to_owned(),
                if_busy: pipelines::busy(IfBusy::Refuse),
                count_unreachable: "no",
            };
        };
        let shares: Vec<String> = limits.batches.iter().map(ToString::to_string).collect();
        Self {
            max_parallel: limits
                .max_parallel
                .map_or_else(|| "as the dashboard has it".to_owned(), |most| most.to_string()),
            batches: match shares.is_empty() {
                true if dangerous => "1, 25 %, 100 %".to_owned(),
                true => "all at once".to_owned(),
                false => shares.join(", "),
            },
            stop_when: limits
                .stop_when
                .map_or_else(|| "never".to_owned(), |share| share.to_string()),
            if_busy: pipelines::busy(limits.if_busy),
            count_unreachable: if limits.count_unreachable { "yes" } else { "no" },
        }
    }
}

#[derive(Template)]
#[template(path = "pipeline/preview.html")]
struct PreviewPage {
    frame: Frame,
    wish: Wish,
    preview: Preview,
    hosts: String,
    limits: Vec<String>,
    batches: Vec<Batch>,
    more_batches: usize,
    seen: String,
    /// The number of hosts has to be typed.
    asks: bool,
    wrong: Option<String>,
}

struct Batch {
    number: usize,
    hosts: String,
    names: String,
    more: usize,
}

/// The form, empty or with what the address says.
pub(in crate::web) async fn form(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    html(&page(&web, &visitor, Wish::read(&fields), None).await?)
}

/// The form with what another page sends: hosts that were ticked, or a preview that is to be changed.
pub(in crate::web) async fn form_again(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    html(&page(&web, &visitor, Wish::read(&fields), None).await?)
}

/// What would run where, in which order. Starts nothing.
pub(in crate::web) async fn preview(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let wish = Wish::read(&fields);
    match look(&web, &visitor, &wish).await {
        Ok((_, preview)) => html(&PreviewPage::new(&web, &visitor, wish, preview, None)),
        Err(why) => refused(&web, &visitor, wish, why).await,
    }
}

/// Starts what was seen: when something else would run than the preview showed, it is shown anew.
pub(in crate::web) async fn start(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let wish = Wish::read(&fields);
    let (start, preview) = match look(&web, &visitor, &wish).await {
        Ok(found) => found,
        Err(why) => return refused(&web, &visitor, wish, why).await,
    };
    let again = match fields.text("seen") {
        None => Some((StatusCode::OK, None)),
        Some(seen) if seen != digest(&preview) => Some((
            StatusCode::CONFLICT,
            Some("What would run has changed since you looked; this is how it stands now.".to_owned()),
        )),
        Some(_) if asks(&preview) && fields.text("count") != Some(preview.hosts.to_string().as_str()) => Some((
            StatusCode::BAD_REQUEST,
            Some(format!(
                "count: type {} to go on: that is how many hosts are chosen.",
                preview.hosts
            )),
        )),
        Some(_) => None,
    };
    if let Some((status, wrong)) = again {
        return html_with(status, &PreviewPage::new(&web, &visitor, wish, preview, wrong));
    }
    match web.engine.start_pipeline(start, visitor.by()).await {
        Ok(row) => Ok(see(&format!("/pipelines/{}", row.id))),
        Err(why) => refused(&web, &visitor, wish, why).await,
    }
}

async fn look(web: &Web, visitor: &Visitor, wish: &Wish) -> Result<(StartPipeline, Preview), EngineError> {
    let start = wish.start()?;
    let preview = web.engine.preview_pipeline_of(&start, &visitor.by()).await?;
    Ok((start, preview))
}

/// What a preview showed, so that nothing else is started.
fn digest(preview: &Preview) -> String {
    let text = format!("{} {:?} {:?}", preview.name, preview.stages, preview.batches);
    Digest::of(text.as_bytes()).as_str().chars().take(16).collect()
}

fn asks(preview: &Preview) -> bool {
    preview.dangerous && preview.hosts > 1
}

/// The form with what was typed and what is wrong with it.
async fn refused(web: &Web, visitor: &Visitor, wish: Wish, why: EngineError) -> Result<HttpResponse, Problem> {
    let text = why.to_string();
    let (status, field, text) = match &why {
        EngineError::Invalid(wrong) => (StatusCode::BAD_REQUEST, wrong.field.to_string(), &wrong.problem),
        EngineError::UnknownHost(_) => (StatusCode::NOT_FOUND, "hosts".to_owned(), &text),
        EngineError::UnknownPipelineName { .. } | EngineError::UnknownOp { .. } => {
            (StatusCode::NOT_FOUND, "name".to_owned(), &text)
        }
        EngineError::Conflict(_) => (StatusCode::CONFLICT, String::new(), &text),
        EngineError::Forbidden(why) => {
            let message = format!("{} was refused a pipeline: {why}", visitor.actor.name());
            let noted = web.engine.note_refusal("a pipeline", &message, visitor.by());
            noted.await?;
            (StatusCode::FORBIDDEN, "hosts".to_owned(), &text)
        }
        EngineError::UnknownCommand(_)
        | EngineError::UnknownPipeline(_)
        | EngineError::Unknown(_)
        | EngineError::StepUp
        | EngineError::TooMany { .. }
        | EngineError::Unavailable(_)
        | EngineError::Internal(_) => return Err(why.into()),
    };
    let end = if text.ends_with(['.', '?']) { "" } else { "." };
    let text = match field.as_str() {
        "" => format!("{text}{end}"),
        field => format!("{field}: {text}{end}"),
    };
    let page = page(web, visitor, wish, Some(Wrong { field, text })).await?;
    html_with(status, &page)
}

async fn page(web: &Web, visitor: &Visitor, wish: Wish, wrong: Option<Wrong>) -> Result<FormPage, Problem> {
    let hosts = web.engine.reader().read(Journal::hosts).await?;
    let catalog = web.engine.catalog();
    let others = || hosts.iter().filter(|host| !host.automatic);
    let mine = |host: &HostRow| visitor.may_on(Ask::Run, On::Host(&host.hostname, &host.tags));
    // What holds a host that is not theirs would be refused.
    let foreign: Vec<&Tag> = others()
        .filter(|host| !mine(host))
        .flat_map(|host| &host.tags)
        .collect();
    let mut tags: Vec<(String, usize, bool)> = Vec::new();
    let mut all: Vec<String> = others()
        .flat_map(|host| &host.tags)
        .filter(|tag| !foreign.contains(tag))
        .map(ToString::to_string)
        .collect();
    all.sort();
    for tag in all {
        match tags.last_mut() {
            Some((last, number, _)) if *last == tag => *number += 1,
            _ => {
                let chosen = wish.tags.contains(&tag);
                tags.push((tag, 1, chosen));
            }
        }
    }
    // A tag that no host has is kept, so that what was typed is shown with what is wrong about it.
    for tag in &wish.tags {
        if !tags.iter().any(|(known, ..)| known == tag) {
            tags.push((bounded(tag, 80), 0, true));
        }
    }
    let runs_dangerous = visitor.may(Ask::RunDangerous);
    let mut definitions: Vec<Definition> = catalog
        .pipelines()
        .filter(|def| runs_dangerous || !catalog.is_dangerous(def))
        .map(|def| Definition {
            id: def.id.to_string(),
            label: def.label().to_owned(),
            description: def.description.clone(),
            stages: def.stages.iter().map(stage).collect(),
            dangerous: catalog.is_dangerous(def),
        })
        .collect();
    definitions.sort_by_key(|def| (def.dangerous, def.id.clone()));
    let def = catalog.pipeline(&wish.name);
    let dangerous = match (def, catalog.get(&wish.name)) {
        (Some(def), _) => catalog.is_dangerous(def),
        (None, op) => op.is_some_and(|op| op.dangerous),
    };
    Ok(FormPage {
        frame: Frame::new(web, visitor, "pipelines", "Start a pipeline"),
        defaults: Defaults::of(def, dangerous),
        definitions,
        ops: choices(&catalog, runs_dangerous),
        tags,
        all_hosts: others().count(),
        all_mine: others().all(mine),
        wish,
        wrong,
    })
}

fn stage(stage: &crate::domain::StageDef) -> String {
    match &stage.action {
        crate::domain::ActionDef::Op(op) => op.to_string(),
        crate::domain::ActionDef::Wait(text) => format!("wait: {text}"),
    }
}

impl PreviewPage {
    fn new(web: &Web, visitor: &Visitor, wish: Wish, mut preview: Preview, wrong: Option<String>) -> Self {
        let seen = digest(&preview);
        let clock = web.clock();
        for (_, why) in preview.busy.iter_mut().chain(&mut preview.unreachable) {
            *why = clock.spoken(why, clock.now);
        }
        let hosts = count(preview.hosts, "host", "hosts");
        let sizes: Vec<usize> = preview.batches.iter().map(Vec::len).collect();
        let mut limits = vec![pipelines::at_once(preview.max_parallel), pipelines::in_batches(&sizes)];
        limits.extend(preview.stop_at.map(|stop| match stop {
            1 => "stops at the first failure".to_owned(),
            stop => format!("stops at {stop} failures"),
        }));
        limits.push(pipelines::busy(preview.if_busy));
        let batches = preview.batches.iter().zip(1..).take(BATCHES);
        Self {
            frame: Frame::new(web, visitor, "pipelines", format!("{} on {hosts}?", preview.label)),
            batches: batches.map(|(names, number)| Batch::new(number, names)).collect(),
            more_batches: preview.batches.len().saturating_sub(BATCHES),
            seen,
            asks: asks(&preview),
            limits,
            hosts,
            wish,
            preview,
            wrong,
        }
    }

    /// The first ones of a list of hosts and why; the rest is a number.
    fn first<'a>(&self, list: &'a [(String, String)]) -> &'a [(String, String)] {
        &list[..list.len().min(NAMES)]
    }

    fn beyond(&self, list: &[(String, String)]) -> usize {
        list.len().saturating_sub(NAMES)
    }
}

impl Batch {
    fn new(number: usize, names: &[String]) -> Self {
        Self {
            number,
            hosts: count(names.len(), "host", "hosts"),
            names: names[..names.len().min(NAMES)].join(", "),
            more: names.len().saturating_sub(NAMES),
        }
    }
}
