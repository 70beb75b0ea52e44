//! One file per page: its handlers and, beside them, the struct that its template draws.

pub(super) mod account;
pub(super) mod command;
pub(super) mod confirm;
pub(super) mod definition;
pub(super) mod enter;
pub(super) mod fleet;
pub(super) mod history;
pub(super) mod host;
pub(super) mod log;
mod output;
mod run;
pub(super) mod tokens;
pub(super) mod users;
pub(super) mod wish;
