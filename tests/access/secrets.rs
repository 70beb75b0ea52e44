//! 53: no password, token or session id in any event, log line, URL, error, or (but as a hash) in the database.

use serde_json::json;

use super::browser::{Browser, hidden};
use super::support::Dashboard;
use super::{OPS, PASSWORD, token, user};

#[tokio::test]
async fn s53_no_secret_is_written_anywhere() {
    let mut dashboard = Dashboard::start(OPS).await;
    let key = dashboard.welcome.split('=').nth(1).expect("key").to_owned();
    let mut secrets = vec![PASSWORD.to_owned(), key.clone()];
    let mut alice = Browser::new(&dashboard);
    alice.get(&format!("/setup?key={key}")).await;
    let form = [
        ("key", key.as_str()),
        ("name", "alice"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    assert_eq!(alice.post("/setup", &form).await.status, 303);
    secrets.extend(alice.cookies.values().cloned());
    secrets.push(alice.token.clone());

    // A password where a name belongs, a wrong one, one that is too short, one that is changed.
    let mut other = Browser::new(&dashboard);
    let slips = [
        "amber-kettle-radio-7",
        "tin-tin-9",
        "crimson-ladder-fog-4",
        "mistyped-secret-31",
    ];
    secrets.extend(slips.iter().map(|slip| (*slip).to_owned()));
    other.log_in(slips[0], slips[3], "").await;
    other.log_in("alice", slips[3], "").await;
    let short = [("name", "bob"), ("new_password", slips[1]), ("role", "viewer")];
    assert_eq!(alice.post("/users", &short).await.status, 400);
    user(&dashboard, "bob", "operator dangerous").await;
    let mut bob = Browser::of(&dashboard, "bob").await;
    let new = [("new_password", slips[2]), ("again", slips[2])];
    assert_eq!(bob.post("/account/password", &new).await.status, 303);
    secrets.extend(bob.cookies.values().cloned());

    let link = dashboard.open().await;
    secrets.push(link.split('=').nth(1).expect("key").to_owned());
    other.get(link.strip_prefix(&dashboard.url).expect("place")).await;
    secrets.extend(other.cookies.values().cloned());
    let ci = token(&dashboard, "ci", "viewer").await;
    secrets.push(ci.clone());
    let client = reqwest::Client::new();
    for secret in [ci.as_str(), "qd_wrong-but-secret-17"] {
        let request = client
            .get(format!("{}/api/v1/users", dashboard.url))
            .bearer_auth(secret);
        request.send().await.expect("an answer");
    }
    secrets.push("wrong-but-secret-17".to_owned());
    let (_, made) = dashboard
        .post("/login", &json!({ "name": "alice", "password": PASSWORD }))
        .await;
    secrets.push(made["session"].as_str().expect("a session").to_owned());
    let page = bob.get("/account/totp").await;
    secrets.push(hidden(&page.text, "secret").expect("secret"));
    let broken = json!({ "name": "x", "password": PASSWORD, "extra": 1 });
    let (status, problem) = dashboard.post("/users", &broken).await;
    assert_eq!(status, 422);
    assert!(!problem.to_string().contains(PASSWORD), "{problem}");

    for event in dashboard.events().await {
        let text = event.to_string();
        assert!(!secrets.iter().any(|secret| text.contains(secret.as_str())), "{text}");
    }
    for path in ["/users", "/tokens", "/log", "/account"] {
        let page = alice.get(path).await.text;
        for secret in secrets.iter().filter(|secret| **secret != alice.token) {
            assert!(!page.contains(secret.as_str()), "{path} shows {secret}");
        }
    }
    dashboard.stop().await;
    for file in ["stderr", "data/quarterdeck.db", "data/quarterdeck.db-wal"] {
        let bytes = std::fs::read(dashboard.path(file)).unwrap_or_default();
        assert!(!bytes.is_empty() || file.ends_with("-wal"), "{file}");
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{file} holds {secret}");
        }
    }
}
