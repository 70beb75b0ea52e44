//! The newest checkpoints, the keys that signed them, the seals of reports, and outputs of what never ran.

use quarterdeck::domain::{Checkpoint, SigningKey};
use serde_json::json;

use crate::journal::{Copied, found, found_in, journal};
use crate::others::paperwork;
use crate::support::cli::quarterdeck;

#[tokio::test]
async fn a_newest_checkpoint_that_is_gone_is_missed_by_whatever_tells_of_it() {
    let (qd, _) = paperwork().await;
    let last = "DELETE FROM checkpoints WHERE id = (SELECT max(id) FROM checkpoints)";
    let reported = "DELETE FROM checkpoints WHERE id >= (SELECT max(checkpoint_id) FROM reports); UPDATE sqlite_sequence \
         SET seq = (SELECT max(id) FROM checkpoints) WHERE name = 'checkpoints'; \
         INSERT INTO witnesses (name, checkpoint_id, event_id) VALUES ('x', 1, 1)";
    let unjoined = "UPDATE checkpoints SET key = 'x' WHERE id = (SELECT max(id) FROM checkpoints)";
    for edits in [last, reported, unjoined] {
        let copied = Copied::of(&qd);
        copied.edit(edits);
        found(&copied, edits, "checkpoint");
        let (_, text) = copied.verify(&[]);
        found_in(&text, "but there was a checkpoint");
    }
}

#[tokio::test]
async fn the_seals_of_reports_are_those_that_were_made_with_them() {
    let (qd, _) = paperwork().await;
    for edits in [
        "UPDATE reports SET checkpoint_id = 1 WHERE id = 1",
        "UPDATE reports SET checkpoint_id = NULL WHERE id = 1",
        "UPDATE reports SET stamp = replace(stamp, '\"kind\":\"report\"', '\"kind\":\"hour\"') WHERE id = 1",
        "UPDATE reports SET stamp = substr(stamp, 1, instr(stamp, char(10) || 'checkpoint ')) || (SELECT substr(stamp, \
         instr(stamp, char(10) || 'checkpoint ') + 1) FROM reports WHERE id = 1) WHERE id = 2",
    ] {
        let copied = Copied::of(&qd);
        copied.edit(edits);
        found(&copied, edits, "report QD-");
        let (_, text) = copied.verify(&[]);
        found_in(&text, "the checkpoint in its seal");
    }
}

#[tokio::test]
async fn another_key_signs_on_only_where_the_log_says_so() {
    let mut qd = journal().await;
    // The dashboard itself, with another key: the log says so.
    std::fs::remove_file(qd.path("data/checkpoint.key")).expect("removed");
    qd.start_again().await;
    qd.stop().await;
    let (code, text, _) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 0, "{text}");
    found_in(&text, "2 keys have signed checkpoints");

    // Somebody else, who would let the log begin anew behind what they do not like.
    let copied = Copied::of(&qd);
    let one = |query: &str| copied.sql(query);
    let (id, event) = (
        one("SELECT max(id) + 1 FROM checkpoints"),
        one("SELECT max(id) FROM event_log"),
    );
    let gone = one("SELECT max(id) - 3 FROM event_log");
    let base = json!({"event": gone.parse::<i64>().expect("number"), "link": one(&format!("SELECT lower(hex(link)) FROM event_log WHERE id = {gone}"))});
    let details = json!({"base": base, "commands_before": "2099-01-01T00:00:00Z"}).to_string();
    let key = SigningKey::from_pkcs8(&SigningKey::generate().expect("key")).expect("key");
    let line = json!({
        "dashboard": one("SELECT dashboard_id FROM instance"),
        "id": id.parse::<i64>().expect("number"),
        "kind": "sweep",
        "made_at": one("SELECT made_at FROM checkpoints ORDER BY id DESC LIMIT 1"),
        "event_id": event.parse::<i64>().expect("number"),
        "events": event.parse::<i64>().expect("number"),
        "link": one(&format!("SELECT lower(hex(link)) FROM event_log WHERE id = {event}")),
        "details": details,
        "key": key.public().to_string(),
        "signature": "",
    });
    let signed = key.sign(serde_json::from_value::<Checkpoint>(line).expect("checkpoint"));
    let (print, link, at) = (key.public().fingerprint(), signed.link, signed.made_at);
    copied.edit(&format!(
        "INSERT INTO checkpoint_keys (fingerprint, public) VALUES ('{print}', '{}'); INSERT INTO checkpoints VALUES \
         ({id}, '{at}', 'sweep', {event}, {event}, x'{link}', '{details}', '{print}', '{}')",
        key.public(),
        signed.signature
    ));
    found(&copied, "another key", "");
    let (_, text) = copied.verify(&[]);
    found_in(&text, "no event says so");
}

#[tokio::test]
async fn an_output_of_what_never_ran_is_found() {
    let qd = journal().await;
    let copied = Copied::of(&qd);
    let refused = copied.sql("SELECT id FROM commands WHERE status = 'BLOCKED'");
    std::fs::write(copied.data().join("output").join(&refused), "all went well\n").expect("written");
    found(&copied, "an output", "command");
}
