//! A report is an event, is shown again byte for byte, and is checked by whoever has it.

use quarterdeck::domain::{Checkpoint, Digest, ReportStamp, report_stamp};
use serde_json::json;

use crate::support::cli::quarterdeck;
use crate::support::page::Browser;
use crate::support::{Dashboard, wait_for};
use crate::{CONFIG, alter, host, run, shell, text_of};

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
    let (status, why) = browser.send(&format!("{place}/reviewed"), note).await;
    assert!(status == 409 && why.contains("somebody else has to review it"), "{why}");
    assert!(
        !again.contains("Mark as reviewed"),
        "who made it is not offered that: {again}"
    );
    let reader = reader(&qd).await;
    assert!(reader.get(&place).await.1.contains("Mark as reviewed"));
    assert_eq!(reader.press(&format!("{place}/reviewed"), note).await, place);
    let (_, reviewed) = browser.get(&place).await;
    assert!(
        reviewed.contains(&format!("Up to event #{} by user:vera", stamp.covers)),
        "{reviewed}"
    );
    assert!(
        reviewed.contains("looked at &#60;b&#62;the&#60;/b&#62; exceptions"),
        "{reviewed}"
    );
    let (status, _) = reader.send(&format!("{place}/reviewed"), "").await;
    assert_eq!(status, 409, "not twice by the same person");
    let (_, form) = browser.get("/audit").await;
    assert!(
        form.contains("with filters") && !form.contains("since the last review"),
        "{form}"
    );
    // One without the table of events counts all of them, too.
    let all = browser.press("/audit/reports", "range=today").await;
    assert!(!reader.get(&all).await.1.contains("as far as its filters go"));
    reader.press(&format!("{all}/reviewed"), "").await;
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

/// Somebody else, who may only look.
async fn reader(qd: &Dashboard) -> Browser {
    let body = json!({ "name": "vera", "password": "violet-anchor-shovel-19", "role": "viewer" });
    assert_eq!(qd.post("/users", &body).await.0, 201);
    Browser::logged_in(qd, "vera", "violet-anchor-shovel-19").await
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
