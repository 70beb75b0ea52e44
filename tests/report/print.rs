//! On paper: every row, on every page its head and foot, nothing hostile at work.

use quarterdeck::domain::{Digest, report_stamp};
use serde_json::json;

use crate::support::Dashboard;
use crate::support::page::Browser;
use crate::support::paper::{Printer, cells_of, size_of};
use crate::{CONFIG, a_week, has, number_of, sheet};

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
            let once = page.to_lowercase().matches(&place.to_lowercase()).count();
            assert_eq!(once, 1, "once: {page}");
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
            assert!(
                html.contains(&format!("<tr class=\"e\"><td class=\"num\">{id}</td>")),
                "event {id}"
            );
        }
        assert!(has(&whole, "contiguous: no number is missing"), "{}", pages[0]);
        // Tables go on with their heads.
        let heads = pages.iter().filter(|page| page.contains("What happened")).count();
        let bodies = pages
            .iter()
            .filter(|page| page.matches("local:").count() > 10 && !page.contains("How it ended"));
        assert!(
            heads >= 2 && heads >= bodies.count(),
            "{heads} pages with the head of the events"
        );
        // Totals.
        for (name, count) in [
            ("Succeeded", 19),
            ("Failed", 1),
            ("Cancelled", 1),
            ("Refused", 1),
            ("All", 22),
        ] {
            let wanted = format!("{name} {count}");
            assert!(whole.lines().any(|line| line.trim() == wanted), "{wanted}: {whole}");
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
        assert!(has(commands, "Acknowledged by local:"), "{commands}");
        assert!(has(commands, "known since Monday"), "{commands}");
        assert!(has(commands, "Stop asked for by local:"), "{commands}");
        // What is hostile is text.
        assert!(has(&whole, "<script>alert('x')</script>"), "the reason is shown");
        assert!(
            has(&whole, "warning: <script>alert(1)</script>"),
            "the output is shown, without colours"
        );
        assert!(has(&whole, "\\u{202e}gnp.exe"), "nothing turns the line");
        assert!(!html.contains("<script>alert"), "and nothing of it is an element");
        // Coverage: hosts without a success first; definitions by digest; how to check; signatures.
        let (_, coverage) = whole.split_once("9. Coverage: switch").expect("coverage");
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
            "Good when this was made.",
            "No outside witness: this proves accident, not honesty.",
            "quarterdeck report 1",
            "quarterdeck checkpoint 1",
            "Reviewed by",
            &digest,
        ] {
            assert!(has(&whole, text), "{text}");
        }
        numbers.push(number);
    }
    assert_eq!(numbers.len(), 2);
    assert!(
        numbers[0].ends_with("-000001") && numbers[1].ends_with("-000002"),
        "{numbers:?}"
    );
    let console = printer.console().await.join("\n");
    assert!(
        !console.contains("Content Security Policy") && !console.contains("SEVERE"),
        "{console}"
    );
}

#[tokio::test]
async fn the_access_list_is_for_paper_too() {
    let qd = Dashboard::start(CONFIG).await;
    for (name, role) in [
        ("alice", "admin dangerous"),
        ("vera", "viewer"),
        ("olga", "operator@lab"),
    ] {
        let body = json!({ "name": name, "password": "violet-anchor-shovel-19", "role": role });
        assert_eq!(qd.post("/users", &body).await.0, 201);
    }
    assert_eq!(
        qd.post("/tokens", &json!({ "name": "ci", "role": "operator" })).await.0,
        201
    );
    let printer = Printer::signed_in(&qd.open().await).await;
    let file = sheet(&qd, "access.pdf");
    let pages = printer.print(&format!("{}/audit/access", qd.url), &file).await;
    let text = cells_of(&file);
    for words in [
        "Example & Sons",
        "Access list",
        "alice",
        "admin dangerous",
        "operator@lab",
        "none in the journal",
        "ci",
        "never",
    ] {
        assert!(has(&text, words), "{words}: {text}");
    }
    assert!(pages[0].contains("Page 1 of 1"), "{}", pages[0]);
    assert!(!text.contains("violet") && !text.contains("argon2"), "{text}");
}
