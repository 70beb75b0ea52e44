//! Audit reports: made and given as the pages do.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Data, Path, Payload};

use crate::domain::ReportNumber;

use super::super::Web;
use super::super::pages::report;
use super::Api;
use super::answers::ReportMade;
use super::body;
use super::caller::Caller;
use super::problem::Problem;
use super::report_body::ReportBody;

type Answer = Result<HttpResponse, Problem>;

#[utoipa::path(post, path = "/api/v1/reports", operation_id = "makeReport", tag = "Events",
    summary = "Makes an audit report.", description = "It gets a number, and is an event with its digest. `range` is one of `today`, `yesterday`, `week`, `month`; in its place `since` and, for an end before now, `until`. Rows that sweeps have moved into the archive are part of it.",
    request_body = ReportBody,
    responses((status = 201, description = "The report, whole.", body = ReportMade),
        (status = 503, description = "The journal cannot be written now.", body = Problem, content_type = "application/problem+json")),
)]
pub(super) async fn make(api: Data<Api>, web: Data<Web>, Caller(by): Caller, payload: Payload) -> Answer {
    let answer = async {
        let fields = body::required::<ReportBody>(payload).await?.fields()?;
        Ok(report::made(&web, &fields, by.clone()).await?)
    };
    let row = api.noted(&by, "an audit report", answer.await).await?;
    Ok(HttpResponse::Created().json(ReportMade {
        number: row.number.to_string(),
        made_at: row.made_at,
        made_by: row.made_by,
        since: row.parameters.since,
        until: row.parameters.until,
        covers: row.covers,
        digest: row.digest,
        event_id: row.event_id,
        checkpoint_id: row.checkpoint_id,
        counted: row.summary.unwrap_or_default(),
    }))
}

#[utoipa::path(get, path = "/api/v1/reports/{number}", operation_id = "showReport", tag = "Events",
    summary = "Gives an audit report as one page.", description = "What it says was drawn when it was made, and is the same byte for byte; `audit verify --report` takes the page.",
    params(("number" = String, Path, description = "Its number: `QD-2026-000001`.")),
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
pub(super) async fn show(web: Data<Web>, _: Caller, number: Path<String>) -> Answer {
    let missing = || Problem::not_found("there is no report of this number");
    let number: ReportNumber = number.parse().map_err(|_| missing())?;
    let page = report::saved(&web, number).await?.ok_or_else(missing)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(page))
}
