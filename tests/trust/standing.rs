//! What sweeps leave standing, though it is past its time: marked, held, or the newest success.

use crate::journal::{Copied, OPS, edit, found};
use crate::support::cli::quarterdeck;
use crate::support::fake_clock::FakeClock;
use crate::support::{Dashboard, wait_for};

#[tokio::test]
async fn rows_that_a_sweep_left_standing_are_missed_when_somebody_takes_them() {
    let mut qd = Dashboard::prepare(OPS);
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-40 * 86_400);
    qd.start_again().await;
    let mut ended = Vec::new();
    for op in ["uptime", "three", "three", "uptime"] {
        let id = qd.accepted(op, "localhost").await;
        qd.until_final(&id).await;
        ended.push(id);
    }
    let (code, out, err) = quarterdeck(&qd, &format!("keep {} --reason evidence", ended[1])).await;
    assert_eq!(code, 0, "{out}{err}");
    qd.stop().await;
    clock.is_off_by(0);
    let database = qd.path("data/quarterdeck.db");
    edit(&database, "DELETE FROM sweeps");
    let swept = async |qd: &Dashboard| {
        wait_for("the sweep", async || {
            (qd.sql("SELECT count(*) FROM checkpoints WHERE kind = 'sweep'") != "0").then_some(())
        })
        .await;
    };
    qd.start_again().await;
    swept(&qd).await;
    qd.stop().await;
    let clean = Copied::of(&qd);
    assert_eq!(
        clean.sql("SELECT count(*) FROM commands"),
        "2",
        "the kept one and the newest success"
    );
    let (code, text) = clean.verify(&[]);
    assert_eq!(code, 0, "{text}");
    // The newest success is vouched for by a digest alone, the kept one by its events: both may be missing by their age.
    let (kept, newest) = (&ended[1], &ended[3]);
    for edits in [
        format!("DELETE FROM commands WHERE id = '{newest}'"),
        format!("DELETE FROM commands WHERE id = '{newest}'; DELETE FROM sealed WHERE what = '{newest}'"),
        format!("DELETE FROM commands WHERE id = '{kept}'"),
        "DELETE FROM commands; DELETE FROM sealed".to_owned(),
        format!(
            "UPDATE commands SET id = '0{}' WHERE id = '{kept}'",
            &kept[1..].replace('7', "8")
        ),
    ] {
        let copied = Copied::of(&qd);
        copied.edit(&edits);
        found(&copied, &edits, "");
        let (_, text) = copied.verify(&[]);
        assert!(text.contains("the table commands: of those up to"), "{edits}: {text}");
    }
    // The next sweep does not sign for it: the dashboard says what it found, once, and no sweep takes that event.
    edit(&database, &format!("DELETE FROM commands WHERE id = '{newest}'"));
    for _ in 0..2 {
        qd.start_again().await;
        wait_for("the event", async || {
            (qd.sql("SELECT count(*) FROM event_log WHERE action = 'tampered'") == "1").then_some(())
        })
        .await;
        qd.stop().await;
    }
    let (code, text, _) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("the dashboard itself found"), "{text}");
}
