//! Jobs on real hosts: a shell here and a real sshd on loopback. Each test has its own data folder and its own spool base.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quarterdeck::domain::{CommandId, Evidence, Reach, Span, StopReason};
use quarterdeck::executor::{Executor, Follower, Host, HostError, Job, JobEvent, JobId, Settings};
use support::sshd::Sshd;
use tempfile::TempDir;
use tokio::time::timeout;

const DASHBOARD: &str = "d0000000-0000-7000-8000-000000000001";

/// One dashboard's executor, one host, and the folder where its jobs live.
struct Bench {
    executor: Executor,
    host: Host,
    base: PathBuf,
    _dir: TempDir,
}

impl Bench {
    fn new(reach: Reach, ssh_config: Option<PathBuf>) -> Self {
        let dir = TempDir::with_prefix("qd-jobs").expect("folder");
        let base = dir.path().join("base");
        let data_dir = dir.path().join("data");
        std::fs::create_dir(&data_dir).expect("data folder");
        let executor = executor(&data_dir, DASHBOARD, ssh_config);
        let host = Host {
            name: "test-host".parse().expect("name"),
            reach,
            spool: Some(base.to_str().expect("path").parse().expect("spool")),
            run_as: None,
        };
        Self {
            executor,
            host,
            base,
            _dir: dir,
        }
    }

    fn local() -> Self {
        Self::new(Reach::Local, None)
    }

    fn ssh(sshd: &Sshd) -> Self {
        Self::new(reach("root", sshd), Some(sshd.ssh_config.clone()))
    }

    /// The folder of a first launch.
    fn folder(&self, id: JobId) -> PathBuf {
        self.base.join(DASHBOARD).join(id.command.to_string())
    }

    async fn run(&self, script: &str) -> Told {
        let job = job(script);
        let follower = self.executor.launch(&self.host, &job).await.expect("launch");
        told(follower).await
    }

    async fn close(self) {
        self.executor.close().await;
    }
}

fn executor(data_dir: &Path, dashboard: &str, ssh_config: Option<PathBuf>) -> Executor {
    Executor::new(Settings {
        data_dir: data_dir.to_owned(),
        dashboard_id: dashboard.to_owned(),
        ssh_program: "ssh".into(),
        ssh_config,
        connect_timeout: Span::from_secs(5),
        dials: 8,
        channels: 4,
    })
    .expect("executor")
}

fn reach(user: &str, sshd: &Sshd) -> Reach {
    Reach::ssh(&format!("{user}@127.0.0.1:{}", sshd.port)).expect("address")
}

fn job(script: &str) -> Job {
    Job {
        id: JobId {
            command: CommandId::after(None),
            launch: 1,
        },
        script: script.to_owned(),
        post_check: None,
        timeout: Some(Span::from_secs(60)),
        output_limit: 64 << 20,
        environment: Vec::new(),
    }
}

/// What a follower told, to its end.
#[derive(Debug)]
struct Told {
    output: Vec<u8>,
    starts: usize,
    evidence: Evidence,
}

impl Told {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    fn code(&self) -> i64 {
        match self.evidence {
            Evidence::Exit { code, .. } => code,
            ref other => panic!("no exit: {other:?}; output {}", self.text()),
        }
    }
}

async fn told(follower: Follower) -> Told {
    told_from(follower, 0).await.expect("followed to the end")
}

async fn told_from(mut follower: Follower, from: u64) -> Result<Told, HostError> {
    let mut output = Vec::new();
    let mut starts = 0;
    loop {
        match timeout(Duration::from_secs(90), follower.next())
            .await
            .expect("an event in time")?
        {
            JobEvent::At(_) | JobEvent::Alive { .. } => {}
            JobEvent::Started { .. } => starts += 1,
            JobEvent::Output { offset, bytes } => {
                assert_eq!(offset, from + output.len() as u64, "no gap and no repeat");
                output.extend(bytes);
            }
            JobEvent::Ended(evidence) => {
                return Ok(Told {
                    output,
                    starts,
                    evidence,
                });
            }
        }
    }
}

#[tokio::test]
async fn a_local_job_ends_with_its_exit_code_and_output() {
    let bench = Bench::local();
    let told = bench.run("echo hello; echo \"$QD_HOST $QD_COMMAND\" >&2; exit 3").await;
    assert_eq!(told.code(), 3);
    assert_eq!(told.starts, 1);
    assert!(told.text().starts_with("hello\ntest-host 0"), "{}", told.text());
}

#[tokio::test]
async fn a_job_over_ssh_ends_with_its_exit_code_and_output() {
    let sshd = Sshd::start();
    let bench = Bench::ssh(&sshd);
    let told = bench.run("echo hello; exit 3").await;
    assert_eq!((told.code(), told.text().as_str()), (3, "hello\n"));
    bench.close().await;
}
