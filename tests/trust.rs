//! The log can be trusted: whatever is changed in the database or beside it, by somebody who knows how it is made,
//! `quarterdeck audit verify` finds it and names it. Edits are made as with the `sqlite3` shell, on copies of a journal
//! that a real dashboard wrote.

mod support;

use std::path::PathBuf;
use std::process::Command;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use quarterdeck::domain::{Checkpoint, Link, SigningKey};
use serde_json::json;
use support::cli::quarterdeck;
use support::{Dashboard, id_of, sql};

const OPS: &str = "[probe]\ninterval = \"0s\"\n\
     [[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n\
     [[op]]\nid = \"waits\"\nscript = \"while [ ! -e \\\"$HOME/go\\\" ]; do sleep 0.05; done\"\n\
     [[pipeline]]\nid = \"both\"\nstages = [{ op = \"three\" }, { op = \"uptime\" }]\n";

/// What stands in the way of somebody who edits is the first thing that they remove.
const NO_TRIGGERS: &str = "DROP TRIGGER event_log_is_not_rewritten; DROP TRIGGER event_log_is_linked_once; \
     DROP TRIGGER event_log_is_only_swept;";

/// A journal with one of each, at rest.
async fn journal() -> Dashboard {
    let mut qd = Dashboard::start(OPS).await;
    for op in ["uptime", "three"] {
        let id = qd.accepted(op, "localhost").await;
        qd.until_final(&id).await;
    }
    let runs = qd.accepted("waits", "localhost").await;
    qd.until_status(&runs, "EXECUTING").await;
    let refused = qd.run("uptime", "localhost").await;
    assert_eq!(refused["status"], "BLOCKED", "{refused}");
    let (status, _) = qd
        .post(&format!("/commands/{runs}/cancel"), &json!({"reason": "enough"}))
        .await;
    assert!((200..300).contains(&status), "{status}");
    qd.until_final(&runs).await;
    let (_, answer) = qd
        .post("/pipelines", &json!({"name": "both", "hosts": ["localhost"]}))
        .await;
    let pipeline = id_of(&answer);
    support::wait_for("the pipeline's end", async || {
        let row = qd.get(&format!("/pipelines/{pipeline}")).await.1;
        row.to_string().contains("\"FAILED\"").then_some(())
    })
    .await;
    for (path, body) in [
        (
            "/users",
            json!({"name": "vic", "password": "a password of vic's", "role": "viewer"}),
        ),
        ("/tokens", json!({"name": "ci", "role": "viewer"})),
    ] {
        let (status, answer) = qd.post(path, &body).await;
        assert!((200..300).contains(&status), "{path}: {answer}");
    }
    qd.stop().await;
    qd
}

/// A copy of a data folder, to be edited.
struct Copied {
    dir: tempfile::TempDir,
}

impl Copied {
    fn of(qd: &Dashboard) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let copied = Command::new("cp")
            .arg("-r")
            .arg(qd.path("data"))
            .arg(dir.path())
            .status()
            .expect("cp");
        assert!(copied.success());
        Self { dir }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn database(&self) -> PathBuf {
        self.data().join("quarterdeck.db")
    }

    /// As somebody who puts back what they had to take away.
    fn edit(&self, statements: &str) {
        let triggers = self.sql("SELECT group_concat(sql, ';') FROM sqlite_schema WHERE type = 'trigger'");
        let mut connection = diesel::SqliteConnection::establish(&self.database().to_string_lossy()).expect("database");
        connection
            .batch_execute(&format!(
                "PRAGMA foreign_keys = OFF; {NO_TRIGGERS} {statements}; {triggers};"
            ))
            .expect(statements);
    }

    fn sql(&self, query: &str) -> String {
        sql(&self.database(), query)
    }

    fn verify(&self, more: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .arg("--data-dir")
            .arg(self.data())
            .args(["audit", "verify"])
            .args(more)
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), text)
    }
}

/// An edit has to be found, and this word has to be in what is said first.
fn found(copied: &Copied, edit: &str, names: &str) {
    let (code, text) = copied.verify(&[]);
    assert_eq!(code, 1, "not found: {edit}\n{text}");
    assert!(text.starts_with("DOES NOT FIT"), "{text}");
    let first = text.lines().next().unwrap_or_default();
    assert!(first.contains(names), "{edit}: expected {names} in\n{text}");
}

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
            "INSERT INTO swept_events SELECT id, link, link FROM event_log WHERE id = 5; DELETE FROM event_log WHERE id = 5"
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

/// Chains events anew from one on, as somebody with this program's source can.
fn chain_anew(copied: &Copied, from: i64) {
    let column = |name: &str| {
        format!("CASE WHEN {name} IS NULL THEN '-,' ELSE length(CAST({name} AS BLOB)) || ':' || {name} || ',' END")
    };
    let columns = [
        "id",
        "timestamp",
        "category",
        "level",
        "actor",
        "host_id",
        "action",
        "message",
        "details",
        "command_id",
        "pipeline_id",
    ];
    let canonical = columns.map(column).join(" || ");
    let last: i64 = copied.sql("SELECT max(id) FROM event_log").parse().expect("number");
    let mut links = String::new();
    let mut link = copied.sql(&format!(
        "SELECT lower(hex(link)) FROM event_log WHERE id = {}",
        from - 1
    ));
    for id in from..=last {
        let text = copied.sql(&format!("SELECT hex({canonical}) FROM event_log WHERE id = {id}"));
        let row: Vec<u8> = (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
            .collect();
        link = sha256(&[unhex(&link), unhex(&sha256(&row))].concat());
        links.push_str(&format!("UPDATE event_log SET link = x'{link}' WHERE id = {id};"));
    }
    copied.edit(&links);
}

/// By another program than ours.
fn sha256(bytes: &[u8]) -> String {
    use std::io::Write as _;
    let mut sum = Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sha256sum");
    sum.stdin.take().expect("stdin").write_all(bytes).expect("written");
    let output = sum.wait_with_output().expect("sum");
    String::from_utf8_lossy(&output.stdout)[..64].to_owned()
}

fn unhex(text: &str) -> Vec<u8> {
    text.parse::<Link>().expect("hex").as_bytes().to_vec()
}

#[tokio::test]
async fn what_is_chained_anew_is_found_by_checkpoints_and_what_is_signed_anew_by_an_outside_witness() {
    let mut qd = journal().await;
    // A checkpoint that an outside place keeps, and the key.
    let (code, witness, err) = quarterdeck(&qd, "audit checkpoint").await;
    assert_eq!(code, 0, "{err}");
    let (_, key, _) = quarterdeck(&qd, "audit key").await;
    let outside = tempfile::tempdir().expect("folder");
    let file = |name: &str, text: &str| {
        let path = outside.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_string_lossy().into_owned()
    };
    let witness = file("witness", &witness);
    let key = file("key.pem", &key);
    // Something more happens after it.
    qd.start_again().await;
    let id = qd.accepted("uptime", "localhost").await;
    qd.until_final(&id).await;
    qd.stop().await;
    let clean = Copied::of(&qd);
    let (code, text) = clean.verify(&["--from-checkpoint", &witness, "--public-key", &key]);
    assert_eq!(code, 0, "{text}");

    // Edited, and chained anew: every link fits, the checkpoints do not.
    let anew = Copied::of(&qd);
    anew.edit("UPDATE event_log SET message = 'nothing happened' WHERE id = 5;");
    chain_anew(&anew, 5);
    found(&anew, "chained anew", "checkpoint");
    let (_, text) = anew.verify(&[]);
    assert!(
        text.contains("chained anew") && !text.contains("FIT  event 5"),
        "{text}"
    );

    // And all checkpoints signed anew, with another key or with the same one: only what is kept outside knows.
    for own_key in [false, true] {
        let forged = Copied::of(&qd);
        forged.edit("UPDATE event_log SET message = 'nothing happened' WHERE id = 5;");
        chain_anew(&forged, 5);
        sign_anew(&forged, own_key);
        let (code, text) = forged.verify(&[]);
        assert_eq!(code, 0, "the README says that this cannot be seen from inside: {text}");
        assert!(text.contains("somebody who holds the machine"), "{text}");
        let (code, text) = forged.verify(&["--from-checkpoint", &witness]);
        assert_eq!(code, 1, "{text}");
        let (code, text) = forged.verify(&["--public-key", &key]);
        assert_eq!(code, i32::from(!own_key), "{text}");
    }

    // A tail that is cut off with all that speaks of it.
    let cut = Copied::of(&qd);
    cut.edit(
        "DELETE FROM event_log WHERE id > 6; DELETE FROM checkpoints WHERE event_id > 6; DELETE FROM commands; \
         DELETE FROM pipelines; DELETE FROM users; DELETE FROM tokens; UPDATE sqlite_sequence SET seq = 6 WHERE name = 'event_log';",
    );
    let (code, text) = cut.verify(&[]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = cut.verify(&["--from-checkpoint", &witness]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("tail was cut off"), "{text}");

    // What is no checkpoint, no key, no database.
    for (more, code) in [
        (vec!["--from-checkpoint", key.as_str()], 2),
        (vec!["--public-key", witness.as_str()], 2),
        (vec!["/nowhere.db"], 3),
    ] {
        assert_eq!(clean.verify(&more).0, code, "{more:?}");
    }
}

fn sign_anew(copied: &Copied, own_key: bool) {
    let der = if own_key {
        let pem = std::fs::read_to_string(copied.data().join("checkpoint.key")).expect("key");
        let output = Command::new("sh")
            .args(["-c", "printf %s \"$1\" | grep -v -- ----- | base64 -d", "sh", &pem])
            .output()
            .expect("base64");
        output.stdout
    } else {
        SigningKey::generate().expect("key")
    };
    let key = SigningKey::from_pkcs8(&der).expect("key");
    let many: i64 = copied.sql("SELECT count(*) FROM checkpoints").parse().expect("number");
    let public = key.public();
    copied_edit(
        copied,
        &format!(
            "INSERT OR IGNORE INTO checkpoint_keys (fingerprint, public) VALUES ('{}', '{public}')",
            public.fingerprint()
        ),
    );
    for id in 1..=many {
        let value = |column: &str| copied.sql(&format!("SELECT {column} FROM checkpoints WHERE id = {id}"));
        let event = value("event_id");
        let link = copied.sql(&format!("SELECT lower(hex(link)) FROM event_log WHERE id = {event}"));
        let line = json!({
            "dashboard": copied.sql("SELECT dashboard_id FROM instance"),
            "id": id,
            "kind": value("kind"),
            "made_at": value("made_at"),
            "event_id": event.parse::<i64>().expect("number"),
            "events": value("events").parse::<i64>().expect("number"),
            "link": link,
            "key": public.to_string(),
            "signature": "",
        });
        let unsigned: Checkpoint = serde_json::from_value(line).expect("checkpoint");
        let signed = key.sign(unsigned);
        copied_edit(
            copied,
            &format!(
                "UPDATE checkpoints SET link = x'{link}', key = '{}', signature = '{}' WHERE id = {id}",
                public.fingerprint(),
                signed.signature
            ),
        );
    }
    if !own_key {
        copied_edit(
            copied,
            &format!("DELETE FROM checkpoint_keys WHERE public <> '{public}'"),
        );
    }
}

fn copied_edit(copied: &Copied, statement: &str) {
    let mut connection = diesel::SqliteConnection::establish(&copied.database().to_string_lossy()).expect("database");
    connection
        .batch_execute(&format!("PRAGMA foreign_keys = OFF; {statement}"))
        .expect(statement);
}

#[tokio::test]
async fn a_swept_log_verifies_and_its_rows_are_still_vouched_for() {
    let mut qd = journal().await;
    // As if all but two of its events were of last winter; its commands are of today, and stay.
    let aged = |qd: &Dashboard| {
        let mut connection =
            diesel::SqliteConnection::establish(&qd.path("data/quarterdeck.db").to_string_lossy()).expect("database");
        connection
            .batch_execute(
                "DROP TRIGGER event_log_is_not_rewritten; DROP TRIGGER event_log_is_linked_once; DELETE FROM checkpoints; \
                 UPDATE event_log SET timestamp = '2026-01-01 00:00:00.000000' WHERE id NOT IN (12, 13); DELETE FROM sweeps;",
            )
            .expect("aged");
    };
    let triggers = qd.sql("SELECT group_concat(sql, ';') FROM sqlite_schema WHERE type = 'trigger'");
    aged(&qd);
    relink(&qd);
    let mut connection =
        diesel::SqliteConnection::establish(&qd.path("data/quarterdeck.db").to_string_lossy()).expect("database");
    connection
        .batch_execute(&format!("DROP TRIGGER event_log_is_only_swept; {triggers};"))
        .expect("put back");
    drop(connection);
    qd.start_again().await;
    support::wait_for("the sweep", async || {
        let left: i64 = qd
            .sql("SELECT count(*) FROM event_log WHERE id < 12")
            .parse()
            .expect("number");
        (left == 0).then_some(())
    })
    .await;
    support::wait_for("its checkpoint", async || {
        (qd.sql("SELECT count(*) FROM checkpoints WHERE kind = 'sweep'") == "1").then_some(())
    })
    .await;
    qd.stop().await;
    let clean = Copied::of(&qd);
    let (code, text) = clean.verify(&[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("12 to") && text.contains("hashes of"), "{text}");
    assert_ne!(clean.sql("SELECT count(*) FROM sealed"), "0");
    assert_eq!(
        clean.sql("SELECT count(*) FROM swept_events WHERE id < 12"),
        "0",
        "the checkpoint stands for them"
    );
    for (edit, names) in [
        ("UPDATE commands SET exit_code = 0 WHERE status = 'ERROR'", "command"),
        (
            "UPDATE commands SET error = 'other' WHERE status = 'SKIPPED'",
            "command",
        ),
        ("UPDATE pipelines SET actor = 'user:bob'", "pipeline"),
        (
            "UPDATE sealed SET digest = (SELECT max(digest) FROM sealed)",
            "checkpoint",
        ),
        (
            "DELETE FROM sealed WHERE id = (SELECT max(id) FROM sealed)",
            "checkpoint",
        ),
        (
            "UPDATE swept_events SET row_hash = randomblob(32) WHERE id = (SELECT max(id) FROM swept_events)",
            "event",
        ),
        (
            "DELETE FROM swept_events WHERE id = (SELECT max(id) FROM swept_events)",
            "event",
        ),
        (
            "UPDATE checkpoints SET details = replace(details, '\"event\":11', '\"event\":12') WHERE kind = 'sweep'",
            "checkpoint",
        ),
        (
            "INSERT INTO swept_events SELECT id, link, link FROM event_log WHERE id = 12; DELETE FROM event_log WHERE id = 12",
            "swept_events",
        ),
    ] {
        let copied = Copied::of(&qd);
        copied.edit(edit);
        found(&copied, edit, names);
    }
}

/// Links all events of a journal at rest anew, as after a migration.
fn relink(qd: &Dashboard) {
    let mut connection =
        diesel::SqliteConnection::establish(&qd.path("data/quarterdeck.db").to_string_lossy()).expect("database");
    connection
        .batch_execute("UPDATE event_log SET link = zeroblob(32)")
        .expect("as before there was a chain");
}

/// The README's five lines see the same, and openssl agrees with the signature.
#[tokio::test]
async fn it_can_be_checked_without_this_program() {
    let qd = journal().await;
    let readme = include_str!("../README.md");
    let script = readme
        .split("```python\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("the five lines");
    assert_eq!(script.lines().count(), 5);
    let run = |copied: &Copied| {
        let output = Command::new("python3")
            .arg("-c")
            .arg(script)
            .arg(copied.database())
            .output()
            .expect("python3");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let copied = Copied::of(&qd);
    let link = copied.sql("SELECT lower(hex(link)) FROM event_log ORDER BY id DESC LIMIT 1");
    let said = run(&copied);
    assert!(said.starts_with("do not fit: []") && said.contains(&link), "{said}");
    copied.edit("UPDATE event_log SET message = 'nothing happened' WHERE id = 5");
    assert!(run(&copied).starts_with("do not fit: [5]"), "{}", run(&copied));

    let (_, line, _) = quarterdeck(&qd, "audit checkpoint").await;
    let (_, key, _) = quarterdeck(&qd, "audit key").await;
    let checkpoint = Checkpoint::read(&line).expect("a checkpoint");
    let dir = tempfile::tempdir().expect("folder");
    let signature: Vec<u8> = (0..128)
        .step_by(2)
        .map(|at| u8::from_str_radix(&checkpoint.signature[at..at + 2], 16).expect("hex"))
        .collect();
    let text = checkpoint.text();
    let files: [(&str, &[u8]); 3] = [
        ("text", text.as_bytes()),
        ("key.pem", key.as_bytes()),
        ("signature", &signature),
    ];
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).expect("written");
    }
    let agrees = || {
        let verified = Command::new("openssl")
            .current_dir(dir.path())
            .args([
                "pkeyutl",
                "-verify",
                "-pubin",
                "-inkey",
                "key.pem",
                "-rawin",
                "-in",
                "text",
                "-sigfile",
                "signature",
            ])
            .output()
            .expect("openssl");
        verified.status.success()
    };
    assert!(agrees(), "{text}");
    std::fs::write(dir.path().join("text"), text.replace("events", "Events")).expect("written");
    assert!(!agrees());
}
