//! `/healthz` and `/readyz`, for whoever restarts or routes. No session, no page, no query of tables.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::web::Data;

use super::Web;

/// The process answers.
pub(super) async fn alive() -> HttpResponse {
    plain(HttpResponse::Ok(), "ok\n".to_owned())
}

/// The writer writes, the sweeps run, there is room on the disk.
pub(super) async fn ready(web: Data<Web>) -> HttpResponse {
    let health = web.engine.health();
    if health.ready {
        return plain(HttpResponse::Ok(), "ready\n".to_owned());
    }
    let mut text = "not ready\n".to_owned();
    for problem in &health.problems {
        text.push_str(problem);
        text.push('\n');
    }
    plain(HttpResponse::ServiceUnavailable(), text)
}

fn plain(mut answer: actix_web::HttpResponseBuilder, text: String) -> HttpResponse {
    answer
        .content_type(ContentType::plaintext())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text)
}
