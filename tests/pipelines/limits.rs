//! Retries, one op on several hosts, busy hosts, and the limits that stop what goes wrong.

use quarterdeck::domain::{CancelMode, CommandStatus, IfBusy, LimitsGiven, PipelineStatus, Reach, Share, Span};
use quarterdeck::engine::{EngineError, Start};
use quarterdeck::store::Journal;

use crate::inside::{Inside, alice, wish};
use crate::support::wait_for;

#[tokio::test]
async fn a_retry_takes_who_did_not_pass_from_where_they_stopped() {
    let qd = Inside::new().await;
    qd.hosts(&["h1", "h2", "h3"]).await;
    qd.set("pull.fail.h1");
    qd.set("switch.fail.h2");
    let first = qd.start("do-all", &["h1", "h2", "h3"]).await.id;
    assert_eq!(qd.end(first).await.status, PipelineStatus::Partial);
    let preview = qd.engine.preview_retry(first).await.expect("preview");
    let hosts: Vec<_> = preview
        .hosts
        .iter()
        .map(|(host, stage, _)| (host.as_str(), *stage))
        .collect();
    assert_eq!(hosts, [("h1", 0), ("h2", 1)], "{preview:?}");
    assert!(preview.hosts[1].2.starts_with("switch failed"), "{preview:?}");
    qd.unset("pull.fail.h1");
    qd.unset("switch.fail.h2");
    let again = qd.engine.retry_pipeline(first, None, alice()).await.expect("started");
    assert_eq!(again.retry_of, Some(first));
    assert_eq!(qd.end(again.id).await.status, PipelineStatus::Complete);
    assert_eq!(
        qd.matrix(again.id).await,
        "h1: SUCCESS SUCCESS SUCCESS; h2: - SUCCESS SUCCESS"
    );
    assert_eq!(qd.started("pull"), ["h1", "h1", "h2", "h3"]);
    let refused = qd.engine.preview_retry(again.id).await;
    assert!(matches!(refused, Err(EngineError::Conflict(_))), "{refused:?}");
    qd.stop().await;
}

#[tokio::test]
async fn one_op_on_several_hosts_is_a_pipeline_of_one_stage() {
    let qd = Inside::new().await;
    qd.hosts(&["h1", "h2", "h3"]).await;
    let start = |hosts: &[&str]| Start {
        op: "pull".to_owned(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        reason: None,
    };
    qd.set("pull.hold.h1");
    let single = qd
        .engine
        .start(start(&["h1"]), alice())
        .await
        .expect("started")
        .remove(0);
    assert_eq!(single.pipeline_id, None, "one host is a plain command");
    qd.set("pull.hold.h2");
    let rows = qd
        .engine
        .start(start(&["h1", "h2", "h3"]), alice())
        .await
        .expect("started");
    let statuses: Vec<_> = rows.iter().map(|row| (row.host.as_str(), row.status)).collect();
    assert_eq!(
        statuses,
        [
            ("h1", CommandStatus::Blocked),
            ("h2", CommandStatus::Pending),
            ("h3", CommandStatus::Pending)
        ]
    );
    let id = rows[0].pipeline_id.expect("a pipeline");
    assert_eq!(qd.row(id).await.name, "pull");
    // Its hosts are reserved, and a refusal names the pipeline; what is through is free at once.
    qd.until(id, "h3", |_, commands| {
        commands.iter().any(|row| row.host == "h3" && !row.is_open())
    })
    .await;
    let free = qd
        .engine
        .start(start(&["h3"]), alice())
        .await
        .expect("started")
        .remove(0);
    assert_eq!(free.status, CommandStatus::Pending, "{free:?}");
    let busy = qd
        .engine
        .start(start(&["h2"]), alice())
        .await
        .expect("answered")
        .remove(0);
    assert_eq!(busy.status, CommandStatus::Blocked);
    qd.unset("pull.hold.h1");
    qd.unset("pull.hold.h2");
    assert_eq!(qd.end(id).await.status, PipelineStatus::Partial);

    wait_for("every host to be free", async || {
        let open = qd.store.reader().read(Journal::open_commands).await.expect("read");
        open.is_empty().then_some(())
    })
    .await;
    qd.set("pull.hold");
    let do_all = qd
        .start_with(
            "do-all",
            &["h1", "h2"],
            LimitsGiven {
                max_parallel: Some(1),
                ..LimitsGiven::default()
            },
        )
        .await
        .id;
    let reserved = qd
        .engine
        .start(start(&["h2"]), alice())
        .await
        .expect("answered")
        .remove(0);
    let why = reserved.error.expect("why");
    assert!(why.starts_with("reserved by the pipeline “do-all”"), "{why}");
    qd.engine
        .cancel_pipeline(do_all, CancelMode::Kill, None, alice())
        .await
        .expect("cancelled");
    qd.end(do_all).await;
    qd.stop().await;
}

#[tokio::test]
async fn busy_hosts_are_waited_for_or_left_out() {
    let qd = Inside::new().await;
    qd.hosts(&["h1", "h2"]).await;
    qd.set("test.hold.h1");
    let single = Start {
        op: "test".to_owned(),
        hosts: vec!["h1".to_owned()],
        reason: None,
    };
    qd.engine.start(single, alice()).await.expect("started");
    let if_busy = |if_busy| LimitsGiven {
        if_busy: Some(if_busy),
        ..LimitsGiven::default()
    };
    let limits = if_busy(IfBusy::LeaveOut);
    let preview = qd
        .engine
        .preview_pipeline(&wish("pull", &["h1", "h2"], limits.clone()))
        .await
        .expect("preview");
    assert_eq!(preview.batches, [["h2"]]);
    assert_eq!(preview.left_out[0].0, "h1");
    let row = qd.start_with("pull", &["h1", "h2"], limits.clone()).await;
    assert_eq!(qd.end(row.id).await.status, PipelineStatus::Complete);
    assert_eq!(qd.matrix(row.id).await, "h2: SUCCESS");
    let none = qd.engine.start_pipeline(wish("pull", &["h1"], limits), alice()).await;
    assert!(matches!(none, Err(EngineError::Conflict(_))), "{none:?}");

    let short = qd
        .start_with("pull", &["h1", "h2"], if_busy(IfBusy::Wait(Span::from_millis(400))))
        .await;
    assert_eq!(qd.end(short.id).await.status, PipelineStatus::Partial);
    assert_eq!(
        qd.matrix(short.id).await,
        "h1: BLOCKED; h2: SUCCESS",
        "waited for long enough"
    );
    let long = qd
        .start_with("pull", &["h1", "h2"], if_busy(IfBusy::Wait(Span::from_secs(600))))
        .await;
    qd.until(long.id, "h2", |_, commands| {
        commands.iter().any(|row| row.status == CommandStatus::Success)
    })
    .await;
    assert_eq!(qd.matrix(long.id).await, "h1: -; h2: SUCCESS");
    let qd = qd.again("15m").await;
    qd.unset("test.hold.h1");
    assert_eq!(qd.end(long.id).await.status, PipelineStatus::Complete);
    qd.stop().await;
}

#[tokio::test]
async fn limits_stop_what_goes_wrong() {
    let qd = Inside::new().await;
    let names: Vec<String> = (1..=5).map(|n| format!("h{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    qd.hosts(&names).await;
    qd.set("wipe.fail.h1");
    let preview = qd
        .engine
        .preview_pipeline(&wish("wipe", &names, LimitsGiven::default()))
        .await
        .expect("preview");
    assert_eq!(
        preview.batches.iter().map(Vec::len).collect::<Vec<_>>(),
        [1, 2, 2],
        "1, 25 %, then so on"
    );
    let row = qd.start("wipe", &names).await;
    assert_eq!(qd.end(row.id).await.status, PipelineStatus::Failed);
    assert_eq!(
        qd.matrix(row.id).await,
        "h1: ERROR; h2: SKIPPED; h3: SKIPPED; h4: SKIPPED; h5: SKIPPED"
    );
    assert_eq!(qd.started("wipe"), ["h1"], "a failed canary stops a dangerous op");

    qd.set("pull.fail.h2");
    let limits = LimitsGiven {
        batches: Some(vec![Share::Count(2), Share::Percent(100)]),
        stop_when: Some(Share::Percent(20)),
        ..LimitsGiven::default()
    };
    let row = qd.start_with("update", &names, limits).await;
    assert_eq!(qd.end(row.id).await.status, PipelineStatus::Failed);
    assert_eq!(
        qd.matrix(row.id).await,
        "h1: SUCCESS SKIPPED; h2: ERROR SKIPPED; h3: SKIPPED SKIPPED; h4: SKIPPED SKIPPED; h5: SKIPPED SKIPPED"
    );
    // By tags: a stage for some only, and one whose failure lets the host go on.
    qd.add("web", Reach::Local, &["web"]).await;
    qd.set("pull.fail.web");
    let row = qd.start("for-tags", &["h1", "web"]).await;
    assert_eq!(qd.end(row.id).await.status, PipelineStatus::Partial);
    assert_eq!(qd.matrix(row.id).await, "h1: SUCCESS -; web: ERROR SUCCESS");
    for (start, words) in [
        (wish("do-al", &["h1"], LimitsGiven::default()), "did you mean “do-all”"),
        (wish("pull", &["h9"], LimitsGiven::default()), "there is no host “h9”"),
        (wish("pull", &[], LimitsGiven::default()), "at least one host"),
    ] {
        let wrong = qd
            .engine
            .start_pipeline(start, alice())
            .await
            .expect_err(words)
            .to_string();
        assert!(wrong.contains(words), "{wrong}");
    }
    qd.stop().await;
}
