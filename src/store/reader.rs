//! Reading: a small pool of connections that cannot write, and [`Journal`], the queries inside one read
//! transaction. The web layer holds a [`Reader`] and no [`super::Store`], so "a page never writes" is a type.

use std::path::Path;
use std::time::Duration;

use diesel::connection::TransactionManager as _;
use diesel::r2d2::{ManageConnection, Pool};
use diesel::{Connection, QueryDsl, RunQueryDsl, SqliteConnection};

use super::connect;
use super::schema::state_version;
use super::{OpenError, ReadError};

/// Readers that work at once; more wait for one of them.
const CONNECTIONS: u32 = 4;

/// Reads the journal. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pool: Pool<Connections>,
    fresh: Connections,
}

/// Makes connections that only read.
#[derive(Clone, Debug)]
struct Connections {
    uri: String,
}

impl ManageConnection for Connections {
    type Connection = Journal;
    type Error = diesel::ConnectionError;

    fn connect(&self) -> Result<Journal, Self::Error> {
        connect::query_only(&self.uri).map(Journal::over)
    }

    fn is_valid(&self, _: &mut Journal) -> Result<(), Self::Error> {
        Ok(())
    }

    /// After an error or a panic in the middle of a transaction: nobody else gets it.
    fn has_broken(&self, journal: &mut Journal) -> bool {
        let manager =
            <SqliteConnection as Connection>::TransactionManager::transaction_manager_status_mut(&mut journal.conn);
        std::thread::panicking() || !matches!(manager.transaction_depth(), Ok(None))
    }
}

impl Reader {
    /// `mode` is SQLite's: `rw` beside a writer, `ro` alone.
    pub(super) fn new(path: &Path, mode: &str) -> Result<Self, OpenError> {
        let fresh = Connections {
            uri: connect::uri(path, mode),
        };
        let pool = Pool::builder()
            .max_size(CONNECTIONS)
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(Duration::from_secs(10))
            .idle_timeout(None)
            .max_lifetime(None)
            .build(fresh.clone())
            .map_err(|error| OpenError::Database {
                path: path.to_owned(),
                problem: error.to_string(),
            })?;
        Ok(Self { pool, fresh })
    }

    /// Runs `work` on a blocking thread, in one read transaction: all that it sees belongs together.
    /// It should end after one page or one batch of [`super::PAGE_LIMIT`] rows.
    ///
    /// # Errors
    /// What `work` says; [`ReadError::Database`] where no connection was free within 10 s.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let reader = self.clone();
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || span.in_scope(|| reader.read_blocking(work)))
            .await
            .map_err(|error| ReadError::Database(error.to_string()))?
    }

    /// The same, for a thread that may block.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_blocking<T>(&self, work: impl FnOnce(&mut Journal) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let mut journal = self
            .pool
            .get()
            .map_err(|error| ReadError::Database(format!("no connection was free: {error}")))?;
        journal.in_transaction(work)
    }

    /// The same through a connection of its own, for work that must not see what SQLite remembers from before.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub(super) fn read_afresh<T>(
        &self,
        work: impl FnOnce(&mut Journal) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut journal = self
            .fresh
            .connect()
            .map_err(|error| ReadError::Database(error.to_string()))?;
        journal.in_transaction(work)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

/// The journal as one transaction sees it. Its queries stand in the files of their tables.
pub struct Journal {
    pub(super) conn: SqliteConnection,
    /// SQLite's number of the schema that was compared last; none where none was.
    pub(super) shape: Option<i64>,
}

impl Journal {
    pub(super) const fn over(conn: SqliteConnection) -> Self {
        Self { conn, shape: None }
    }

    fn in_transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, ReadError>) -> Result<T, ReadError> {
        type Transactions = <SqliteConnection as Connection>::TransactionManager;
        Transactions::begin_transaction(&mut self.conn)?;
        let found = work(self);
        Transactions::rollback_transaction(&mut self.conn)?;
        found
    }

    /// How many changes were committed: rises with each that touched hosts, commands, pipelines or events.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn version(&mut self) -> Result<i64, ReadError> {
        Ok(state_version::table
            .select(state_version::version)
            .get_result(&mut self.conn)?)
    }
}
