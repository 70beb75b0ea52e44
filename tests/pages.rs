//! The pages through the front door: who comes in, what is refused, what a hostile host can do to a
//! page, and that every action works without any script.

mod support;

use reqwest::header::{COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use support::{Dashboard, wait_for};

const OPS: &str = r#"
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

/// A browser without any script: it keeps its cookie and follows nothing by itself.
struct Browser {
    client: Client,
    url: String,
    cookie: String,
    token: String,
}

impl Browser {
    fn stranger(dashboard: &Dashboard) -> Self {
        Self {
            client: Client::builder().redirect(Policy::none()).build().expect("client"),
            url: dashboard.url.clone(),
            cookie: String::new(),
            token: String::new(),
        }
    }

    async fn signed_in(dashboard: &Dashboard) -> Self {
        let mut browser = Self::stranger(dashboard);
        let answer = browser.client.get(&dashboard.link).send().await.expect("an answer");
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()[SET_COOKIE].to_str().expect("text").to_owned();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
            "{cookie}"
        );
        browser.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let (_, page) = browser.get("/account").await;
        let token = page.split("name=\"form_token\" value=\"").nth(1).expect("a form");
        browser.token = token.split('"').next().unwrap_or_default().to_owned();
        browser
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self
            .client
            .get(format!("{}{path}", self.url))
            .header(COOKIE, &self.cookie);
        let answer = answer.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    async fn post(&self, path: &str, form: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self
            .client
            .post(format!("{}{path}", self.url))
            .header(COOKIE, &self.cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let form = format!("form_token={}&{form}", self.token);
        request.body(form).send().await.expect("an answer")
    }

    /// Presses a button, and says where that leads.
    async fn press(&self, path: &str, form: &str) -> String {
        let answer = self.post(path, form, &[("sec-fetch-site", "same-origin")]).await;
        assert_eq!(answer.status(), 303, "{path} {form}");
        answer.headers()[LOCATION].to_str().expect("text").to_owned()
    }
}

#[tokio::test]
async fn the_guard_lets_in_who_belongs_here() {
    let mut dashboard = Dashboard::start(OPS).await;
    let stranger = Browser::stranger(&dashboard);
    assert_eq!(stranger.get("/").await.0, 403, "not set up yet");
    let alice = serde_json::json!({ "name": "alice", "password": "correct horse", "role": "admin" });
    assert_eq!(dashboard.post("/users", &alice).await.0, 201);
    for (path, enter) in [
        ("/", "/enter"),
        ("/history", "/enter?next=%2Fhistory"),
        ("/log?level=warn", "/enter?next=%2Flog%3Flevel%3Dwarn"),
        ("/hosts/localhost", "/enter?next=%2Fhosts%2Flocalhost"),
        ("/nowhere", "/enter?next=%2Fnowhere"),
    ] {
        let answer = stranger
            .client
            .get(format!("{}{path}", dashboard.url))
            .send()
            .await
            .expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), answer.headers()[LOCATION].as_bytes()),
            (303, enter.as_bytes())
        );
    }
    assert_eq!(stranger.get("/enter").await.0, 200);
    assert_eq!(stranger.get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(stranger.get("/readyz").await.0, 200);
    let poll = stranger
        .client
        .get(format!("{}/?live=x.1", dashboard.url))
        .header("hx-request", "true");
    assert_eq!(poll.send().await.expect("an answer").status(), 401);

    // What fetches ahead does not use the link up; who follows it does, once.
    let ahead = stranger.client.get(&dashboard.link).header("sec-fetch-mode", "no-cors");
    assert_eq!(ahead.send().await.expect("an answer").status(), 403);
    let browser = Browser::signed_in(&dashboard).await;
    assert_eq!(
        stranger
            .client
            .get(&dashboard.link)
            .send()
            .await
            .expect("an answer")
            .status(),
        403,
        "used up"
    );
    assert_eq!(browser.get("/").await.0, 200);

    let foreign = browser
        .client
        .get(&dashboard.url)
        .header(COOKIE, &browser.cookie)
        .header(HOST, "evil.example");
    assert_eq!(foreign.send().await.expect("an answer").status(), 421);
    let own = dashboard.url.clone();
    for (headers, expected) in [
        (vec![], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (
            vec![("sec-fetch-site", "same-site"), (ORIGIN.as_str(), own.as_str())],
            403,
        ),
        (vec![(ORIGIN.as_str(), "http://evil.example")], 403),
        (vec![(ORIGIN.as_str(), own.as_str())], 303),
        (vec![("sec-fetch-site", "same-origin")], 303),
    ] {
        let answer = browser.post("/hosts/localhost/test", "", &headers).await;
        assert_eq!(answer.status().as_u16(), expected, "{headers:?}");
        let policy = answer.headers()["content-security-policy"].to_str().expect("text");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    let refused = dashboard
        .events()
        .await
        .iter()
        .filter(|event| event["action"] == "refused")
        .count();
    assert_eq!(
        refused, 3,
        "a used link, a foreign name, a foreign origin: one event for each kind and address in a minute, not one for each request"
    );

    dashboard.kill().await;
    dashboard.start_again().await;
    let browser = Browser {
        url: dashboard.url.clone(),
        ..browser
    };
    assert_eq!(browser.get("/").await.0, 200, "a session survives a restart");
    let secret = browser.cookie.split('=').nth(1).expect("token").to_owned();
    let key = dashboard.link.split('=').nth(1).expect("key").to_owned();
    assert!(
        !dashboard.log().contains(&secret) && !dashboard.log().contains(&key),
        "no secret in the program's log"
    );
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

    let again = browser
        .post(&format!("{place}/stop"), "", &[("sec-fetch-site", "same-origin")])
        .await;
    assert_eq!(again.status(), 409, "it is final");
    let refused = dashboard
        .events()
        .await
        .into_iter()
        .filter(|event| event["action"] == "refused")
        .count();
    assert_eq!(refused, 1, "a refused change is an event");

    // Danger, by a ladder.
    let asks = browser
        .post("/run", "op=hurts&host=localhost", &[("sec-fetch-site", "same-origin")])
        .await;
    assert_eq!(asks.status(), 200);
    assert!(asks.text().await.expect("text").contains("asks before it starts"));
    browser.press("/hosts", "address=nobody@127.0.0.1:1&name=far").await;
    let both = "op=hurts&host=localhost&host=far&sure=yes";
    let wrong = browser
        .post("/run", &format!("{both}&count=3"), &[("sec-fetch-site", "same-origin")])
        .await;
    assert_eq!(wrong.status(), 400, "the number of hosts is typed");
    assert!(
        browser
            .press("/run", &format!("{both}&count=2"))
            .await
            .starts_with("/pipelines/"),
        "an op on several hosts is a pipeline of one stage"
    );

    let wrong = browser
        .post("/hosts/far/remove", "name=fra", &[("sec-fetch-site", "same-origin")])
        .await;
    assert_eq!(wrong.status(), 400, "its name is typed");
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

#[tokio::test]
async fn a_live_page_is_answered_when_there_is_something_newer() {
    let mut dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    let version = |page: &str| {
        let rest = page.split("data-version=\"").nth(1).expect("a live region");
        rest.split('"').next().expect("its version").to_owned()
    };
    let shown = version(&browser.get("/history").await.1);
    let waiting = browser.client.get(format!("{}/history?live={shown}", browser.url));
    let waiting = tokio::spawn(waiting.header(COOKIE, &browser.cookie).send());
    let place = browser.press("/run", "op=sleeps&host=localhost").await;
    let answer = waiting.await.expect("join").expect("an answer");
    assert_eq!(answer.status(), 200);
    let fragment = answer.text().await.expect("text");
    assert!(fragment.contains(&place) && !fragment.contains("<html"), "{fragment}");

    // A waiting page does not hold a stop up, and a page from before it is answered at once afterwards.
    let id = place.strip_prefix("/commands/").expect("id").to_owned();
    dashboard.until_output(&id, "begun").await;
    let shown = version(&browser.get("/").await.1);
    let waiting = browser.client.get(format!(
        "{}/log?live={}",
        browser.url,
        version(&browser.get("/log").await.1)
    ));
    let waiting = tokio::spawn(waiting.header(COOKIE, &browser.cookie).send());
    let took = dashboard.stop().await;
    assert!(took.as_secs() < 10, "{took:?}");
    let _ = waiting.await.expect("join");
    dashboard.start_again().await;
    let browser = Browser {
        url: dashboard.url.clone(),
        ..browser
    };
    let (status, fragment) = browser.get(&format!("/?live={shown}")).await;
    assert_eq!(status, 200);
    assert_ne!(version(&fragment), shown);
    browser.press(&format!("{place}/stop"), "").await;
    dashboard.until_status(&id, "CANCELLED").await;
}

#[tokio::test]
async fn a_long_timeline_shows_its_newest_events_and_says_so() {
    use diesel::Connection as _;
    use diesel::connection::SimpleConnection as _;

    let dashboard = Dashboard::start("[probe]\ninterval = \"0s\"\n").await;
    let browser = Browser::signed_in(&dashboard).await;
    let id = dashboard.accepted("uptime", "localhost").await;
    dashboard.until_final(&id).await;
    let page = browser.get(&format!("/commands/{id}")).await.1;
    assert!(
        page.contains("contacting the host") && !page.contains("Earlier events"),
        "{page}"
    );
    let file = dashboard.path("data/quarterdeck.db");
    let mut journal = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    let many = format!(
        "PRAGMA busy_timeout = 5000; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) \
         INSERT INTO event_log (category, level, actor, action, message, command_id) \
         SELECT 'system', 'info', 'system', 'op:uptime', 'note ' || i || '.', '{id}' FROM n"
    );
    journal.batch_execute(&many).expect("written");
    let page = browser.get(&format!("/commands/{id}")).await.1;
    assert!(
        page.contains("Earlier events are not shown here: only the newest 200 are."),
        "{page}"
    );
    let (first, last) = (page.find("note 1.<"), page.find("note 200.<"));
    assert!(first.is_some() && first < last, "oldest first, and the newest is there");
    assert!(!page.contains("contacting the host"));
}

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
    let browser = Browser {
        url: dashboard.url.clone(),
        ..browser
    };
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

#[tokio::test]
async fn a_form_comes_back_as_it_was_filled_in() {
    let dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    let own = [("sec-fetch-site", "same-origin")];
    let wrong = browser
        .post("/hosts", "address=root@web-03&name=-bad&tags=web+prod", &own)
        .await;
    assert_eq!(wrong.status(), 400);
    let page = wrong.text().await.expect("text");
    assert!(
        page.contains("value=\"root@web-03\"")
            && page.contains("value=\"web prod\"")
            && page.contains("value=\"-bad\""),
        "{page}"
    );
    let beside = page.split("value=\"-bad\"").nth(1).expect("the field");
    assert!(
        beside
            .split("</label>")
            .next()
            .expect("label")
            .contains("role=\"alert\""),
        "{page}"
    );
    let taken = browser
        .post("/hosts", "address=x@127.0.0.1:1&name=localhost", &own)
        .await;
    assert_eq!(taken.status(), 409);
    assert!(taken.text().await.expect("text").contains("value=\"x@127.0.0.1:1\""));

    let place = browser.press("/run", "op=sleeps&host=localhost").await;
    let id = place.rsplit('/').next().expect("id").to_owned();
    dashboard.until_output(&id, "begun").await;
    let wrong = browser.post(&format!("{place}/extend"), "span=soonish", &own).await;
    assert_eq!(wrong.status(), 400);
    let page = wrong.text().await.expect("text");
    assert!(
        page.contains("value=\"soonish\"") && page.contains("id=\"extend-it\" open"),
        "{page}"
    );
    browser.press(&format!("{place}/stop"), "").await;
    dashboard.until_status(&id, "CANCELLED").await;
}

#[tokio::test]
async fn a_test_of_a_host_shows_what_works_as_ticks() {
    let dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    let place = browser.press("/hosts/localhost/test", "").await;
    let (_, page) = browser.get(&place).await;
    let ticks = page
        .split("id=\"ticks\"")
        .nth(1)
        .expect("ticks")
        .split("</section>")
        .next()
        .expect("end");
    assert!(
        ticks.contains("its clock agrees") && !ticks.contains("status bad"),
        "{ticks}"
    );
    let place = browser.press("/hosts", "address=nobody@127.0.0.1:1&name=far").await;
    let (_, page) = browser.get(&place).await;
    let ticks = page
        .split("id=\"ticks\"")
        .nth(1)
        .expect("ticks")
        .split("</section>")
        .next()
        .expect("end");
    assert!(
        ticks.contains("status bad") && ticks.contains("ssh -p 1 nobody@127.0.0.1 true") && ticks.contains("not tried"),
        "{ticks}"
    );
    let asks = browser
        .post("/run", "op=hurts&host=localhost", &[("sec-fetch-site", "same-origin")])
        .await;
    assert!(asks.text().await.expect("text").contains("dashboard&#39;s own machine"));
}

#[tokio::test]
async fn a_command_page_says_what_ran_and_shows_whole_lines() {
    let dashboard = Dashboard::start(&format!(
        "{OPS}\n[[op]]\nid = \"prints\"\nretryable = true\nscript = \"seq -f 'line %g of a long output' 1 20000; exit 3\"\n\n[[op]]\nid = \"needless\"\npre_check = \"exit 10\"\nscript = \"true\"\n"
    ))
    .await;
    let browser = Browser::signed_in(&dashboard).await;
    let place = browser
        .press("/run", "op=prints&host=localhost&reason=weekly+round")
        .await;
    dashboard.until_final(place.rsplit('/').next().expect("id")).await;
    let (_, page) = browser.get(&place).await;
    let shown = page
        .split("<pre id=\"output\"")
        .nth(1)
        .expect("output")
        .split("</pre>")
        .next()
        .expect("end");
    assert_eq!(shown.matches("line ").count(), 40, "{shown}");
    assert!(shown.contains(">line 19961 of"), "{shown}");
    assert!(
        page.contains("name=\"reason\" value=\"weekly round\""),
        "a retry carries the reason"
    );
    let (_, all) = browser.get(&format!("{place}?output=all")).await;
    assert!(
        all.contains(">line 1 of a long output\n"),
        "all of it begins at the beginning"
    );
    let later = all
        .split("&amp;from=")
        .nth(1)
        .expect("a later part")
        .split('"')
        .next()
        .expect("offset");
    let (_, next) = browser.get(&format!("{place}?output=all&from={later}")).await;
    let shown = next.split("<pre id=\"output\"").nth(1).expect("output");
    let first = shown.split_once('>').expect("text").1;
    assert!(first.starts_with("line "), "{}", &first[..40]);
    assert!(all.contains(
        &format!("line {} of", first[5..].split(' ').next().expect("number").parse::<u32>().expect("number") - 1)
    ));

    let place = browser.press("/run", "op=needless&host=localhost").await;
    dashboard.until_final(place.rsplit('/').next().expect("id")).await;
    let (_, page) = browser.get(&place).await;
    assert!(page.contains("It did not run, so there is no output."), "{page}");
    assert!(!page.contains("needed: not needed"), "{page}");
    let name = dashboard.command(place.rsplit('/').next().expect("id")).await["actor"]
        .as_str()
        .expect("actor")
        .to_owned();
    let bare = name.split(':').next_back().expect("name");
    for who in [bare, &name] {
        let (_, log) = browser.get(&format!("/log?actor={who}")).await;
        assert!(log.contains("was asked for") || log.contains("<tr id=\"e-"), "{who}");
    }
    let (_, past) = browser.get("/history?since=2020-01-01").await;
    assert!(
        past.contains("Commands are kept for") && past.contains("is deleted"),
        "{past}"
    );
}
