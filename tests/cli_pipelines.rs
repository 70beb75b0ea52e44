//! Pipelines as an administrator types them: the real binary beside a real dashboard, several local hosts.

mod support;

use serde_json::{Value, json};
use support::cli::{json, quarterdeck};
use support::page::Browser;
use support::{Dashboard, id_of};

const CONFIG: &str = r#"
[[op]]
id = "first"
retryable = true
script = "echo working on it; echo all good"

[[op]]
id = "picky"
retryable = true
script = "test $QD_HOST != c || test -e $HOME/mended || { echo c is broken; exit 3; }; echo fine"

[[op]]
id = "sleeps"
retryable = true
script = "echo begun; sleep 60"

[[op]]
id = "risky"
dangerous = true
script = "echo dared"

[[pipeline]]
id = "both"
ops = ["first", "picky"]

[[pipeline]]
id = "gated"
stages = [{ op = "first" }, { wait = "look" }, { op = "picky" }]
"#;

/// A dashboard with local hosts of their own spools, tagged `web`.
async fn fleet(names: &[&str]) -> Dashboard {
    let dashboard = Dashboard::start(CONFIG).await;
    for name in names {
        dashboard.add_local(name, &["web"]).await;
    }
    dashboard
}

/// The newest pipeline's row with counts and results.
async fn newest(dashboard: &Dashboard) -> Value {
    let (_, listed) = dashboard.get("/pipelines?limit=1").await;
    let id = listed["pipelines"][0]["id"].as_str().expect("one").to_owned();
    let (status, row) = dashboard.get(&format!("/pipelines/{id}")).await;
    assert_eq!(status, 200, "{row}");
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_waited_for_and_its_results_are_grouped() {
    let dashboard = fleet(&["a", "b", "d"]).await;
    let (code, out, err) = quarterdeck(&dashboard, "pipeline start both --all --wait --reason weekly").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        err.contains("both: Running, stage 1 of 2; 0 of 3 hosts passed"),
        "{err}"
    );
    assert!(err.contains("both: Complete; 3 of 3 hosts passed"), "{err}");
    assert!(
        out.contains("stage 1, first:\n  3 hosts: Succeeded: “all good”  [a, b, d]\nstage 2, picky:\n  3 hosts: "),
        "{out}"
    );
    let row = newest(&dashboard).await;
    assert_eq!((&row["status"], &row["reason"]), (&json!("COMPLETE"), &json!("weekly")));
    assert_eq!(row["counts"]["done"], 6, "{row}");

    let ended = json(&dashboard, "pipeline start first --host b --host a --wait").await;
    assert_eq!(ended.len(), 1, "one object for a program, and no progress");
    assert_eq!(ended[0]["status"], "COMPLETE");
    let (code, out, err) = quarterdeck(&dashboard, "run first --host a --host b --wait").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("a | all good") && out.contains("b | all good"), "{out}");
    // A dangerous op takes one host first; the other one's command is asked for later, and followed too.
    let (code, out, err) = quarterdeck(&dashboard, "run risky --host a --host b --confirm 2 --wait").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("a | dared") && out.contains("b | dared"), "{out}");
    let listed = json(&dashboard, "pipeline list --status complete").await;
    let names: Vec<_> = listed.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["risky", "first", "first", "both"]);
    let (code, out, _) = quarterdeck(&dashboard, "pipeline list --catalog").await;
    assert_eq!(code, 0);
    assert!(out.contains("both") && out.contains("pull && switch && test"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_host_is_named_and_tried_again() {
    let mut dashboard = fleet(&["a", "b", "c"]).await;
    let (code, out, err) = quarterdeck(&dashboard, "pipeline start both --tag web --wait").await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("1 host: Failed, exit 3: “c is broken”  [c]"), "{out}");
    assert!(out.contains("2 hosts: Succeeded: “fine”  [a, b]"), "{out}");
    assert!(out.contains("both: Partial; 2 of 3 hosts passed, 1 failed"), "{out}");
    let first = id_of(&newest(&dashboard).await);

    let (code, out, err) = quarterdeck(&dashboard, &format!("pipeline retry {first}")).await;
    assert_eq!(code, 2, "{out}{err}");
    assert!(
        out.contains("c from stage 2: picky failed: "),
        "the set is shown first: {out}"
    );
    assert!(err.contains("--yes"), "{err}");
    let set = json(&dashboard, &format!("pipeline retry {first} --dry-run")).await;
    assert_eq!(set[0]["hosts"][0][0], "c");
    assert_eq!(id_of(&newest(&dashboard).await), first, "nothing was started");

    std::fs::write(dashboard.path("home/mended"), "").expect("file");
    let (code, out, err) = quarterdeck(&dashboard, &format!("pipeline retry {first} --yes --wait")).await;
    assert_eq!(code, 0, "{out}{err}");
    let retry = newest(&dashboard).await;
    assert_eq!(retry["retry_of"], json!(first));
    assert_eq!(
        retry["counts"]["done"], 1,
        "only the stage that had not passed: {retry}"
    );
    let (code, _, err) = quarterdeck(&dashboard, &format!("pipeline retry {} --yes", id_of(&retry))).await;
    assert_eq!(code, 4, "{err}");

    let (_, live, _) = quarterdeck(&dashboard, &format!("pipeline show {first}")).await;
    dashboard.stop().await;
    let (code, at_rest, err) = quarterdeck(&dashboard, &format!("pipeline show {first}")).await;
    assert_eq!((code, at_rest), (0, live), "{err}");
    assert_eq!(json(&dashboard, "pipeline list --host c").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_pipeline_stands_at_the_same_stage_everywhere() {
    let mut dashboard = fleet(&["a", "b"]).await;
    let (code, out, err) = quarterdeck(&dashboard, "pipeline start gated --tag web").await;
    assert_eq!(code, 0, "{out}{err}");
    let row = support::wait_for("somebody to be waited for", async || {
        let row = newest(&dashboard).await;
        (row["status"] == "HELD").then_some(row)
    })
    .await;
    let id = id_of(&row);
    let (_, page) = Browser::signed_in(&dashboard)
        .await
        .get(&format!("/pipelines/{id}"))
        .await;
    assert!(page.contains("Stage 2 of 3 waits for a person"), "{page}");
    let stands = |text: &str| {
        assert!(text.contains("stage 2 of 3; 0 of 2 hosts passed, 2 waiting"), "{text}");
    };
    stands(&quarterdeck(&dashboard, &format!("pipeline show {id}")).await.1);
    let (_, said, _) = quarterdeck(&dashboard, &format!("pipeline hold {id}")).await;
    assert!(
        said.starts_with("gated: Held") && !said.contains("stage 1"),
        "a stage that is not looked up is not said: {said}"
    );
    dashboard.stop().await;
    stands(&quarterdeck(&dashboard, &format!("pipeline show {id}")).await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_starts_nothing() {
    let dashboard = fleet(&["a", "b", "c", "d"]).await;
    let line = "pipeline start both --tag web --batches 1,25%,100% --stop-when 2 --if-busy wait:5m --dry-run";
    let (code, out, err) = quarterdeck(&dashboard, line).await;
    assert_eq!(code, 0, "{out}{err}");
    for words in [
        "both would run on 4 hosts:\n  stage 1: first on 4 hosts\n  stage 2: picky on 4 hosts\n",
        "batch 1: a\n  batch 2: b\n  batch 3: c, d\n",
        "stops when 2 failed",
        "waited for, 5m at most",
        "nothing was started",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    for (line, code, words) in [
        ("pipeline start bth --all", 2, "did you mean “both”"),
        ("pipeline start both --host nowhere", 2, "nowhere"),
        ("pipeline start both --tag none", 2, "no host has the tag"),
        ("pipeline show 0192b0a0-0000-7000-8000-000000000000", 2, "no pipeline"),
    ] {
        let (found, out, err) = quarterdeck(&dashboard, line).await;
        assert_eq!(found, code, "{line}: {out}{err}");
        assert!(err.contains(words), "{line}: {err}");
    }
    let rows = "SELECT (SELECT count(*) FROM pipelines) + (SELECT count(*) FROM commands)";
    assert_eq!(dashboard.sql(rows), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_held_continued_and_cancelled() {
    let dashboard = fleet(&["a", "b"]).await;
    let (code, out, err) = quarterdeck(&dashboard, "pipeline start sleeps --all --batches 1").await;
    assert_eq!(code, 0, "{out}{err}");
    let id = id_of(&newest(&dashboard).await);
    // What has not begun is cancelled in both modes; this one is to be at work.
    let (_, page) = dashboard.get(&format!("/pipelines/{id}/commands")).await;
    dashboard.until_status(&id_of(&page["commands"][0]), "EXECUTING").await;
    for (word, code, words) in [
        ("hold", 0, "sleeps: Held by "),
        ("hold", 0, "sleeps: Held by "),
        ("continue", 0, "sleeps: Running"),
        ("continue", 4, "not held"),
        ("retry", 4, "wait for its end or cancel it"),
    ] {
        // As pages show it: by its end.
        let short = &id[28..];
        let (found, out, err) = quarterdeck(&dashboard, &format!("pipeline {word} {short}")).await;
        assert_eq!(found, code, "{word}: {out}{err}");
        assert!(format!("{out}{err}").contains(words), "{word}: {out}{err}");
    }
    let (code, out, err) = quarterdeck(&dashboard, &format!("pipeline cancel {id}")).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("Being cancelled") && out.contains("may end by itself"),
        "{out}"
    );
    let (code, out, err) = quarterdeck(&dashboard, &format!("pipeline cancel {id} --kill --reason enough")).await;
    assert_eq!(code, 0, "{out}{err}");
    let row = support::wait_for("the pipeline's end", async || {
        let row = newest(&dashboard).await;
        (!row["finished_at"].is_null()).then_some(row)
    })
    .await;
    assert_eq!(
        (&row["status"], &row["cancel_mode"]),
        (&json!("CANCELLED"), &json!("kill"))
    );
    let (_, page) = dashboard.get(&format!("/pipelines/{id}/commands")).await;
    let status = |name: &str| {
        let mut rows = page["commands"].as_array().into_iter().flatten();
        let row = rows.find(|row| row["host"] == name);
        row.map(|row| row["status"].clone())
    };
    assert_eq!(
        (status("a"), status("b")),
        (Some(json!("CANCELLED")), Some(json!("CANCELLED")))
    );
    let (code, _, err) = quarterdeck(&dashboard, &format!("pipeline cancel {id}")).await;
    assert_eq!(code, 4, "{err}");
    let (code, out, _) = quarterdeck(&dashboard, &format!("pipeline show {id}")).await;
    assert_eq!(code, 0);
    assert!(out.starts_with("sleeps: Cancelled by "), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_pages_and_refuses_by_name() {
    let dashboard = fleet(&["a", "b"]).await;
    for _ in 0..3 {
        let (code, out, err) = quarterdeck(&dashboard, "pipeline start both --all --wait").await;
        assert_eq!(code, 0, "{out}{err}");
    }
    let mut seen = Vec::new();
    let mut path = "/pipelines?limit=2".to_owned();
    loop {
        let (status, page) = dashboard.get(&path).await;
        assert_eq!(status, 200, "{page}");
        seen.extend(page["pipelines"].as_array().expect("rows").iter().map(id_of));
        match page["next"].as_str() {
            Some(next) => path = format!("/pipelines?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 3);
    let (_, page) = dashboard.get(&format!("/pipelines/{}/commands?limit=3", seen[0])).await;
    assert_eq!(page["commands"].as_array().map(Vec::len), Some(3));
    let next = page["next"].as_str().expect("a further page");
    let (_, page) = dashboard
        .get(&format!("/pipelines/{}/commands?cursor={next}", seen[0]))
        .await;
    assert_eq!(
        (page["commands"].as_array().map(Vec::len), &page["next"]),
        (Some(1), &Value::Null)
    );
    let (_, answer) = dashboard
        .post("/commands", &json!({"op": "first", "hosts": ["a", "b"]}))
        .await;
    assert_eq!(answer["pipeline_id"], answer["commands"][0]["pipeline_id"]);
    assert!(answer["pipeline_id"].is_string(), "{answer}");
    let (_, answer) = dashboard
        .post("/commands", &json!({"op": "first", "hosts": ["localhost"]}))
        .await;
    assert!(answer["pipeline_id"].is_null(), "one host is a plain command: {answer}");

    for (body, status, field) in [
        (json!({"name": "both"}), 422, Some("hosts")),
        (json!({"name": "both", "tags": ["none"]}), 422, Some("tags")),
        (json!({"name": "bth", "all": true}), 404, Some("name")),
        (json!({"name": "both", "hosts": ["nowhere"]}), 404, Some("host")),
        (
            json!({"name": "both", "all": true, "batches": ["x"]}),
            422,
            Some("batches"),
        ),
        (json!({"name": "both", "al": true}), 422, Some("al")),
        (
            json!({"name": "both", "all": true, "max_parallel": 0}),
            422,
            Some("max_parallel"),
        ),
        (json!([]), 400, None),
    ] {
        for path in ["/pipelines", "/pipelines/preview"] {
            let (found, problem) = dashboard.post(path, &body).await;
            assert_eq!(found, status, "{path} {body}: {problem}");
            assert_eq!(problem["field"].as_str(), field, "{path} {body}: {problem}");
        }
    }
    for path in ["/pipelines?limit=0", "/pipelines?status=BROKEN", "/pipelines?nme=x"] {
        assert_eq!(dashboard.get(path).await.0, 422, "{path}");
    }
    let nobody = "0192b0a0-0000-7000-8000-000000000000";
    for path in [
        "/pipelines/42".to_owned(),
        format!("/pipelines/{nobody}/commands"),
        format!("/pipelines/{nobody}/retry"),
    ] {
        assert_eq!(dashboard.get(&path).await.0, 404, "{path}");
    }
    let (status, problem) = dashboard
        .post(&format!("/pipelines/{}/hold", seen[0]), &json!({}))
        .await;
    assert_eq!(status, 409, "a final one cannot be held: {problem}");
}
