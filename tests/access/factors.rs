//! The second factor, recovery codes, and what is asked again before something dangerous.

use totp_rs::{Builder, Secret};

use super::browser::{Browser, hidden};
use super::support::Dashboard;
use super::{OPS, PASSWORD, user};

/// The code of a secret, some steps of 30 s from now.
fn code(secret: &str, steps: i64) -> String {
    let secret = Secret::try_from_base32(secret).expect("secret");
    let totp = Builder::new()
        .with_secret(secret)
        .with_account_name("x")
        .with_issuer(Some("Quarterdeck"))
        .build()
        .expect("totp");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("clock")
        .as_secs();
    totp.generate(now.saturating_add_signed(steps * 30)).to_string()
}

/// As if ten minutes had passed since anything was proved, and no code had been used.
pub(crate) fn later(dashboard: &Dashboard) {
    use diesel::prelude::*;
    let file = dashboard.path("data/quarterdeck.db");
    let mut connection = SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    for statement in [
        "PRAGMA busy_timeout = 5000",
        "UPDATE sessions SET proved_at = '2020-01-01 00:00:00.000000'",
        "UPDATE users SET totp_step = 1 WHERE totp_step > 0",
    ] {
        diesel::sql_query(statement).execute(&mut connection).expect(statement);
    }
}

async fn enrol(browser: &mut Browser) -> (String, Vec<String>) {
    let page = browser.get("/account/totp").await;
    assert!(
        page.text.contains("<svg") && page.text.contains("otpauth://"),
        "{}",
        page.text
    );
    let secret = hidden(&page.text, "secret").expect("a secret");
    let wrong = browser
        .post("/account/totp", &[("secret", &secret), ("code", "000000")])
        .await;
    assert!(
        wrong.text.contains("is not the one that the app shows now"),
        "{}",
        wrong.text
    );
    let set = browser
        .post("/account/totp", &[("secret", &secret), ("code", &code(&secret, 0))])
        .await;
    assert_eq!(set.status, 200, "{}", set.text);
    let codes = set.text.split("<pre class=\"paste\">").nth(1).expect("codes");
    let codes = codes.split("</pre>").next().expect("codes");
    let codes: Vec<String> = codes.split_whitespace().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10);
    (secret, codes)
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_no_code_is_taken_twice() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "operator dangerous").await;
    let mut alice = Browser::of(&dashboard, "alice").await;
    let (secret, codes) = enrol(&mut alice).await;
    let mut other = Browser::new(&dashboard);
    assert_eq!(other.log_in("alice", PASSWORD, "").await.status, 403, "without a code");
    assert_eq!(
        other.log_in("alice", PASSWORD, &code(&secret, 0)).await.status,
        403,
        "the code that set it up is used"
    );
    assert_eq!(other.log_in("alice", PASSWORD, &code(&secret, 1)).await.status, 303);
    let mut third = Browser::new(&dashboard);
    assert_eq!(
        third.log_in("alice", PASSWORD, &code(&secret, 1)).await.status,
        403,
        "used"
    );
    assert_eq!(
        third.log_in("alice", PASSWORD, &code(&secret, -4)).await.status,
        403,
        "old"
    );
    assert_eq!(
        third.log_in("alice", PASSWORD, &codes[0].to_uppercase()).await.status,
        303
    );
    assert_eq!(
        third.log_in("alice", PASSWORD, &codes[0]).await.status,
        403,
        "a recovery code, once"
    );
    assert!(third.get("/account").await.text.contains("9 recovery codes left"));
    let opened = dashboard.events().await;
    let opened = opened
        .iter()
        .rev()
        .find(|event| event["action"] == "session:open")
        .expect("event");
    assert!(
        opened["message"].as_str().is_some_and(|text| text.contains("recovery")),
        "{opened}"
    );
}

#[tokio::test]
async fn another_second_factor_ends_the_other_sessions() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "operator dangerous").await;
    user(&dashboard, "bob", "viewer").await;
    let mut bob = Browser::of(&dashboard, "bob").await;
    let mut stolen = Browser::of(&dashboard, "alice").await;
    let mut alice = Browser::of(&dashboard, "alice").await;
    let (secret, codes) = enrol(&mut alice).await;
    assert_eq!(stolen.get("/").await.status, 303, "it was opened without the factor");
    assert_eq!(alice.get("/").await.status, 200, "the one that set it up stays");
    assert_eq!(bob.get("/").await.status, 200, "others are not concerned");

    // What was proved with less is void, there too.
    let hurts = [("op", "hurts"), ("host", "localhost"), ("sure", "yes")];
    let asked = alice.post("/run", &hurts).await;
    assert!(
        asked.status == 403 && asked.text.contains("Is it you?"),
        "{}",
        asked.text
    );
    assert_eq!(dashboard.sql("SELECT count(*) FROM commands"), "0");

    // The same where it is taken away: by its owner, and by an admin.
    let mut other = Browser::new(&dashboard);
    assert_eq!(other.log_in("alice", PASSWORD, &codes[0]).await.status, 303);
    let now = code(&secret, 1);
    let removed = alice
        .post("/account/totp/remove", &[("confirm_it_is_me", now.as_str())])
        .await;
    assert_eq!(removed.status, 303, "{}", removed.text);
    assert_eq!(other.get("/").await.status, 303, "taken away by its owner");
    assert_eq!(alice.get("/").await.status, 200);
    let (status, answer) = dashboard.delete("/users/alice/totp").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(alice.get("/").await.status, 303, "taken away by an admin");
}

#[tokio::test]
async fn what_is_dangerous_asks_again_once() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "operator dangerous").await;
    user(&dashboard, "olga", "operator").await;
    let hurts = [
        ("op", "hurts"),
        ("host", "localhost"),
        ("reason", "because"),
        ("sure", "yes"),
    ];

    // The right is one of its own.
    let mut olga = Browser::of(&dashboard, "olga").await;
    let denied = olga.post("/run", &hurts).await;
    assert_eq!(denied.status, 403);
    assert!(
        denied.text.contains("the right to run dangerous ops"),
        "{}",
        denied.text
    );

    // A log-in just now counts; ten minutes later the password is asked for, and nothing was done.
    let mut alice = Browser::of(&dashboard, "alice").await;
    let ran = alice.post("/run", &hurts).await;
    assert_eq!(ran.status, 303, "{}", ran.text);
    let id = ran.place.rsplit('/').next().expect("id").to_owned();
    dashboard.until_final(&id).await;
    let event = dashboard.events_of(&id).await.remove(0);
    assert_eq!(event["details"]["factor"], "password", "{event}");
    assert!(event["details"]["factor_at"].is_string(), "{event}");
    later(&dashboard);
    let asked = alice.post("/run", &hurts).await;
    assert_eq!(asked.status, 403);
    assert!(
        asked.text.contains("Is it you?") && asked.text.contains("value=\"because\""),
        "{}",
        asked.text
    );
    assert_eq!(dashboard.sql("SELECT count(*) FROM commands"), "1");
    let mut with = hurts.to_vec();
    with.push(("confirm_it_is_me", "wrong-wrong-wrong"));
    let wrong = alice.post("/run", &with).await;
    assert!(
        wrong.status == 403 && wrong.text.contains("Is it you?"),
        "{}",
        wrong.text
    );
    with[4].1 = PASSWORD;
    assert_eq!(alice.post("/run", &with).await.status, 303);
    assert_eq!(
        alice
            .post("/run", &[("op", "quick"), ("host", "localhost")])
            .await
            .status,
        303
    );
    assert_eq!(
        dashboard.sql("SELECT count(*) FROM event_log WHERE action = 'session:step-up'"),
        "1"
    );

    // With a second factor a code is asked for, and the password is none.
    let (secret, _) = enrol(&mut alice).await;
    later(&dashboard);
    with[4].1 = PASSWORD;
    assert_eq!(alice.post("/run", &with).await.status, 403, "the password is no code");
    let now = code(&secret, 0);
    with[4].1 = &now;
    assert_eq!(alice.post("/run", &with).await.status, 303);
    later_proof_only(&dashboard);
    assert_eq!(alice.post("/run", &with).await.status, 403, "no code is taken twice");

    // A token needs the right, and nothing else.
    let client = reqwest::Client::new();
    let plain = super::token(&dashboard, "plain", "operator").await;
    let strong = super::token(&dashboard, "strong", "operator dangerous").await;
    for (secret, expected) in [(plain, 403), (strong, 202)] {
        dashboard_is_idle(&dashboard).await;
        let body = serde_json::json!({ "op": "hurts", "hosts": ["localhost"] });
        let request = client.post(format!("{}/api/v1/commands", dashboard.url));
        let answer = request.bearer_auth(secret).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), expected);
    }
}

#[tokio::test]
async fn a_password_is_not_sent_back_to_be_confirmed() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "viewer").await;
    let mut alice = Browser::of(&dashboard, "alice").await;
    later(&dashboard);
    let new = "amber-kettle-radio-7";
    let form = [("new_password", new), ("again", new)];
    let asked = alice.post("/account/password", &form).await;
    assert!(asked.text.contains("Is it you?"), "{}", asked.text);
    assert!(!asked.text.contains(new), "it is typed again");
    assert!(
        asked.text.contains("name=\"new_password\" type=\"password\""),
        "{}",
        asked.text
    );
    let form = [("new_password", new), ("again", new), ("confirm_it_is_me", PASSWORD)];
    assert_eq!(alice.post("/account/password", &form).await.status, 303);
    assert_eq!(Browser::new(&dashboard).log_in("alice", new, "").await.status, 303);
}

fn later_proof_only(dashboard: &Dashboard) {
    use diesel::prelude::*;
    let file = dashboard.path("data/quarterdeck.db");
    let mut connection = SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    diesel::sql_query("PRAGMA busy_timeout = 5000")
        .execute(&mut connection)
        .expect("pragma");
    let statement = "UPDATE sessions SET proved_at = '2020-01-01 00:00:00.000000'";
    diesel::sql_query(statement).execute(&mut connection).expect(statement);
}

async fn dashboard_is_idle(dashboard: &Dashboard) {
    super::support::wait_for("nothing open", async || {
        let open = dashboard.sql("SELECT count(*) FROM commands WHERE finished_at IS NULL");
        (open == "0").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_role_can_take_a_second_factor() {
    let dashboard = Dashboard::start(&format!("[access]\nrequire_totp = [\"admin\"]\n{OPS}")).await;
    user(&dashboard, "alice", "admin").await;
    user(&dashboard, "vera", "viewer").await;
    let mut alice = Browser::of(&dashboard, "alice").await;
    for path in ["/", "/users", "/history"] {
        let answer = alice.get(path).await;
        assert_eq!((answer.status, answer.place.as_str()), (303, "/account"), "{path}");
    }
    assert_eq!(
        alice
            .post("/run", &[("op", "quick"), ("host", "localhost")])
            .await
            .status,
        303
    );
    assert_eq!(
        dashboard.sql("SELECT count(*) FROM commands"),
        "0",
        "it led to the account, and ran nothing"
    );
    assert!(
        alice
            .get("/account")
            .await
            .text
            .contains("Your role needs a second factor")
    );
    enrol(&mut alice).await;
    assert_eq!(alice.get("/users").await.status, 200);
    let mut vera = Browser::of(&dashboard, "vera").await;
    assert_eq!(vera.get("/").await.status, 200);
}
