//! A pipeline that waits: paused, continued, cancelled; and what of it counts as passed.

use serde_json::{Value, json};

use crate::support::cli::quarterdeck;
use crate::support::page::{Browser, matrix_of};
use crate::support::wait_for;
use crate::{CONFIG, fleet, set, start, unset, until_status};

#[tokio::test]
async fn a_pipeline_waits_is_paused_continued_and_cancelled() {
    let dashboard = fleet(CONFIG, &["a", "b", "c"]).await;
    let browser = Browser::signed_in(&dashboard).await;
    let id = start(&browser, "name=look-first&hosts=a+b+c&batches=1,+100%25").await;
    let path = format!("/pipelines/{id}");
    until_status(&dashboard, &id, "HELD").await;
    let (_, page) = browser.get(&path).await;
    for part in [
        "Nothing new starts: waits for a person: look at the canary",
        "<span>Held</span>",
        "Stage 2 of 3 waits for a person; batch 1 of 2; stops when a host of the first batch fails.",
        "Continue",
        "Cancel the rest …",
        "data-live",
        "<progress",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("Pause") && !page.contains("Retry …"), "{page}");
    assert_eq!(
        matrix_of(&page),
        [
            "a: Succeeded | Waits for a person | To come",
            "b: To come | – | To come",
            "c: To come | – | To come"
        ]
    );
    set(&dashboard, "switch.hold");
    assert_eq!(browser.press(&format!("{path}/continue"), "").await, path);
    assert_eq!(
        browser.send(&format!("{path}/continue"), "").await.0,
        409,
        "it is not held"
    );
    wait_for("switch on the canary", async || {
        let (_, page) = browser.get(&path).await;
        (matrix_of(&page)[0] == "a: Succeeded | Passed | Running").then_some(())
    })
    .await;
    let (_, page) = browser.get(&format!("{path}?show=running")).await;
    assert_eq!(matrix_of(&page), ["a: Succeeded | Passed | Running"]);
    assert!(
        page.contains("Stage 3 of 3, 0 done, 1 running; batch 1 of 2; stops when a host of the first batch fails."),
        "{page}"
    );
    let (_, page) = browser.get(&format!("{path}?show=failed")).await;
    assert!(page.contains("No host is in this part"), "{page}");
    let (_, list) = browser.get("/pipelines").await;
    assert!(list.contains("Under way") && list.contains("<progress"), "{list}");

    assert_eq!(browser.press(&format!("{path}/hold"), "").await, path);
    let (_, page) = browser.get(&path).await;
    assert!(page.contains("held by ") && page.contains("Continue"), "{page}");
    assert_eq!(browser.send(&format!("{path}/retry"), "").await.0, 409, "it is open");

    let (status, ask) = browser.get(&format!("{path}/cancel")).await;
    assert_eq!(status, 200);
    for part in ["may end by itself", "is stopped: TERM", "1 command runs now"] {
        assert!(ask.contains(part), "{part}: {ask}");
    }
    let (status, ask) = browser.send(&format!("{path}/cancel"), "reason=enough").await;
    assert_eq!(status, 400, "how it is cancelled is chosen");
    assert!(
        ask.contains("What runs now: say whether") && ask.contains(r#"value="enough""#),
        "{ask}"
    );
    assert_eq!(
        browser
            .press(&format!("{path}/cancel"), "mode=finish&reason=enough")
            .await,
        path
    );
    let (_, page) = browser.get(&path).await;
    assert!(
        page.contains("Being cancelled by") && page.contains("may end by themselves"),
        "{page}"
    );
    let (_, ask) = browser.get(&format!("{path}/cancel")).await;
    assert!(
        !ask.contains(r#"value="finish""#) && ask.contains(r#"value="kill""#),
        "{ask}"
    );
    assert_eq!(browser.press(&format!("{path}/cancel"), "mode=kill").await, path);
    let row = until_status(&dashboard, &id, "CANCELLED").await;
    let (_, page) = browser.get(&path).await;
    assert_eq!(browser.get(&format!("{path}/cancel")).await.0, 409, "it has ended");
    unset(&dashboard, "switch.hold");
    assert!(
        page.contains("<dt>Cancelled</dt>") && page.contains(": enough</dd>"),
        "{page}"
    );

    // Who was stopped with the pipeline has not failed.
    assert_eq!(
        (
            &row["counts"]["hosts_failed"],
            &row["counts"]["hosts_written_off"],
            &row["counts"]["failed"]
        ),
        (&json!(0), &json!(3), &json!(0)),
        "{row}"
    );
    assert_eq!(row["counts"]["cancelled"], 5, "{row}");
    assert!(page.contains("0 of 3 hosts passed, 3 cancelled."), "{page}");
    assert!(
        matrix_of(&page)
            .iter()
            .any(|line| line.starts_with("a: Succeeded | Passed | Cancelled by ")),
        "{page}"
    );
    let (code, out, err) = quarterdeck(&dashboard, &format!("pipeline show {id}")).await;
    assert!(
        code == 0 && out.contains("3 written off") && !out.contains("failed"),
        "{out}{err}"
    );

    // A command that somebody stops for itself has failed, as before.
    set(&dashboard, "pull.hold");
    let id = start(&browser, "name=pull&hosts=a+b").await;
    let (_, rows) = dashboard.get(&format!("/pipelines/{id}/commands")).await;
    let command = rows["commands"][0]["id"].as_str().expect("id").to_owned();
    dashboard.until_status(&command, "EXECUTING").await;
    browser.press(&format!("/commands/{command}/stop"), "").await;
    dashboard.until_final(&command).await;
    unset(&dashboard, "pull.hold");
    let row = until_status(&dashboard, &id, "PARTIAL").await;
    assert_eq!(
        (&row["counts"]["hosts_failed"], &row["counts"]["cancelled"]),
        (&json!(1), &json!(0))
    );
}

/// Whoever came past a wait has passed it, whatever came of what follows; and of an output the end is shown.
#[tokio::test]
async fn a_host_that_is_refused_after_a_wait_has_passed_it() {
    let dashboard = fleet(CONFIG, &["a"]).await;
    let browser = Browser::signed_in(&dashboard).await;
    let id = start(&browser, "name=look-twice&hosts=a").await;
    let path = format!("/pipelines/{id}");
    until_status(&dashboard, &id, "HELD").await;
    let (_, page) = browser.get(&path).await;
    assert!(page.contains("Its last lines:") && page.contains("line 9"), "{page}");
    assert!(!page.contains("line 3"), "{page}");
    assert_eq!(browser.press(&format!("{path}/continue"), "").await, path);
    until_status(&dashboard, &id, "FAILED").await;
    let (_, page) = browser.get(&path).await;
    let line = &matrix_of(&page)[0];
    assert!(
        line.starts_with("a: Succeeded | Passed | Refused: the pre-check said no"),
        "{line}"
    );
    // What can be done no more is said in words.
    let (status, page) = browser.send(&format!("{path}/hold"), "").await;
    assert_eq!(status, 409);
    assert!(
        page.contains("“look-twice” failed: no host passed") && page.contains("it cannot be held"),
        "{page}"
    );
    assert!(
        page.contains("<nav aria-label=\"Main\">") && page.contains(&format!("href=\"{path}\">Back")),
        "{page}"
    );
    let events = dashboard.events().await;
    let said = format!("was refused to hold pipeline {}: ", &id[28..]);
    let sentence = |event: &&Value| event["message"].as_str().is_some_and(|text| text.contains(&said));
    assert!(events.iter().any(|event| sentence(&event)), "{said}");
}
