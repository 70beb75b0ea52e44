//! The API over the network: tokens, their ends and limits, one start for one key.

use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::support::{Dashboard, wait_for};
use super::{OPS, PASSWORD, token, user};

struct Program {
    client: Client,
    url: String,
    secret: String,
}

impl Program {
    fn new(dashboard: &Dashboard, secret: &str) -> Self {
        Self {
            client: Client::new(),
            url: dashboard.url.clone(),
            secret: secret.to_owned(),
        }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.client.get(format!("{}/api/v1{path}", self.url));
        read(request.bearer_auth(&self.secret).send().await.expect("an answer")).await
    }

    async fn start(&self, path: &str, key: Option<&str>, body: &Value) -> (u16, Value) {
        let mut request = self.client.post(format!("{}/api/v1{path}", self.url));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        read(
            request
                .bearer_auth(&self.secret)
                .json(body)
                .send()
                .await
                .expect("an answer"),
        )
        .await
    }
}

async fn read(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_token_is_good_until_it_ends() {
    let dashboard = Dashboard::start(OPS).await;
    let secret = token(&dashboard, "reader", "viewer").await;
    let reader = Program::new(&dashboard, &secret);
    assert_eq!(reader.get("/hosts").await.0, 200);
    let (_, me) = reader.get("/me").await;
    assert_eq!(me["actor"], "token:reader");
    let run = json!({ "op": "quick", "hosts": ["localhost"] });
    assert_eq!(reader.start("/commands", None, &run).await.0, 403);
    for secret in ["", "qd_", "qd_0000", &secret[..secret.len() - 1], &format!("{secret}0")] {
        let stranger = Program::new(&dashboard, secret);
        assert_eq!(stranger.get("/hosts").await.0, 401, "{secret}");
    }
    wait_for("its last use", async || {
        let (_, tokens) = dashboard.get("/tokens").await;
        (!tokens["tokens"][0]["last_used_at"].is_null()).then_some(())
    })
    .await;
    assert_eq!(dashboard.delete("/tokens/reader").await.0, 200);
    assert_eq!(reader.get("/hosts").await.0, 401, "revoked");
    assert_eq!(dashboard.delete("/tokens/reader").await.0, 409);
    let again = json!({ "name": "reader", "role": "viewer" });
    assert_eq!(
        dashboard.post("/tokens", &again).await.0,
        409,
        "names are not used again"
    );
    let (status, short) = dashboard
        .post("/tokens", &json!({ "name": "short", "role": "viewer", "lasts": "1s" }))
        .await;
    assert_eq!(status, 201, "{short}");
    let short = Program::new(&dashboard, short["token"].as_str().expect("secret"));
    wait_for("its end", async || (short.get("/hosts").await.0 == 401).then_some(())).await;
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let dashboard = Dashboard::start(OPS).await;
    let admin = token(&dashboard, "admin", "admin").await;
    let admin = Program::new(&dashboard, &admin);
    for (role, expected) in [
        ("viewer", 201),
        ("operator@lab", 201),
        ("admin dangerous", 403),
        ("dangerous", 403),
    ] {
        let name = format!("made-{expected}-{}", role.len());
        let body = json!({ "name": name, "role": role });
        assert_eq!(admin.start("/tokens", None, &body).await.0, expected, "{role}");
        let body = json!({ "name": name, "password": PASSWORD, "role": role });
        assert_eq!(admin.start("/users", None, &body).await.0, expected, "{role}");
    }
    user(&dashboard, "root", "admin dangerous").await;
    let body = json!({ "password": "another-password-1" });
    assert_eq!(
        admin.start("/users/root/password", None, &body).await.0,
        403,
        "who has more is not theirs"
    );
    assert_eq!(
        admin.start("/links", None, &json!({})).await.0,
        403,
        "a link is for this machine"
    );
}

#[tokio::test]
async fn no_flood_of_refusals_hides_another_one() {
    let dashboard = Dashboard::start(&format!("proxies = [\"127.0.0.0/8\"]\n{OPS}")).await;
    user(&dashboard, "alice", "viewer").await;
    let operator = Program::new(&dashboard, &token(&dashboard, "ops", "operator").await);
    let viewer = Program::new(&dashboard, &token(&dashboard, "eyes", "viewer").await);
    let before = super::events(&dashboard, "refused").await;
    let client = Client::new();
    for n in 0..200 {
        let request = client.get(&dashboard.url).header("host", "evil.example");
        let request = request.header("x-forwarded-for", format!("198.51.{n}.1"));
        assert_eq!(request.send().await.expect("an answer").status(), 421);
    }
    let after = super::events(&dashboard, "refused").await;
    assert_eq!(after - before, 30, "strangers share what is kept apart");
    for n in 0..50 {
        let run = json!({ "op": format!("no-such-op-{n}"), "hosts": ["localhost"] });
        assert_eq!(operator.start("/commands", None, &run).await.0, 404);
    }
    assert_eq!(
        super::events(&dashboard, "refused").await,
        after + 10,
        "so many of one kind, and no more"
    );

    // What others are refused is written all the same.
    let sweep = operator.start("/sweep", None, &json!({})).await;
    assert_eq!(sweep.0, 403);
    let run = json!({ "op": "quick", "hosts": ["localhost"] });
    assert_eq!(viewer.start("/commands", None, &run).await.0, 403);
    let wrong = json!({ "name": "alice", "password": "wrong-wrong-wrong" });
    assert_eq!(dashboard.post("/login", &wrong).await.0, 403);
    let nobody = json!({ "name": "nobody", "password": "wrong-wrong-wrong" });
    assert_eq!(dashboard.post("/login", &nobody).await.0, 403);
    wait_for("all four", async || {
        (super::events(&dashboard, "refused").await == after + 14).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_revokes_what_may_more_than_they_do() {
    let dashboard = Dashboard::start(OPS).await;
    let admin = Program::new(&dashboard, &token(&dashboard, "admin", "admin").await);
    token(&dashboard, "strong", "operator dangerous").await;
    token(&dashboard, "weak", "operator").await;
    let revoke = async |name: &str| {
        let request = admin.client.delete(format!("{}/api/v1/tokens/{name}", admin.url));
        read(request.bearer_auth(&admin.secret).send().await.expect("an answer")).await
    };
    let (status, why) = revoke("strong").await;
    assert_eq!(status, 403, "{why}");
    assert_eq!(revoke("weak").await.0, 200);
    assert_eq!(revoke("nothing").await.0, 404);
    assert_eq!(dashboard.delete("/tokens/strong").await.0, 200, "who may everything");
}

#[tokio::test]
async fn who_is_shut_out_while_waiting_learns_nothing_more() {
    let dashboard = Dashboard::start(OPS).await;
    let reader = Program::new(&dashboard, &token(&dashboard, "reader", "viewer").await);
    let last = dashboard.events().await;
    let last = last.last().expect("an event")["id"].clone();
    let path = format!("/events?after={last}&wait=30");
    let (waited, revoked) = futures_util::future::join(reader.get(&path), async {
        // It is known, and waits.
        wait_for("its use", async || {
            let (_, tokens) = dashboard.get("/tokens").await;
            (!tokens["tokens"][0]["last_used_at"].is_null()).then_some(())
        })
        .await;
        dashboard.delete("/tokens/reader").await
    })
    .await;
    assert_eq!(revoked.0, 200);
    assert_eq!(waited.0, 401, "{}", waited.1);
    assert!(waited.1["events"].is_null(), "{}", waited.1);
}

#[tokio::test]
async fn one_key_starts_once_over_restarts_too() {
    let mut dashboard = Dashboard::start(OPS).await;
    let secret = token(&dashboard, "ci", "operator").await;
    let other = token(&dashboard, "cd", "operator").await;
    let run = json!({ "op": "quick", "hosts": ["localhost"] });
    let ci = Program::new(&dashboard, &secret);

    // Many at once.
    let many = (0..10).map(|_| ci.start("/commands", Some("k-1"), &run));
    let answers = futures_util::future::join_all(many).await;
    let ids: std::collections::BTreeSet<_> = answers
        .iter()
        .map(|(status, answer)| {
            assert_eq!(*status, 202, "{answer}");
            answer["commands"][0]["id"].as_str().expect("id").to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let id = ids.first().expect("id").clone();
    dashboard.until_final(&id).await;

    dashboard.kill().await;
    dashboard.start_again().await;
    let ci = Program::new(&dashboard, &secret);
    let (_, again) = ci.start("/commands", Some("k-1"), &run).await;
    assert_eq!(again["commands"][0]["id"], id, "after kill -9 too");
    assert_eq!(again["commands"][0]["status"], "SUCCESS", "as it stands now");

    // Another request under the key is a mistake; another key, or another's, is another start.
    let changed = json!({ "op": "quick", "hosts": ["localhost"], "reason": "other" });
    let (status, problem) = ci.start("/commands", Some("k-1"), &changed).await;
    assert_eq!(
        (status, problem["field"].as_str()),
        (422, Some("Idempotency-Key")),
        "{problem}"
    );
    let cd = Program::new(&dashboard, &other);
    let (_, theirs) = cd.start("/commands", Some("k-1"), &run).await;
    let theirs = theirs["commands"][0]["id"].as_str().expect("id").to_owned();
    assert_ne!(theirs, id);
    dashboard.until_final(&theirs).await;
    let (status, _) = ci.start("/commands", Some("not a key"), &run).await;
    assert_eq!(status, 422);

    // Pipelines and retries keep it too.
    let pipeline = json!({ "name": "quick", "hosts": ["localhost"] });
    let (_, first) = ci.start("/pipelines", Some("p-1"), &pipeline).await;
    let (_, second) = ci.start("/pipelines", Some("p-1"), &pipeline).await;
    assert_eq!(first["id"], second["id"], "{first} {second}");
    assert_eq!(dashboard.sql("SELECT count(*) FROM pipelines"), "1");
}
