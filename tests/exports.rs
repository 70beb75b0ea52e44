//! Taking rows away: what goes out is what is there, whole, harmless, and in bounded memory.

mod support;

use std::fs;
use std::path::Path;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};
use support::cli::quarterdeck;
use support::page::Browser;
use support::{Dashboard, wait_for};

const QUIET: &str = "[probe]\ninterval = \"0s\"\n";

/// Text with which somebody tries to break out of a cell, a line, a page or a terminal.
const HOSTILE: &[&str] = &[
    "=HYPERLINK(\"http://evil.example\",\"click\")",
    "+1+1",
    "-1+1",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\r=1+1",
    "a \"quoted\" word, and a comma",
    "two\nlines\r\nand a third",
    "a\u{0}b",
    "\u{202e}gpj.exe",
    "\u{1b}[31mred\u{1b}[0m",
    "<script>alert(1)</script>",
    "';--",
    "\u{ff1d}1+1",
    "\u{ff0b}1+1",
    "\u{ff0d}1+1",
    "\u{ff20}SUM(A1:A9)",
    "harmless;=1+1",
    "harmless\t=1+1",
];

/// What a spreadsheet would take for a formula.
fn is_formula(cell: &str) -> bool {
    cell.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ])
}

/// The rows of a CSV, each cell under its head.
fn rows_of(csv: &[u8]) -> Vec<Vec<(String, String)>> {
    let mut reader = csv::Reader::from_reader(csv);
    let heads = reader.headers().expect("head").clone();
    let rows = reader.records().map(|row| {
        let row = row.expect("a row that can be read, as long as the head");
        heads
            .iter()
            .zip(row.iter())
            .map(|(head, cell)| (head.to_owned(), cell.to_owned()))
            .collect()
    });
    rows.collect()
}

fn cell<'r>(row: &'r [(String, String)], head: &str) -> &'r str {
    let found = row.iter().find(|(name, _)| name == head);
    &found.unwrap_or_else(|| panic!("no column {head}")).1
}

fn lines_of(jsonl: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(jsonl).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

/// Adds events behind the dashboard's back.
fn insert(file: &Path, rows: &str) {
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    let text = format!(
        "PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE;
         INSERT INTO event_log (category, level, actor, action, message, details) {rows}; COMMIT;"
    );
    connection.batch_execute(&text).expect("inserted");
}

#[tokio::test]
async fn s44_hostile_content_comes_back_as_it_is_and_starts_no_formula() {
    let qd = Dashboard::start(QUIET).await;
    for reason in HOSTILE {
        let (status, answer) = qd
            .post(
                "/commands",
                &json!({"op": "uptime", "hosts": ["localhost"], "reason": reason}),
            )
            .await;
        assert!(status == 202 || status == 409, "{status} {answer}");
    }
    let quoted = |text: &str| {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("CAST(x'{hex}' AS TEXT)")
    };
    let rows: Vec<String> = HOSTILE
        .iter()
        .map(|text| {
            format!(
                "('audit', 'info', 'user:a', 'hostile', {0}, json_object('said', {0}))",
                quoted(text)
            )
        })
        .collect();
    insert(&qd.path("data/quarterdeck.db"), &format!("VALUES {}", rows.join(", ")));

    // Commands, whose reasons people type.
    let csv = rows_of(&qd.bytes("/export?what=commands&format=csv").await);
    let jsonl = lines_of(&qd.bytes("/export?what=commands&format=jsonl").await);
    assert_eq!(csv.len(), HOSTILE.len());
    assert_eq!(jsonl.len(), HOSTILE.len());
    for ((row, line), reason) in csv.iter().zip(&jsonl).zip(HOSTILE) {
        let stored = line["reason"].as_str().unwrap_or_default();
        assert!(
            !stored.contains(['\u{0}', '\u{1b}', '\u{202e}']),
            "{stored:?} of {reason:?}"
        );
        let shown = cell(row, "reason");
        assert_eq!(
            shown.strip_prefix('\'').unwrap_or(shown),
            stored.strip_prefix('\'').unwrap_or(stored)
        );
        assert_eq!(cell(row, "id"), line["id"].as_str().expect("id"));
        assert_eq!(cell(row, "host"), "localhost");
    }
    // Events, whatever got into them.
    let csv = qd.bytes("/export?what=events&format=csv&action=hostile").await;
    let text = String::from_utf8_lossy(&csv);
    for quoted in ["\"harmless;=1+1\"", "\"harmless\t=1+1\""] {
        assert!(text.contains(quoted), "no separator of another program's: {text}");
    }
    let csv = rows_of(&csv);
    let jsonl = lines_of(&qd.bytes("/export?what=events&format=jsonl&action=hostile").await);
    assert_eq!(csv.len(), HOSTILE.len());
    assert_eq!(jsonl.len(), HOSTILE.len());
    for ((row, line), text) in csv.iter().zip(&jsonl).zip(HOSTILE) {
        assert_eq!(line["message"], *text);
        assert_eq!(line["details"]["said"], *text);
        let expected = if is_formula(text) {
            format!("'{text}")
        } else {
            (*text).to_owned()
        };
        assert_eq!(cell(row, "message"), expected);
        let details: Value = serde_json::from_str(cell(row, "details")).expect("JSON in a cell");
        assert_eq!(details["said"], *text);
    }
    // Nowhere a formula, in no export.
    for what in ["events", "commands", "pipelines"] {
        for row in rows_of(&qd.bytes(&format!("/export?what={what}&format=csv")).await) {
            for (head, cell) in row {
                assert!(!is_formula(&cell), "{what} {head}: {cell:?}");
            }
        }
    }
    // And on the page they are text.
    let browser = Browser::signed_in(&qd).await;
    let (status, page) = browser.get("/log?action=hostile").await;
    assert_eq!(status, 200);
    assert!(!page.contains("<script>alert(1)"), "{page}");
    assert!(
        page.contains("&#60;script&#62;alert(1)") || page.contains("&lt;script&gt;alert(1)"),
        "{page}"
    );
}

#[tokio::test]
async fn an_export_has_the_filters_of_its_page_and_is_an_event() {
    let qd = Dashboard::start(QUIET).await;
    let id = qd.accepted("uptime", "localhost").await;
    qd.until_final(&id).await;
    let browser = Browser::signed_in(&qd).await;
    // The links of the pages keep what the pages show.
    let (_, page) = browser.get("/log?level=success&action=op:uptime").await;
    let link = "/audit/export?what=events&amp;format=csv&amp;level=success&amp;action=op:uptime";
    let alternative = link.replace("&amp;", "&#38;");
    assert!(page.contains(link) || page.contains(&alternative), "{page}");
    let (status, csv) = browser
        .get("/audit/export?what=events&format=csv&level=success&action=op:uptime")
        .await;
    assert_eq!(status, 200);
    let rows = rows_of(csv.as_bytes());
    let expected = qd
        .events_of(&id)
        .await
        .into_iter()
        .filter(|event| event["level"] == "success")
        .count();
    assert_eq!(rows.len(), expected);
    assert!(
        rows.iter()
            .all(|row| cell(row, "command_id") == id && cell(row, "timestamp").ends_with('Z'))
    );
    let (_, page) = browser.get("/history?show=attention&op=uptime").await;
    assert!(
        page.contains("what=commands") && page.contains("show=attention") && page.contains("format=jsonl"),
        "{page}"
    );

    let events = qd.events().await;
    let exports: Vec<_> = events.iter().filter(|event| event["action"] == "export").collect();
    assert_eq!(exports.len(), 1, "{exports:?}");
    let details = &exports[0]["details"];
    let said = format!(": {} bytes handed to the connection", csv.len());
    assert!(
        exports[0]["message"].as_str().is_some_and(|text| text.ends_with(&said)),
        "{exports:?}"
    );
    assert_eq!(details["filters"], json!({"level": "success", "action": "op:uptime"}));
    assert_eq!(details["rows"], json!(rows.len()));
    assert_eq!(details["handed_over"], true);
    let digest = {
        use sha2::Digest as _;
        sha2::Sha256::digest(csv.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    assert_eq!(details["sha256"], digest, "the file is the one that was journaled");

    // What does not fit is said, not passed over: nothing stands in the event that the file was not made with.
    let long = format!("?what=events&format=csv&actor={}", "x".repeat(501));
    // The API names the parameter, the page the label of its form's field.
    for (query, field, label) in [
        ("", "what", "what"),
        ("?what=events", "format", "format"),
        ("?what=rows&format=csv", "what", "what"),
        ("?what=events&format=csv&op=uptime", "op", "Op"),
        ("?what=commands&format=csv&level=warn", "level", "level"),
        ("?what=events&format=csv&since=soon", "since", "Since"),
        ("?what=events&format=csv&host=nobody", "host", "Host"),
        ("?what=events&format=csv&colour=red", "colour", "colour"),
        ("?what=events&format=csv&level=error&level=info", "level", "level"),
        ("?what=events&format=csv&format=jsonl", "format", "format"),
        (long.as_str(), "actor", "Who"),
    ] {
        let (status, problem) = qd.get(&format!("/export{query}")).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)), "{query}: {problem}");
        let (status, page) = browser.get(&format!("/audit/export{query}")).await;
        assert_eq!(status, 400, "{query}: {page}");
        assert!(page.contains(&format!("{label}: ")), "{query}: {page}");
    }
    assert_eq!(
        qd.sql("SELECT count(*) FROM event_log WHERE action = 'export'"),
        "1",
        "what was refused took nothing away"
    );
}

#[tokio::test]
async fn nobody_begins_exports_without_end() {
    let qd = Dashboard::start(QUIET).await;
    let query = "/export?what=pipelines&format=csv";
    for _ in 0..60 {
        qd.bytes(query).await;
    }
    let (status, problem) = qd.get(query).await;
    assert_eq!(status, 429, "{problem}");
    let why = problem["detail"].as_str().unwrap_or_default();
    assert!(why.contains("60 exports within an hour"), "{problem}");
    assert_eq!(
        qd.sql("SELECT count(*) FROM event_log WHERE action = 'export'"),
        "60",
        "the one that was refused is none"
    );
    // Somebody else is not kept from it.
    let (_, made) = qd.post("/tokens", &json!({ "name": "reader", "role": "viewer" })).await;
    let request = reqwest::Client::new()
        .get(format!("{}/api/v1{query}", qd.url))
        .bearer_auth(made["token"].as_str().expect("its secret"));
    assert_eq!(request.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn the_command_line_takes_the_same_from_a_dashboard_and_from_a_copy() {
    let mut qd = Dashboard::start(QUIET).await;
    let id = qd.accepted("uptime", "localhost").await;
    qd.until_final(&id).await;
    let file = qd.path("taken.csv");
    let line = format!("audit export --action op:uptime --output {}", file.display());
    let (code, _, err) = quarterdeck(&qd, &line).await;
    assert_eq!(code, 0, "{err}");
    let live = fs::read(&file).expect("the file");
    assert!(!rows_of(&live).is_empty());
    let (code, jsonl, err) = quarterdeck(&qd, "audit export --what commands --format jsonl --status succeeded").await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(lines_of(jsonl.as_bytes())[0]["id"], id);
    let (code, _, err) = quarterdeck(&qd, "audit export --what commands --level warn").await;
    assert_eq!(code, 2, "{err}");
    qd.stop().await;
    let before = qd.sql("SELECT count(*) FROM event_log");
    let (code, at_rest, err) = quarterdeck(&qd, "audit export --action op:uptime").await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(at_rest.as_bytes(), live, "the same bytes");
    assert_eq!(
        qd.sql("SELECT count(*) FROM event_log"),
        before,
        "a journal at rest is only read"
    );
}

/// A figure of `/proc/PID/status`, in kilobytes.
fn kilobytes(pid: u32, name: &str) -> i64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find(|line| line.starts_with(name)).expect(name);
    line.split_whitespace()
        .nth(1)
        .and_then(|figure| figure.parse().ok())
        .expect("a figure")
}

#[tokio::test]
async fn a_long_export_takes_no_memory_and_ends_with_its_reader() {
    const ROWS: usize = 200_000;
    let qd = Dashboard::start(QUIET).await;
    let file = qd.path("data/quarterdeck.db");
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         SELECT 'system', 'info', 'system', 'filling', 'a sentence of some length, number ' || i, json_object('n', i) FROM n"
    );
    tokio::task::spawn_blocking(move || insert(&file, &fill))
        .await
        .expect("filled");
    // Once in small, so that what is made once is there.
    qd.bytes("/export?what=events&format=csv&action=host").await;
    fs::write(format!("/proc/{}/clear_refs", qd.pid()), "5").expect("the peak begins anew");
    let before = kilobytes(qd.pid(), "VmRSS");
    let url = "http://localhost/api/v1/export?what=events&format=csv&action=filling";
    // However slow the machine is: no time limit of the client's own.
    let patient = reqwest::Client::builder()
        .unix_socket(qd.path("data/quarterdeck.sock"))
        .build()
        .expect("client");
    let mut answer = patient.get(url).send().await.expect("an answer");
    let (mut lines, mut bytes) = (0, 0);
    while let Some(piece) = answer.chunk().await.expect("a piece") {
        lines += piece.iter().filter(|byte| **byte == b'\n').count();
        bytes += piece.len();
    }
    assert_eq!(lines, ROWS + 1, "all of them, and the head");
    let grown = kilobytes(qd.pid(), "VmHWM") - before;
    eprintln!("{bytes} bytes went out; the dashboard grew by {grown} KB at most");
    assert!(grown < 30_000, "{grown} KB");

    // Whoever goes away in the middle stops it, and that is journaled.
    let mut answer = patient.get(url).send().await.expect("an answer");
    answer.chunk().await.expect("a piece").expect("the first one");
    drop(answer);
    let broken = wait_for("the end of the export", async || {
        let (_, page) = qd.get("/events?action=export&limit=1").await;
        let last = page["events"][0].clone();
        (last["details"]["handed_over"] == false).then_some(last)
    })
    .await;
    let rows = broken["details"]["rows"].as_u64().expect("rows");
    assert!(rows > 0 && rows < ROWS as u64 / 2, "{broken}");
    assert_eq!(broken["level"], "warn");

    // Four at once, and no fifth before one of them has ended.
    let mut held = Vec::new();
    for _ in 0..4 {
        let answer = patient.get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        held.push(answer);
    }
    let fifth = patient.get(url).send().await.expect("an answer");
    assert_eq!(fifth.status(), 429);
    assert!(fifth.headers().contains_key("retry-after"));
    held.pop();
    wait_for("room for another", async || {
        let answer = patient.get(url).send().await.expect("an answer");
        (answer.status() == 200).then_some(())
    })
    .await;
}
