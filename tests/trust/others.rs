//! What stands beside events, commands and people: the schema, holds, reports and reviews, the kinds of columns, the index
//! of words, strange files; and a printed report against all of it.

use std::path::Path;
use std::process::Command;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use serde_json::json;

use crate::journal::{Copied, OPS, copied_edit, edit, found, journal};
use crate::support::cli::quarterdeck;
use crate::support::page::Browser;
use crate::support::{Dashboard, wait_for};

/// A journal at rest with two holds, one of them released, two reports, and a review of the first.
pub(crate) async fn paperwork() -> (Dashboard, String) {
    let mut qd = Dashboard::start(OPS).await;
    for op in ["uptime", "three"] {
        let id = qd.accepted(op, "localhost").await;
        qd.until_final(&id).await;
    }
    for reason in ["case 4711", "case 4712"] {
        let (status, answer) = qd
            .post("/holds", &json!({ "from": "2026-01-01", "reason": reason }))
            .await;
        assert!((200..300).contains(&status), "{answer}");
    }
    let (status, answer) = qd.post("/holds/2/release", &json!({ "reason": "closed" })).await;
    assert!((200..300).contains(&status), "{answer}");
    // Whoever made a report does not review it.
    let vera = json!({ "name": "vera", "password": "violet-anchor-shovel-19", "role": "viewer" });
    let (status, answer) = qd.post("/users", &vera).await;
    assert!((200..300).contains(&status), "{answer}");
    let browser = Browser::logged_in(&qd, "vera", "violet-anchor-shovel-19").await;
    let mut page = String::new();
    for number in 1..=2 {
        let file = qd.path(&format!("report-{number}.html"));
        let (code, out, err) = quarterdeck(&qd, &format!("audit report --from 1h --out {}", file.display())).await;
        assert_eq!(code, 0, "{out}{err}");
        if number == 1 {
            page = std::fs::read_to_string(&file).expect("its page");
            browser
                .press(&format!("/audit/reports/{}/reviewed", out.trim()), "note=looked+at+it")
                .await;
        }
    }
    qd.stop().await;
    (qd, page)
}

#[tokio::test]
async fn holds_reports_and_reviews_are_vouched_for() {
    let (qd, page) = paperwork().await;
    let clean = Copied::of(&qd);
    let (code, text) = clean.verify(&[]);
    assert_eq!(code, 0, "{text}");
    for (statement, names) in [
        ("UPDATE holds SET reason = 'none' WHERE id = 1", "hold 1"),
        (
            "UPDATE holds SET released_at = placed_at, released_by = placed_by WHERE id = 1",
            "hold 1",
        ),
        ("UPDATE holds SET release_reason = 'other' WHERE id = 2", "hold 2"),
        ("DELETE FROM holds WHERE id = 1", "hold 1"),
        (
            "INSERT INTO holds (from_at, reason, placed_by) VALUES ('2026-02-01 00:00:00', 'x', 'user:mallory')",
            "hold 3",
        ),
        ("UPDATE reviews SET reviewed_by = 'user:mallory'", "review 1"),
        ("UPDATE reviews SET up_to = up_to + 100", "review 1"),
        ("DELETE FROM reviews", "review 1"),
        (
            "INSERT INTO reviews (report_id, up_to, reviewed_by, reviewed_at) SELECT 2, covers, 'user:boss', made_at \
             FROM reports WHERE id = 2",
            "review 2",
        ),
        ("UPDATE reports SET made_by = 'user:mallory' WHERE id = 1", "report QD-"),
        ("UPDATE reports SET covers = covers + 1 WHERE id = 1", "report QD-"),
        (
            "UPDATE reports SET parameters = replace(parameters, 'a4', 'letter') WHERE id = 1",
            "report QD-",
        ),
        (
            "UPDATE reports SET stamp = replace(stamp, char(10) || 'events ', char(10) || 'events 9') WHERE id = 1",
            "report QD-",
        ),
        (
            "UPDATE reports SET digest = NULL, summary = NULL, event_id = NULL WHERE id = 1",
            "report QD-",
        ),
        (
            "DELETE FROM report_contents; DELETE FROM reviews; DELETE FROM reports",
            "report QD-",
        ),
        (
            "UPDATE report_contents SET gzip = (SELECT gzip FROM report_contents WHERE report_id = 2) WHERE report_id = 1",
            "report QD-",
        ),
        (
            "UPDATE report_contents SET made_at = '2020-01-01 00:00:00.000000' WHERE report_id = 2",
            "report QD-",
        ),
        ("DELETE FROM report_contents WHERE report_id = 2", "report QD-"),
    ] {
        let copied = Copied::of(&qd);
        copied_edit(&copied, statement);
        found(&copied, statement, names);
    }

    // A printed page, each line of its stamp, and pages that nothing vouches for.
    let check = |copied: &Copied, page: &str| {
        let file = copied.dir.path().join("page.html");
        std::fs::write(&file, page).expect("written");
        copied.verify(&["--report", &file.display().to_string()])
    };
    let (code, text) = check(&clean, &page);
    assert_eq!(code, 0, "{text}");
    for line in ["made 20", "since 20", "until 20"] {
        let forged = page.replacen(&format!("\n{line}"), &format!("\n{}19", line.trim_end_matches("20")), 1);
        assert_ne!(forged, page, "{line}");
        let (code, text) = check(&clean, &forged);
        assert!(code == 1 && text.contains("its stamp says"), "{line}: {text}");
    }
    for line in ["first-event ", "last-event ", "events ", "covers "] {
        let forged = page.replacen(&format!("\n{line}"), &format!("\n{line}9"), 1);
        assert_ne!(forged, page, "{line}");
        let (code, text) = check(&clean, &forged);
        assert!(code == 1 && text.contains("its stamp says"), "{line}: {text}");
    }
    let other = page.replace("-000001", "-000009");
    let (code, text) = check(&clean, &other);
    assert!(code == 1 && text.contains("cannot be proved"), "{text}");
}

/// SQLite's own list of what there is, written by hand: no statement that makes a trigger takes such a name.
fn hide(database: &Path) {
    let mut connection = diesel::SqliteConnection::establish(&database.to_string_lossy()).expect("database");
    connection
        .batch_execute(
            "PRAGMA busy_timeout = 10000; PRAGMA writable_schema = ON; \
             INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('trigger', 'sqlite_q1', 'commands', 0, \
             'CREATE TRIGGER sqlite_q1 AFTER UPDATE OF status ON commands WHEN new.status = ''ERROR'' BEGIN \
             UPDATE commands SET status = ''SUCCESS'', exit_code = 0, error = NULL WHERE id = new.id; END');",
        )
        .expect("hidden");
}

fn noticed(qd: &Dashboard) -> String {
    qd.sql("SELECT count(*) || ' ' || coalesce(max(message), '') FROM event_log WHERE action = 'tampered'")
}

#[tokio::test]
async fn another_schema_is_told_by_verify_by_a_start_and_before_anything_is_signed() {
    let mut qd = journal().await;
    for (statement, names) in [
        ("CREATE INDEX mine ON commands (lower(op))", "index mine"),
        ("CREATE VIEW seen AS SELECT * FROM commands", "view seen"),
        ("DROP INDEX event_log_actor", "index event_log_actor"),
        ("ALTER TABLE users ADD COLUMN nick TEXT", "table users"),
        (
            "DROP TRIGGER event_log_is_linked_once",
            "trigger event_log_is_linked_once",
        ),
    ] {
        let copied = Copied::of(&qd);
        copied_edit(&copied, statement);
        found(&copied, statement, names);
    }
    // What SQLite's own ANALYZE makes is none.
    let copied = Copied::of(&qd);
    copied_edit(&copied, "ANALYZE");
    assert_eq!(copied.verify(&[]).0, 0);
    let copied = Copied::of(&qd);
    hide(&copied.database());
    found(&copied, "a hidden trigger", "trigger sqlite_q1");

    hide(&qd.path("data/quarterdeck.db"));
    qd.start_again().await;
    assert!(
        noticed(&qd).starts_with("1 ") && noticed(&qd).contains("trigger sqlite_q1"),
        "{}",
        noticed(&qd)
    );
    let (code, text, _) = quarterdeck(&qd, "audit verify").await;
    assert!(code == 1 && text.contains("sqlite_q1"), "{text}");

    // Beside a running dashboard: once, before the next checkpoint.
    let qd = Dashboard::start(OPS).await;
    edit(
        &qd.path("data/quarterdeck.db"),
        "CREATE TRIGGER later AFTER INSERT ON commands BEGIN SELECT 1; END",
    );
    for _ in 0..2 {
        let (code, out, err) = quarterdeck(&qd, "audit report --from 1h").await;
        assert_eq!(code, 0, "{out}{err}");
        assert!(
            noticed(&qd).starts_with("1 ") && noticed(&qd).contains("trigger later"),
            "{}",
            noticed(&qd)
        );
    }
}

#[tokio::test]
async fn other_kinds_of_values_used_definitions_the_index_and_strange_files_are_found() {
    let mut qd = journal().await;
    for (statement, names) in [
        (
            "UPDATE event_log SET actor = CAST(actor AS BLOB) WHERE id = 5",
            "event 5",
        ),
        (
            "UPDATE event_log SET message = CAST(message AS BLOB) WHERE id = 6",
            "event 6",
        ),
        (
            "UPDATE commands SET actor = CAST(actor AS BLOB) WHERE status = 'ERROR'",
            "of commands",
        ),
        (
            "UPDATE commands SET id = CAST(id AS BLOB) WHERE status = 'BLOCKED'",
            "of commands",
        ),
        ("UPDATE users SET grants = CAST(grants AS BLOB)", "of users"),
        ("UPDATE hosts SET hostname = CAST(hostname AS BLOB)", "of hosts"),
        ("DELETE FROM definitions WHERE text LIKE '%three%'", "definition"),
        ("UPDATE event_index SET event_id = 99999", "the index of words"),
    ] {
        let copied = Copied::of(&qd);
        copied.edit(statement);
        found(&copied, statement, names);
    }
    let copied = Copied::of(&qd);
    std::fs::write(copied.data().join("output/notes.txt"), "x").expect("written");
    let (code, text) = copied.verify(&[]);
    assert!(code == 0 && text.contains("belong to no command: notes.txt"), "{text}");

    // The index finds its way back.
    edit(
        &qd.path("data/quarterdeck.db"),
        "UPDATE event_index SET event_id = 99999",
    );
    qd.start_again().await;
    wait_for("the index", async || {
        let behind = qd.sql("SELECT (SELECT max(id) FROM event_log) - event_id FROM event_index");
        (behind == "0").then_some(())
    })
    .await;
    qd.stop().await;
    let (code, text) = Copied::of(&qd).verify(&[]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn a_copy_without_its_outputs_is_a_forgotten_flag_and_a_folder_without_them_is_not() {
    let qd = journal().await;
    let copied = Copied::of(&qd);
    let lone = copied.dir.path().join("copy.db");
    std::fs::copy(copied.database(), &lone).expect("copied");
    let verify = |file: &Path, more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .args(["audit", "verify"])
            .arg(file)
            .args(more)
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), text)
    };
    let (code, text) = verify(&lone, &[]);
    assert!(
        code == 2 && text.contains("--no-outputs") && !text.contains("DOES NOT FIT"),
        "{text}"
    );
    assert_eq!(verify(&lone, &["--no-outputs"]).0, 0);
    assert_eq!(verify(&copied.database(), &[]).0, 0);
    std::fs::remove_dir_all(copied.data().join("output")).expect("removed");
    for code in [verify(&copied.database(), &[]).0, copied.verify(&[]).0] {
        assert_eq!(code, 1, "the folder of a dashboard lacks its outputs");
    }
}
