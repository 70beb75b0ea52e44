//! The door before anybody is signed in: who comes under another name, from another site, without a session or with a
//! link that is no longer one, changes nothing, and it is in the log.

use reqwest::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use crate::support::{Dashboard, wait_for};

const QUIET: &str = "[probe]\ninterval = \"0s\"\n";
const RUN: &str = "op=uptime&host=localhost";

fn client() -> Client {
    Client::builder().redirect(Policy::none()).build().expect("client")
}

/// The cookie that the one-time link gives.
async fn signed_in(qd: &Dashboard) -> String {
    let answer = client().get(&qd.link).send().await.expect("an answer");
    assert_eq!(answer.status(), 303);
    let cookie = answer.headers()[SET_COOKIE].to_str().expect("text").to_owned();
    cookie.split(';').next().expect("a cookie").to_owned()
}

fn run(qd: &Dashboard) -> RequestBuilder {
    client()
        .post(format!("{}/run", qd.url))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(RUN)
}

async fn refusals(qd: &Dashboard) -> Vec<Value> {
    let events = qd.events().await;
    let refused = events
        .into_iter()
        .filter(|event| event["message"].to_string().contains("refused"));
    refused.collect()
}

/// What a stranger could change: hosts, commands, sessions.
fn state(qd: &Dashboard) -> String {
    qd.sql(
        "SELECT (SELECT group_concat(hostname || coalesce(removed_at, '')) FROM hosts) || ' ' || \
         (SELECT count(*) FROM commands) || ' ' || (SELECT count(*) FROM sessions)",
    )
}

/// The one event that names this, waited for.
async fn noted(qd: &Dashboard, words: &str) -> Value {
    wait_for(&format!("an event about {words}"), async || {
        refusals(qd)
            .await
            .into_iter()
            .find(|event| event["message"].to_string().contains(words))
    })
    .await
}

#[tokio::test]
async fn what_comes_from_elsewhere_is_refused_changes_nothing_and_is_an_event() {
    let qd = Dashboard::start(QUIET).await;
    let cookie = signed_in(&qd).await;
    let before = state(&qd);
    // Under another name, as after DNS rebinding: also for who is signed in.
    for request in [
        client().get(format!("{}/", qd.url)),
        client().get(format!("{}/enter", qd.url)),
        run(&qd).header("sec-fetch-site", "same-origin"),
    ] {
        let request = request.header(HOST, "evil.example").header(COOKIE, &cookie);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 421);
        assert!(!answer.headers().contains_key(SET_COOKIE));
    }
    // From another site, with the session's cookie and without.
    for headers in [
        [("sec-fetch-site", "cross-site"), ("origin", "http://evil.example")].as_slice(),
        &[("sec-fetch-site", "cross-site"), ("origin", &qd.url)],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[],
    ] {
        for with in [cookie.as_str(), ""] {
            let mut request = run(&qd).header(COOKIE, with);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), 403, "{headers:?}");
        }
    }
    let event = noted(&qd, "foreign origin").await;
    assert_eq!(
        (event["category"].as_str(), event["level"].as_str()),
        (Some("audit"), Some("warn")),
        "{event}"
    );
    assert_eq!(state(&qd), before, "nothing changed");
    // The same press from our own page is taken: it was the origin that was refused.
    let page = client().get(format!("{}/account", qd.url)).header(COOKIE, &cookie);
    let page = page.send().await.expect("an answer").text().await.expect("text");
    let token = page.split("name=\"form_token\" value=\"").nth(1).expect("a form");
    let token = token.split('"').next().expect("its token");
    let own = run(&qd).header(COOKIE, &cookie).header(ORIGIN, &qd.url);
    let own = own.body(format!("{RUN}&form_token={token}"));
    assert_eq!(own.send().await.expect("an answer").status(), 303);
    assert_ne!(state(&qd), before);
}

#[tokio::test]
async fn without_a_session_nothing_is_changed_and_the_attempt_is_an_event() {
    let qd = Dashboard::start(QUIET).await;
    let alice = serde_json::json!({ "name": "alice", "password": "correct horse", "role": "viewer" });
    assert_eq!(qd.post("/users", &alice).await.0, 201);
    let before = state(&qd);
    let port = qd.url.rsplit(':').next().expect("port");
    let (forged, short) = (
        format!("qd_session_{port}={}", "0".repeat(64)),
        format!("qd_session_{port}=short"),
    );
    for cookie in ["", forged.as_str(), short.as_str()] {
        let answer = run(&qd)
            .header(COOKIE, cookie)
            .header("sec-fetch-site", "same-origin")
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 401, "{cookie}");
        let page = client().get(format!("{}/history", qd.url)).header(COOKIE, cookie);
        let page = page.send().await.expect("an answer");
        assert_eq!(
            (page.status().as_u16(), page.headers()[LOCATION].as_bytes()),
            (303, b"/enter?next=%2Fhistory".as_slice())
        );
        let poll = client().get(format!("{}/", qd.url)).header("hx-request", "true");
        assert_eq!(
            poll.header(COOKIE, cookie).send().await.expect("an answer").status(),
            401
        );
    }
    let event = noted(&qd, "without a session").await;
    assert_eq!(event["category"], "audit", "{event}");
    assert_eq!(state(&qd), before, "nothing changed");
    let text = qd.sql("SELECT group_concat(message || coalesce(details, '')) FROM event_log");
    assert!(!text.contains(&"0".repeat(64)), "no token in any event");
}

#[tokio::test]
async fn a_link_that_was_used_or_is_nobodys_opens_nothing_and_is_an_event() {
    for foreign in [false, true] {
        let qd = Dashboard::start(QUIET).await;
        let link = if foreign {
            format!("{}/enter?key={}", qd.url, "a".repeat(64))
        } else {
            signed_in(&qd).await;
            qd.link.clone()
        };
        let before = state(&qd);
        let answer = client().get(&link).send().await.expect("an answer");
        assert_eq!(answer.status(), 403);
        assert!(!answer.headers().contains_key(SET_COOKIE));
        let event = noted(&qd, "link").await;
        assert_eq!(
            (event["category"].as_str(), event["level"].as_str()),
            (Some("audit"), Some("warn")),
            "{event}"
        );
        let key = link.split("key=").nth(1).expect("a key");
        assert!(!event.to_string().contains(key), "not the key itself: {event}");
        assert!(!qd.log().contains(key), "nor in the program's own log");
        assert_eq!(state(&qd), before, "no session");
    }
}
