//! The API over the network: tokens, one start for one key, TLS, and the command line from elsewhere.

use std::process::Command;

use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::browser::Browser;
use super::support::cli::quarterdeck;
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
    assert_eq!(super::events(&dashboard, "refused").await, after + 1, "one kind");

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
        (super::events(&dashboard, "refused").await == after + 5).then_some(())
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

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_manages_people_and_acts_for_them() {
    let dashboard = Dashboard::start(OPS).await;
    let typed = async |arguments: &str, input: &str| {
        use std::io::Write as _;
        let mut program = dashboard.program();
        program.args(arguments.split_whitespace()).env("SUDO_USER", "alice");
        program.stdin(std::process::Stdio::piped());
        program
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let input = input.to_owned();
        let output = tokio::task::spawn_blocking(move || {
            let mut child = program.spawn().expect("starts");
            child
                .stdin
                .take()
                .expect("stdin")
                .write_all(input.as_bytes())
                .expect("typed");
            child.wait_with_output().expect("ends")
        });
        let output = output.await.expect("join");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let password = format!("{PASSWORD}\n");
    let (code, out, err) = typed("user add olga --role operator", &password).await;
    assert_eq!((code, out.as_str()), (Some(0), "made olga: operator\n"), "{err}");
    let added = dashboard.events().await;
    let added = added.iter().find(|event| event["action"] == "user:add").expect("event");
    assert_eq!(
        added["details"]["claims"], "SUDO_USER=alice",
        "a claim, marked as one: {added}"
    );
    assert!(
        added["actor"].as_str().is_some_and(|actor| actor.starts_with("local:")),
        "{added}"
    );
    assert_eq!(
        typed("user add olga --role viewer", &password).await.0,
        Some(4),
        "a name is not used again"
    );
    assert_eq!(typed("user add short --role viewer", "short\n").await.0, Some(2));
    assert_eq!(typed("user role olga operator dangerous", "").await.0, Some(0));
    let (_, out, _) = typed("user list", "").await;
    assert!(out.contains("olga") && out.contains("operator dangerous"), "{out}");

    // Acting under one's own name, on the same socket.
    let (code, out, err) = typed("login olga", &format!("{PASSWORD}\n\n")).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, out, err) = typed("run quick --host localhost --wait", "").await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(dashboard.sql("SELECT actor FROM commands"), "user:olga");
    let (code, _, err) = typed("user list", "").await;
    assert_eq!(code, Some(4), "olga is no admin: {err}");
    let kept = dashboard.path("home/.local/state/quarterdeck-login.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&kept).expect("file").permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(typed("logout", "").await.0, Some(0));
    assert_eq!(typed("user passwd olga", "amber-kettle-radio-7\n").await.0, Some(0));
    assert_eq!(typed("user disable olga", "").await.0, Some(0));
    assert_ne!(typed("login olga", "amber-kettle-radio-7\n\n").await.0, Some(0));

    // A token, and the dashboard from elsewhere.
    let (code, secret, err) = typed("token add ci --role viewer --lasts 1d", "").await;
    assert_eq!(code, Some(0), "{err}");
    std::fs::write(dashboard.path("token"), &secret).expect("written");
    let elsewhere = format!(
        "--url {} --token-file {}",
        dashboard.url,
        dashboard.path("token").display()
    );
    let (code, out, err) = quarterdeck(&dashboard, &format!("history {elsewhere}")).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("quick"), "{out}");
    let (code, _, err) = quarterdeck(&dashboard, &format!("run quick --host localhost {elsewhere}")).await;
    assert_eq!(code, 4, "a viewer: {err}");
    let (code, _, err) = quarterdeck(&dashboard, "history --url http://fleet.example.org").await;
    assert!(code == 2 && err.contains("unencrypted"), "{err}");
    assert_eq!(typed("token revoke ci", "").await.0, Some(0));
    let (code, _, err) = quarterdeck(&dashboard, &format!("history {elsewhere}")).await;
    assert_eq!(code, 4, "{err}");
}

/// A certificate for 127.0.0.1, by its number.
pub(crate) fn certificate(folder: &std::path::Path, number: u32) {
    let config = "[req]\ndistinguished_name = dn\nx509_extensions = v3\nprompt = no\n[dn]\nCN = 127.0.0.1\n\
                  [v3]\nbasicConstraints = critical,CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
    std::fs::write(folder.join("req.cnf"), config).expect("written");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args(["-days", "2", "-set_serial", &number.to_string(), "-config"])
        .arg(folder.join("req.cnf"))
        .arg("-keyout")
        .arg(folder.join("new.key"))
        .arg("-out")
        .arg(folder.join("new.crt"))
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::rename(folder.join("new.key"), folder.join("key.pem")).expect("renamed");
    std::fs::rename(folder.join("new.crt"), folder.join("crt.pem")).expect("renamed");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_it_speaks_https_and_takes_the_next_one() {
    let files = tempfile::tempdir().expect("folder");
    certificate(files.path(), 1);
    let config = format!(
        "[tls]\ncertificate = \"{0}/crt.pem\"\nkey = \"{0}/key.pem\"\n{OPS}",
        files.path().display()
    );
    let dashboard = Dashboard::start(&config).await;
    assert!(dashboard.url.starts_with("https://"), "{}", dashboard.url);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusting = |files: &std::path::Path| {
        let pem = std::fs::read(files.join("crt.pem")).expect("certificate");
        Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem).expect("PEM")])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("client")
    };
    user(&dashboard, "alice", "viewer").await;
    let mut alice = Browser::new(&dashboard);
    alice.client = trusting(files.path());
    assert_eq!(alice.log_in("alice", PASSWORD, "").await.status, 303);
    assert_eq!(alice.get("/").await.status, 200);
    let answer = alice
        .client
        .get(format!("{}/enter", dashboard.url))
        .send()
        .await
        .expect("an answer");
    assert!(answer.headers().contains_key("strict-transport-security"));
    let cookie = answer.headers()["set-cookie"].to_str().expect("text");
    let whole = cookie.starts_with("__Host-") && cookie.contains("Path=/") && !cookie.contains("Domain");
    assert!(whole && cookie.contains("Secure"), "{cookie}");
    assert!(
        alice.cookies.keys().all(|name| name.starts_with("__Host-")),
        "{:?}",
        alice.cookies
    );
    assert_eq!(alice.post("/logout", &[]).await.status, 303);
    assert!(!alice.has_session(), "and it is taken away again");

    // The command line takes the certificate's word.
    let secret = token(&dashboard, "ci", "viewer").await;
    std::fs::write(dashboard.path("token"), secret).expect("written");
    let elsewhere = format!(
        "history --url {} --token-file {} --ca {}/crt.pem",
        dashboard.url,
        dashboard.path("token").display(),
        files.path().display()
    );
    let (code, _, err) = quarterdeck(&dashboard, &elsewhere).await;
    assert_eq!(code, 0, "{err}");

    // Another one; then one that cannot be read: the last good one stays.
    certificate(files.path(), 2);
    let new = wait_for("the next certificate", async || {
        let client = trusting(files.path());
        let answer = client.get(format!("{}/healthz", dashboard.url)).send().await;
        answer.ok().map(|_| client)
    })
    .await;
    std::fs::write(files.path().join("crt.pem"), "nonsense").expect("written");
    wait_for("the word about it", async || {
        dashboard.log().contains("the old one stays").then_some(())
    })
    .await;
    wait_for("both events", async || {
        let events = dashboard.events().await;
        let of: Vec<_> = events.iter().filter(|event| event["action"] == "certificate").collect();
        let kinds: Vec<_> = of
            .iter()
            .map(|event| (event["category"].as_str(), event["level"].as_str()))
            .collect();
        (kinds == [(Some("system"), Some("info")), (Some("error"), Some("error"))]).then_some(())
    })
    .await;
    let fresh = new.get(format!("{}/healthz", dashboard.url)).send().await;
    assert_eq!(fresh.expect("an answer").status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_this_machine_only_with_a_certificate_or_a_plain_word() {
    let dashboard = Dashboard::start(OPS).await;
    let other = dashboard.path("other");
    let serve = format!("serve --listen 0.0.0.0:0 --data-dir {}", other.display());
    let (code, _, err) = quarterdeck(&dashboard, &serve).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("certificate") && err.contains("--insecure-http"), "{err}");
    assert!(!other.exists(), "nothing was begun");
}
