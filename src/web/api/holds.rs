//! Holds: ranges of time of which nothing is swept.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Payload};

use crate::store::{HoldRow, Journal};

use super::Api;
use super::answers::Holds;
use super::body::{self, HoldBody, KeepBody};
use super::caller::Caller;
use super::problem::Problem;

type Answer = Result<HttpResponse, Problem>;

#[utoipa::path(get, path = "/api/v1/holds", operation_id = "listHolds", tag = "Dashboard",
    summary = "Lists the holds, the newest first.", description = "Released ones as well.",
    responses((status = 200, description = "The holds.", body = Holds)),
)]
pub(super) async fn list(api: Data<Api>, _: Caller) -> Answer {
    let holds = api.engine.reader().read(Journal::holds).await?;
    Ok(HttpResponse::Ok().json(Holds { holds }))
}

#[utoipa::path(post, path = "/api/v1/holds", operation_id = "placeHold", tag = "Dashboard",
    summary = "Holds a range of time: nothing of it is swept.", description = "Neither events nor commands nor pipelines, nor archive files with rows of them.",
    request_body = HoldBody,
    responses((status = 201, description = "The hold.", body = HoldRow)),
)]
pub(super) async fn place(api: Data<Api>, Caller(by): Caller, payload: Payload) -> Answer {
    let answer = async {
        let HoldBody { from, until, reason } = body::required(payload).await?;
        Ok(api.engine.place_hold(from, until, reason, by.clone()).await?)
    };
    let row = api.noted(&by, "a hold", answer.await).await?;
    Ok(HttpResponse::Created().json(row))
}

#[utoipa::path(post, path = "/api/v1/holds/{id}/release", operation_id = "releaseHold", tag = "Dashboard",
    summary = "Releases a hold.", description = "",
    params(("id" = i64, Path, description = "The hold's number.", minimum = 1)),
    request_body = KeepBody,
    responses((status = 200, description = "The hold as it is now.", body = HoldRow),
        (status = 409, description = "It was released before.", body = Problem, content_type = "application/problem+json")),
)]
pub(super) async fn release(api: Data<Api>, Caller(by): Caller, id: Path<String>, payload: Payload) -> Answer {
    let answer = async {
        let id: i64 = id
            .parse()
            .map_err(|_| Problem::not_found("there is no hold of this number"))?;
        let KeepBody { reason } = body::required(payload).await?;
        Ok(api.engine.release_hold(id, reason, by.clone()).await?)
    };
    let row = api.noted(&by, "the release of a hold", answer.await).await?;
    Ok(HttpResponse::Ok().json(row))
}
