//! Limits of log-ins: whom they stop, whom they leave alone, and what a stranger learns from them: nothing.

use serde_json::json;

use super::browser::Browser;
use super::support::Dashboard;
use super::{OPS, PASSWORD, change, events, user};

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
    )
    .await;
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
async fn s51_what_a_proxy_says_and_nobody_can_read_is_counted_for_nobody() {
    let dashboard = Dashboard::start(&format!("proxies = [\"127.0.0.0/8\"]\n{OPS}")).await;
    user(&dashboard, "alice", "viewer").await;
    let from = |address: &str| vec![("x-forwarded-for".to_owned(), address.to_owned())];
    let mut browser = Browser::new(&dashboard);
    browser.headers = from("203.0.113.7:51234");
    browser.get("/enter").await;
    let before = events(&dashboard, "refused").await;
    for n in 0..25 {
        for address in ["unknown", "203.0.113.9, _hidden", "", "203.0.113.9,"] {
            browser.headers = from(address);
            let form = [("name", format!("nobody{n}")), ("password", PASSWORD.to_owned())];
            let form = form.each_ref().map(|(key, value)| (*key, value.as_str()));
            let answer = browser.post("/enter", &form).await;
            assert!(
                answer.status == 400 && answer.text.contains("X-Forwarded-For"),
                "{address:?}: {}",
                answer.text
            );
        }
        assert_eq!(browser.get("/").await.status, 400, "nor is anything shown");
    }
    assert_eq!(dashboard.sql("SELECT count(*) FROM login_attempts"), "0");
    assert_eq!(events(&dashboard, "refused").await, before + 1, "an event, counted");
    // The proxy's own requests, and those of its readable clients, are as before; a port does not count.
    for headers in [Vec::new(), from("203.0.113.7:40000"), from("[2001:db8::1]:443")] {
        let mut browser = Browser::new(&dashboard);
        browser.headers = headers;
        assert_eq!(browser.log_in("alice", PASSWORD, "").await.status, 303);
    }
    let opened = dashboard.events().await;
    let addresses: Vec<_> = opened
        .iter()
        .filter(|event| event["action"] == "session:open")
        .filter_map(|event| event["details"]["address"].as_str())
        .collect();
    assert_eq!(addresses, ["127.0.0.1", "203.0.113.7", "2001:db8::1"]);
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
    )
    .await;
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
    )
    .await;
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
    // Whoever it was that tried: the page says until when, and the other way in.
    let words = ["by whoever it was; try again after ", " UTC, in ", "quarterdeck open"];
    assert!(words.iter().all(|words| waits.text.contains(words)), "{}", waits.text);
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
    )
    .await;
    browser.cookies.clear();
    assert_eq!(browser.log_in("alice", PASSWORD, "").await.status, 303, "an hour later");
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
