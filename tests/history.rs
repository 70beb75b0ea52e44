//! The history through the front door: what needs attention, acknowledging it, one line for a pipeline and one for
//! equal refusals, and a filter that gives its form back.

mod support;

use serde_json::json;

use support::cli::quarterdeck;
use support::page::Browser;
use support::{Dashboard, id_of, wait_for};

const OPS: &str = r#"
[[op]]
id = "fails"
retryable = true
script = "exit 4"

[[op]]
id = "quick"
script = "true"

[[op]]
id = "sleeps"
script = "sleep 60"
"#;

/// Runs an op on localhost to its end.
async fn ended(qd: &Dashboard, op: &str) -> String {
    let id = id_of(&qd.run(op, "localhost").await);
    qd.until_final(&id).await;
    id
}

/// What the tab of this name counts.
fn tab(page: &str, name: &str) -> String {
    let tab = page.split(&format!(">{name} <span class=\"count\">")).nth(1);
    tab.and_then(|rest| rest.split('<').next()).expect(name).to_owned()
}

#[tokio::test]
async fn a_bad_end_is_acknowledged_once_with_a_note() {
    let qd = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&qd).await;
    let id = ended(&qd, "fails").await;
    ended(&qd, "quick").await;
    // The fleet and the history say the same, though something else went well since.
    assert!(browser.get("/").await.1.contains("1 needs attention"));
    assert_eq!(tab(&browser.get("/history").await.1, "Needs attention"), "1");
    let (_, page) = browser.get(&format!("/commands/{id}")).await;
    assert!(
        page.contains(&format!(r#"action="/commands/{id}/acknowledge""#)),
        "{page}"
    );

    let path = format!("/commands/{id}/acknowledge");
    let (status, page) = browser.send(&path, "note=+").await;
    assert_eq!(status, 400);
    assert!(
        page.contains("is missing; say what you found") && page.contains("<nav aria-label=\"Main\">"),
        "{page}"
    );
    assert_eq!(
        browser.press(&path, "note=a+known+bug").await,
        format!("/commands/{id}")
    );
    let (_, page) = browser.get(&format!("/commands/{id}")).await;
    assert!(
        page.contains("<b>Acknowledged</b> by ") && page.contains(": a known bug</p>"),
        "{page}"
    );
    assert!(!page.contains(&path), "once is enough: {page}");

    // Whoever comes second learns who was first, and when; pages keep their navigation.
    let (status, page) = browser.send(&path, "note=me+too").await;
    assert_eq!(status, 409);
    assert!(
        page.contains("has acknowledged fails on localhost already, 20"),
        "{page}"
    );
    assert!(
        page.contains("<nav aria-label=\"Main\">") && page.contains(&format!("href=\"/commands/{id}\">Back")),
        "{page}"
    );
    let (status, answer) = qd
        .post(&format!("/commands/{id}/acknowledge"), &json!({ "note": "x" }))
        .await;
    assert_eq!(status, 409);
    assert!(
        answer["detail"].as_str().expect("text").contains("a known bug"),
        "{answer}"
    );
    let row = qd.command(&id).await;
    assert_eq!(row["acknowledged_note"], "a known bug");
    assert_eq!(row["status"], "ERROR", "what happened stays what happened");

    assert!(browser.get("/").await.1.contains("0 need attention"));
    assert_eq!(tab(&browser.get("/history").await.1, "Needs attention"), "0");
    let events = qd.events_of(&id).await;
    let event = events
        .iter()
        .find(|event| event["action"] == "acknowledge")
        .expect("an event");
    assert_eq!(
        (&event["category"], &event["details"]["note"]),
        (&json!("audit"), &json!("a known bug"))
    );
    assert_eq!(event["details"]["command_id"], id);
    // The refusal of the second is a sentence, too.
    let refused = qd.events().await;
    let sentence = format!("was refused to acknowledge command {}: ", &id[28..]);
    let said = |event: &&serde_json::Value| event["message"].as_str().is_some_and(|text| text.contains(&sentence));
    assert!(refused.iter().any(|event| said(&event)), "{refused:?}");
}

#[tokio::test]
async fn many_are_acknowledged_at_once_from_the_list() {
    let qd = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&qd).await;
    let (one, two, three) = (
        ended(&qd, "fails").await,
        ended(&qd, "fails").await,
        ended(&qd, "fails").await,
    );
    let (_, page) = browser.get("/history?show=attention&op=fails").await;
    assert_eq!(page.matches(r#"form="acknowledge" name="id""#).count(), 3, "{page}");
    let view = "view=%2Fhistory%3Fshow%3Dattention%26op%3Dfails";
    // What was ticked stays ticked where the note is missing, or nothing was ticked.
    let (status, page) = browser
        .send("/history/acknowledge", &format!("{view}&id={one}&note="))
        .await;
    assert_eq!(status, 400);
    assert!(page.contains("is missing; say what you found"), "{page}");
    assert_eq!(page.matches(" checked").count(), 1, "{page}");
    let (status, page) = browser.send("/history/acknowledge", &format!("{view}&note=seen")).await;
    assert_eq!(
        (
            status,
            page.contains("none was chosen"),
            page.contains(r#"value="seen""#)
        ),
        (400, true, true)
    );
    let place = browser
        .press("/history/acknowledge", &format!("{view}&id={one}&id={two}&note=seen"))
        .await;
    assert_eq!(place, "/history?show=attention&op=fails");
    let (_, page) = browser.get(&place).await;
    assert_eq!(page.matches(r#"form="acknowledge" name="id""#).count(), 1, "{page}");
    // Somebody else was quicker with one of two: the other one is done, and it is said.
    let (status, page) = browser
        .send("/history/acknowledge", &format!("{view}&id={two}&id={three}&note=all"))
        .await;
    assert_eq!(status, 409);
    assert!(page.contains("1 command is acknowledged now, but "), "{page}");
    assert_eq!(qd.command(&two).await["acknowledged_note"], "seen");
    assert_eq!(qd.command(&three).await["acknowledged_note"], "all");
    let (_, page) = browser.get("/history?show=attention").await;
    assert!(page.contains("Nothing needs attention."), "{page}");
}

#[tokio::test]
async fn the_command_line_acknowledges_too() {
    let qd = Dashboard::start(OPS).await;
    let id = ended(&qd, "fails").await;
    let (code, out, _) = quarterdeck(&qd, "history --attention").await;
    assert!(code == 0 && out.contains(&id), "{out}");
    let short = &id[28..];
    let (code, out, err) = quarterdeck(&qd, &format!("acknowledge {short} --note looked")).await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, "fails on localhost: Failed, exit 4; acknowledged\n");
    let (code, _, err) = quarterdeck(&qd, &format!("acknowledge {short} --note again")).await;
    assert!(code == 4 && err.contains("already"), "{code} {err}");
    let (_, out, _) = quarterdeck(&qd, "history --attention").await;
    assert!(!out.contains(&id), "{out}");
    let (_, out, _) = quarterdeck(&qd, &format!("show {short}")).await;
    assert!(out.contains(": looked\n"), "{out}");
}

#[tokio::test]
async fn equal_refusals_are_one_line_and_a_pipeline_is_one() {
    let qd = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&qd).await;
    qd.add_local("two", &[]).await;
    let (status, started) = qd
        .post("/commands", &json!({ "op": "quick", "hosts": ["localhost", "two"] }))
        .await;
    assert_eq!(status, 202, "{started}");
    let pipeline = started["pipeline_id"].as_str().expect("a pipeline").to_owned();
    wait_for("the pipeline's end", async || {
        let (_, row) = qd.get(&format!("/pipelines/{pipeline}")).await;
        (row["status"] == "COMPLETE").then_some(())
    })
    .await;
    let busy = qd.accepted("sleeps", "localhost").await;
    for _ in 0..49 {
        let (status, _) = qd
            .post("/commands", &json!({ "op": "quick", "hosts": ["localhost"] }))
            .await;
        assert_eq!(status, 409);
    }
    let (_, page) = browser.get("/history").await;
    assert!(page.contains("Refused 49 times: busy with sleeps"), "{page}");
    assert_eq!(page.matches("<tr id=\"c-").count(), 3, "{page}");
    assert!(
        page.contains(&format!("href=\"/pipelines/{pipeline}\" title=\"A pipeline")),
        "{page}"
    );
    assert_eq!(tab(&page, "Running"), "1");
    // Singly, where a host or a status is asked for.
    let (_, page) = browser.get("/history?host=localhost").await;
    assert_eq!(page.matches("<tr id=\"c-").count(), 3, "{page}");
    assert!(page.contains("of 2 hosts"), "{page}");
    let (_, page) = browser.get("/history?status=BLOCKED").await;
    assert_eq!(page.matches("<tr id=\"c-").count(), 1, "{page}");
    let (_, page) = browser.get(&format!("/history?pipeline={pipeline}")).await;
    assert_eq!(page.matches("<tr id=\"c-").count(), 2, "{page}");
    assert!(
        browser
            .press(&format!("/commands/{busy}/stop"), "")
            .await
            .contains(&busy)
    );
    qd.until_final(&busy).await;
}

#[tokio::test]
async fn a_wrong_filter_gives_its_form_back() {
    let qd = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&qd).await;
    let (status, page) = browser.get("/history?since=soon&op=quick&host=localhost").await;
    assert_eq!(status, 400);
    assert!(page.contains("<nav aria-label=\"Main\">"), "{page}");
    assert!(
        page.contains(r#"name="since" value="soon""#) && page.contains("role=\"alert\""),
        "{page}"
    );
    assert!(page.contains(r#"name="host" value="localhost""#), "{page}");
    let (status, page) = browser.get("/history?host=nobody&show=running").await;
    assert_eq!(status, 400);
    assert!(
        page.contains("no host of that name") && page.contains(r#"value="nobody""#),
        "{page}"
    );
    for path in ["/nowhere", "/commands/17", "/log?level=loud", "/?show=odd"] {
        let (status, page) = browser.get(path).await;
        assert!((400..500).contains(&status), "{path}");
        assert!(page.contains("<nav aria-label=\"Main\">"), "{path}: {page}");
    }
}
