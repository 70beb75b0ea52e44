//! Issue 5, forwarding, witnesses and notifications: a real dashboard, and log servers, files, web servers and programs
//! of the test's own. Sinks are stopped and come back, the dashboard is killed in between, and nothing is left out.

#[path = "../support/mod.rs"]
mod support;

mod files;
mod hooks;
mod notify;
mod rfc5424;
mod sinks;
mod syslog;
mod witness;

use serde_json::{Value, json};
use support::{Dashboard, wait_for};

pub(crate) const OPS: &str = r#"
[probe]
interval = "0s"

[[op]]
id = "quick"
script = "echo done"

[[op]]
id = "fails"
script = "exit 4"
"#;

/// Writes the configuration anew; the next start reads it.
pub(crate) fn configure(dashboard: &Dashboard, text: &str) {
    let text = format!(
        "data_dir = \"{}\"\nlisten = \"127.0.0.1:0\"\n{text}",
        dashboard.path("data").display()
    );
    std::fs::write(dashboard.path("quarterdeck.toml"), text).expect("config");
}

/// Events of one action, as the API has them.
pub(crate) async fn events(dashboard: &Dashboard, action: &str) -> Vec<Value> {
    let all = dashboard.events().await;
    all.into_iter().filter(|event| event["action"] == action).collect()
}

/// Waits for an event of this action.
pub(crate) async fn until_event(dashboard: &Dashboard, action: &str) -> Value {
    wait_for(action, async || events(dashboard, action).await.into_iter().next_back()).await
}

/// The ids of all events, in their order.
pub(crate) async fn ids(dashboard: &Dashboard) -> Vec<i64> {
    dashboard.events().await.iter().map(id).collect()
}

pub(crate) fn id(event: &Value) -> i64 {
    event["id"].as_i64().expect("an id")
}

/// What the API says of one place outside.
pub(crate) async fn delivery(dashboard: &Dashboard, kind: &str, name: &str) -> Value {
    let (status, answer) = dashboard.get("/deliveries").await;
    assert_eq!(status, 200, "{answer}");
    let all = answer["deliveries"].as_array().expect("a list").clone();
    let found = all
        .into_iter()
        .find(|place| place["kind"] == kind && place["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}: {answer}"))
}

/// Something happens: one event at least.
pub(crate) async fn something(dashboard: &Dashboard) {
    let (status, answer) = dashboard.post("/hosts/localhost/test", &json!({})).await;
    assert_eq!(status, 200, "{answer}");
}

/// Each id where it is seen first: what a reader has that throws away what it has seen.
pub(crate) fn first_seen(ids: impl IntoIterator<Item = i64>) -> Vec<i64> {
    let mut seen = Vec::new();
    for id in ids {
        if !seen.contains(&id) {
            seen.push(id);
        }
    }
    seen
}

/// Takes events out of the journal behind its back, while no dashboard runs.
pub(crate) fn without_events(dashboard: &Dashboard, which: &str) {
    use diesel::Connection as _;
    use diesel::connection::SimpleConnection as _;

    let file = dashboard.path("data/quarterdeck.db");
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    let trigger = dashboard.sql("SELECT sql FROM sqlite_schema WHERE name = 'event_log_is_only_swept'");
    connection
        .batch_execute(&format!(
            "DROP TRIGGER event_log_is_only_swept; DELETE FROM event_log WHERE {which}; {trigger};"
        ))
        .expect("deleted");
}
