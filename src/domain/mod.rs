//! The words of Quarterdeck and the rules between them: ids, times, hosts, statuses and their legal
//! transitions, the op catalog, evidence and what it settles.
//!
//! Nothing in here does I/O, knows a database, a process or a page. Every rule is a pure function,
//! so that it can be tested by table and by property.

mod access;
mod catalog;
mod chain;
mod checkpoint;
mod delivery;
mod details;
mod duration;
mod event;
mod evidence;
mod export;
mod host;
mod host_key;
mod id;
mod limits;
mod nearest;
mod op;
mod outcome;
mod pipeline;
mod plan;
mod report;
pub mod report_stamp;
mod schema;
mod selection;
mod spoken;
mod status;
mod text;
mod time;
mod words;

pub use access::{Access, Ask, Decision, Factor, Grants, On, Proof, Role};
pub use catalog::Catalog;
pub use chain::Link;
pub use checkpoint::{Checkpoint, CheckpointKind, PublicKey, SigningKey};
pub use delivery::{DeliveryKind, Forward, Headers, Notice, Notify, Outside, Target, Witnessing};
pub use details::{flattened, flattened_without};
pub use duration::Span;
pub use event::{Actor, Category, Level};
pub use evidence::{Evidence, Identity, STRAY_MARKER, StopReason};
pub use export::{ExportFormat, ExportOf};
pub use host::{HostName, Reach, RunAs, SpoolDir, Tag};
pub use host_key::{Fingerprint, HostKey};
pub use id::{CommandId, IdPart, PipelineId, part_means};
pub use limits::{IfBusy, Limits, LimitsGiven, OnFailure, Share};
pub use nearest::nearest;
pub use op::{Definition, Digest, Expect, OnTimeout, Op, OpError, OpId, built_in};
pub use outcome::{Known, Outcome, settle};
pub use pipeline::{ActionDef, PipelineDef, StageDef};
pub use plan::{Action, Cell, Cells, Next, Orders, Plan, Stage, Tally, Why};
pub use report::{Paper, ReportAsk, ReportNumber};
pub use report_stamp::ReportStamp;
pub use selection::{Member, Selected, Selection, batches};
pub use spoken::{spoken, spoken_value};
pub use status::{CancelMode, CommandStatus, PipelineStatus, Refusal};
pub use text::{MESSAGE_LIMIT, bounded};
pub use time::Timestamp;
pub use words::Standing;

/// A value that a person typed and that cannot be taken: says which field, what is wrong, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field as the person knows it: a form field, a JSON key, a config key, a flag.
    pub field: String,
    /// What is wrong with it and what would be right, in one sentence without a final stop.
    pub problem: String,
}

impl Invalid {
    /// Makes one from anything that reads as text.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}
