//! SCENARIOS 44, 46, 47 and issue 5, "Audit report": made by its form, printed by a real browser, read back from the PDF.

mod support;

use std::path::PathBuf;

use quarterdeck::domain::{Digest, report_stamp};
use serde_json::{Value, json};
use support::page::Browser;
use support::paper::{Printer, cells_of, size_of};
use support::{Dashboard, id_of};

const CONFIG: &str = r#"
zone = "Europe/Vienna"

[probe]
interval = "0s"

[report]
organisation = "Example & Sons \"Ltd\""

[[op]]
id = "pull"
script = "echo pulled"

[[op]]
id = "switch"
script = "printf '\\033[31mwarning\\033[0m: <script>alert(1)</script>\\n'; echo 'switched, but some units failed'; exit 4"

[[op]]
id = "slow"
script = "echo begun; sleep 600"

[[op]]
id = "wipe"
dangerous = true
script = "echo wiped"
"#;

const HOSTS: [&str; 3] = ["lab-01", "lab-02", "prod-01"];
const HOSTILE: &str = "<script>alert('x')</script> \"quoted\" & \u{202e}gnp.exe \u{1b}[31m =1+1 a-very-long-word-without-any-place-to-break-it-0123456789-0123456789-0123456789";

/// Where the printed pages go: a folder that outlives the test where one is named, for whoever wants to look at them.
fn sheet(qd: &Dashboard, name: &str) -> PathBuf {
    match std::env::var_os("QD_TEST_SHEETS") {
        Some(folder) => PathBuf::from(folder).join(name),
        None => qd.path(name),
    }
}

async fn host(qd: &Dashboard, name: &str, tag: &str) {
    let spool = qd.path(&format!("spool-{name}"));
    let body = json!({ "name": name, "local": true, "tags": [tag], "spool": spool });
    let (status, answer) = qd.post("/hosts", &body).await;
    assert_eq!(status, 201, "{answer}");
}

async fn run(qd: &Dashboard, op: &str, host: &str, reason: &str) -> String {
    let body = json!({ "op": op, "hosts": [host], "reason": reason });
    let (status, answer) = qd.post("/commands", &body).await;
    assert!(status == 202 || status == 409, "{status}: {answer}");
    id_of(&answer["commands"][0])
}

/// A small week: on every host what ends well and what does not, one refused, one cancelled, one without a reason.
async fn a_week(qd: &Dashboard) -> Vec<Value> {
    for (name, tag) in HOSTS.iter().zip(["lab", "lab", "prod"]) {
        host(qd, name, tag).await;
    }
    let mut ids = Vec::new();
    for name in HOSTS {
        for round in 0..6 {
            let id = run(qd, "pull", name, &format!("change {round}")).await;
            qd.until_final(&id).await;
            ids.push(id);
        }
    }
    let failed = run(qd, "switch", "lab-01", HOSTILE).await;
    qd.until_status(&failed, "ERROR").await;
    let slow = run(qd, "slow", "prod-01", "a long one").await;
    qd.until_output(&slow, "begun").await;
    let refused = run(qd, "pull", "prod-01", "too early").await;
    qd.until_status(&refused, "BLOCKED").await;
    let (status, _) = qd.post(&format!("/commands/{slow}/cancel"), &json!({ "reason": "enough" })).await;
    assert!(status < 300, "{status}");
    qd.until_status(&slow, "CANCELLED").await;
    let wiped = run(qd, "wipe", "lab-02", "").await;
    qd.until_final(&wiped).await;
    ids.extend([failed, slow, refused, wiped]);
    let mut rows = Vec::new();
    for id in ids {
        rows.push(qd.command(&id).await);
    }
    rows
}

/// Text without what a narrow column did to it.
fn plain(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_whitespace()).collect()
}

/// The line of a table of pairs.
fn has(page: &str, wanted: &str) -> bool {
    plain(page).contains(&plain(wanted))
}

fn number_of(place: &str) -> String {
    let number = place.strip_prefix("/audit/reports/").expect("a report");
    number.to_owned()
}

#[tokio::test]
async fn s47_a_report_prints_whole_on_a4_and_letter() {
    let qd = Dashboard::start(CONFIG).await;
    let rows = a_week(&qd).await;
    let browser = Browser::signed_in(&qd).await;
    let printer = Printer::signed_in(&qd.open().await).await;
    let (status, form) = browser.get("/audit").await;
    assert_eq!(status, 200);
    assert!(form.contains("Make the report"), "{form}");

    let asked = "range=today&events=yes&excerpts=yes&definitions=yes&coverage=switch";
    let mut numbers = Vec::new();
    for (paper, size) in [("a4", "A4"), ("letter", "letter")] {
        let place = browser.press("/audit/reports", &format!("{asked}&paper={paper}")).await;
        let number = number_of(&place);
        let file = sheet(&qd, &format!("report-{paper}.pdf"));
        let pages = printer.print(&format!("{}{place}", qd.url), &file).await;
        assert!(size_of(&file).contains(size), "{}", size_of(&file));
        let whole = cells_of(&file);
        let (_, html) = browser.get(&place).await;
        let digest = Digest::of(report_stamp::content_of(&html).expect("content").as_bytes()).to_string();

        // Every page: number, page X of Y, organisation, the beginning of the digest.
        assert!(pages.len() > 3, "{} pages", pages.len());
        for (at, page) in pages.iter().enumerate() {
            let place = format!("Page {} of {}", at + 1, pages.len());
            assert!(page.contains(&place), "{place}: {page}");
            assert!(page.contains(&place.to_lowercase()), "head: {page}");
            assert!(page.contains(&number), "{page}");
            assert!(page.contains("Example & Sons \"Ltd\""), "{page}");
            assert!(page.contains(&format!("SHA-256 {}", &digest[..16])), "{page}");
            assert!(!page.contains("Fleet"), "no navigation: {page}");
        }
        // Every row of the range, and what it says.
        for row in &rows {
            let id = row["id"].as_str().expect("id");
            assert!(has(&whole, id), "{id} is printed");
        }
        assert!(has(&whole, "expected 22 commands"), "{}", pages[0]);
        assert!(has(&whole, "and printed") || has(&whole, "all of them"), "{}", pages[0]);
        assert!(!has(&whole, "NOT ALL OF THEM"), "{}", pages[0]);
        let last = qd.sql(&format!("SELECT covers FROM reports WHERE number = '{number}'"));
        let events: i64 = last.parse().expect("number");
        for id in 1..=events {
            assert!(html.contains(&format!("<tr class=\"e\"><td class=\"num\">{id}</td>")), "event {id}");
        }
        assert!(has(&whole, "contiguous: no number is missing"), "{}", pages[0]);
        // Tables go on with their heads.
        let heads = pages.iter().filter(|page| page.contains("What happened")).count();
        let bodies = pages.iter().filter(|page| page.matches("local:").count() > 10 && !page.contains("How it ended"));
        assert!(heads >= 2 && heads >= bodies.count(), "{heads} pages with the head of the events");
        // Totals.
        for (name, count) in [("Succeeded", 19), ("Failed", 1), ("Cancelled", 1), ("Refused", 1), ("All", 22)] {
            let line = whole.lines().find(|line| line.split_whitespace().next() == Some(name));
            assert!(line.is_some_and(|line| line.contains(&count.to_string())), "{name}: {line:?}");
        }
        for (op, count) in [("pull", 19), ("switch", 1), ("slow", 1), ("wipe", 1)] {
            let counted = html.contains(&format!("<tr><td>{op}</td><td class=\"num\">{count}</td></tr>"));
            assert!(counted, "{op}: {count}");
        }
        // Exceptions stand before the commands, each with why.
        let (before, commands) = whole.split_once("4. Commands").expect("commands");
        let (_, exceptions) = before.split_once("3. Exceptions").expect("exceptions");
        for why in ["Failed, exit 4", "Refused:", "no reason was given"] {
            assert!(has(exceptions, why), "{why}: {exceptions}");
        }
        assert!(has(commands, "Cancelled by"), "{commands}");
        assert!(has(commands, "Stop asked for by local:"), "{commands}");
        // What is hostile is text.
        assert!(has(&whole, "<script>alert('x')</script>"), "the reason is shown");
        assert!(has(&whole, "warning: <script>alert(1)</script>"), "the output is shown, without colours");
        assert!(has(&whole, "\\u{202e}gnp.exe"), "nothing turns the line");
        assert!(!html.contains("<script>alert"), "and nothing of it is an element");
        // Coverage: hosts without a success first; definitions by digest; how to check; signatures.
        let (_, coverage) = whole.split_once("7. Coverage: switch").expect("coverage");
        assert!(has(coverage, "4 of 4 hosts had no success in the range."), "{coverage}");
        assert!(has(coverage, "last attempt"), "{coverage}");
        for row in &rows {
            assert!(has(&whole, row["definition"].as_str().expect("digest")), "{row}");
        }
        for text in [
            "Who did what on any host from",
            "Europe/Vienna",
            "Work done on hosts by other means",
            "events 7 days, commands and pipelines 30 days",
            "Clock synchronised",
            "Reviewed by",
            &digest,
        ] {
            assert!(has(&whole, text), "{text}");
        }
        numbers.push(number);
    }
    assert_eq!(numbers.len(), 2);
    assert!(numbers[0].ends_with("-000001") && numbers[1].ends_with("-000002"), "{numbers:?}");
    let console = printer.console().await;
    assert!(!console.contains("Content Security Policy") && !console.contains("SEVERE"), "{console}");
}
