//! Places outside that hear what happens here, and how they do.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Payload};

use crate::engine::NotifyTested;
use crate::store::Journal;

use super::Api;
use super::answers::Deliveries;
use super::body::{self, ReasonBody};
use super::caller::Caller;
use super::problem::Problem;

type Answer = Result<HttpResponse, Problem>;

/// Addresses are shown without what may be a secret.
#[utoipa::path(get, path = "/api/v1/deliveries", operation_id = "listDeliveries", tag = "Events",
    summary = "Lists the places outside that get events, checkpoints or notifications, and how far each has got.",
    description = "",
    responses((status = 200, description = "The places.", body = Deliveries)),
)]
pub(super) async fn list(api: Data<Api>, _: Caller) -> Answer {
    let deliveries = api.engine.reader().read(Journal::deliveries).await?;
    Ok(HttpResponse::Ok().json(Deliveries { deliveries }))
}

/// That it did not arrive is an answer, not a failure of the request.
#[utoipa::path(post, path = "/api/v1/notifications/{name}/test", operation_id = "testNotification", tag = "Events",
    summary = "Sends a test message to whom the [[notify]] of this name tells, and says how that went.", description = "",
    params(("name" = String, Path, description = "The notification's name.")),
    request_body = Option<ReasonBody>,
    responses((status = 200, description = "How it went.", body = NotifyTested)),
)]
pub(super) async fn test(api: Data<Api>, Caller(by): Caller, name: Path<String>, payload: Payload) -> Answer {
    let answer = async {
        body::optional::<ReasonBody>(payload).await?;
        Ok(api.engine.test_notify(by.clone(), &name).await?)
    };
    let tested = api.noted(&by, "a test of a notification", answer.await).await?;
    Ok(HttpResponse::Ok().json(tested))
}
