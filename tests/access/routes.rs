//! Every route and every role: what the table says, against what is written down here by hand.

use quarterdeck::domain::Ask;
use quarterdeck::web::{Need, list};
use reqwest::Method;

use super::browser::Browser;
use super::support::Dashboard;
use super::{OPS, events, host, token, user};

/// What each role may, by hand: the test must not ask the code that it tests.
fn may(role: &str, ask: Ask) -> bool {
    match ask {
        Ask::Account => true,
        Ask::See => role != "dangerous",
        Ask::Run | Ask::Steer | Ask::Test => role.starts_with("operator") || role == "admin",
        Ask::RunDangerous => false,
        Ask::Hosts | Ask::Users | Ask::Tokens | Ask::Settings => role == "admin",
        Ask::Link => false,
    }
}

/// What each route takes, by hand again; a route that is not here fails the test. Whoever adds one decides here too.
fn takes(method: &str, path: &str) -> Need {
    let is_page = !path.starts_with("/api/v1/");
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let first = path.split('/').nth(1).unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    Need::May(match (method, first, last) {
        (_, "healthz" | "readyz" | "static" | "enter" | "setup" | "login", _) => return Need::Open,
        (_, "account" | "sessions" | "logout" | "me", _) => Ask::Account,
        // What there is to ask for is for whoever is somebody.
        ("GET", "openapi.json", _) | ("GET", "api", "docs") => Ask::Account,
        (_, "users", _) => Ask::Users,
        (_, "tokens", _) => Ask::Tokens,
        // A page that starts or stops something is for whoever may; a program may look at what it would do.
        ("GET" | "POST", "pipelines", "new") => Ask::Run,
        ("GET", "pipelines", "retry") if is_page => Ask::Run,
        ("GET", "pipelines", "cancel") if is_page => Ask::Steer,
        ("POST", "pipelines", "preview") if is_page => Ask::Run,
        ("POST", "pipelines", "preview") => Ask::See,
        ("GET", "" | "history" | "commands" | "pipelines" | "hosts" | "log" | "definitions", _) => Ask::See,
        ("GET", "audit" | "export", "export") => Ask::See,
        (
            "GET",
            "ops" | "events" | "deliveries" | "state" | "recovery" | "pipeline-definitions" | "holds" | "settings",
            _,
        ) => Ask::See,
        // An auditor makes, prints and marks reports.
        (_, "audit" | "reports", _) => Ask::See,
        ("POST", "run" | "commands" | "pipelines", "run" | "commands" | "pipelines" | "retry" | "continue") => Ask::Run,
        (
            "POST",
            "commands",
            "stop" | "cancel" | "extend" | "find-out" | "resolve" | "acknowledge" | "keep" | "unkeep",
        ) => Ask::Steer,
        ("POST", "history", "acknowledge") => Ask::Steer,
        ("POST", "pipelines", "cancel" | "hold" | "keep" | "unkeep") => Ask::Steer,
        ("POST", "hosts", "test") => Ask::Test,
        ("POST", "hosts", "hosts" | "remove" | "accept-key") | ("DELETE", "hosts", _) => Ask::Hosts,
        ("POST", "notifications", "test") => Ask::Settings,
        ("POST", "sweep" | "holds" | "settings", _) => Ask::Settings,
        ("POST", "links", _) => Ask::Link,
        _ => panic!("{method} {path} is listed nowhere in this test: what does it take?"),
    })
}

const ROLES: [&str; 5] = ["dangerous", "viewer", "operator", "operator@lab", "admin"];

/// The address with something in its place that does not exist, so that nothing is changed where it is allowed.
fn example(path: &str) -> String {
    path.replace("{id}", "0fffffff-ffff-7fff-8fff-fffffffffff0")
        .replace("{name}", "nobody")
        .replace("{number}", "QD-2026-999999")
        .replace("{digest}", &"0".repeat(64))
        .replace("{file:.*}", "app.css")
}

#[tokio::test]
async fn s52_every_route_is_for_whom_it_should_be() {
    let dashboard = Dashboard::start(OPS).await;
    let routes: Vec<_> = list().collect();
    assert!(routes.len() > 70, "the whole table: {}", routes.len());
    for (index, role) in ROLES.iter().enumerate() {
        user(&dashboard, &format!("user{index}"), role).await;
        let secret = token(&dashboard, &format!("token{index}"), role).await;
        let mut browser = Browser::of(&dashboard, &format!("user{index}")).await;
        for (method, path, need) in &routes {
            assert_eq!(*need, takes(method.as_str(), path), "{method} {path}");
            let Need::May(ask) = need else { continue };
            // Ends the session under test; has a test of its own.
            if *path == "/logout" {
                continue;
            }
            let place = example(path);
            let before = events(&dashboard, "refused").await;
            let (status, text) = if path.starts_with("/api/v1/") {
                let method = Method::from_bytes(method.as_str().as_bytes()).expect("method");
                let request = browser.client.request(method, format!("{}{place}", dashboard.url));
                let answer = request.bearer_auth(&secret).send().await.expect("an answer");
                (answer.status().as_u16(), answer.text().await.expect("text"))
            } else if method.as_str() == "GET" {
                let answer = browser.get(&place).await;
                (answer.status, answer.text)
            } else {
                let answer = browser.post(&place, &[]).await;
                (answer.status, answer.text)
            };
            let denied = status == 403;
            assert_eq!(!denied, may(role, *ask), "{role}: {method} {path}: {status} {text}");
            assert!(
                status != 401 && status < 500,
                "{role}: {method} {path}: {status} {text}"
            );
            if denied {
                assert!(
                    events(&dashboard, "refused").await > before,
                    "{role}: {method} {path}: a refusal is an event"
                );
            }
        }
    }
}

#[tokio::test]
async fn s49_without_a_session_nothing_is_served() {
    let dashboard = Dashboard::start(OPS).await;
    let stranger = Browser::new(&dashboard);
    let open = [
        "/healthz",
        "/readyz",
        "/static/{file:.*}",
        "/enter",
        "/setup",
        "/api/v1/login",
    ];
    for there_are_users in [false, true] {
        if there_are_users {
            user(&dashboard, "alice", "admin").await;
        }
        for (method, path, need) in list() {
            if need == Need::Open {
                assert!(open.contains(&path), "{path} is for everybody: is that meant?");
                continue;
            }
            let verb = Method::from_bytes(method.as_str().as_bytes()).expect("method");
            let request = stranger
                .client
                .request(verb, format!("{}{}", dashboard.url, example(path)))
                .header("sec-fetch-site", "same-origin");
            let request = if path.starts_with("/api/v1/") {
                request.bearer_auth("qd_0000")
            } else {
                let port = dashboard.url.rsplit(':').next().expect("port");
                request.header("cookie", format!("qd_session_{port}={}", "0".repeat(64)))
            };
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            if path.starts_with("/api/v1/") {
                let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
                assert_eq!((status, kind.as_str()), (401, "application/problem+json"), "{path}");
            } else if method.as_str() != "GET" || path.ends_with("/tail") {
                assert_eq!(status, 401, "{method} {path}");
            } else if !there_are_users {
                assert_eq!(status, 403, "{method} {path}: not set up yet");
            } else {
                assert_eq!(status, 303, "{path}");
                let place = answer.headers()["location"].to_str().expect("text");
                assert!(place.starts_with("/enter"), "{path} -> {place}");
            }
        }
    }
    let poll = stranger.client.get(format!("{}/?live=x.1", dashboard.url));
    let poll = poll.header("hx-request", "true").send().await.expect("an answer");
    assert_eq!(poll.status(), 401, "a live poll");
}

#[tokio::test]
async fn another_spelling_of_an_address_takes_no_less() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "vera", "viewer").await;
    let secret = token(&dashboard, "reader", "viewer").await;
    let mut vera = Browser::of(&dashboard, "vera").await;
    for path in [
        "/users",
        "/%75sers",
        "/%55sers",
        "//users",
        "/./users",
        "/users/",
        "/hosts/..%2fusers",
        "/users%2f",
    ] {
        let answer = vera.get(path).await;
        assert!(
            matches!(answer.status, 403 | 404),
            "{path}: {} {}",
            answer.status,
            answer.text
        );
        assert!(!answer.text.contains("Add a user"), "{path}");
    }
    for path in [
        "/api/v1/users",
        "/api/v1/%75sers",
        "/api/v1//users",
        "/api/v1/hosts/..%2fusers",
        "/%61pi/v1/users",
    ] {
        let request = vera.client.get(format!("{}{path}", dashboard.url)).bearer_auth(&secret);
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        assert!(matches!(status, 403 | 404 | 303), "{path}: {status}");
    }
    let other = vera
        .client
        .delete(format!("{}/api/v1/commands", dashboard.url))
        .bearer_auth(&secret);
    assert_eq!(other.send().await.expect("an answer").status(), 405);
    let files = [
        "/static/../quarterdeck.toml",
        "/static/..%2f..%2fCargo.toml",
        "/static/%2e%2e/%2e%2e/etc/passwd",
    ];
    for path in files {
        assert!(vera.get(path).await.status >= 303, "{path}");
    }
}

/// What is registered past the table would be served by nobody's leave.
#[test]
fn routes_are_registered_in_the_table_only() {
    let web = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let mut folders = vec![web];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.ends_with("web/routes.rs") || path.ends_with("web/api/mod.rs") || path.ends_with("web/entry.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("source");
            for word in [
                ".route(",
                ".service(",
                "web::resource",
                "web::scope",
                "#[get(",
                "#[post(",
            ] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn s52_rights_end_at_the_tag() {
    let dashboard = Dashboard::start(OPS).await;
    host(&dashboard, "lab1", "lab").await;
    host(&dashboard, "prod1", "prod").await;
    user(&dashboard, "olga", "operator@lab").await;
    let mut olga = Browser::of(&dashboard, "olga").await;
    let run = |host: &'static str| [("op", "quick"), ("host", host)];
    let allowed = olga.post("/run", &run("lab1")).await;
    assert_eq!(allowed.status, 303, "{}", allowed.text);
    let denied = olga.post("/run", &run("prod1")).await;
    assert_eq!(denied.status, 403, "{}", denied.text);
    assert!(denied.text.contains("the role operator on prod1"), "{}", denied.text);
    let both = [("op", "quick"), ("host", "lab1"), ("host", "prod1")];
    assert_eq!(olga.post("/run", &both).await.status, 403, "one of two is not hers");
    assert_eq!(dashboard.sql("SELECT count(*) FROM commands"), "1");
    assert_eq!(dashboard.sql("SELECT count(*) FROM pipelines"), "0");

    // What somebody else runs on the other host is not hers to stop, and a retry is a run.
    let row = dashboard.run("quick", "prod1").await;
    let id = row["id"].as_str().expect("id").to_owned();
    dashboard.until_final(&id).await;
    for wish in ["stop", "extend", "retry", "find-out", "resolve", "acknowledge"] {
        let fields = [("span", "5m"), ("reason", "x"), ("sure", "yes"), ("note", "x")];
        let answer = olga.post(&format!("/commands/{id}/{wish}"), &fields).await;
        assert_eq!(answer.status, 403, "{wish}: {}", answer.text);
    }
    assert_eq!(olga.post("/hosts/prod1/test", &[]).await.status, 403);
    assert_eq!(olga.post("/hosts/lab1/test", &[]).await.status, 303);
    assert_eq!(olga.post("/hosts/lab1/remove", &[("name", "lab1")]).await.status, 403);

    // A page offers what may be done somewhere; a viewer's offers nothing of it.
    user(&dashboard, "vera", "viewer").await;
    let mut vera = Browser::of(&dashboard, "vera").await;
    for path in ["/".to_owned(), "/hosts/lab1".to_owned(), format!("/commands/{id}")] {
        let (hers, olgas) = (vera.get(&path).await, olga.get(&path).await);
        assert_eq!((hers.status, olgas.status), (200, 200), "{path}");
        assert!(!hers.text.contains("method=\"post\""), "{path}: {}", hers.text);
        assert!(
            path.starts_with("/commands") || olgas.text.contains("action=\"/run\""),
            "{path}"
        );
        assert!(
            !olgas.text.contains("action=\"/hosts\"") && !olgas.text.contains("/remove"),
            "{path}"
        );
    }

    // The same over the API, and for pipelines.
    let secret = token(&dashboard, "lab-ci", "operator@lab").await;
    let client = reqwest::Client::new();
    let post = |path: &str, body: serde_json::Value| {
        let request = client.post(format!("{}/api/v1{path}", dashboard.url));
        request.bearer_auth(&secret).json(&body).send()
    };
    let all = serde_json::json!({ "name": "quick", "all": true });
    assert_eq!(post("/pipelines", all).await.expect("an answer").status(), 403);
    let lab = serde_json::json!({ "name": "quick", "tags": ["lab"] });
    assert_eq!(post("/pipelines", lab).await.expect("an answer").status(), 202);
    let row: serde_json::Value = {
        let body = serde_json::json!({ "name": "quick", "hosts": ["prod1"] });
        let (status, row) = dashboard.post("/pipelines", &body).await;
        assert_eq!(status, 202, "{row}");
        row
    };
    let id = row["id"].as_str().expect("id");
    for wish in ["cancel", "hold", "continue", "retry"] {
        let answer = post(&format!("/pipelines/{id}/{wish}"), serde_json::json!({})).await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        assert_eq!(status, 403, "{wish}");
    }
}
