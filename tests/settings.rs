//! What is kept, from the page and from the command line: holds, and a sweep that somebody asks for.

mod support;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use serde_json::json;
use support::Dashboard;
use support::cli::{json as lines, quarterdeck};
use support::page::Browser;

const QUIET: &str = "[probe]\ninterval = \"0s\"\n[[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n";

/// Moves a command that has ended, and its events, 40 days into the past.
fn age(qd: &Dashboard, id: &str) {
    let back = |column: &str| format!("{column} = strftime('%Y-%m-%d %H:%M:%f000', {column}, '-40 days')");
    let columns = ["created_at", "started_at", "launched_at", "finished_at", "settled_at"].map(back);
    let file = qd.path("data/quarterdeck.db");
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    connection
        .batch_execute(&format!(
            "PRAGMA busy_timeout = 10000;
             BEGIN IMMEDIATE;
             DROP TRIGGER IF EXISTS event_log_is_not_rewritten;
             UPDATE commands SET {} WHERE id = '{id}';
             UPDATE event_log SET {} WHERE command_id = '{id}';
             COMMIT;",
            columns.join(", "),
            back("timestamp")
        ))
        .expect("aged");
}

#[tokio::test]
async fn sweep_now_says_what_it_would_take_and_then_what_it_took() {
    let qd = Dashboard::start(QUIET).await;
    let id = qd.accepted("three", "localhost").await;
    qd.until_final(&id).await;
    let events: usize = qd
        .sql(&format!("SELECT count(*) FROM event_log WHERE command_id = '{id}'"))
        .parse()
        .expect("number");
    let admin = Browser::signed_in(&qd).await;
    let (status, page) = admin.get("/settings").await;
    assert_eq!(status, 200);
    for text in [
        "action=\"/settings/sweep\"",
        "<li>Events from before <time",
        "<li>Events of category audit from before <time",
        "<li>Commands and pipelines that ended before <time",
        "<li>Archive files from before <time",
        "Before that it is written to the archive.",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(page.contains("It would take: <b>nothing</b>"), "{page}");
    let (status, page) = admin.send("/settings/sweep", "").await;
    assert_eq!(status, 200);
    assert!(page.contains("Nothing was past its retention"), "{page}");

    age(&qd, &id);
    let (_, page) = admin.get("/settings").await;
    let (_, asks) = page.split_once("id=\"sweep-now\"").expect("the button");
    assert!(asks.contains("1 command of no pipeline"), "{asks}");
    // Looking is not doing.
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 200);
    let (status, page) = admin.send("/settings/sweep", "").await;
    assert_eq!(status, 200);
    assert!(
        page.contains(&format!("Removed {events} events, 1 command, 0 pipelines.")),
        "{page}"
    );
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 404);
    let asked = qd.events().await;
    let says = |text: &str| {
        asked
            .iter()
            .any(|event| event["message"].as_str().is_some_and(|said| said.contains(text)))
    };
    assert!(says("asked for a sweep"), "{asked:?}");
}

#[tokio::test]
async fn holds_are_placed_listed_and_released_on_the_command_line() {
    let mut qd = Dashboard::start(QUIET).await;
    let id = qd.accepted("three", "localhost").await;
    qd.until_final(&id).await;
    let (code, out, err) = quarterdeck(&qd, "hold add --from 41d --until 39d --reason case-4711").await;
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("hold 1 on everything from "), "{out}");
    age(&qd, &id);
    let (code, out, err) = quarterdeck(&qd, "sweep").await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 200, "held");

    // What cannot be taken is said, with the codes of the contract.
    for (line, expected, says) in [
        ("hold add --from soon --reason x", 2, "2h"),
        ("hold add --from 1d --until 2d --reason x", 2, "later"),
        ("hold release 7 --reason x", 2, "hold 7"),
    ] {
        let (code, _, err) = quarterdeck(&qd, line).await;
        assert_eq!(code, expected, "{line}: {err}");
        assert!(err.contains(says), "{line}: {err}");
    }
    let holds = lines(&qd, "hold list").await;
    assert_eq!(holds.len(), 1, "{holds:?}");
    assert_eq!(
        (&holds[0]["reason"], &holds[0]["released_at"]),
        (&json!("case-4711"), &json!(null))
    );
    let (_, table, _) = quarterdeck(&qd, "hold list").await;
    assert!(table.contains("case-4711") && table.contains("stands"), "{table}");
    let (_, page) = Browser::signed_in(&qd).await.get("/settings").await;
    assert!(page.contains("case-4711"), "{page}");

    let (code, out, err) = quarterdeck(&qd, "hold release 1 --reason closed").await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("is released"), "{out}");
    let (code, _, err) = quarterdeck(&qd, "hold release 1 --reason again").await;
    assert_eq!(code, 4, "{err}");
    assert_eq!(quarterdeck(&qd, "sweep").await.0, 0);
    assert_eq!(
        qd.get(&format!("/commands/{id}")).await.0,
        404,
        "past its time, and nobody holds it"
    );

    // A journal at rest lists them too; what changes something needs a dashboard.
    qd.stop().await;
    let (code, table, err) = quarterdeck(&qd, "hold list").await;
    assert_eq!(code, 0, "{err}");
    assert!(table.contains("closed"), "{table}");
    assert_eq!(quarterdeck(&qd, "hold add --from 2d --reason x").await.0, 3);
}
