//! What a page lists, as a file: the same filters in the address, every row that they fit.

use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};

use crate::domain::{ExportFormat, ExportOf, Invalid};
use crate::store::Selection;

use super::super::download::{asked, download as answer};
use super::super::error::Problem;
use super::super::fields::{Fields, to_query};
use super::super::{Visitor, Web};
use super::host::host_id;
use super::{history, log, pipeline_list};

/// Where a page's list is as a file.
pub(super) struct Places {
    pub(super) csv: String,
    pub(super) jsonl: String,
}

impl Places {
    /// Of the list that `page` (`/log?level=warn`) shows.
    pub(super) fn of(what: ExportOf, page: &str) -> Self {
        let place = |format: ExportFormat| {
            let own = to_query([("what", what.as_str()), ("format", format.as_str())]);
            let filters = page.split_once('?').map(|(_, filters)| format!("&{filters}"));
            format!("/audit/export{own}{}", filters.unwrap_or_default())
        };
        Self {
            csv: place(ExportFormat::Csv),
            jsonl: place(ExportFormat::JsonLines),
        }
    }
}

pub(in crate::web) async fn download(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let missing = |name: &str, example: &str| Invalid::new(name, format!("is missing; {example}"));
    let what: ExportOf = fields
        .parse("what")?
        .ok_or_else(|| missing("what", "events, commands or pipelines"))?;
    let format: ExportFormat = fields
        .parse("format")?
        .ok_or_else(|| missing("format", "csv or jsonl"))?;
    fields.only(filters(what))?;
    let clock = web.clock();
    let (mut selection, host) = match what {
        ExportOf::Events => log::selection(&fields, &clock)?,
        ExportOf::Commands => history::selection(&fields, &clock)?,
        ExportOf::Pipelines => pipeline_list::selection(&fields)?,
    };
    let reader = web.engine.reader();
    let id = reader.read(move |journal| host_id(journal, host.as_ref())).await??;
    match &mut selection {
        Selection::Events(filter) => filter.host = id,
        Selection::Commands(filter) => filter.host = id,
        Selection::Pipelines(filter) => filter.host = id,
    }
    let exporting = web
        .engine
        .export(selection, format, asked(fields.pairs())?, visitor.by())
        .await?;
    Ok(answer(exporting, what, format).await?)
}

/// What may be asked with: the filters of the page that lists these rows.
const fn filters(what: ExportOf) -> &'static [&'static str] {
    match what {
        ExportOf::Events => &[
            "what", "format", "q", "category", "level", "action", "host", "actor", "since", "until", "command",
            "pipeline",
        ],
        ExportOf::Commands => &[
            "what", "format", "show", "host", "op", "status", "actor", "pipeline", "since", "until",
        ],
        ExportOf::Pipelines => &["what", "format", "status", "name", "actor", "host"],
    }
}
