//! Long lists and matrices, page by page and filtered.

use serde_json::json;

use crate::support::page::{Browser, matrix_of};
use crate::{CONFIG, fleet, set, start, until_status};

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
