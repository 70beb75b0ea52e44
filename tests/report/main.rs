//! SCENARIOS 44, 46, 47 and issue 5, "Audit report": made by its form or the command line, printed by a real browser,
//! read back from the PDF; over what sweeps have moved into the archive as well.

#[path = "../support/mod.rs"]
mod support;

mod again;
mod archive;
mod command_line;
mod parts;
mod print;
mod told;

use std::path::PathBuf;
use std::process::Command;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};
use support::{Dashboard, id_of};

pub(crate) const CONFIG: &str = r#"
zone = "Europe/Vienna"

[probe]
interval = "0s"

[report]
organisation = "Example & Sons \"Ltd\""

[[op]]
id = "pull"
script = "echo pulled"

[[op]]
id = "switch"
script = "printf '\\033[31mwarning\\033[0m: <script>alert(1)</script>\\n'; echo 'switched, but some units failed'; exit 4"

[[op]]
id = "slow"
script = "echo begun; sleep 600"

[[pipeline]]
id = "roll"
ops = ["pull", "switch"]

[[pipeline]]
id = "gently"
ops = ["pull"]

[[op]]
id = "wipe"
dangerous = true
script = "echo wiped"
"#;

pub(crate) const HOSTS: [&str; 3] = ["lab-01", "lab-02", "prod-01"];
pub(crate) const HOSTILE: &str = "<script>alert('x')</script> \"quoted\" & \u{202e}gnp.exe \u{1b}[31m =1+1 a-very-long-word-without-any-place-to-break-it-0123456789-0123456789-0123456789";

/// Where the printed pages go: a folder that outlives the test where one is named, for whoever wants to look at them.
pub(crate) fn sheet(qd: &Dashboard, name: &str) -> PathBuf {
    match std::env::var_os("QD_TEST_SHEETS") {
        Some(folder) => PathBuf::from(folder).join(name),
        None => qd.path(name),
    }
}

pub(crate) async fn host(qd: &Dashboard, name: &str, tag: &str) {
    let spool = qd.path(&format!("spool-{name}"));
    let body = json!({ "name": name, "local": true, "tags": [tag], "spool": spool });
    let (status, answer) = qd.post("/hosts", &body).await;
    assert_eq!(status, 201, "{answer}");
}

pub(crate) async fn run(qd: &Dashboard, op: &str, host: &str, reason: &str) -> String {
    let body = json!({ "op": op, "hosts": [host], "reason": reason });
    let (status, answer) = qd.post("/commands", &body).await;
    assert!(status == 202 || status == 409, "{status}: {answer}");
    id_of(&answer["commands"][0])
}

/// A small week: on every host what ends well and what does not, one refused, one cancelled, one without a reason.
pub(crate) async fn a_week(qd: &Dashboard) -> Vec<Value> {
    for (name, tag) in HOSTS.iter().zip(["lab", "lab", "prod"]) {
        host(qd, name, tag).await;
    }
    let mut ids = Vec::new();
    for name in HOSTS {
        for round in 0..6 {
            let id = run(qd, "pull", name, &format!("change {round}")).await;
            qd.until_final(&id).await;
            ids.push(id);
        }
    }
    let failed = run(qd, "switch", "lab-01", HOSTILE).await;
    qd.until_status(&failed, "ERROR").await;
    let note = json!({ "note": "known since Monday" });
    let (status, answer) = qd.post(&format!("/commands/{failed}/acknowledge"), &note).await;
    assert!(status < 300, "{status}: {answer}");
    let slow = run(qd, "slow", "prod-01", "a long one").await;
    qd.until_output(&slow, "begun").await;
    let refused = run(qd, "pull", "prod-01", "too early").await;
    qd.until_status(&refused, "BLOCKED").await;
    let (status, _) = qd
        .post(&format!("/commands/{slow}/cancel"), &json!({ "reason": "enough" }))
        .await;
    assert!(status < 300, "{status}");
    qd.until_status(&slow, "CANCELLED").await;
    let wiped = run(qd, "wipe", "lab-02", "").await;
    qd.until_final(&wiped).await;
    ids.extend([failed, slow, refused, wiped]);
    let mut rows = Vec::new();
    for id in ids {
        rows.push(qd.command(&id).await);
    }
    rows
}

/// Text without what a narrow column did to it.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_whitespace()).collect()
}

/// The line of a table of pairs.
pub(crate) fn has(page: &str, wanted: &str) -> bool {
    plain(page).contains(&plain(wanted))
}

pub(crate) fn number_of(place: &str) -> String {
    let number = place.strip_prefix("/audit/reports/").expect("a report");
    number.to_owned()
}

pub(crate) fn alter(qd: &Dashboard, sql: &str) {
    let file = qd.path("data/quarterdeck.db");
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    connection.batch_execute("PRAGMA busy_timeout=5000").expect("patience");
    connection.batch_execute(sql).expect("altered");
}

/// The text of an element, as a browser shows it.
pub(crate) fn text_of(html: &str, start: &str) -> String {
    let (_, rest) = html.split_once(start).unwrap_or_else(|| panic!("no {start}"));
    let text = rest.split("</pre>").next().unwrap_or_default();
    let signs = [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
    ];
    signs
        .iter()
        .fold(text.to_owned(), |text, (escaped, sign)| text.replace(escaped, sign))
}

/// Runs a line of shell in a folder; gives what it printed.
pub(crate) fn shell(folder: &std::path::Path, line: &str) -> String {
    let ran = Command::new("bash")
        .arg("-ec")
        .arg(line)
        .current_dir(folder)
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{line}: {said}");
    said
}
