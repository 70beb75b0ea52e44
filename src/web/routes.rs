//! Every URL of the pages, as a table of contents.

use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, FormConfig, ServiceConfig, get, post};

use super::pages::{
    command, definition, enter, fleet, history, host, log, pipeline, pipeline_form, pipeline_list, pipeline_wish, wish,
};
use super::{assets, guard, health};

/// The most that a form may send: room for some thousand host names.
const FORM_LIMIT: usize = 256 * 1024;

/// Mounts the pages. The last scope takes every URL that nothing else took, so mount `/api/v1` first.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/healthz", get().to(health::alive))
        .route("/healthz", web::head().to(health::alive))
        .route("/readyz", get().to(health::ready))
        .route("/readyz", web::head().to(health::ready));
    cfg.service(
        web::scope("")
            .app_data(FormConfig::default().limit(FORM_LIMIT))
            .wrap(from_fn(guard::session))
            .wrap(from_fn(guard::door))
            .wrap(Compress::default())
            // Without a session.
            .route("/static/{file:.*}", get().to(assets::serve))
            .route("/enter", get().to(enter::enter))
            // Fleet and hosts.
            .route("/", get().to(fleet::show))
            .route("/run", post().to(fleet::run))
            .route("/hosts", post().to(host::add))
            .route("/hosts/{name}", get().to(host::show))
            .route("/hosts/{name}/test", post().to(host::test))
            .route("/hosts/{name}/remove", post().to(host::remove))
            // Commands.
            .route("/history", get().to(history::show))
            .route("/commands/{id}", get().to(command::show))
            .route("/commands/{id}/tail", get().to(command::tail))
            .route("/commands/{id}/output", get().to(command::download))
            .route("/commands/{id}/stop", post().to(wish::stop))
            .route("/commands/{id}/extend", post().to(wish::extend))
            .route("/commands/{id}/retry", post().to(wish::retry))
            .route("/commands/{id}/find-out", post().to(wish::find_out))
            .route("/commands/{id}/resolve", post().to(wish::resolve))
            .route("/definitions/{digest}", get().to(definition::show))
            // Pipelines.
            .route("/pipelines", get().to(pipeline_list::show))
            .route("/pipelines", post().to(pipeline_form::start))
            .route("/pipelines/new", get().to(pipeline_form::form))
            .route("/pipelines/new", post().to(pipeline_form::form_again))
            .route("/pipelines/preview", post().to(pipeline_form::preview))
            .route("/pipelines/{id}", get().to(pipeline::show))
            .route("/pipelines/{id}/hold", post().to(pipeline_wish::hold))
            .route("/pipelines/{id}/continue", post().to(pipeline_wish::go_on))
            .route("/pipelines/{id}/cancel", get().to(pipeline_wish::ask_cancel))
            .route("/pipelines/{id}/cancel", post().to(pipeline_wish::cancel))
            .route("/pipelines/{id}/retry", get().to(pipeline_wish::ask_retry))
            .route("/pipelines/{id}/retry", post().to(pipeline_wish::retry))
            // System log.
            .route("/log", get().to(log::show))
            .default_service(web::to(super::error::not_found)),
    );
}
