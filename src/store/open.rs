//! Opening the journal: lock, look, migrate. What is refused is refused before anything is changed.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::sqlite::Sqlite;
use diesel::{QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connect;
use super::error::OpenError;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Files up to this size are checked page by page before they are used, in bytes: some tenths of a second.
const CHECKED_WHOLE: u64 = 32 * 1024 * 1024;

/// How long another dashboard's lock is waited for: a program that it was just starting has a share in it until it runs.
const LET_GO: Duration = Duration::from_millis(500);

/// The lock, the path and the connection of a journal that is ready to be written.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) lock: File,
    pub(super) conn: SqliteConnection,
}

pub(super) fn open(data_dir: &Path) -> Result<Opened, OpenError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(io(data_dir))?;
    // Whatever made the folder: it is for its owner alone. A folder of somebody else's cannot be made so, and is refused.
    std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(0o700)).map_err(io(data_dir))?;
    let lock = lock(data_dir)?;
    let path = data_dir.join(connect::DATABASE);
    let length = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(io(&path)(error)),
    };
    if length > 0 {
        look(&path)?;
    } else if path.exists() && data_dir.join("instance").exists() {
        return Err(OpenError::Corrupt {
            path,
            problem: "it is empty, but a dashboard has worked here before".to_owned(),
        });
    } else {
        // SQLite makes its files with the mode of the database: nobody else reads the journal.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(io(&path))?;
    }
    let database = |problem: String| OpenError::Database {
        path: path.clone(),
        problem,
    };
    let mut conn = connect::writer(&path).map_err(|error| database(error.to_string()))?;
    migrate(&mut conn).map_err(|error| database(format!("the schema could not be brought up to date: {error}")))?;
    Ok(Opened { path, lock, conn })
}

/// Makes the schema today's.
pub(super) fn migrate(conn: &mut SqliteConnection) -> Result<(), String> {
    conn.run_pending_migrations(MIGRATIONS)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// For reading alone: no lock, no migration, and the schema must be today's.
pub(super) fn look_read_only(data_dir: &Path) -> Result<PathBuf, OpenError> {
    let path = data_dir.join(connect::DATABASE);
    look_at(&path)?;
    Ok(path)
}

/// The same, for a file of any name.
pub(super) fn look_at(path: &Path) -> Result<(), OpenError> {
    let path = path.to_owned();
    if !path.exists() {
        return Err(OpenError::Missing { path });
    }
    if look(&path)? == Schema::Older {
        return Err(OpenError::Older { path });
    }
    Ok(())
}

fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join("quarterdeck.lock");
    let io = |source| OpenError::Io {
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(io)?;
    let begun = Instant::now();
    while let Err(why) = file.try_lock() {
        match why {
            TryLockError::WouldBlock if begun.elapsed() < LET_GO => std::thread::sleep(Duration::from_millis(20)),
            TryLockError::WouldBlock => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(OpenError::InUse {
                    data_dir: data_dir.to_owned(),
                    pid: text.trim().parse().ok(),
                });
            }
            TryLockError::Error(source) => return Err(io(source)),
        }
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(file)
}

#[derive(PartialEq, Eq)]
enum Schema {
    Ours,
    Older,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

/// Looks at an existing file through a connection that cannot change it.
fn look(path: &Path) -> Result<Schema, OpenError> {
    let corrupt = |problem: String| OpenError::Corrupt {
        path: path.to_owned(),
        problem,
    };
    let length = header(path).map_err(|problem| corrupt(problem.to_string()))?;
    let mut conn = connect::query_only(&connect::uri(path, "ro")).map_err(|error| corrupt(error.to_string()))?;
    let check = if length <= CHECKED_WHOLE {
        "SELECT quick_check AS line FROM pragma_quick_check LIMIT 5"
    } else {
        "SELECT 'ok' AS line FROM (SELECT count(*) FROM sqlite_schema)"
    };
    let found: Vec<Line> = sql_query(check)
        .load(&mut conn)
        .map_err(|error| corrupt(error.to_string()))?;
    if let Some(problem) = found.iter().find(|line| line.line != "ok") {
        return Err(corrupt(problem.line.clone()));
    }
    schema(&mut conn, path)
}

/// The file's length, after its first bytes were found to be those of a database that is all there.
fn header(path: &Path) -> std::io::Result<u64> {
    let wrong = |text: &str| std::io::Error::other(text.to_owned());
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = [0u8; 100];
    file.read_exact(&mut head)
        .map_err(|_| wrong("it is too short to be a database"))?;
    if !head.starts_with(b"SQLite format 3\0") {
        return Err(wrong("it does not begin like a database"));
    }
    let page = match u64::from(u16::from_be_bytes([head[16], head[17]])) {
        1 => 65_536,
        size => size,
    };
    let pages = u64::from(u32::from_be_bytes([head[28], head[29], head[30], head[31]]));
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let whole = std::fs::metadata(wal).map_or(0, |wal| wal.len()) == 0;
    if whole && length < page * pages {
        return Err(wrong("its end is missing"));
    }
    Ok(length)
}

/// Compares the migrations that the file has seen with those that this program knows.
fn schema(conn: &mut SqliteConnection, path: &Path) -> Result<Schema, OpenError> {
    let database = |problem: String| OpenError::Database {
        path: path.to_owned(),
        problem,
    };
    let known: Vec<String> = diesel::migration::MigrationSource::<Sqlite>::migrations(&MIGRATIONS)
        .map_err(|error| database(error.to_string()))?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let tables: Vec<Line> =
        sql_query("SELECT name AS line FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .load(conn)
            .map_err(|error| database(error.to_string()))?;
    if !tables.iter().any(|table| table.line == "__diesel_schema_migrations") {
        if tables.is_empty() {
            return Ok(Schema::Older); // A first start that did not get as far as the tables.
        }
        return Err(OpenError::Corrupt {
            path: path.to_owned(),
            problem: "it is a database of another program".to_owned(),
        });
    }
    let seen: Vec<Line> = sql_query("SELECT version AS line FROM __diesel_schema_migrations ORDER BY version")
        .load(conn)
        .map_err(|error| database(error.to_string()))?;
    if let Some(newer) = seen.iter().find(|seen| !known.contains(&seen.line)) {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            version: newer.line.clone(),
        });
    }
    Ok(if seen.len() == known.len() {
        Schema::Ours
    } else {
        Schema::Older
    })
}
