//! The first run: the link that is printed once, and the account that is made with it.

use super::browser::Browser;
use super::support::Dashboard;
use super::support::fake_clock::FakeClock;
use super::{OPS, PASSWORD};

#[tokio::test]
async fn the_first_minute_leads_from_the_printed_link_to_a_running_op() {
    let mut dashboard = Dashboard::start(OPS).await;
    let begun = std::time::Instant::now();
    let mut browser = Browser::new(&dashboard);
    let set_up = dashboard
        .welcome
        .strip_prefix(&dashboard.url)
        .expect("a link")
        .to_owned();
    assert!(set_up.starts_with("/setup?key="), "{set_up}");
    for path in ["/", "/history", "/enter", "/setup?key=0000", "/setup"] {
        assert_eq!(browser.get(path).await.status, 403, "{path}: nothing else is served");
    }
    assert_eq!(
        browser.get(&set_up).await.status,
        200,
        "looking at it does not use it up"
    );
    assert_eq!(browser.get(&set_up).await.status, 200);
    let key = set_up.split('=').nth(1).expect("key").to_owned();
    let form = |name: &'static str, password: &'static str| {
        [
            ("key", key.clone()),
            ("name", name.into()),
            ("password", password.into()),
            ("again", password.into()),
        ]
    };
    // Mistyped once, the only password there is would lock everybody out.
    let twice = [
        ("key", key.as_str()),
        ("name", "alice"),
        ("password", PASSWORD),
        ("again", "another-one-19"),
    ];
    let answer = browser.post("/setup", &twice).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("not the same"), "{}", answer.text);
    assert_eq!(dashboard.sql("SELECT count(*) FROM users"), "0");
    for (name, password, words) in [("Alice!", PASSWORD, "lower-case"), ("alice", "short", "10 characters")] {
        let form = form(name, password);
        let form: Vec<_> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let answer = browser.post("/setup", &form).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text.contains(words), "{}", answer.text);
    }
    let good = form("alice", PASSWORD);
    let good: Vec<_> = good.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let wrong = [("key", "0000"), ("name", "alice"), ("password", PASSWORD)];
    assert_eq!(browser.post("/setup", &wrong).await.status, 403);
    let made = browser.post("/setup", &good).await;
    assert_eq!((made.status, made.place.as_str()), (303, "/"), "{}", made.text);
    let fleet = browser.get("/").await;
    assert!(fleet.text.contains("Run uptime"), "{}", fleet.text);
    let ran = browser.post("/run", &[("op", "uptime"), ("host", "localhost")]).await;
    let id = ran.place.strip_prefix("/commands/").expect("a command").to_owned();
    let row = dashboard.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["actor"].as_str()),
        (Some("SUCCESS"), Some("user:alice"))
    );
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());

    // The link is used up, for good.
    let mut other = Browser::new(&dashboard);
    assert_eq!(other.get(&set_up).await.status, 403);
    assert_eq!(other.get("/enter").await.status, 200);
    dashboard.kill().await;
    dashboard.start_again().await;
    assert!(dashboard.welcome.ends_with("/enter"), "{}", dashboard.welcome);
}

#[tokio::test]
async fn a_set_up_link_is_good_for_an_hour() {
    let mut dashboard = Dashboard::prepare(OPS);
    let clock = FakeClock::of(&mut dashboard);
    dashboard.start_again().await;
    let link = |dashboard: &Dashboard| {
        let link = dashboard.welcome.strip_prefix(&dashboard.url).expect("a link");
        (link.to_owned(), link.split('=').nth(1).expect("key").to_owned())
    };
    let (old, key) = link(&dashboard);
    let mut browser = Browser::new(&dashboard);
    assert_eq!(browser.get(&old).await.status, 200);
    clock.is_off_by(3500);
    assert_eq!(browser.get(&old).await.status, 200);
    clock.is_off_by(3601);
    assert_eq!(browser.get(&old).await.status, 403);
    let form = [
        ("key", key.as_str()),
        ("name", "alice"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    assert_eq!(browser.post("/setup", &form).await.status, 403, "the form of before");
    assert_eq!(dashboard.sql("SELECT count(*) FROM users"), "0");
    // A start prints another one.
    dashboard.kill().await;
    dashboard.start_again().await;
    let (new, key) = link(&dashboard);
    assert_ne!(new, old);
    assert_eq!(browser.get(&old).await.status, 403);
    assert_eq!(browser.get(&new).await.status, 200);
    let form = [
        ("key", key.as_str()),
        ("name", "alice"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    assert_eq!(browser.post("/setup", &form).await.status, 303);
}
