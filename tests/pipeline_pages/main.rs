//! Pipelines on pages, through a real dashboard, as a browser without any script sees and presses them.

#[path = "../support/mod.rs"]
mod support;

mod kills;

use std::fs;

use serde_json::{Value, json};
use support::cli::quarterdeck;
use support::page::{Browser, matrix_of};
use support::{Dashboard, wait_for};

/// Ops that do as files in `home` say: `OP.fail.HOST` fails, `OP.hold` waits.
const CONFIG: &str = r#"
[[op]]
id = "pull"
label = "Pull"
retryable = true
script = "while [ -e $HOME/pull.hold ] || [ -e $HOME/pull.hold.$QD_HOST ]; do sleep 0.05; done; [ ! -e $HOME/pull.fail.$QD_HOST ] || { echo \"<b>broken</b>\"; exit 3; }; echo pulled"

[[op]]
id = "switch"
label = "Switch"
retryable = true
script = "while [ -e $HOME/switch.hold ]; do sleep 0.05; done; [ ! -e $HOME/switch.fail.$QD_HOST ] || exit 4; echo switched"

[[op]]
id = "test"
label = "Test"
pre_check = "[ ! -e $HOME/test.needless.$QD_HOST ] || exit 10"
script = "echo fine"

[[op]]
id = "wipe"
label = "Wipe"
dangerous = true
script = "echo wiped"

[[op]]
id = "talks"
label = "Talks"
script = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done"

[[op]]
id = "choosy"
label = "Choosy"
pre_check = "echo not today; exit 1"
script = "true"

[[pipeline]]
id = "look-twice"
stages = [{ op = "talks" }, { wait = "read it" }, { op = "choosy" }]

[[pipeline]]
id = "look-first"
stages = [{ op = "pull" }, { wait = "look at the canary" }, { op = "switch" }]
"#;

/// A dashboard with local hosts of their own spools, tagged `web`.
async fn fleet(config: &str, names: &[&str]) -> Dashboard {
    let dashboard = Dashboard::start(config).await;
    for name in names {
        let spool = dashboard.path(&format!("spool-{name}"));
        let body = json!({"name": name, "local": true, "spool": spool, "tags": ["web"]});
        let (status, answer) = dashboard.post("/hosts", &body).await;
        assert_eq!(status, 201, "{answer}");
    }
    dashboard
}

fn set(dashboard: &Dashboard, mark: &str) {
    fs::write(dashboard.path(&format!("home/{mark}")), "").expect("mark");
}

fn unset(dashboard: &Dashboard, mark: &str) {
    fs::remove_file(dashboard.path(&format!("home/{mark}"))).expect("mark");
}

async fn until_status(dashboard: &Dashboard, id: &str, wanted: &str) -> Value {
    wait_for(&format!("the pipeline to be {wanted}"), async || {
        let (status, row) = dashboard.get(&format!("/pipelines/{id}")).await;
        assert_eq!(status, 200, "{row}");
        (row["status"] == wanted).then_some(row)
    })
    .await
}

/// Previews, then starts what the preview shows; gives the pipeline's id.
async fn start(browser: &Browser, form: &str) -> String {
    let (status, preview) = browser.send("/pipelines/preview", form).await;
    assert_eq!(status, 200, "{preview}");
    let seen = browser.hidden(&preview, "seen");
    let place = browser.press("/pipelines", &format!("{form}&seen={seen}")).await;
    place.strip_prefix("/pipelines/").expect("its page").to_owned()
}

#[tokio::test]
async fn a_pipeline_is_previewed_started_seen_and_tried_again() {
    let dashboard = fleet(CONFIG, &["a", "b", "c", "d"]).await;
    let browser = Browser::signed_in(&dashboard).await;
    let (status, page) = browser.get("/pipelines").await;
    assert_eq!(status, 200);
    assert!(page.contains("No pipeline has run yet"), "{page}");
    let (_, page) = browser.get("/pipelines/new?name=do-all&host=a&host=b&tag=web").await;
    for part in [
        r#"<option value="do-all" title"#,
        ">a b</textarea>",
        r#"name="tag" value="web" checked"#,
        "the definition of do-all",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (_, page) = browser.send("/pipelines/new", "name=wipe&hosts=a&stop_when=7").await;
    assert!(
        page.contains(r#"placeholder="1, 25 %, 100 %""#) && page.contains(r#"value="7""#),
        "{page}"
    );

    set(&dashboard, "pull.fail.b");
    set(&dashboard, "switch.fail.c");
    set(&dashboard, "test.needless.a");
    let form = "name=do-all&hosts=d+c&tag=web&batches=3,+100%25&stop_when=3&max_parallel=2&reason=weekly";
    let (status, preview) = browser.send("/pipelines/preview", form).await;
    assert_eq!(status, 200);
    for part in [
        "on 4 hosts?",
        "<b>Pull</b> on 4 hosts",
        "Batch 1, 3 hosts",
        "d, c, a",
        "Batch 2, 1 host",
        "Limits: at most 2 hosts at once; 2 batches: 3, 1; stops at 3 failures",
        r#"value="weekly""#,
    ] {
        assert!(preview.contains(part), "{part}: {preview}");
    }
    assert_eq!(
        dashboard.sql("SELECT count(*) FROM pipelines"),
        "0",
        "nothing has started"
    );

    let id = start(&browser, form).await;
    until_status(&dashboard, &id, "PARTIAL").await;
    let (status, page) = browser.get(&format!("/pipelines/{id}")).await;
    assert_eq!(status, 200);
    assert_eq!(
        matrix_of(&page),
        [
            "c: Succeeded | Failed, exit 4 | Skipped: earlier stage failed",
            "b: Failed, exit 3 | Skipped: earlier stage failed | Skipped: earlier stage failed",
            "d: Succeeded | Succeeded | Succeeded",
            "a: Succeeded | Succeeded | Skipped: not needed",
        ],
        "failures first"
    );
    for part in [
        "2 of 4 hosts passed, 2 failed, 1 × not needed.",
        "weekly",
        "<b>3 hosts</b>",
        "pulled",
        "&lt;b&gt;broken&lt;/b&gt;",
        "Retry …",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for gone in ["Pause", "Cancel …", "Continue", "data-live", "<b>broken"] {
        assert!(!page.contains(gone), "{gone}: an ended one: {page}");
    }
    // One click from a cell to the output; the command knows its place.
    let command = page.split("/commands/").nth(1).expect("a cell's link");
    let command: String = command.chars().take(36).collect();
    let (_, shown) = browser.get(&format!("/commands/{command}")).await;
    assert!(
        shown.contains(&format!(
            r#"<a href="/pipelines/{id}">do-all on 4 hosts, stage 1 of 3</a>"#
        )),
        "{shown}"
    );
    let (_, history) = browser.get("/history").await;
    assert!(
        history.contains(&format!(r#"href="/pipelines/{id}""#)) && history.contains(">4 hosts</a>"),
        "{history}"
    );
    let (_, log) = browser.get("/log").await;
    let begun = format!(r#"<a class="soft-link" href="/pipelines/{id}">"#);
    assert!(
        log.contains(&begun) && log.contains("started the pipeline “do-all”"),
        "{log}"
    );

    unset(&dashboard, "pull.fail.b");
    unset(&dashboard, "switch.fail.c");
    let (status, preview) = browser.get(&format!("/pipelines/{id}/retry")).await;
    assert_eq!(status, 200);
    for part in [
        "again on 2 hosts?",
        "stage 1, pull",
        "stage 2, switch",
        "switch failed: ",
    ] {
        assert!(preview.contains(part), "{part}: {preview}");
    }
    let seen = browser.hidden(&preview, "seen");
    let path = format!("/pipelines/{id}/retry");
    let place = browser.press(&path, &format!("seen={seen}&reason=mended")).await;
    let again = place.strip_prefix("/pipelines/").expect("its page").to_owned();
    until_status(&dashboard, &again, "COMPLETE").await;
    let (_, page) = browser.get(&place).await;
    assert!(
        page.contains(&format!(r#"a retry of <a href="/pipelines/{id}">"#)),
        "{page}"
    );
    assert_eq!(
        matrix_of(&page),
        ["c: – | Succeeded | Succeeded", "b: Succeeded | Succeeded | Succeeded"]
    );
    let (_, first) = browser.get(&format!("/pipelines/{id}")).await;
    assert!(first.contains(&format!(r#"href="/pipelines/{again}""#)), "{first}");
    let linked = "SELECT group_concat(h.hostname || c.stage || r.status, ' ') FROM commands c JOIN hosts h ON h.id = \
                  c.host_id LEFT JOIN commands r ON r.id = c.retry_of AND r.host_id = c.host_id AND r.stage = c.stage \
                  WHERE c.pipeline_id = '%' ORDER BY c.id";
    let linked = dashboard.sql(&linked.replace('%', &again));
    let mut linked: Vec<&str> = linked.split(' ').collect();
    linked.sort_unstable();
    assert_eq!(
        linked,
        ["b0ERROR", "b1SKIPPED", "b2SKIPPED", "c1ERROR", "c2SKIPPED"],
        "each command names the one that it tries again"
    );
    assert_eq!(browser.get(&path).await.0, 200, "the first one can be retried again");
    assert_eq!(
        browser.get(&format!("/pipelines/{again}/retry")).await.0,
        409,
        "a complete one cannot"
    );
}

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
    let body = json!({"name": "c", "local": true, "spool": dashboard.path("spool-c")});
    assert_eq!(dashboard.post("/hosts", &body).await.0, 201);
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
        ask.contains("mode: say whether") && ask.contains(r#"value="enough""#),
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

#[tokio::test]
async fn lists_and_matrices_are_paged_and_filtered() {
    let names: Vec<String> = (0..130).map(|n| format!("h{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = fleet(CONFIG, &names).await;
    let browser = Browser::signed_in(&dashboard).await;
    // The first batch fails, so that the others get their rows without any job.
    set(&dashboard, "pull.fail.h007");
    let id = start(&browser, "name=pull&tag=web&batches=8,+100%25&stop_when=1").await;
    until_status(&dashboard, &id, "PARTIAL").await;
    let path = format!("/pipelines/{id}");
    let (_, page) = browser.get(&path).await;
    let lines = matrix_of(&page);
    assert_eq!((lines.len(), lines[0].as_str()), (100, "h007: Failed, exit 3"));
    assert!(page.contains("Hosts 1 to 100 of 130, failures first"), "{page}");
    assert!(page.contains("It stopped because so many hosts failed."), "{page}");
    let (_, page) = browser.get(&format!("{path}?page=2")).await;
    assert_eq!(matrix_of(&page).len(), 30);
    assert!(page.contains(&format!(r#"href="{path}""#)), "back to the first: {page}");
    let (_, page) = browser.get(&format!("{path}?show=failed")).await;
    assert_eq!(matrix_of(&page), ["h007: Failed, exit 3"]);
    let (status, page) = browser.get(&format!("{path}?page=9")).await;
    assert!(status == 200 && page.contains("no such page of hosts"), "{page}");
    for (query, status) in [("page=0", 400), ("page=x", 400), ("show=odd", 400), ("live=17", 400)] {
        assert_eq!(browser.get(&format!("{path}?{query}")).await.0, status, "{query}");
    }

    for _ in 0..30 {
        let body = json!({"name": "test", "hosts": ["h000", "h001"]});
        let (status, row) = dashboard.post("/pipelines", &body).await;
        assert_eq!(status, 202, "{row}");
        until_status(&dashboard, row["id"].as_str().expect("id"), "COMPLETE").await;
    }
    let count = |page: &str| page.matches(r#"<tr id="p-"#).count();
    let (_, page) = browser.get("/pipelines").await;
    assert_eq!(count(&page), 25);
    let older = page
        .split(r#"rel="next" href=""#)
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let (_, page) = browser.get(&older.expect("a further page").replace("&amp;", "&")).await;
    assert_eq!(count(&page), 6);
    assert!(page.contains("Newer"), "{page}");
    for (query, expected) in [
        ("status=PARTIAL", 1),
        ("status=complete&name=test", 25),
        ("name=pull", 1),
        ("host=h002", 1),
        ("host=h000", 25),
        ("actor=local:nobody", 0),
        ("status=RUNNING", 0),
    ] {
        let (status, page) = browser.get(&format!("/pipelines?{query}")).await;
        assert_eq!((status, count(&page)), (200, expected), "{query}");
    }
    let (_, page) = browser.get("/pipelines?actor=local:nobody").await;
    assert!(page.contains("No pipeline matches these filters"), "{page}");
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
