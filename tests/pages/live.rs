//! Pages that follow what happens: a poll that is answered when there is something newer, and the counts of the fleet.

use crate::support::page::Browser;
use crate::support::{Dashboard, wait_for};
use crate::{OPS, between};

/// The numbers of the top line, by their filter.
fn parts_of(page: &str) -> Vec<(String, usize)> {
    let links = page.split("href=\"/?show=").skip(1);
    links
        .filter_map(|link| {
            let key = link.split('"').next()?.to_owned();
            let text = link.split('>').nth(1)?.split('<').next()?;
            Some((key, text.split(' ').next()?.parse().ok()?))
        })
        .collect()
}

#[tokio::test]
async fn a_live_page_is_answered_when_there_is_something_newer() {
    let mut dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    let version = |page: &str| between(page, "data-version=\"", "\"").to_owned();
    let shown = version(&browser.get("/history").await.1);
    let waiting = tokio::spawn(browser.request(&format!("/history?live={shown}")).send());
    let place = browser.press("/run", "op=sleeps&host=localhost").await;
    let answer = waiting.await.expect("join").expect("an answer");
    assert_eq!(answer.status(), 200);
    let fragment = answer.text().await.expect("text");
    assert!(fragment.contains(&place) && !fragment.contains("<html"), "{fragment}");

    // A waiting page does not hold a stop up, and a page from before it is answered at once afterwards.
    let id = place.strip_prefix("/commands/").expect("id").to_owned();
    dashboard.until_output(&id, "begun").await;
    let shown = version(&browser.get("/").await.1);
    let log = version(&browser.get("/log").await.1);
    let waiting = tokio::spawn(browser.request(&format!("/log?live={log}")).send());
    let took = dashboard.stop().await;
    assert!(took.as_secs() < 10, "{took:?}");
    let _ = waiting.await.expect("join");
    dashboard.start_again().await;
    let (status, fragment) = browser.get(&format!("/?live={shown}")).await;
    assert_eq!(status, 200);
    assert_ne!(version(&fragment), shown);
    browser.press(&format!("{place}/stop"), "").await;
    dashboard.until_status(&id, "CANCELLED").await;
}

#[tokio::test]
async fn the_counts_of_the_fleet_are_the_rows_they_list() {
    let mut dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    let place = browser.press("/run", "op=hostile&host=localhost").await;
    dashboard.until_final(place.rsplit('/').next().expect("id")).await;
    browser.press("/hosts", "address=nobody@127.0.0.1:1&name=far").await;
    let place = browser.press("/run", "op=sleeps&host=localhost").await;
    let id = place.rsplit('/').next().expect("id").to_owned();
    dashboard.until_output(&id, "begun").await;
    let (_, page) = browser.get("/").await;
    let parts = parts_of(&page);
    let number = |key: &str| parts.iter().find(|(part, _)| part == key).map(|(_, number)| *number);
    assert_eq!(number("running"), Some(1), "it failed before, and it runs: {parts:?}");
    assert_eq!(
        (number("attention"), number("idle"), number("unreachable")),
        (Some(1), Some(0), Some(1)),
        "{parts:?}"
    );
    for (key, number) in &parts {
        let (_, page) = browser.get(&format!("/?show={key}")).await;
        assert_eq!(page.matches("<tr id=\"h-").count(), *number, "{key}");
    }
    let pid = dashboard.pid();
    assert!(
        page.contains("Try it") && page.contains(&format!("kill -9 {pid}")),
        "{page}"
    );
    dashboard.kill().await;
    dashboard.start_again().await;
    let (_, page) = browser.get("/").await;
    assert!(
        page.contains("Dashboard restarted") && page.contains("sleeps on localhost"),
        "{page}"
    );
    assert!(!page.contains("Try it"), "it was tried");
    wait_for("the job to be followed again", async || {
        let (_, page) = browser.get(&place).await;
        (page.contains("→ reattached") && page.contains("no output lost")).then_some(())
    })
    .await;
    browser.press(&format!("{place}/stop"), "").await;
    assert!(
        browser.get(&place).await.1.contains("being stopped")
            || dashboard.command(&id).await["finished_at"].is_string()
    );
    dashboard.until_status(&id, "CANCELLED").await;
}
