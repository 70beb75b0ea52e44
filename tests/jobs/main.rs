//! Jobs on real hosts: a shell here and a real sshd on loopback. Each test has its own data folder and its own spool base.

#[path = "../support/mod.rs"]
mod support;

mod life;
mod output;
mod reaching;
mod spool;
mod start;
mod stopping;
mod surroundings;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use quarterdeck::domain::{CommandId, Evidence, Reach, Span, StopReason};
use quarterdeck::executor::{Executor, Follower, Host, HostError, Job, JobEvent, JobId, Settings};
use support::sshd::{Sshd, signal};
use tempfile::TempDir;
use tokio::time::timeout;

const DASHBOARD: &str = "d0000000-0000-7000-8000-000000000001";

/// One dashboard's executor, one host, and the folder where its jobs live.
struct Bench {
    executor: Executor,
    host: Host,
    base: PathBuf,
    dir: TempDir,
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
            dir,
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

    /// What the host says when it is asked about a job.
    async fn asked(&self, id: JobId, fence: bool) -> Evidence {
        let report = self.executor.ask(&self.host, id, fence).await;
        report.expect("ask").evidence
    }

    async fn close(self) {
        self.executor.close().await;
    }
}

fn executor(data_dir: &Path, dashboard: &str, ssh_config: Option<PathBuf>) -> Executor {
    Executor::new(Settings {
        data_dir: data_dir.to_owned(),
        local_spool: None,
        job_files: None,
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
        op: "an-op".to_owned(),
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
        let Evidence::Exit { code, .. } = self.evidence else {
            panic!("no exit: {:?}; output {}", self.evidence, self.text());
        };
        code
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

/// Processes that carry a command's id, zombies left out.
fn carriers(id: JobId) -> Vec<u32> {
    let needle = format!("QD_COMMAND={}", id.command);
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|pair| pair == needle.as_bytes())
    })
    .collect()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The first name in `folder` that begins with `start`.
fn named(folder: &Path, start: &str) -> Option<String> {
    let names = std::fs::read_dir(folder).ok()?;
    names
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with(start))
}

fn supervisor(folder: &Path) -> u32 {
    let text = std::fs::read_to_string(folder.join("sup")).expect("the supervisor's identity");
    text.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid")
}

/// Numbers that are the same for the same seed.
struct Seeded(u64);

impl Seeded {
    fn new() -> Self {
        let fresh = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("clock")
            .as_nanos() as u64;
        let seed = std::env::var("QD_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(fresh);
        eprintln!("QD_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A tiny file system; gone with its value.
struct Tiny(PathBuf);

impl Tiny {
    fn mount(at: PathBuf, size: &str) -> Self {
        std::fs::create_dir(&at).expect("folder");
        let options = format!("size={size},mode=700");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&at)
            .status();
        assert!(mounted.expect("mount").success(), "mounting needs root");
        Self(at)
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A user of this machine for one test.
struct User(String);

impl User {
    fn with_shell(shell: &str) -> Self {
        let name = format!(
            "qdt{}{}",
            std::process::id() % 100_000,
            shell.rsplit('/').next().unwrap_or("")
        );
        let made = std::process::Command::new("useradd")
            .args(["-m", "-p", "*", "-s", shell, &name])
            .status();
        assert!(made.expect("useradd").success(), "making a user needs root");
        Self(name)
    }

    fn write(&self, path: &str, text: &str) {
        let path = format!("/home/{}/{path}", self.0);
        std::fs::create_dir_all(Path::new(&path).parent().expect("folder")).expect("folder");
        std::fs::write(path, text).expect("file");
        let home = format!("/home/{}", self.0);
        let done = std::process::Command::new("chown")
            .args(["-R", &self.0, &home])
            .status();
        assert!(done.expect("chown").success());
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let quiet = std::process::Stdio::null;
        let _ = std::process::Command::new("userdel")
            .args(["-r", "-f", &self.0])
            .stderr(quiet())
            .status();
    }
}
