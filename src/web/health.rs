//! `/healthz` and `/readyz`, for whoever restarts or routes. No session, no page, no query of tables.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::web::Data;

use super::Web;

/// The process answers.
pub(super) async fn alive() -> HttpResponse {
    plain(HttpResponse::Ok(), "ok\n".to_owned())
}

/// The writer writes, the sweeps run, there is room on the disk. Places outside that take nothing are named, too, and
/// make nothing red: ops run without them.
pub(super) async fn ready(web: Data<Web>) -> HttpResponse {
    let health = web.engine.health();
    let mut text = if health.ready { "ready\n" } else { "not ready\n" }.to_owned();
    for line in health.problems.iter().chain(&health.notes) {
        text.push_str(line);
        text.push('\n');
    }
    let answer = if health.ready {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    plain(answer, text)
}

fn plain(mut answer: actix_web::HttpResponseBuilder, text: String) -> HttpResponse {
    answer
        .content_type(ContentType::plaintext())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text)
}
