//! What is asked for: refused with a text where it cannot be read, in parts where it is long, with its coverage.

use quarterdeck::domain::{ReportStamp, report_stamp};
use serde_json::json;

use crate::support::Dashboard;
use crate::support::page::Browser;
use crate::support::paper::Printer;
use crate::{CONFIG, HOSTS, alter, host, run, sheet};

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
        ("range=today&host=lcoalhost", "did you mean “localhost”?"),
        ("range=today&tag=wbe", "no host has that tag"),
        ("range=today&op=upptime", "did you mean “uptime”?"),
        ("range=today&actor=bne", "nobody of that name has an account"),
        ("range=today&actor=token:ci", "nobody of that name has an account"),
        ("range=today&coverage=rol", "no op and no pipeline of that name"),
        ("range=today&events=yes&up_to=1", "up_to: is not taken"),
        ("of=QD-2026-000001&part=2", "of: no report of that number"),
        ("of=QD-2026-000001&op=pull", "op"),
        ("range=today&part=0", "part"),
        ("range=today&part=7", "part"),
        ("range=today&paper=papyrus", "paper"),
    ] {
        let (status, text) = browser.send("/audit/reports", form).await;
        assert_eq!(status, 400, "{form}: {text}");
        assert!(text.contains("No report was made."), "{form}: {text}");
        // Beside its field, or over the form where it has none.
        let alert = text
            .split("role=\"alert\">")
            .nth(1)
            .unwrap_or_else(|| panic!("{form}: {text}"));
        let alert = alert.split('<').next().unwrap_or_default();
        let (before, _) = text.split_once(alert).expect("split there");
        let input = before.rsplit("name=\"").next().unwrap_or_default();
        let beside = input.starts_with(&format!("{field}\""));
        assert!(beside || alert.contains(field), "{form}: {alert} at {input}");
    }
    assert_eq!(qd.sql("SELECT count(*) FROM reports"), "0", "none of them has a number");
    // The form comes back as it was sent.
    let (_, text) = browser
        .send(
            "/audit/reports",
            "range=today&tag=wbe&actor=system&excerpts=yes&status=ERROR",
        )
        .await;
    for sent in [
        "name=\"tag\" value=\"wbe\"",
        "name=\"actor\" value=\"system\"",
        "name=\"excerpts\" value=\"yes\" checked",
        "name=\"events\" value=\"yes\">",
        "value=\"ERROR\" selected",
    ] {
        assert!(text.contains(sent), "{sent}: {text}");
    }
    // Programs are told the same.
    for (body, says) in [
        (json!({ "range": "today", "op": "upptime" }), "did you mean “uptime”?"),
        (json!({ "range": "today", "up_to": 1 }), "up_to"),
        (
            json!({ "range": "today", "actor": "user:nobody" }),
            "nobody of that name",
        ),
    ] {
        let (status, answer) = qd.post("/reports", &body).await;
        assert!(
            (status == 400 || status == 422) && answer.to_string().contains(says),
            "{body}: {status} {answer}"
        );
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
    let number = place.rsplit('/').next().expect("number");
    let (_, form) = html.split_once("class=\"part\">").expect("a form");
    let (form, _) = form.split_once("Make part 2").expect("its button");
    let fields = [
        format!("of={}", browser.hidden(form, "of")),
        format!("part={}", browser.hidden(form, "part")),
    ];
    assert_eq!(fields[0], format!("of={number}"));
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

/// What a pipeline did is covered where every stage of it went well, and nowhere else.
#[tokio::test]
async fn coverage_names_the_hosts_without_a_success_first() {
    let qd = Dashboard::start(CONFIG).await;
    for name in HOSTS {
        host(&qd, name, "lab").await;
    }
    for (name, hosts) in [("gently", vec!["lab-01", "prod-01"]), ("roll", vec!["lab-02"])] {
        let id = qd.started(&json!({ "name": name, "hosts": hosts })).await;
        qd.until_through(&id).await;
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

/// A part of a report whose range was not over: what came after the first part is left out, and that is said and counted.
#[tokio::test]
async fn a_part_says_what_it_leaves_out() {
    let qd = Dashboard::start(CONFIG).await;
    let browser = Browser::signed_in(&qd).await;
    let place = browser
        .press(
            "/audit/reports",
            "range=custom&since=2020-01-01&until=2090-01-01&events=yes",
        )
        .await;
    let (_, html) = browser.get(&place).await;
    let covers = ReportStamp::of_page(&html).expect("a stamp").covers;
    let number = place.rsplit('/').next().expect("number");
    let again = browser.press("/audit/reports", &format!("of={number}")).await;
    let (_, html) = browser.get(&again).await;
    let content = report_stamp::content_of(&html).expect("content");
    let (head, _) = content.split_once("</header>").expect("a head");
    // The event of the first one at least.
    assert!(
        head.contains(&format!(
            "of this range above #{covers} left out: this is a part of {number}"
        )),
        "{head}"
    );
    assert!(content.contains("<b>NOT ALL OF THEM</b>"), "{content}");
    assert_eq!(ReportStamp::of_page(&html).expect("a stamp").covers, covers);
}
