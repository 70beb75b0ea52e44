//! Where the archive cannot be written, what goes from it, and where all of it is shown and set.

use serde_json::{Value, json};

use crate::old::{DAY, OPS, ago, ended, gone, swept, until_today, whole};
use crate::support::disk::SmallDisk;
use crate::support::fake_clock::FakeClock;
use crate::support::page::Browser;
use crate::support::{Dashboard, files, wait_for};

#[tokio::test]
async fn a_sweep_that_cannot_be_archived_removes_nothing_and_says_so() {
    let (disk, mut qd) = SmallDisk::with_dashboard(32, &format!("low_space = 0\n{OPS}"));
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-40 * DAY);
    qd.start_again().await;
    let old = ended(&qd, "three").await;
    // A file in the place of the folder: no archive can be written, whatever the space.
    std::fs::write(disk.data().join("archive"), "in the way").expect("written");
    clock.is_off_by(0);
    let sweep = async || qd.post("/sweep", &json!({})).await;
    let (_, announced) = sweep().await;
    assert!(announced["postponed_until"].is_string(), "{announced}");
    clock.is_off_by(DAY / 24 * 2);
    let (status, answer) = sweep().await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer.to_string().contains("archive"), "{answer}");
    assert_eq!(qd.get(&format!("/commands/{old}")).await.0, 200, "nothing was removed");
    let events = qd.events().await;
    let said = |event: &&Value| event["action"] == "sweep" && event["category"] == "error";
    assert!(events.iter().any(|event| said(&event)), "an event says so");
    let ready = reqwest::get(format!("{}/readyz", qd.url)).await.expect("an answer");
    let status = ready.status().as_u16();
    let text = ready.text().await.expect("text");
    assert!(status == 503 && text.contains("sweep failed"), "{status} {text}");

    // With room for the folder, but none on the disk.
    std::fs::remove_file(disk.data().join("archive")).expect("removed");
    std::fs::create_dir(disk.data().join("archive")).expect("folder");
    disk.fill(0);
    let (status, answer) = sweep().await;
    assert!(status >= 400, "{answer}");
    assert_eq!(qd.get(&format!("/commands/{old}")).await.0, 200, "nothing was removed");
    disk.empty();
    wait_for("a sweep that can", async || {
        ((200..300).contains(&sweep().await.0)).then_some(())
    })
    .await;
    assert_eq!(qd.get(&format!("/commands/{old}")).await.0, 404);
    let ready = reqwest::get(format!("{}/readyz", qd.url)).await.expect("an answer");
    assert_eq!(ready.status().as_u16(), 200, "{:?}", ready.text().await);
    assert_eq!(files(&disk.data().join("archive"), ".part").len(), 0);
    assert_eq!(files(&disk.data().join("archive"), ".jsonl.gz").len(), 1);
}

#[tokio::test]
async fn archive_files_go_after_their_time_but_not_what_is_held() {
    let config = format!("{OPS}[retention]\narchive_days = 10\n");
    let (mut qd, clock) = ago(100, &config).await;
    let first = ended(&qd, "three").await;
    until_today(&mut qd, &clock).await;
    clock.is_off_by(-60 * DAY);
    qd.start_again().await;
    gone(&qd, &format!("/commands/{first}")).await;
    wait_for("its file", async || whole(&qd).pop()).await;
    let at = clock_of(&qd, "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-101 days')");
    let until = clock_of(&qd, "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-99 days')");
    let (status, hold) = qd
        .post("/holds", &json!({"from": at, "until": until, "reason": "a case"}))
        .await;
    assert_eq!(status, 201, "{hold}");
    until_today(&mut qd, &clock).await;
    qd.start_again().await;
    swept(&qd).await;
    let names = whole(&qd);
    assert!(!names.is_empty(), "its rows are held");
    let oldest = names[0].clone();
    qd.post("/holds/1/release", &json!({"reason": "closed"})).await;
    swept(&qd).await;
    assert!(!oldest.exists(), "past its time, and nobody holds it");
    let events = qd.events().await;
    assert!(
        events.iter().any(|event| event["action"] == "sweep:archive"),
        "an event says so"
    );
}

fn clock_of(qd: &Dashboard, query: &str) -> String {
    qd.sql(query.trim_start_matches("SELECT "))
}

#[tokio::test]
async fn settings_are_for_all_who_see_and_holds_for_admins() {
    let qd = Dashboard::start(OPS).await;
    let (status, answer) = qd.post("/holds", &json!({"from": "2026-01-01", "reason": " "})).await;
    assert_eq!(status, 422, "{answer}");
    let admin = Browser::signed_in(&qd).await;
    let (status, page) = admin.get("/settings").await;
    assert_eq!(status, 200);
    for text in [
        "7 days",
        "30 days",
        "400 days",
        "No outside witness: this proves accident, not honesty",
        "Hold a range",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    let file = qd.path("bad.toml");
    for (text, names) in [
        ("audit_days = 3", "audit_days"),
        ("archive_days = 0", "archive_days"),
        ("archive = 1", "true or false"),
    ] {
        std::fs::write(
            &file,
            format!("data_dir = \"{}\"\n[retention]\n{text}\n", qd.path("other").display()),
        )
        .expect("config");
        let output = qd
            .program_with(&file)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .output()
            .expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}: {said}");
        assert!(said.contains(names), "{text}: {said}");
    }
}
