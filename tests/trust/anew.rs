//! Whole logs that are written anew, so that they fit in themselves.

use std::path::Path;
use std::process::Command;

use quarterdeck::domain::{Checkpoint, Link, SigningKey};
use serde_json::json;

use crate::journal::{Copied, copied_edit, edit, found, journal};
use crate::support::cli::quarterdeck;
use crate::support::sql;

/// Chains events anew from one on, as somebody with this program's source can.
pub(crate) fn chain_anew(database: &Path, from: i64) {
    let column = |name: &str| {
        format!("CASE WHEN {name} IS NULL THEN '-,' ELSE length(CAST({name} AS BLOB)) || ':' || {name} || ',' END")
    };
    let columns = [
        "id",
        "timestamp",
        "category",
        "level",
        "actor",
        "host_id",
        "action",
        "message",
        "details",
        "command_id",
        "pipeline_id",
    ];
    let canonical = columns.map(column).join(" || ");
    let last: i64 = sql(database, "SELECT max(id) FROM event_log").parse().expect("number");
    let mut links = String::new();
    let mut link = sql(
        database,
        &format!("SELECT lower(hex(link)) FROM event_log WHERE id = {}", from - 1),
    );
    for id in from..=last {
        let text = sql(
            database,
            &format!("SELECT hex({canonical}) FROM event_log WHERE id = {id}"),
        );
        let row: Vec<u8> = (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
            .collect();
        link = sha256(&[unhex(&link), unhex(&sha256(&row))].concat());
        links.push_str(&format!("UPDATE event_log SET link = x'{link}' WHERE id = {id};"));
    }
    edit(database, &links);
}

/// By another program than ours.
fn sha256(bytes: &[u8]) -> String {
    use std::io::Write as _;
    let mut sum = Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sha256sum");
    sum.stdin.take().expect("stdin").write_all(bytes).expect("written");
    let output = sum.wait_with_output().expect("sum");
    String::from_utf8_lossy(&output.stdout)[..64].to_owned()
}

fn unhex(text: &str) -> Vec<u8> {
    text.parse::<Link>().expect("hex").as_bytes().to_vec()
}

#[tokio::test]
async fn what_is_chained_anew_is_found_by_checkpoints_and_what_is_signed_anew_by_an_outside_witness() {
    let mut qd = journal().await;
    // A checkpoint that an outside place keeps, and the key.
    let (code, witness, err) = quarterdeck(&qd, "audit checkpoint").await;
    assert_eq!(code, 0, "{err}");
    let (_, key, _) = quarterdeck(&qd, "audit key").await;
    let outside = tempfile::tempdir().expect("folder");
    let file = |name: &str, text: &str| {
        let path = outside.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_string_lossy().into_owned()
    };
    let witness = file("witness", &witness);
    let key = file("key.pem", &key);
    // Something more happens after it.
    qd.start_again().await;
    let id = qd.accepted("uptime", "localhost").await;
    qd.until_final(&id).await;
    qd.stop().await;
    let clean = Copied::of(&qd);
    let (code, text) = clean.verify(&["--from-checkpoint", &witness, "--public-key", &key]);
    assert_eq!(code, 0, "{text}");

    // Edited, and chained anew: every link fits, the checkpoints do not.
    let anew = Copied::of(&qd);
    anew.edit("UPDATE event_log SET message = 'nothing happened' WHERE id = 5;");
    chain_anew(&anew.database(), 5);
    found(&anew, "chained anew", "checkpoint");
    let (_, text) = anew.verify(&[]);
    assert!(
        text.contains("chained anew") && !text.contains("FIT  event 5"),
        "{text}"
    );

    // And all checkpoints signed anew, with another key or with the same one: only what is kept outside knows.
    for own_key in [false, true] {
        let forged = Copied::of(&qd);
        forged.edit("UPDATE event_log SET message = 'nothing happened' WHERE id = 5;");
        chain_anew(&forged.database(), 5);
        sign_anew(&forged, own_key);
        let (code, text) = forged.verify(&[]);
        assert_eq!(code, 0, "the README says that this cannot be seen from inside: {text}");
        assert!(text.contains("somebody who holds the machine"), "{text}");
        let (code, text) = forged.verify(&["--from-checkpoint", &witness]);
        assert_eq!(code, 1, "{text}");
        let (code, text) = forged.verify(&["--public-key", &key]);
        assert_eq!(code, i32::from(!own_key), "{text}");
    }

    // A tail that is cut off with all that speaks of it.
    let cut = Copied::of(&qd);
    cut.edit(
        "DELETE FROM event_log WHERE id > 6; DELETE FROM checkpoints WHERE event_id > 6; DELETE FROM commands; \
         DELETE FROM pipelines; DELETE FROM users; DELETE FROM tokens; UPDATE sqlite_sequence SET seq = 6 WHERE name = 'event_log'; \
         UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM checkpoints) WHERE name = 'checkpoints'; UPDATE event_index SET event_id = 6;",
    );
    let (code, text) = cut.verify(&[]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = cut.verify(&["--from-checkpoint", &witness]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("tail was cut off"), "{text}");

    // What is no checkpoint, no key, no database.
    for (more, code) in [
        (vec!["--from-checkpoint", key.as_str()], 2),
        (vec!["--public-key", witness.as_str()], 2),
        (vec!["/nowhere.db"], 3),
    ] {
        assert_eq!(clean.verify(&more).0, code, "{more:?}");
    }
}

fn sign_anew(copied: &Copied, own_key: bool) {
    let der = if own_key {
        let pem = std::fs::read_to_string(copied.data().join("checkpoint.key")).expect("key");
        let output = Command::new("sh")
            .args(["-c", "printf %s \"$1\" | grep -v -- ----- | base64 -d", "sh", &pem])
            .output()
            .expect("base64");
        output.stdout
    } else {
        SigningKey::generate().expect("key")
    };
    let key = SigningKey::from_pkcs8(&der).expect("key");
    let many: i64 = copied.sql("SELECT count(*) FROM checkpoints").parse().expect("number");
    let public = key.public();
    copied_edit(
        copied,
        &format!(
            "INSERT OR IGNORE INTO checkpoint_keys (fingerprint, public) VALUES ('{}', '{public}')",
            public.fingerprint()
        ),
    );
    for id in 1..=many {
        let value = |column: &str| copied.sql(&format!("SELECT {column} FROM checkpoints WHERE id = {id}"));
        let event = value("event_id");
        let link = copied.sql(&format!("SELECT lower(hex(link)) FROM event_log WHERE id = {event}"));
        let line = json!({
            "dashboard": copied.sql("SELECT dashboard_id FROM instance"),
            "id": id,
            "kind": value("kind"),
            "made_at": value("made_at"),
            "event_id": event.parse::<i64>().expect("number"),
            "events": value("events").parse::<i64>().expect("number"),
            "link": link,
            "key": public.to_string(),
            "signature": "",
        });
        let unsigned: Checkpoint = serde_json::from_value(line).expect("checkpoint");
        let signed = key.sign(unsigned);
        copied_edit(
            copied,
            &format!(
                "UPDATE checkpoints SET link = x'{link}', key = '{}', signature = '{}' WHERE id = {id}",
                public.fingerprint(),
                signed.signature
            ),
        );
    }
    if !own_key {
        copied_edit(
            copied,
            &format!("DELETE FROM checkpoint_keys WHERE public <> '{public}'"),
        );
    }
}
