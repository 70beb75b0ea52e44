//! Rows under numbers and names that the dashboard never gives: below the first one, or none at all.

use quarterdeck::domain::Digest;
use serde_json::Value;

use crate::journal::{Copied, found, found_in, journal};

/// What events say of a row, with something else in one column, as the digest that a sweep would leave of it.
fn digest_of_lie(copied: &Copied, command: &str) -> Digest {
    let record = copied.sql(&format!(
        "SELECT details ->> '$.record' FROM event_log WHERE command_id = '{command}' AND details ->> '$.record' IS NOT NULL \
         ORDER BY id DESC LIMIT 1"
    ));
    let mut record: Value = serde_json::from_str(&record).expect("a record");
    record["actor"] = "user:bob".into();
    Digest::of(record.to_string().as_bytes())
}

#[tokio::test]
async fn rows_under_numbers_that_are_never_given_are_found_and_vouch_for_nothing() {
    let qd = journal().await;
    let clean = Copied::of(&qd);
    let ended = clean.sql("SELECT id FROM commands WHERE status = 'ERROR' AND pipeline_id IS NULL");
    let lie = digest_of_lie(&clean, &ended);
    for number in ["-1", "0", "-9223372036854775808"] {
        // The digest would be newer than any event, and no walk from the first one on comes past it.
        let vouch = format!(
            "UPDATE commands SET actor = 'user:bob' WHERE id = '{ended}'; \
             INSERT INTO sealed (id, what, digest, event_id) VALUES ({number}, '{ended}', '{lie}', 1000000)"
        );
        let hold = format!(
            "INSERT INTO holds (id, from_at, reason, placed_by) VALUES ({number}, '2026-02-01 00:00:00', 'x', 'user:mallory')"
        );
        let review = format!(
            "INSERT INTO reports (id, number, made_at, made_by, parameters, paper, covers) VALUES (1, 'QD-2026-000001', \
             '2026-02-01 00:00:00', 'user:a', '', 'a4', 1); \
             INSERT INTO reviews (id, report_id, up_to, reviewed_by, reviewed_at) VALUES ({number}, 1, 9, 'user:boss', '2026-02-01 00:00:00')"
        );
        let checkpoint = format!(
            "INSERT INTO checkpoints (id, kind, event_id, events, link, key, signature) SELECT {number}, 'sweep', event_id, events, \
             link, key, signature FROM checkpoints WHERE id = 1"
        );
        for (edit, table) in [
            (vouch, "sealed"),
            (hold, "holds"),
            (review, "reviews"),
            (checkpoint, "checkpoints"),
        ] {
            let copied = Copied::of(&qd);
            copied.edit(&edit);
            found(&copied, &edit, "");
            let (_, text) = copied.verify(&[]);
            found_in(&text, &format!("row {number} of {table}"));
        }
    }
    // Nor is one so far away that a walk would never come to it.
    let copied = Copied::of(&qd);
    let edit = "INSERT INTO holds (id, from_at, reason, placed_by) VALUES (9223372036854775807, '2026-02-01 00:00:00', 'x', 'user:m')";
    copied.edit(edit);
    found(&copied, edit, "hold 9223372036854775807");
}

#[tokio::test]
async fn people_programs_and_hosts_without_a_name_are_found() {
    let qd = journal().await;
    for (edit, names) in [
        (
            "INSERT INTO users (name, password, grants) VALUES ('', '$argon2id$', 'admin')",
            "user",
        ),
        (
            "INSERT INTO tokens (name, hash, grants, created_by) VALUES ('', 'a hash', 'admin', 'user:boss')",
            "token",
        ),
        ("INSERT INTO hosts (hostname, reach) VALUES ('', 'local')", "host"),
    ] {
        let copied = Copied::of(&qd);
        copied.edit(edit);
        found(&copied, edit, names);
    }
}
