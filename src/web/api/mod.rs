//! The JSON API, version 1: the door for programs, the command line among them.
//!
//! | method and path under `/api/v1` | what |
//! | --- | --- |
//! | `POST /commands` | start an op: `{op, hosts, reason?}`, 202 with the journaled rows, refused ones included; on several hosts it is a pipeline of one stage, `pipeline_id` |
//! | `GET /commands` | history, newest first: `host op pipeline status actor since until open limit cursor` |
//! | `GET /commands/{id}` | one command |
//! | `GET /commands/{id}/output` | its output, whole or by `Range: bytes=` |
//! | `POST /commands/{id}/cancel`, `retry`, `resolve`, `extend`, `find-out` | a wish: `{reason?}`, `extend` takes `{for}` |
//! | `GET /pipelines` | newest first: `host name status actor since until open limit cursor` |
//! | `POST /pipelines` | start one: `{name, hosts?, tags?, all?, reason?}` and limits, as the catalog has them |
//! | `POST /pipelines/preview` | the same body; what will run where, in which order; nothing starts |
//! | `GET /pipelines/{id}` | one pipeline with `counts`, and `results` in groups unless `results=false` |
//! | `GET /pipelines/{id}/commands` | its commands, newest first: `status open limit cursor` |
//! | `POST /pipelines/{id}/cancel` | `{mode?: finish \| kill, reason?}` |
//! | `POST /pipelines/{id}/hold`, `continue` | start nothing new; go on |
//! | `GET /pipelines/{id}/retry`, `POST` | what a retry would try again; do it: `{reason?}` |
//! | `GET /pipeline-definitions` | what can be started |
//! | `GET /hosts`, `POST /hosts` | the fleet; add a host: `{name, ssh \| local, tags?, spool?, run_as?}` |
//! | `GET /hosts/{name}`, `DELETE /hosts/{name}` | one host; remove it |
//! | `POST /hosts/{name}/test` | reach it now and say what was found |
//! | `GET /ops` | the catalog |
//! | `GET /events` | newest first with filters; with `after=ID` oldest first, waiting up to `wait` seconds |
//! | `GET /state` | `{instance, version}` |
//! | `GET /recovery` | what a start would do now |
//! | `POST /sweep` | sweep now |
//! | `POST /links` | a one-time link to the pages: `{url}` |
//!
//! Rows are the store's rows: the column names of the journal, `host` is the name. Whatever is refused
//! is a problem document (RFC 9457) that names the field and the fix; a refused change is also an event.
//!
//! Handlers parse, make one call of the engine or one read of the journal, and answer. Who asks is
//! known from the connection alone ([`Caller`]): the kernel says whose process it is.

mod body;
mod caller;
mod commands;
mod events;
mod hosts;
mod output;
mod pipeline_body;
mod pipelines;
mod problem;
mod query;
mod refusals;
mod system;

use std::sync::Arc;

use actix_web::web::{ServiceConfig, delete, get, post, resource, route, scope};

use tokio_util::sync::CancellationToken;

use crate::engine::{By, Engine};
use crate::web::Links;

pub use caller::{Caller, on_connect};
use problem::Problem;

/// What the API is given once, at start; handlers get it as application data (`web::Data<Api>`).
pub struct Api {
    engine: Engine,
    links: Arc<Links>,
    pages: String,
    shutdown: CancellationToken,
    refusals: refusals::Refusals,
}

impl Api {
    /// Puts the API on top of an engine. `pages` is where the pages are (`http://127.0.0.1:7440`), for
    /// one-time links; `shutdown` wakes every waiting request when it is cancelled.
    #[must_use]
    pub fn new(engine: Engine, links: Arc<Links>, pages: impl Into<String>, shutdown: CancellationToken) -> Self {
        Self {
            engine,
            links,
            pages: pages.into(),
            shutdown,
            refusals: refusals::Refusals::default(),
        }
    }

    /// Passes an answer on; a refusal is journaled first: who was refused what, and why.
    async fn noted<T>(&self, by: &By, what: &str, answer: Result<T, Problem>) -> Result<T, Problem> {
        self.refusals.noted(&self.engine, by, what, answer).await
    }
}

/// Every URL of the API.
pub fn routes(config: &mut ServiceConfig) {
    config.service(
        scope("/api/v1")
            .service(
                resource("/commands")
                    .route(get().to(commands::list))
                    .route(post().to(commands::start)),
            )
            .service(resource("/commands/{id}").route(get().to(commands::show)))
            .service(resource("/commands/{id}/output").route(get().to(output::read)))
            .service(resource("/commands/{id}/cancel").route(post().to(commands::cancel)))
            .service(resource("/commands/{id}/retry").route(post().to(commands::retry)))
            .service(resource("/commands/{id}/resolve").route(post().to(commands::resolve)))
            .service(resource("/commands/{id}/extend").route(post().to(commands::extend)))
            .service(resource("/commands/{id}/find-out").route(post().to(commands::find_out)))
            .service(
                resource("/pipelines")
                    .route(get().to(pipelines::list))
                    .route(post().to(pipelines::start)),
            )
            .service(resource("/pipelines/preview").route(post().to(pipelines::preview)))
            .service(resource("/pipelines/{id}").route(get().to(pipelines::show)))
            .service(resource("/pipelines/{id}/commands").route(get().to(pipelines::commands)))
            .service(resource("/pipelines/{id}/cancel").route(post().to(pipelines::cancel)))
            .service(resource("/pipelines/{id}/hold").route(post().to(pipelines::hold)))
            .service(resource("/pipelines/{id}/continue").route(post().to(pipelines::go_on)))
            .service(
                resource("/pipelines/{id}/retry")
                    .route(get().to(pipelines::preview_retry))
                    .route(post().to(pipelines::retry)),
            )
            .service(resource("/pipeline-definitions").route(get().to(pipelines::definitions)))
            .service(
                resource("/hosts")
                    .route(get().to(hosts::list))
                    .route(post().to(hosts::add)),
            )
            .service(
                resource("/hosts/{name}")
                    .route(get().to(hosts::show))
                    .route(delete().to(hosts::remove)),
            )
            .service(resource("/hosts/{name}/test").route(post().to(hosts::test)))
            .service(resource("/ops").route(get().to(system::ops)))
            .service(resource("/events").route(get().to(events::list)))
            .service(resource("/state").route(get().to(system::state)))
            .service(resource("/recovery").route(get().to(system::recovery)))
            .service(resource("/sweep").route(post().to(system::sweep)))
            .service(resource("/links").route(post().to(system::link)))
            .default_service(route().to(system::unknown)),
    );
}
