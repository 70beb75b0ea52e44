//! SCENARIOS, "Pipelines": stages over several hosts, through the library's own door (journal, engine and executor in
//! this process, local hosts with a spool each), and through a dashboard that is killed where that matters.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use quarterdeck::config::{Config, Flags};
use quarterdeck::domain::{
    Actor, CancelMode, CommandStatus, IfBusy, LimitsGiven, PipelineId, PipelineStatus, Reach, Selection, Share, Span,
};
use quarterdeck::engine::{self, Engine, EngineError, Start, StartPipeline};
use quarterdeck::executor::{self, Executor};
use quarterdeck::store::{By, CommandRow, Journal, MatrixWindow, NewHost, OpenSettings, PipelineRow, Store, Topic};
use support::sshd::Sshd;
use support::{Dashboard, Dice, PATIENCE, lines_of, wait_for};

/// Ops that write down their start, wait while they are told to, and fail where they are told to.
fn ops(marks: &Path) -> String {
    let marks = marks.display();
    let mut text = String::new();
    for (op, more) in [
        ("pull", ""),
        ("switch", ""),
        ("test", ""),
        ("wipe", "dangerous = true\n"),
    ] {
        text.push_str(&format!(
            r#"
[[op]]
id = "{op}"
retryable = true
{more}script = """
echo "$QD_HOST" >> {marks}/{op}.started
while [ -e {marks}/{op}.hold ] || [ -e {marks}/{op}.hold.$QD_HOST ]; do sleep 0.05; done
echo "{op} ran"
echo "$QD_HOST" >> {marks}/{op}.ended
[ ! -e {marks}/{op}.fail.$QD_HOST ]
"""
"#
        ));
    }
    text.push_str(
        r#"
[[pipeline]]
id = "look-first"
stages = [{ op = "pull" }, { wait = "look at the canary" }, { op = "switch" }]
batches = [1, "100 %"]

[[pipeline]]
id = "for-tags"
stages = [{ op = "pull", on_failure = "go_on" }, { op = "switch", only_tags = ["web"] }]
"#,
    );
    text
}

/// A dashboard without its doors.
struct Inside {
    dir: tempfile::TempDir,
    store: Store,
    engine: Engine,
}

fn alice() -> By {
    By::from(Actor::User("alice".to_owned()))
}

impl Inside {
    async fn new() -> Self {
        Self::over(
            tempfile::Builder::new().prefix("qd-").tempdir().expect("folder"),
            "15m",
            None,
        )
        .await
    }

    async fn over(dir: tempfile::TempDir, resume_within: &str, ssh: Option<&Sshd>) -> Self {
        let resume_within: Span = resume_within.parse().expect("span");
        let ssh_config = ssh.map(|sshd| sshd.ssh_config.clone());
        let (store, engine) = open(dir.path(), resume_within, ssh_config);
        engine.recover().await.expect("recovered");
        Self { dir, store, engine }
    }

    /// A clean stop; the folder stays.
    async fn stop(self) -> tempfile::TempDir {
        self.engine.stop().await;
        drop(self.engine);
        self.store.clean_stop().await.expect("journaled");
        let store = self.store;
        tokio::task::spawn_blocking(move || store.close())
            .await
            .expect("closed");
        self.dir
    }

    async fn again(self, resume_within: &str) -> Self {
        Self::over(self.stop().await, resume_within, None).await
    }

    fn mark(&self, name: &str) -> PathBuf {
        self.dir.path().join("marks").join(name)
    }

    fn set(&self, name: &str) {
        fs::write(self.mark(name), "").expect("mark");
    }

    fn unset(&self, name: &str) {
        fs::remove_file(self.mark(name)).expect("mark");
    }

    async fn add(&self, name: &str, reach: Reach, tags: &[&str]) {
        let host = NewHost {
            name: name.parse().expect("name"),
            reach,
            spool: Some(
                format!("{}/spool-{name}", self.dir.path().display())
                    .parse()
                    .expect("spool"),
            ),
            run_as: None,
            tags: tags.iter().map(|tag| tag.parse().expect("tag")).collect(),
            automatic: false,
        };
        self.engine.add_host(host, alice()).await.expect("added");
    }

    async fn hosts(&self, names: &[&str]) {
        for name in names {
            self.add(name, Reach::Local, &[]).await;
        }
    }

    async fn start(&self, name: &str, hosts: &[&str]) -> PipelineRow {
        self.start_with(name, hosts, LimitsGiven::default()).await
    }

    async fn start_with(&self, name: &str, hosts: &[&str], limits: LimitsGiven) -> PipelineRow {
        let start = wish(name, hosts, limits);
        self.engine.start_pipeline(start, alice()).await.expect("started")
    }

    async fn row(&self, id: PipelineId) -> PipelineRow {
        let row = self.store.reader().read(move |journal| journal.pipeline(id)).await;
        row.expect("read").expect("there")
    }

    async fn commands(&self, id: PipelineId) -> Vec<CommandRow> {
        let rows = self
            .store
            .reader()
            .read(move |journal| journal.commands_of_pipeline(id))
            .await;
        rows.expect("read")
    }

    /// Waits until something of the pipeline is so, woken by the journal.
    async fn until(
        &self,
        id: PipelineId,
        what: &str,
        fits: impl Fn(&PipelineRow, &[CommandRow]) -> bool,
    ) -> PipelineRow {
        let mut changes = self.engine.watch(Topic::Pipelines);
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                changes.borrow_and_update();
                let (row, commands) = (self.row(id).await, self.commands(id).await);
                if fits(&row, &commands) {
                    return row;
                }
                changes.changed().await.expect("open");
            }
        });
        match waited.await {
            Ok(row) => row,
            Err(_) => panic!(
                "waited in vain for {what}: {:?} {}",
                self.row(id).await,
                self.matrix(id).await
            ),
        }
    }

    async fn end(&self, id: PipelineId) -> PipelineRow {
        self.until(id, "the end", |row, _| !row.is_open()).await
    }

    async fn held(&self, id: PipelineId) -> PipelineRow {
        self.until(id, "HELD", |row, _| row.status == PipelineStatus::Held)
            .await
    }

    /// `h1: SUCCESS ERROR -; h2: ...` in the order of turns.
    async fn matrix(&self, id: PipelineId) -> String {
        let window = MatrixWindow {
            offset: 0,
            limit: 1_000,
            failures_first: false,
        };
        let (rows, _) = self
            .store
            .reader()
            .read(move |journal| journal.matrix(id, window))
            .await
            .expect("read");
        let lines = rows.iter().map(|row| {
            let cells = row
                .cells
                .iter()
                .map(|cell| cell.as_ref().map_or("-", |row| row.status.as_str()));
            format!("{}: {}", row.host, cells.collect::<Vec<_>>().join(" "))
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    fn started(&self, op: &str) -> Vec<String> {
        let mut hosts = lines_of(&self.mark(&format!("{op}.started")));
        hosts.sort();
        hosts
    }

    async fn messages(&self, id: PipelineId) -> Vec<String> {
        let filter = quarterdeck::store::EventFilter {
            pipeline: Some(id),
            ..Default::default()
        };
        let page = self
            .store
            .reader()
            .read(move |journal| journal.events(&filter, None, 1_000))
            .await
            .expect("read");
        page.rows.into_iter().rev().map(|event| event.message).collect()
    }
}

fn open(dir: &Path, resume_within: Span, ssh_config: Option<PathBuf>) -> (Store, Engine) {
    let marks = dir.join("marks");
    fs::create_dir_all(&marks).expect("marks");
    let data_dir = dir.join("data");
    let file = dir.join("quarterdeck.toml");
    let text = format!("data_dir = \"{}\"\n{}", data_dir.display(), ops(&marks));
    let config = Config::build(Some((&file, &text)), &Default::default(), &Flags::default()).expect("config");
    let store = Store::open(&OpenSettings {
        data_dir: data_dir.clone(),
        low_space: 1,
    })
    .expect("opens");
    let executor = Executor::new(executor::Settings {
        data_dir: data_dir.clone(),
        dashboard_id: store.dashboard_id().to_owned(),
        ssh_program: "ssh".into(),
        ssh_config,
        connect_timeout: Span::from_secs(10),
        dials: 8,
        channels: 4,
    })
    .expect("executor");
    let settings = engine::Settings {
        data_dir,
        resume_within,
        kill_grace: Span::from_secs(2),
        output_limit: 1 << 20,
        follow_limit: 50,
        precheck_limit: Span::from_secs(30),
        probe_interval: None,
        keep_events: None,
        keep_commands: None,
    };
    let engine = Engine::new(settings, config.catalog, store.clone(), executor);
    (store, engine)
}

fn wish(name: &str, hosts: &[&str], limits: LimitsGiven) -> StartPipeline {
    StartPipeline {
        name: name.to_owned(),
        selection: Selection {
            names: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..Selection::default()
        },
        limits,
        reason: Some("because".to_owned()),
    }
}

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
    let messages = qd.messages(id).await.join("\n");
    for sentence in [
        "alice started the pipeline “do-all” (pull, switch, test) on 3 hosts",
        "The pipeline “do-all” begins pull on 3 hosts (stage 1 of 3)",
        "The pipeline “do-all” begins switch on 2 hosts (stage 2 of 3)",
        "h2 is out of the pipeline “do-all” after pull: switch, test skipped",
        "The pipeline “do-all” ended PARTIAL after",
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
    assert!(preview.hosts[1].2.starts_with("switch was ERROR"), "{preview:?}");
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

/// The issue's own sentence: 20 hosts, two fail, the dashboard is killed twice at random instants.
#[tokio::test]
async fn twenty_hosts_two_failures_and_two_kills_give_exactly_the_right_matrix() {
    let mut dice = Dice::new();
    let sshd = Sshd::start_with("MaxStartups 100\nMaxSessions 20", &[]);
    let config = format!(
        "[ssh]\nconfig_file = \"{}\"\n[probe]\ninterval = \"0s\"\n",
        sshd.ssh_config.display()
    );
    let mut qd = Dashboard::start(&config).await;
    qd.stop().await;
    let names: Vec<String> = (1..=20).map(|n| format!("web-{n:02}")).collect();
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();

    // Started by a dashboard without doors in the same folder, which stops at once.
    let (store, engine) = open(qd.dir.path(), Span::from_secs(900), Some(sshd.ssh_config.clone()));
    engine.recover().await.expect("recovered");
    for name in &names {
        let host = NewHost {
            name: name.parse().expect("name"),
            reach: Reach::ssh(&format!("127.0.0.1:{}", sshd.port)).expect("reach"),
            spool: Some(
                format!("{}/spool-{name}", qd.dir.path().display())
                    .parse()
                    .expect("spool"),
            ),
            run_as: None,
            tags: Vec::new(),
            automatic: false,
        };
        engine.add_host(host, alice()).await.expect("added");
    }
    let marks = qd.dir.path().join("marks");
    fs::write(marks.join("pull.fail.web-07"), "").expect("mark");
    fs::write(marks.join("switch.fail.web-15"), "").expect("mark");
    let file = qd.dir.path().join("quarterdeck.toml");
    let text = fs::read_to_string(&file).expect("config");
    fs::write(&file, format!("{text}{}", ops(&marks))).expect("config");
    let limits = LimitsGiven {
        max_parallel: Some(6),
        ..LimitsGiven::default()
    };
    let id = engine
        .start_pipeline(wish("do-all", &wanted, limits), alice())
        .await
        .expect("started")
        .id;
    engine.stop().await;
    drop(engine);
    store.clean_stop().await.expect("journaled");
    tokio::task::spawn_blocking(move || store.close())
        .await
        .expect("closed");

    let ended = |qd: &Dashboard| {
        let count = format!("SELECT count(*) FROM commands WHERE pipeline_id = '{id}' AND finished_at IS NOT NULL");
        qd.sql(&count).parse::<u64>().expect("number")
    };
    for kill in 0..2 {
        qd.start_again().await;
        let some = 20 * kill + dice.below(25);
        wait_for("some rows", async || (ended(&qd) >= some).then_some(())).await;
        tokio::time::sleep(std::time::Duration::from_millis(dice.below(800))).await;
        eprintln!("killed with {} of 60 rows at their end", ended(&qd));
        qd.kill().await;
    }
    qd.start_again().await;
    let status = wait_for("the end", async || {
        let query = format!("SELECT status || ' ' || coalesce(hold_reason, '') FROM pipelines WHERE id = '{id}'");
        let status = qd.sql(&query);
        (!status.starts_with("RUNNING")).then_some(status)
    })
    .await;
    let reader = Store::open_read_only(&qd.path("data")).expect("opens");
    let rows = reader
        .read(move |journal: &mut Journal| journal.commands_of_pipeline(id))
        .await
        .expect("read");
    assert_eq!(status.trim(), "PARTIAL", "{}", qd.log());
    assert_eq!(rows.len(), 60);
    for row in &rows {
        let expected = match (row.host.as_str(), row.stage) {
            ("web-07", Some(0)) | ("web-15", Some(1)) => CommandStatus::Error,
            ("web-07", _) | ("web-15", Some(2)) => CommandStatus::Skipped,
            _ => CommandStatus::Success,
        };
        assert_eq!(row.status, expected, "{row:?}");
    }
    for (op, out) in [
        ("pull", vec![]),
        ("switch", vec!["web-07"]),
        ("test", vec!["web-07", "web-15"]),
    ] {
        let mut started = lines_of(&marks.join(format!("{op}.started")));
        started.sort();
        let expected: Vec<&str> = wanted.iter().copied().filter(|name| !out.contains(name)).collect();
        assert_eq!(started, expected, "{op}: once on each host");
    }
}
