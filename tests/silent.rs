//! Hosts that do not answer, dashboards that share a machine, and floods: what runs stays followed, what is healthy
//! stays reachable, and a person can end what nobody will answer for.

mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::sshd::Sshd;
use support::{Dashboard, id_of, kill_hard, lines_of, processes_of, wait_for};

/// Waits for `go` in `marks`; `more` is further configuration.
fn config(marks: &tempfile::TempDir, sshd: Option<&Sshd>, jobs: &str, ssh: &str) -> String {
    let file = sshd
        .map(|sshd| format!("config_file = \"{}\"", sshd.ssh_config.display()))
        .unwrap_or_default();
    format!(
        r#"
[jobs]
{jobs}
[ssh]
{file}
{ssh}
[probe]
interval = "0s"

[[op]]
id = "waits"
script = """
echo "$QD_COMMAND" >> {marks}/started
echo begun
while [ ! -e {marks}/go ]; do sleep 0.05; done
exit 5
"""
"#,
        marks = marks.path().display()
    )
}

async fn resolve(qd: &Dashboard, id: &str) -> (u16, Value) {
    qd.post(
        &format!("/commands/{id}/resolve"),
        &json!({ "reason": "nobody answers there" }),
    )
    .await
}

async fn until_late(qd: &Dashboard, id: &str) -> Value {
    wait_for("the host's late word", async || {
        let events = qd.events_of(id).await;
        events.into_iter().find(|event| event["details"]["late"] == true)
    })
    .await
}

#[tokio::test]
async fn two_dashboards_with_other_homes_never_have_two_jobs_on_one_machine() {
    let marks = tempfile::tempdir().expect("folder");
    let mut both = Vec::new();
    for _ in 0..2 {
        let mut qd = Dashboard::start(&config(&marks, None, "", "")).await;
        qd.stop().await;
        // As a person starts it: the lock is where the account keeps it, and HOME is each dashboard's own.
        qd.own_lock = false;
        qd.start_again().await;
        both.push(qd);
    }
    let [first, second] = both.as_slice() else {
        panic!("two dashboards")
    };
    let running = first.accepted("waits", "localhost").await;
    first.until_output(&running, "begun").await;
    let refused = second.run("waits", "localhost").await;
    let refused = second.until_final(&id_of(&refused)).await;
    assert_eq!(
        (refused["status"].as_str(), refused["refusal"].as_str()),
        (Some("BLOCKED"), Some("locked")),
        "{refused}"
    );
    let text = refused["error"].as_str().expect("why");
    for part in ["waits, command", &running, "another dashboard", "started 20"] {
        assert!(text.contains(part), "“{part}” in: {text}");
    }
    fs::write(marks.path().join("go"), "").expect("go");
    assert_eq!(first.until_final(&running).await["exit_code"], 5);
    assert_eq!(lines_of(&marks.path().join("started")), [running.as_str()]);
}

#[tokio::test]
async fn a_lock_that_cannot_be_kept_refuses_the_op() {
    let marks = tempfile::tempdir().expect("folder");
    let blocked = marks.path().join("no-folder");
    fs::write(&blocked, "").expect("a file in its place");
    let mut qd = Dashboard::start(&config(
        &marks,
        None,
        &format!("local_spool = \"{}\"", blocked.join("base").display()),
        "",
    ))
    .await;
    qd.stop().await;
    qd.own_lock = false;
    qd.start_again().await;
    let row = qd.run("waits", "localhost").await;
    let row = qd.until_final(&id_of(&row)).await;
    assert_eq!(
        (row["status"].as_str(), row["refusal"].as_str()),
        (Some("BLOCKED"), Some("spool")),
        "{row}"
    );
    assert!(lines_of(&marks.path().join("started")).is_empty());
}

#[tokio::test]
async fn silent_hosts_keep_no_healthy_one_waiting() {
    let marks = tempfile::tempdir().expect("folder");
    let sshd = Sshd::start();
    let qd = Dashboard::start(&config(
        &marks,
        Some(&sshd),
        "precheck_limit = \"1s\"",
        "dials = 1\nconnect_timeout = \"4s\"",
    ))
    .await;
    // They take the connection and never say a word.
    let holes: Vec<TcpListener> = (0..5)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("port"))
        .collect();
    for (i, hole) in holes.iter().enumerate() {
        let port = hole.local_addr().expect("address").port();
        qd.add_ssh(&format!("hole-{i}"), port, &[]).await;
    }
    qd.add_ssh("good", sshd.port, &[]).await;
    let mut silent = Vec::new();
    for i in 0..5 {
        silent.push(qd.accepted("uptime", &format!("hole-{i}")).await);
    }
    // Nobody knows yet who is silent: the good one waits in the queue for longer than its pre-check may take.
    let good = qd.accepted("uptime", "good").await;
    assert_eq!(qd.until_final(&good).await["status"], "SUCCESS");
    for id in &silent {
        assert_eq!(qd.until_final(id).await["refusal"], "unreachable");
    }
    // Now it is known, and the good one goes first; its connection is cut, so that it has to dial again.
    sshd.drop_connections();
    let mut silent = Vec::new();
    for i in 0..5 {
        silent.push(qd.accepted("uptime", &format!("hole-{i}")).await);
    }
    let good = qd.accepted("uptime", "good").await;
    assert_eq!(qd.until_final(&good).await["status"], "SUCCESS");
    let mut waiting = 0;
    for id in &silent {
        waiting += usize::from(qd.command(id).await["finished_at"].is_null());
    }
    assert!(waiting >= 3, "{waiting} of 5 silent ones stand behind");
}

#[tokio::test]
async fn s15_a_host_that_goes_silent_can_be_resolved_without_a_restart() {
    let marks = tempfile::tempdir().expect("folder");
    let mut sshd = Sshd::start();
    let qd = Dashboard::start(&config(
        &marks,
        Some(&sshd),
        "orphan_after = \"1s\"",
        "connect_timeout = \"2s\"",
    ))
    .await;
    qd.add_ssh("web-03", sshd.port, &[]).await;
    let id = qd.accepted("waits", "web-03").await;
    qd.until_output(&id, "begun").await;
    let (status, answer) = resolve(&qd, &id).await;
    assert_eq!(status, 409, "its host answers: {answer}");
    sshd.stop();
    let row = qd.until_status(&id, "ORPHANED").await;
    assert!(row["finished_at"].is_null(), "open: {row}");
    assert_eq!(
        qd.run("uptime", "web-03").await["refusal"],
        "busy",
        "the host stays locked"
    );
    // It comes back, and is followed as before.
    sshd.again();
    qd.post(&format!("/commands/{id}/find-out"), &json!({})).await;
    let row = qd.until_status(&id, "EXECUTING").await;
    assert!(row["error"].is_null(), "{row}");
    // It goes for good, and a person says so.
    sshd.stop();
    qd.until_status(&id, "ORPHANED").await;
    let (status, answer) = resolve(&qd, &id).await;
    assert!((200..300).contains(&status), "{answer}");
    let row = qd.command(&id).await;
    assert!(!row["finished_at"].is_null() && row["status"] == "ORPHANED", "{row}");
    let next = qd.run("uptime", "web-03").await;
    assert!(next["refusal"] != "busy", "the host is free: {next}");
    // It was not for good: what it says is journaled, and changes nothing.
    fs::write(marks.path().join("go"), "").expect("go");
    wait_for("the job's end", async || processes_of(&id).is_empty().then_some(())).await;
    sshd.again();
    let late = until_late(&qd, &id).await;
    assert!(late["message"].as_str().expect("text").contains("exit 5"), "{late}");
    assert_eq!(qd.command(&id).await["status"], "ORPHANED");
    assert_eq!(lines_of(&marks.path().join("started")), [id.as_str()]);
}

#[tokio::test]
async fn what_runs_on_a_silent_host_can_be_resolved_at_once_and_a_wish_to_stop_is_still_carried_out() {
    let marks = tempfile::tempdir().expect("folder");
    let mut sshd = Sshd::start();
    let qd = Dashboard::start(&config(&marks, Some(&sshd), "", "connect_timeout = \"2s\"")).await;
    qd.add_ssh("web-03", sshd.port, &[]).await;
    let id = qd.accepted("waits", "web-03").await;
    qd.until_output(&id, "begun").await;
    sshd.stop();
    qd.post(&format!("/commands/{id}/cancel"), &json!({ "reason": "wrong host" }))
        .await;
    let (status, answer) = resolve(&qd, &id).await;
    assert!((200..300).contains(&status), "{answer}");
    assert!(!processes_of(&id).is_empty(), "it still runs");
    // Its row is edited meanwhile: the job is looked for where it was sent to.
    let (status, answer) = qd.delete("/hosts/web-03").await;
    assert!((200..300).contains(&status), "{answer}");
    let host = json!({ "name": "web-03", "ssh": format!("127.0.0.1:{}", sshd.port), "spool": qd.path("elsewhere") });
    qd.done("/hosts", &host).await;
    sshd.again();
    let late = until_late(&qd, &id).await;
    assert!(late["message"].as_str().expect("text").contains("exit 143"), "{late}");
    assert!(processes_of(&id).is_empty(), "it was stopped");
}

#[tokio::test]
async fn what_a_host_knows_goes_before_the_word_of_a_person() {
    let marks = tempfile::tempdir().expect("folder");
    let mut sshd = Sshd::start();
    let mut qd = Dashboard::start(&config(&marks, Some(&sshd), "", "connect_timeout = \"2s\"")).await;
    qd.add_ssh("web-03", sshd.port, &[]).await;
    let id = qd.accepted("waits", "web-03").await;
    qd.until_output(&id, "begun").await;
    qd.kill().await;
    sshd.stop();
    // All of the job is gone, and no exit was published.
    kill_hard(&processes_of(&id));
    kill_hard(&[support::supervisor_of(&qd.path("spool-web-03"), &id)]);
    qd.start_again().await;
    qd.until(&id, "its host to be found silent", |row| {
        row["error"]
            .as_str()
            .is_some_and(|error| error != "Dashboard restarted")
    })
    .await;
    sshd.again();
    let (status, answer) = resolve(&qd, &id).await;
    if status == 409 {
        assert!(
            answer.to_string().contains("lost") || answer.to_string().contains("ORPHANED"),
            "{answer}"
        );
    } else {
        panic!("the host's evidence counts: {status} {answer}");
    }
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["error"].as_str()),
        (Some("ORPHANED"), Some("exit code lost")),
        "{row}"
    );
}

#[tokio::test]
async fn a_flood_of_connections_stops_no_job_from_being_followed() {
    let marks = tempfile::tempdir().expect("folder");
    let mut qd = Dashboard::start(&config(&marks, None, "follow_limit = 10", "")).await;
    qd.stop().await;
    qd.wrapper = ["/bin/sh", "-c", "ulimit -S -n 256; ulimit -H -n 700; exec \"$@\"", "sh"]
        .map(str::to_owned)
        .to_vec();
    qd.start_again().await;
    let address = qd.url.trim_start_matches("http://").to_owned();
    let id = qd.accepted("waits", "localhost").await;
    qd.until_output(&id, "begun").await;
    let flood = tokio::task::spawn_blocking(move || -> Vec<TcpStream> {
        (0..600).filter_map(|_| TcpStream::connect(&address).ok()).collect()
    });
    let flood = flood.await.expect("connected");
    assert!(flood.len() > 500, "{} connections", flood.len());
    // It took all that it may have, and the doors leave most of that to jobs.
    let limits = fs::read_to_string(format!("/proc/{}/limits", qd.pid())).expect("limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = files.and_then(|line| line.split_whitespace().nth(3));
    assert_eq!(soft, Some("700"), "{limits}");
    let open = fs::read_dir(format!("/proc/{}/fd", qd.pid())).expect("fd").count();
    assert!(open < 500, "{open} open files");
    fs::write(marks.path().join("go"), "").expect("go");
    let row = qd.until_final(&id).await;
    assert_eq!(
        (row["status"].as_str(), row["exit_code"].as_i64()),
        (Some("ERROR"), Some(5)),
        "{row}"
    );
    // And another one can be started meanwhile, with the files that it had before the dashboard took more.
    let next = qd.accepted("waits", "localhost").await;
    assert_eq!(qd.until_final(&next).await["exit_code"], 5);
    drop(flood);
}

#[tokio::test]
async fn a_background_child_of_a_check_keeps_nobody_waiting() {
    let config = "[[op]]\nid = \"lazy\"\nscript = \"true\"\npre_check = \"sleep 300 & echo not needed; exit 10\"\n";
    let qd = Dashboard::start(config).await;
    let begun = Instant::now();
    let row = qd.run("lazy", "localhost").await;
    let row = qd.until_final(&id_of(&row)).await;
    assert_eq!(row["status"], "SKIPPED", "{row}");
    assert!(
        row["error"].as_str().expect("text").contains("not needed: not needed"),
        "{row}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    kill_hard(&processes_of(&id_of(&row)));
}

#[tokio::test]
async fn output_that_cannot_be_written_turns_readiness_red() {
    let qd = Dashboard::start("").await;
    let ready = async || {
        let answer = reqwest::get(format!("{}/readyz", qd.url)).await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("text"))
    };
    assert_eq!(ready().await.0, 200);
    let folder = qd.path("data/output");
    let _ = fs::remove_dir_all(&folder);
    fs::write(&folder, "").expect("a file in its place");
    let text = wait_for("readiness to be red", async || {
        let (status, text) = ready().await;
        (status == 503).then_some(text)
    })
    .await;
    assert!(text.contains("output"), "{text}");
    fs::remove_file(&folder).expect("removed");
    wait_for("readiness to be back", async || (ready().await.0 == 200).then_some(())).await;
}

#[tokio::test]
async fn what_the_configuration_names_must_be_there() {
    let mut qd = Dashboard::start("").await;
    qd.stop().await;
    let file = qd.path("quarterdeck.toml");
    let good = fs::read_to_string(&file).expect("config");
    let line = good.lines().count() + 2;
    for (text, key) in [
        ("[ssh]\nprogram = \"no-such-ssh\"\n", "ssh.program"),
        ("[ssh]\nconfig_file = \"/no/such/file\"\n", "ssh.config_file"),
        (
            "[[op]]\nscript = \"true\\nif true; then\"\nid = \"half\"\n",
            "op “half”: script",
        ),
    ] {
        fs::write(&file, format!("{}\n{text}", good.trim_end())).expect("config");
        let output = qd.program().arg("serve").output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let place = format!("quarterdeck.toml:{line}: {key}");
        assert!(said.contains(&place), "“{place}” in: {said}");
    }
}
