//! TLS of its own, and the command line: on this machine for people, from elsewhere with a token.

use std::process::Command;

use reqwest::Client;

use super::browser::Browser;
use super::support::cli::quarterdeck;
use super::support::{Dashboard, wait_for};
use super::{OPS, PASSWORD, token, user};

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
