//! The tables as Diesel sees them, and the migrations one by one over rows of the one before.

use std::collections::BTreeMap;

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::Text;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query};
use diesel_migrations::{FileBasedMigrations, MigrationHarness as _};

use super::*;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    tbl: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

/// `table.column` with its kind, as the migrations make it.
fn real(conn: &mut SqliteConnection) -> BTreeMap<String, String> {
    let columns: Vec<Column> = sql_query(
        "SELECT m.name AS tbl, c.name AS name, c.type || CASE WHEN c.\"notnull\" THEN '' ELSE '?' END AS kind \
         FROM sqlite_schema m, pragma_table_info(m.name) c \
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' \
         AND m.name NOT LIKE 'event\\_words%' ESCAPE '\\'",
    )
    .load(conn)
    .expect("columns");
    columns
        .into_iter()
        .map(|column| (format!("{}.{}", column.tbl, column.name), column.kind))
        .collect()
}

/// The same out of `schema.rs`.
fn written() -> BTreeMap<String, String> {
    let mut columns = BTreeMap::new();
    let mut table = String::new();
    for line in include_str!("../schema.rs")
        .lines()
        .map(str::trim)
        .filter(|line| !line.contains('!'))
    {
        if let Some((name, kind)) = line.split_once(" -> ") {
            let kind = kind.trim_end_matches(',');
            let (kind, null) = kind
                .strip_prefix("Nullable<")
                .map_or((kind, ""), |kind| (kind.trim_end_matches('>'), "?"));
            let kind = match kind {
                "Text" => "TEXT",
                "BigInt" => "BIGINT",
                "Binary" => "BLOB",
                "Bool" => "BOOLEAN",
                "Timestamp" => "TIMESTAMP",
                other => panic!("{table}.{name} is {other}; integers are BigInt"),
            };
            columns.insert(format!("{table}.{name}"), format!("{kind}{null}"));
        } else if let Some((name, _)) = line.split_once(" (") {
            table = name.to_owned();
        }
    }
    columns
}

#[test]
fn schema_rs_says_what_the_migrations_make() {
    let dir = tempfile::tempdir().expect("folder");
    let mut opened = open::open(dir.path()).expect("opens");
    let mut real = real(&mut opened.conn);
    for kind in real.values_mut() {
        *kind = kind.replace("INTEGER", "BIGINT"); // A key that is SQLite's own row number; 64 bits as well.
    }
    assert_eq!(real, written());
}

#[test]
fn every_migration_runs_over_the_rows_of_those_before_and_back() {
    let rows = [
        (
            "hosts",
            "INSERT INTO hosts (id, hostname, reach) VALUES (1, 'a', 'ssh:root@a')",
        ),
        (
            "commands",
            "INSERT INTO definitions (sha256, text) VALUES (hex(zeroblob(32)), '{}'); \
             INSERT INTO pipelines (id, name, hosts, status, actor) VALUES ('00000000-0000-7000-8000-000000000001', 'p', '[1]', 'RUNNING', 'system'); \
             INSERT INTO pipeline_hosts (pipeline_id, host_id) VALUES ('00000000-0000-7000-8000-000000000001', 1); \
             INSERT INTO commands (id, host_id, op, status, actor, definition) VALUES ('00000000-0000-7000-8000-000000000002', 1, 'x', 'PENDING', 'system', hex(zeroblob(32)))",
        ),
        (
            "event_log",
            "INSERT INTO event_log (category, level, actor, action, message, host_id) VALUES ('system', 'info', 'system', 'x', 'y', 1)",
        ),
        ("state_version", "UPDATE state_version SET version = 7"),
        ("host_facts", "INSERT INTO host_facts (host_id) VALUES (1)"),
        ("instance", "INSERT INTO instance (id, dashboard_id) VALUES (1, 'd')"),
        (
            "sessions",
            "INSERT INTO sessions (hash, actor, expires_at) VALUES ('h', 'user:a', '2026-01-01 00:00:00')",
        ),
        (
            "sweeps",
            "INSERT INTO sweeps (id, swept_at) VALUES (1, '2026-01-01 00:00:00')",
        ),
        (
            "pipelines",
            "UPDATE commands SET pipeline_id = '00000000-0000-7000-8000-000000000001', stage = 0; \
             INSERT INTO pipelines (id, name, hosts, status, actor, retry_of) VALUES ('00000000-0000-7000-8000-000000000004', \
             'p', '[1]', 'RUNNING', 'system', '00000000-0000-7000-8000-000000000001')",
        ),
        (
            "pipelines' evidence",
            "UPDATE pipelines SET evidence = '{\"hosts\":{}}' WHERE retry_of IS NOT NULL",
        ),
        ("pairs of filters", "UPDATE commands SET actor = 'user:a'"),
        ("the last that ran", "UPDATE commands SET actor = 'user:b'"),
        (
            "users",
            "INSERT INTO users (id, name, password, grants) VALUES (1, 'alice', '$argon2id$v=19', 'admin'); \
             INSERT INTO recovery_codes (hash, user_id) VALUES ('r', 1); \
             INSERT INTO tokens (name, hash, grants, created_by) VALUES ('ci', 't', 'viewer', 'user:alice'); \
             INSERT INTO sessions (hash, actor, user_id, expires_at) VALUES ('h', 'user:alice', 1, '2026-01-01 00:00:00'); \
             INSERT INTO login_attempts (what, failures, last_at) VALUES ('a', 1, '2026-01-01 00:00:00'); \
             INSERT INTO once (actor, key, request) VALUES ('token:ci', 'k', 'd')",
        ),
        ("era", "UPDATE users SET era = 1"),
        (
            "known_places",
            "INSERT INTO known_places (user_id, place, last_at) VALUES (1, 'p', '2026-01-01 00:00:00')",
        ),
        (
            "the chain",
            "INSERT INTO event_log (category, level, actor, action, message) VALUES ('system', 'info', 'system', 'x', 'z'); \
             INSERT INTO checkpoint_keys (fingerprint, public) VALUES (hex(zeroblob(32)), hex(zeroblob(32))); \
             INSERT INTO swept_events (id, row_hash, link) VALUES (9, zeroblob(32), zeroblob(32)); \
             INSERT INTO sealed (what, digest) VALUES ('c', hex(zeroblob(32)))",
        ),
        (
            "search",
            "INSERT INTO event_words (rowid, text) VALUES (1, 'z'); UPDATE event_index SET event_id = 1",
        ),
        (
            "cursors",
            "INSERT INTO cursors (kind, name, target, position) VALUES ('forward', 'siem', 'tcp://a:1', 7); \
             INSERT INTO witnesses (name, checkpoint_id, event_id) VALUES ('siem', 1, 7)",
        ),
        (
            "acknowledge",
            "UPDATE commands SET acknowledged_by = 'user:a', acknowledged_at = '2026-01-01 00:00:00', acknowledged_note = 'seen'",
        ),
        (
            "reports",
            "INSERT INTO reports (number, made_at, made_by, parameters, paper, covers) \
             VALUES ('QD-2026-000001', '2026-01-01 00:00:00', 'user:a', '{}', 'a4', 1); \
             INSERT INTO report_contents (report_id, made_at, gzip) VALUES (1, '2026-01-01 00:00:00', x'00'); \
             INSERT INTO reviews (report_id, up_to, reviewed_by, reviewed_at) VALUES (1, 1, 'user:b', '2026-01-01 00:00:00')",
        ),
        (
            "retention",
            "INSERT INTO holds (from_at, reason, placed_by) VALUES ('2026-01-01 00:00:00', 'r', 'user:a'); \
             UPDATE commands SET kept_by = 'user:a', kept_at = '2026-01-01 00:00:00', kept_reason = 'r'",
        ),
        ("known words", "INSERT INTO event_words (rowid, text) VALUES (2, 'z')"),
        (
            "late_word",
            "UPDATE commands SET late_word = 'exit 0', late_at = '2026-01-01 00:00:00'",
        ),
        (
            "pieces",
            "INSERT INTO sweep_pieces (line) VALUES ('{}'); UPDATE swept_events SET piece = 1; UPDATE sealed SET event_id = 9",
        ),
        (
            "unused sessions",
            "UPDATE sessions SET last_seen_at = '2026-01-01 00:00:00'",
        ),
    ];
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("quarterdeck.db");
    let mut conn = connect::writer(&path).expect("opens");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let migrations = || FileBasedMigrations::from_path(&folder).expect("migrations");
    for (table, insert) in rows {
        conn.run_next_migration(migrations()).expect(table);
        conn.batch_execute(insert).expect(table);
    }
    assert!(
        !conn.has_pending_migration(migrations()).expect("pending"),
        "each has its row here"
    );
    for bad in [
        "UPDATE commands SET status = 'LOST'",
        "UPDATE commands SET status = 'SUCCESS'",
        "UPDATE commands SET finished_at = '2099-01-01 00:00:00'",
        "UPDATE commands SET created_at = 'yesterday'",
        "INSERT INTO event_log (category, level, actor, action, message) VALUES ('system', 'loud', 'system', 'x', 'z')",
        "UPDATE event_log SET message = 'other'",
        "UPDATE event_log SET link = randomblob(31)",
        "DELETE FROM event_log",
        "INSERT INTO checkpoints (kind, event_id, events, link, key, signature) VALUES ('hour', 1, 1, zeroblob(32), 'nobody', hex(zeroblob(64)))",
        "UPDATE pipelines SET status = 'COMPLETE'",
        "INSERT INTO commands (id, host_id, op, status, actor, definition) VALUES ('00000000-0000-7000-8000-000000000003', 1, 'x', 'PENDING', 'system', hex(zeroblob(32)))",
        "INSERT INTO commands (id, host_id, op, status, actor, definition, finished_at, created_at, pipeline_id, stage) VALUES ('00000000-0000-7000-8000-000000000003', 1, 'x', 'BLOCKED', 'system', hex(zeroblob(32)), '2026-01-01 00:00:00', '2026-01-01 00:00:00', '00000000-0000-7000-8000-000000000001', 0)",
        "UPDATE pipeline_hosts SET waiting_since = 'soon'",
        "UPDATE commands SET acknowledged_at = 'soon'",
        "UPDATE holds SET until_at = from_at",
        "UPDATE holds SET released_at = '2026-01-01 00:00:00'",
        "UPDATE commands SET kept_at = 'today'",
        "UPDATE commands SET late_at = 'soon'",
        "DELETE FROM hosts",
        "DELETE FROM users",
        "UPDATE users SET password = 'secret'",
        "INSERT INTO users (name, password, grants) VALUES ('alice', '$argon2id$', '')",
        "INSERT INTO once (actor, key, request) VALUES ('token:ci', 'k', 'other')",
        "INSERT INTO cursors (kind, name, target, position) VALUES ('forward', 'siem', 'tcp://b:1', 1)",
        "INSERT INTO cursors (kind, name, target, position) VALUES ('mail', 'siem', 'tcp://b:1', 1)",
        "INSERT INTO witnesses (name, checkpoint_id, event_id) VALUES ('siem', 1, 8)",
    ] {
        assert!(conn.batch_execute(bad).is_err(), "{bad}");
    }
    drop(conn);
    let store = store_in(&dir);
    assert_eq!(store.reader().read_blocking(Journal::version).expect("read"), 7);
    store.close();
    let mut conn = SqliteConnection::establish(path.to_str().expect("path")).expect("opens");
    conn.batch_execute("PRAGMA foreign_keys = OFF").expect("off");
    for _ in rows {
        conn.revert_last_migration(migrations()).expect("reverted");
    }
    assert!(real(&mut conn).is_empty());
}
