//! What somebody alters just before its time comes: no sweep makes it the truth.

use std::process::Command;

use crate::anew::chain_anew;
use crate::journal::{edit, found_in};
use crate::support::cli::quarterdeck;
use crate::support::fake_clock::FakeClock;
use crate::support::{Dashboard, wait_for};

const DAY: i64 = 86_400;

/// A dashboard that stopped six days ago, after a command that failed, and whose next start, a day later, sweeps.
async fn overdue(commands_days: u32) -> (Dashboard, FakeClock, String) {
    let mut qd = Dashboard::prepare(&format!(
        "[probe]\ninterval = \"0s\"\n[retention]\nevents_days = 1\ncommands_days = {commands_days}\n\
         [[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n"
    ));
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-6 * DAY);
    qd.start_again().await;
    let id = qd.accepted("three", "localhost").await;
    qd.until_final(&id).await;
    // So that its events are not the newest ones.
    let other = qd.accepted("uptime", "localhost").await;
    qd.until_final(&other).await;
    qd.stop().await;
    clock.is_off_by(-4 * DAY);
    edit(&qd.path("data/quarterdeck.db"), "DELETE FROM sweeps");
    (qd, clock, id)
}

async fn swept(qd: &Dashboard) {
    wait_for("the sweep's checkpoint", async || {
        (qd.sql("SELECT count(*) FROM checkpoints WHERE kind = 'sweep'") == "1").then_some(())
    })
    .await;
}

/// The start sweeps, says what stays, and says it once; verify finds it.
async fn stays(qd: &mut Dashboard, clock: &FakeClock, what: &str) {
    qd.start_again().await;
    swept(qd).await;
    qd.stop().await;
    clock.is_off_by(-3 * DAY);
    qd.start_again().await;
    qd.stop().await;
    let said = format!(
        "SELECT count(*) FROM event_log WHERE action = 'tampered' AND message LIKE '%: {what}%no sweep takes%'"
    );
    assert_eq!(
        qd.sql(&said),
        "1",
        "{}",
        qd.sql("SELECT group_concat(message) FROM event_log WHERE action = 'tampered'")
    );
    let (code, text, _) = quarterdeck(qd, "audit verify").await;
    assert_eq!(code, 1, "{text}");
    found_in(&text, "the dashboard itself found");
}

/// The lie of an event and of its command, which fit to each other.
fn lie(qd: &Dashboard, id: &str) -> (i64, String) {
    let event = qd.sql(&format!(
        "SELECT max(id) FROM event_log WHERE command_id = '{id}' AND details ->> '$.record' IS NOT NULL"
    ));
    let edits = format!(
        "UPDATE commands SET exit_code = 0 WHERE id = '{id}'; \
         UPDATE event_log SET details = json_set(details, '$.record.exit_code', 0) WHERE id = {event}"
    );
    (event.parse().expect("number"), edits)
}

#[tokio::test]
async fn an_altered_event_is_neither_swept_nor_signed() {
    for anew in [false, true] {
        let (mut qd, clock, id) = overdue(30).await;
        let database = qd.path("data/quarterdeck.db");
        let (event, edits) = lie(&qd, &id);
        edit(&database, &edits);
        let mut named = event;
        if anew {
            // Chained anew to the end, without the newest checkpoint and what else tells of it: an older one knows.
            let newest = "(SELECT max(id) FROM checkpoints)";
            named = qd
                .sql("SELECT min(event_id) FROM checkpoints WHERE event_id > 1")
                .parse()
                .expect("number");
            edit(
                &database,
                &format!(
                    "UPDATE event_log SET message = 'x' WHERE id = 2; DELETE FROM checkpoints WHERE id = {newest}; \
                 UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'checkpoints'"
                ),
            );
            chain_anew(&database, 2);
            let mark = qd.path("data/instance");
            let text = std::fs::read_to_string(&mark).expect("the mark");
            let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            value["end"] = serde_json::Value::Null;
            std::fs::write(&mark, value.to_string()).expect("written");
        }
        stays(&mut qd, &clock, &format!("event {named}")).await;
        assert_eq!(
            qd.sql(&format!("SELECT count(*) FROM event_log WHERE id = {named}")),
            "1"
        );
    }
}

#[tokio::test]
async fn an_altered_command_is_not_archived_as_if_it_were_true() {
    let (mut qd, clock, id) = overdue(1).await;
    edit(
        &qd.path("data/quarterdeck.db"),
        &format!("UPDATE commands SET actor = 'user:mallory' WHERE id = '{id}'"),
    );
    stays(&mut qd, &clock, &format!("command {id}")).await;
    assert_eq!(
        qd.sql(&format!("SELECT actor FROM commands WHERE id = '{id}'")),
        "user:mallory"
    );
    let archived = Command::new("sh")
        .args(["-c", "zcat \"$1\"/archive/*.gz", "sh"])
        .arg(qd.path("data"))
        .output()
        .expect("zcat");
    let archived = String::from_utf8_lossy(&archived.stdout);
    assert!(
        archived.contains(&id) && !archived.contains("mallory"),
        "its events are there alone: {archived}"
    );
}
