//! A hold, or a mark, keeps an older event of a row while the newer one goes with its sweep: the newer one counts.

use serde_json::json;

use crate::journal::{Copied, OPS, edit, found};
use crate::support::cli::quarterdeck;
use crate::support::fake_clock::FakeClock;
use crate::support::{Dashboard, wait_for};

const DAY: i64 = 86_400;

#[tokio::test]
async fn what_a_hold_keeps_is_no_alarm_when_the_row_changed_later() {
    let mut qd = Dashboard::prepare(OPS);
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-12 * DAY);
    qd.start_again().await;
    let id = qd.accepted("three", "localhost").await;
    qd.until_final(&id).await;
    let vic = json!({"name": "vic", "password": "a password of vic's", "role": "viewer"});
    for (path, body) in [("/users", vic), ("/tokens", json!({"name": "ci", "role": "viewer"}))] {
        let (status, answer) = qd.post(path, &body).await;
        assert!((200..300).contains(&status), "{path}: {answer}");
    }
    let at = |days: i64| qd.sql(&format!("SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-{days} days')"));
    let hold = json!({"from": at(13), "until": at(11), "reason": "a case"});
    let (status, answer) = qd.post("/holds", &hold).await;
    assert_eq!(status, 201, "{answer}");
    // Days later, outside of the hold.
    clock.is_off_by(-10 * DAY);
    for (path, body) in [
        ("/users/vic/disable".to_owned(), json!({})),
        (format!("/commands/{id}/acknowledge"), json!({"note": "seen"})),
    ] {
        let (status, answer) = qd.post(&path, &body).await;
        assert!((200..300).contains(&status), "{path}: {answer}");
    }
    assert_eq!(qd.delete("/tokens/ci").await.0, 200);
    qd.stop().await;
    clock.is_off_by(0);
    edit(&qd.path("data/quarterdeck.db"), "DELETE FROM sweeps");
    qd.start_again().await;
    wait_for("the sweep's checkpoint", async || {
        (qd.sql("SELECT count(*) FROM checkpoints WHERE kind = 'sweep'") == "1").then_some(())
    })
    .await;
    qd.stop().await;
    for (action, left) in [
        ("user:add", "1"),
        ("token:add", "1"),
        ("user:disable", "0"),
        ("token:revoke", "0"),
    ] {
        let count = format!("SELECT count(*) FROM event_log WHERE action = '{action}'");
        assert_eq!(qd.sql(&count), left, "{action}");
    }
    let (code, text, _) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 0, "{text}");
    // The digest of the newer event vouches for the row, in earnest.
    for (edits, names) in [
        ("UPDATE users SET disabled_at = NULL WHERE name = 'vic'", "user vic"),
        ("UPDATE tokens SET revoked_at = NULL WHERE name = 'ci'", "token ci"),
        ("UPDATE commands SET acknowledged_note = 'never mind'", "command"),
        ("UPDATE sealed SET event_id = 1", "checkpoint"),
    ] {
        let copied = Copied::of(&qd);
        copied.edit(edits);
        found(&copied, edits, names);
    }
}
