//! Schemathesis over the whole of the API.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::support::Dashboard;

/// Every op of the catalog, with a script that changes nothing.
fn harmless() -> String {
    let ops: String = quarterdeck::domain::built_in()
        .iter()
        .map(|op| {
            format!(
                "[[op]]\nid = \"{}\"\nscript = \"echo harmless\"\nretryable = true\n",
                op.id
            )
        })
        .collect();
    // Nothing is dialled: the names and addresses are made up.
    format!("[ssh]\nprogram = \"/bin/false\"\n{ops}")
}

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/schemathesis/bin/schemathesis");
    assert!(
        program.exists(),
        "schemathesis is not there: tests/run installs it (into {}) and runs the tests",
        program.display()
    );
    let dashboard = Dashboard::start(&harmless()).await;
    let (_, catalog) = dashboard.get("/ops").await;
    for op in catalog["ops"].as_array().expect("ops") {
        assert_eq!(op["script"], "echo harmless", "{op}");
    }
    let made = json!({"name": "anchor", "password": "a long enough secret", "role": "admin dangerous"});
    let (status, user) = dashboard.post("/users", &made).await;
    assert_eq!(status, 201, "{user}");
    let (status, token) = dashboard
        .post("/tokens", &json!({"name": "conformance", "role": "admin dangerous"}))
        .await;
    assert_eq!(status, 201, "{token}");
    let secret = token["token"].as_str().expect("secret").to_owned();
    // Something of everything is there.
    for name in ["web-01", "web-02"] {
        let spool = dashboard.path(&format!("spool-{name}"));
        let host = json!({"name": name, "local": true, "tags": ["web"], "spool": spool});
        let (status, row) = dashboard.post("/hosts", &host).await;
        assert_eq!(status, 201, "{row}");
    }
    let mut commands = Vec::new();
    for host in ["web-01", "web-02", "localhost"] {
        let id = dashboard.accepted("uptime", host).await;
        dashboard.until_final(&id).await;
        commands.push(id);
    }
    let alice = json!({"name": "alice", "password": "another long secret", "role": "viewer"});
    assert_eq!(dashboard.post("/users", &alice).await.0, 201);
    let pipeline = dashboard.started(&json!({"name": "uptime", "tags": ["web"]})).await;
    dashboard.until_through(&pipeline).await;

    let folder = root.join("tests/openapi");
    let mut run = Command::new(program);
    run.current_dir(dashboard.dir.path())
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .arg("run")
        .arg(format!("{}/api/v1/openapi.json", dashboard.url))
        .args(["--header", &format!("Authorization: Bearer {secret}")])
        .args(["--checks", "all", "--seed", "4", "--generation-deterministic"])
        .args(["--max-examples", "10", "--request-timeout", "70", "--workers", "2"])
        .args(["--continue-on-failure", "--no-color"])
        .env("SCHEMATHESIS_HOOKS", folder.join("hooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONHASHSEED", "0")
        .env("CONFORMANCE_COMMANDS", commands.join(" "))
        .env("CONFORMANCE_PIPELINES", &pipeline)
        .env("CONFORMANCE_SPOOL", dashboard.path("spool-of-others"))
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || run.output())
        .await
        .expect("join")
        .expect("schemathesis starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let log = dashboard.log();
    assert!(
        output.status.success(),
        "schemathesis found something:\n{said}{}\n{log}",
        String::from_utf8_lossy(&output.stderr)
    );
    eprintln!("{said}");
    let asked = dashboard.get("/state").await.0;
    assert_eq!(asked, 200, "it is still up");
    assert!(!said.contains(&secret), "the token is in the report");
}
