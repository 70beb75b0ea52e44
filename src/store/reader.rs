//! Reading: a small pool of connections that cannot write, and [`Journal`], the queries inside one read
//! transaction. The web layer holds a [`Reader`] and no [`super::Store`], so "a page never writes" is a type.

use std::path::Path;
use std::time::Duration;

use diesel::r2d2::{ConnectionManager, Pool};
use diesel::{Connection, QueryDsl, RunQueryDsl, SqliteConnection};

use super::connect::{self, ReadOnly};
use super::schema::state_version;
use super::{OpenError, ReadError};

/// Readers that work at once; more wait for one of them.
const CONNECTIONS: u32 = 4;

/// Reads the journal. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pool: Pool<ConnectionManager<SqliteConnection>>,
}

impl Reader {
    /// `mode` is SQLite's: `rw` beside a writer, `ro` alone.
    pub(super) fn new(path: &Path, mode: &str) -> Result<Self, OpenError> {
        let pool = Pool::builder()
            .max_size(CONNECTIONS)
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(Duration::from_secs(10))
            .connection_customizer(Box::new(ReadOnly))
            .build(ConnectionManager::new(connect::uri(path, mode)))
            .map_err(|error| OpenError::Database {
                path: path.to_owned(),
                problem: error.to_string(),
            })?;
        Ok(Self { pool })
    }

    /// Runs `work` on a blocking thread, in one read transaction: all that it sees belongs together.
    /// It should end after one page or one batch of [`super::PAGE_LIMIT`] rows.
    ///
    /// # Errors
    /// What `work` says; [`ReadError::Database`] where no connection was free within 10 s.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal<'_>) -> Result<T, ReadError> + Send + 'static,
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
    pub fn read_blocking<T>(
        &self,
        work: impl FnOnce(&mut Journal<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut conn = self
            .pool
            .get()
            .map_err(|error| ReadError::Database(format!("no connection was free: {error}")))?;
        conn.transaction(|conn| work(&mut Journal::over(conn)))
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

/// The journal as one transaction sees it. Its queries stand in the files of their tables.
pub struct Journal<'c> {
    pub(super) conn: &'c mut SqliteConnection,
}

impl<'c> Journal<'c> {
    pub(super) fn over(conn: &'c mut SqliteConnection) -> Self {
        Self { conn }
    }

    /// How many changes were committed: rises with each that touched hosts, commands, pipelines or events.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn version(&mut self) -> Result<i64, ReadError> {
        Ok(state_version::table.select(state_version::version).first(self.conn)?)
    }
}
