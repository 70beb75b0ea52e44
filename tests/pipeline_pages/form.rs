//! Starting one: the form, its preview, and what asks before it starts.

use crate::support::cli::quarterdeck;
use crate::support::page::Browser;
use crate::{CONFIG, fleet, until_status};

#[tokio::test]
async fn the_form_keeps_what_was_typed_and_names_what_is_wrong() {
    let dashboard = fleet(CONFIG, &["a", "b"]).await;
    let browser = Browser::signed_in(&dashboard).await;
    for (form, status, words) in [
        ("hosts=a+b&reason=typed", 400, "name: choose what to run"),
        ("name=update&reason=typed", 400, "hosts: select at least one host"),
        (
            "name=update&hosts=a&batches=1,many&reason=typed",
            400,
            "batches: “many” is no number",
        ),
        (
            "name=update&hosts=a&stop_when=200%25&reason=typed",
            400,
            "stop_when: “200%” is no number",
        ),
        (
            "name=update&hosts=a&max_parallel=0&reason=typed",
            400,
            "max_parallel: must be 1 or more",
        ),
        ("name=update&hosts=a&if_busy=odd&reason=typed", 400, "if_busy: “odd”"),
        (
            "name=update&tag=none&reason=typed",
            400,
            "tags: no host has the tag “none”",
        ),
        (
            "name=update&hosts=a+nowhere&reason=typed",
            404,
            "hosts: there is no host “nowhere”",
        ),
        ("name=updat&hosts=a&reason=typed", 404, "did you mean “update”"),
    ] {
        for path in ["/pipelines/preview", "/pipelines"] {
            let (found, page) = browser.send(path, form).await;
            assert_eq!(found, status, "{path} {form}: {page}");
            assert!(page.contains(words), "{path} {form}: {page}");
            assert!(page.contains(r#"name="reason" value="typed""#), "{form}: {page}");
            assert!(page.contains("aria-invalid"), "{form}: {page}");
        }
    }
    let (_, page) = browser
        .send(
            "/pipelines/preview",
            "name=update&hosts=a+nowhere&batches=1,+25+%25&tag=none",
        )
        .await;
    for kept in [">a nowhere</textarea>", r#"value="1, 25 %""#, r#"value="none" checked"#] {
        assert!(page.contains(kept), "{kept}: {page}");
    }
    for (path, status) in [
        ("/pipelines/42", 404),
        ("/pipelines/0192b0a0-0000-7000-8000-000000000000", 404),
        ("/pipelines/0192b0a0-0000-7000-8000-000000000000/cancel", 404),
        ("/pipelines/0192b0a0-0000-7000-8000-000000000000/retry", 404),
        ("/pipelines?status=FINE", 400),
        ("/pipelines?host=nowhere", 400),
        ("/pipelines?before=17", 400),
    ] {
        assert_eq!(browser.get(path).await.0, status, "{path}");
    }
    // “All” is ticked, never meant by leaving everything else empty; localhost is not among them.
    let (status, preview) = browser.send("/pipelines/preview", "name=update&all=all").await;
    assert_eq!(status, 200);
    assert!(
        preview.contains("on 2 hosts?") && !preview.contains("localhost"),
        "{preview}"
    );
    let rows = "SELECT (SELECT count(*) FROM pipelines) + (SELECT count(*) FROM commands)";
    assert_eq!(dashboard.sql(rows), "0");
}

#[tokio::test]
async fn what_is_dangerous_asks_and_what_was_seen_is_what_starts() {
    let dashboard = fleet(CONFIG, &["a", "b"]).await;
    let browser = Browser::signed_in(&dashboard).await;
    let form = "name=wipe&all=all&reason=sure";
    let (_, preview) = browser.send("/pipelines/preview", form).await;
    assert!(preview.contains("Type the number of hosts (2)"), "{preview}");
    assert!(preview.contains("When a host of the first batch fails"), "{preview}");
    let seen = browser.hidden(&preview, "seen");
    let (status, page) = browser.send("/pipelines", form).await;
    assert!(
        status == 200 && page.contains("Wipe on 2 hosts?"),
        "without a preview it is shown first"
    );
    for count in ["", "&count=3", "&count=two"] {
        let (status, page) = browser.send("/pipelines", &format!("{form}&seen={seen}{count}")).await;
        assert_eq!(status, 400, "{count}: {page}");
        assert!(
            page.contains("type 2 to go on") && page.contains(r#"value="sure""#),
            "{page}"
        );
    }
    assert_eq!(dashboard.sql("SELECT count(*) FROM pipelines"), "0");

    // Meanwhile a host came: what was seen is no longer what would run.
    dashboard.add_local("c", &[]).await;
    let (status, page) = browser.send("/pipelines", &format!("{form}&seen={seen}&count=2")).await;
    assert_eq!(status, 409, "{page}");
    assert!(
        page.contains("has changed since you looked") && page.contains("on 3 hosts?"),
        "{page}"
    );
    let seen = browser.hidden(&page, "seen");
    let place = browser
        .press("/pipelines", &format!("{form}&seen={seen}&count=3"))
        .await;
    let id = place.strip_prefix("/pipelines/").expect("its page");
    until_status(&dashboard, id, "COMPLETE").await;

    // From the fleet: an op on several hosts leads to the pipeline that it is, on one host to its command.
    let place = browser.press("/run", "op=pull&host=a&host=b").await;
    assert!(place.starts_with("/pipelines/"), "{place}");
    until_status(&dashboard, &place["/pipelines/".len()..], "COMPLETE").await;
    let place = browser.press("/run", "op=test&host=a").await;
    dashboard
        .until_final(place.strip_prefix("/commands/").expect("its command"))
        .await;
    let (status, page) = browser.send("/pipelines/new", "op=pull&host=a&host=b&reason=why").await;
    assert_eq!(status, 200);
    assert!(
        page.contains(">a b</textarea>") && page.contains(r#"value="why""#),
        "{page}"
    );

    // The command line climbs the same ladder.
    for (line, code, words) in [
        ("pipeline start wipe --all", 4, "would run on 3 hosts: give --confirm 3"),
        ("pipeline start wipe --all --confirm 2", 4, "--confirm says 2"),
        ("pipeline start pull --all --confirm 4", 4, "would run on 3"),
        (
            "run wipe --host a --host b",
            4,
            "would run on 2 hosts: give --confirm 2",
        ),
        ("run wipe --host a --host b --host b --confirm 3", 4, "--confirm says 3"),
        ("run wipe --host a --host b --confirm 2 --wait", 0, "a: Succeeded"),
        (
            "run wipe --host a --host a --wait",
            4,
            "would run on 1 host: give --confirm 1",
        ),
        ("run wipe --host a --confirm 1 --wait", 0, ""),
        (
            "pipeline start wipe --all --confirm 3 --wait",
            0,
            "wipe: Complete; 3 of 3 hosts passed",
        ),
    ] {
        let before = dashboard.sql("SELECT count(*) FROM commands");
        let (found, out, err) = quarterdeck(&dashboard, line).await;
        assert_eq!(found, code, "{line}: {out}{err}");
        assert!(format!("{out}{err}").contains(words), "{line}: {out}{err}");
        if code == 4 {
            assert_eq!(
                dashboard.sql("SELECT count(*) FROM commands"),
                before,
                "{line}: nothing was started"
            );
        }
    }
}
