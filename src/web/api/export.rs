//! Rows as a file.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::domain::{ExportFormat, ExportOf};
use crate::store::Selection;

use super::super::download::{asked, download as answer};
use super::Api;
use super::caller::Caller;
use super::problem::Problem;
use super::query::Parameters;
use super::{commands, events, filters, pipelines};

#[utoipa::path(get, path = "/api/v1/export", operation_id = "exportRows", tag = "Events",
    summary = "Gives rows as a file.", description = "Every row that the filters fit, oldest first, in bounded memory: CSV (RFC 4180) in which no cell begins like a formula, or JSON Lines. What sweeps have moved into the archive is part of it; what is newer than the request is not. What the range lacks is named in the headers `Quarterdeck-Damaged` (archive files that are missing or damaged) and `Quarterdeck-Not-Kept` (retention took it for good). An export is itself an event; an answer that breaks off is not whole. Of one actor 4 may be on their way at once, and 60 begin within an hour.",
    params(filters::Export),
    responses((status = 200, description = "The file.", content((String = "text/csv"), (String = "application/jsonl"))),
        (status = 429, description = "Too many exports at once, or within an hour; the text says what to do.", body = super::problem::Problem, content_type = "application/problem+json")),
)]
pub(super) async fn download(
    api: Data<Api>,
    Caller(by): Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let given = Parameters::of::<filters::Export>(&request)?;
    let missing = |name: &str, example: &str| Problem::invalid(name, format!("is missing; {example}"));
    let what: ExportOf = given
        .parsed("what")?
        .ok_or_else(|| missing("what", "events, commands or pipelines"))?;
    let format: ExportFormat = given
        .parsed("format")?
        .ok_or_else(|| missing("format", "csv or jsonl"))?;
    let beside = ["what", "format"];
    let selection = match what {
        ExportOf::Events => {
            given.only::<filters::Events>(&beside, "events")?;
            Selection::Events(events::filter(&api, &given).await?)
        }
        ExportOf::Commands => {
            given.only::<filters::History>(&beside, "commands")?;
            Selection::Commands(commands::filter(&api, &given).await?)
        }
        ExportOf::Pipelines => {
            given.only::<filters::Pipelines>(&beside, "pipelines")?;
            Selection::Pipelines(pipelines::filter(&api, &given).await?)
        }
    };
    let exporting = api.engine.export(selection, format, asked(given.pairs())?, by).await?;
    Ok(answer(exporting, what, format).await?)
}
