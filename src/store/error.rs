//! What can go wrong with the journal, typed where a caller branches. Texts say what failed and what to do.

use std::path::PathBuf;

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::domain::{HostName, Invalid};

/// Why the journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another dashboard holds the lock.
    #[error(
        "another dashboard{} works on {}; stop it first, or choose another data folder",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        data_dir.display()
    )]
    InUse {
        /// The data folder.
        data_dir: PathBuf,
        /// Its process, where its lock file says so.
        pid: Option<u32>,
    },
    /// A newer Quarterdeck wrote this journal. It was not touched.
    #[error(
        "{} was written by a newer Quarterdeck (its schema has {version}, unknown here); run that version, or restore a backup from before it. Nothing was changed",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The first migration that is unknown here.
        version: String,
    },
    /// Read-only opening of a journal whose schema is older.
    #[error("{} has an older schema; start the dashboard once, it migrates the journal", path.display())]
    Older {
        /// The database file.
        path: PathBuf,
    },
    /// The file is no sound SQLite database. It was not touched, and no new one was put in its place.
    #[error("{} is damaged or no journal: {problem}. Nothing was changed; restore a backup, or move the file away to begin anew", path.display())]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        problem: String,
    },
    /// There is no journal to read.
    #[error("{} does not exist; start the dashboard once, it makes the journal", path.display())]
    Missing {
        /// The database file.
        path: PathBuf,
    },
    /// A folder or file could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite said no.
    #[error("{}: {problem}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What it said.
        problem: String,
    },
}

/// Why the journal could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// A row holds what cannot be read: another program wrote it, or the file is damaged.
    #[error("a row of the journal cannot be read: {0}")]
    Row(String),
    /// SQLite said no, or no connection was free in time.
    #[error("the journal could not be read: {0}")]
    Database(String),
}

impl From<DieselError> for ReadError {
    fn from(error: DieselError) -> Self {
        if let DieselError::DeserializationError(why) = &error {
            return Self::Row(why.to_string());
        }
        Self::Database(error.to_string())
    }
}

/// Why the journal was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It contradicts what is there; the text names what is in the way.
    #[error("{0}")]
    Conflict(String),
    /// There is no such thing.
    #[error("{0} does not exist")]
    NotFound(String),
    /// No host of this name was ever added.
    #[error("there is no host “{0}”; add it first")]
    UnknownHost(HostName),
    /// Too little room is left on the data folder's file system to begin anything new.
    #[error(
        "only {} MB are free for the journal, {} MB are kept for what already runs; make room on the data folder's file system",
        free / 1_000_000,
        needed / 1_000_000
    )]
    LowSpace {
        /// Bytes that are free.
        free: u64,
        /// The mark, in bytes.
        needed: u64,
    },
    /// A value that cannot be taken.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The journal could not be written: nothing was changed.
    #[error("the journal could not be written: {0}")]
    Database(String),
    /// The journal is closed: the dashboard is stopping.
    #[error("the dashboard is stopping; nothing was changed")]
    Closed,
}

/// How a piece of a group failed: alone, or together with its transaction.
#[derive(Debug)]
pub(super) enum Fault {
    /// Only this piece; its savepoint is rolled back and the group goes on.
    Alone(WriteError),
    /// The transaction cannot be trusted any more (disk full, I/O): its group ends.
    Group(String),
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        Self::Alone(error)
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Row(_) => Self::Alone(WriteError::Database(error.to_string())),
            ReadError::Database(why) => Self::Group(why),
        }
    }
}

impl From<DieselError> for Fault {
    fn from(error: DieselError) -> Self {
        if is_constraint(&error) {
            return Self::Alone(WriteError::Conflict(format!("the journal refuses it: {error}")));
        }
        if let DieselError::DeserializationError(_) | DieselError::SerializationError(_) = &error {
            return Self::Alone(WriteError::Database(error.to_string()));
        }
        Self::Group(error.to_string())
    }
}

/// True where a statement contradicts a constraint: SQLite has undone that statement and nothing else.
pub(super) fn is_constraint(error: &DieselError) -> bool {
    matches!(
        error,
        DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::RestrictViolation
                | DatabaseErrorKind::ExclusionViolation,
            _
        )
    )
}

/// True where another process holds SQLite's own lock. Diesel has no kind for it, so its text is asked, only here.
pub(super) fn is_locked(error: &DieselError) -> bool {
    let text = error.to_string();
    text.contains("database is locked") || text.contains("database table is locked")
}
