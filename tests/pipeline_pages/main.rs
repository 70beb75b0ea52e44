//! Pipelines on pages, through a real dashboard, as a browser without any script sees and presses them.

#[path = "../support/mod.rs"]
mod support;

mod form;
mod kills;
mod matrix;
mod wait;

use std::fs;

use serde_json::Value;
use support::page::{Browser, matrix_of};
use support::{Dashboard, wait_for};

/// Ops that do as files in `home` say: `OP.fail.HOST` fails, `OP.hold` waits.
pub(crate) const CONFIG: &str = r#"
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
pub(crate) async fn fleet(config: &str, names: &[&str]) -> Dashboard {
    let dashboard = Dashboard::start(config).await;
    for name in names {
        dashboard.add_local(name, &["web"]).await;
    }
    dashboard
}

pub(crate) fn set(dashboard: &Dashboard, mark: &str) {
    fs::write(dashboard.path(&format!("home/{mark}")), "").expect("mark");
}

pub(crate) fn unset(dashboard: &Dashboard, mark: &str) {
    fs::remove_file(dashboard.path(&format!("home/{mark}"))).expect("mark");
}

pub(crate) async fn until_status(dashboard: &Dashboard, id: &str, wanted: &str) -> Value {
    wait_for(&format!("the pipeline to be {wanted}"), async || {
        let (status, row) = dashboard.get(&format!("/pipelines/{id}")).await;
        assert_eq!(status, 200, "{row}");
        (row["status"] == wanted).then_some(row)
    })
    .await
}

/// Previews, then starts what the preview shows; gives the pipeline's id.
pub(crate) async fn start(browser: &Browser, form: &str) -> String {
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
        "2 of 4 hosts passed, 2 failed; 1 command not needed.",
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
