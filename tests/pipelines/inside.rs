//! A dashboard without its doors: journal, engine and executor in the test's own process, over a folder that can be
//! taken up again, with ops that do as they are told by marks in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use quarterdeck::config::{Config, Flags};
use quarterdeck::domain::{
    Access, Actor, Factor, Grants, LimitsGiven, PipelineId, PipelineStatus, Proof, Reach, Selection, Span, Timestamp,
};
use quarterdeck::engine::{self, Engine, StartPipeline};
use quarterdeck::executor::{self, Executor};
use quarterdeck::store::{By, CommandRow, MatrixWindow, NewHost, OpenSettings, PipelineRow, Store, Topic};

use crate::support::sshd::Sshd;
use crate::support::{PATIENCE, lines_of};

/// Ops that write down their start, wait while they are told to, and fail where they are told to.
pub(crate) fn ops(marks: &Path) -> String {
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
pub(crate) struct Inside {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
}

pub(crate) fn alice() -> By {
    By {
        proof: Some(Proof::Given(Factor::Password, Timestamp::now())),
        ..By::new(Actor::User("alice".to_owned()), None, Access::Granted(Grants::all()))
    }
}

impl Inside {
    pub(crate) async fn new() -> Self {
        Self::over(
            tempfile::Builder::new().prefix("qd-").tempdir().expect("folder"),
            "15m",
            None,
        )
        .await
    }

    pub(crate) async fn over(dir: tempfile::TempDir, resume_within: &str, ssh: Option<&Sshd>) -> Self {
        let resume_within: Span = resume_within.parse().expect("span");
        let ssh_config = ssh.map(|sshd| sshd.ssh_config.clone());
        let (store, engine) = open(dir.path(), resume_within, ssh_config);
        engine.recover().await.expect("recovered");
        Self { dir, store, engine }
    }

    /// A clean stop; the folder stays.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.engine.stop().await;
        drop(self.engine);
        self.store.clean_stop().await.expect("journaled");
        let store = self.store;
        tokio::task::spawn_blocking(move || store.close())
            .await
            .expect("closed");
        self.dir
    }

    pub(crate) async fn again(self, resume_within: &str) -> Self {
        Self::over(self.stop().await, resume_within, None).await
    }

    pub(crate) fn mark(&self, name: &str) -> PathBuf {
        self.dir.path().join("marks").join(name)
    }

    pub(crate) fn set(&self, name: &str) {
        fs::write(self.mark(name), "").expect("mark");
    }

    pub(crate) fn unset(&self, name: &str) {
        fs::remove_file(self.mark(name)).expect("mark");
    }

    pub(crate) async fn add(&self, name: &str, reach: Reach, tags: &[&str]) {
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

    pub(crate) async fn hosts(&self, names: &[&str]) {
        for name in names {
            self.add(name, Reach::Local, &[]).await;
        }
    }

    pub(crate) async fn start(&self, name: &str, hosts: &[&str]) -> PipelineRow {
        self.start_with(name, hosts, LimitsGiven::default()).await
    }

    pub(crate) async fn start_with(&self, name: &str, hosts: &[&str], limits: LimitsGiven) -> PipelineRow {
        let start = wish(name, hosts, limits);
        self.engine.start_pipeline(start, alice()).await.expect("started")
    }

    pub(crate) async fn row(&self, id: PipelineId) -> PipelineRow {
        let row = self.store.reader().read(move |journal| journal.pipeline(id)).await;
        row.expect("read").expect("there")
    }

    pub(crate) async fn commands(&self, id: PipelineId) -> Vec<CommandRow> {
        let rows = self
            .store
            .reader()
            .read(move |journal| journal.commands_of_pipeline(id))
            .await;
        rows.expect("read")
    }

    /// Waits until something of the pipeline is so, woken by the journal.
    pub(crate) async fn until(
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

    pub(crate) async fn end(&self, id: PipelineId) -> PipelineRow {
        self.until(id, "the end", |row, _| !row.is_open()).await
    }

    pub(crate) async fn held(&self, id: PipelineId) -> PipelineRow {
        self.until(id, "HELD", |row, _| row.status == PipelineStatus::Held)
            .await
    }

    /// `h1: SUCCESS ERROR -; h2: ...` in the order of turns.
    pub(crate) async fn matrix(&self, id: PipelineId) -> String {
        let window = MatrixWindow {
            offset: 0,
            limit: 1_000,
            failures_first: false,
            ..MatrixWindow::default()
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

    pub(crate) fn started(&self, op: &str) -> Vec<String> {
        let mut hosts = lines_of(&self.mark(&format!("{op}.started")));
        hosts.sort();
        hosts
    }

    pub(crate) async fn messages(&self, id: PipelineId) -> Vec<String> {
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

pub(crate) fn open(dir: &Path, resume_within: Span, ssh_config: Option<PathBuf>) -> (Store, Engine) {
    let marks = dir.join("marks");
    fs::create_dir_all(&marks).expect("marks");
    let data_dir = dir.join("data");
    let file = dir.join("quarterdeck.toml");
    let text = format!("data_dir = \"{}\"\n{}", data_dir.display(), ops(&marks));
    let config = Config::build(Some((&file, &text)), &Default::default(), &Flags::default()).expect("config");
    let store = Store::open(&OpenSettings {
        data_dir: data_dir.clone(),
        low_space: 1,
        checkpoint_key: None,
        machine_folder: None,
    })
    .expect("opens");
    let executor = Executor::new(executor::Settings {
        local_spool: Some(data_dir.join("spool")),
        job_files: None,
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
        orphan_after: Span::from_secs(900),
        probe_interval: None,
        keep_events: None,
        keep_commands: None,
        keep_reports: None,
        keep_audit: None,
        archive: false,
        keep_archive: None,
        access: engine::AccessSettings {
            session: Span::from_days(7),
            idle: Span::from_days(1),
            require_totp: Vec::new(),
        },
        outside: Default::default(),
    };
    let engine = Engine::new(settings, config.catalog, store.clone(), executor);
    (store, engine)
}

pub(crate) fn wish(name: &str, hosts: &[&str], limits: LimitsGiven) -> StartPipeline {
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
