//! One file per page: its handlers and, beside them, the struct that its template draws.

pub(super) mod command;
pub(super) mod definition;
pub(super) mod enter;
pub(super) mod fleet;
pub(super) mod history;
pub(super) mod host;
pub(super) mod log;
mod output;
mod run;
mod ticks;
pub(super) mod wish;
