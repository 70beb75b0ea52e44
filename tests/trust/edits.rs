//! Single edits, each of which is found and named.

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;

use crate::journal::{Copied, found, journal};

#[tokio::test]
async fn every_edit_of_the_journal_is_found_and_named() {
    let qd = journal().await;
    let clean = Copied::of(&qd);
    let (code, text) = clean.verify(&[]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("Everything fits") && text.contains("1 pipelines"),
        "{text}"
    );

    let last: i64 = clean.sql("SELECT max(id) FROM event_log").parse().expect("a number");
    let ended = "(SELECT id FROM commands WHERE status = 'ERROR' AND pipeline_id IS NULL)";
    let skipped = "(SELECT id FROM commands WHERE status = 'SKIPPED')";
    for (edit, names) in [
        ("UPDATE event_log SET message = 'nothing happened' WHERE id = 5".to_owned(), "event 5"),
        ("UPDATE event_log SET actor = 'user:mallory' WHERE id = 6".to_owned(), "event 6"),
        ("UPDATE event_log SET timestamp = '2020-01-01 00:00:00.000000' WHERE id = 7".to_owned(), "event 7"),
        ("UPDATE event_log SET details = '{}' WHERE id = 8".to_owned(), "event 8"),
        ("UPDATE event_log SET link = zeroblob(32) WHERE id = 4".to_owned(), "event 4"),
        ("DELETE FROM event_log WHERE id = 9".to_owned(), "event 10"),
        ("DELETE FROM event_log WHERE id < 3".to_owned(), "event 3"),
        // In the middle there is no number for one more, so those after it move on.
        (
            "UPDATE event_log SET id = -id - 1 WHERE id > 9; UPDATE event_log SET id = -id WHERE id < 0; \
             INSERT INTO event_log (id, category, level, actor, action, message) VALUES (10, 'audit', 'info', 'user:alice', 'x', 'y')"
                .to_owned(),
            "event 10",
        ),
        (
            "INSERT INTO event_log (category, level, actor, action, message) VALUES ('audit', 'info', 'user:alice', 'x', 'y')".to_owned(),
            "event",
        ),
        (format!("DELETE FROM event_log WHERE id = {last}"), "checkpoint"),
        ("DELETE FROM event_log".to_owned(), "checkpoint"),
        (format!("UPDATE commands SET status = 'SUCCESS', exit_code = 0 WHERE id = {ended}"), "command"),
        (format!("UPDATE commands SET actor = 'user:bob' WHERE id = {ended}"), "command"),
        (format!("UPDATE commands SET reason = 'was asked to' WHERE id = {ended}"), "command"),
        (format!("UPDATE commands SET host_id = 99 WHERE id = {ended}"), "command"),
        (format!("UPDATE commands SET output_sha256 = 'x' WHERE id = {ended}"), "command"),
        (format!("UPDATE commands SET evidence = NULL WHERE id = {ended}"), "command"),
        (format!("DELETE FROM commands WHERE id = {ended}"), "command"),
        (format!("UPDATE commands SET error = 'other' WHERE id = {skipped}"), "command"),
        (format!("UPDATE commands SET status = 'EXECUTING', finished_at = NULL WHERE id = {ended}"), "command"),
        ("UPDATE commands SET op = 'three' WHERE status = 'BLOCKED'".to_owned(), "command"),
        ("UPDATE hosts SET hostname = 'elsewhere'".to_owned(), "host"),
        ("UPDATE hosts SET reach = 'ssh:root@elsewhere'".to_owned(), "host localhost"),
        ("DELETE FROM hosts".to_owned(), "host localhost"),
        ("UPDATE users SET grants = 'admin' WHERE name = 'vic'".to_owned(), "user vic"),
        ("UPDATE users SET password = '$argon2id$other'".to_owned(), "user vic"),
        (
            "INSERT INTO users (name, password, grants) VALUES ('mallory', '$argon2id$', 'admin')".to_owned(),
            "user mallory",
        ),
        ("DELETE FROM users".to_owned(), "user vic"),
        ("UPDATE tokens SET hash = 'other'".to_owned(), "token ci"),
        ("UPDATE tokens SET expires_at = '2099-01-01 00:00:00'".to_owned(), "token ci"),
        ("UPDATE pipelines SET status = 'COMPLETE'".to_owned(), "pipeline"),
        ("UPDATE pipelines SET plan = replace(plan, 'three', 'two')".to_owned(), "pipeline"),
        ("UPDATE pipelines SET hosts = '[1,2]'".to_owned(), "pipeline"),
        ("DELETE FROM pipelines".to_owned(), "pipeline"),
        ("UPDATE definitions SET text = replace(text, 'three', 'four')".to_owned(), "definition"),
        ("UPDATE checkpoints SET events = events - 1 WHERE id = 1".to_owned(), "checkpoint 1"),
        ("UPDATE checkpoints SET link = randomblob(32) WHERE id = 2".to_owned(), "checkpoint 2"),
        ("DELETE FROM checkpoints WHERE id = 1".to_owned(), "checkpoint 2"),
        ("DELETE FROM checkpoints".to_owned(), "checkpoints"),
        // What an attacker without the key found: hashes and digests that no sweep left, events that nobody walks over,
        // rows that claim to be older than the log, rows that only a list names, open rows, other triggers.
        (
            "INSERT INTO swept_events (id, row_hash, link) SELECT id, link, link FROM event_log WHERE id = 5; DELETE FROM event_log WHERE id = 5"
                .to_owned(),
            "swept_events",
        ),
        (
            "INSERT INTO sealed (what, digest) VALUES ('user vic', hex(zeroblob(32))); \
             INSERT INTO users (name, password, grants) VALUES ('evil', '$argon2id$', 'admin')"
                .to_owned(),
            "the table sealed",
        ),
        (
            "INSERT INTO sealed (what, digest) VALUES ('command x', hex(zeroblob(32)))".to_owned(),
            "the table sealed",
        ),
        (
            "INSERT INTO users (name, password, grants, created_at) VALUES ('evil', '$argon2id$', 'admin', '2020-01-01 00:00:00')"
                .to_owned(),
            "user evil",
        ),
        (
            "INSERT INTO event_log (id, category, level, actor, action, message) VALUES (-5, 'audit', 'info', 'user:a', 'x', 'y')"
                .to_owned(),
            "event -5",
        ),
        ("DELETE FROM commands WHERE status = 'SKIPPED'".to_owned(), "command"),
        (
            "INSERT INTO commands (id, host_id, op, status, actor, definition) SELECT \
             'ffffffff-0000-7000-8000-000000000001', host_id, op, 'PENDING', 'user:boss', definition FROM commands LIMIT 1"
                .to_owned(),
            "command ffffffff",
        ),
        (
            "CREATE TRIGGER x AFTER INSERT ON users BEGIN UPDATE users SET grants = 'admin' WHERE id = new.id; END".to_owned(),
            "trigger x",
        ),
    ] {
        let copied = Copied::of(&qd);
        copied.edit(&edit);
        found(&copied, &edit, names);
    }

    let output = clean.sql(&format!("SELECT output_file FROM commands WHERE id = {ended}"));
    for (edit, content) in [
        ("longer", Some("three\nfour\n")),
        ("other", Some("seven\n")),
        ("gone", None),
    ] {
        let copied = Copied::of(&qd);
        let file = copied.data().join(&output);
        match content {
            Some(text) => std::fs::write(&file, text).expect("written"),
            None => std::fs::remove_file(&file).expect("removed"),
        }
        found(&copied, edit, "command");
        assert_eq!(copied.verify(&["--no-outputs"]).0, 0, "rows alone do fit");
    }
    let copied = Copied::of(&qd);
    std::fs::remove_dir_all(copied.data().join("output")).expect("removed");
    found(&copied, "no outputs at all", "output");
}

#[tokio::test]
async fn the_database_itself_refuses_to_rewrite_events() {
    let qd = journal().await;
    let mut connection =
        diesel::SqliteConnection::establish(&qd.path("data/quarterdeck.db").to_string_lossy()).expect("database");
    for statement in [
        "UPDATE event_log SET message = 'x'",
        "UPDATE event_log SET link = zeroblob(32)",
        "DELETE FROM event_log WHERE id = 1",
        "DELETE FROM event_log",
    ] {
        let refused = connection.batch_execute(statement).expect_err(statement).to_string();
        assert!(refused.contains("events are"), "{statement}: {refused}");
    }
}
