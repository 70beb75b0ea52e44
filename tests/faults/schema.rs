//! SCENARIO 27: schemas of other versions, and files that are no journal.

use std::fs;
use std::path::Path;
use std::process::Output;

use diesel::Connection as _;
use diesel::SqliteConnection;
use diesel::connection::SimpleConnection as _;
use diesel::migration::MigrationSource as _;
use diesel::sqlite::Sqlite;
use diesel_migrations::{FileBasedMigrations, MigrationHarness as _};

use crate::support::{Dashboard, sql};

const QUIET: &str = "[probe]\ninterval = \"0s\"\n";

fn migrations() -> FileBasedMigrations {
    FileBasedMigrations::from_path(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).expect("migrations")
}

/// A journal as the program left it that knew only the first `seen` migrations, with one host.
fn older(file: &Path, seen: usize) {
    let mut connection = SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    connection
        .batch_execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")
        .expect("pragmas");
    for _ in 0..seen {
        connection.run_next_migration(migrations()).expect("migration");
    }
    connection
        .batch_execute("INSERT INTO hosts (hostname, reach) VALUES ('old-host', 'local');")
        .expect("host");
}

fn serve(qd: &Dashboard) -> Output {
    qd.program()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .output()
        .expect("it ends")
}

fn applied(file: &Path) -> String {
    sql(
        file,
        "SELECT group_concat(version || ' ' || run_on) FROM __diesel_schema_migrations",
    )
}

/// Every file of a folder with its bytes, but for the lock and what a reader leaves beside a journal: its shared memory and
/// an empty write-ahead log.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .expect("folder")
        .map(|entry| {
            let entry = entry.expect("entry");
            (entry.file_name().to_string_lossy().into_owned(), entry.path())
        })
        .filter(|(name, path)| name != "quarterdeck.lock" && !name.ends_with("-shm") && path.is_file())
        .map(|(name, path)| (name, fs::read(path).expect("bytes")))
        .filter(|(name, bytes)| !(name.ends_with("-wal") && bytes.is_empty()))
        .collect();
    all.sort();
    all
}

/// Untouched, byte for byte.
fn same(before: &[(String, Vec<u8>)], now: &[(String, Vec<u8>)], what: &str) {
    let sizes = |files: &[(String, Vec<u8>)]| -> Vec<(String, usize)> {
        files.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect()
    };
    assert_eq!(sizes(before), sizes(now), "{what}: the same files");
    for (was, is) in before.iter().zip(now) {
        assert!(was == is, "{what}: {} has changed", was.0);
    }
}

#[tokio::test]
async fn s27_every_older_schema_is_migrated_once() {
    let all = MigrationsOf::count();
    for seen in 1..all {
        let mut qd = Dashboard::prepare(QUIET);
        fs::create_dir(qd.path("data")).expect("data");
        let file = qd.path("data/quarterdeck.db");
        older(&file, seen);
        qd.start_again().await;
        assert_eq!(
            qd.get("/hosts/old-host").await.0,
            200,
            "from {seen}: what was there is there"
        );
        let id = qd.accepted("uptime", "localhost").await;
        assert_eq!(qd.until_final(&id).await["status"], "SUCCESS", "from {seen}");
        qd.stop().await;
        let first = applied(&file);
        assert_eq!(first.split(',').count(), all, "from {seen}: {first}");
        assert_eq!(sql(&file, "SELECT * FROM pragma_integrity_check LIMIT 1"), "ok");
        assert_eq!(sql(&file, "SELECT count(*) FROM pragma_foreign_key_check"), "0");
        if seen == 1 {
            qd.start_again().await;
            qd.stop().await;
            assert_eq!(applied(&file), first, "the second start migrates nothing");
        }
    }
}

struct MigrationsOf;

impl MigrationsOf {
    fn count() -> usize {
        let found: Vec<Box<dyn diesel::migration::Migration<Sqlite>>> = migrations().migrations().expect("migrations");
        found.len()
    }
}

#[tokio::test]
async fn s27_a_newer_schema_is_refused_and_not_touched() {
    let mut qd = Dashboard::start(QUIET).await;
    let id = qd.accepted("uptime", "localhost").await;
    qd.until_final(&id).await;
    qd.stop().await;
    let file = qd.path("data/quarterdeck.db");
    SqliteConnection::establish(&file.to_string_lossy())
        .expect("database")
        .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001');")
        .expect("a migration of the future");
    let before = files(&qd.path("data"));
    for arguments in [&["serve"] as &[&str], &["history"], &["host", "list"]] {
        let output = qd.program().args(arguments).output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?}: {text}");
        assert!(
            text.contains("newer Quarterdeck") && text.contains("20991231000001"),
            "{arguments:?}: {text}"
        );
        same(&before, &files(&qd.path("data")), arguments[0]);
    }
}

#[tokio::test]
async fn s27_a_damaged_file_is_refused_and_no_new_one_takes_its_place() {
    let mut qd = Dashboard::start(QUIET).await;
    let id = qd.accepted("uptime", "localhost").await;
    qd.until_final(&id).await;
    qd.stop().await;
    let file = qd.path("data/quarterdeck.db");
    let sound = fs::read(&file).expect("journal");
    let mut without_head = sound.clone();
    without_head[..16].copy_from_slice(b"something else!!");
    let mut holes = sound.clone();
    let half = holes.len() / 2;
    holes[4096..half].fill(0xA5);
    let another = qd.path("another.db");
    SqliteConnection::establish(&another.to_string_lossy())
        .expect("database")
        .batch_execute("CREATE TABLE recipes (id INTEGER PRIMARY KEY);")
        .expect("table");
    for (what, bytes) in [
        ("no database", b"hello, this is a text\n".repeat(50)),
        ("another beginning", without_head),
        ("garbage in the middle", holes),
        ("a missing end", sound[..half].to_vec()),
        ("empty, where a dashboard has worked", Vec::new()),
        ("another program's", fs::read(another).expect("bytes")),
    ] {
        fs::write(&file, &bytes).expect("damage");
        let before = files(&qd.path("data"));
        let output = serve(&qd);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{what}: {text}");
        assert!(
            text.contains("quarterdeck.db") && text.contains("Nothing was changed"),
            "{what}: {text}"
        );
        assert!(!text.contains("panicked"), "{what}: {text}");
        same(&before, &files(&qd.path("data")), what);
    }
    fs::write(&file, &sound).expect("restored");
    qd.start_again().await;
    assert_eq!(qd.command(&id).await["status"], "SUCCESS");
}
