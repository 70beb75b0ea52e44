//! A host's key that nobody knows, or that has changed: shown for comparing, accepted by whoever may, just as it was shown.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::browser::{Browser, hidden};
use super::support::Dashboard;
use super::support::cli::quarterdeck;
use super::support::sshd::Sshd;
use super::{OPS, PASSWORD, change, events, token, user};

/// What other lines of the file say; nobody touches them.
const OTHERS: &str =
    "# mine\nother.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8n0Zr8n0Zr8n0Zr8n0Zr8n0Zr8n0Zr8n0Zr8n0Zr8A note\n";

struct Bench {
    dashboard: Dashboard,
    sshd: Sshd,
    known: PathBuf,
}

impl Bench {
    /// A dashboard with a host that nobody has met.
    async fn start() -> Self {
        let sshd = Sshd::start();
        let known = sshd.dir.path().join("known_hosts");
        std::fs::write(&known, OTHERS).expect("known_hosts");
        let config = format!("{OPS}\n[ssh]\nconfig_file = \"{}\"\n", sshd.ssh_config.display());
        let dashboard = Dashboard::start(&config).await;
        let body = json!({ "name": "web", "ssh": format!("root@127.0.0.1:{}", sshd.port), "tags": ["lab"],
            "spool": dashboard.path("spool-web") });
        let (status, answer) = dashboard.post("/hosts", &body).await;
        assert_eq!(status, 201, "{answer}");
        Self { dashboard, sshd, known }
    }

    fn known(&self) -> String {
        std::fs::read_to_string(&self.known).expect("known_hosts")
    }

    /// The fingerprint that the host itself would say.
    fn own(&self) -> String {
        fingerprint(&self.sshd.dir.path().join("host.pub"))
    }

    /// The host is installed anew.
    fn new_key(&mut self) {
        self.sshd.stop();
        for file in ["host", "host.pub"] {
            std::fs::remove_file(self.sshd.dir.path().join(file)).expect("removed");
        }
        make(&self.sshd.dir.path().join("host"));
        self.sshd.again();
    }

    async fn tested(&self) -> Value {
        let (status, tested) = self.dashboard.post("/hosts/web/test", &json!({})).await;
        assert_eq!(status, 200, "{tested}");
        tested
    }
}

fn make(file: &Path) {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file);
    assert!(keygen.status().expect("ssh-keygen").success());
}

fn fingerprint(file: &Path) -> String {
    let said = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(file)
        .output()
        .expect("ssh-keygen");
    let text = String::from_utf8(said.stdout).expect("text");
    text.split(' ').nth(1).expect("a fingerprint").to_owned()
}

fn accept(fingerprint: &str) -> Vec<(&str, &str)> {
    vec![("fingerprint", fingerprint), ("compared", "yes")]
}

#[tokio::test]
async fn an_unknown_key_is_compared_and_accepted_on_the_page() {
    let bench = Bench::start().await;
    let (dashboard, own) = (&bench.dashboard, bench.own());
    user(dashboard, "alice", "admin").await;
    user(dashboard, "olga", "operator").await;
    let (mut alice, mut olga) = (
        Browser::of(dashboard, "alice").await,
        Browser::of(dashboard, "olga").await,
    );

    assert_eq!(olga.post("/hosts/web/test", &[]).await.place, "/hosts/web?tested=now");
    let (hers, alices) = (olga.get("/hosts/web").await.text, alice.get("/hosts/web").await.text);
    for page in [&hers, &alices] {
        assert!(
            page.contains("Is this the key of web?") && page.contains(&own),
            "{page}"
        );
        assert!(
            page.contains("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"),
            "{page}"
        );
        assert!(!page.contains("StrictHostKeyChecking"), "no line to paste: {page}");
    }
    assert!(
        !hers.contains("/accept-key") && hers.contains("An admin can accept it"),
        "{hers}"
    );
    assert_eq!(hidden(&alices, "fingerprint").as_deref(), Some(own.as_str()));
    assert_eq!(olga.post("/hosts/web/accept-key", &accept(&own)).await.status, 403);

    // What is not said, or not the key, changes nothing.
    let wrong = format!("SHA256:{}", "A".repeat(43));
    for (form, status) in [
        (vec![], 400),
        (vec![("fingerprint", own.as_str())], 400),
        (vec![("fingerprint", "MD5:00"), ("compared", "yes")], 400),
        (accept(&wrong), 409),
    ] {
        let answer = alice.post("/hosts/web/accept-key", &form).await;
        assert_eq!(answer.status, status, "{form:?}: {}", answer.text);
    }
    change(
        dashboard,
        "UPDATE sessions SET proved_at = '2020-01-01 00:00:00.000000'",
    )
    .await;
    let asked = alice.post("/hosts/web/accept-key", &accept(&own)).await;
    assert!(
        asked.status == 403 && asked.text.contains("Is it you?"),
        "{}",
        asked.text
    );
    assert_eq!(
        hidden(&asked.text, "fingerprint").as_deref(),
        Some(own.as_str()),
        "the same once more"
    );
    assert_eq!(bench.known(), OTHERS);
    assert_eq!(events(dashboard, "host:key").await, 0);

    let mut form = accept(&own);
    form.push(("confirm_it_is_me", PASSWORD));
    let accepted = alice.post("/hosts/web/accept-key", &form).await;
    assert_eq!(
        (accepted.status, accepted.place.as_str()),
        (303, "/hosts/web?tested=now"),
        "{}",
        accepted.text
    );
    let key = std::fs::read_to_string(bench.sshd.dir.path().join("host.pub")).expect("key");
    let key: Vec<&str> = key.split(' ').take(2).collect();
    assert_eq!(
        bench.known(),
        format!("{OTHERS}[127.0.0.1]:{} {}\n", bench.sshd.port, key.join(" "))
    );
    let mode = std::fs::metadata(&bench.known).expect("file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let left: Vec<_> = std::fs::read_dir(bench.sshd.dir.path())
        .expect("folder")
        .flatten()
        .collect();
    assert!(
        !left
            .iter()
            .any(|entry| entry.file_name().to_string_lossy().starts_with('.')),
        "{left:?}"
    );

    let page = alice.get("/hosts/web?tested=now").await.text;
    assert!(
        !page.contains("id=\"host-key\"") && page.contains("the one that ssh knows"),
        "{page}"
    );
    let all = dashboard.events().await;
    let event = all
        .iter()
        .find(|event| event["action"] == "host:key")
        .expect("an event");
    assert_eq!(
        (event["actor"].as_str(), event["category"].as_str()),
        (Some("user:alice"), Some("audit"))
    );
    assert_eq!(event["details"]["before"], json!([]));
    assert_eq!(
        event["details"]["after"],
        json!({ "kind": "ssh-ed25519", "fingerprint": own })
    );
    assert!(
        event["message"].as_str().is_some_and(|text| text.contains(&own)),
        "{event}"
    );
    let row = dashboard.run("quick", "web").await;
    assert_eq!(
        dashboard.until_final(row["id"].as_str().expect("id")).await["status"],
        "SUCCESS"
    );
    assert_eq!(
        alice.post("/hosts/web/accept-key", &accept(&own)).await.status,
        409,
        "known already"
    );
    assert_eq!(
        alice.post("/hosts/localhost/accept-key", &accept(&own)).await.status,
        409,
        "no ssh"
    );
    assert_eq!(alice.post("/hosts/nobody/accept-key", &accept(&own)).await.status, 404);
}

#[tokio::test]
async fn a_changed_key_is_accepted_only_as_it_was_shown() {
    let mut bench = Bench::start().await;
    let first = bench.own();
    let (code, _, err) = quarterdeck(&bench.dashboard, "host test web").await;
    assert!(
        code == 3 && err.contains(&format!("quarterdeck host accept web {first}")),
        "{err}"
    );
    let (code, out, err) = quarterdeck(&bench.dashboard, &format!("host accept web {first}")).await;
    assert!(code == 0 && out.contains("web answers"), "{out}{err}");

    bench.new_key();
    let second = bench.own();
    let tested = bench.tested().await;
    assert_eq!(tested["refusal"], "host_key", "{tested}");
    assert_eq!(tested["shown_key"]["key"]["fingerprint"], second.as_str(), "{tested}");
    assert_eq!(
        tested["shown_key"]["known"][0]["fingerprint"],
        first.as_str(),
        "{tested}"
    );
    user(&bench.dashboard, "alice", "admin").await;
    let mut alice = Browser::of(&bench.dashboard, "alice").await;
    let page = alice.get("/hosts/web").await.text;
    assert!(
        page.contains("The key of web has changed") && page.contains(&first) && page.contains(&second),
        "{page}"
    );

    // Another one by the time that the button is pressed.
    let before = bench.known();
    bench.new_key();
    let third = bench.own();
    let refusals = events(&bench.dashboard, "refused").await;
    let late = alice.post("/hosts/web/accept-key", &accept(&second)).await;
    assert!(
        late.status == 409 && late.text.contains("another key now") && late.text.contains("nothing was changed"),
        "{}",
        late.text
    );
    assert_eq!(bench.known(), before);
    assert_eq!(events(&bench.dashboard, "refused").await, refusals + 1);
    let page = alice.get("/hosts/web").await.text;
    assert_eq!(
        hidden(&page, "fingerprint").as_deref(),
        Some(third.as_str()),
        "the page shows it"
    );

    let secret = token(&bench.dashboard, "ci", "operator").await;
    let program = reqwest::Client::new().post(format!("{}/api/v1/hosts/web/accept-key", bench.dashboard.url));
    let program = program.bearer_auth(secret).json(&json!({ "fingerprint": third }));
    assert_eq!(program.send().await.expect("an answer").status(), 403);
    let (status, answer) = bench
        .dashboard
        .post("/hosts/web/accept-key", &json!({ "fingerprint": "nonsense" }))
        .await;
    assert_eq!(
        (status, answer["field"].as_str()),
        (422, Some("fingerprint")),
        "{answer}"
    );
    assert_eq!(alice.post("/hosts/web/accept-key", &accept(&third)).await.status, 303);
    assert_eq!(bench.tested().await["reached"], true);
    let known = bench.known();
    assert!(
        known.starts_with(OTHERS) && known.lines().count() == 3,
        "one key alone: {known}"
    );
    let all = bench.dashboard.events().await;
    let last = all
        .iter()
        .rev()
        .find(|event| event["action"] == "host:key")
        .expect("an event");
    assert_eq!(last["details"]["before"][0]["fingerprint"], first.as_str(), "{last}");
    assert_eq!(last["details"]["after"]["fingerprint"], third.as_str(), "{last}");
}

#[tokio::test]
async fn what_cannot_be_written_or_was_revoked_is_not_accepted() {
    let bench = Bench::start().await;
    let (dashboard, own) = (&bench.dashboard, bench.own());
    let accept = json!({ "fingerprint": own });
    let key = std::fs::read_to_string(bench.sshd.dir.path().join("host.pub")).expect("key");
    let revoked = format!("{OTHERS}@revoked * {key}");
    std::fs::write(&bench.known, &revoked).expect("known_hosts");
    assert_eq!(bench.tested().await["shown_key"]["revoked"], true);
    let (status, answer) = dashboard.post("/hosts/web/accept-key", &accept).await;
    assert!(status == 409 && answer.to_string().contains("revoked"), "{answer}");
    assert_eq!(bench.known(), revoked);

    std::fs::remove_file(&bench.known).expect("removed");
    std::fs::create_dir(&bench.known).expect("something in its place");
    let (status, answer) = dashboard.post("/hosts/web/accept-key", &accept).await;
    assert!(status == 409 && answer.to_string().contains("is no file"), "{answer}");
    let all = dashboard.events().await;
    let levels: Vec<_> = all
        .iter()
        .filter(|event| event["action"] == "host:key")
        .map(|event| &event["level"])
        .collect();
    assert_eq!(levels, ["info", "error"], "asked for, and not done");

    // Behind a link, which stays one; hashed, where the client is told to. What its second file knows goes.
    std::fs::remove_dir(&bench.known).expect("removed");
    let real = bench.sshd.dir.path().join("real");
    std::fs::write(&real, "").expect("written");
    std::os::unix::fs::symlink(&real, &bench.known).expect("a link");
    let config = std::fs::read_to_string(&bench.sshd.ssh_config).expect("ssh_config");
    let second = bench.sshd.dir.path().join("second");
    let old = std::fs::read_to_string(bench.sshd.dir.path().join("user.pub")).expect("another key");
    std::fs::write(&second, format!("[127.0.0.1]:{} {old}{OTHERS}", bench.sshd.port)).expect("written");
    let both = format!("{} {}\n  HashKnownHosts yes", bench.known.display(), second.display());
    let config = config.replace(&bench.known.display().to_string(), &both);
    std::fs::write(&bench.sshd.ssh_config, config).expect("ssh_config");
    let (status, answer) = dashboard.post("/hosts/web/accept-key", &accept).await;
    assert!(status == 200 && answer["reached"] == true, "{answer}");
    assert!(std::fs::symlink_metadata(&bench.known).expect("there").is_symlink());
    assert!(std::fs::read_to_string(&real).expect("text").starts_with("|1|"));
    assert_eq!(std::fs::read_to_string(&second).expect("text"), OTHERS);
}
