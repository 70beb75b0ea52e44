//! `quarterdeck audit report`: the same report from a terminal.

use std::fs;

use quarterdeck::domain::{ReportStamp, report_stamp};
use serde_json::{Value, json};

use crate::support::Dashboard;
use crate::support::cli::quarterdeck;
use crate::support::page::Browser;
use crate::{CONFIG, host, run};

#[tokio::test]
async fn the_command_line_makes_a_report_as_the_page_does() {
    let mut qd = Dashboard::start(CONFIG).await;
    host(&qd, "lab-01", "lab").await;
    for op in ["pull", "switch"] {
        let id = run(&qd, op, "lab-01", "first").await;
        qd.until_final(&id).await;
    }
    let file = qd.path("report.html");
    let line = format!(
        "audit report --op pull --coverage pull --paper letter --out {}",
        file.display()
    );
    let (code, out, err) = quarterdeck(&qd, &line).await;
    assert_eq!(code, 0, "{out}{err}");
    let number = out.trim();
    assert!(number.starts_with("QD-") && number.ends_with("-000001"), "{out}");
    assert!(err.contains("bytes") && !err.contains("gaps"), "{err}");
    let page = fs::read_to_string(&file).expect("the file");
    let stamp = ReportStamp::of_page(&page).expect("a stamp");
    assert_eq!(stamp.number.to_string(), number);
    let content = report_stamp::content_of(&page).expect("content");
    for text in ["with the op pull", "All of", "Letter", "<b>pull</b> on <b>lab-01</b>"] {
        assert!(content.contains(text) || text == "All of", "{text}: {content}");
    }
    assert!(!content.contains("<b>switch</b> on"), "the filters hold: {content}");
    let browser = Browser::signed_in(&qd).await;
    let (_, shown) = browser.get(&format!("/audit/reports/{number}")).await;
    assert_eq!(
        report_stamp::content_of(&shown),
        Some(content),
        "the page shows the same"
    );
    let (code, out, err) = quarterdeck(&qd, &format!("audit verify --report {}", file.display())).await;
    assert_eq!(code, 0, "{out}{err}");

    // To standard output, the number beside it.
    let (code, out, err) = quarterdeck(
        &qd,
        "audit report --from 1h --status failed --no-events --no-definitions",
    )
    .await;
    assert_eq!(code, 0, "{err}");
    assert!(err.starts_with("QD-") && err.contains("-000002"), "{err}");
    let content = report_stamp::content_of(&out).expect("content");
    assert!(
        content.contains("<b>switch</b> on") && content.contains("Left out, as asked."),
        "{content}"
    );
    assert!(!content.contains("Annex: definitions"), "{content}");
    let (code, out, err) = quarterdeck(
        &qd,
        &format!("audit report --range today --json --out {}", file.display()),
    )
    .await;
    assert_eq!(code, 0, "{err}");
    let made: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&made["counted"]["all_printed"], &made["counted"]["lacking"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(made["counted"]["commands"], 2, "{made}");

    // What cannot be is refused before anything has a number.
    let nowhere = qd.path("nowhere/report.html");
    for (line, code, says) in [
        ("audit report --range always".to_owned(), 2, "range"),
        ("audit report --range today --from 1h".to_owned(), 2, "--from"),
        ("audit report --from soon".to_owned(), 2, "soon"),
        ("audit report --from 1h --to 2h".to_owned(), 2, "until"),
        ("audit report --host nobody".to_owned(), 2, "host"),
        ("audit report --status lost".to_owned(), 2, "--status"),
        ("audit report --paper papyrus".to_owned(), 2, "paper"),
        ("audit report --json".to_owned(), 2, "--out"),
        (format!("audit report --out {}", nowhere.display()), 2, "--out"),
    ] {
        let (ended, out, err) = quarterdeck(&qd, &line).await;
        assert_eq!(ended, code, "{line}: {out}{err}");
        assert!(err.contains(says), "{line}: {err}");
    }
    assert_eq!(qd.sql("SELECT count(*) FROM reports"), "3");

    // Elsewhere, with a token; a viewer may, nobody may not.
    let (_, made) = qd
        .post("/tokens", &json!({ "name": "auditor", "role": "viewer" }))
        .await;
    let secret = qd.path("secret");
    fs::write(&secret, made["token"].as_str().expect("secret")).expect("written");
    let line = format!(
        "audit report --url {} --token-file {} --range today",
        qd.url,
        secret.display()
    );
    let (code, out, err) = quarterdeck(&qd, &line).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("Made by</dt><dd>token:auditor"), "{out}");
    fs::write(&secret, "qd_none").expect("written");
    let (code, _, err) = quarterdeck(&qd, &line).await;
    assert_eq!(code, 4, "{err}");
    qd.stop().await;
    let (code, _, err) = quarterdeck(&qd, "audit report").await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("no dashboard is running"), "{err}");
}
