//! Nobody gets more than they were given: not by a host's tags, not by a token that outlives who made it.

use reqwest::Client;
use serde_json::{Value, json};

use super::browser::Browser;
use super::factors::later;
use super::support::Dashboard;
use super::{OPS, PASSWORD, events, host, token, user};

/// What a program is answered that shows this secret.
async fn ask(dashboard: &Dashboard, secret: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("method");
    let request = Client::new().request(method, format!("{}/api/v1{path}", dashboard.url));
    let request = body.iter().fold(request, reqwest::RequestBuilder::json);
    let answer = request.bearer_auth(secret).send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

/// The secret of a new session of somebody, as a terminal has it.
async fn session(dashboard: &Dashboard, name: &str) -> String {
    let log_in = json!({ "name": name, "password": PASSWORD });
    let (status, made) = dashboard.post("/login", &log_in).await;
    assert_eq!(status, 201, "{made}");
    made["session"].as_str().expect("a session").to_owned()
}

fn new_host<'a>(name: &'a str, tags: &'a str) -> [(&'a str, &'a str); 3] {
    [("address", "127.0.0.1:1"), ("name", name), ("tags", tags)]
}

#[tokio::test]
async fn a_tag_hands_no_host_to_who_may_not_have_it() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "root", "admin dangerous").await;
    user(&dashboard, "ann", "admin operator@lab dangerous@lab").await;
    user(&dashboard, "plain", "admin").await;
    let hosts = || dashboard.sql("SELECT count(*) FROM hosts WHERE removed_at IS NULL AND hostname LIKE 'h%'");

    // Who may run dangerous ops on the hosts of a tag alone draws no other host to it, nor does who may not at all.
    for name in ["ann", "plain"] {
        let mut browser = Browser::of(&dashboard, name).await;
        let trap = browser.post("/hosts", &new_host("h1", "web,lab")).await;
        assert_eq!(trap.status, 403, "{}", trap.text);
        assert!(
            trap.text.contains("dangerous@lab") && trap.text.contains("on all hosts"),
            "{}",
            trap.text
        );
        assert_eq!(hosts(), "0");
        assert_eq!(browser.post("/hosts", &new_host("h1", "web")).await.status, 303);
        assert_eq!(browser.post("/hosts/h1/remove", &[("name", "h1")]).await.status, 303);
        let again = browser.post("/hosts", &new_host("h1", "lab")).await;
        assert_eq!(again.status, 403, "added again with another tag: {}", again.text);
        assert_eq!(hosts(), "0");
    }
    let anns = session(&dashboard, "ann").await;
    let (_, made) = ask(
        &dashboard,
        &anns,
        "POST",
        "/tokens",
        Some(json!({ "name": "anns", "role": "admin" })),
    )
    .await;
    let body = json!({ "name": "h2", "ssh": "127.0.0.1:1", "tags": ["lab"] });
    for secret in [anns.as_str(), made["token"].as_str().expect("secret")] {
        let (status, why) = ask(&dashboard, secret, "POST", "/hosts", Some(body.clone())).await;
        assert_eq!(status, 403, "{why}");
        assert!(why["detail"].as_str().is_some_and(|text| text.contains("ann")), "{why}");
    }
    assert_eq!(events(&dashboard, "host:reach").await, 0);

    // Who has it on all hosts may, and the journal says who has what by that.
    let mut root = Browser::of(&dashboard, "root").await;
    assert_eq!(root.post("/hosts", &new_host("h3", "lab")).await.status, 303);
    let all = dashboard.events().await;
    let reach = all.iter().find(|event| event["action"] == "host:reach").expect("event");
    assert_eq!(
        reach["details"]["through"]["user:ann"], "operator@lab dangerous@lab",
        "{reach}"
    );
    assert!(
        reach["message"]
            .as_str()
            .is_some_and(|text| text.contains("h3") && text.contains("ann (")),
        "{reach}"
    );
    // A tag that gives nobody anything more than operator is any admin's to give.
    user(&dashboard, "olga", "operator@prod").await;
    let mut plain = Browser::of(&dashboard, "plain").await;
    assert_eq!(plain.post("/hosts", &new_host("h4", "prod")).await.status, 303);
    assert_eq!(events(&dashboard, "host:reach").await, 1);
}

#[tokio::test]
async fn a_change_of_the_fleet_asks_who_it_is() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "admin").await;
    let mut alice = Browser::of(&dashboard, "alice").await;
    let terminal = session(&dashboard, "alice").await;
    let hosts = || dashboard.sql("SELECT count(*) FROM hosts WHERE removed_at IS NULL");
    later(&dashboard);
    let asked = alice.post("/hosts", &new_host("web1", "")).await;
    assert_eq!(asked.status, 403);
    assert!(
        asked.text.contains("Is it you?") && asked.text.contains("value=\"web1\""),
        "{}",
        asked.text
    );
    let asked = alice.post("/hosts/localhost/remove", &[("name", "localhost")]).await;
    assert!(
        asked.status == 403 && asked.text.contains("Is it you?"),
        "{}",
        asked.text
    );
    let body = json!({ "name": "web2", "ssh": "127.0.0.1:1" });
    let (status, why) = ask(&dashboard, &terminal, "POST", "/hosts", Some(body.clone())).await;
    assert_eq!(
        (status, why["type"].as_str()),
        (403, Some("urn:quarterdeck:step-up")),
        "{why}"
    );
    let (status, why) = ask(&dashboard, &terminal, "DELETE", "/hosts/localhost", None).await;
    assert_eq!(
        (status, why["type"].as_str()),
        (403, Some("urn:quarterdeck:step-up")),
        "{why}"
    );
    assert_eq!(hosts(), "1", "nothing was done");

    let mut with = new_host("web1", "").to_vec();
    with.push(("confirm_it_is_me", PASSWORD));
    assert_eq!(alice.post("/hosts", &with).await.status, 303);
    assert_eq!(
        alice.post("/hosts/web1/remove", &[("name", "web1")]).await.status,
        303,
        "for ten minutes"
    );
    // A token needs the right, this machine's own account nothing.
    let secret = token(&dashboard, "admin", "admin").await;
    assert_eq!(ask(&dashboard, &secret, "POST", "/hosts", Some(body)).await.0, 201);
    host(&dashboard, "web3", "x").await;
    assert_eq!(hosts(), "3");
}

#[tokio::test]
async fn a_token_does_not_outlive_what_its_maker_may() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "root", "admin dangerous").await;
    user(&dashboard, "second", "admin dangerous").await;
    let roots = session(&dashboard, "root").await;
    let make = async |by: &str, name: &str, role: &str| {
        let body = json!({ "name": name, "role": role });
        let (status, made) = ask(&dashboard, by, "POST", "/tokens", Some(body)).await;
        assert_eq!(status, 201, "{made}");
        made["token"].as_str().expect("its secret").to_owned()
    };
    let ci = make(&roots, "ci", "operator dangerous").await;
    let eyes = make(&roots, "eyes", "viewer").await;
    let boss = make(&roots, "boss", "admin").await;
    let child = make(&boss, "child", "viewer").await;
    let local = token(&dashboard, "local", "viewer").await;
    let look = async |secret: &str| ask(&dashboard, secret, "GET", "/hosts", None).await;
    let role = async |role: &str| {
        let (status, why) = dashboard.post("/users/root/role", &json!({ "role": role })).await;
        assert_eq!(status, 200, "{why}");
    };
    let refused = async |secret: &str, words: &str| {
        let (status, why) = look(secret).await;
        assert_eq!(status, 401, "{why}");
        assert!(why["detail"].as_str().is_some_and(|text| text.contains(words)), "{why}");
    };
    for secret in [&ci, &eyes, &boss, &child, &local] {
        assert_eq!(look(secret).await.0, 200);
    }

    // Less than the token may.
    role("admin").await;
    refused(&ci, "may not give that away any more").await;
    assert_eq!((look(&eyes).await.0, look(&boss).await.0), (200, 200));
    let mut second = Browser::of(&dashboard, "second").await;
    let page = second.get("/tokens").await.text;
    assert!(
        page.contains("refused: who made it may not give that away any more"),
        "{page}"
    );
    let (_, tokens) = dashboard.get("/tokens").await;
    let of = |name: &str| {
        tokens["tokens"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["name"] == name))
    };
    assert!(
        of("ci").expect("ci")["refused"].is_string() && of("eyes").expect("eyes")["refused"].is_null(),
        "{tokens}"
    );
    // No admin, no maker of tokens.
    role("operator dangerous").await;
    for secret in [&ci, &eyes, &boss, &child] {
        refused(secret, "may not give that away any more").await;
    }
    role("admin dangerous").await;
    assert_eq!(look(&ci).await.0, 200);

    // Shut out; and what was made with a token ends with that.
    assert_eq!(dashboard.post("/users/root/disable", &json!({})).await.0, 200);
    for secret in [&ci, &eyes, &boss, &child] {
        refused(secret, "is disabled").await;
    }
    let run = json!({ "op": "hurts", "hosts": ["localhost"] });
    assert_eq!(ask(&dashboard, &ci, "POST", "/commands", Some(run)).await.0, 401);
    assert_eq!(dashboard.sql("SELECT count(*) FROM commands"), "0");
    assert_eq!(dashboard.post("/users/root/enable", &json!({})).await.0, 200);
    assert_eq!(look(&child).await.0, 200);
    assert_eq!(dashboard.delete("/tokens/boss").await.0, 200);
    refused(&child, "has ended").await;
    assert_eq!(look(&local).await.0, 200, "of nobody's");
}

#[tokio::test]
async fn a_token_is_revoked_by_who_says_so_twice_and_is_it() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "admin").await;
    let secret = token(&dashboard, "ci", "viewer").await;
    let mut alice = Browser::of(&dashboard, "alice").await;
    let works = async || ask(&dashboard, &secret, "GET", "/hosts", None).await.0 == 200;
    let asked = alice.post("/tokens/ci/revoke", &[]).await;
    assert!(
        asked.status == 200 && asked.text.contains("Revoke the token ci?"),
        "{}",
        asked.text
    );
    assert!(works().await);
    later(&dashboard);
    let asked = alice.post("/tokens/ci/revoke", &[("sure", "yes")]).await;
    assert!(
        asked.status == 403 && asked.text.contains("Is it you?"),
        "{}",
        asked.text
    );
    assert!(works().await);
    let sure = [("sure", "yes"), ("confirm_it_is_me", PASSWORD)];
    assert_eq!(alice.post("/tokens/ci/revoke", &sure).await.status, 303);
    assert!(!works().await);
}
