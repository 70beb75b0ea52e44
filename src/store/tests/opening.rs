//! What is opened, what is refused, and what a start finds out about the one before.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};

use super::*;

fn raw(dir: &tempfile::TempDir) -> SqliteConnection {
    SqliteConnection::establish(dir.path().join("quarterdeck.db").to_str().expect("path")).expect("opens")
}

fn bytes(dir: &tempfile::TempDir) -> Vec<u8> {
    std::fs::read(dir.path().join("quarterdeck.db")).expect("file")
}

#[test]
fn a_second_dashboard_is_refused_and_touches_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let before = bytes(&dir);
    let refused = Store::open(&settings(dir.path())).expect_err("in use");
    let text = refused.to_string();
    assert!(
        matches!(refused, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id()),
        "{text}"
    );
    assert_eq!(bytes(&dir), before);
    store.close();
    store_in(&dir).close();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("folder");
    store_in(&dir).close();
    raw(&dir)
        .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')")
        .expect("newer");
    let before = bytes(&dir);
    let refused = Store::open(&settings(dir.path())).expect_err("newer");
    assert!(
        matches!(&refused, OpenError::Newer { version, .. } if version == "20990101000000"),
        "{refused}"
    );
    assert!(matches!(
        Store::open_read_only(dir.path()),
        Err(OpenError::Newer { .. })
    ));
    assert_eq!(bytes(&dir), before);
}

#[test]
fn damage_is_found_and_no_new_file_takes_its_place() {
    let dir = tempfile::tempdir().expect("folder");
    store_in(&dir).close();
    let good = bytes(&dir);
    let mut cut = good.clone();
    cut.truncate(good.len() / 2);
    let mut torn = good.clone();
    torn[4_096..12_288].fill(0xA5);
    let path = dir.path().join("quarterdeck.db");
    for bad in [b"not a database at all".to_vec(), cut, torn, vec![0; 8_192]] {
        std::fs::write(&path, &bad).expect("written");
        let refused = Store::open(&settings(dir.path())).expect_err("damaged");
        assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
        assert_eq!(std::fs::read(&path).expect("file"), bad);
    }
    std::fs::write(&path, &good).expect("written");
    store_in(&dir).close();
}

#[test]
fn reading_alone_takes_no_lock_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    assert!(matches!(
        Store::open_read_only(dir.path()),
        Err(OpenError::Missing { .. })
    ));
    store_in(&dir).close();
    let before = bytes(&dir);
    let reader = Store::open_read_only(dir.path()).expect("opens");
    assert_eq!(reader.read_blocking(Journal::version).expect("read"), 0);
    assert!(reader.read_blocking(Journal::fleet).expect("read").is_empty());
    drop(reader);
    assert_eq!(bytes(&dir), before);
    let store = store_in(&dir);
    let beside = Store::open_read_only(dir.path()).expect("opens beside a dashboard");
    assert!(beside.read_blocking(Journal::hosts).expect("read").is_empty());
    drop(store);
}

#[test]
fn the_file_is_set_up_as_the_design_says() {
    use diesel::RunQueryDsl as _;
    #[derive(diesel::QueryableByName)]
    struct Set {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        vacuum: i64,
        #[diesel(sql_type = diesel::sql_types::Text)]
        journal: String,
    }
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let set: Set = diesel::sql_query(
        "SELECT (SELECT auto_vacuum FROM pragma_auto_vacuum) AS vacuum, (SELECT journal_mode FROM pragma_journal_mode) AS journal",
    )
    .get_result(&mut raw(&dir))
    .expect("pragmas");
    assert_eq!((set.vacuum, set.journal.as_str()), (2, "wal"));
    let refused = store
        .reader()
        .read_blocking(|journal| journal.conn.batch_execute("DELETE FROM hosts").map_err(ReadError::from));
    assert!(refused.expect_err("query_only").to_string().contains("readonly"));
}

#[tokio::test]
async fn a_start_tells_a_clean_stop_from_a_crash() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let first = store.begin_start(Span::from_secs(900)).await.expect("started");
    assert!(
        first.first && !first.restored && !first.crashed && first.away.is_none(),
        "{first:?}"
    );
    let id = store.dashboard_id().to_owned();
    store.clean_stop().await.expect("stopped");
    store.close();
    let store = store_in(&dir);
    assert_eq!(store.dashboard_id(), id);
    let second = store.begin_start(Span::from_secs(900)).await.expect("started");
    assert!(
        second.clean && !second.crashed && !second.restored && second.away.is_some(),
        "{second:?}"
    );
    assert_eq!(second.previous_version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    store.close();
    let store = store_in(&dir);
    let third = store.begin_start(Span::from_secs(900)).await.expect("started");
    assert!(third.crashed && !third.clean && !third.restored, "{third:?}");
    let events = store.reader().read(all_events).await.expect("read");
    let actions: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["start", "stop", "start", "crash", "start"]);
}

#[tokio::test]
async fn a_restored_database_is_noticed() {
    let dir = tempfile::tempdir().expect("folder");
    let backup = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    store.begin_start(Span::from_secs(900)).await.expect("started");
    let copy = backup.path().join("copy.db");
    raw(&dir)
        .batch_execute(&format!("VACUUM INTO '{}'", copy.display()))
        .expect("backup");
    add(&store, "lost").await;
    store.clean_stop().await.expect("stopped");
    store.close();
    std::fs::copy(&copy, dir.path().join("quarterdeck.db")).expect("restored");
    let store = store_in(&dir);
    let started = store.begin_start(Span::from_secs(900)).await.expect("started");
    assert!(started.restored && !started.crashed, "{started:?}");
    let row = store.reader().read(Journal::instance_row).await.expect("read");
    assert!(row.restored_at.is_some());
    store.close();
    let store = store_in(&dir);
    assert!(
        !store.begin_start(Span::from_secs(900)).await.expect("started").restored,
        "said once"
    );
    store.close();
    std::fs::remove_file(dir.path().join("instance")).expect("removed");
    let store = store_in(&dir);
    assert!(
        store.begin_start(Span::from_secs(900)).await.expect("started").restored,
        "moved without its file"
    );
}

#[tokio::test]
async fn a_copy_of_the_whole_folder_is_noticed_on_the_machine_that_knows_more() {
    let dir = tempfile::tempdir().expect("folder");
    let within = Span::from_secs(900);
    let (data, copy, moved, machine) = (
        dir.path().join("data"),
        dir.path().join("copy"),
        dir.path().join("moved"),
        dir.path().join("machine"),
    );
    let open = |data: &std::path::Path| {
        let settings = OpenSettings {
            machine_folder: Some(machine.clone()),
            ..settings(data)
        };
        Store::open(&settings).expect("opens")
    };
    let restored = async |store: &Store| store.begin_start(within).await.expect("started").restored;
    let store = open(&data);
    assert!(!restored(&store).await, "the first start");
    add(&store, "kept").await;
    store.close();
    // No word of a stop: a crash is no restore, and neither is another place.
    std::fs::rename(&data, &moved).expect("moved");
    let store = open(&moved);
    assert!(!restored(&store).await, "moved");
    store.close();
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&moved, &copy])
        .status();
    assert!(copied.expect("cp").success());
    let store = open(&moved);
    assert!(!restored(&store).await, "only looked at by who copied it");
    add(&store, "lost").await;
    store.close();
    let preview = Store::open_read_only(&copy).expect("opens");
    let seen = preview.read_blocking(|journal| journal.is_restored(&copy, Some(&machine)));
    assert!(seen.expect("read"), "a look says so before the start does");
    let store = open(&copy);
    assert!(restored(&store).await, "a copy from before");
    store.close();
    let store = open(&copy);
    assert!(!restored(&store).await, "said once");
    store.close();
    // A mark that cannot be read says nothing.
    let mark = std::fs::read_dir(&machine)
        .expect("marks")
        .next()
        .expect("one")
        .expect("one");
    std::fs::write(mark.path(), "").expect("emptied");
    let store = open(&copy);
    assert!(!restored(&store).await);
    store.close();
}

/// A journal from before there was a chain, of as many events as one likes: its links are made once, and verify.
#[tokio::test]
async fn the_events_of_an_older_journal_are_chained_at_the_first_start() {
    use diesel_migrations::{FileBasedMigrations, MigrationHarness as _};
    let dir = tempfile::tempdir().expect("folder");
    let mut conn = connect::writer(&dir.path().join("quarterdeck.db")).expect("opens");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    loop {
        let migrations = FileBasedMigrations::from_path(&folder).expect("migrations");
        let next = conn.pending_migrations(migrations).expect("pending");
        if next[0].name().to_string().ends_with("chain") {
            break;
        }
        conn.run_migration(&next[0]).expect("run");
    }
    conn.batch_execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) \
         INSERT INTO event_log (category, level, actor, action, message) SELECT 'system', 'info', 'system', 'x', 'é' || i FROM n; \
         DELETE FROM event_log WHERE id <= 10",
    )
    .expect("filled");
    drop(conn);
    let store = store_in(&dir);
    let head = store.reader().read_blocking(Journal::head).expect("read");
    assert_eq!(head.event_id, 2_500);
    store.begin_start(Span::from_secs(60)).await.expect("started");
    store.close();
    let reader = Store::open_read_only(dir.path()).expect("opens");
    let verdict = verify(&reader, dir.path(), &Against::default()).expect("verified");
    assert!(verdict.fits(), "{:?}", verdict.problems);
    assert_eq!((verdict.events, verdict.first), (2_492, Some(11)));
}
