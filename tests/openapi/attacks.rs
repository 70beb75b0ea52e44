//! What a program may get wrong, or try: each gets the answer that the document promises, and nothing else happens.

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use super::support::Dashboard;
use super::support::page::Browser;

/// A program with a token, over the network.
struct Program {
    client: Client,
    url: String,
    token: String,
}

impl Program {
    async fn of(dashboard: &Dashboard) -> Self {
        let wanted = json!({"name": "script", "role": "admin dangerous"});
        let (status, made) = dashboard.post("/tokens", &wanted).await;
        assert_eq!(status, 201, "{made}");
        Self {
            client: Client::new(),
            url: format!("{}/api/v1", dashboard.url),
            token: made["token"].as_str().expect("secret").to_owned(),
        }
    }

    async fn ask(&self, method: Method, path: &str, media: Option<&str>, body: impl Into<Vec<u8>>) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        let body = body.into();
        if !body.is_empty() {
            request = request.body(body);
        }
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        request.bearer_auth(&self.token).send().await.expect("an answer")
    }

    /// Posts JSON text; gives the status and the problem, which must be one.
    async fn refused(&self, path: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
        problem(self.ask(Method::POST, path, Some("application/json"), body).await).await
    }

    async fn refused_get(&self, path: &str) -> (u16, Value) {
        problem(self.ask(Method::GET, path, None, "").await).await
    }
}

async fn problem(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let url = answer.url().clone();
    let media = answer.headers().get("content-type").cloned();
    let text = answer.text().await.expect("text");
    assert!(
        media.is_some_and(|media| media == "application/problem+json"),
        "{url}: {status} {text}"
    );
    let problem: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(problem["status"], status, "{problem}");
    for key in ["type", "title", "detail"] {
        assert!(problem[key].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
    (status, problem)
}

#[tokio::test]
async fn a_body_that_is_no_good_is_refused_and_starts_nothing() {
    let dashboard = Dashboard::start("").await;
    let program = Program::of(&dashboard).await;
    let deep = format!("{}1{}", "[".repeat(60_000 / 2), "]".repeat(60_000 / 2));
    let good = r#""op": "uptime", "hosts": ["localhost"]"#;
    for (body, status, field, words) in [
        ("", 400, None, "one JSON object"),
        ("{", 400, None, "one JSON object"),
        ("null", 400, None, "one JSON object"),
        ("[1]", 400, None, "one JSON object"),
        ("\u{feff}{}", 400, None, "one JSON object"),
        (&deep, 400, None, "one JSON object"),
        (
            &format!("{{{good}, \"op\": \"disk\"}}"),
            400,
            None,
            "“op” is there twice",
        ),
        (&format!("{{{good}}} {{}}"), 400, None, "one JSON object"),
        (
            r#"{"op": "uptime", "host": ["localhost"]}"#,
            422,
            Some("host"),
            "did you mean “hosts”",
        ),
        (
            &format!("{{{good}, \"reasn\": \"x\"}}"),
            422,
            Some("reasn"),
            "did you mean “reason”",
        ),
        (r#"{"op": 1e400, "hosts": ["localhost"]}"#, 400, None, "one JSON object"),
        (
            r#"{"op": 99999999999999999999, "hosts": ["localhost"]}"#,
            422,
            Some("op"),
            "string",
        ),
        (
            r#"{"op": "uptime", "hosts": "localhost"}"#,
            422,
            Some("hosts"),
            "sequence",
        ),
        (r#"{"op": "uptime", "hosts": [null]}"#, 422, Some("hosts"), "string"),
        (
            r#"{"op": "uptime", "hosts": []}"#,
            422,
            Some("hosts"),
            "at least one host",
        ),
        (r#"{"op": "uptime"}"#, 422, Some("hosts"), "missing"),
        (
            r#"{"op": "uptme", "hosts": ["localhost"]}"#,
            404,
            Some("op"),
            "did you mean “uptime”",
        ),
        (r#"{"op": "uptime", "hosts": ["../etc"]}"#, 404, Some("host"), "no host"),
    ] {
        let (seen, problem) = program.refused("/commands", body).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(seen, status, "{shown}: {problem}");
        assert_eq!(problem["field"].as_str(), field, "{shown}: {problem}");
        let detail = problem["detail"].as_str().expect("detail");
        assert!(detail.contains(words), "{shown}: {detail}");
    }
    let (status, _) = program.refused("/commands", vec![b'{'; 65 * 1024]).await;
    assert_eq!(status, 413);
    let (status, problem) = program.refused("/commands", b"{\"op\": \"\xff\"}".to_vec()).await;
    assert_eq!(status, 400, "{problem}");
    for (body, field) in [
        (
            r#"{"name": "uptime", "hosts": ["localhost"], "max_parallel": 99999999999999999999}"#,
            "max_parallel",
        ),
        (
            r#"{"name": "uptime", "hosts": ["localhost"], "max_parallel": 0}"#,
            "max_parallel",
        ),
        (
            r#"{"name": "uptime", "hosts": ["localhost"], "max_parallel": 1.5}"#,
            "max_parallel",
        ),
        (
            r#"{"name": "uptime", "hosts": ["localhost"], "stop_when": "101 %"}"#,
            "stop_when",
        ),
        (
            r#"{"name": "uptime", "hosts": ["localhost"], "batches": [-1]}"#,
            "batches",
        ),
        (r#"{"name": "uptime"}"#, "hosts"),
    ] {
        let (status, problem) = program.refused("/pipelines", body).await;
        assert_eq!(
            (status, problem["field"].as_str()),
            (422, Some(field)),
            "{body}: {problem}"
        );
    }
    assert_eq!(dashboard.sql("SELECT count(*) FROM commands"), "0");
    assert_eq!(dashboard.sql("SELECT count(*) FROM pipelines"), "0");
}

#[tokio::test]
async fn only_json_is_taken_and_only_by_the_listed_methods() {
    let dashboard = Dashboard::start("").await;
    let program = Program::of(&dashboard).await;
    let body = r#"{"op": "uptime", "hosts": ["localhost"]}"#;
    for media in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonx"),
        Some("multipart/form-data; boundary=x"),
    ] {
        let answer = program.ask(Method::POST, "/commands", media, body).await;
        let (status, problem) = problem(answer).await;
        assert_eq!(
            (status, problem["field"].as_str()),
            (415, Some("Content-Type")),
            "{media:?}"
        );
        let (status, _) = self::problem(program.ask(Method::POST, "/login", media, body).await).await;
        assert_eq!(status, 415, "{media:?}");
    }
    let media = Some("Application/JSON; charset=utf-8");
    let answer = program.ask(
        Method::POST,
        "/pipelines/preview",
        media,
        r#"{"name": "uptime", "hosts": ["localhost"]}"#,
    );
    assert_eq!(answer.await.status(), 200);
    for (method, path, allow) in [
        (Method::PUT, "/commands", "GET, POST"),
        (Method::PATCH, "/hosts/localhost", "GET, DELETE"),
        (Method::DELETE, "/ops", "GET"),
        (Method::GET, "/sweep", "POST"),
        (Method::OPTIONS, "/users", "GET, POST"),
        (Method::TRACE, "/me", "GET"),
    ] {
        let answer = program.ask(method.clone(), path, None, "").await;
        assert_eq!(
            answer
                .headers()
                .get("allow")
                .map(reqwest::header::HeaderValue::as_bytes),
            Some(allow.as_bytes())
        );
        assert_eq!(problem(answer).await.0, 405, "{method} {path}");
    }
    assert_eq!(dashboard.sql("SELECT count(*) FROM commands"), "0");
}

#[tokio::test]
async fn ids_cursors_and_parameters_are_read_strictly() {
    let dashboard = Dashboard::start("").await;
    let program = Program::of(&dashboard).await;
    let nowhere = "0193a5c2-1f60-7c3e-8a4b-5d6e7f809102";
    for path in [
        "/commands/1%27%20OR%201=1".to_owned(),
        "/commands/%00".to_owned(),
        "/commands/..%2f..%2fetc%2fpasswd/output".to_owned(),
        "/commands/%25%25%25%25".to_owned(),
        "/commands/____".to_owned(),
        format!("/commands/{nowhere}"),
        format!("/commands/{nowhere}/output"),
        "/pipelines/x".to_owned(),
        format!("/pipelines/{nowhere}/retry"),
        "/hosts/..".to_owned(),
        "/hosts/%2e%2e%2f".to_owned(),
        format!("/hosts/{}", "x".repeat(5_000)),
        "/nothing".to_owned(),
    ] {
        let (status, problem) = program.refused_get(&path).await;
        assert_eq!(status, 404, "{path}: {problem}");
    }
    for (path, status, field) in [
        ("/commands?cursor=x", 400, "cursor"),
        ("/commands?cursor=1", 400, "cursor"),
        ("/pipelines?cursor=%00", 400, "cursor"),
        ("/events?cursor=-1", 400, "cursor"),
        ("/events?cursor=99999999999999999999", 400, "cursor"),
        ("/events?after=99999999999999999999", 422, "after"),
        ("/events?after=1&cursor=1", 422, "cursor"),
        ("/events?wait=61", 422, "wait"),
        ("/commands?limit=0", 422, "limit"),
        ("/commands?limit=1001", 422, "limit"),
        ("/commands?limit=1e2", 422, "limit"),
        ("/commands?limit=1&limit=2", 422, "limit"),
        ("/commands?host=", 422, "host"),
        ("/commands?hots=a", 422, "hots"),
        ("/commands?open=1", 422, "open"),
        ("/commands?status=BROKEN", 422, "status"),
        ("/commands?since=yesterday", 422, "since"),
        ("/commands?pipeline=x", 422, "pipeline"),
        ("/events?command=x", 422, "command"),
        ("/events?level=loud", 422, "level"),
    ] {
        let (seen, problem) = program.refused_get(path).await;
        assert_eq!(
            (seen, problem["field"].as_str()),
            (status, Some(field)),
            "{path}: {problem}"
        );
    }
    for key in ["", "a b", "ä", &"x".repeat(201)] {
        let request = program.client.post(format!("{}/commands", program.url));
        let request = request.bearer_auth(&program.token).header("Idempotency-Key", key);
        let answer = request.json(&json!({"op": "uptime", "hosts": ["localhost"]})).send();
        let (status, problem) = problem(answer.await.expect("answer")).await;
        assert_eq!(
            (status, problem["field"].as_str()),
            (422, Some("Idempotency-Key")),
            "{key}"
        );
    }
}

#[tokio::test]
async fn every_documented_parameter_is_taken_and_every_list_is_paged_by_its_cursor() {
    let dashboard = Dashboard::start("").await;
    let program = Program::of(&dashboard).await;
    let document = program.ask(Method::GET, "/openapi.json", None, "").await;
    let document: Value = document.json().await.expect("the document");
    let mut asked = 0;
    for path in ["/commands", "/pipelines", "/events"] {
        let operation = &document["paths"][format!("/api/v1{path}")]["get"];
        for parameter in operation["parameters"].as_array().expect("parameters") {
            let name = parameter["name"].as_str().expect("name");
            // No value fits all of them; what matters is that the name is known.
            let (_, text) = {
                let answer = program.ask(Method::GET, &format!("{path}?{name}=~"), None, "").await;
                (answer.status(), answer.text().await.expect("text"))
            };
            assert!(!text.contains("is not known here"), "{path}?{name}: {text}");
            asked += 1;
        }
    }
    assert!(asked >= 30, "{asked} parameters are documented");
    for _ in 0..3 {
        let id = dashboard.accepted("uptime", "localhost").await;
        dashboard.until_final(&id).await;
    }
    for list in ["commands", "events"] {
        let mut seen: Vec<Value> = Vec::new();
        let mut path = format!("/{list}?limit=1");
        loop {
            let page = program.ask(Method::GET, &path, None, "").await;
            let page: Value = page.json().await.expect("a page");
            let rows = page[list].as_array().expect("rows");
            assert!(rows.len() <= 1, "{page}");
            seen.extend(rows.iter().map(|row| row["id"].clone()));
            // An id as text, or an event's number.
            let next = page["next"].to_string();
            if page["next"].is_null() {
                break;
            }
            path = format!("/{list}?limit=1&cursor={}", next.trim_matches('"'));
        }
        let mut once = seen.clone();
        once.dedup();
        assert!(seen.len() >= 3 && once.len() == seen.len(), "{list}: {seen:?}");
    }
}

#[tokio::test]
async fn the_page_lists_every_operation_without_a_script_of_its_own() {
    let dashboard = Dashboard::start("").await;
    let stranger = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("client");
    let answer = stranger
        .get(format!("{}/api/docs", dashboard.url))
        .send()
        .await
        .expect("answer");
    assert_ne!(answer.status(), 200, "a stranger");
    let policy = answer.headers()["content-security-policy"].to_str().expect("policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let (status, page) = Browser::signed_in(&dashboard).await.get("/api/docs").await;
    assert_eq!(status, 200);
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("onclick"));
    assert!(page.matches("<script").count() == page.matches("<script src=\"/static/").count());
    let program = Program::of(&dashboard).await;
    let document: Value = program
        .ask(Method::GET, "/openapi.json", None, "")
        .await
        .json()
        .await
        .expect("document");
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let id = operation["operationId"].as_str().expect("id");
            assert!(page.contains(&format!("id=\"{id}\"")), "{method} {path}");
            assert!(
                page.contains(&format!("<code>{} {path}</code>", method.to_uppercase())),
                "{method} {path}"
            );
        }
    }
    for name in document["components"]["schemas"].as_object().expect("types").keys() {
        assert!(page.contains(&format!("id=\"type-{name}\"")), "{name}");
    }
    assert!(!page.contains('`'), "code is drawn as code");
    assert!(page.contains(&format!("{}/api/v1/openapi.json", dashboard.url)));
    // Every link within the page leads somewhere.
    for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "#{link}");
    }
}
