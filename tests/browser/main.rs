//! The pages in a real browser: Debian's chromium, driven through chromedriver.

#[path = "../support/mod.rs"]
mod support;

mod widths;

use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use support::chromium::Chromium;
use support::{Dashboard, wait_for};

const OPS: &str = r#"
[probe]
interval = "0s"

[[op]]
id = "counts"
label = "Count"
script = "i=0; while [ ! -e \"$HOME/go\" ]; do i=$((i+1)); echo \"line $i\"; sleep 0.1; done; echo '<b>last</b> line'; exit 7"

[[op]]
id = "wipe"
label = "Wipe"
dangerous = true
script = "echo wiped"
"#;

/// A browser, and what somebody does with it.
struct Browser {
    client: Client,
    chromium: Chromium,
}

impl Browser {
    async fn start(scripts: bool) -> Self {
        let chromium = Chromium::start(scripts).await;
        Self {
            client: chromium.client.clone(),
            chromium,
        }
    }

    async fn text(&self) -> String {
        match self.client.find(Locator::Css("main")).await {
            Ok(main) => main.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until the page says this; gives the whole text.
    async fn until(&self, text: &str) -> String {
        wait_for(&format!("“{text}” on the page"), async || {
            let seen = self.text().await;
            seen.contains(text).then_some(seen)
        })
        .await
    }

    async fn click(&self, locator: Locator<'_>) {
        self.client
            .wait()
            .for_element(locator)
            .await
            .expect("on the page")
            .click()
            .await
            .expect("clicked");
    }

    /// Chooses localhost and an op on the fleet page, and presses Run.
    async fn run_on_localhost(&self, op: &str) {
        self.click(Locator::Css("#pick-localhost")).await;
        let select = self
            .client
            .find(Locator::Css("form#run select[name=op]"))
            .await
            .expect("the ops");
        select.select_by_value(op).await.expect("the op");
        self.click(Locator::Css("form#run button.main")).await;
    }

    /// Nothing that it was shown went against the policy.
    async fn end_without_a_violation(self) {
        let console = self.chromium.console().await;
        let against = |line: &&String| line.contains("Content Security Policy");
        let violations: Vec<_> = console.iter().filter(against).collect();
        assert!(violations.is_empty(), "{violations:?}");
        self.end().await;
    }

    async fn end(self) {
        self.client.clone().close().await.expect("closed");
    }
}

#[tokio::test]
async fn a_browser_runs_an_op_and_sees_it_end_live() {
    let mut qd = Dashboard::start(OPS).await;
    let browser = Browser::start(true).await;
    browser.client.goto(&qd.url).await.expect("page");
    assert!(
        browser.text().await.contains("quarterdeck open"),
        "without the link nothing is shown"
    );
    browser.client.goto(&qd.link).await.expect("page");
    browser.until("One host so far: this machine").await;
    assert!(
        !browser
            .client
            .current_url()
            .await
            .expect("url")
            .as_str()
            .contains("key"),
        "the link's secret is gone"
    );

    browser.click(Locator::XPath("//button[.='Run uptime']")).await;
    let page = browser.until("Succeeded").await;
    assert!(page.contains("load average"), "{page}");

    browser.client.goto(&qd.url).await.expect("page");
    browser.run_on_localhost("counts").await;
    browser.until("line 2").await;
    let mark = "window.sameDocument = true; return true";
    browser.client.execute(mark, Vec::new()).await.expect("marked");

    // The dashboard dies under the open page and comes back: the page catches up by itself.
    qd.kill().await;
    qd.start_again().await;
    let id = browser
        .client
        .current_url()
        .await
        .expect("url")
        .path()
        .rsplit('/')
        .next()
        .expect("id")
        .to_owned();
    qd.until_status(&id, "EXECUTING").await;
    std::fs::write(qd.path("home/go"), "").expect("go");
    let page = browser.until("Failed, exit 7").await;
    assert!(page.contains("<b>last</b> line"), "what a host wrote is text: {page}");
    let same = browser
        .client
        .execute("return window.sameDocument === true", Vec::new())
        .await
        .expect("asked");
    assert_eq!(same, Value::Bool(true), "no reload in between");

    browser.client.goto(&format!("{}/log", qd.url)).await.expect("page");
    browser.until("counts on localhost failed").await;
    browser.client.goto(&format!("{}/history", qd.url)).await.expect("page");
    browser.until("Failed, exit 7").await;
    browser.end_without_a_violation().await;
}

#[tokio::test]
async fn everything_works_without_scripts() {
    let qd = Dashboard::start(OPS).await;
    let browser = Browser::start(false).await;
    browser.client.goto(&qd.link).await.expect("page");
    browser.run_on_localhost("counts").await;
    wait_for("output after a reload", async || {
        browser.client.refresh().await.expect("reloaded");
        browser.text().await.contains("line 2").then_some(())
    })
    .await;
    let url = browser.client.current_url().await.expect("url");
    let id = url.path().rsplit('/').next().expect("id").to_owned();
    browser.click(Locator::Css("#stop-it summary")).await;
    browser.click(Locator::Css("#stop-it button")).await;
    let row = qd.until_final(&id).await;
    assert_eq!(row["status"], "CANCELLED", "{row}");
    browser.client.refresh().await.expect("reloaded");
    browser.until("Cancelled by").await;

    // A dangerous op asks first; nothing has started before the answer.
    browser.client.goto(&qd.url).await.expect("page");
    browser.run_on_localhost("wipe").await;
    browser.until("Wipe").await;
    assert_eq!(qd.sql("SELECT count(*) FROM commands WHERE op = 'wipe'"), "0");
    browser.end().await;
}

#[tokio::test]
async fn the_first_minute_in_a_real_browser() {
    let qd = Dashboard::start(OPS).await;
    let browser = Browser::start(true).await;
    let type_into = async |name: &str, text: &str| {
        let field = Locator::Css(name);
        let field = browser.client.wait().for_element(field).await.expect(name);
        field.send_keys(text).await.expect("typed");
    };
    browser.client.goto(&qd.welcome).await.expect("page");
    browser.until("Make the first account").await;
    type_into("input[name=name]", "alice").await;
    type_into("input[name=password]", "violet-anchor-shovel-19").await;
    type_into("input[name=again]", "violet-anchor-shovel-19").await;
    browser.click(Locator::Css("main form button")).await;
    browser.until("One host so far: this machine").await;
    browser.click(Locator::XPath("//button[.='Run uptime']")).await;
    let page = browser.until("Succeeded").await;
    assert!(page.contains("alice"), "under her own name: {page}");

    // Every page of hers draws without a word from the policy.
    for path in ["/account", "/account/totp", "/users", "/tokens"] {
        browser.client.goto(&format!("{}{path}", qd.url)).await.expect("page");
        browser.client.find(Locator::Css("main h1")).await.expect("a headline");
    }
    type_into("details.panel input[name=name]", "ci").await;
    browser.click(Locator::Css("details.panel form button")).await;
    browser.until("it is shown only this once").await;

    // Out, and in again, to where she wanted to go.
    browser.client.goto(&format!("{}/account", qd.url)).await.expect("page");
    browser.click(Locator::XPath("//button[.='Log out']")).await;
    browser.until("Log in").await;
    browser
        .client
        .goto(&format!("{}/history?op=uptime", qd.url))
        .await
        .expect("page");
    type_into("input[name=name]", "alice").await;
    type_into("input[name=password]", "violet-anchor-shovel-19").await;
    browser.click(Locator::Css("main form button")).await;
    browser.until("Succeeded").await;
    let place = browser.client.current_url().await.expect("url");
    assert_eq!((place.path(), place.query()), ("/history", Some("op=uptime")));
    browser.end_without_a_violation().await;
}

const PIPELINE: &str = r#"
[[op]]
id = "waits"
script = "while [ ! -e \"$HOME/go\" ]; do sleep 0.1; done; echo gone on"

[[op]]
id = "after"
script = "echo after all"

[[pipeline]]
id = "both"
label = "Both"
ops = ["waits", "after"]
"#;

#[tokio::test]
async fn a_pipeline_on_a_selection_is_seen_to_get_done_live() {
    let qd = Dashboard::start(&format!("{OPS}{PIPELINE}")).await;
    for name in ["one", "two", "three"] {
        qd.add_local(name, &[]).await;
    }
    let browser = Browser::start(true).await;
    browser.client.set_window_size(1280, 1000).await.expect("room");
    browser.client.goto(&qd.link).await.expect("page");
    browser.click(Locator::Css("#pick-one")).await;
    browser.click(Locator::Css("#pick-two")).await;
    browser.click(Locator::XPath("//button[.='Pipeline …']")).await;
    browser.until("Start a pipeline").await;
    let select = browser.client.find(Locator::Css("select[name=name]")).await;
    let select = select.expect("what can be started");
    select.select_by_value("both").await.expect("the pipeline");
    browser.click(Locator::XPath("//button[.='Preview']")).await;
    let page = browser.until("Both on 2 hosts?").await;
    assert!(page.contains("waits on 2 hosts") && page.contains("one, two"), "{page}");
    browser.click(Locator::XPath("//button[.='Start on 2 hosts']")).await;
    let page = browser.until("Stage 1 of 2, 0 done, 2 running").await;
    assert!(page.contains("both on 2 hosts:\nRunning"), "{page}");
    let mark = "window.sameDocument = true; return true";
    browser.client.execute(mark, Vec::new()).await.expect("marked");

    std::fs::write(qd.path("home/go"), "").expect("go");
    let page = browser.until("both on 2 hosts:\nComplete").await;
    for part in ["2 of 2 hosts passed.", "gone on", "after all", "2 hosts"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(
        page.matches("Succeeded").count(),
        6,
        "four cells and two groups: {page}"
    );
    let same = browser
        .client
        .execute("return window.sameDocument === true", Vec::new())
        .await;
    assert_eq!(same.expect("asked"), Value::Bool(true), "no reload in between");

    // One click from a cell to the output.
    browser.click(Locator::Css("#h-two td a")).await;
    let page = browser.until("waits on two").await;
    assert!(
        page.contains("gone on") && page.contains("both on 2 hosts, stage 1 of 2"),
        "{page}"
    );
    browser.end_without_a_violation().await;
}

#[tokio::test]
async fn s45_new_rows_of_the_log_announce_themselves_and_nothing_jumps() {
    let qd = Dashboard::start(OPS).await;
    let id = qd.accepted("counts", "localhost").await;
    qd.until_status(&id, "EXECUTING").await;
    for _ in 0..80 {
        qd.run("uptime", "localhost").await; // refused: busy
    }
    let browser = Browser::start(true).await;
    let script = async |script: &str| browser.client.execute(script, Vec::new()).await.expect(script);
    browser.client.goto(&qd.link).await.expect("page");
    browser.client.goto(&format!("{}/log", qd.url)).await.expect("page");
    browser.until("busy with").await;
    let top = "return document.querySelector('#live [data-event]').dataset.event";
    let place = "return Math.round(window.scrollY)";
    // At the top it is live: a new row comes by itself, and what somebody opened stays open.
    script("document.querySelector('#live details').open = true; window.opened = document.querySelector('#live details').id; return 1").await;
    let first = script(top).await;
    qd.run("uptime", "localhost").await;
    wait_for("the new row", async || (script(top).await != first).then_some(())).await;
    let open = "return document.getElementById(window.opened).open";
    assert_eq!(script(open).await, json!(true), "the reader's details stay open");

    script("window.scrollTo(0, 1200); return 1").await;
    let (here, first) = (script(place).await, script(top).await);
    assert!(here.as_i64().is_some_and(|y| y > 200), "{here}");
    for _ in 0..4 {
        qd.run("uptime", "localhost").await;
    }
    browser.until("4 new events").await;
    assert_eq!(script(place).await, here, "nothing jumps");
    assert_eq!(script(top).await, first, "nothing moves under the reader");
    browser.click(Locator::Css("#news")).await;
    let newest = qd.events().await.last().expect("an event")["id"].to_string();
    wait_for("the newest row", async || {
        (script(top).await.as_str() == Some(newest.as_str())).then_some(())
    })
    .await;
    assert_eq!(script(place).await, json!(0));
    std::fs::write(qd.path("home/go"), "").expect("go");
    qd.until_final(&id).await;

    // The filters are one form, and the address is the view.
    browser.click(Locator::Css("details.search summary")).await;
    let words = browser
        .client
        .find(Locator::Css("input[name=q]"))
        .await
        .expect("the field");
    words.send_keys("counts failed").await.expect("typed");
    browser.click(Locator::Css("details.search form button")).await;
    let page = browser.until("counts on localhost failed").await;
    assert!(!page.contains("busy with"), "{page}");
    let url = browser.client.current_url().await.expect("url");
    assert!(
        url.query().is_some_and(|query| query.contains("q=counts+failed")),
        "{url}"
    );
    browser.end_without_a_violation().await;
}
