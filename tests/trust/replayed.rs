//! What sweeps have signed of rows is taken away, so that what older events or older sweeps said of them would count again.

use serde_json::json;

use crate::journal::{Copied, edit, found, found_in};
use crate::support::cli::quarterdeck;
use crate::support::fake_clock::FakeClock;
use crate::support::{Dashboard, wait_for};

const CONFIG: &str = "[probe]\ninterval = \"0s\"\n[retention]\nevents_days = 1\ncommands_days = 3\n\
     [[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n";

const DAY: i64 = 86_400;

async fn ask(qd: &Dashboard, path: &str, body: serde_json::Value) {
    let (status, answer) = qd.post(path, &body).await;
    assert!((200..300).contains(&status), "{path}: {answer}");
}

/// A sweep that takes something.
async fn swept(qd: &Dashboard) {
    let sweeps = "SELECT count(*) FROM checkpoints WHERE kind = 'sweep'";
    let before = qd.sql(sweeps);
    wait_for("the sweep's checkpoint", async || {
        ask(qd, "/sweep", json!({})).await;
        (qd.sql(sweeps) != before).then_some(())
    })
    .await;
}

/// Sweep 1 signs how a user, a token and a hold came to be, sweep 2 what became of them, sweep 3 lets the command go.
async fn three_sweeps(qd: &mut Dashboard, clock: &FakeClock) -> String {
    clock.is_off_by(-6 * DAY);
    qd.start_again().await;
    let vic = json!({"name": "vic", "password": "a password of vic's", "role": "viewer"});
    ask(qd, "/users", vic).await;
    ask(qd, "/tokens", json!({"name": "ci", "role": "viewer"})).await;
    ask(
        qd,
        "/holds",
        json!({"from": "2020-01-01", "until": "2020-01-02", "reason": "case 1"}),
    )
    .await;
    let id = qd.accepted("three", "localhost").await;
    qd.until_final(&id).await;
    clock.is_off_by(-5 * DAY);
    swept(qd).await;
    ask(qd, "/users/vic/disable", json!({})).await;
    assert_eq!(qd.delete("/tokens/ci").await.0, 200);
    ask(
        qd,
        "/holds",
        json!({"from": "2020-02-01", "until": "2020-02-02", "reason": "case 2"}),
    )
    .await;
    ask(qd, &format!("/commands/{id}/acknowledge"), json!({"note": "seen"})).await;
    clock.is_off_by(-4 * DAY);
    swept(qd).await;
    id
}

#[tokio::test]
async fn what_sweeps_signed_of_rows_does_not_go_while_a_row_of_it_stands() {
    let mut qd = Dashboard::prepare(CONFIG);
    let clock = FakeClock::of(&mut qd);
    let id = three_sweeps(&mut qd, &clock).await;
    qd.stop().await;
    let clean = Copied::of(&qd);
    assert_eq!(clean.sql("SELECT count(DISTINCT checkpoint_id) FROM sealed"), "2");
    let (code, text) = clean.verify(&[]);
    assert_eq!(code, 0, "{text}");
    let newest = "DELETE FROM sealed WHERE checkpoint_id = (SELECT max(checkpoint_id) FROM sealed)";
    let replay = format!(
        "{newest}; UPDATE users SET disabled_at = NULL WHERE name = 'vic'; UPDATE tokens SET revoked_at = NULL; \
         DELETE FROM holds WHERE id = 2; UPDATE commands SET acknowledged_by = NULL, acknowledged_at = NULL, \
         acknowledged_note = NULL WHERE id = '{id}'"
    );
    let copied = Copied::of(&qd);
    copied.edit(&replay);
    found(&copied, &replay, "the table sealed");

    // Once more a sweep, after which the older digests are those of the sweep before it: the same.
    qd.start_again().await;
    ask(
        &qd,
        "/holds",
        json!({"from": "2020-03-01", "until": "2020-03-02", "reason": "case 3"}),
    )
    .await;
    clock.is_off_by(-3 * DAY);
    swept(&qd).await;
    qd.stop().await;
    let clean = Copied::of(&qd);
    let (code, text) = clean.verify(&[]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(clean.sql("SELECT count(*) FROM commands"), "0", "its time has come");
    let second = "(SELECT checkpoint_id FROM sealed WHERE what = 'hold 2')";
    for edits in [
        format!(
            "DELETE FROM sealed WHERE checkpoint_id = {second}; UPDATE users SET disabled_at = NULL WHERE name = 'vic'; \
             UPDATE tokens SET revoked_at = NULL; DELETE FROM holds WHERE id = 2"
        ),
        format!("{newest}; DELETE FROM holds WHERE id = 3"),
    ] {
        let copied = Copied::of(&qd);
        copied.edit(&edits);
        found(&copied, &edits, "the table sealed");
    }
    // Nor does the dashboard sign that they are gone: it says so.
    edit(
        &qd.path("data/quarterdeck.db"),
        &format!("{newest}; DELETE FROM holds WHERE id = 3; DELETE FROM sweeps"),
    );
    qd.start_again().await;
    wait_for("the event", async || {
        let like = "SELECT count(*) FROM event_log WHERE action = 'tampered' AND message LIKE '%digests are gone%'";
        (qd.sql(like) == "1").then_some(())
    })
    .await;
    qd.stop().await;
    let (code, text, _) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 1, "{text}");
    found_in(&text, "the dashboard itself found");
}
