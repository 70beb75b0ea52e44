//! What a report tells beside commands: pipelines, administration, where a log-in failed from; and how many one may make.

use quarterdeck::domain::report_stamp;
use serde_json::json;

use crate::support::Dashboard;
use crate::support::page::Browser;
use crate::{CONFIG, HOSTS, host};

/// Pipelines and administration are on paper, also without the table of events.
#[tokio::test]
async fn pipelines_and_administration_are_told_without_the_events() {
    let qd = Dashboard::start(CONFIG).await;
    for name in HOSTS {
        host(&qd, name, "lab").await;
    }
    let mut ids = Vec::new();
    for (name, hosts) in [("roll", vec!["lab-01", "lab-02"]), ("gently", vec!["prod-01"])] {
        let body = json!({ "name": name, "hosts": hosts, "reason": "ticket 12" });
        let id = qd.started(&body).await;
        qd.until_through(&id).await;
        ids.push(id);
    }
    // One that somebody cancels, with a reason.
    let body = json!({ "op": "slow", "hosts": ["lab-01", "lab-02"], "reason": "long" });
    let (status, answer) = qd.post("/commands", &body).await;
    assert_eq!(status, 202, "{answer}");
    let slow = qd.sql("SELECT id FROM pipelines ORDER BY id DESC LIMIT 1");
    let why = json!({ "mode": "kill", "reason": "the wrong hosts" });
    let (status, answer) = qd.post(&format!("/pipelines/{slow}/cancel"), &why).await;
    assert!(status < 300, "{status}: {answer}");
    qd.until_through(&slow).await;
    let body = json!({ "name": "olga", "password": "violet-anchor-shovel-19", "role": "viewer" });
    assert_eq!(qd.post("/users", &body).await.0, 201);
    assert!(qd.post("/users/olga/disable", &json!({})).await.0 < 300);
    let browser = Browser::signed_in(&qd).await;
    let place = browser.press("/audit/reports", "range=today").await;
    let (_, html) = browser.get(&place).await;
    let content = report_stamp::content_of(&html).expect("content");
    assert!(
        content.contains("all of them. The table of events was not asked for.") && !content.contains("and 0 events"),
        "{content}"
    );
    let part = |from: &str, to: &str| {
        let (_, rest) = content.split_once(from).unwrap_or_else(|| panic!("{from}: {content}"));
        rest.split(to).next().unwrap_or_default().to_owned()
    };
    let totals = part("<h2>2. Totals", "</section>");
    for counted in [
        "<td>Complete</td><td class=\"num\">1</td>",
        "<td>Cancelled</td><td class=\"num\">1</td>",
        "3 pipelines, 2 of them exceptions",
    ] {
        assert!(totals.contains(counted), "{counted}: {totals}");
    }
    let exceptions = part("<h2>3. Exceptions", "</section>");
    for named in [
        "the pipeline roll on 2 hosts",
        "0 of 2 hosts passed, 2 failed.",
        "Pipeline: Failed",
        "Pipeline: Cancelled by",
    ] {
        assert!(exceptions.contains(named), "{named}: {exceptions}");
    }
    let commands = part("<h2>4. Commands", "</section>");
    assert!(
        commands.contains(&format!("Of the pipeline roll, {}, stage 2.", ids[0])),
        "{commands}"
    );
    let pipelines = part("<h2>5. Pipelines", "</section>");
    assert_eq!(pipelines.matches("<tr class=\"p\">").count(), 3, "{pipelines}");
    for says in [
        "<b>roll</b> on 2 hosts: lab-01, lab-02",
        &ids[0],
        &ids[1],
        "Stage 1, pull: 2 well.",
        "Stage 2, switch: 2 failed.",
        "1 of 1 host passed.",
        "the wrong hosts",
        "ticket 12",
    ] {
        assert!(pipelines.contains(says), "{says}: {pipelines}");
    }
    let desk = part("<h2>7. Administration", "</section>");
    for action in ["user:add", "user:disable", "host:add"] {
        assert!(desk.contains(&format!("<td>{action}</td>")), "{action}: {desk}");
    }
    assert!(content.contains("Left out, as asked."), "{content}");
    // Filters are theirs as well.
    let place = browser.press("/audit/reports", "range=today&op=switch").await;
    let (_, html) = browser.get(&place).await;
    assert_eq!(html.matches("<tr class=\"p\">").count(), 1, "the one with a switch");
    let place = browser.press("/audit/reports", "range=today&host=prod-01").await;
    let (_, html) = browser.get(&place).await;
    assert_eq!(html.matches("<tr class=\"p\">").count(), 1, "the one of that host");
}

/// A failed log-in has its address on paper.
#[tokio::test]
async fn a_failed_log_in_is_printed_with_its_address() {
    let qd = Dashboard::start(CONFIG).await;
    let body = json!({ "name": "olga", "password": "violet-anchor-shovel-19", "role": "viewer" });
    assert_eq!(qd.post("/users", &body).await.0, 201);
    let answer = Browser::stranger(&qd).log_in("olga", "wrong-one").await;
    assert!(answer.status().is_client_error(), "{}", answer.status());
    let browser = Browser::signed_in(&qd).await;
    let place = browser.press("/audit/reports", "range=today").await;
    let (_, html) = browser.get(&place).await;
    let (_, access) = html.split_once("<h2>6. Refused attempts and log-ins").expect("section");
    let (access, _) = access.split_once("</section>").expect("end");
    let line = access
        .lines()
        .find(|line| line.contains("user:olga"))
        .unwrap_or_else(|| panic!("{access}"));
    let next: String = access
        .split("user:olga")
        .nth(1)
        .unwrap_or_default()
        .chars()
        .take(40)
        .collect();
    assert!(next.trim_start().starts_with("from 127.0.0.1"), "{line} {next}");
}

/// Nobody makes reports without end.
#[tokio::test]
async fn reports_are_limited_by_the_hour() {
    let qd = Dashboard::start(CONFIG).await;
    let browser = Browser::signed_in(&qd).await;
    let form = "range=custom&since=2020-01-01&until=2020-01-02";
    for _ in 0..60 {
        browser.press("/audit/reports", form).await;
    }
    let answer = browser
        .post_from("/audit/reports", form, &[("sec-fetch-site", "same-origin")])
        .await;
    assert_eq!(answer.status(), 429);
    let again = answer.headers().get("retry-after").expect("Retry-After");
    let again: u64 = again.to_str().expect("text").parse().expect("seconds");
    assert!((3_000..=3_601).contains(&again), "{again}");
    assert!(
        answer
            .text()
            .await
            .expect("text")
            .contains("60 audit reports within an hour")
    );
    assert_eq!(qd.sql("SELECT count(*) FROM reports"), "60");
}
