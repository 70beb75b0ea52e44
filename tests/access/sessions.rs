//! Coming in and going out: the first run, log-in and its limits, sessions and their ends, forms of other sites.

use diesel::prelude::*;
use serde_json::json;

use super::browser::{Browser, encode};
use super::support::Dashboard;
use super::support::fake_clock::FakeClock;
use super::{OPS, PASSWORD, events, user};

/// Changes a row behind the dashboard's back: time passes.
fn change(dashboard: &Dashboard, statement: &str) {
    let file = dashboard.path("data/quarterdeck.db");
    let mut connection = SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    diesel::sql_query("PRAGMA busy_timeout = 5000")
        .execute(&mut connection)
        .expect("pragma");
    diesel::sql_query(statement).execute(&mut connection).expect(statement);
}

#[tokio::test]
async fn the_first_minute_leads_from_the_printed_link_to_a_running_op() {
    let mut dashboard = Dashboard::start(OPS).await;
    let begun = std::time::Instant::now();
    let mut browser = Browser::new(&dashboard);
    let set_up = dashboard
        .welcome
        .strip_prefix(&dashboard.url)
        .expect("a link")
        .to_owned();
    assert!(set_up.starts_with("/setup?key="), "{set_up}");
    for path in ["/", "/history", "/enter", "/setup?key=0000", "/setup"] {
        assert_eq!(browser.get(path).await.status, 403, "{path}: nothing else is served");
    }
    assert_eq!(
        browser.get(&set_up).await.status,
        200,
        "looking at it does not use it up"
    );
    assert_eq!(browser.get(&set_up).await.status, 200);
    let key = set_up.split('=').nth(1).expect("key").to_owned();
    let form = |name: &'static str, password: &'static str| {
        [
            ("key", key.clone()),
            ("name", name.into()),
            ("password", password.into()),
        ]
    };
    for (name, password, words) in [("Alice!", PASSWORD, "lower-case"), ("alice", "short", "10 characters")] {
        let form = form(name, password);
        let form: Vec<_> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let answer = browser.post("/setup", &form).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text.contains(words), "{}", answer.text);
    }
    let good = form("alice", PASSWORD);
    let good: Vec<_> = good.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let wrong = [("key", "0000"), ("name", "alice"), ("password", PASSWORD)];
    assert_eq!(browser.post("/setup", &wrong).await.status, 403);
    let made = browser.post("/setup", &good).await;
    assert_eq!((made.status, made.place.as_str()), (303, "/"), "{}", made.text);
    let fleet = browser.get("/").await;
    assert!(fleet.text.contains("Run uptime"), "{}", fleet.text);
    let ran = browser.post("/run", &[("op", "uptime"), ("host", "localhost")]).await;
    let id = ran.place.strip_prefix("/commands/").expect("a command").to_owned();
    let row = dashboard.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["actor"].as_str()),
        (Some("SUCCESS"), Some("user:alice"))
    );
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());

    // The link is used up, for good.
    let mut other = Browser::new(&dashboard);
    assert_eq!(other.get(&set_up).await.status, 403);
    assert_eq!(other.get("/enter").await.status, 200);
    dashboard.kill().await;
    dashboard.start_again().await;
    assert!(dashboard.welcome.ends_with("/enter"), "{}", dashboard.welcome);
}

#[tokio::test]
async fn a_set_up_link_is_good_for_an_hour() {
    let mut dashboard = Dashboard::prepare(OPS);
    let clock = FakeClock::of(&mut dashboard);
    dashboard.start_again().await;
    let link = |dashboard: &Dashboard| {
        let link = dashboard.welcome.strip_prefix(&dashboard.url).expect("a link");
        (link.to_owned(), link.split('=').nth(1).expect("key").to_owned())
    };
    let (old, key) = link(&dashboard);
    let mut browser = Browser::new(&dashboard);
    assert_eq!(browser.get(&old).await.status, 200);
    clock.is_off_by(3599);
    assert_eq!(browser.get(&old).await.status, 200);
    clock.is_off_by(3601);
    assert_eq!(browser.get(&old).await.status, 403);
    let form = [("key", key.as_str()), ("name", "alice"), ("password", PASSWORD)];
    assert_eq!(browser.post("/setup", &form).await.status, 403, "the form of before");
    assert_eq!(dashboard.sql("SELECT count(*) FROM users"), "0");
    // A start prints another one.
    dashboard.kill().await;
    dashboard.start_again().await;
    let (new, key) = link(&dashboard);
    assert_ne!(new, old);
    assert_eq!(browser.get(&old).await.status, 403);
    assert_eq!(browser.get(&new).await.status, 200);
    let form = [("key", key.as_str()), ("name", "alice"), ("password", PASSWORD)];
    assert_eq!(browser.post("/setup", &form).await.status, 303);
}

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
        change(&dashboard, statement);
        refused(&mut alice, why).await;
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
async fn s51_bad_log_ins_are_limited_whatever_address_is_claimed() {
    let mut dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "viewer").await;
    let mut browser = Browser::new(&dashboard);
    let mut answers = Vec::new();
    for n in 0..8 {
        browser.headers = vec![("x-forwarded-for".to_owned(), format!("203.0.113.{n}"))];
        answers.push(browser.log_in("alice", "wrong-wrong-wrong", "").await.status);
    }
    assert_eq!(answers, [403, 403, 403, 403, 403, 429, 429, 429]);
    assert_eq!(
        browser.log_in("alice", PASSWORD, "").await.status,
        429,
        "also with the right one"
    );
    dashboard.kill().await;
    dashboard.start_again().await;
    browser.url.clone_from(&dashboard.url);
    assert_eq!(
        browser.log_in("alice", PASSWORD, "").await.status,
        429,
        "a restart forgives nothing"
    );

    // Names that change do not help either: the address is counted.
    let mut answers = Vec::new();
    for n in 0..20 {
        browser.headers = vec![("x-forwarded-for".to_owned(), format!("198.51.100.{n}"))];
        answers.push(
            browser
                .log_in(&format!("nobody{n}"), "wrong-wrong-wrong", "")
                .await
                .status,
        );
    }
    assert_eq!((answers[0], answers[19]), (403, 429), "{answers:?}");
    assert!(events(&dashboard, "session:locked").await >= 2, "lock-outs are events");

    // Time passes, and who knows the password comes in.
    change(
        &dashboard,
        "UPDATE login_attempts SET last_at = '2020-01-01 00:00:00.000000'",
    );
    assert_eq!(browser.log_in("alice", PASSWORD, "").await.status, 303);
}

#[tokio::test]
async fn s51_a_trusted_proxy_says_who_it_is() {
    let dashboard = Dashboard::start(&format!("proxies = [\"127.0.0.0/8\"]\n{OPS}")).await;
    user(&dashboard, "alice", "viewer").await;
    let mut browser = Browser::new(&dashboard);
    let from = |address: &str| vec![("x-forwarded-for".to_owned(), address.to_owned())];
    let mut last = 0;
    for n in 0..21 {
        // What stands before the proxy's own word is anybody's invention.
        browser.headers = from(&format!("10.9.9.{n}, 203.0.113.7"));
        last = browser
            .log_in(&format!("nobody{n}"), "wrong-wrong-wrong", "")
            .await
            .status;
    }
    assert_eq!(last, 429);
    assert_eq!(
        browser.log_in("alice", PASSWORD, "").await.status,
        429,
        "that address has to wait"
    );
    browser.headers = from("203.0.113.8");
    browser
        .headers
        .push(("x-forwarded-proto".to_owned(), "https".to_owned()));
    assert_eq!(
        browser.log_in("alice", PASSWORD, "").await.status,
        303,
        "another one has not"
    );
    let opened = dashboard.events().await;
    let opened = opened
        .iter()
        .rev()
        .find(|event| event["action"] == "session:open")
        .expect("event");
    assert_eq!(opened["details"]["address"], "203.0.113.8");
}

#[tokio::test]
async fn s51_a_stranger_locks_nobody_out() {
    let mut dashboard = Dashboard::start(&format!("proxies = [\"127.0.0.0/8\"]\n{OPS}")).await;
    user(&dashboard, "alice", "operator dangerous").await;
    let mut alice = Browser::new(&dashboard);
    alice.headers = vec![("x-forwarded-for".to_owned(), "203.0.113.1".to_owned())];
    assert_eq!(alice.log_in("alice", PASSWORD, "").await.status, 303);
    let client = reqwest::Client::new();
    let wrong = json!({ "name": "alice", "password": "wrong-wrong-wrong" });
    let login = |kind: &'static str, headers: &[(&'static str, &'static str)]| {
        let mut request = client.post(format!("{}/api/v1/login", dashboard.url));
        request = request
            .header("x-forwarded-for", "198.51.100.66")
            .header("content-type", kind);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(wrong.to_string());
        async move { request.send().await.expect("an answer").status().as_u16() }
    };

    let counted = || dashboard.sql("SELECT sum(failures) FROM login_attempts");
    let before = counted();

    // What a page of another site can make a browser send is not even tried.
    let from_elsewhere = [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(login("text/plain", &from_elsewhere).await, 403);
    assert_eq!(login("application/json", &from_elsewhere).await, 403);
    assert_eq!(login("application/json", &from_elsewhere[..1]).await, 403);
    assert_eq!(login("text/plain", &[]).await, 415);
    assert_eq!(counted(), before, "nothing of that is counted");

    // A stranger uses up what is free; from there nobody is alice any more, but elsewhere she is.
    let mut answers = Vec::new();
    for _ in 0..7 {
        answers.push(login("application/json", &[]).await);
    }
    assert_eq!(answers, [403, 403, 403, 403, 403, 429, 429]);
    change(
        &dashboard,
        "UPDATE sessions SET proved_at = '2020-01-01 00:00:00.000000'",
    );
    let hurts = [("op", "hurts"), ("host", "localhost"), ("confirm_it_is_me", PASSWORD)];
    let ran = alice.post("/run", &hurts).await;
    assert!(
        ran.status != 429 && !ran.text.contains("too many"),
        "{}: {}",
        ran.status,
        ran.text
    );
    assert_ne!(
        dashboard.sql("SELECT max(proved_at) FROM sessions"),
        "2020-01-01 00:00:00.000000",
        "who has a session confirms it"
    );
    let right = json!({ "name": "alice", "password": PASSWORD });
    assert_eq!(dashboard.post("/login", &right).await.0, 201, "on this machine");
    let mut elsewhere = Browser::new(&dashboard);
    elsewhere.headers = vec![("x-forwarded-for".to_owned(), "203.0.113.2".to_owned())];
    assert_eq!(
        elsewhere.log_in("alice", PASSWORD, "").await.status,
        303,
        "from elsewhere"
    );

    // Who guesses from everywhere is stopped all the same.
    for network in 0..9 {
        let mut guesses = Browser::new(&dashboard);
        guesses.headers = vec![("x-forwarded-for".to_owned(), format!("198.51.{network}.1"))];
        for _ in 0..5 {
            assert_eq!(guesses.log_in("alice", "wrong-wrong-wrong", "").await.status, 403);
        }
    }
    let mut elsewhere = Browser::new(&dashboard);
    elsewhere.headers = vec![("x-forwarded-for".to_owned(), "203.0.113.3".to_owned())];
    assert_eq!(
        elsewhere.log_in("alice", PASSWORD, "").await.status,
        429,
        "the account itself"
    );
    assert_eq!(dashboard.post("/login", &right).await.0, 201, "but not on this machine");
    // So for longer than the rest of this takes.
    change(
        &dashboard,
        "UPDATE login_attempts SET failures = 53 WHERE failures = 50",
    );
    // Where she has logged in before nobody keeps her out, over a restart too.
    dashboard.kill().await;
    dashboard.start_again().await;
    for known in ["203.0.113.1", "203.0.113.2"] {
        let mut browser = Browser::new(&dashboard);
        browser.headers = vec![("x-forwarded-for".to_owned(), known.to_owned())];
        assert_eq!(browser.log_in("alice", PASSWORD, "").await.status, 303, "{known}");
    }
    elsewhere.url.clone_from(&dashboard.url);
    let waits = elsewhere.log_in("alice", PASSWORD, "").await;
    assert_eq!(waits.status, 429);
    assert!(
        waits.again.is_some_and(|seconds| (1..=241).contains(&seconds)),
        "{:?}",
        waits.again
    );
    let locked = dashboard.events().await;
    let locked: Vec<_> = locked
        .iter()
        .filter(|event| event["action"] == "session:locked")
        .collect();
    assert!(locked.len() >= 11, "each network, and the account");
    assert!(
        locked.iter().all(|event| event["details"]["user"] == "alice"
            && event["message"].as_str().is_some_and(|text| text.contains("alice"))),
        "{locked:?}"
    );

    // A session has its own limit.
    let wrong = [("op", "hurts"), ("host", "localhost"), ("confirm_it_is_me", "wrong")];
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(alice.post("/run", &wrong).await.status);
    }
    assert_eq!(answers, [403, 403, 403, 403, 403, 429]);
}

#[tokio::test]
async fn a_lock_out_names_an_account_that_is_there_only() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "viewer").await;
    let mut browser = Browser::new(&dashboard);
    for name in ["alice", "amber-kettle-radio-7"] {
        for _ in 0..5 {
            assert_eq!(browser.log_in(name, "wrong-wrong-wrong", "").await.status, 403);
        }
        let waits = browser.log_in(name, "wrong-wrong-wrong", "").await;
        assert_eq!(waits.status, 429);
        assert!(
            waits.again.is_some_and(|seconds| (1..=31).contains(&seconds)),
            "{:?}",
            waits.again
        );
    }
    let program = reqwest::Client::new().post(format!("{}/api/v1/login", dashboard.url));
    let program = program.json(&json!({ "name": "alice", "password": PASSWORD }));
    let program = program.send().await.expect("an answer");
    assert_eq!(program.status(), 429);
    assert!(program.headers().contains_key("retry-after"), "{:?}", program.headers());
    let locked = dashboard.events().await;
    let locked: Vec<_> = locked
        .iter()
        .filter(|event| event["action"] == "session:locked")
        .collect();
    assert_eq!(locked.len(), 2);
    assert_eq!(locked[0]["details"]["user"], "alice", "{}", locked[0]);
    assert!(locked[1]["details"]["user"].is_null(), "{}", locked[1]);
    assert!(!locked[1].to_string().contains("amber"), "{}", locked[1]);
}

#[tokio::test]
async fn log_ins_that_go_well_have_a_limit_too() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "viewer").await;
    user(&dashboard, "bob", "viewer").await;
    let mut browser = Browser::new(&dashboard);
    let mut went_well = 0;
    let waits = loop {
        browser.cookies.clear();
        let answer = browser.log_in("alice", PASSWORD, "").await;
        if answer.status != 303 {
            break answer;
        }
        went_well += 1;
        assert!(went_well <= 60, "no limit");
    };
    assert_eq!((waits.status, went_well), (429, 60), "{}", waits.text);
    assert!(waits.again.is_some_and(|seconds| seconds > 3000), "{:?}", waits.again);
    assert_eq!(dashboard.sql("SELECT count(*) FROM sessions"), "60");
    assert_eq!(events(&dashboard, "session:locked").await, 1);
    browser.cookies.clear();
    assert_eq!(browser.log_in("bob", PASSWORD, "").await.status, 303);
    let right = json!({ "name": "alice", "password": PASSWORD });
    assert_eq!(dashboard.post("/login", &right).await.0, 201, "on this machine");
    change(
        &dashboard,
        "UPDATE login_attempts SET last_at = datetime(last_at, '-61 minutes') || '.000000'",
    );
    browser.cookies.clear();
    assert_eq!(browser.log_in("alice", PASSWORD, "").await.status, 303, "an hour later");
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
async fn an_unknown_name_and_a_wrong_password_look_the_same() {
    let dashboard = Dashboard::start(&format!("proxies = [\"127.0.0.0/8\"]\n{OPS}")).await;
    user(&dashboard, "alice", "viewer").await;
    user(&dashboard, "carol", "viewer").await;
    dashboard.post("/users/carol/disable", &json!({})).await;
    let mut browser = Browser::new(&dashboard);
    let strip = |text: String, name: &str| text.replace(name, "NAME");
    let mut answers = Vec::new();
    let names = ["alice", "nobody", "carol"];
    let mut times = [u128::MAX; 3];
    let differ = |times: &[u128; 3]| times.iter().max() >= times.iter().min().map(|least| least * 3).as_ref();
    // In turns, so that whatever else the machine does falls on all of them; longer where it does much.
    for round in 0..30 {
        if round >= 4 && !differ(&times) {
            break;
        }
        browser.headers = vec![("x-forwarded-for".to_owned(), format!("203.0.{round}.7"))];
        for (name, best) in names.into_iter().zip(&mut times) {
            browser.get("/enter").await;
            let begun = std::time::Instant::now();
            let form = [
                ("name", name),
                ("password", "wrong-wrong-wrong"),
                ("code", ""),
                ("next", "/"),
            ];
            let answer = browser.post("/enter", &form).await;
            *best = (*best).min(begun.elapsed().as_micros());
            let page = strip(answer.text, name)
                .split("data-now=")
                .last()
                .map(|rest| rest[40..].to_owned());
            answers.push((answer.status, page));
        }
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "the same answer");
    assert!(!differ(&times), "the same work: {times:?} µs");
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
