//! Pipelines in the journal: one transaction carries out what the planner says, whatever happens in between.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};

use super::*;
use crate::domain::{Action, CancelMode, Digest, IfBusy, PipelineId, PipelineStatus, Plan, Stage};

/// `ops` on these hosts, in one batch.
async fn new(store: &Store, ops: &[&str], hosts: &[&str]) -> NewPipeline {
    let catalog = built_in();
    let mut plan = Plan {
        max_parallel: 10_000,
        ..Plan::default()
    };
    let mut definitions = Vec::new();
    for op in ops {
        let definition = catalog.iter().find(|o| o.id.as_str() == *op).expect("op").definition();
        plan.stages.push(Stage {
            action: Action::Op {
                op: definition.op.clone(),
                definition: Digest::of(definition.text().as_bytes()),
                dangerous: definition.dangerous,
            },
            on_failure: Default::default(),
            only: None,
        });
        definitions.push(definition);
    }
    let all = store.reader().read(Journal::hosts).await.expect("hosts");
    let id = |host: &&str| all.iter().find(|row| row.hostname.as_str() == *host).expect("host").id;
    plan.batches = vec![hosts.iter().map(id).collect()];
    NewPipeline {
        name: ops.join("-"),
        plan,
        definitions,
        by: alice(),
        reason: None,
        retry_of: None,
        held: None,
    }
}

/// A pipeline of one stage on one host, which runs.
pub(super) async fn started(store: &Store, host: &str) -> PipelineRow {
    let new = new(store, &["uptime"], &[host]).await;
    store.start_pipeline(new).await.expect("started").row
}

async fn end(store: &Store, row: &CommandRow, code: i64) {
    store.begin_validating(row.id).await.expect("written").expect("open");
    store
        .begin_executing(row.id, &at(), None)
        .await
        .expect("written")
        .expect("open");
    store.finish(row.id, exit(code)).await.expect("written").expect("open");
}

async fn version(store: &Store) -> i64 {
    store.reader().read(Journal::version).await.expect("version")
}

async fn end_all(store: &Store, id: PipelineId, mut started: Vec<CommandRow>) -> PipelineRow {
    loop {
        for row in &started {
            end(store, row, 0).await;
        }
        let advanced = store.advance_pipeline(id).await.expect("advanced");
        if !advanced.row.is_open() {
            return advanced.row;
        }
        started = advanced.started;
        assert!(!started.is_empty(), "it goes on");
    }
}

#[tokio::test]
async fn an_advance_with_nothing_to_do_writes_nothing_and_no_stage_repeats() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    for host in ["a", "b"] {
        add(&store, host).await;
    }
    let first = store
        .start_pipeline(new(&store, &["uptime", "disk"], &["a", "b"]).await)
        .await
        .expect("started");
    let id = first.row.id;
    assert_eq!(first.started.len(), 2);
    let before = version(&store).await;
    for _ in 0..3 {
        assert!(store.advance_pipeline(id).await.expect("advanced").started.is_empty());
    }
    assert_eq!(version(&store).await, before);
    let mut conn =
        SqliteConnection::establish(dir.path().join("quarterdeck.db").to_str().expect("path")).expect("opens");
    let again = format!(
        "PRAGMA busy_timeout = 5000; INSERT INTO commands (id, host_id, op, pipeline_id, stage, status, actor, definition, finished_at) \
         SELECT '00000000-0000-7000-8000-000000000003', host_id, op, pipeline_id, stage, 'BLOCKED', actor, definition, '2099-01-01 00:00:00' \
         FROM commands WHERE id = '{}'",
        first.started[0].id
    );
    let refused = conn
        .batch_execute(&again)
        .expect_err("a stage never repeats on a host")
        .to_string();
    assert!(
        refused.contains("commands.pipeline_id, commands.host_id, commands.stage"),
        "{refused}"
    );
    assert_eq!(first.row.evidence, None, "it is open");
    let row = end_all(&store, id, first.started).await;
    assert_eq!((row.status, row.current_stage), (PipelineStatus::Complete, 2));
    let evidence = row.evidence.expect("what its end stands on");
    assert_eq!(evidence["commands"], serde_json::json!({ "SUCCESS": 4 }));
    assert_eq!(evidence["hosts"]["passed"], 2);
    assert!(
        store
            .cancel_pipeline(id, CancelMode::Kill, alice(), None)
            .await
            .is_err(),
        "it stays so"
    );
    store.close();
}

#[tokio::test]
async fn what_waits_survives_a_restart_and_the_pipeline_is_held_instead() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    for host in ["a", "b", "c"] {
        add(&store, host).await;
    }
    let harmless = store
        .start_pipeline(new(&store, &["uptime"], &["a", "b"]).await)
        .await
        .expect("started");
    let dangerous = store
        .start_pipeline(new(&store, &["rollback"], &["c"]).await)
        .await
        .expect("started");
    store.begin_start(Span::from_secs(900)).await.expect("started");
    let did = store.orphan_executing(Span::ZERO).await.expect("written");
    assert_eq!(
        (did.resumed.len(), did.cancelled.len()),
        (3, 0),
        "a pipeline decides about its rows"
    );
    let (one, two) = (harmless.row.id, dangerous.row.id);
    let rows = store
        .reader()
        .read(move |journal| Ok((journal.pipeline(one)?, journal.pipeline(two)?)))
        .await
        .expect("read");
    let (one, two) = (rows.0.expect("there"), rows.1.expect("there"));
    assert_eq!(one.status, PipelineStatus::Running);
    assert_eq!(
        two.hold_reason.as_deref(),
        Some("dashboard restarted, and the next op is dangerous: rollback")
    );
    // A long absence holds them all, in the transaction that journals the start.
    store.begin_start(Span::ZERO).await.expect("started");
    let id = one.id;
    let one = store
        .reader()
        .read(move |journal| journal.pipeline(id))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(one.status, PipelineStatus::Held);
    assert!(
        one.hold_reason
            .as_deref()
            .is_some_and(|why| why.starts_with("dashboard was away")),
        "{one:?}"
    );
    // Held, what waits ends only by a wish.
    store
        .cancel_pipeline(two.id, CancelMode::Finish, alice(), None)
        .await
        .expect("cancelled");
    let wished = store
        .reader()
        .read(move |journal| journal.commands_of_pipeline(two.id))
        .await
        .expect("read");
    assert!(wished[0].stop_by.is_some());
    store
        .cancel_unstarted(wished[0].id)
        .await
        .expect("written")
        .expect("open");
    assert_eq!(
        store.advance_pipeline(two.id).await.expect("advanced").row.status,
        PipelineStatus::Cancelled
    );
    store.close();
}

#[tokio::test]
async fn a_reserved_host_refuses_others_until_it_is_through_and_not_a_moment_longer() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    for host in ["a", "b"] {
        add(&store, host).await;
    }
    let mut wish = new(&store, &["uptime"], &["a", "b"]).await;
    wish.plan.max_parallel = 1;
    let first = store.start_pipeline(wish).await.expect("started");
    let refused = store.request(ask("disk", &["b"])).await.expect("asked").remove(0);
    let why = refused.error.expect("why");
    assert!(why.starts_with("reserved by the pipeline “uptime” since"), "{why}");
    let mut other = new(&store, &["disk"], &["b"]).await;
    other.plan.if_busy = IfBusy::LeaveOut;
    let none = store
        .start_pipeline(other)
        .await
        .expect_err("nobody is left")
        .to_string();
    assert!(none.contains("no host is left: b is reserved by"), "{none}");
    end(&store, &first.started[0], 0).await;
    // Nobody has advanced it yet; its first host is through all the same.
    let free = store.request(ask("disk", &["a"])).await.expect("asked").remove(0);
    assert_eq!(free.status, CommandStatus::Pending, "{free:?}");
    assert!(
        store.remove_host(&name("b"), alice()).await.is_err(),
        "the second one is not"
    );
    store.close();
}

#[tokio::test]
async fn a_first_try_stays_as_long_as_its_retry() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    add(&store, "a").await;
    let mut made = Vec::new();
    for retry_of in [None, Some(0)] {
        let mut wish = new(&store, &["uptime"], &["a"]).await;
        wish.retry_of = retry_of.and_then(|first: usize| made.get(first).copied());
        let advanced = store.start_pipeline(wish).await.expect("started");
        made.push(end_all(&store, advanced.row.id, advanced.started).await.id);
    }
    // The newest success of uptime on this host, which stays.
    let wish = new(&store, &["uptime"], &["a"]).await;
    let advanced = store.start_pipeline(wish).await.expect("started");
    end_all(&store, advanced.row.id, advanced.started).await;
    let age = |id: PipelineId| {
        let path = dir.path().join("quarterdeck.db");
        let mut conn = SqliteConnection::establish(path.to_str().expect("path")).expect("opens");
        conn.batch_execute(&format!(
            "PRAGMA busy_timeout = 5000; \
             UPDATE pipelines SET created_at = '2026-01-01 00:00:00', finished_at = '2026-01-01 00:00:00' WHERE id = '{id}'; \
             UPDATE commands SET created_at = '2026-01-01 00:00:00', started_at = '2026-01-01 00:00:00', \
             finished_at = '2026-01-01 00:00:00', settled_at = '2026-01-01 00:00:00' WHERE pipeline_id = '{id}'"
        ))
        .expect("aged");
        super::aged::say_again(&dir);
    };
    let cutoffs = Cutoffs {
        events: None,
        commands: Some("2026-01-02".parse().expect("time")),
        ..Cutoffs::default()
    };
    age(made[0]);
    assert_eq!(store.sweep(&cutoffs, false).await.expect("swept").pipelines, 0);
    age(made[1]);
    assert_eq!(store.sweep(&cutoffs, false).await.expect("swept").pipelines, 2);
    store.close();
}

#[tokio::test]
async fn a_thousand_hosts_are_one_pipeline() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let names: Vec<String> = (0..1_000).map(|n| format!("h{n:04}")).collect();
    let adds = names.iter().map(|host| add(&store, host));
    futures_util::future::join_all(adds).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut wish = new(&store, &["uptime", "disk"], &names).await;
    wish.plan.max_parallel = 50;
    let begun = std::time::Instant::now();
    let first = store.start_pipeline(wish).await.expect("started");
    assert_eq!(first.started.len(), 50, "no row before its turn");
    let id = first.row.id;
    let took = begun.elapsed();
    let begun = std::time::Instant::now();
    assert!(store.advance_pipeline(id).await.expect("advanced").started.is_empty());
    let looked = begun.elapsed();
    let window = MatrixWindow {
        offset: 0,
        limit: 100,
        failures_first: true,
        ..MatrixWindow::default()
    };
    end(&store, &first.started[7], 1).await;
    let (rows, all) = store
        .reader()
        .read(move |journal| journal.matrix(id, window))
        .await
        .expect("read");
    assert_eq!(
        (rows.len(), all, rows[0].host.as_str()),
        (100, 1_000, "h0007"),
        "failures first"
    );
    store
        .cancel_pipeline(id, CancelMode::Kill, alice(), None)
        .await
        .expect("cancelled");
    let open = store
        .reader()
        .read(move |journal| journal.open_of_pipeline(id))
        .await
        .expect("read");
    let ended = open.iter().map(|command| store.cancel_unstarted(*command));
    futures_util::future::join_all(ended).await;
    let begun = std::time::Instant::now();
    let last = store.advance_pipeline(id).await.expect("advanced");
    assert_eq!(last.row.status, PipelineStatus::Cancelled);
    eprintln!(
        "1,000 hosts: started in {took:?}, looked at in {looked:?}, written off in {:?}",
        begun.elapsed()
    );
    let rows = store
        .reader()
        .read(move |journal| journal.commands_of_pipeline(id))
        .await
        .expect("read");
    assert_eq!(rows.len(), 2_000, "every host has its final line");
    let hosts: BTreeSet<i64> = rows.iter().map(|row| row.host_id).collect();
    assert_eq!(hosts.len(), 1_000);
    assert!(rows.iter().all(|row| !row.is_open()));
    store.close();
}

#[test]
fn the_planner_s_rows_come_by_index() {
    for query in [
        "SELECT host_id, stage, status FROM commands WHERE pipeline_id = 'x'",
        "SELECT host_id, stage, status FROM commands WHERE pipeline_id = 'x' AND host_id = 1",
        "SELECT id FROM commands WHERE pipeline_id = 'x' AND finished_at IS NULL ORDER BY id",
        "SELECT host_id FROM pipeline_hosts WHERE pipeline_id = 'x' AND released_at IS NULL",
    ] {
        let plan = plan_of(query);
        assert!(plan.contains("SEARCH") && !plan.contains("SCAN"), "{query}: {plan}");
    }
}
