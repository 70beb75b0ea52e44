//! What can be done with a pipeline: pause, continue, cancel, retry. Each is one call of the engine, which decides; what
//! cannot be taken back is asked about on a page of its own first.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, ReqData};
use askama::Template;

use crate::domain::{Action, CancelMode, Definition, Digest, Invalid, PipelineId};
use crate::engine::RetryPreview;
use crate::store::{PipelineCounts, PipelineRow};

use super::super::error::Problem;
use super::super::fields::{Fields, sentence};
use super::super::frame::{Frame, html, html_with, see};
use super::super::words::count;
use super::super::{Visitor, Web};
use super::pipeline::{id_of, missing};
use super::pipeline_words as pipelines;
use super::wish::{Change, changes};

type Answer = Result<HttpResponse, Problem>;

/// Hosts that the preview of a retry shows.
const SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "pipeline/cancel.html")]
struct CancelPage {
    frame: Frame,
    id: String,
    name: String,
    sentence: String,
    waiting: String,
    running: String,
    /// It is being cancelled already, and what runs may end by itself.
    finishing: bool,
    reason: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "pipeline/retry.html")]
struct RetryPage {
    frame: Frame,
    id: String,
    preview: RetryPreview,
    hosts: String,
    lines: Vec<Line>,
    more: usize,
    changes: Vec<Changed>,
    seen: String,
    asks: bool,
    reason: String,
    wrong: Option<String>,
}

/// One host of a retry.
struct Line {
    host: String,
    stage: String,
    why: String,
}

/// An op whose definition is another one today.
struct Changed {
    op: String,
    parts: Vec<Change>,
}

pub(in crate::web) async fn hold(web: Data<Web>, visitor: ReqData<Visitor>, id: Path<String>) -> Answer {
    let id = id_of(&id)?;
    web.engine.hold_pipeline(id, visitor.by()).await?;
    Ok(see(&format!("/pipelines/{id}")))
}

pub(in crate::web) async fn keep(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    fields: Fields,
) -> Answer {
    let id = id_of(&id)?;
    let reason = fields.owned("reason").unwrap_or_default();
    web.engine.keep_pipeline(id, reason, visitor.by()).await?;
    Ok(see(&format!("/pipelines/{id}")))
}

pub(in crate::web) async fn unkeep(web: Data<Web>, visitor: ReqData<Visitor>, id: Path<String>) -> Answer {
    let id = id_of(&id)?;
    web.engine.unkeep_pipeline(id, visitor.by()).await?;
    Ok(see(&format!("/pipelines/{id}")))
}

pub(in crate::web) async fn go_on(web: Data<Web>, visitor: ReqData<Visitor>, id: Path<String>) -> Answer {
    let id = id_of(&id)?;
    web.engine.continue_pipeline(id, visitor.by()).await?;
    Ok(see(&format!("/pipelines/{id}")))
}

/// Asks how.
pub(in crate::web) async fn ask_cancel(web: Data<Web>, visitor: ReqData<Visitor>, id: Path<String>) -> Answer {
    let page = CancelPage::read(&web, &visitor, id_of(&id)?, String::new(), None).await?;
    html(&page)
}

pub(in crate::web) async fn cancel(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    fields: Fields,
) -> Answer {
    let id = id_of(&id)?;
    let reason = fields.owned("reason");
    let mode = fields.parse::<CancelMode>("mode").and_then(|mode| {
        mode.ok_or_else(|| Invalid::new("mode", "say whether what runs may end by itself, or is stopped"))
    });
    match mode {
        Ok(mode) => {
            web.engine.cancel_pipeline(id, mode, reason, visitor.by()).await?;
            Ok(see(&format!("/pipelines/{id}")))
        }
        Err(wrong) => {
            let page = CancelPage::read(&web, &visitor, id, reason.unwrap_or_default(), Some(sentence(&wrong))).await?;
            html_with(StatusCode::BAD_REQUEST, &page)
        }
    }
}

/// Shows what a retry would do.
pub(in crate::web) async fn ask_retry(web: Data<Web>, visitor: ReqData<Visitor>, id: Path<String>) -> Answer {
    let id = id_of(&id)?;
    let preview = web.engine.preview_retry(id).await?;
    html(&RetryPage::read(&web, &visitor, id, preview, String::new(), None).await?)
}

/// Retries what was seen: when something else would run than the preview showed, it is shown anew.
pub(in crate::web) async fn retry(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    fields: Fields,
) -> Answer {
    let id = id_of(&id)?;
    let reason = fields.owned("reason");
    let preview = web.engine.preview_retry(id).await?;
    let again = match fields.text("seen") {
        None => Some((StatusCode::OK, None)),
        Some(seen) if seen != digest(&preview) => Some((
            StatusCode::CONFLICT,
            Some("What would run has changed since you looked; this is how it stands now.".to_owned()),
        )),
        Some(_) if asks(&preview) && fields.text("count") != Some(preview.hosts.len().to_string().as_str()) => Some((
            StatusCode::BAD_REQUEST,
            Some(format!("count: type {} to go on.", preview.hosts.len())),
        )),
        Some(_) => None,
    };
    if let Some((status, wrong)) = again {
        let page = RetryPage::read(&web, &visitor, id, preview, reason.unwrap_or_default(), wrong).await?;
        return html_with(status, &page);
    }
    let row = web.engine.retry_pipeline(id, reason, visitor.by()).await?;
    Ok(see(&format!("/pipelines/{}", row.id)))
}

fn asks(preview: &RetryPreview) -> bool {
    preview.dangerous && preview.hosts.len() > 1
}

fn digest(preview: &RetryPreview) -> String {
    let text = format!("{:?} {:?}", preview.hosts, preview.changed);
    Digest::of(text.as_bytes()).as_str().chars().take(16).collect()
}

impl CancelPage {
    async fn read(
        web: &Web,
        visitor: &Visitor,
        id: PipelineId,
        reason: String,
        wrong: Option<String>,
    ) -> Result<Self, Problem> {
        let found: Option<(PipelineRow, PipelineCounts, _, _)> = web
            .engine
            .reader()
            .read(move |journal| {
                let Some(row) = journal.pipeline(id)? else {
                    return Ok(None);
                };
                let stages = journal.pipeline_stages(&row)?;
                Ok(Some((
                    journal.pipeline_counts(id)?,
                    journal.pipeline_cells(id)?,
                    stages,
                    row,
                )))
            })
            .await?
            .map(|(counts, cells, stages, row)| (row, counts, cells, stages));
        let (row, counts, cells, stages) = found.ok_or_else(|| missing(id))?;
        if !web.engine.rights_on(&row, &visitor.by()).await?.0 {
            return Err(Problem::not_allowed("hosts of it are not yours to stop ops on"));
        }
        if !row.is_open() || row.cancel_mode == Some(CancelMode::Kill) {
            return Err(Problem::conflict(if row.is_open() {
                format!("“{}” is being cancelled already.", row.name)
            } else {
                format!("“{}” has ended: {}.", row.name, pipelines::status(&row).text)
            }));
        }
        let turn = row.plan.turn(&cells, row.hold_reason.as_deref());
        Ok(Self {
            frame: Frame::new(web, visitor, "pipelines", format!("Cancel {}?", row.name)),
            id: id.to_string(),
            sentence: pipelines::sentence(&row, &counts, &stages, turn),
            waiting: count(counts.waiting, "command", "commands"),
            running: match counts.running {
                0 => "Nothing runs".to_owned(),
                1 => "1 command runs".to_owned(),
                more => format!("{more} commands run"),
            },
            finishing: row.cancel_mode == Some(CancelMode::Finish),
            name: row.name,
            reason,
            wrong,
        })
    }
}

impl RetryPage {
    async fn read(
        web: &Web,
        visitor: &Visitor,
        id: PipelineId,
        preview: RetryPreview,
        reason: String,
        wrong: Option<String>,
    ) -> Result<Self, Problem> {
        let then: Option<(PipelineRow, Vec<Definition>)> = web
            .engine
            .reader()
            .read(move |journal| {
                let Some(row) = journal.pipeline(id)? else {
                    return Ok(None);
                };
                let mut definitions = Vec::new();
                for stage in &row.plan.stages {
                    if let Action::Op { definition, .. } = &stage.action
                        && let Some(text) = journal.definition(definition)?
                        && let Ok(definition) = Definition::read(&text)
                    {
                        definitions.push(definition);
                    }
                }
                Ok(Some((row, definitions)))
            })
            .await?;
        let (row, then) = then.ok_or_else(|| missing(id))?;
        if !web.engine.rights_on(&row, &visitor.by()).await?.1 {
            return Err(Problem::not_allowed("hosts of it are not yours to run this on"));
        }
        let catalog = web.engine.catalog();
        let today = |op: &str| catalog.get(op).map(crate::domain::Op::definition);
        let changes = preview.changed.iter().map(|op| {
            let then = then.iter().find(|then| then.op.as_str() == op);
            let parts = then.zip(today(op)).map(|(then, today)| changes(then, &today));
            Changed {
                op: op.clone(),
                parts: parts.unwrap_or_default(),
            }
        });
        let stage = |index: usize| row.plan.stages.get(index).map(|stage| stage.text().to_owned());
        let hosts = count(preview.hosts.len(), "host", "hosts");
        let clock = web.clock();
        Ok(Self {
            frame: Frame::new(web, visitor, "pipelines", format!("Retry {} on {hosts}?", preview.name)),
            id: id.to_string(),
            lines: (preview.hosts.iter().take(SHOWN))
                .map(|(host, from, why)| Line {
                    host: host.clone(),
                    stage: format!("stage {}, {}", from + 1, stage(*from).unwrap_or_default()),
                    why: clock.spoken(why, clock.now),
                })
                .collect(),
            more: preview.hosts.len().saturating_sub(SHOWN),
            changes: changes.collect(),
            seen: digest(&preview),
            asks: asks(&preview),
            hosts,
            preview,
            reason,
            wrong,
        })
    }
}
