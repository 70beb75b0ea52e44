//! SCENARIOS, "Pipelines": stages over several hosts, through the library's own door (journal, engine and executor in
//! this process, local hosts with a spool each), and through a dashboard that is killed where that matters.

#[path = "../support/mod.rs"]
mod support;

mod inside;
mod kills;
mod limits;

use quarterdeck::domain::{Actor, CancelMode, CommandStatus, LimitsGiven, PipelineStatus, Reach, Share};
use quarterdeck::engine::EngineError;

use inside::{Inside, alice};
use support::wait_for;

#[tokio::test]
async fn one_of_three_fails_in_the_first_stage() {
    let qd = Inside::new().await;
    qd.hosts(&["h1", "h2", "h3"]).await;
    qd.set("pull.fail.h2");
    let started = qd.start("do-all", &["h1", "h2", "h3"]).await;
    let row = qd.end(started.id).await;
    assert_eq!(row.status, PipelineStatus::Partial);
    assert_eq!(
        qd.matrix(row.id).await,
        "h1: SUCCESS SUCCESS SUCCESS; h2: ERROR SKIPPED SKIPPED; h3: SUCCESS SUCCESS SUCCESS"
    );
    assert_eq!(
        (qd.started("pull"), qd.started("test")),
        (
            vec!["h1".into(), "h2".into(), "h3".into()],
            vec!["h1".into(), "h3".into()]
        )
    );
    let commands = qd.commands(row.id).await;
    assert_eq!(commands.len(), 9);
    for command in &commands {
        assert_eq!(command.pipeline_id, Some(row.id));
        assert_eq!(command.actor, Actor::User("alice".to_owned()));
        if command.status == CommandStatus::Skipped {
            assert_eq!(
                command.error.as_deref(),
                Some("skipped: pull (stage 1) did not end well on this host")
            );
        }
    }
    let id = row.id;
    let counts = qd
        .store
        .reader()
        .read(move |journal| journal.pipeline_counts(id))
        .await
        .expect("read");
    assert_eq!(
        (counts.done, counts.failed, counts.skipped, counts.waiting, counts.cells),
        (6, 1, 2, 0, 9)
    );
    assert_eq!((counts.hosts_passed, counts.hosts_failed), (2, 1));
    let groups = qd
        .store
        .reader()
        .read(move |journal| journal.pipeline_results(id))
        .await
        .expect("read");
    let groups: Vec<_> = groups
        .iter()
        .map(|group| format!("{} {} {}", group.stage, group.status, group.names.join(" ")))
        .collect();
    assert_eq!(
        groups[..2],
        ["0 SUCCESS h1 h3", "0 ERROR h2"],
        "hosts by identical result"
    );
    let fleet = qd
        .store
        .reader()
        .read(quarterdeck::store::Journal::fleet)
        .await
        .expect("read");
    let h2 = fleet.iter().find(|row| row.host.hostname.as_str() == "h2").expect("h2");
    let last = h2.last.as_ref().expect("a last command");
    assert_eq!(
        (last.op.as_str(), h2.attention),
        ("pull", true),
        "what was written off hides no failure"
    );
    let messages = qd.messages(id).await.join("\n");
    for sentence in [
        "alice started the pipeline “do-all” (pull, switch, test) on 3 hosts",
        "The pipeline “do-all” begins pull on 3 hosts (stage 1 of 3)",
        "The pipeline “do-all” begins switch on 2 hosts (stage 2 of 3)",
        "h2 is out of the pipeline “do-all” after pull: switch, test skipped",
        "The pipeline “do-all” ended partly after",
        ": 2 of 3 hosts passed, 1 failed",
        "pull on h2 failed",
    ] {
        assert!(messages.contains(sentence), "{sentence}\n{messages}");
    }
    qd.stop().await;
}

#[tokio::test]
async fn all_fail_or_all_pass_and_a_refusal_counts_as_a_failure() {
    let qd = Inside::new().await;
    qd.hosts(&["h1", "h2"]).await;
    let good = qd.start("update", &["h1", "h2"]).await;
    assert_eq!(qd.end(good.id).await.status, PipelineStatus::Complete);
    qd.set("pull.fail.h1");
    qd.set("switch.fail.h2");
    let bad = qd.start("update", &["h1", "h2"]).await;
    assert_eq!(qd.end(bad.id).await.status, PipelineStatus::Failed);
    assert_eq!(qd.matrix(bad.id).await, "h1: ERROR SKIPPED; h2: SUCCESS ERROR");
    qd.unset("pull.fail.h1");
    qd.unset("switch.fail.h2");
    // A host that does not answer has its own total, and does not trip “stop when one failed”.
    let nowhere = Reach::ssh("127.0.0.1:1").expect("reach");
    qd.add("gone", nowhere, &[]).await;
    let limits = LimitsGiven {
        stop_when: Some(Share::Count(1)),
        ..LimitsGiven::default()
    };
    let row = qd.start_with("update", &["gone", "h1"], limits).await;
    assert_eq!(qd.end(row.id).await.status, PipelineStatus::Partial);
    assert_eq!(qd.matrix(row.id).await, "gone: BLOCKED SKIPPED; h1: SUCCESS SUCCESS");
    let counts = qd
        .store
        .reader()
        .read(move |journal| journal.pipeline_counts(row.id))
        .await
        .expect("read");
    assert_eq!((counts.unreachable, counts.failed, counts.hosts_unreachable), (1, 0, 1));
    qd.stop().await;
}

#[tokio::test]
async fn a_stage_is_a_barrier_and_cancel_lets_finish_or_kills() {
    let qd = Inside::new().await;
    qd.hosts(&["h1", "h2", "h3"]).await;
    for (mode, running) in [(CancelMode::Finish, "SUCCESS"), (CancelMode::Kill, "CANCELLED")] {
        qd.set("pull.hold.h2");
        let row = qd.start("do-all", &["h1", "h2", "h3"]).await;
        let id = row.id;
        let row = qd
            .until(id, "two at the barrier", |_, commands| {
                let done = commands
                    .iter()
                    .filter(|row| row.status == CommandStatus::Success)
                    .count();
                done == 2 && commands.iter().any(|row| row.launched_at.is_some() && row.is_open())
            })
            .await;
        assert_eq!((row.current_stage, row.status), (0, PipelineStatus::Running));
        assert!(
            qd.started("switch").is_empty(),
            "nobody begins stage 2 before everybody has left stage 1"
        );
        let row = qd
            .engine
            .cancel_pipeline(id, mode, Some("enough".to_owned()), alice())
            .await
            .expect("cancelled");
        assert_eq!(row.cancel_mode, Some(mode));
        if mode == CancelMode::Finish {
            qd.until(id, "the rest written off", |_, commands| commands.len() == 7)
                .await;
            assert!(qd.row(id).await.is_open(), "CANCELLED only when nothing is open");
            qd.unset("pull.hold.h2");
        }
        let row = qd.end(id).await;
        assert_eq!(row.status, PipelineStatus::Cancelled);
        let matrix = format!(
            "h1: SUCCESS CANCELLED CANCELLED; h2: {running} CANCELLED CANCELLED; h3: SUCCESS CANCELLED CANCELLED"
        );
        assert_eq!(qd.matrix(id).await, matrix);
        let never_began = qd.commands(id).await.into_iter().filter(|row| row.started_at.is_none());
        for command in never_began {
            assert_eq!(
                command.stop_by,
                Some(Actor::User("alice".to_owned())),
                "who cancelled it, not who started it"
            );
        }
        assert!(qd.started("switch").is_empty());
        let refused = qd.engine.cancel_pipeline(id, mode, None, alice()).await;
        assert!(
            matches!(refused, Err(EngineError::Conflict(_))),
            "it stays so: {refused:?}"
        );
        if mode == CancelMode::Kill {
            qd.unset("pull.hold.h2");
        }
    }
    qd.stop().await;
}

#[tokio::test]
async fn nothing_follows_a_first_batch_that_failed_where_a_person_was_to_look_at_it() {
    let qd = Inside::new().await;
    qd.hosts(&["h1", "h2"]).await;
    qd.set("pull.fail.h1");
    let id = qd.start("look-first", &["h1", "h2"]).await.id;
    assert_eq!(qd.end(id).await.status, PipelineStatus::Failed);
    assert_eq!(qd.matrix(id).await, "h1: ERROR - SKIPPED; h2: SKIPPED - SKIPPED");
    assert_eq!(qd.started("pull"), ["h1"]);
    qd.stop().await;
}

#[tokio::test]
async fn a_wait_for_a_person_holds_each_batch_and_survives_a_restart() {
    let qd = Inside::new().await;
    qd.hosts(&["h1", "h2"]).await;
    let id = qd.start("look-first", &["h1", "h2"]).await.id;
    let row = qd.held(id).await;
    assert_eq!(
        row.hold_reason.as_deref(),
        Some("waits for a person: look at the canary")
    );
    assert_eq!(
        (qd.started("pull"), qd.started("switch")),
        (vec!["h1".to_owned()], vec![])
    );
    let qd = qd.again("15m").await;
    assert_eq!(qd.row(id).await.status, PipelineStatus::Held);
    qd.engine.continue_pipeline(id, alice()).await.expect("continued");
    qd.until(id, "the second batch's wait", |row, commands| {
        row.status == PipelineStatus::Held && commands.len() == 3
    })
    .await;
    let (row, qd) = (qd.row(id).await, qd);
    assert_eq!((row.current_stage, qd.started("switch")), (1, vec!["h1".to_owned()]));
    qd.engine.continue_pipeline(id, alice()).await.expect("continued");
    let row = qd.end(id).await;
    assert_eq!((row.status, row.current_stage), (PipelineStatus::Complete, 3));
    assert_eq!(qd.matrix(id).await, "h1: SUCCESS - SUCCESS; h2: SUCCESS - SUCCESS");
    assert_eq!(qd.started("switch"), ["h1", "h2"], "once each");
    qd.stop().await;
}

#[tokio::test]
async fn after_an_absence_it_is_held_and_what_was_started_is_followed() {
    let qd = Inside::new().await;
    qd.hosts(&["h1", "h2"]).await;
    qd.set("pull.hold");
    let limits = LimitsGiven {
        max_parallel: Some(1),
        ..LimitsGiven::default()
    };
    let id = qd.start_with("update", &["h1", "h2"], limits).await.id;
    wait_for("pull on h1", async || (!qd.started("pull").is_empty()).then_some(())).await;
    let qd = qd.again("0s").await;
    let row = qd.row(id).await;
    assert_eq!(row.status, PipelineStatus::Held);
    assert!(
        row.hold_reason
            .as_deref()
            .is_some_and(|why| why.starts_with("dashboard was away ")),
        "{row:?}"
    );
    qd.unset("pull.hold");
    qd.until(id, "the end of what was started", |_, commands| {
        commands[0].status == CommandStatus::Success
    })
    .await;
    assert_eq!(qd.matrix(id).await, "h1: SUCCESS -; h2: - -", "nothing new starts");
    let messages = qd.messages(id).await.join("\n");
    assert!(
        messages.contains("The pipeline “update” is held: dashboard was away"),
        "{messages}"
    );
    qd.engine.continue_pipeline(id, alice()).await.expect("continued");
    assert_eq!(qd.end(id).await.status, PipelineStatus::Complete);
    assert_eq!(
        (qd.started("pull"), qd.started("switch")),
        (vec!["h1".into(), "h2".into()], vec!["h1".into(), "h2".into()])
    );

    // Held by its button, over a restart without absence; and always before a dangerous op.
    qd.set("pull.hold");
    let id = qd.start("update", &["h1", "h2"]).await.id;
    qd.engine.hold_pipeline(id, alice()).await.expect("held");
    qd.unset("pull.hold");
    qd.until(id, "stage 1", |_, commands| {
        commands.iter().all(|row| row.status == CommandStatus::Success)
    })
    .await;
    let qd = qd.again("15m").await;
    let row = qd.row(id).await;
    assert_eq!(
        (row.status, row.hold_reason.as_deref()),
        (PipelineStatus::Held, Some("held by alice"))
    );
    qd.engine
        .cancel_pipeline(id, CancelMode::Finish, None, alice())
        .await
        .expect("cancelled");
    assert_eq!(qd.end(id).await.status, PipelineStatus::Cancelled);
    qd.set("wipe.hold");
    let id = qd.start("wipe", &["h1", "h2"]).await.id;
    wait_for("wipe on h1", async || (!qd.started("wipe").is_empty()).then_some(())).await;
    let qd = qd.again("15m").await;
    let row = qd.row(id).await;
    assert_eq!(
        row.hold_reason.as_deref(),
        Some("dashboard restarted, and the next op is dangerous: wipe")
    );
    qd.unset("wipe.hold");
    qd.until(id, "the canary", |_, commands| {
        commands[0].status == CommandStatus::Success
    })
    .await;
    assert_eq!(qd.started("wipe"), ["h1"]);
    qd.engine.continue_pipeline(id, alice()).await.expect("continued");
    assert_eq!(qd.end(id).await.status, PipelineStatus::Complete);
    qd.stop().await;
}
