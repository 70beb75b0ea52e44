//! Every URL in one list, with what it takes to be answered. What is not in it is not served.

use actix_web::http::Method;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, FormConfig, PayloadConfig, ServiceConfig, to};

use crate::domain::Ask;

use super::entry::Need::{May, Open};
use super::entry::{Entry, Need, at};
use super::pages::{
    account, command, definition, docs, enter, event, export, fleet, history, host, host_key, log, pipeline,
    pipeline_form, pipeline_list, pipeline_wish, report, settings, tokens, users, wish,
};
use super::{api, assets, guard, health, session};

/// The most that a form may send: room for some thousand host names.
const FORM_LIMIT: usize = 256 * 1024;

const GET: Method = Method::GET;
const HEAD: Method = Method::HEAD;
const POST: Method = Method::POST;

/// For whoever restarts or routes: no session, no page.
const PLAIN: &[Entry] = &[
    at(GET, "/healthz", Open, || to(health::alive)),
    at(HEAD, "/healthz", Open, || to(health::alive)),
    at(GET, "/readyz", Open, || to(health::ready)),
    at(HEAD, "/readyz", Open, || to(health::ready)),
];

/// The pages.
pub(super) const LIST: &[Entry] = &[
    // What open pages ask for again and again comes first: an address is found by walking this list.
    at(GET, "/", May(Ask::See), || to(fleet::show)),
    at(GET, "/log", May(Ask::See), || to(log::show)),
    at(GET, "/history", May(Ask::See), || to(history::show)),
    at(GET, "/pipelines", May(Ask::See), || to(pipeline_list::show)),
    at(GET, "/commands/{id}", May(Ask::See), || to(command::show)),
    at(GET, "/commands/{id}/tail", May(Ask::See), || to(command::tail)),
    // Getting in, and out.
    at(GET, "/static/{file:.*}", Open, || to(assets::serve)),
    at(GET, "/enter", Open, || to(enter::enter)),
    at(POST, "/enter", Open, || to(enter::log_in)),
    at(GET, "/setup", Open, || to(enter::set_up)),
    at(POST, "/setup", Open, || to(enter::first_user)),
    at(POST, "/logout", May(Ask::Account), || to(enter::log_out)),
    // The fleet, and hosts.
    at(POST, "/run", May(Ask::Run), || to(fleet::run)),
    at(POST, "/hosts", May(Ask::Hosts), || to(host::add)),
    at(GET, "/hosts/{name}", May(Ask::See), || to(host::show)),
    at(POST, "/hosts/{name}/test", May(Ask::Test), || to(host::test)),
    at(POST, "/hosts/{name}/accept-key", May(Ask::Hosts), || {
        to(host_key::accept)
    }),
    at(POST, "/hosts/{name}/remove", May(Ask::Hosts), || to(host::remove)),
    // Commands.
    at(POST, "/history/acknowledge", May(Ask::Steer), || {
        to(history::acknowledge)
    }),
    at(GET, "/commands/{id}/output", May(Ask::See), || to(command::download)),
    at(POST, "/commands/{id}/stop", May(Ask::Steer), || to(wish::stop)),
    at(POST, "/commands/{id}/extend", May(Ask::Steer), || to(wish::extend)),
    at(POST, "/commands/{id}/retry", May(Ask::Run), || to(wish::retry)),
    at(POST, "/commands/{id}/find-out", May(Ask::Steer), || to(wish::find_out)),
    at(POST, "/commands/{id}/resolve", May(Ask::Steer), || to(wish::resolve)),
    at(POST, "/commands/{id}/acknowledge", May(Ask::Steer), || {
        to(wish::acknowledge)
    }),
    at(POST, "/commands/{id}/keep", May(Ask::Steer), || to(wish::keep)),
    at(POST, "/commands/{id}/unkeep", May(Ask::Steer), || to(wish::unkeep)),
    at(GET, "/definitions/{digest}", May(Ask::See), || to(definition::show)),
    // Pipelines.
    at(POST, "/pipelines", May(Ask::Run), || to(pipeline_form::start)),
    at(GET, "/pipelines/new", May(Ask::Run), || to(pipeline_form::form)),
    at(POST, "/pipelines/new", May(Ask::Run), || to(pipeline_form::form_again)),
    at(POST, "/pipelines/preview", May(Ask::Run), || to(pipeline_form::preview)),
    at(GET, "/pipelines/{id}", May(Ask::See), || to(pipeline::show)),
    at(POST, "/pipelines/{id}/hold", May(Ask::Steer), || {
        to(pipeline_wish::hold)
    }),
    at(POST, "/pipelines/{id}/continue", May(Ask::Run), || {
        to(pipeline_wish::go_on)
    }),
    at(GET, "/pipelines/{id}/cancel", May(Ask::Steer), || {
        to(pipeline_wish::ask_cancel)
    }),
    at(POST, "/pipelines/{id}/cancel", May(Ask::Steer), || {
        to(pipeline_wish::cancel)
    }),
    at(GET, "/pipelines/{id}/retry", May(Ask::Run), || {
        to(pipeline_wish::ask_retry)
    }),
    at(POST, "/pipelines/{id}/retry", May(Ask::Run), || {
        to(pipeline_wish::retry)
    }),
    at(POST, "/pipelines/{id}/keep", May(Ask::Steer), || {
        to(pipeline_wish::keep)
    }),
    at(POST, "/pipelines/{id}/unkeep", May(Ask::Steer), || {
        to(pipeline_wish::unkeep)
    }),
    // Audit reports.
    at(GET, "/audit", May(Ask::See), || to(report::form::show)),
    at(GET, "/audit/access", May(Ask::See), || to(report::access::show)),
    at(GET, "/audit/reports", May(Ask::See), || to(report::list::show)),
    at(POST, "/audit/reports", May(Ask::See), || to(report::make)),
    at(GET, "/audit/reports/{number}", May(Ask::See), || to(report::show)),
    at(GET, "/audit/reports/{number}/file", May(Ask::See), || to(report::file)),
    at(GET, "/audit/reports/{number}/paper.css", May(Ask::See), || {
        to(report::paper)
    }),
    at(POST, "/audit/reports/{number}/reviewed", May(Ask::See), || {
        to(report::review)
    }),
    at(GET, "/log/{id}", May(Ask::See), || to(event::show)),
    // Taking rows away.
    at(GET, "/audit/export", May(Ask::See), || to(export::download)),
    // What is kept, and for how long.
    at(GET, "/settings", May(Ask::See), || to(settings::show)),
    at(POST, "/settings/sweep", May(Ask::Settings), || to(settings::sweep::now)),
    at(POST, "/settings/holds", May(Ask::Settings), || to(settings::hold)),
    at(POST, "/settings/holds/{id}/release", May(Ask::Settings), || {
        to(settings::release)
    }),
    // The API, for readers.
    at(GET, "/api/docs", May(Ask::Account), || to(docs::show)),
    // One's own account.
    at(GET, "/account", May(Ask::Account), || to(account::show)),
    at(POST, "/account/password", May(Ask::Account), || to(account::password)),
    at(GET, "/account/totp", May(Ask::Account), || to(account::totp)),
    at(POST, "/account/totp", May(Ask::Account), || to(account::set_totp)),
    at(POST, "/account/totp/remove", May(Ask::Account), || {
        to(account::remove_totp)
    }),
    at(POST, "/sessions/{id}/end", May(Ask::Account), || {
        to(account::end_session)
    }),
    // Users and tokens.
    at(GET, "/users", May(Ask::Users), || to(users::show)),
    at(POST, "/users", May(Ask::Users), || to(users::add)),
    at(POST, "/users/{name}/role", May(Ask::Users), || to(users::role)),
    at(POST, "/users/{name}/password", May(Ask::Users), || to(users::password)),
    at(POST, "/users/{name}/disable", May(Ask::Users), || to(users::disable)),
    at(POST, "/users/{name}/enable", May(Ask::Users), || to(users::enable)),
    at(POST, "/users/{name}/totp/remove", May(Ask::Users), || {
        to(users::remove_totp)
    }),
    at(GET, "/tokens", May(Ask::Tokens), || to(tokens::show)),
    at(POST, "/tokens", May(Ask::Tokens), || to(tokens::add)),
    at(POST, "/tokens/{name}/revoke", May(Ask::Tokens), || to(tokens::revoke)),
];

/// Every URL of pages and API with what it takes: for a test that walks them all.
pub fn list() -> impl Iterator<Item = (&'static Method, &'static str, Need)> {
    let all = PLAIN.iter().chain(LIST).chain(api::LIST);
    all.map(|entry| (&entry.method, entry.path, entry.need))
}

/// Mounts everything that browsers, and programs over the network, can ask for.
pub fn routes(cfg: &mut ServiceConfig) {
    for entry in PLAIN {
        cfg.route(entry.path, entry.route());
    }
    api::routes_beside_pages(cfg);
    // The last scope takes every URL that nothing else took.
    let mut pages = web::scope("")
        .app_data(FormConfig::default().limit(FORM_LIMIT))
        .app_data(PayloadConfig::default().limit(FORM_LIMIT));
    for entry in LIST {
        pages = pages.route(entry.path, entry.route());
    }
    cfg.service(
        pages
            .default_service(web::to(super::error::not_found))
            .wrap(from_fn(session::session))
            .wrap(from_fn(guard::door))
            .wrap(Compress::default()),
    );
}
