//! Connections to the database file and what is set on each before it is used.
//! Nothing but SQLite opens the file itself.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::{Connection, ConnectionError, SqliteConnection};

/// The database's file in the data folder.
pub(super) const DATABASE: &str = "quarterdeck.db";

/// How long SQLite waits for another process that holds its lock, in milliseconds.
const BUSY_MS: u32 = 10_000;

/// The largest WAL that is kept after a checkpoint, in bytes.
const WAL_LIMIT: u32 = 64 * 1024 * 1024;

/// What a reading connection keeps of the file in memory at most, in KiB: the last ends of 1,000 hosts lie on as many pages
/// each of two indexes and the table, and a page of the fleet looks twice.
const READ_CACHE_KIB: u32 = 16 * 1024;

/// The only connection that writes. `auto_vacuum` comes first: it takes effect on an empty file only. With
/// `temp_store` in memory, what a savepoint needs for going back never becomes a file.
pub(super) fn writer(path: &Path) -> Result<SqliteConnection, ConnectionError> {
    let mut conn = SqliteConnection::establish(&uri(path, "rwc"))?;
    conn.batch_execute(&format!(
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA busy_timeout = {BUSY_MS};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = {WAL_LIMIT};"
    ))
    .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// A connection that only reads. One with `mode=ro` in its URI cannot change the file at all:
/// also its close leaves a write-ahead log where it is.
pub(super) fn query_only(uri: &str) -> Result<SqliteConnection, ConnectionError> {
    let mut conn = SqliteConnection::establish(uri)?;
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = {BUSY_MS}; PRAGMA query_only = ON; PRAGMA cache_size = -{READ_CACHE_KIB};"
    ))
    .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// The file as an SQLite URI, whatever its path is made of.
pub(super) fn uri(path: &Path, mode: &str) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut text = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => text.push(char::from(*byte)),
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
    let _ = write!(text, "?mode={mode}");
    text
}
