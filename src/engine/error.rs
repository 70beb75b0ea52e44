//! Why the engine did not do what was asked. Typed where a door answers differently.

use crate::domain::{CommandId, Invalid, PipelineId};
use crate::store::{ReadError, WriteError};

/// See the module. The text is for the person who asked: what, why, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A value cannot be taken; nothing was changed.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// No op of this name is in the catalog.
    #[error("there is no op “{op}”{}", .nearest.as_ref().map(|n| format!("; did you mean “{n}”?")).unwrap_or_default())]
    UnknownOp {
        /// What was asked for.
        op: String,
        /// The name that looks most like it.
        nearest: Option<String>,
    },
    /// No host of this name is, or ever was, in the fleet.
    #[error("there is no host “{0}”; see the list of hosts, or add it")]
    UnknownHost(String),
    /// No command of this id is in the journal.
    #[error("there is no command {0}; it may be past its retention")]
    UnknownCommand(CommandId),
    /// No pipeline of this name is in the catalog, nor an op.
    #[error("there is no pipeline “{name}”{}", .nearest.as_ref().map(|n| format!("; did you mean “{n}”?")).unwrap_or_default())]
    UnknownPipelineName {
        /// What was asked for.
        name: String,
        /// The name that looks most like it.
        nearest: Option<String>,
    },
    /// No pipeline of this id is in the journal.
    #[error("there is no pipeline {0}; it may be past its retention")]
    UnknownPipeline(PipelineId),
    /// There is no such thing.
    #[error("there is no {0}")]
    Unknown(String),
    /// Whoever asks may not; the text says what it takes.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// They may, once they have confirmed that it is them.
    #[error("confirm first that it is you: this takes a password or code given within the last 10 minutes")]
    StepUp,
    /// They asked too often, or for too much at once.
    #[error("{why}")]
    TooMany {
        /// What is too much, and what to do.
        why: String,
        /// After how many seconds it is worth another try.
        again: i64,
    },
    /// The state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The journal cannot be written now; nothing was started or changed.
    #[error("{0}")]
    Unavailable(String),
    /// A defect.
    #[error("{0}")]
    Internal(String),
}

impl From<WriteError> for EngineError {
    fn from(why: WriteError) -> Self {
        match why {
            WriteError::Invalid(invalid) => Self::Invalid(invalid),
            WriteError::Conflict(text) => Self::Conflict(text),
            WriteError::UnknownHost(name) => Self::UnknownHost(name.to_string()),
            WriteError::NotFound(what) => Self::Unknown(what),
            why @ WriteError::LowSpace { .. } => Self::Unavailable(why.to_string()),
            WriteError::Database(text) => {
                Self::Unavailable(format!("the journal cannot be written, so nothing was done: {text}"))
            }
            WriteError::Closed => Self::Unavailable("the dashboard is stopping; try again when it is back".to_owned()),
        }
    }
}

impl From<ReadError> for EngineError {
    fn from(why: ReadError) -> Self {
        Self::Internal(format!("the journal cannot be read: {why}"))
    }
}
