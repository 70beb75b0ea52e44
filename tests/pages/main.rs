//! The pages through the front door: who comes in, what is refused, what a hostile host can do to a
//! page, and that every action works without any script.

#[path = "../support/mod.rs"]
mod support;

mod command;
mod door;
mod forms;
mod live;

use support::page::Browser;
use support::{Dashboard, wait_for};

pub(crate) const OPS: &str = r#"
[[op]]
id = "hostile"
retryable = true
script = '''printf '<script>alert(1)</script> "q" \033[31mred\033[0m \033]0;title\007\n'; exit 4'''

[[op]]
id = "sleeps"
script = "echo begun; sleep 60"

[[op]]
id = "hurts"
dangerous = true
script = "echo hurt"
"#;

/// What stands in a page between two texts.
pub(crate) fn between<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    let rest = page.split(begin).nth(1);
    let found = rest.and_then(|rest| rest.split(end).next());
    found.unwrap_or_else(|| panic!("no {begin}: {page}"))
}

#[tokio::test]
async fn what_a_host_writes_is_text_on_every_page() {
    let dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    let reason = "reason=%3Cimg+src%3Dx+onerror%3Dalert(2)%3E";
    let place = browser
        .press("/run", &format!("op=hostile&host=localhost&{reason}"))
        .await;
    let id = place.strip_prefix("/commands/").expect("the command's page").to_owned();
    dashboard.until_final(&id).await;
    for path in [
        place.clone(),
        format!("{place}?output=all"),
        format!("{place}/tail?from=0&stamp=x"),
        "/history".to_owned(),
        "/hosts/localhost".to_owned(),
        "/log".to_owned(),
        "/".to_owned(),
    ] {
        let (status, page) = browser.get(&path).await;
        assert_eq!(status, 200, "{path}");
        assert!(
            !page.contains("<script>alert") && !page.contains("<img src"),
            "{path}: {page}"
        );
        assert!(
            !page.contains(" style=") && !page.contains(" onclick"),
            "{path} needs no exception from the policy"
        );
    }
    let (_, page) = browser.get(&place).await;
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &#34;q&#34; <span class=\"t-f1\">red</span>"),
        "{page}"
    );
    assert!(
        page.contains("Failed, exit 4") && page.contains("The host published exit 4"),
        "{page}"
    );
    let (_, raw) = browser.get(&format!("{place}/output")).await;
    assert!(
        raw.starts_with("<script>alert(1)</script>"),
        "the download has every byte: {raw:?}"
    );
}

#[tokio::test]
async fn every_action_works_without_script() {
    let dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    assert!(browser.get("/").await.1.contains("One host so far: this machine"));

    let place = browser.press("/run", "op=sleeps&host=localhost").await;
    let id = place.strip_prefix("/commands/").expect("the command's page").to_owned();
    dashboard.until_output(&id, "begun").await;
    let (_, page) = browser.get(&place).await;
    assert!(
        page.contains("Running") && page.contains(&format!("{place}/stop")),
        "{page}"
    );
    assert!(!page.contains(&format!("{place}/retry")), "only what the state allows");
    assert_eq!(browser.press(&format!("{place}/stop"), "reason=enough").await, place);
    dashboard.until_status(&id, "CANCELLED").await;
    assert!(browser.get(&place).await.1.contains("Cancelled by "));

    let (status, _) = browser.send(&format!("{place}/stop"), "").await;
    assert_eq!(status, 409, "it is final");
    let refused = dashboard
        .events()
        .await
        .into_iter()
        .filter(|event| event["action"] == "refused")
        .count();
    assert_eq!(refused, 1, "a refused change is an event");

    // Danger, by a ladder.
    let (status, asks) = browser.send("/run", "op=hurts&host=localhost").await;
    assert_eq!(status, 200);
    assert!(asks.contains("asks before it starts"), "{asks}");
    browser.press("/hosts", "address=nobody@127.0.0.1:1&name=far").await;
    let both = "op=hurts&host=localhost&host=far&sure=yes";
    let (status, _) = browser.send("/run", &format!("{both}&count=3")).await;
    assert_eq!(status, 400, "the number of hosts is typed");
    assert!(
        browser
            .press("/run", &format!("{both}&count=2"))
            .await
            .starts_with("/pipelines/"),
        "an op on several hosts is a pipeline of one stage"
    );

    let (status, _) = browser.send("/hosts/far/remove", "name=fra").await;
    assert_eq!(status, 400, "its name is typed");
    wait_for("the far host to be free", async || {
        let (_, host) = dashboard.get("/commands?host=far&open=true").await;
        host["commands"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    assert_eq!(browser.press("/hosts/far/remove", "name=far").await, "/");
    assert!(browser.get("/hosts/far").await.1.contains("Removed from the fleet"));
}

#[tokio::test]
async fn nonsense_is_answered_in_words() {
    let dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    for (path, status, text) in [
        ("/history?before=17", 400, "before"),
        ("/history?since=soon", 400, "since"),
        ("/history?host=nobody", 400, "no host of that name"),
        ("/log?after=x", 400, "after"),
        ("/log?level=loud", 400, "level"),
        ("/?live=nonsense", 400, "live"),
        ("/hosts/nobody", 404, "nobody"),
        ("/commands/17", 404, "not here"),
        ("/commands/0fffffff-ffff-7fff-8fff-fffffffffff0", 404, "not here"),
        ("/definitions/17", 404, "not here"),
        ("/nowhere", 404, "/nowhere"),
    ] {
        let (answered, page) = browser.get(path).await;
        assert_eq!(answered, status, "{path}");
        assert!(page.contains(text), "{path}: {page}");
    }
}
