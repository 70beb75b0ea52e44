//! The parameters of the API's URLs, by request: their names are what is taken ([`super::query::Parameters`]), and what
//! is said of them stands in the API's document.
#![expect(dead_code, reason = "fields are read by name")]

use utoipa::IntoParams;

use crate::domain::{
    Category, CommandId, CommandStatus, ExportFormat, ExportOf, HostName, IdPart, Level, PipelineId, PipelineStatus,
    Timestamp,
};

/// One command.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OneCommand {
    /// The command: its id, or a part of it that no other id has.
    id: IdPart,
}

/// One pipeline.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OnePipeline {
    /// The pipeline: its id, or a part of it that no other id has.
    id: IdPart,
}

/// One user.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OneUser {
    /// The user.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    name: String,
}

/// What may be started once only ([`super::once`]).
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Once {
    /// What is asked for under one key is started once, over restarts too.
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,200}$")]
    key: Option<String>,
}

/// Which commands.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct History {
    /// Of this host.
    host: Option<HostName>,
    /// Of this op.
    #[param(pattern = "\\S", example = "uptime")]
    op: Option<String>,
    /// Of this pipeline.
    pipeline: Option<PipelineId>,
    /// In one of these statuses, separated by commas; the words of the pages are taken too.
    #[param(style = Form, explode = false, min_items = 1)]
    status: Option<Vec<CommandStatus>>,
    /// By this actor; a bare name is an account of the dashboard's machine.
    #[param(pattern = "\\S", example = "user:alice")]
    actor: Option<String>,
    /// Asked for at this time or later.
    since: Option<Timestamp>,
    /// Asked for before this time.
    until: Option<Timestamp>,
    /// Only those without an end.
    open: Option<bool>,
    /// Only those that need attention: ended badly, and nobody has acknowledged it.
    attention: Option<bool>,
    /// How many at most; 50 where nothing is said.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<i64>,
    /// Where the page before ended: its `next`.
    cursor: Option<CommandId>,
}

/// Which commands of a pipeline.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfPipeline {
    /// In one of these statuses, separated by commas.
    #[param(style = Form, explode = false, min_items = 1)]
    status: Option<Vec<CommandStatus>>,
    /// Only those without an end.
    open: Option<bool>,
    /// How many at most; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
    /// Where the page before ended: its `next`.
    cursor: Option<CommandId>,
}

/// Which pipelines.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Pipelines {
    /// With this host.
    host: Option<HostName>,
    /// Of this name.
    #[param(pattern = "\\S", example = "update")]
    name: Option<String>,
    /// In one of these statuses, separated by commas.
    #[param(style = Form, explode = false, min_items = 1)]
    status: Option<Vec<PipelineStatus>>,
    /// By this actor.
    #[param(pattern = "\\S", example = "user:alice")]
    actor: Option<String>,
    /// Started at this time or later.
    since: Option<Timestamp>,
    /// Started before this time.
    until: Option<Timestamp>,
    /// Only those without an end.
    open: Option<bool>,
    /// How many at most; 50 where nothing is said.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<i64>,
    /// Where the page before ended: its `next`.
    cursor: Option<PipelineId>,
}

/// How much of a pipeline.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Shown {
    /// Whether results in groups are part of it; they are where nothing is said.
    results: Option<bool>,
}

/// Which events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Events {
    /// Those after this id, oldest first; not together with `cursor`.
    #[param(minimum = 0, maximum = 9223372036854775807i64)]
    after: Option<i64>,
    /// With `after`: how many seconds to wait where there are none yet.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<i64>,
    /// How many at most; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
    /// Where the page before ended: its `next`.
    #[param(minimum = 0, maximum = 9223372036854775807i64)]
    cursor: Option<i64>,
    /// What they are about.
    category: Option<Category>,
    /// How much they matter.
    level: Option<Level>,
    /// By this actor; a bare name is an account of the dashboard's machine.
    #[param(pattern = "\\S", example = "user:alice")]
    actor: Option<String>,
    /// About this host.
    host: Option<HostName>,
    /// Of this action, `op:uptime` or `recovery`.
    #[param(pattern = "\\S", example = "recovery")]
    action: Option<String>,
    /// About this command.
    command: Option<CommandId>,
    /// About this pipeline.
    pipeline: Option<PipelineId>,
    /// With these words in message or details; `"a phrase"` in quotes, `begin*` for the rest of a word.
    #[param(value_type = String, pattern = "[A-Za-z0-9]", example = "refused web-03")]
    q: Option<String>,
    /// At this time or later.
    since: Option<Timestamp>,
    /// Before this time.
    until: Option<Timestamp>,
}

/// What is taken away. Each filter goes with the rows that have it, as in the lists of those rows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Export {
    /// Which rows.
    what: ExportOf,
    /// In which form.
    format: ExportFormat,
    /// By this actor; a bare name is an account of the dashboard's machine.
    #[param(pattern = "\\S", example = "user:alice")]
    actor: Option<String>,
    /// About, or on, this host.
    host: Option<HostName>,
    /// At this time or later.
    since: Option<Timestamp>,
    /// Before this time.
    until: Option<Timestamp>,
    /// Events: what they are about.
    category: Option<Category>,
    /// Events: how much they matter.
    level: Option<Level>,
    /// Events: of this action.
    #[param(pattern = "\\S", example = "recovery")]
    action: Option<String>,
    /// Events: about this command.
    command: Option<CommandId>,
    /// Events and commands: about, or of, this pipeline.
    pipeline: Option<PipelineId>,
    /// Events: with these words in message or details; `"a phrase"` in quotes, `begin*` for the rest of a word.
    #[param(value_type = String, pattern = "[A-Za-z0-9]", example = "refused web-03")]
    q: Option<String>,
    /// Commands: of this op.
    #[param(pattern = "\\S", example = "uptime")]
    op: Option<String>,
    /// Pipelines: of this name.
    #[param(pattern = "\\S", example = "update")]
    name: Option<String>,
    /// Commands and pipelines: in one of these statuses, separated by commas.
    #[param(style = Form, explode = false, min_items = 1)]
    status: Option<Vec<String>>,
    /// Commands and pipelines: only those without an end.
    open: Option<bool>,
}
