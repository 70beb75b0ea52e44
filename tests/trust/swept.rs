//! Logs that retention has shortened.

use crate::journal::{Copied, found, journal};
use crate::support::{chain, wait_for};

#[tokio::test]
async fn a_swept_log_verifies_and_its_rows_are_still_vouched_for() {
    let mut qd = journal().await;
    // As if all but two of its events were of last winter; its commands are of today, and stay.
    chain::forget(
        &qd.path("data"),
        "UPDATE event_log SET timestamp = '2026-01-01 00:00:00.000000' WHERE id NOT IN (12, 13); DELETE FROM sweeps",
    );
    qd.start_again().await;
    wait_for("the sweep", async || {
        let left: i64 = qd
            .sql("SELECT count(*) FROM event_log WHERE id < 12")
            .parse()
            .expect("number");
        (left == 0).then_some(())
    })
    .await;
    wait_for("its checkpoint", async || {
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
            "INSERT INTO swept_events (id, row_hash, link) SELECT id, link, link FROM event_log WHERE id = 12; DELETE FROM event_log WHERE id = 12",
            "swept_events",
        ),
    ] {
        let copied = Copied::of(&qd);
        copied.edit(edit);
        found(&copied, edit, names);
    }
}
