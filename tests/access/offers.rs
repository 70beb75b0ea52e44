//! A page offers nothing that would be refused: whose rights end at a tag sees no button for the hosts beyond it.

use super::browser::Browser;
use super::support::{Dashboard, id_of, wait_for};
use super::{OPS, events, host, user};

#[tokio::test]
async fn a_page_offers_what_is_theirs_on_those_hosts_only() {
    let dashboard = Dashboard::start(OPS).await;
    host(&dashboard, "lab1", "lab").await;
    host(&dashboard, "prod1", "prod").await;
    user(&dashboard, "olga", "operator@lab dangerous@prod").await;
    user(&dashboard, "root", "admin dangerous").await;
    user(&dashboard, "vera", "viewer").await;
    let mut olga = Browser::of(&dashboard, "olga").await;
    let mut root = Browser::of(&dashboard, "root").await;
    let mut vera = Browser::of(&dashboard, "vera").await;

    let (hers, roots, veras) = (
        olga.get("/").await.text,
        root.get("/").await.text,
        vera.get("/").await.text,
    );
    for name in ["lab1", "prod1", "localhost"] {
        let pick = format!("id=\"pick-{name}\"");
        assert_eq!(hers.contains(&pick), name == "lab1", "{name}");
        assert!(roots.contains(&pick) && !veras.contains(&pick), "{name}");
    }
    assert!(
        hers.contains("action=\"/run\"") && !veras.contains("action=\"/run\""),
        "{veras}"
    );
    assert!(
        !olga.get("/?show=running").await.text.contains("action=\"/run\""),
        "nothing to choose"
    );

    // A host's page: ops and the test where they are hers, dangerous ones where those are too.
    let (lab, prod) = (olga.get("/hosts/lab1").await.text, olga.get("/hosts/prod1").await.text);
    assert!(
        lab.contains("action=\"/run\"") && lab.contains("/test\"") && !lab.contains("value=\"hurts\""),
        "{lab}"
    );
    assert!(!prod.contains("method=\"post\""), "{prod}");
    assert!(root.get("/hosts/prod1").await.text.contains("value=\"hurts\""));

    // A command's page, while it can be retried.
    for name in ["lab1", "prod1"] {
        for op in ["fails", "hurts"] {
            let row = dashboard.run(op, name).await;
            let row = dashboard.until_final(&id_of(&row)).await;
            let path = format!("/commands/{}", id_of(&row));
            let offered = olga.get(&path).await.text.contains("/retry\"");
            assert_eq!(offered, name == "lab1" && op == "fails", "{op} on {name}");
            assert!(root.get(&path).await.text.contains("/retry\""), "{op} on {name}");
        }
    }
    // And while it runs.
    for name in ["lab1", "prod1"] {
        let row = dashboard.run("waits", name).await;
        dashboard.until_status(&id_of(&row), "EXECUTING").await;
        let path = format!("/commands/{}", id_of(&row));
        assert_eq!(olga.get(&path).await.text.contains("/stop\""), name == "lab1", "{name}");
        assert!(root.get(&path).await.text.contains("/stop\""), "{name}");
        std::fs::write(dashboard.path(&format!("home/go-{name}")), "").expect("written");
        dashboard.until_final(&id_of(&row)).await;
    }
}

#[tokio::test]
async fn a_pipeline_over_foreign_hosts_is_not_theirs_to_press() {
    let dashboard = Dashboard::start(OPS).await;
    host(&dashboard, "lab1", "lab").await;
    host(&dashboard, "prod1", "prod").await;
    host(&dashboard, "prod2", "prod").await;
    user(&dashboard, "olga", "operator@lab").await;
    user(&dashboard, "root", "admin dangerous").await;
    let mut olga = Browser::of(&dashboard, "olga").await;
    let mut root = Browser::of(&dashboard, "root").await;

    // The form offers her own tag; what is typed all the same comes back with what is wrong, and starts nothing.
    let form = olga.get("/pipelines/new").await.text;
    assert!(
        form.contains("value=\"lab\"") && !form.contains("value=\"prod\""),
        "{form}"
    );
    assert!(
        !form.contains("name=\"all\"") && !form.contains("value=\"hurts\""),
        "{form}"
    );
    assert!(root.get("/pipelines/new").await.text.contains("name=\"all\""));
    let before = events(&dashboard, "refused").await;
    for path in ["/pipelines/preview", "/pipelines"] {
        let wish = [
            ("name", "quick"),
            ("hosts", "lab1 prod1 prod2"),
            ("reason", "look again"),
        ];
        let answer = olga.post(path, &wish).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(
            answer.text.contains("role operator on prod1 (and on prod2)")
                && answer.text.contains("action=\"/pipelines/preview\"")
                && answer.text.contains("lab1 prod1 prod2")
                && answer.text.contains("look again"),
            "{path}: {}",
            answer.text
        );
    }
    assert_eq!(
        events(&dashboard, "refused").await,
        before + 1,
        "an event, and one that is counted"
    );
    let hers = olga
        .post("/pipelines/preview", &[("name", "quick"), ("tag", "lab")])
        .await;
    assert!(
        hers.status == 200 && hers.text.contains("Start on 1 host"),
        "{}",
        hers.text
    );
    assert_eq!(dashboard.sql("SELECT count(*) FROM pipelines"), "0");

    // What somebody else runs is shown; its buttons are for whom all of its hosts are.
    let start = serde_json::json!({ "name": "fails", "hosts": ["lab1", "prod1"] });
    let (status, row) = dashboard.post("/pipelines", &start).await;
    assert_eq!(status, 202, "{row}");
    let id = id_of(&row);
    wait_for("its end", async || {
        let (_, row) = dashboard.get(&format!("/pipelines/{id}")).await;
        (!row["pipeline"]["finished_at"].is_null() || !row["finished_at"].is_null()).then_some(())
    })
    .await;
    let path = format!("/pipelines/{id}");
    let (page, roots) = (olga.get(&path).await, root.get(&path).await);
    assert!(page.status == 200 && !page.text.contains("/retry\""), "{}", page.text);
    assert!(roots.text.contains("/retry\""), "{}", roots.text);
    assert_eq!(olga.get(&format!("{path}/retry")).await.status, 403);
    assert_eq!(root.get(&format!("{path}/retry")).await.status, 200);

    let start = serde_json::json!({ "name": "waits", "hosts": ["lab1", "prod1"] });
    let (status, row) = dashboard.post("/pipelines", &start).await;
    assert_eq!(status, 202, "{row}");
    let path = format!("/pipelines/{}", id_of(&row));
    let (page, roots) = (olga.get(&path).await.text, root.get(&path).await.text);
    for button in ["/hold\"", "/cancel\""] {
        assert!(!page.contains(button) && roots.contains(button), "{button}: {roots}");
    }
    assert_eq!(olga.get(&format!("{path}/cancel")).await.status, 403);
    for name in ["lab1", "prod1"] {
        std::fs::write(dashboard.path(&format!("home/go-{name}")), "").expect("written");
    }
}
