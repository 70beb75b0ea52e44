//! Sessions and their ends, forms of other sites, places to go on to.

use serde_json::json;

use super::browser::{Browser, encode};
use super::support::Dashboard;
use super::{OPS, PASSWORD, change, events, user};

#[tokio::test]
async fn s49_a_session_ends_when_it_should() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "admin dangerous").await;
    user(&dashboard, "bob", "viewer").await;
    let refused = async |browser: &mut Browser, why: &str| {
        assert_eq!(browser.get("/").await.status, 303, "{why}");
        assert_eq!(browser.send("/run", &[("op", "quick")]).await.status, 401, "{why}");
        let poll = browser
            .client
            .get(format!("{}/?live=x.1", browser.url))
            .header("hx-request", "true");
        let poll = poll.header("cookie", browser.cookie()).send().await.expect("an answer");
        assert_eq!(poll.status(), 401, "{why}");
    };
    // Logged out: the old cookie is worth nothing, wherever it is.
    let mut alice = Browser::of(&dashboard, "alice").await;
    let old = alice.cookies.clone();
    let out = alice.post("/logout", &[]).await;
    assert_eq!((out.status, out.place.as_str()), (303, "/enter"));
    assert!(!alice.has_session());
    alice.cookies = old;
    refused(&mut alice, "logged out").await;

    // Its time is up; it was not used for too long.
    for (statement, why) in [
        (
            "UPDATE sessions SET expires_at = '2020-01-01 00:00:00.000000'",
            "expired",
        ),
        (
            "UPDATE sessions SET last_seen_at = '2020-01-01 00:00:00.000000'",
            "idle",
        ),
    ] {
        let mut alice = Browser::of(&dashboard, "alice").await;
        assert_eq!(alice.get("/").await.status, 200);
        change(&dashboard, statement).await;
        refused(&mut alice, why).await;
        // What has ended is not shown as if it were alive, and who comes next sweeps it away.
        let mut bob = Browser::of(&dashboard, "bob").await;
        change(&dashboard, statement).await;
        let others = "SELECT count(*) FROM sessions";
        assert_eq!(dashboard.sql(others), "1", "{why}: a log-in forgets what has ended");
        let mut alice = Browser::of(&dashboard, "alice").await;
        assert_eq!(dashboard.sql(others), "1", "{why}: that of bob too");
        change(
            &dashboard,
            "INSERT INTO sessions (hash, actor, user_id, agent, expires_at, last_seen_at) SELECT 'x', 'user:alice', \
             user_id, 'an old browser', expires_at, '2020-01-01 00:00:00.000000' FROM sessions",
        )
        .await;
        for path in ["/account", "/users"] {
            let page = alice.get(path).await;
            assert!(
                page.status == 200 && !page.text.contains("an old browser"),
                "{path}: {}",
                page.text
            );
        }
        refused(&mut bob, why).await;
    }

    // Its owner ends it from another one; a stranger's number is not theirs to end; an admin may.
    let (mut first, mut second) = (
        Browser::of(&dashboard, "bob").await,
        Browser::of(&dashboard, "bob").await,
    );
    let mut alice = Browser::of(&dashboard, "alice").await;
    let number = |of: &str, nth: usize| {
        dashboard.sql(&format!(
            "SELECT id FROM sessions WHERE actor = 'user:{of}' ORDER BY id LIMIT 1 OFFSET {nth}"
        ))
    };
    let (of_first, of_alice) = (
        number("bob", 0),
        dashboard.sql("SELECT max(id) FROM sessions WHERE actor = 'user:alice'"),
    );
    assert_eq!(second.post(&format!("/sessions/{of_alice}/end"), &[]).await.status, 404);
    assert_eq!(second.post(&format!("/sessions/{of_first}/end"), &[]).await.status, 303);
    refused(&mut first, "ended by its owner").await;
    let of_second = number("bob", 0);
    assert_eq!(alice.post(&format!("/sessions/{of_second}/end"), &[]).await.status, 303);
    refused(&mut second, "ended by an admin").await;
    // Not that of who may more.
    user(&dashboard, "amy", "admin").await;
    let mut amy = Browser::of(&dashboard, "amy").await;
    let end = format!("/sessions/{of_alice}/end");
    let denied = amy.post(&end, &[]).await;
    assert_eq!(denied.status, 403, "{}", denied.text);
    assert_eq!(alice.get("/").await.status, 200);
    let of_amy = number("amy", 0);
    assert_eq!(alice.post(&format!("/sessions/{of_amy}/end"), &[]).await.status, 303);
    refused(&mut amy, "ended by who may more").await;
    assert_eq!(dashboard.post("/users/amy/disable", &json!({})).await.0, 200);

    // A changed password ends the others; a disabled account ends all.
    let (mut first, mut second) = (
        Browser::of(&dashboard, "bob").await,
        Browser::of(&dashboard, "bob").await,
    );
    let new = [
        ("new_password", "amber-kettle-radio-7"),
        ("again", "amber-kettle-radio-7"),
    ];
    let changed = second.post("/account/password", &new).await;
    assert_eq!(changed.status, 303, "{}", changed.text);
    refused(&mut first, "the password is another one").await;
    assert_eq!(second.get("/").await.status, 200, "the one that changed it stays");
    assert_eq!(alice.post("/users/bob/disable", &[]).await.status, 303);
    refused(&mut second, "disabled").await;
    assert_eq!(first.log_in("bob", "amber-kettle-radio-7", "").await.status, 403);

    // Names are never used again, and somebody stays admin.
    let again = json!({ "name": "bob", "password": PASSWORD, "role": "viewer" });
    assert_eq!(dashboard.post("/users", &again).await.0, 409);
    assert_eq!(dashboard.post("/users/alice/disable", &json!({})).await.0, 409);
    assert_eq!(
        dashboard
            .post("/users/alice/role", &json!({ "role": "viewer" }))
            .await
            .0,
        409
    );
    for action in [
        "session:open",
        "session:close",
        "session:revoke",
        "user:add",
        "user:passwd",
        "user:disable",
    ] {
        assert!(events(&dashboard, action).await > 0, "{action} is an event");
    }
}

#[tokio::test]
async fn who_logs_in_while_the_password_is_changed_is_not_left_in_with_the_old_one() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "viewer").await;
    let set = json!({ "password": "amber-kettle-radio-7" });
    let log_in = json!({ "name": "alice", "password": PASSWORD });
    let (set, answers) = futures_util::future::join(
        dashboard.post("/users/alice/password", &set),
        futures_util::future::join_all((0..5).map(|_| dashboard.post("/login", &log_in))),
    )
    .await;
    assert_eq!(set.0, 200, "{}", set.1);
    for (status, answer) in answers {
        assert!(status == 201 || status == 403 || status == 429, "{status}: {answer}");
        let Some(secret) = answer["session"].as_str() else {
            continue;
        };
        let me = reqwest::Client::new().get(format!("{}/api/v1/me", dashboard.url));
        let me = me.bearer_auth(secret).send().await.expect("an answer");
        assert_eq!(me.status(), 401, "a session of the old password");
    }
    assert_eq!(dashboard.sql("SELECT count(*) FROM sessions"), "0");
}

#[tokio::test]
async fn s50_a_form_of_another_site_changes_nothing() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "admin").await;
    user(&dashboard, "bob", "operator").await;
    let mut alice = Browser::of(&dashboard, "alice").await;
    let mut bob = Browser::of(&dashboard, "bob").await;
    bob.get("/account").await;
    let foreign = bob.token.clone();
    let run = [("op", "quick"), ("host", "localhost")];
    for token in [None, Some(""), Some("0000"), Some(foreign.as_str())] {
        let before = events(&dashboard, "refused").await;
        let mut form = run.to_vec();
        form.extend(token.map(|token| ("form_token", token)));
        let answer = alice.send("/run", &form).await;
        assert_eq!(answer.status, 403, "{token:?}: {}", answer.text);
        assert!(
            token.is_some() || events(&dashboard, "refused").await > before,
            "an event"
        );
    }
    // Nor what is no form at all, nor a log-in from elsewhere.
    let json = alice
        .client
        .post(format!("{}/run", alice.url))
        .header("cookie", alice.cookie());
    let json = json
        .header("sec-fetch-site", "same-origin")
        .json(&json!({ "op": "quick" }));
    assert_eq!(json.send().await.expect("an answer").status(), 403);
    let mut stranger = Browser::new(&dashboard);
    let form = [("name", "alice"), ("password", PASSWORD)];
    assert_eq!(stranger.send("/enter", &form).await.status, 403);
    assert_eq!(stranger.send("/logout", &[]).await.status, 401);
    assert_eq!(dashboard.sql("SELECT count(*) FROM commands"), "0");
    assert_eq!(alice.post("/run", &run).await.status, 303, "our own form");
    assert_eq!(
        events(&dashboard, "refused").await,
        3,
        "the same refusal of one actor is counted"
    );
}

#[tokio::test]
async fn two_dashboards_on_one_machine_log_nobody_out() {
    let (one, other) = futures_util::future::join(Dashboard::start(OPS), Dashboard::start(OPS)).await;
    for dashboard in [&one, &other] {
        user(dashboard, "alice", "viewer").await;
    }
    let mut browser = Browser::of(&one, "alice").await;
    browser.url.clone_from(&other.url);
    assert_eq!(browser.log_in("alice", PASSWORD, "").await.status, 303);
    assert_eq!(browser.get("/").await.status, 200);
    browser.url.clone_from(&one.url);
    assert_eq!(browser.get("/").await.status, 200, "cookies know no ports");
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    browser.url.clone_from(&other.url);
    assert_eq!(browser.get("/").await.status, 200);
}

#[tokio::test]
async fn a_next_place_stays_on_this_site() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "viewer").await;
    for (next, place) in [
        ("/history?op=quick", "/history?op=quick"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/ok\r\nset-cookie: a=b", "/"),
    ] {
        let mut browser = Browser::new(&dashboard);
        let page = browser.get(&format!("/enter?next={}", encode(next))).await;
        assert!(!page.text.contains("evil.example"), "{next}");
        let form = [("name", "alice"), ("password", PASSWORD), ("next", next)];
        let answer = browser.post("/enter", &form).await;
        assert_eq!((answer.status, answer.place.as_str()), (303, place), "{next:?}");
    }
}
