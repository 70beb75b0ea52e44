//! The command line as an administrator types it: the real binary beside a real dashboard, and alone.

mod support;

use support::cli::{json, quarterdeck};
use support::page::Browser;
use support::{Dashboard, id_of};

const OPS: &str = r#"
zone = "Europe/Vienna"

[[op]]
id = "hello"
retryable = true
script = "echo hello from $QD_HOST; printf '\\033[31mred\\n'"

[[op]]
id = "fails"
retryable = true
script = "echo no good; exit 3"

[[op]]
id = "not-needed"
script = "echo never"
pre_check = "exit 10"

[[op]]
id = "sleeps"
script = "echo begun; sleep 60"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_op_is_run_followed_and_found_again() {
    let dashboard = Dashboard::start(OPS).await;

    let (code, out, err) = quarterdeck(&dashboard, "run hello --host localhost --wait --reason first").await;
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(
        out, "hello from localhost\n\u{1b}[31mred\n",
        "stdout is the op's own, byte for byte"
    );
    assert!(err.contains("hello on localhost: Succeeded"), "{err}");

    let rows = json(&dashboard, "history --host localhost --op hello --status success").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["reason"], "first");
    assert!(
        rows[0]["actor"].as_str().expect("actor").starts_with("local:"),
        "{}",
        rows[0]
    );
    let id = id_of(&rows[0]);

    let (code, out, _) = quarterdeck(&dashboard, &format!("output {id}")).await;
    assert_eq!((code, out.as_str()), (0, "hello from localhost\n\u{1b}[31mred\n"));
    let (code, out, _) = quarterdeck(&dashboard, &format!("show {id}")).await;
    assert_eq!(code, 0);
    assert!(out.starts_with("hello on localhost: Succeeded\n"), "{out}");
    assert!(
        out.contains(" CET") || out.contains(" CEST"),
        "times carry their zone: {out}"
    );
    let (code, out, _) = quarterdeck(&dashboard, "history").await;
    assert_eq!(code, 0);
    assert!(out.contains("Succeeded") && out.contains(&id), "{out}");
    let (code, out, _) = quarterdeck(&dashboard, "log").await;
    assert_eq!(code, 0);
    assert!(out.contains("hello"), "{out}");
    let (code, out, _) = quarterdeck(&dashboard, "open").await;
    assert_eq!(code, 0);
    assert!(out.starts_with(&dashboard.url), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_say_how_it_went() {
    let dashboard = Dashboard::start(OPS).await;
    for (arguments, code, words) in [
        ("run fails --host localhost --wait", 1, "Failed, exit 3"),
        ("run not-needed --host localhost --wait", 0, "Skipped: "),
        ("run helo --host localhost", 2, "hello"),
        ("run hello --host nowhere", 2, "nowhere"),
        ("show 0192b0a0-0000-7000-8000-000000000000", 2, "no command"),
        ("history --host nowhere", 2, "no host"),
        ("host remove nowhere --yes", 2, "nowhere"),
        ("host remove localhost", 4, "give --yes"),
        ("host add localhost --local", 4, "localhost"),
    ] {
        let (found, out, err) = quarterdeck(&dashboard, arguments).await;
        assert_eq!(found, code, "{arguments}: {out}{err}");
        assert!(format!("{out}{err}").contains(words), "{arguments}: {out}{err}");
    }

    let id = dashboard.accepted("sleeps", "localhost").await;
    let (code, out, err) = quarterdeck(&dashboard, "run hello --host localhost").await;
    assert_eq!(code, 4, "{out}{err}");
    assert!(out.contains("Refused: "), "{out}");
    let (code, _, err) = quarterdeck(&dashboard, &format!("retry {id}")).await;
    assert_eq!(code, 4, "{err}");
    let (code, _, err) = quarterdeck(&dashboard, &format!("resolve {id} --reason impatient")).await;
    assert_eq!(code, 4, "{err}");
    let (code, _, err) = quarterdeck(&dashboard, &format!("cancel {id} --reason enough")).await;
    assert_eq!(code, 0, "{err}");
    let row = dashboard.until_final(&id).await;
    assert_eq!(row["status"], "CANCELLED", "{row}");
    assert_eq!(row["stop_by"], row["actor"], "{row}");
    let (code, _, err) = quarterdeck(&dashboard, &format!("cancel {id}")).await;
    assert_eq!(code, 4, "{err}");
    let refused = json(&dashboard, "log --limit 1000").await;
    let refused = refused.iter().filter(|event| {
        event["message"]
            .as_str()
            .is_some_and(|text| text.contains("was refused"))
    });
    assert!(refused.count() >= 6, "every refused change is an event");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_matches_nothing_is_said() {
    let dashboard = Dashboard::start(OPS).await;
    dashboard.add_local("web-01", &["lab"]).await;
    let (code, out, err) = quarterdeck(&dashboard, "history --op nosuch").await;
    assert_eq!((code, err.as_str()), (0, "no command matches\n"), "{out}");
    let (code, out, err) = quarterdeck(&dashboard, "token add ci --role operator@lab --role dangerous@lba").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("qd_"), "only the secret: {out}");
    assert!(
        err.contains("no host has the tag “lba” so far") && !err.contains("“lab”"),
        "{err}"
    );
    let (_, out, _) = quarterdeck(&dashboard, "token list").await;
    assert!(out.lines().next().is_some_and(|head| head.ends_with("ENDS")), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_speak_in_the_zone_of_the_other_times() {
    let dashboard = Dashboard::start(OPS).await;
    let id = dashboard.accepted("sleeps", "localhost").await;
    let (_, out, err) = quarterdeck(&dashboard, "run hello --host localhost").await;
    assert!(out.contains("busy with sleeps since "), "{out}{err}");
    let refused = json(&dashboard, "history --op hello").await;
    let show = quarterdeck(&dashboard, &format!("show {}", id_of(&refused[0]))).await.1;
    let retry = quarterdeck(&dashboard, &format!("retry {id}")).await.2;
    let log = quarterdeck(&dashboard, "log").await.1;
    let history = quarterdeck(&dashboard, "history").await.1;
    for text in [&out, &show, &retry, &log, &history] {
        assert!(!text.contains(" UTC"), "{text}");
    }
    for text in [&out, &show, &log] {
        assert!(text.contains(" CET") || text.contains(" CEST"), "{text}");
    }
    quarterdeck(&dashboard, &format!("cancel {id}")).await;
    dashboard.until_final(&id).await;
    let events = json(&dashboard, "log --limit 1000").await;
    let ended = events
        .iter()
        .find(|event| event["command_id"] == *id && event["details"]["record"].is_object());
    let place = format!("/log/{}", ended.expect("its end")["id"]);
    let (status, page) = Browser::signed_in(&dashboard).await.get(&place).await;
    assert_eq!(status, 200, "{page}");
    let at = page.split("created_at").nth(1).expect("created_at on the page");
    let at = at.split_once("</dd>").expect("its value").0;
    assert!(at.contains(" CET") || at.contains(" CEST"), "{at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_given_more_time_and_asked_about() {
    let dashboard = Dashboard::start(OPS).await;
    let id = dashboard.accepted("sleeps", "localhost").await;
    let before = dashboard
        .until(&id, "its start", |row| !row["launched_at"].is_null())
        .await;
    let (code, out, err) = quarterdeck(&dashboard, &format!("extend {id} 30m")).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("sleeps on localhost has time until "), "{out}");
    assert_ne!(dashboard.command(&id).await["deadline"], before["deadline"]);
    let (code, out, err) = quarterdeck(&dashboard, &format!("find-out {id}")).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("localhost is asked about sleeps"), "{out}");
    let (code, _, err) = quarterdeck(&dashboard, &format!("cancel {id}")).await;
    assert_eq!(code, 0, "{err}");
    dashboard.until_final(&id).await;
    let (code, _, err) = quarterdeck(&dashboard, &format!("extend {id} 30m")).await;
    assert_eq!(code, 4, "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_is_quick_beside_a_follower_of_the_log() {
    let mut dashboard = Dashboard::start(OPS).await;
    let mut program = dashboard.program();
    let log = std::fs::File::create(dashboard.path("followed")).expect("file");
    let mut follower = program
        .args(["log", "--follow"])
        .stdout(log)
        .spawn()
        .expect("it starts");
    let file = dashboard.path("followed");
    support::wait_for("the follower's first lines", async || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.contains("localhost").then_some(())
    })
    .await;
    let took = dashboard.stop().await;
    follower.kill().expect("SIGKILL");
    follower.wait().expect("reaped");
    // One that nobody wakes would take two seconds; a loaded machine is given some of them.
    assert!(took < std::time::Duration::from_millis(1_500), "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_too_deep_for_a_socket_is_refused_by_name() {
    let dashboard = Dashboard::start(OPS).await;
    let deep = dashboard.path(&"d".repeat(100)).display().to_string();
    for command in ["serve", "sweep"] {
        let (code, _, err) = quarterdeck(&dashboard, &format!("{command} --data-dir {deep}")).await;
        assert_eq!(code, 2, "{command}: {err}");
        assert!(err.contains(&deep) && err.contains("--data-dir"), "{err}");
    }
    assert!(!std::path::Path::new(&deep).exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_come_and_go() {
    let dashboard = Dashboard::start(OPS).await;
    let spool = dashboard.path("other-spool");
    let added = json(
        &dashboard,
        &format!(
            "host add second --local --tag web --tag prod --spool {}",
            spool.display()
        ),
    )
    .await;
    assert_eq!(added[0]["hostname"], "second");
    let hosts = json(&dashboard, "host list").await;
    let names: Vec<_> = hosts.iter().filter_map(|host| host["hostname"].as_str()).collect();
    assert_eq!(names, ["localhost", "second"]);
    assert_eq!(hosts[1]["tags"], serde_json::json!(["web", "prod"]));
    let (code, out, err) = quarterdeck(&dashboard, "host test second").await;
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = quarterdeck(&dashboard, "run hello --host localhost --host second --wait").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("localhost | hello from localhost"), "{out}");
    assert!(out.contains("second | hello from second"), "{out}");
    let (code, _, _) = quarterdeck(&dashboard, "host remove second --yes").await;
    assert_eq!(code, 0);
    assert_eq!(json(&dashboard, "host list").await.len(), 1);
    assert_eq!(
        json(&dashboard, "history --host second").await.len(),
        1,
        "history keeps its host"
    );
    let (code, out, _) = quarterdeck(&dashboard, "op list").await;
    assert_eq!(code, 0);
    assert!(out.contains("uptime") && out.contains("hello"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_dashboard_reading_reads_and_the_rest_says_what_to_start() {
    let mut dashboard = Dashboard::start(OPS).await;
    let (code, ..) = quarterdeck(&dashboard, "run hello --host localhost --wait").await;
    assert_eq!(code, 0);
    let live = json(&dashboard, "history").await;
    let open = dashboard.accepted("sleeps", "localhost").await;
    dashboard.until_status(&open, "EXECUTING").await;
    dashboard.kill().await;

    let rows = json(&dashboard, "history").await;
    assert_eq!(rows[1..], live[..], "the rows are the same");
    let (code, out, _) = quarterdeck(&dashboard, &format!("output {}", id_of(&live[0]))).await;
    assert_eq!((code, out.lines().next()), (0, Some("hello from localhost")));
    for arguments in ["host list", "op list", "log", "history"] {
        let (code, out, err) = quarterdeck(&dashboard, arguments).await;
        assert_eq!(code, 0, "{arguments}: {out}{err}");
    }
    let (code, out, _) = quarterdeck(&dashboard, "recover").await;
    assert_eq!(code, 0);
    let says = "was running: its host would be asked what became of it";
    assert!(out.contains("sleeps on localhost") && out.contains(says), "{out}");
    assert_eq!(
        dashboard.sql("SELECT status FROM commands ORDER BY id DESC LIMIT 1"),
        "EXECUTING",
        "a preview changes nothing"
    );
    for arguments in [
        "sweep",
        "run hello --host localhost",
        "host add a --local",
        "open",
        "log --follow",
    ] {
        let (code, _, err) = quarterdeck(&dashboard, arguments).await;
        assert_eq!(code, 3, "{arguments}: {err}");
        assert!(
            err.contains("no dashboard is running") && err.contains("quarterdeck serve"),
            "{err}"
        );
    }

    dashboard.start_again().await;
    let (code, _, err) = quarterdeck(&dashboard, &format!("cancel {open}")).await;
    assert_eq!(code, 0, "{err}");
    dashboard.until_final(&open).await;
    let (code, out, err) = quarterdeck(&dashboard, "sweep").await;
    assert_eq!(code, 0, "{out}{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_refused_by_file_and_line() {
    let dashboard = Dashboard::start(OPS).await;
    let file = dashboard.path("quarterdeck.toml");
    std::fs::write(&file, "\n[retention]\nevents_days = 0\n").expect("file");
    let (code, _, err) = quarterdeck(&dashboard, "history").await;
    assert_eq!(code, 2);
    assert!(
        err.contains("quarterdeck.toml:3: retention.events_days: must be"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_refuses_with_problems_that_name_the_field() {
    let dashboard = Dashboard::start(OPS).await;
    let before = dashboard.sql("SELECT count(*) FROM commands");
    for (body, status, field) in [
        (serde_json::json!({"op": "hello", "hosts": []}), 422, Some("hosts")),
        (
            serde_json::json!({"op": "hello", "host": ["localhost"]}),
            422,
            Some("host"),
        ),
        (
            serde_json::json!({"op": "helo", "hosts": ["localhost"]}),
            404,
            Some("op"),
        ),
        (
            serde_json::json!({"op": "hello", "hosts": ["nowhere"]}),
            404,
            Some("host"),
        ),
        (serde_json::json!([]), 400, None),
    ] {
        let (found, problem) = dashboard.post("/commands", &body).await;
        assert_eq!(found, status, "{body}: {problem}");
        assert_eq!(problem["field"].as_str(), field, "{problem}");
        assert_eq!(problem["status"], status);
        assert!(
            problem["type"]
                .as_str()
                .is_some_and(|kind| kind.starts_with("urn:quarterdeck:"))
        );
    }
    assert_eq!(
        dashboard.sql("SELECT count(*) FROM commands"),
        before,
        "no row for what is unknown"
    );
    for path in [
        "/commands?limit=0",
        "/commands?hots=a",
        "/events?wait=61",
        "/commands?since=soon",
    ] {
        let (status, problem) = dashboard.get(path).await;
        assert_eq!(status, 422, "{path}: {problem}");
    }
    assert_eq!(dashboard.get("/commands?cursor=x").await.0, 400);
    for path in ["/commands/42", "/nothing", "/hosts/nowhere"] {
        assert_eq!(dashboard.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_read_by_ranges() {
    let dashboard = Dashboard::start(OPS).await;
    let id = dashboard.accepted("hello", "localhost").await;
    dashboard.until_final(&id).await;
    let whole = dashboard.output(&id).await;
    let client = reqwest::Client::builder()
        .unix_socket(dashboard.path("data/quarterdeck.sock"))
        .build()
        .expect("client");
    for (range, status, from, to) in [
        ("bytes=0-4", 206, 0, 5),
        ("bytes=6-", 206, 6, whole.len()),
        ("bytes=-4", 206, whole.len() - 4, whole.len()),
        ("bytes=9999-", 416, 0, 0),
        ("lines=1-2", 200, 0, whole.len()),
        ("bytes=0-1,3-4", 200, 0, whole.len()),
    ] {
        let request = client.get(format!("http://localhost/api/v1/commands/{id}/output"));
        let answer = request.header("range", range).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{range}");
        if status == 416 {
            let length = format!("bytes */{}", whole.len());
            assert_eq!(answer.headers()["content-range"], length.as_str());
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            continue;
        }
        let bytes = answer.bytes().await.expect("bytes");
        assert_eq!(bytes[..], whole[from..to], "{range}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_shows_can_be_typed() {
    let mut dashboard = Dashboard::start(OPS).await;
    let (code, _, err) = quarterdeck(&dashboard, "run fails --host localhost --wait").await;
    assert_eq!(code, 1, "{err}");
    let rows = json(&dashboard, "history --status failed --since 1h").await;
    assert_eq!(rows.len(), 1, "the words of the pages");
    let id = id_of(&rows[0]);
    let bare = rows[0]["actor"]
        .as_str()
        .expect("actor")
        .trim_start_matches("local:")
        .to_owned();
    for (args, number) in [
        (format!("history --actor {bare}"), 1),
        (format!("history --actor local:{bare} --status ERROR"), 1),
        ("history --actor somebody-else".to_owned(), 0),
        ("history --until 2026-01-01".to_owned(), 0),
    ] {
        assert_eq!(json(&dashboard, &args).await.len(), number, "{args}");
    }
    let (short, begin) = (id[28..].to_owned(), id[..18].to_owned());
    for part in [&short, &begin, &id] {
        let (code, out, err) = quarterdeck(&dashboard, &format!("show {part}")).await;
        assert_eq!(code, 0, "{err}");
        assert!(out.starts_with("fails on localhost: Failed, exit 3\n"), "{out}");
    }
    let (code, _, err) = quarterdeck(&dashboard, "run hello --host localhost --wait").await;
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = quarterdeck(&dashboard, &format!("show {}", &id[..4])).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("several") && err.contains(&id), "{err}");
    let (code, _, err) = quarterdeck(&dashboard, &format!("retry {short}")).await;
    assert_eq!(code, 0, "{err}");
    dashboard.stop().await;
    let (code, out, _) = quarterdeck(&dashboard, &format!("output {short}")).await;
    assert_eq!((code, out.as_str()), (0, "no good\n"), "at rest too");
    let (code, _, err) = quarterdeck(&dashboard, "--listen 127.0.0.1:0 history").await;
    assert_eq!(code, 2, "{err}");
}
