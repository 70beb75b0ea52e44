//! Marks and holds of people.

use serde_json::json;

use crate::old::{DAY, OPS, ago, alter, ended, gone, lines, pipeline, swept, until_today, verified, whole};
use crate::support::cli::{json as cli_json, quarterdeck};
use crate::support::page::Browser;
use crate::support::{id_of, wait_for};

#[tokio::test]
async fn what_people_keep_and_hold_stays_and_the_rest_still_verifies() {
    let config = format!("{OPS}[retention]\naudit_days = 100\n");
    let (mut qd, clock) = ago(40, &config).await;
    let kept = ended(&qd, "three").await;
    let run = pipeline(&qd).await;
    let free = ended(&qd, "three").await;
    clock.is_off_by(-35 * DAY);
    let held = ended(&qd, "three").await;
    clock.is_off_by(-32 * DAY);
    let after = ended(&qd, "three").await;
    let (code, out, err) = quarterdeck(&qd, &format!("keep {kept} --reason evidence")).await;
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(quarterdeck(&qd, &format!("keep {kept} --reason again")).await.0, 4);
    let busy = qd.accepted("waits", "localhost").await;
    let refused = qd.run("uptime", "localhost").await;
    assert_eq!(refused["status"], "BLOCKED", "{refused}");
    std::fs::write(qd.path("home/go"), "").expect("go");
    qd.until_final(&busy).await;
    let (status, row) = qd
        .post(
            &format!("/commands/{}/keep", id_of(&refused)),
            &json!({"reason": "refused"}),
        )
        .await;
    assert_eq!(status, 202, "what was refused when it was asked for can be kept: {row}");
    let rows = cli_json(&qd, &format!("pipeline keep {run} --reason audit")).await;
    assert_eq!(rows[0]["kept_reason"], "audit", "{rows:?}");
    let (status, row) = qd
        .post(&format!("/commands/{free}/keep"), &json!({"reason": "for now"}))
        .await;
    assert_eq!(status, 202, "{row}");
    let (code, out, err) = quarterdeck(&qd, &format!("unkeep {free}")).await;
    assert_eq!(code, 0, "{out}{err}");
    let admin = Browser::signed_in(&qd).await;
    // The day of one of them, as somebody types it into the page.
    let at = qd.command(&held).await["created_at"].as_str().expect("time").to_owned();
    let (from, until) = (
        format!("{}T00:00:00Z", &at[..10]),
        format!("{}T23:59:59.999999Z", &at[..10]),
    );
    let (status, page) = admin
        .send("/settings/holds", &format!("from={until}&until={from}&reason=x"))
        .await;
    assert_eq!(status, 422);
    assert!(page.contains("must be later than the beginning"), "{page}");
    let place = admin
        .press(
            "/settings/holds",
            &format!("from={from}&until={until}&reason=case+4711"),
        )
        .await;
    assert_eq!(place, "/settings#holds");
    let count = |what: &str| -> i64 { qd.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("number") };
    let (audit, of_held) = (
        count("event_log WHERE category = 'audit'"),
        count(&format!("event_log WHERE command_id = '{held}'")),
    );
    until_today(&mut qd, &clock).await;
    qd.start_again().await;
    gone(&qd, &format!("/commands/{free}")).await;
    gone(&qd, &format!("/commands/{after}")).await;
    let file = wait_for("the archive file", async || whole(&qd).pop()).await;
    for path in [
        format!("/commands/{kept}"),
        format!("/commands/{held}"),
        format!("/pipelines/{run}"),
    ] {
        assert_eq!(qd.get(&path).await.0, 200, "{path}");
    }
    assert!(qd.path(&format!("data/output/{kept}")).exists() && qd.path(&format!("data/output/{held}")).exists());
    let count = |what: &str| -> i64 { qd.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("number") };
    assert_eq!(count(&format!("event_log WHERE command_id = '{held}'")), of_held);
    assert!(
        count(&format!(
            "event_log WHERE command_id = '{kept}' AND category = 'system'"
        )) > 2
    );
    assert!(
        count(&format!(
            "event_log WHERE pipeline_id = '{run}' AND category = 'system'"
        )) > 2
    );
    assert_eq!(
        count(&format!(
            "event_log WHERE command_id = '{free}' AND category = 'system'"
        )),
        0
    );
    assert!(count("event_log WHERE category = 'audit'") >= audit, "kept for longer");
    assert!(count("swept_events") > 3, "holes between what stays");
    let archived = lines(&file);
    assert!(archived.iter().all(|line| line["category"] != "audit"));

    // The page says it all, to an admin with forms.
    let admin = Browser::signed_in(&qd).await;
    let (status, page) = admin.get("/settings").await;
    assert_eq!(status, 200);
    for text in [
        "100 days",
        "case 4711",
        "Release hold 1",
        "No outside witness",
        "BEGIN PUBLIC KEY",
        "400 days",
        "-sweep-",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    let (_, page) = admin.get(&format!("/commands/{kept}")).await;
    assert!(
        page.contains("evidence") && page.contains("No longer keep it"),
        "{page}"
    );
    let (_, page) = admin.get(&format!("/pipelines/{run}")).await;
    assert!(page.contains("No longer keep it"), "{page}");
    qd.stop().await;
    verified(&qd).await;

    // Released and no longer kept, they go with the next sweep.
    qd.start_again().await;
    let (status, answer) = qd.post("/holds/1/release", &json!({"reason": "closed"})).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(qd.post("/holds/1/release", &json!({"reason": "closed"})).await.0, 409);
    let admin = Browser::signed_in(&qd).await;
    assert_eq!(
        admin.press(&format!("/commands/{kept}/unkeep"), "").await,
        format!("/commands/{kept}")
    );
    admin.press(&format!("/pipelines/{run}/unkeep"), "").await;
    swept(&qd).await;
    for path in [format!("/commands/{kept}"), format!("/commands/{held}")] {
        assert_eq!(qd.get(&path).await.0, 404, "{path}");
    }
    assert_eq!(
        qd.get(&format!("/pipelines/{run}")).await.0,
        200,
        "it has the newest success of uptime here, and stays whole"
    );
    qd.stop().await;
    verified(&qd).await;
    let forged = qd.path("data/quarterdeck.db");
    alter(
        &qd,
        &format!("UPDATE pipelines SET kept_reason = 'none' WHERE id = '{run}'"),
    );
    assert!(forged.exists());
    alter(
        &qd,
        &format!("UPDATE pipelines SET kept_by = 'user:bob' WHERE id = '{run}'"),
    );
    let (code, text, _) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 1, "a mark is part of the row: {text}");
}
