//! Who comes in: links, sessions, names and origins.

use reqwest::header::{HOST, LOCATION, ORIGIN};

use crate::OPS;
use crate::support::Dashboard;
use crate::support::page::Browser;

#[tokio::test]
async fn the_guard_lets_in_who_belongs_here() {
    let mut dashboard = Dashboard::start(OPS).await;
    let stranger = Browser::stranger(&dashboard);
    assert_eq!(stranger.get("/").await.0, 403, "not set up yet");
    let alice = serde_json::json!({ "name": "alice", "password": "correct horse", "role": "admin" });
    assert_eq!(dashboard.post("/users", &alice).await.0, 201);
    for (path, enter) in [
        ("/", "/enter"),
        ("/history", "/enter?next=%2Fhistory"),
        ("/log?level=warn", "/enter?next=%2Flog%3Flevel%3Dwarn"),
        ("/hosts/localhost", "/enter?next=%2Fhosts%2Flocalhost"),
        ("/nowhere", "/enter?next=%2Fnowhere"),
    ] {
        let answer = stranger.request(path).send().await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), answer.headers()[LOCATION].as_bytes()),
            (303, enter.as_bytes())
        );
    }
    assert_eq!(stranger.get("/enter").await.0, 200);
    assert_eq!(stranger.get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(stranger.get("/readyz").await.0, 200);
    let poll = stranger.request("/?live=x.1").header("hx-request", "true");
    assert_eq!(poll.send().await.expect("an answer").status(), 401);

    // What fetches ahead does not use the link up; who follows it does, once.
    let ahead = stranger.client.get(&dashboard.link).header("sec-fetch-mode", "no-cors");
    assert_eq!(ahead.send().await.expect("an answer").status(), 403);
    let browser = Browser::signed_in(&dashboard).await;
    let again = stranger.client.get(&dashboard.link).send().await.expect("an answer");
    assert_eq!(again.status(), 403, "used up");
    assert_eq!(browser.get("/").await.0, 200);

    let foreign = browser.request("/").header(HOST, "evil.example");
    assert_eq!(foreign.send().await.expect("an answer").status(), 421);
    let own = dashboard.url.clone();
    for (headers, expected) in [
        (vec![], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (
            vec![("sec-fetch-site", "same-site"), (ORIGIN.as_str(), own.as_str())],
            403,
        ),
        (vec![(ORIGIN.as_str(), "http://evil.example")], 403),
        (vec![(ORIGIN.as_str(), own.as_str())], 303),
        (vec![("sec-fetch-site", "same-origin")], 303),
    ] {
        let answer = browser.post_from("/hosts/localhost/test", "", &headers).await;
        assert_eq!(answer.status().as_u16(), expected, "{headers:?}");
        let policy = answer.headers()["content-security-policy"].to_str().expect("text");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    let refused = dashboard
        .events()
        .await
        .iter()
        .filter(|event| event["action"] == "refused")
        .count();
    assert_eq!(
        refused, 3,
        "a used link, a foreign name, a foreign origin: one event for each kind and address in a minute, not one for each request"
    );

    dashboard.kill().await;
    dashboard.start_again().await;
    assert_eq!(browser.get("/").await.0, 200, "a session survives a restart");
    let secret = browser.cookie.split('=').nth(1).expect("token").to_owned();
    let key = dashboard.link.split('=').nth(1).expect("key").to_owned();
    assert!(
        !dashboard.log().contains(&secret) && !dashboard.log().contains(&key),
        "no secret in the program's log"
    );
}

#[tokio::test]
async fn a_foreign_form_starts_nothing() {
    let dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    let post = async |headers: &[(&str, &str)]| {
        let answer = browser.post_from("/run", "host=localhost&op=uptime", headers).await;
        answer.status().as_u16()
    };
    for headers in [
        &[][..],
        &[(ORIGIN.as_str(), "http://evil.example")],
        &[("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(post(headers).await, 403, "{headers:?}");
    }
    assert_eq!(
        dashboard.sql("SELECT count(*) FROM commands"),
        "0",
        "nothing was changed"
    );
    assert_eq!(post(&[(ORIGIN.as_str(), &dashboard.url)]).await, 303, "our own form");
}
