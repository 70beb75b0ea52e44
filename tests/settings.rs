//! What is kept, from the page and from the command line: holds, and a sweep that somebody asks for.

mod support;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use serde_json::json;
use support::Dashboard;
use support::cli::{json as lines, quarterdeck};
use support::fake_clock::FakeClock;
use support::page::Browser;

const QUIET: &str = "[probe]\ninterval = \"0s\"\n[[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n";

/// A dashboard with a command that ended 40 days ago, by its clock, which stands there still.
async fn forty_days_ago() -> (Dashboard, FakeClock, String) {
    let mut qd = Dashboard::prepare(QUIET);
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-40 * 86_400);
    qd.start_again().await;
    let id = qd.accepted("three", "localhost").await;
    qd.until_final(&id).await;
    (qd, clock, id)
}

/// Now it is today, and no jump of the clock is noticed.
fn today(qd: &Dashboard, clock: &FakeClock) {
    let file = qd.path("data/quarterdeck.db");
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    connection
        .batch_execute("PRAGMA busy_timeout = 10000; DELETE FROM sweeps")
        .expect("forgotten");
    clock.is_off_by(0);
}

#[tokio::test]
async fn sweep_now_says_what_it_would_take_and_then_what_it_took() {
    let (mut qd, clock, id) = forty_days_ago().await;
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

    today(&qd, &clock);
    qd.link = qd.open().await;
    let admin = Browser::signed_in(&qd).await;
    let (_, page) = admin.get("/settings").await;
    let (_, asks) = page.split_once("id=\"sweep-now\"").expect("the button");
    assert!(asks.contains("1 command of no pipeline"), "{asks}");
    // Looking is not doing.
    assert_eq!(qd.get(&format!("/commands/{id}")).await.0, 200);
    let (status, page) = admin.send("/settings/sweep", "").await;
    assert_eq!(status, 200);
    assert!(
        page.contains("Removed ") && page.contains(" events, 1 command, 0 pipelines."),
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
    let (mut qd, clock, id) = forty_days_ago().await;
    today(&qd, &clock);
    let (code, out, err) = quarterdeck(&qd, "hold add --from 41d --until 39d --reason case-4711").await;
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("hold 1 on everything from "), "{out}");
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
