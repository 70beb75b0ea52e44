//! SCENARIOS 44, 46, 47 and issue 5, "Audit report": made by its form, printed by a real browser, read back from the PDF.

mod support;

use std::path::PathBuf;
use std::process::Command;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use quarterdeck::domain::{Checkpoint, Digest, ReportStamp, report_stamp};
use serde_json::{Value, json};
use support::cli::quarterdeck;
use support::fake_clock::FakeClock;
use support::page::Browser;
use support::paper::{Printer, cells_of, size_of};
use support::{Dashboard, id_of, wait_for};

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

[[pipeline]]
id = "roll"
ops = ["pull", "switch"]

[[pipeline]]
id = "gently"
ops = ["pull"]

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
    let note = json!({ "note": "known since Monday" });
    let (status, answer) = qd.post(&format!("/commands/{failed}/acknowledge"), &note).await;
    assert!(status < 300, "{status}: {answer}");
    let slow = run(qd, "slow", "prod-01", "a long one").await;
    qd.until_output(&slow, "begun").await;
    let refused = run(qd, "pull", "prod-01", "too early").await;
    qd.until_status(&refused, "BLOCKED").await;
    let (status, _) = qd
        .post(&format!("/commands/{slow}/cancel"), &json!({ "reason": "enough" }))
        .await;
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

fn alter(qd: &Dashboard, sql: &str) {
    let file = qd.path("data/quarterdeck.db");
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    connection.batch_execute("PRAGMA busy_timeout=5000").expect("patience");
    connection.batch_execute(sql).expect("altered");
}

/// The text of an element, as a browser shows it.
fn text_of(html: &str, start: &str) -> String {
    let (_, rest) = html.split_once(start).unwrap_or_else(|| panic!("no {start}"));
    let text = rest.split("</pre>").next().unwrap_or_default();
    let signs = [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
    ];
    signs
        .iter()
        .fold(text.to_owned(), |text, (escaped, sign)| text.replace(escaped, sign))
}

/// Runs a line of shell in a folder; gives what it printed.
fn shell(folder: &std::path::Path, line: &str) -> String {
    let ran = Command::new("bash")
        .arg("-ec")
        .arg(line)
        .current_dir(folder)
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{line}: {said}");
    said
}

#[tokio::test]
async fn a_report_is_an_event_and_is_shown_again_byte_for_byte() {
    let mut qd = Dashboard::start(CONFIG).await;
    host(&qd, "lab-01", "lab").await;
    host(&qd, "prod-01", "prod").await;
    for name in ["lab-01", "prod-01"] {
        let id = run(&qd, "pull", name, "first").await;
        qd.until_final(&id).await;
    }
    let browser = Browser::signed_in(&qd).await;
    let asked = "range=today&tag=lab&op=pull&status=SUCCESS&events=yes&paper=a4&coverage=pull";
    let place = browser.press("/audit/reports", asked).await;
    let (_, first) = browser.get(&place).await;
    let content = report_stamp::content_of(&first).expect("content").to_owned();
    for text in [
        "on hosts tagged lab with the op pull from",
        "which of it ended as “Succeeded”",
        "tag lab (hosts that have it now), op pull, status “Succeeded”",
        "All of 1 host had a success in the range.",
        "<b>pull</b> on <b>lab-01</b>",
    ] {
        assert!(content.contains(text), "{text}: {content}");
    }
    assert!(!content.contains("prod-01"), "the filters hold: {content}");

    // It is an event with the digest, which a checkpoint covers; the stamp says the same.
    let digest = Digest::of(content.as_bytes());
    let stamp = ReportStamp::of_page(&first).expect("a stamp");
    assert_eq!(stamp.content, digest);
    assert_eq!(format!("/audit/reports/{}", stamp.number), place);
    let events = qd.events().await;
    let made: Vec<_> = events.iter().filter(|event| event["action"] == "report").collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0]["details"]["digest"], digest.to_string());
    assert_eq!(made[0]["details"]["counted"]["all_printed"], true);
    assert_eq!((stamp.first_event, stamp.last_event), (Some(1), Some(stamp.covers)));
    assert_eq!(stamp.events, stamp.covers, "all of them were of today");
    let checkpoint = Checkpoint::read(stamp.checkpoint.as_ref().expect("one was made")).expect("signed");
    assert_eq!(
        checkpoint.event_id,
        made[0]["id"].as_i64().expect("id"),
        "it covers the report itself"
    );
    assert_eq!(stamp.key, Some(checkpoint.key.fingerprint().to_string()));

    // What the page says of checking it without this program holds, word for word.
    let folder = qd.path("elsewhere");
    std::fs::create_dir(&folder).expect("folder");
    alter(
        &qd,
        &format!("VACUUM INTO '{}'", folder.join("quarterdeck.db").display()),
    );
    for (file, start) in [
        ("checkpoint.txt", "checkpoint.txt</p>\n<pre>"),
        ("signature.hex", "signature.hex</p>\n<pre>"),
        ("key.pem", "key.pem</p>\n<pre>"),
    ] {
        std::fs::write(folder.join(file), text_of(&first, start)).expect("file");
    }
    let check = text_of(&first, "<pre class=\"check\">");
    let said = shell(&folder, &check);
    assert!(said.contains(stamp.link.as_ref().expect("a link")), "{said}");
    assert!(said.contains("Signature Verified Successfully"), "{said}");

    // More happens, another version of everything: it says the same bytes.
    let id = run(&qd, "pull", "lab-01", "second").await;
    qd.until_final(&id).await;
    qd.stop().await;
    qd.start_again().await;
    let browser = Browser::signed_in(&qd).await;
    let (_, again) = browser.get(&place).await;
    assert_eq!(report_stamp::content_of(&again), Some(content.as_str()));
    assert_eq!(ReportStamp::of_page(&again).expect("a stamp"), stamp);
    // And so does the file that is kept elsewhere, which needs nothing of the dashboard.
    let (_, file) = browser.get(&format!("{place}/file")).await;
    assert_eq!(report_stamp::content_of(&file), Some(content.as_str()));
    assert_eq!(ReportStamp::of_page(&file).expect("a stamp"), stamp);
    assert!(
        !file.contains("<link") && !file.contains("<script") && file.contains("@page {"),
        "{file}"
    );

    check_report(&qd, &file, &stamp).await;

    // Somebody reviews it, once.
    assert!(again.contains("By nobody so far."), "{again}");
    let note = "note=looked%20at%20%3Cb%3Ethe%3C/b%3E%20exceptions";
    assert_eq!(browser.press(&format!("{place}/reviewed"), note).await, place);
    let (_, reviewed) = browser.get(&place).await;
    assert!(
        reviewed.contains(&format!("Up to event #{} by local:", stamp.covers)),
        "{reviewed}"
    );
    assert!(
        reviewed.contains("looked at &#60;b&#62;the&#60;/b&#62; exceptions"),
        "{reviewed}"
    );
    let (status, _) = browser.send(&format!("{place}/reviewed"), "").await;
    assert_eq!(status, 409, "not twice by the same person");
    let (_, form) = browser.get("/audit").await;
    assert!(
        form.contains("with filters") && !form.contains("since the last review"),
        "{form}"
    );
    let all = browser.press("/audit/reports", "range=today&events=yes").await;
    browser.press(&format!("{all}/reviewed"), "").await;
    let (_, form) = browser.get("/audit").await;
    assert!(form.contains("events since the last review of everything"), "{form}");
    let (_, list) = browser.get("/audit/reports").await;
    assert!(
        list.contains(&stamp.number.to_string()) && list.contains(&digest.to_string()),
        "{list}"
    );
    let log = qd.events().await;
    assert_eq!(log.iter().filter(|event| event["action"] == "report:review").count(), 2);

    // A copy that was altered is called that; one whose time is up is called that, and its digest stays.
    alter(
        &qd,
        "UPDATE reports SET digest = replace(digest, substr(digest, 1, 4), 'beef')",
    );
    let (_, wrong) = browser.get(&place).await;
    assert!(wrong.contains("is not what was printed when it was made"), "{wrong}");
    alter(
        &qd,
        &format!(
            "UPDATE reports SET digest = '{digest}'; UPDATE report_contents SET made_at = '2020-01-01 00:00:00' WHERE report_id = 1"
        ),
    );
    let (status, answer) = qd.post("/sweep", &json!({})).await;
    assert!(status < 300, "{answer}");
    let (status, gone) = browser.get(&place).await;
    assert_eq!(status, 200);
    assert!(
        gone.contains("is not kept any more") && gone.contains(&digest.to_string()),
        "{gone}"
    );
    let sweeps = qd.events().await;
    let swept = sweeps
        .iter()
        .any(|event| event["details"]["reports"] == 1 && event["action"] == "sweep");
    assert!(swept, "the sweep says so");
}

/// `audit verify` takes the kept page, or the number, and sees what was altered on it.
async fn check_report(qd: &Dashboard, file: &str, stamp: &ReportStamp) {
    let check = async |name: &str, page: &str| {
        let path = qd.path(name);
        std::fs::write(&path, page).expect("written");
        quarterdeck(qd, &format!("audit verify --report {}", path.display())).await
    };
    let (code, out, err) = check("kept.html", file).await;
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, _) = quarterdeck(qd, &format!("audit verify --report {}", stamp.number)).await;
    assert!(code == 0 && out.contains("the stamp alone was compared"), "{out}");
    let begins = file.find(report_stamp::BEGIN).expect("content");
    let lied = format!(
        "{}{}",
        &file[..begins],
        file[begins..].replacen("failed", "went well", 1)
    );
    let links = stamp.link.clone().expect("a link");
    let other = file.replace(&links, &links.chars().rev().collect::<String>());
    for (page, words) in [
        (lied, "the page was altered"),
        (other, "is not the one that it printed"),
        (
            file.replace(&format!("covers {}", stamp.covers), "covers 1"),
            "is not the one that it printed",
        ),
        (
            file.replace(stamp.key.as_deref().expect("a key"), &"0".repeat(64)),
            "another key",
        ),
    ] {
        let (code, out, err) = check("altered.html", &page).await;
        assert!(code == 1 && out.contains(words), "{words}: {code} {out}{err}");
    }
    for (given, words) in [
        ("QD-2020-000009", "there is no report"),
        ("nothing.html", "no such file"),
    ] {
        let (code, _, err) = quarterdeck(qd, &format!("audit verify --report {given}")).await;
        assert!(code == 2 && err.contains(words), "{given}: {err}");
    }
}

#[tokio::test]
async fn s46_what_cannot_be_read_is_refused_with_a_text() {
    let qd = Dashboard::start(CONFIG).await;
    let browser = Browser::signed_in(&qd).await;
    for (form, field) in [
        ("", "range"),
        ("range=always", "range"),
        ("range=custom&since=soon", "since"),
        ("range=custom&since=2026-01-02&until=2026-01-01", "until"),
        ("range=today&host=..%2F", "host"),
        ("range=today&host=nobody", "host"),
        ("range=today&status=LOST", "status"),
        ("range=today&actor=a%3Ab", "actor"),
        ("range=today&part=0", "part"),
        ("range=today&part=7", "part"),
        ("range=today&paper=papyrus", "paper"),
    ] {
        let (status, text) = browser.send("/audit/reports", form).await;
        assert_eq!(status, 400, "{form}: {text}");
        assert!(text.contains(&format!("{field}:")), "{form}: {text}");
    }
    assert_eq!(qd.sql("SELECT count(*) FROM reports"), "0", "none of them has a number");
    for place in [
        "/audit/reports/QD-2026-000001",
        "/audit/reports/1",
        "/audit/reports/QD-2026-000001/paper.css",
    ] {
        assert_eq!(browser.get(place).await.0, 404, "{place}");
    }
    let (status, _) = browser.send("/audit/reports/QD-2026-000001/reviewed", "").await;
    assert_eq!(status, 404);
    assert_eq!(browser.get("/audit/reports?before=x").await.0, 400);
    // One that was cut off while it was made keeps its number, and says so.
    alter(
        &qd,
        "INSERT INTO reports (number, made_at, made_by, parameters, paper, covers) VALUES ('QD-2026-000001', \
         '2026-11-23 12:00:00', 'user:alice', '{\"since\":\"2026-11-22\",\"until\":\"2026-11-23\",\"host\":null,\"tag\":null,\
         \"op\":null,\"actor\":null,\"status\":null,\"events\":true,\"excerpts\":false,\"definitions\":false,\
         \"coverage\":null,\"paper\":\"a4\",\"part\":1,\"up_to\":null}', 'a4', 1)",
    );
    let (status, html) = browser.get("/audit/reports/QD-2026-000001").await;
    assert!(
        status == 200 && html.contains("This report never became whole"),
        "{status} {html}"
    );
    let (status, _) = browser.send("/audit/reports/QD-2026-000001/reviewed", "").await;
    assert_eq!(status, 409);
    assert!(browser.get("/audit/reports").await.1.contains("not whole"));
    // An empty range is a report, too.
    let place = browser
        .press(
            "/audit/reports",
            "range=custom&since=2020-01-01&until=2020-01-02&events=yes",
        )
        .await;
    assert!(place.ends_with("-000002"), "{place}");
    let (_, html) = browser.get(&place).await;
    assert!(html.contains("none in the range"), "{html}");
    assert!(html.contains("None: nothing failed"), "{html}");
}

#[tokio::test]
async fn a_long_range_comes_in_parts_and_a_journal_that_does_not_fit_is_called_that() {
    let mut qd = Dashboard::start(CONFIG).await;
    host(&qd, "lab-01", "lab").await;
    let id = run(&qd, "pull", "lab-01", "first").await;
    qd.until_final(&id).await;
    qd.stop().await;
    // Rows that no event knows of.
    alter(
        &qd,
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10020) \
         INSERT INTO commands (id, host_id, op, status, created_at, started_at, finished_at, settled_at, exit_code, actor, \
             definition, output_cut, launches) \
         SELECT printf('00000000-0000-7000-8000-%012d', n), host_id, op, 'SUCCESS', created_at, started_at, finished_at, \
             settled_at, 0, 'user:alice', definition, 0, 1 FROM commands, n",
    );
    qd.start_again().await;
    let browser = Browser::signed_in(&qd).await;
    let place = browser
        .press("/audit/reports", "range=today&events=yes&definitions=yes")
        .await;
    let (_, html) = browser.get(&place).await;
    let content = report_stamp::content_of(&html).expect("content");
    assert!(
        content.contains("Part 1 of 2: commands 1 to 10000 of 10021 and events none"),
        "{}",
        &content[..2_000]
    );
    assert!(content.contains("expected 10000 commands and 0 events, printed 10000 and 0: all of them"));
    assert!(content.contains("BAD when this was made."), "verify's word is printed");
    assert_eq!(content.matches("<tr class=\"c\">").count(), 10_000);
    assert!(
        content.contains("<td>All</td><td class=\"num\">10021</td>"),
        "totals are of the whole"
    );

    if std::env::var_os("QD_TEST_SHEETS").is_some() {
        let printer = Printer::signed_in(&qd.open().await).await;
        let begun = std::time::Instant::now();
        let pages = printer
            .print(&format!("{}{place}", qd.url), &sheet(&qd, "long.pdf"))
            .await;
        eprintln!(
            "10,000 rows are {} pages, printed in {:?}",
            pages.len(),
            begun.elapsed()
        );
    }

    // The other part is one button away, and knows the same events.
    let (_, form) = html.split_once("class=\"part\">").expect("a form");
    let (form, _) = form.split_once("Make part 2").expect("its button");
    let fields: Vec<String> = form
        .split("<input type=\"hidden\" name=\"")
        .skip(1)
        .filter_map(|field| field.split_once("\" value=\""))
        .filter(|(name, _)| *name != "form_token")
        .map(|(name, rest)| {
            format!(
                "{name}={}",
                rest.split('"').next().unwrap_or_default().replace(':', "%3A")
            )
        })
        .collect();
    let other = browser.press("/audit/reports", &fields.join("&")).await;
    let (_, html) = browser.get(&other).await;
    let rest = report_stamp::content_of(&html).expect("content");
    let covers = ReportStamp::of_page(&html).expect("a stamp").covers;
    assert!(
        rest.contains("Part 2 of 2: commands 10001 to 10021 of 10021 and events 1 to"),
        "{}",
        &rest[..2_000]
    );
    assert_eq!(rest.matches("<tr class=\"c\">").count(), 21);
    assert_eq!(
        rest.matches("<tr class=\"e\">").count(),
        usize::try_from(covers).expect("small")
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

/// What a pipeline did is covered where every stage of it went well, and nowhere else.
#[tokio::test]
async fn coverage_names_the_hosts_without_a_success_first() {
    let qd = Dashboard::start(CONFIG).await;
    for name in HOSTS {
        host(&qd, name, "lab").await;
    }
    for (name, hosts) in [("gently", vec!["lab-01", "prod-01"]), ("roll", vec!["lab-02"])] {
        let (status, row) = qd.post("/pipelines", &json!({ "name": name, "hosts": hosts })).await;
        assert_eq!(status, 202, "{row}");
        let id = id_of(&row);
        wait_for("the pipeline's end", async || {
            let (_, row) = qd.get(&format!("/pipelines/{id}")).await;
            (!row["finished_at"].is_null()).then_some(())
        })
        .await;
    }
    let browser = Browser::signed_in(&qd).await;
    for (coverage, says, order) in [
        (
            "gently",
            "2 of 4 hosts had no success in the range.",
            ["lab-02", "localhost", "lab-01", "prod-01"],
        ),
        (
            "roll",
            "4 of 4 hosts had no success in the range.",
            ["lab-01", "lab-02", "localhost", "prod-01"],
        ),
        (
            "pull",
            "1 of 4 hosts had no success in the range.",
            ["localhost", "lab-01", "lab-02", "prod-01"],
        ),
    ] {
        let place = browser
            .press("/audit/reports", &format!("range=today&coverage={coverage}"))
            .await;
        let (_, html) = browser.get(&place).await;
        assert!(html.contains(says), "{coverage}: {html}");
        let hosts: Vec<&str> = html
            .split("<tr class=\"h\"><td>")
            .skip(1)
            .filter_map(|line| line.split('<').next())
            .collect();
        assert_eq!(hosts, order, "{coverage}");
    }
}

/// Three weeks later: what was printed is shown as it was, and what is printed now names what retention took.
#[tokio::test]
async fn what_retention_took_is_named() {
    let mut qd = Dashboard::prepare(CONFIG);
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-20 * 86_400);
    qd.start_again().await;
    host(&qd, "lab-01", "lab").await;
    let id = run(&qd, "pull", "lab-01", "of old").await;
    qd.until_final(&id).await;
    let browser = Browser::signed_in(&qd).await;
    let old = browser.press("/audit/reports", "range=today&events=yes").await;
    let (_, first) = browser.get(&old).await;
    assert!(first.contains("none: nothing of this range was removed"), "{first}");
    qd.stop().await;
    // Else the jump of the clock would be noticed, and the sweep wait for an hour.
    alter(&qd, "DELETE FROM sweeps");
    clock.is_off_by(0);
    qd.start_again().await;
    wait_for("the sweep", async || {
        let swept = "SELECT count(*) FROM event_log WHERE action = 'sweep' AND message LIKE 'Removed%'";
        (qd.sql(swept) != "0").then_some(())
    })
    .await;

    let browser = Browser::signed_in(&qd).await;
    let (_, again) = browser.get(&old).await;
    assert_eq!(report_stamp::content_of(&again), report_stamp::content_of(&first));
    assert!(
        again.contains("Retention has meanwhile removed events of this range"),
        "{again}"
    );
    assert!(!again.contains("is not what was printed"), "{again}");

    let new = browser
        .press("/audit/reports", "range=custom&since=2026-01-01&events=yes")
        .await;
    let (_, html) = browser.get(&new).await;
    let content = report_stamp::content_of(&html).expect("content");
    let oldest = qd.sql("SELECT min(id) FROM event_log");
    assert_ne!(oldest, "1");
    for text in [
        format!("The oldest event still in the journal is #{oldest} of"),
        "Removed by age:".to_owned(),
        format!("#{oldest} to #"),
        "Good when this was made.".to_owned(),
        id,
    ] {
        assert!(content.contains(&text), "{text}: {content}");
    }
    // The log begins later now, and the five lines still hold.
    let folder = qd.path("elsewhere");
    std::fs::create_dir(&folder).expect("folder");
    alter(
        &qd,
        &format!("VACUUM INTO '{}'", folder.join("quarterdeck.db").display()),
    );
    let stamp = ReportStamp::of_page(&html).expect("a stamp");
    let check = text_of(&html, "<pre class=\"check\">");
    let (chain, _) = check.split_once("xxd").expect("two commands");
    assert!(
        shell(&folder, chain).contains(stamp.link.as_ref().expect("a link")),
        "{check}"
    );
}

/// A place outside is named with its last checkpoint, and again once it has the report's own.
#[tokio::test]
async fn an_outside_witness_is_named() {
    let forward = "[[forward]]\nname = \"elsewhere\"\nfile = \"checkpoints.jsonl\"\nwitness = true\n";
    let qd = Dashboard::start(&format!("{CONFIG}\n{forward}")).await;
    wait_for("a witness", async || {
        (qd.sql("SELECT count(*) FROM witnesses") != "0").then_some(())
    })
    .await;
    let browser = Browser::signed_in(&qd).await;
    let place = browser.press("/audit/reports", "range=today").await;
    let (_, html) = browser.get(&place).await;
    let content = report_stamp::content_of(&html).expect("content");
    assert!(
        content.contains("elsewhere has checkpoint 1, which covers"),
        "{content}"
    );
    assert!(!content.contains("No outside witness"), "{content}");
    wait_for("the report's own checkpoint outside", async || {
        let (_, html) = browser.get(&place).await;
        html.contains("<dd class=\"long\">elsewhere, since ").then_some(())
    })
    .await;
}
