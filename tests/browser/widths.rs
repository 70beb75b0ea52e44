//! No page scrolls sideways, at any width, for anybody.

use serde_json::{Value, json};

use super::support::Dashboard;
use super::{Browser, Locator, OPS};

const PASSWORD: &str = "violet-anchor-shovel-19";
/// From a phone to a desk, and where tables and navigation have just enough room, or just not.
const WIDTHS: [u32; 8] = [320, 390, 740, 768, 900, 1024, 1066, 1400];

/// Opens each page and gives each width at which it is wider than its window.
async fn too_wide(browser: &Browser, dashboard: &Dashboard, paths: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths {
        let url = format!("{}{path}", dashboard.url);
        browser.client.goto(&url).await.expect("page");
        for width in WIDTHS {
            let device = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
            let wish = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": device });
            browser.chromium.ask("goog/cdp/execute", wish).await;
            let script = "const all = [...document.querySelectorAll('body *')].filter((e) => \
                 e.getBoundingClientRect().right > window.innerWidth + 1 && !e.closest('.unseen, .skip'));\
                 return [document.documentElement.scrollWidth, window.innerWidth, \
                 all.slice(0, 3).map((e) => e.outerHTML.slice(0, 80)).join(' | ')]";
            let seen = browser.client.execute(script, Vec::new()).await.expect("measured");
            assert_eq!(seen[1], json!(width), "the window has the width that was asked for");
            if seen[0].as_u64() > Some(u64::from(width)) {
                found.push(format!("{path} at {width}: {} wide: {}", seen[0], seen[2]));
            }
        }
    }
    found
}

#[tokio::test]
async fn no_page_scrolls_sideways_at_any_width() {
    let qd = Dashboard::start(&format!("{OPS}{}", super::PIPELINE)).await;
    for name in ["web-frontend-01", "database-primary-and-replica-02"] {
        qd.add_local(name, &["production", "eu-central"]).await;
    }
    for (name, role) in [("victoria", "viewer"), ("oliver", "operator")] {
        let body = json!({ "name": name, "role": role, "password": PASSWORD });
        qd.done("/users", &body).await;
    }
    let id = qd.accepted("uptime", "localhost").await;
    qd.until_final(&id).await;
    qd.run("counts", "web-frontend-01").await;
    let refused = qd.run("uptime", "web-frontend-01").await;
    let refused = super::support::id_of(&refused);
    let pipeline = qd
        .done(
            "/pipelines",
            &json!({ "name": "both", "hosts": ["database-primary-and-replica-02"] }),
        )
        .await;
    let pipeline = pipeline["id"].as_str().expect("a pipeline").to_owned();
    let mut paths: Vec<String> = [
        "/",
        "/pipelines",
        "/pipelines/new",
        "/history",
        "/log",
        "/log/1",
        "/audit",
        "/audit/reports",
        "/settings",
        "/account",
        "/hosts/localhost",
        "/nothing-here",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.push(format!("/commands/{id}"));
    paths.push(format!("/commands/{refused}"));
    paths.push(format!("/pipelines/{pipeline}"));

    let browser = Browser::start(true).await;
    browser.client.goto(&qd.link).await.expect("page");
    let admin = ["/users", "/tokens", "/audit/access", "/account/totp", "/api/docs"].map(str::to_owned);
    let of_admin: Vec<String> = paths.iter().cloned().chain(admin).collect();
    let mut found = too_wide(&browser, &qd, &of_admin).await;
    for name in ["victoria", "oliver"] {
        browser.client.delete_all_cookies().await.expect("out");
        browser.client.goto(&format!("{}/enter", qd.url)).await.expect("page");
        for (field, text) in [("input[name=name]", name), ("input[name=password]", PASSWORD)] {
            let field = browser.client.find(Locator::Css(field)).await.expect(field);
            field.send_keys(text).await.expect("typed");
        }
        browser.click(Locator::Css("main form button")).await;
        browser.until("hosts").await;
        found.extend(too_wide(&browser, &qd, &["/".to_owned(), "/history".to_owned()]).await);
        let who = browser
            .client
            .execute("return document.querySelector('.actor').textContent", Vec::new());
        assert_eq!(who.await.expect("asked"), Value::from(name));
    }
    std::fs::write(qd.path("home/go"), "").expect("go");
    assert!(found.is_empty(), "{}", found.join("\n"));
    browser.end().await;
}
