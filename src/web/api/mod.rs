//! The JSON API, version 1: the door for programs, the command line among them.
//!
//! | method and path under `/api/v1` | what |
//! | --- | --- |
//! | `POST /commands` | start an op: `{op, hosts, reason?}`, 202 with the journaled rows, refused ones included; on several hosts it is a pipeline of one stage, `pipeline_id` |
//! | `GET /commands` | history, newest first: `host op pipeline status actor since until open attention limit cursor` |
//! | `GET /commands/{id}` | one command |
//! | `GET /commands/{id}/output` | its output, whole or by `Range: bytes=` |
//! | `POST /commands/{id}/cancel`, `retry`, `resolve`, `extend`, `find-out` | a wish: `{reason?}`, `extend` takes `{for}` |
//! | `POST /commands/{id}/acknowledge` | somebody has looked at its bad end: `{note}`; once, then 409 |
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
//! | `POST /hosts/{name}/accept-key` | take the key that it shows as its own: `{fingerprint}` |
//! | `GET /ops` | the catalog |
//! | `GET /events` | newest first with filters, `q=` for words in message and details; with `after=ID` oldest first, waiting up to `wait` seconds |
//! | `GET /export` | every row that filters fit as a file: `what=events\|commands\|pipelines format=csv\|jsonl` and the filters of that list |
//! | `POST /reports`; `GET /reports/{number}` | make an audit report: `{range \| since, until?, host?, …}`; its page |
//! | `GET /deliveries` | the places outside that get events, checkpoints or notifications, and how far each has got |
//! | `POST /notifications/{name}/test` | send a test message and say how that went |
//! | `GET /state` | `{instance, version}` |
//! | `GET /recovery` | what a start would do now |
//! | `POST /sweep` | sweep now |
//! | `POST /commands/{id}/keep`, `unkeep`; `/pipelines/{id}/…` | no sweep takes it: `{reason}`; or it may go |
//! | `GET /holds`, `POST`; `POST /holds/{id}/release` | ranges of which nothing is swept: `{from, until?, reason}`; `{reason}` |
//! | `GET /openapi.json` | all of this as OpenAPI 3.1; `/api/docs` is a page of it |
//! | `POST /links` | a one-time link to the pages: `{url}`; on the Unix socket only |
//! | `POST /login` | `{name, password, code?}`: a session for a terminal, `{session}` |
//! | `POST /logout` | ends that session |
//! | `GET /me` | who asks, and what they may do |
//! | `GET /users`, `POST` | users; make one: `{name, password, role}` |
//! | `POST /users/{name}/role`, `password`, `disable`, `enable`; `DELETE /users/{name}/totp` | change one: `{role}`, `{password}` |
//! | `GET /tokens`, `POST`, `DELETE /tokens/{name}` | tokens; make one: `{name, role, lasts?}`, its secret is in this answer alone; revoke one |
//!
//! On the Unix socket the kernel says who asks; over the network a token does (`Authorization: Bearer`). A start or a
//! retry under an `Idempotency-Key` is made once, however often it is asked for.
//!
//! Rows are the store's rows: the column names of the journal, `host` is the name. Whatever is refused
//! is a problem document (RFC 9457) that names the field and the fix; a refused change is also an event.
//!
//! Handlers parse, make one call of the engine or one read of the journal, and answer. Who asks is
//! found out before them (`guard`), as is whether they may: [`Caller`].

mod access;
mod answers;
mod body;
mod caller;
mod commands;
mod deliveries;
mod document;
mod events;
mod export;
mod filters;
mod guard;
mod holds;
mod hosts;
mod once;
mod output;
mod pipeline_body;
mod pipelines;
mod problem;
mod query;
mod report_body;
mod reports;
mod system;

use std::fmt::Display;
use std::sync::Arc;

use actix_web::Scope;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{ServiceConfig, scope, to};
use tokio_util::sync::CancellationToken;

use crate::domain::{Ask, IdPart, bounded, part_means};
use crate::engine::{By, Engine};
use crate::store::{Journal, ReadError};
use crate::web::Links;

use super::entry::Need::{May, Open};
use super::entry::{Entry, at};
pub use caller::Caller;
pub(in crate::web) use document::DOCUMENT;
pub use guard::on_connect;
use problem::Problem;

/// What the API is given once, at start; handlers get it as application data (`web::Data<Api>`).
pub struct Api {
    engine: Engine,
    links: Arc<Links>,
    pages: String,
    shutdown: CancellationToken,
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
        }
    }

    /// Passes an answer on; a refusal is journaled first: who was refused what, and why.
    async fn noted<T>(&self, by: &By, what: &'static str, answer: Result<T, Problem>) -> Result<T, Problem> {
        self.noted_as(by, what, what, answer).await
    }

    /// The same where `what` holds words of whoever asks: those of one `kind` are counted together.
    async fn noted_as<T>(
        &self,
        by: &By,
        kind: &'static str,
        what: &str,
        answer: Result<T, Problem>,
    ) -> Result<T, Problem> {
        if let Err(problem) = &answer
            && problem.is_refusal()
        {
            let what = bounded(what, 200);
            let message = format!("{} was refused {what}: {}", by.actor.name(), problem.detail());
            let kind = format!("{kind}: {}", problem.kind());
            // The refusal stands, whether or not it could be noted.
            if let Err(why) = self.engine.note_refusal(&kind, &message, by.clone()).await {
                tracing::warn!(%why, message, "a refusal could not be journaled");
            }
        }
        answer
    }

    /// Does what is asked of one `thing` (“command 0198…”), once it is known which that is; a refusal of either is journaled.
    async fn wish<I, T>(
        &self,
        by: &By,
        what: &'static str,
        thing: &str,
        id: Result<I, Problem>,
        act: impl AsyncFnOnce(I, By) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let answer = match id {
            Ok(id) => act(id, by.clone()).await,
            Err(problem) => Err(problem),
        };
        self.noted_as(by, what, &format!("{what} {thing}"), answer).await
    }

    /// The one command or pipeline that an id, or a part of one, means; what is no id is not found either.
    async fn meant<I: Copy + Display + Send + 'static>(
        &self,
        kind: &str,
        id: &str,
        like: fn(&mut Journal, &IdPart) -> Result<Vec<I>, ReadError>,
    ) -> Result<I, Problem> {
        let part: IdPart = id
            .parse()
            .map_err(|_| Problem::not_found(format!("there is no {kind} of this id")))?;
        let found = self.engine.reader().read(move |journal| like(journal, &part)).await?;
        part_means(kind, id, &found).map_err(Problem::not_found)
    }
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const DELETE: Method = Method::DELETE;

/// Every URL of the API, with what it takes. What is not in it is not served.
pub(super) const LIST: &[Entry] = &[
    // Commands.
    at(GET, "/api/v1/commands", May(Ask::See), || to(commands::list)),
    at(POST, "/api/v1/commands", May(Ask::Run), || to(commands::start)),
    at(GET, "/api/v1/commands/{id}", May(Ask::See), || to(commands::show)),
    at(GET, "/api/v1/commands/{id}/output", May(Ask::See), || to(output::read)),
    at(POST, "/api/v1/commands/{id}/cancel", May(Ask::Steer), || {
        to(commands::cancel)
    }),
    at(POST, "/api/v1/commands/{id}/retry", May(Ask::Run), || {
        to(commands::retry)
    }),
    at(POST, "/api/v1/commands/{id}/resolve", May(Ask::Steer), || {
        to(commands::resolve)
    }),
    at(POST, "/api/v1/commands/{id}/acknowledge", May(Ask::Steer), || {
        to(commands::acknowledge)
    }),
    at(POST, "/api/v1/commands/{id}/extend", May(Ask::Steer), || {
        to(commands::extend)
    }),
    at(POST, "/api/v1/commands/{id}/find-out", May(Ask::Steer), || {
        to(commands::find_out)
    }),
    at(POST, "/api/v1/commands/{id}/keep", May(Ask::Steer), || {
        to(commands::keep)
    }),
    at(POST, "/api/v1/commands/{id}/unkeep", May(Ask::Steer), || {
        to(commands::unkeep)
    }),
    // Pipelines.
    at(GET, "/api/v1/pipelines", May(Ask::See), || to(pipelines::list)),
    at(POST, "/api/v1/pipelines", May(Ask::Run), || to(pipelines::start)),
    at(POST, "/api/v1/pipelines/preview", May(Ask::See), || {
        to(pipelines::preview)
    }),
    at(GET, "/api/v1/pipelines/{id}", May(Ask::See), || to(pipelines::show)),
    at(GET, "/api/v1/pipelines/{id}/commands", May(Ask::See), || {
        to(pipelines::commands)
    }),
    at(POST, "/api/v1/pipelines/{id}/cancel", May(Ask::Steer), || {
        to(pipelines::cancel)
    }),
    at(POST, "/api/v1/pipelines/{id}/hold", May(Ask::Steer), || {
        to(pipelines::hold)
    }),
    at(POST, "/api/v1/pipelines/{id}/continue", May(Ask::Run), || {
        to(pipelines::go_on)
    }),
    at(GET, "/api/v1/pipelines/{id}/retry", May(Ask::See), || {
        to(pipelines::preview_retry)
    }),
    at(POST, "/api/v1/pipelines/{id}/retry", May(Ask::Run), || {
        to(pipelines::retry)
    }),
    at(GET, "/api/v1/pipeline-definitions", May(Ask::See), || {
        to(pipelines::definitions)
    }),
    at(POST, "/api/v1/pipelines/{id}/keep", May(Ask::Steer), || {
        to(pipelines::keep)
    }),
    at(POST, "/api/v1/pipelines/{id}/unkeep", May(Ask::Steer), || {
        to(pipelines::unkeep)
    }),
    // Hosts.
    at(GET, "/api/v1/hosts", May(Ask::See), || to(hosts::list)),
    at(POST, "/api/v1/hosts", May(Ask::Hosts), || to(hosts::add)),
    at(GET, "/api/v1/hosts/{name}", May(Ask::See), || to(hosts::show)),
    at(DELETE, "/api/v1/hosts/{name}", May(Ask::Hosts), || to(hosts::remove)),
    at(POST, "/api/v1/hosts/{name}/test", May(Ask::Test), || to(hosts::test)),
    at(POST, "/api/v1/hosts/{name}/accept-key", May(Ask::Hosts), || {
        to(hosts::accept_key)
    }),
    // Places outside.
    at(GET, "/api/v1/deliveries", May(Ask::See), || to(deliveries::list)),
    at(POST, "/api/v1/notifications/{name}/test", May(Ask::Settings), || {
        to(deliveries::test)
    }),
    // The dashboard.
    at(GET, "/api/v1/ops", May(Ask::See), || to(system::ops)),
    at(GET, "/api/v1/events", May(Ask::See), || to(events::list)),
    at(GET, "/api/v1/export", May(Ask::See), || to(export::download)),
    at(POST, "/api/v1/reports", May(Ask::See), || to(reports::make)),
    at(GET, "/api/v1/reports/{number}", May(Ask::See), || to(reports::show)),
    at(GET, "/api/v1/state", May(Ask::See), || to(system::state)),
    at(GET, "/api/v1/recovery", May(Ask::See), || to(system::recovery)),
    at(POST, "/api/v1/sweep", May(Ask::Settings), || to(system::sweep)),
    at(GET, "/api/v1/holds", May(Ask::See), || to(holds::list)),
    at(POST, "/api/v1/holds", May(Ask::Settings), || to(holds::place)),
    at(POST, "/api/v1/holds/{id}/release", May(Ask::Settings), || {
        to(holds::release)
    }),
    at(GET, "/api/v1/openapi.json", May(Ask::Account), || to(document::serve)),
    at(POST, "/api/v1/links", May(Ask::Link), || to(system::link)),
    // People and programs.
    at(POST, "/api/v1/login", Open, || to(access::log_in)),
    at(POST, "/api/v1/logout", May(Ask::Account), || to(access::log_out)),
    at(GET, "/api/v1/me", May(Ask::Account), || to(access::me)),
    at(GET, "/api/v1/users", May(Ask::Users), || to(access::users)),
    at(POST, "/api/v1/users", May(Ask::Users), || to(access::add_user)),
    at(POST, "/api/v1/users/{name}/role", May(Ask::Users), || to(access::role)),
    at(POST, "/api/v1/users/{name}/password", May(Ask::Users), || {
        to(access::password)
    }),
    at(POST, "/api/v1/users/{name}/disable", May(Ask::Users), || {
        to(access::disable)
    }),
    at(POST, "/api/v1/users/{name}/enable", May(Ask::Users), || {
        to(access::enable)
    }),
    at(DELETE, "/api/v1/users/{name}/totp", May(Ask::Users), || {
        to(access::remove_totp)
    }),
    at(GET, "/api/v1/tokens", May(Ask::Tokens), || to(access::tokens)),
    at(POST, "/api/v1/tokens", May(Ask::Tokens), || to(access::add_token)),
    at(DELETE, "/api/v1/tokens/{name}", May(Ask::Tokens), || {
        to(access::revoke_token)
    }),
];

/// The API on the Unix socket.
pub fn routes(config: &mut ServiceConfig) {
    config.service(listed().wrap(from_fn(guard::programs)));
}

/// The API beside the pages: the same behind the door that the pages have.
pub(super) fn routes_beside_pages(config: &mut ServiceConfig) {
    config.service(
        listed()
            .wrap(from_fn(guard::programs))
            .wrap(from_fn(super::guard::door)),
    );
}

fn listed() -> Scope {
    let mut api = scope(PREFIX);
    for entry in LIST {
        api = api.route(entry.path.strip_prefix(PREFIX).unwrap_or(entry.path), entry.route());
    }
    api.default_service(to(system::unknown))
}

const PREFIX: &str = "/api/v1";
