//! One file per page: its handlers and, beside them, the struct that its template draws.

pub(super) mod account;
pub(super) mod command;
pub(super) mod confirm;
pub(super) mod definition;
pub(super) mod docs;
pub(super) mod enter;
pub(super) mod fleet;
pub(super) mod history;
pub(super) mod host;
pub(super) mod log;
mod output;
pub(super) mod pipeline;
mod pipeline_cells;
mod pipeline_fields;
pub(super) mod pipeline_form;
pub(super) mod pipeline_list;
pub(super) mod pipeline_wish;
mod pipeline_words;
mod run;
pub(super) mod settings;
mod ticks;
pub(super) mod tokens;
pub(super) mod users;
pub(super) mod wish;
