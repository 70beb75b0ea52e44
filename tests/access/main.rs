//! SCENARIOS, "Access" (49 to 53), and issue 4: who comes in, what they may, what is asked again, what is never said.

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod certificate;
mod factors;
mod first_run;
mod flood;
mod host_keys;
mod limits;
mod network;
mod offers;
mod reach;
mod routes;
mod secrets;
mod sessions;
mod slow;
mod sockets;
mod walk;

use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::prelude::*;
use serde_json::json;
use support::Dashboard;

/// A password that nobody would guess, and that no page, log or row may ever show.
pub(crate) const PASSWORD: &str = "violet-anchor-shovel-19";

pub(crate) const OPS: &str = r#"
[probe]
interval = "0s"

[[op]]
id = "quick"
retryable = true
script = "echo done"

[[op]]
id = "hurts"
dangerous = true
retryable = true
script = "echo hurt; exit 3"

[[op]]
id = "fails"
retryable = true
script = "exit 3"

[[op]]
id = "waits"
retryable = true
timeout = "60s"
script = 'while [ ! -e "$HOME/go-$QD_HOST" ]; do sleep 0.05; done'
"#;

/// A user with these rights.
pub(crate) async fn user(dashboard: &Dashboard, name: &str, role: &str) {
    let body = json!({ "name": name, "password": PASSWORD, "role": role });
    let (status, answer) = dashboard.post("/users", &body).await;
    assert_eq!(status, 201, "{answer}");
}

/// A token with these rights; gives its secret.
pub(crate) async fn token(dashboard: &Dashboard, name: &str, role: &str) -> String {
    let (status, answer) = dashboard.post("/tokens", &json!({ "name": name, "role": role })).await;
    assert_eq!(status, 201, "{answer}");
    answer["token"].as_str().expect("its secret").to_owned()
}

/// A second local host with a tag.
pub(crate) async fn host(dashboard: &Dashboard, name: &str, tag: &str) {
    let spool = dashboard.path(&format!("spool-{name}"));
    let body = json!({ "name": name, "local": true, "tags": [tag], "spool": spool });
    let (status, answer) = dashboard.post("/hosts", &body).await;
    assert_eq!(status, 201, "{answer}");
}

/// Changes a row behind the dashboard's back: time passes. Sessions are read again once it has written something itself.
pub(crate) async fn change(dashboard: &Dashboard, statement: &str) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    {
        let file = dashboard.path("data/quarterdeck.db");
        let mut connection = SqliteConnection::establish(&file.to_string_lossy()).expect("database");
        diesel::sql_query("PRAGMA busy_timeout = 5000")
            .execute(&mut connection)
            .expect("pragma");
        diesel::sql_query(statement).execute(&mut connection).expect(statement);
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    token(dashboard, &format!("time-passes-{number}"), "viewer").await;
}

/// How many events of this action there are.
pub(crate) async fn events(dashboard: &Dashboard, action: &str) -> usize {
    let events = dashboard.events().await;
    events.iter().filter(|event| event["action"] == action).count()
}
