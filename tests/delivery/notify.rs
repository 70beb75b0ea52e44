//! Who is told what, in which words, and what happens where nobody listens.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::hooks::Hook;
use super::support::cli::quarterdeck;
use super::support::{Dashboard, lines_of, wait_for};
use super::{OPS, configure, delivery, events, until_event};

fn chat(hook: &Hook, more: &str) -> String {
    format!(
        "public_url = \"https://fleet.example.org/\"\n{OPS}\n[[notify]]\nname = \"chat\"\nurl = \"http://{}/s3cret-path\"\n{more}\n",
        hook.address
    )
}

async fn until_posts(hook: &Hook, count: usize) -> Vec<Value> {
    wait_for("notifications", async || {
        let posts = hook.posts();
        (posts.len() >= count).then(|| posts.into_iter().map(|post| post.body).collect())
    })
    .await
}

async fn failed(dashboard: &Dashboard) -> String {
    let id = dashboard.accepted("fails", "localhost").await;
    dashboard.until_final(&id).await;
    id
}

#[tokio::test]
async fn a_failed_command_is_told_once_with_a_sentence_and_a_link() {
    let hook = Hook::start().await;
    let mut dashboard = Dashboard::prepare(&chat(&hook, "on = [\"failed\"]\nheader_file = \"headers\""));
    let headers = dashboard.path("headers");
    std::fs::write(&headers, "Authorization: Bearer s3cret-header\nX-Team: deck\n").expect("headers");
    std::fs::set_permissions(&headers, std::fs::Permissions::from_mode(0o600)).expect("mode");
    dashboard.start_again().await;
    let fine = dashboard.accepted("quick", "localhost").await;
    dashboard.until_final(&fine).await;
    let first = failed(&dashboard).await;
    let second = failed(&dashboard).await;
    let posts = until_posts(&hook, 2).await;
    assert_eq!(posts.len(), 2, "{posts:?}");
    for (post, command) in posts.iter().zip([&first, &second]) {
        assert_eq!(post["notice"], "failed");
        assert_eq!(post["event"]["command_id"], command.as_str(), "in order");
        assert_eq!(post["url"], format!("https://fleet.example.org/commands/{command}"));
        let text = post["text"].as_str().expect("text");
        assert!(text.starts_with("fails on localhost failed, exit 4"), "{text}");
    }
    let post = &hook.posts()[0];
    assert_eq!(post.path, "/s3cret-path");
    assert!(
        post.headers
            .iter()
            .any(|line| line.eq_ignore_ascii_case("authorization: Bearer s3cret-header"))
    );
    assert!(
        post.headers
            .iter()
            .any(|line| line.eq_ignore_ascii_case("x-team: deck"))
    );
    // A start after a crash tells what happened meanwhile, and nothing twice that had been noted.
    wait_for("the cursor", async || {
        (delivery(&dashboard, "notify", "chat").await["behind"] == 0).then_some(())
    })
    .await;
    dashboard.kill().await;
    dashboard.start_again().await;
    let third = failed(&dashboard).await;
    let posts = until_posts(&hook, 3).await;
    assert_eq!(
        (posts.len(), posts[2]["event"]["command_id"].as_str()),
        (3, Some(third.as_str()))
    );
    // What may be a secret is nowhere to be seen.
    let place = delivery(&dashboard, "notify", "chat").await;
    assert_eq!(place["target"], format!("http://{}/…", hook.address));
    let everything = format!("{:?}{}", dashboard.events().await, dashboard.log());
    assert!(!everything.contains("s3cret"), "{everything}");
}

#[tokio::test]
async fn a_pipeline_is_told_once_at_its_end_unless_its_commands_are_asked_for() {
    let (end, each) = (Hook::start().await, Hook::start().await);
    let config = format!(
        "{}\n[[notify]]\nname = \"each\"\nurl = \"http://{}/\"\non = [\"failed\"]\npipeline_commands = true\n",
        chat(&end, ""),
        each.address
    );
    let dashboard = Dashboard::start(&config).await;
    for name in ["a", "b"] {
        dashboard.add_local(name, &[]).await;
    }
    let (status, answer) = dashboard
        .post("/commands", &json!({"op": "fails", "hosts": ["a", "b"]}))
        .await;
    assert_eq!(status, 202, "{answer}");
    let pipeline = answer["pipeline_id"].as_str().expect("a pipeline").to_owned();
    until_event(&dashboard, "pipeline:end").await;
    let posts = until_posts(&each, 3).await;
    let kinds: Vec<_> = posts
        .iter()
        .map(|post| post["event"]["action"].as_str().expect("action"))
        .collect();
    assert_eq!(
        kinds,
        ["op:fails", "op:fails", "pipeline:end"],
        "it failed: that is told without `pipeline`, too"
    );
    let posts = until_posts(&end, 1).await;
    assert_eq!(posts.len(), 1, "{posts:?}");
    assert_eq!(
        (posts[0]["notice"].as_str(), posts[0]["event"]["action"].as_str()),
        (Some("pipeline"), Some("pipeline:end"))
    );
    assert_eq!(
        posts[0]["url"],
        format!("https://fleet.example.org/pipelines/{pipeline}")
    );
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_and_then_named_and_left_out() {
    let hook = Hook::start().await;
    hook.answers(["503 Busy", "302 Found\r\nLocation: http://127.0.0.1:9/"]);
    let dashboard = Dashboard::start(&chat(&hook, "on = [\"failed\"]\ntries = 3")).await;
    let first = failed(&dashboard).await;
    let posts = until_posts(&hook, 3).await;
    assert!(
        posts.iter().all(|post| post["event"]["command_id"] == first.as_str()),
        "the same, three times"
    );
    until_event(&dashboard, "notify:back").await;
    let failing = until_event(&dashboard, "notify:failing").await;
    assert!(
        failing["message"].as_str().expect("text").contains("302"),
        "a redirect is not followed: {failing}"
    );

    hook.answers(["500 No"; 3]);
    let lost = failed(&dashboard).await;
    let named = until_event(&dashboard, "notify:lost").await;
    let text = named["message"].as_str().expect("text");
    assert!(
        text.contains("after 3 tries") && text.contains("fails on localhost failed, exit 4"),
        "{text}"
    );
    let third = failed(&dashboard).await;
    let posts = until_posts(&hook, 7).await;
    let told: Vec<_> = posts
        .iter()
        .map(|post| post["event"]["command_id"].as_str().expect("id"))
        .collect();
    assert_eq!(
        told[3..],
        [&lost, &lost, &lost, &third],
        "in order, and the lost one is not tried again"
    );
    assert_eq!(events(&dashboard, "notify:failing").await.len(), 1);
}

#[tokio::test]
async fn a_command_is_told_on_its_standard_input_and_is_killed_with_its_group() {
    let mut dashboard = Dashboard::prepare("");
    let told = dashboard.path("told");
    let script = dashboard.path("told.sh");
    let pids = dashboard.path("pids");
    std::fs::write(
        &script,
        format!(
            "#!/bin/sh\n[ \"$1\" = 'one argument; echo no shell' ] || exit 9\nenv | grep QUARTERDECK && exit 8\ncat >> {0}\necho >> {0}\nyes | head -c 300000\n",
            told.display()
        ),
    )
    .expect("script");
    let hangs = dashboard.path("hangs.sh");
    std::fs::write(
        &hangs,
        format!("#!/bin/sh\nsleep 1000 &\necho $$ $! > {}\nwait\n", pids.display()),
    )
    .expect("script");
    for file in [&script, &hangs] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o700)).expect("mode");
    }
    configure(
        &dashboard,
        &format!(
            "{OPS}\n[[notify]]\nname = \"pager\"\ncommand = [\"told.sh\", \"one argument; echo no shell\"]\non = [\"failed\"]\n\
             [[notify]]\nname = \"hangs\"\ncommand = [\"{}\"]\non = [\"unknown\"]\n",
            hangs.display()
        ),
    );
    // A bare word is looked up in the PATH; this one is there.
    let path = format!(
        "{}:{}",
        dashboard.dir.path().display(),
        std::env::var("PATH").expect("PATH")
    );
    dashboard.env.push(("PATH".to_owned(), path));
    dashboard.start_again().await;
    let id = failed(&dashboard).await;
    let lines = wait_for("the command", async || {
        Some(lines_of(&told)).filter(|lines| !lines.is_empty())
    })
    .await;
    let body: Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(body["event"]["command_id"], id.as_str());
    assert_eq!(body["url"], Value::Null, "no public_url, no link");

    let begun = Instant::now();
    let (code, out, err) = quarterdeck(&dashboard, "notify test hangs").await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("still running after 30 s and was killed"), "{err}");
    assert!(begun.elapsed() < Duration::from_secs(40));
    let pids = lines_of(&pids)[0].clone();
    wait_for("the whole group to be gone", async || {
        let gone = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
        };
        pids.split(' ').all(gone).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dashboard_that_is_not_ready_tells_so() {
    let hook = Hook::start().await;
    let dashboard = Dashboard::start(&chat(&hook, "on = [\"unhealthy\"]")).await;
    let (output, aside) = (dashboard.path("data/output"), dashboard.path("data/aside"));
    wait_for("the folder of outputs", async || output.is_dir().then_some(())).await;
    std::fs::rename(&output, &aside).expect("aside");
    std::fs::write(&output, "").expect("a file in its place");
    let posts = until_posts(&hook, 1).await;
    let text = posts[0]["text"].as_str().expect("text");
    assert!(
        text.starts_with("The dashboard is not ready: the output of commands cannot be written"),
        "{text}"
    );
    assert_eq!(posts[0]["event"]["action"], "unready");
    std::fs::remove_file(&output).expect("away");
    std::fs::rename(&aside, &output).expect("back");
    until_event(&dashboard, "ready").await;
    assert_eq!(hook.posts().len(), 1);
}

#[tokio::test]
async fn a_test_message_says_how_it_went() {
    let hook = Hook::start().await;
    let dashboard = Dashboard::start(&format!(
        "{}\n[[notify]]\nname = \"gone\"\nurl = \"http://127.0.0.1:9/s3cret\"\nheader_file = \"nowhere\"\n",
        chat(&hook, "")
    ))
    .await;
    let (code, out, err) = quarterdeck(&dashboard, "notify test chat").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("arrived") && !out.contains("s3cret"), "{out}");
    assert_eq!(hook.posts()[0].body["notice"], "test");
    let (code, out, err) = quarterdeck(&dashboard, "notify test gone").await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        err.contains("header_file cannot be read") && !err.contains("s3cret"),
        "{err}"
    );
    let (code, _, err) = quarterdeck(&dashboard, "notify test chta").await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("did you mean “chat”"), "{err}");
    let (code, out, err) = quarterdeck(&dashboard, "notify list").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("gone") && out.contains("http://127.0.0.1:9/…") && !out.contains("s3cret"),
        "{out}"
    );
    let tests = events(&dashboard, "notify:test").await;
    assert_eq!(tests.len(), 2);
    assert!(
        tests
            .iter()
            .all(|event| event["category"] == "audit" && event["actor"] != "system")
    );
}

#[tokio::test]
async fn a_host_that_is_lost_and_a_command_that_is_overdue_are_told() {
    let hook = Hook::start().await;
    let config = format!(
        "{}\n[[op]]\nid = \"slow\"\ntimeout = \"1s\"\non_timeout = \"attend\"\nscript = \"while [ ! -e \\\"$HOME/go\\\" ]; do sleep 0.05; done\"\n\
         [ssh]\nprogram = \"/bin/false\"\n",
        chat(&hook, "")
    );
    let dashboard = Dashboard::start(&config).await;
    let far = json!({"name": "far", "ssh": "root@192.0.2.1"});
    dashboard.done("/hosts", &far).await;
    let (status, tested) = dashboard.post("/hosts/far/test", &json!({})).await;
    assert_eq!((status, &tested["reached"]), (200, &Value::Bool(false)), "{tested}");
    let posts = until_posts(&hook, 1).await;
    assert_eq!(
        (posts[0]["notice"].as_str(), posts[0]["event"]["action"].as_str()),
        (Some("unhealthy"), Some("host:lost"))
    );
    assert_eq!(posts[0]["url"], "https://fleet.example.org/hosts/far");
    let id = dashboard.accepted("slow", "localhost").await;
    let posts = until_posts(&hook, 2).await;
    assert_eq!(
        (posts[1]["notice"].as_str(), posts[1]["event"]["command_id"].as_str()),
        (Some("overdue"), Some(id.as_str()))
    );
    std::fs::write(dashboard.path("home/go"), "").expect("go");
    dashboard.until_final(&id).await;
}
