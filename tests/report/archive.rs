//! What sweeps have moved into the archive is in the report as it was in the tables; what is in neither is named.

use std::path::PathBuf;

use quarterdeck::domain::{ReportStamp, report_stamp};
use serde_json::json;

use crate::support::cli::quarterdeck;
use crate::support::fake_clock::FakeClock;
use crate::support::page::Browser;
use crate::support::{Dashboard, files, wait_for};
use crate::{CONFIG, alter, host, run, shell, text_of};

const DAY: i64 = 86_400;

/// What a dashboard of 40 days ago journaled.
struct Past {
    qd: Dashboard,
    clock: FakeClock,
    commands: Vec<String>,
    /// The report of that day, as it was made on it.
    report: String,
    content: String,
    kept: String,
}

async fn past() -> Past {
    let mut qd = Dashboard::prepare(CONFIG);
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-40 * DAY);
    qd.start_again().await;
    for (name, tag) in [("lab-01", "lab"), ("prod-01", "prod")] {
        host(&qd, name, tag).await;
    }
    let mut commands = Vec::new();
    for (op, name) in [
        ("pull", "lab-01"),
        ("pull", "lab-01"),
        ("switch", "lab-01"),
        ("pull", "prod-01"),
        ("switch", "prod-01"),
    ] {
        let id = run(&qd, op, name, "of old").await;
        qd.until_final(&id).await;
        commands.push(id);
    }
    let pipeline = qd.started(&json!({ "name": "gently", "hosts": ["lab-01"] })).await;
    qd.until_through(&pipeline).await;
    let kept = run(&qd, "switch", "prod-01", "a case").await;
    qd.until_final(&kept).await;
    let (status, row) = qd
        .post(&format!("/commands/{kept}/keep"), &json!({ "reason": "case 4711" }))
        .await;
    assert_eq!(status, 202, "{row}");
    commands.push(kept.clone());
    let browser = Browser::signed_in(&qd).await;
    let report = browser
        .press("/audit/reports", "range=today&events=yes&definitions=yes&coverage=pull")
        .await;
    let (_, html) = browser.get(&report).await;
    let content = report_stamp::content_of(&html).expect("content").to_owned();
    Past {
        qd,
        clock,
        commands,
        report,
        content,
        kept,
    }
}

impl Past {
    /// Today, when the sweep has taken what is old; nothing but the present is newer.
    async fn swept(&mut self) {
        self.qd.stop().await;
        self.clock.is_off_by(0);
        // Else the jump of the clock would be noticed, and the sweep wait for an hour.
        alter(&self.qd, "DELETE FROM sweeps");
        self.qd.start_again().await;
        wait_for("the sweep", async || (!self.files().is_empty()).then_some(())).await;
    }

    fn files(&self) -> Vec<PathBuf> {
        files(&self.qd.path("data/archive"), ".jsonl.gz")
    }
}

/// The rows of a report, as they stand in it.
fn rows(content: &str, class: &str) -> Vec<String> {
    let lines = content
        .lines()
        .filter(|line| line.starts_with(&format!("<tr class=\"{class}\">")));
    // A range over a change of clocks names the offset of each time.
    lines
        .map(|line| line.replace(" CEST", "").replace(" CET", ""))
        .collect()
}

#[tokio::test]
async fn what_sweeps_took_is_read_from_the_archive() {
    let mut past = past().await;
    past.swept().await;
    let (qd, first) = (&past.qd, past.content.clone());
    let oldest: i64 = qd.sql("SELECT min(id) FROM event_log").parse().expect("number");
    assert!(oldest > 1, "the table is shorter now");
    let browser = Browser::signed_in(qd).await;
    let (_, again) = browser.get(&past.report).await;
    assert_eq!(report_stamp::content_of(&again), Some(first.as_str()), "byte for byte");
    assert!(again.contains("Sweeps have meanwhile taken events"), "{again}");

    let stamp = ReportStamp::of_page(&again).expect("a stamp");
    let form = format!("of={}", stamp.number);
    let place = browser.press("/audit/reports", &form).await;
    let (_, html) = browser.get(&place).await;
    let content = report_stamp::content_of(&html).expect("content");
    let name = past.files()[0]
        .file_name()
        .expect("name")
        .to_string_lossy()
        .into_owned();
    for text in [
        "contiguous: no number is missing",
        "none: what was journaled of this range is in the tables or in the archive",
        &format!("which sweeps had moved there, into {name}"),
        "of the archive were not read",
        "Good when this was made.",
        "all of them",
        "Annex: definitions that ran",
        "switched, but some units failed",
        "kept by local:",
        "case 4711",
    ] {
        assert!(content.contains(text), "{text}: {content}");
    }
    assert!(
        content.contains(&format!("Command {}, switch on prod-01", past.kept)),
        "{content}"
    );
    assert!(
        !content.contains("not kept any more"),
        "definitions come from the archive: {content}"
    );
    for class in ["c", "e", "x", "h"] {
        assert_eq!(
            rows(content, class),
            rows(&first, class),
            "the same rows as on that day: {class}"
        );
    }
    assert_eq!(rows(content, "c").len(), past.commands.len() + 1, "with the pipeline's");
    for id in &past.commands {
        assert!(content.contains(id.as_str()), "{id}");
    }
    let totals = |content: &str| {
        content
            .split("2. Totals")
            .nth(1)
            .map(|rest| rest.split("</section>").next().map(str::to_owned))
    };
    assert_eq!(totals(content), totals(&first));
    let new = ReportStamp::of_page(&html).expect("a stamp");
    assert_eq!(
        (new.first_event, new.last_event, new.events, new.covers),
        (stamp.first_event, stamp.last_event, stamp.events, stamp.covers)
    );

    // A pipeline's coverage needs the archived commands of its stages.
    let form = format!(
        "range=custom&since={}&until={}&events=yes&coverage=gently",
        stamp.since.to_rfc3339().replace(':', "%3A"),
        stamp.until.to_rfc3339().replace(':', "%3A"),
    );
    let place = browser.press("/audit/reports", &form).await;
    let (_, covered) = browser.get(&place).await;
    assert!(
        covered.contains("2 of 3 hosts had no success in the range."),
        "{covered}"
    );

    // Both are what verify takes, from the page and by their number.
    for number in [stamp.number.to_string(), new.number.to_string()] {
        let (code, out, err) = quarterdeck(qd, &format!("audit verify --report {number}")).await;
        assert_eq!(code, 0, "{out}{err}");
        let (_, file) = browser.get(&format!("/audit/reports/{number}/file")).await;
        let kept = qd.path("kept.html");
        std::fs::write(&kept, file).expect("written");
        let (code, out, err) = quarterdeck(qd, &format!("audit verify --report {}", kept.display())).await;
        assert_eq!(code, 0, "{out}{err}");
    }

    // Its links give the same rows as files.
    for (what, count) in [
        ("commands", rows(content, "c").len()),
        ("events", rows(content, "e").len()),
    ] {
        let mark = format!("<a href=\"/audit/export?what={what}");
        let rest = content
            .split(&mark)
            .nth(1)
            .expect("a link")
            .split('"')
            .next()
            .unwrap_or_default();
        let place = format!("/audit/export?what={what}{rest}").replace("&#38;", "&");
        assert!(
            content.matches(&format!("what={what}{rest}")).count() == 2,
            "it is written out: {content}"
        );
        let (status, csv) = browser.get(&place).await;
        assert_eq!(status, 200, "{place}: {csv}");
        let rows = csv::Reader::from_reader(csv.as_bytes()).into_records().count();
        // The export knows no last event: what came later on that day is in it.
        assert!(rows >= count && rows < count + 10, "{place}: {rows} of {count}");
    }
}

#[tokio::test]
async fn what_is_neither_in_the_tables_nor_in_the_archive_is_named() {
    let mut past = past().await;
    past.swept().await;
    let qd = &past.qd;
    let file = past.files().remove(0);
    let whole = std::fs::read(&file).expect("file");
    let browser = Browser::signed_in(qd).await;
    let report = async |form: &str| {
        let place = browser.press("/audit/reports", form).await;
        let (_, html) = browser.get(&place).await;
        report_stamp::content_of(&html).expect("content").to_owned()
    };
    let everything = "range=custom&since=2026-01-01&events=yes";
    let good = report(everything).await;
    assert!(good.contains("contiguous: no number is missing"), "{good}");

    let mut torn = whole.clone();
    torn.truncate(whole.len() * 2 / 3);
    std::fs::write(&file, &torn).expect("written");
    let content = report(everything).await;
    assert!(
        content.contains("cannot be relied on: it cannot be read to its end"),
        "{content}"
    );
    assert!(content.contains("NOT contiguous"), "{content}");
    assert!(!content.contains("none: what was journaled"), "{content}");

    std::fs::remove_file(&file).expect("removed");
    let content = report(everything).await;
    let name = file.file_name().expect("name").to_string_lossy().into_owned();
    let missing = format!("The archive file {name} is missing; the sweep of");
    assert!(content.contains(&missing), "{missing}: {content}");
    let (code, out, err) = quarterdeck(
        qd,
        &format!("audit report --from 2026-01-01 --out {}", qd.path("r.html").display()),
    )
    .await;
    assert!(code == 0 && err.contains(&missing), "{out}{err}");
    assert!(rows(&content, "c").len() < rows(&good, "c").len());
    // What is younger than all that went has no gap.
    let young = report("range=today&events=yes").await;
    assert!(young.contains("none: what was journaled of this range"), "{young}");

    std::fs::write(&file, &whole).expect("written");
    std::fs::write(
        file.with_file_name("2026-01-01T000000.000000Z-sweep-77.jsonl.gz"),
        &whole,
    )
    .expect("written");
    let content = report(everything).await;
    assert!(content.contains("is of no sweep that this journal knows"), "{content}");
}

#[tokio::test]
async fn holds_that_touch_the_range_are_named() {
    let qd = Dashboard::start(CONFIG).await;
    for (from, until, reason) in [
        ("2026-01-01T00:00:00Z", Some("2026-02-01T00:00:00Z"), "case of January"),
        ("2026-03-01T00:00:00Z", None, "case of March"),
    ] {
        let (status, hold) = qd
            .post("/holds", &json!({ "from": from, "until": until, "reason": reason }))
            .await;
        assert_eq!(status, 201, "{hold}");
    }
    let browser = Browser::signed_in(&qd).await;
    let held = async |since: &str, until: &str| {
        let form = format!("range=custom&since={since}&until={until}");
        let place = browser.press("/audit/reports", &form).await;
        let (_, html) = browser.get(&place).await;
        let content = report_stamp::content_of(&html).expect("content").to_owned();
        ["case of January", "case of March", "no legal hold and no mark"].map(|text| content.contains(text))
    };
    assert_eq!(held("2026-01-31", "2026-02-10").await, [true, false, false]);
    assert_eq!(held("2026-02-02", "2026-02-10").await, [false, false, true]);
    assert_eq!(held("2026-01-31", "2026-03-10").await, [true, true, false]);
    assert_eq!(held("2026-05-01", "2026-05-10").await, [false, true, false]);
    qd.post("/holds/2/release", &json!({ "reason": "closed" })).await;
    assert_eq!(held("2026-05-01", "2026-05-10").await, [false, false, true]);
}

/// The five lines without our program hold on a journal whose log begins later, too.
#[tokio::test]
async fn the_five_lines_hold_after_a_sweep() {
    let mut past = past().await;
    past.swept().await;
    let qd = &past.qd;
    let browser = Browser::signed_in(qd).await;
    let place = browser
        .press("/audit/reports", "range=custom&since=2026-01-01&events=yes")
        .await;
    let (_, html) = browser.get(&place).await;
    let folder = qd.path("elsewhere");
    std::fs::create_dir(&folder).expect("folder");
    let copy = folder.join("quarterdeck.db");
    alter(qd, &format!("VACUUM INTO '{}'", copy.display()));
    let stamp = ReportStamp::of_page(&html).expect("a stamp");
    let check = text_of(&html, "<pre class=\"check\">");
    let (chain, _) = check.split_once("xxd").expect("two commands");
    let said = shell(&folder, chain);
    assert!(said.contains(stamp.link.as_ref().expect("a link")), "{check}: {said}");
}

/// A list that is asked for what its table does not hold says where that is.
#[tokio::test]
async fn log_and_history_lead_to_the_archive() {
    let mut past = past().await;
    past.swept().await;
    let browser = Browser::signed_in(&past.qd).await;
    for (page, leads) in [
        (
            "/log?since=2026-01-01&actor=system",
            "since=2026-01-01&amp;actor=system",
        ),
        ("/history?since=2026-01-01&host=lab-01", "since=2026-01-01"),
    ] {
        let (_, html) = browser.get(page).await;
        let html = html.replace("&#38;", "&amp;");
        let beyond = html
            .split("id=\"beyond\"")
            .nth(1)
            .and_then(|rest| rest.split("</p>").next());
        let beyond = beyond.unwrap_or_else(|| panic!("{page}: {html}"));
        assert!(beyond.contains("to the archive"), "{beyond}");
        assert!(beyond.contains(leads), "{leads}: {beyond}");
        let link = beyond
            .split("href=\"/audit/export")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let place = format!("/audit/export{}", link.expect("a link")).replace("&amp;", "&");
        let (status, csv) = browser.get(&place).await;
        assert_eq!(status, 200, "{place}");
        let first = csv::Reader::from_reader(csv.as_bytes())
            .into_records()
            .next()
            .expect("a row")
            .expect("a row");
        if page.starts_with("/history") {
            assert_eq!(&first[0], past.commands[0].as_str(), "the first of all is in it");
        }
        let report = beyond
            .split("href=\"/audit?")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let place = format!("/audit?{}", report.expect("a link")).replace("&amp;", "&");
        let (_, form) = browser.get(&place).await;
        assert!(form.contains("name=\"since\" value=\"2026-01-01\""), "{form}");
        assert!(form.contains("value=\"custom\" checked"), "{form}");
    }
    let (_, html) = browser.get("/log").await;
    assert!(html.contains("id=\"beyond\""), "its last page, too: {html}");
    let young = an_hour_ago(&past.qd);
    for page in ["/log", "/history"] {
        let (_, html) = browser.get(&format!("{page}?since={young}")).await;
        assert!(!html.contains("id=\"beyond\""), "{page}: {html}");
    }
}

fn an_hour_ago(qd: &Dashboard) -> String {
    qd.sql("strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-1 hours')")
        .replace(':', "%3A")
}
