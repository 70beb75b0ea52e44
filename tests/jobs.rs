//! Jobs on real hosts: a shell here and a real sshd on loopback. Each test has its own data folder and its own spool base.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

#[tokio::test]
async fn a_local_job_ends_with_its_exit_code_and_output() {
    let bench = Bench::local();
    let told = bench
        .run("echo hello; echo \"$QD_HOST $QD_COMMAND\" >&2; umask; exit 3")
        .await;
    assert_eq!(told.code(), 3);
    assert_eq!(told.starts, 1);
    assert!(told.text().starts_with("hello\ntest-host 0"), "{}", told.text());
    assert!(told.text().ends_with("0022\n"), "the mask is not ours: {}", told.text());
}

#[tokio::test]
async fn a_job_over_ssh_ends_with_its_exit_code_and_output() {
    let sshd = Sshd::start();
    let bench = Bench::ssh(&sshd);
    let told = bench.run("echo hello; exit 3").await;
    assert_eq!((told.code(), told.text().as_str()), (3, "hello\n"));
    bench.close().await;
}

#[tokio::test]
async fn launched_many_times_it_starts_once_and_each_follower_hears_all_of_it() {
    let sshd = Sshd::start();
    for bench in [Bench::local(), Bench::ssh(&sshd)] {
        let seen = bench.dir.path().join("seen");
        let job = job(&format!("echo once >> {}; sleep 0.3; echo end", seen.display()));
        let launch = || async { told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await };
        let (a, b, c) = tokio::join!(launch(), launch(), launch());
        let d = launch().await;
        for told in [a, b, c, d] {
            assert_eq!((told.code(), told.text().as_str()), (0, "end\n"));
        }
        assert_eq!(std::fs::read_to_string(seen).expect("seen"), "once\n");
        bench.close().await;
    }
}

#[tokio::test]
async fn binary_output_arrives_byte_by_byte() {
    let sshd = Sshd::start();
    let mut seeded = Seeded::new();
    let bytes: Vec<u8> = (0..400_000).flat_map(|_| seeded.next().to_le_bytes()).collect();
    for bench in [Bench::local(), Bench::ssh(&sshd)] {
        let file = bench.dir.path().join("bytes");
        std::fs::write(&file, &bytes).expect("bytes");
        let told = bench.run(&format!("cat {}", file.display())).await;
        assert!(told.output == bytes, "{} bytes of {}", told.output.len(), bytes.len());
        bench.close().await;
    }
}

#[tokio::test]
async fn a_hundred_megabytes_arrive() {
    let bench = Bench::local();
    let mut job = job("yes 0123456789abcde | head -c 100000000");
    job.output_limit = 200_000_000;
    let told = told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await;
    assert_eq!(told.output.len(), 100_000_000);
    assert!(told.output.chunks(16).all(|line| line == b"0123456789abcde\n"));
    assert!(matches!(
        told.evidence,
        Evidence::Exit {
            output_cut: false,
            code: 0,
            ..
        }
    ));
}

#[tokio::test]
async fn output_is_cut_at_the_limit_while_the_op_goes_on() {
    let bench = Bench::local();
    let after = bench.dir.path().join("after");
    let mut job = job(&format!(
        "head -c 3000000 /dev/zero && echo x > {}; exit 5",
        after.display()
    ));
    job.output_limit = 100_000;
    let told = told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await;
    assert!(
        (100_000..=101_024).contains(&told.output.len()),
        "{}",
        told.output.len()
    );
    assert!(
        matches!(
            told.evidence,
            Evidence::Exit {
                output_cut: true,
                code: 5,
                ..
            }
        ),
        "{:?}",
        told.evidence
    );
    assert!(after.exists());
}

#[tokio::test]
async fn writing_to_dev_stderr_truncates_nothing() {
    let bench = Bench::local();
    let told = bench
        .run("echo a; echo b > /dev/stderr; echo c > /dev/stdout; echo d")
        .await;
    assert_eq!(told.text(), "a\nb\nc\nd\n");
}

#[tokio::test]
async fn a_dropped_connection_decides_nothing_and_loses_nothing() {
    let sshd = Sshd::start();
    let bench = Bench::ssh(&sshd);
    let job = job("i=0; while [ $i -lt 300 ]; do echo \"line $i\"; i=$((i + 1)); sleep 0.01; done");
    let mut output = Vec::new();
    let mut lost = 0;
    let mut follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
    loop {
        match timeout(Duration::from_secs(60), follower.next())
            .await
            .expect("an event")
        {
            Ok(JobEvent::Output { offset, bytes }) => {
                assert_eq!(offset, output.len() as u64);
                output.extend(bytes);
                if output.len() > (lost + 1) * 800 && lost < 3 {
                    sshd.drop_connections();
                }
            }
            Ok(JobEvent::Ended(evidence)) => {
                assert!(matches!(evidence, Evidence::Exit { code: 0, .. }), "{evidence:?}");
                break;
            }
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error, HostError::Lost(_)), "{error}");
                lost += 1;
                follower = bench
                    .executor
                    .follow(&bench.host, job.id, output.len() as u64)
                    .await
                    .expect("follow");
            }
        }
    }
    let expected: String = (0..300).map(|i| format!("line {i}\n")).collect();
    assert!(lost >= 1, "the connection was cut");
    assert_eq!(String::from_utf8_lossy(&output), expected);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_and_a_launch_never_both_win() {
    let mut seeded = Seeded::new();
    let bench = Bench::local();
    let (mut fenced, mut started) = (0, 0);
    for race in 0..200 {
        let seen = bench.dir.path().join(format!("seen-{race}"));
        let job = job(&format!("echo x > {}", seen.display()));
        let delays = [seeded.next() % 40_000, seeded.next() % 40_000];
        let launch = async {
            tokio::time::sleep(Duration::from_micros(delays[0])).await;
            told(bench.executor.launch(&bench.host, &job).await.expect("launch"))
                .await
                .evidence
        };
        let ask = async {
            tokio::time::sleep(Duration::from_micros(delays[1] * 2)).await;
            bench
                .executor
                .ask(&bench.host, job.id, true)
                .await
                .expect("ask")
                .evidence
        };
        let (launched, asked) = tokio::join!(launch, ask);
        let again = bench
            .executor
            .ask(&bench.host, job.id, true)
            .await
            .expect("ask")
            .evidence;
        match (&launched, seen.exists()) {
            (Evidence::Exit { .. }, true) => {
                started += 1;
                assert_ne!(asked, Evidence::NeverStarted, "race {race}");
                assert_eq!(again, launched, "race {race}");
            }
            (Evidence::NeverStarted, false) => {
                fenced += 1;
                assert_eq!(again, Evidence::NeverStarted, "race {race}");
            }
            other => panic!("race {race}: {other:?}, asked {asked:?}"),
        }
        if asked == Evidence::NeverStarted {
            assert!(!seen.exists(), "race {race}: a start behind the fence");
        }
    }
    assert!(
        fenced > 10 && started > 10,
        "{fenced} fenced, {started} started: the races did not meet"
    );
}

#[tokio::test]
async fn a_job_that_was_fenced_never_starts() {
    let bench = Bench::local();
    let job = job("echo no");
    let asked = bench.executor.ask(&bench.host, job.id, false).await.expect("ask");
    assert!(matches!(asked.evidence, Evidence::Nothing { .. }), "{asked:?}");
    let asked = bench.executor.ask(&bench.host, job.id, true).await.expect("ask");
    assert_eq!(asked.evidence, Evidence::NeverStarted);
    assert_eq!(asked.at.spool, bench.folder(job.id).to_str().expect("path"));
    let told = told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await;
    assert_eq!(
        (told.evidence, told.output.len(), told.starts),
        (Evidence::NeverStarted, 0, 0)
    );
    // The next launch of the same command has a folder of its own.
    let next = Job {
        id: JobId { launch: 2, ..job.id },
        ..job
    };
    let told = self::told(bench.executor.launch(&bench.host, &next).await.expect("launch")).await;
    assert_eq!(told.code(), 0);
}

#[tokio::test]
async fn two_dashboards_never_have_two_jobs_on_one_host() {
    let bench = Bench::local();
    let data = bench.dir.path().join("data-b");
    std::fs::create_dir(&data).expect("folder");
    let other = executor(&data, "second-dashboard", None);
    let first = job("while [ ! -e \"$GO\" ]; do sleep 0.02; done");
    let go = bench.dir.path().join("go");
    let first = Job {
        environment: vec![("GO".into(), go.display().to_string())],
        ..first
    };
    let running = bench.executor.launch(&bench.host, &first).await.expect("launch");
    let refused = told(other.launch(&bench.host, &job("echo no")).await.expect("launch")).await;
    let by = format!("{DASHBOARD}/{}", first.id.command);
    assert_eq!(refused.evidence, Evidence::Locked { by });
    assert_eq!(refused.output, b"");
    std::fs::write(go, "").expect("go");
    assert_eq!(told(running).await.code(), 0);
    assert_eq!(
        told(other.launch(&bench.host, &job("exit 4")).await.expect("launch"))
            .await
            .code(),
        4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_lock_is_taken_over_by_exactly_one() {
    let bench = Bench::local();
    for round in 0..5 {
        let gone = job("sleep 60");
        let follower = bench.executor.launch(&bench.host, &gone).await.expect("launch");
        let sup = supervisor(&bench.folder(gone.id));
        signal("KILL", &[vec![sup], carriers(gone.id)].concat());
        assert!(matches!(told(follower).await.evidence, Evidence::ExitLost { .. }));
        let go = bench.dir.path().join(format!("go-{round}"));
        let jobs: Vec<Job> = (0..10)
            .map(|_| job(&format!("while [ ! -e {} ]; do sleep 0.05; done", go.display())))
            .collect();
        let mut launches = tokio::task::JoinSet::new();
        for job in jobs {
            let (executor, host) = (bench.executor.clone(), bench.host.clone());
            launches.spawn(async move { executor.launch(&host, &job).await.expect("launch") });
        }
        let followers = launches.join_all().await;
        std::fs::write(go, "").expect("go");
        let mut ended = Vec::new();
        for follower in followers {
            ended.push(told(follower).await.evidence);
        }
        let started = ended
            .iter()
            .filter(|evidence| matches!(evidence, Evidence::Exit { code: 0, .. }))
            .count();
        let locked = ended
            .iter()
            .filter(|evidence| matches!(evidence, Evidence::Locked { .. }))
            .count();
        assert_eq!((started, locked), (1, 9), "{ended:?}");
    }
}

#[tokio::test]
async fn a_killed_supervisor_is_no_end_while_the_command_lives() {
    let bench = Bench::local();
    let job = job("echo one; sleep 60 & wait");
    let mut follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
    signal("KILL", &[supervisor(&bench.folder(job.id))]);
    for _ in 0..2 {
        let asked = bench
            .executor
            .ask(&bench.host, job.id, true)
            .await
            .expect("ask")
            .evidence;
        assert!(
            matches!(
                asked,
                Evidence::Running {
                    supervisor: false,
                    processes: 2,
                    ..
                }
            ),
            "{asked:?}"
        );
    }
    while !matches!(follower.next().await.expect("alive"), JobEvent::Alive { .. }) {}
    signal("KILL", &carriers(job.id));
    let told = told_from(follower, 4).await.expect("end");
    assert_eq!(told.evidence, Evidence::ExitLost { stopped: None });
    let asked = bench
        .executor
        .ask(&bench.host, job.id, false)
        .await
        .expect("ask")
        .evidence;
    assert_eq!(asked, Evidence::ExitLost { stopped: None });
}

#[tokio::test]
async fn a_zombie_is_not_alive() {
    let bench = Bench::local();
    // In the group stays only a child that ended and is never waited for.
    let job = job("perl -MPOSIX -e 'if (!fork) { if (!fork) { exit 0 } setsid(); sleep 60 }'; echo x; sleep 0.5");
    let follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
    let sup = supervisor(&bench.folder(job.id));
    until("the script goes on", || {
        std::fs::read(bench.folder(job.id).join("out")).is_ok_and(|out| !out.is_empty())
    })
    .await;
    signal("KILL", &[sup]);
    let told = told(follower).await;
    let left = carriers(job.id);
    signal("KILL", &left);
    assert_eq!(told.evidence, Evidence::ExitLost { stopped: None });
    assert_eq!(left.len(), 1, "the one outside of the group");
}

#[tokio::test]
async fn stop_ends_a_job_and_proves_it() {
    let sshd = Sshd::start();
    for bench in [Bench::local(), Bench::ssh(&sshd)] {
        let job = job("sleep 60; echo not");
        let follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
        let began = Instant::now();
        let stop = bench
            .executor
            .stop(&bench.host, job.id, StopReason::Cancel, Span::from_secs(10))
            .await
            .expect("stop");
        assert!(stop.gone && stop.survivors.is_empty(), "{stop:?}");
        assert!(
            stop.steps.iter().any(|step| step.starts_with("TERM to group")),
            "{stop:?}"
        );
        assert!(!stop.steps.iter().any(|step| step.starts_with("KILL")), "{stop:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
        let told = told(follower).await;
        assert!(
            matches!(
                told.evidence,
                Evidence::Exit {
                    code: 143,
                    stopped: Some(StopReason::Cancel),
                    ..
                }
            ),
            "{:?}",
            told.evidence
        );
        // A stop after the end signals nobody.
        let again = bench
            .executor
            .stop(&bench.host, job.id, StopReason::Timeout, Span::ZERO)
            .await
            .expect("stop");
        assert!(again.gone, "{again:?}");
        let asked = bench
            .executor
            .ask(&bench.host, job.id, false)
            .await
            .expect("ask")
            .evidence;
        assert_eq!(asked, told.evidence);
        bench.close().await;
    }
}

#[tokio::test]
async fn what_ignores_term_is_killed_with_its_grandchildren() {
    let bench = Bench::local();
    let job = job("trap '' TERM; sh -c 'trap \"\" TERM; sleep 61 & wait' & setsid -f sleep 62; sleep 60; sleep 60");
    let follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
    until("all of it runs", || carriers(job.id).len() == 5).await;
    let stop = bench
        .executor
        .stop(&bench.host, job.id, StopReason::Timeout, Span::from_millis(500))
        .await
        .expect("stop");
    assert!(stop.gone, "{stop:?}");
    assert!(
        stop.steps.iter().any(|step| step.starts_with("KILL to group")),
        "{stop:?}"
    );
    assert_eq!(carriers(job.id), [0; 0]);
    let told = told(follower).await;
    assert!(
        matches!(
            told.evidence,
            Evidence::Exit {
                code: 137,
                stopped: Some(StopReason::Timeout),
                ..
            }
        ),
        "{:?}",
        told.evidence
    );
}

#[tokio::test]
async fn a_stop_before_the_start_fences() {
    let bench = Bench::local();
    let job = job("echo no");
    let stop = bench
        .executor
        .stop(&bench.host, job.id, StopReason::Cancel, Span::ZERO)
        .await
        .expect("stop");
    assert!(stop.gone, "{stop:?}");
    let told = told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await;
    assert_eq!(told.evidence, Evidence::NeverStarted);
}

#[tokio::test]
async fn what_a_job_leaves_behind_neither_delays_its_end_nor_dies() {
    let bench = Bench::local();
    let survived = bench.dir.path().join("survived");
    let script = format!(
        "(i=0; while [ $i -lt 40 ]; do echo tick || exit; i=$((i + 1)); sleep 0.1; done; echo x > {}) & echo bye",
        survived.display()
    );
    let began = Instant::now();
    let told = bench.run(&script).await;
    assert!(began.elapsed() < Duration::from_millis(3_500), "{:?}", began.elapsed());
    assert!(
        matches!(
            told.evidence,
            Evidence::Exit {
                code: 0,
                left_behind: 1..=2,
                ..
            }
        ),
        "{:?}",
        told.evidence
    );
    assert!(told.text().contains("bye\n"));
    until("what was left behind ends by itself", || survived.exists()).await;
}

#[tokio::test]
async fn the_post_check_belongs_to_the_job() {
    let bench = Bench::local();
    let with = |script: &str, check: &str| Job {
        post_check: Some(check.to_owned()),
        ..job(script)
    };
    let run = |job: Job| async move { told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await };
    let good = run(with("echo a", "echo \"b $QD_HOST\"")).await;
    assert_eq!(good.text(), "a\nb test-host\n");
    assert!(matches!(
        good.evidence,
        Evidence::Exit {
            code: 0,
            check: Some(0),
            ..
        }
    ));
}

#[tokio::test]
async fn the_post_check_says_no_or_has_no_time() {
    let bench = Bench::local();
    let no = Job {
        post_check: Some("exit 9".to_owned()),
        ..job("true")
    };
    let no = told(bench.executor.launch(&bench.host, &no).await.expect("launch")).await;
    assert!(
        matches!(
            no.evidence,
            Evidence::Exit {
                code: 0,
                check: Some(9),
                ..
            }
        ),
        "{:?}",
        no.evidence
    );
    let skipped = Job {
        post_check: Some("exit 9".to_owned()),
        ..job("exit 1")
    };
    let skipped = told(bench.executor.launch(&bench.host, &skipped).await.expect("launch")).await;
    assert!(
        matches!(
            skipped.evidence,
            Evidence::Exit {
                code: 1,
                check: None,
                ..
            }
        ),
        "{:?}",
        skipped.evidence
    );
    let slow = Job {
        post_check: Some("sleep 60".to_owned()),
        timeout: Some(Span::from_secs(1)),
        ..job("true")
    };
    let id = slow.id;
    let slow = told(bench.executor.launch(&bench.host, &slow).await.expect("launch")).await;
    assert!(
        matches!(
            slow.evidence,
            Evidence::Exit {
                code: 0,
                check: Some(124),
                stopped: Some(StopReason::Timeout),
                ..
            }
        ),
        "{:?}",
        slow.evidence
    );
    assert_eq!(carriers(id), [0; 0]);
}

#[tokio::test]
async fn a_stop_ends_the_post_check_too() {
    let bench = Bench::local();
    let job = Job {
        post_check: Some("sleep 60".to_owned()),
        ..job("true")
    };
    let follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
    until("the check runs", || named(&bench.folder(job.id), "check.").is_some()).await;
    let stop = bench
        .executor
        .stop(&bench.host, job.id, StopReason::Cancel, Span::from_secs(5))
        .await
        .expect("stop");
    assert!(stop.gone, "{stop:?}");
    let told = told(follower).await;
    assert!(
        matches!(
            told.evidence,
            Evidence::Exit {
                code: 0,
                check: Some(143),
                stopped: Some(StopReason::Cancel),
                ..
            }
        ),
        "{:?}",
        told.evidence
    );
}

#[tokio::test]
async fn a_pre_check_answers_with_code_and_text() {
    let sshd = Sshd::start();
    for bench in [Bench::local(), Bench::ssh(&sshd)] {
        let id = job("").id;
        let check = |script: &'static str| {
            bench
                .executor
                .pre_check(&bench.host, script, id.command, Span::from_secs(5))
        };
        let go = check("echo \"$QD_HOST is 'fine'\"").await.expect("check");
        assert_eq!((go.code, go.text.as_str()), (0, "test-host is 'fine'"));
        let not_needed = check("echo 'not needed' >&2; exit 10").await.expect("check");
        assert_eq!((not_needed.code, not_needed.text.as_str()), (10, "not needed"));
        let long = check("yes | head -c 100000; echo; echo last; exit 1")
            .await
            .expect("check");
        assert_eq!(long.code, 1);
        assert!(
            long.text.ends_with("last") && long.text.len() <= 4096,
            "{}",
            long.text.len()
        );
        let began = Instant::now();
        let slow = bench
            .executor
            .pre_check(
                &bench.host,
                "echo begun; sleep 60 & sleep 60",
                id.command,
                Span::from_secs(1),
            )
            .await
            .expect("check");
        assert_eq!(slow.code, 124);
        assert!(
            slow.text.starts_with("begun") && slow.text.contains("its time (1 s) was up"),
            "{}",
            slow.text
        );
        assert!(began.elapsed() < Duration::from_secs(8));
        until("the whole group is gone", || carriers(id).is_empty()).await;
        bench.close().await;
    }
}

#[tokio::test]
async fn prepare_tells_where_it_is_and_what_it_found_in_one_channel() {
    let sshd = Sshd::start();
    let bench = Bench::ssh(&sshd);
    let job = job("true");
    let prepared = bench
        .executor
        .prepare(&bench.host, job.id, Some("exit 10"), Span::from_secs(5), false)
        .await
        .expect("prepare");
    assert_eq!(prepared.check.map(|check| check.code), Some(10));
    assert_eq!(prepared.facts.kernel, "Linux");
    assert_eq!(prepared.facts.user, "root");
    assert_eq!(prepared.at.boot_id, prepared.facts.boot_id);
    assert!(prepared.facts.boot_id.len() > 36 && prepared.facts.uptime_s > 0 && prepared.facts.clock_s > 1_700_000_000);
    assert_eq!(prepared.at.spool, bench.folder(job.id).to_str().expect("path"));
    assert!(!bench.folder(job.id).exists(), "nothing of the job is there yet");
    let mut follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
    assert_eq!(follower.next().await.expect("first"), JobEvent::At(prepared.at));
    told(follower).await;
    bench.close().await;
}

#[tokio::test]
async fn values_of_the_environment_arrive_as_they_are() {
    let bench = Bench::local();
    let value = "it's \"$(id)\" `x` \\ \n second line $HOME ü";
    let job = Job {
        environment: vec![("QD_TEST_VALUE".into(), value.into()), ("D".into(), "/x".into())],
        ..job("printf %s \"$QD_TEST_VALUE\"")
    };
    let told = told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await;
    assert_eq!(told.text(), value);
}

#[tokio::test]
async fn an_unsafe_spool_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let bench = Bench::local();
    let locate = || bench.executor.locate(&bench.host, job("").id);
    std::fs::create_dir(&bench.base).expect("base");
    std::fs::set_permissions(&bench.base, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let open = locate().await.expect_err("open to others");
    assert!(
        matches!(&open, HostError::Spool(text) if text.contains("chmod 700")),
        "{open}"
    );
    std::fs::remove_dir(&bench.base).expect("base");
    let real = bench.dir.path().join("real");
    std::fs::create_dir(&real).expect("folder");
    symlink(&real, &bench.base).expect("link");
    let link = locate().await.expect_err("a link");
    assert!(
        matches!(&link, HostError::Spool(text) if text.contains("symbolic link")),
        "{link}"
    );
}

#[tokio::test]
async fn an_emptied_folder_still_keeps_a_launch_from_starting() {
    let bench = Bench::local();
    let job = job("echo once");
    let first = told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await;
    assert_eq!(first.code(), 0);
    bench.executor.clear(&bench.host, job.id).await.expect("clear");
    let left: Vec<_> = std::fs::read_dir(bench.folder(job.id)).expect("folder").collect();
    assert_eq!(left.len(), 1);
    let again = told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await;
    assert_eq!((again.evidence, again.output.len()), (Evidence::Done, 0));
    assert_eq!(
        bench
            .executor
            .ask(&bench.host, job.id, true)
            .await
            .expect("ask")
            .evidence,
        Evidence::Done
    );
}

#[tokio::test]
async fn a_sweep_takes_what_is_old_and_ended_and_nothing_else() {
    let bench = Bench::local();
    let age = |folder: &Path, days: u32| {
        let when = format!("{days} days ago");
        let done = std::process::Command::new("touch")
            .arg("-d")
            .arg(when)
            .arg(folder)
            .status();
        assert!(done.expect("touch").success());
    };
    let (ended, young, marker) = (job("exit 1"), job("exit 1"), job("exit 0"));
    for job in [&ended, &young, &marker] {
        told(bench.executor.launch(&bench.host, job).await.expect("launch")).await;
    }
    bench.executor.clear(&bench.host, marker.id).await.expect("clear");
    bench.executor.retire(&bench.host, ended.id).await.expect("retire");
    let unended = job("sleep 60");
    let follower = bench.executor.launch(&bench.host, &unended).await.expect("launch");
    bench
        .executor
        .ask(&bench.host, unended.id, true)
        .await
        .expect("fenced while it runs");
    age(&bench.folder(ended.id), 8);
    age(&bench.folder(young.id), 6);
    age(&bench.folder(marker.id), 91);
    age(&bench.folder(unended.id), 400);
    assert_eq!(bench.executor.sweep(&bench.host).await.expect("sweep"), 2);
    assert_eq!(named(&bench.folder(ended.id), ""), Some("done".to_owned()));
    assert!(named(&bench.folder(young.id), "exit.1.").is_some());
    assert!(!bench.folder(marker.id).exists());
    assert!(named(&bench.folder(unended.id), "run.").is_some());
    bench
        .executor
        .stop(&bench.host, unended.id, StopReason::Cancel, Span::from_secs(5))
        .await
        .expect("stop");
    told(follower).await;
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

#[tokio::test]
async fn a_full_disk_is_said_at_the_launch_and_starts_nothing() {
    let bench = Bench::local();
    let tiny = Tiny::mount(bench.base.clone(), "400k");
    bench.executor.locate(&bench.host, job("").id).await.expect("room");
    std::fs::write(tiny.0.join("ballast"), vec![1; 380 * 1024]).expect("ballast");
    let full = bench.executor.locate(&bench.host, job("").id).await.expect_err("full");
    assert!(matches!(full, HostError::DiskFull(_)), "{full}");
    let job = job("echo no");
    let Err(full) = bench.executor.launch(&bench.host, &job).await else {
        panic!("launched on a full disk")
    };
    assert!(matches!(full, HostError::DiskFull(_)), "{full}");
    assert_eq!(
        bench
            .executor
            .ask(&bench.host, job.id, true)
            .await
            .expect("ask")
            .evidence,
        Evidence::NeverStarted
    );
    std::fs::remove_file(tiny.0.join("ballast")).expect("ballast");
    let told = told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await;
    assert_eq!(told.evidence, Evidence::NeverStarted, "a launch that arrives late");
}

#[tokio::test]
async fn an_exit_survives_a_disk_that_fills_meanwhile() {
    let bench = Bench::local();
    let _tiny = Tiny::mount(bench.base.clone(), "1m");
    let told = bench.run("head -c 3000000 /dev/zero; exit 7").await;
    assert!(
        matches!(
            told.evidence,
            Evidence::Exit {
                code: 7,
                output_cut: true,
                ..
            }
        ),
        "{:?}",
        told.evidence
    );
    assert!(
        told.output.len() > 500_000 && told.output.len() < 1 << 20,
        "{}",
        told.output.len()
    );
}

#[tokio::test]
async fn a_refused_login_is_not_dialled_again_until_somebody_asks() {
    let mut sshd = Sshd::start();
    let bench = Bench::ssh(&sshd);
    std::fs::write(sshd.dir.path().join("user.pub"), "").expect("no key is accepted");
    let refused = bench.executor.contact(&bench.host, false).await.expect_err("refused");
    assert!(matches!(refused, HostError::Auth(_)), "{refused}");
    sshd.stop();
    let remembered = bench
        .executor
        .contact(&bench.host, false)
        .await
        .expect_err("remembered");
    assert_eq!(remembered, refused);
    let asked = bench.executor.contact(&bench.host, true).await.expect_err("dialled");
    assert!(matches!(asked, HostError::Unreachable(_)), "{asked}");
    bench.close().await;
}

#[tokio::test]
async fn an_unknown_or_changed_host_key_says_what_to_do() {
    let sshd = Sshd::start();
    let known = sshd.dir.path().join("known_hosts");
    let other = std::fs::read_to_string(sshd.dir.path().join("user.pub")).expect("another key");
    for text in [String::new(), format!("[127.0.0.1]:{} {other}", sshd.port)] {
        let bench = Bench::ssh(&sshd);
        std::fs::write(&known, text).expect("known_hosts");
        let refused = bench.executor.contact(&bench.host, false).await.expect_err("refused");
        assert!(
            matches!(&refused, HostError::HostKey(text) if text.contains("ssh-keyscan")),
            "{refused}"
        );
        bench.close().await;
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable_and_a_host_that_comes_back_is_reached() {
    let mut sshd = Sshd::start();
    let bench = Bench::ssh(&sshd);
    bench.executor.contact(&bench.host, false).await.expect("reached");
    sshd.stop();
    let gone = bench.executor.contact(&bench.host, false).await.expect_err("gone");
    assert!(
        matches!(&gone, HostError::Unreachable(_) | HostError::Lost(_)),
        "{gone}"
    );
    sshd.again();
    bench.executor.contact(&bench.host, false).await.expect("back");
    bench.close().await;
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

#[tokio::test]
async fn login_shells_of_every_kind_with_noisy_start_up_files() {
    let sshd = Sshd::start();
    for (shell, file, noise) in [
        (
            "/usr/bin/fish",
            ".config/fish/config.fish",
            "echo welcome; printf 'no line end'",
        ),
        ("/usr/bin/zsh", ".zshenv", "echo welcome; printf 'no line end'"),
        ("/bin/bash", ".bashrc", "echo welcome; printf 'no line end'"),
    ] {
        let user = User::with_shell(shell);
        user.write(file, noise);
        let mut bench = Bench::new(reach(&user.0, &sshd), Some(sshd.ssh_config.clone()));
        bench.host.spool = None;
        let told = bench.run("echo \"$(id -un) $0\"; exit 3").await;
        assert_eq!(told.code(), 3, "{shell}");
        assert!(told.text().starts_with(&user.0), "{shell}: {}", told.text());
        let job = job("sleep 60");
        let follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
        let stop = bench
            .executor
            .stop(&bench.host, job.id, StopReason::Cancel, Span::from_secs(5))
            .await
            .expect("stop");
        assert!(stop.gone, "{shell}: {stop:?}");
        assert_eq!(self::told(follower).await.code(), 143, "{shell}");
        let check = bench
            .executor
            .pre_check(&bench.host, "echo \"$HOME\"", job.id.command, Span::from_secs(5))
            .await;
        assert_eq!(check.expect("check").text, format!("/home/{}", user.0), "{shell}");
        bench.close().await;
    }
}

#[tokio::test]
async fn busybox_and_bash_as_sh_and_no_setsid() {
    let empty = tempfile::NamedTempFile::new().expect("file");
    let no_setsid = format!("mount --bind {} $(command -v setsid) && ", empty.path().display());
    for (sh, more) in [
        ("busybox", ""),
        ("bash", ""),
        ("busybox", no_setsid.as_str()),
        ("dash", no_setsid.as_str()),
    ] {
        let wrap = format!("{more} mount --bind $(command -v {sh}) /bin/sh && exec \"$@\"");
        let sshd = Sshd::start_with("", &["unshare", "-m", "bash", "-c", &wrap, "bash"]);
        let bench = Bench::ssh(&sshd);
        let told = bench.run("echo out; echo err >&2; exit 3").await;
        assert_eq!((told.code(), told.text().as_str()), (3, "out\nerr\n"), "{sh} {more}");
        let mut cut = job("head -c 200000 /dev/zero; exit 1");
        cut.output_limit = 50_000;
        let cut = self::told(bench.executor.launch(&bench.host, &cut).await.expect("launch")).await;
        assert!(
            (50_000..=51_024).contains(&cut.output.len()),
            "{sh}: {}",
            cut.output.len()
        );
        let job = job("trap '' TERM; sleep 60 & sleep 60; sleep 60");
        let follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
        until("it runs", || carriers(job.id).len() == 3).await;
        let stop = bench
            .executor
            .stop(&bench.host, job.id, StopReason::Cancel, Span::from_millis(300))
            .await
            .expect("stop");
        assert!(stop.gone, "{sh} {more}: {stop:?}");
        assert_eq!(self::told(follower).await.code(), 137, "{sh} {more}");
        let slow = bench
            .executor
            .pre_check(&bench.host, "sleep 60", job.id.command, Span::from_secs(1))
            .await;
        assert_eq!(slow.expect("check").code, 124, "{sh} {more}");
        bench.close().await;
    }
}

#[tokio::test]
async fn another_boot_ends_what_ran_before() {
    let fake = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(fake.path(), "11111111-2222-3333-4444-555555555555\n").expect("boot id");
    let wrap = format!(
        "mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$@\"",
        fake.path().display()
    );
    let sshd = Sshd::start();
    let rebooted = Sshd::start_with("", &["unshare", "-m", "bash", "-c", &wrap, "bash"]);
    let before = Bench::ssh(&sshd);
    let mut after = Bench::ssh(&rebooted);
    after.host.spool = before.host.spool.clone();
    let job = job("sleep 60");
    let mut follower = before.executor.launch(&before.host, &job).await.expect("launch");
    let JobEvent::At(at) = follower.next().await.expect("place") else {
        panic!("no place")
    };
    let report = after.executor.ask(&after.host, job.id, false).await.expect("ask");
    assert_eq!(report.evidence, Evidence::ExitLost { stopped: None });
    assert_ne!(report.at.boot_id, at.boot_id);
    assert_eq!((report.at.machine_id, report.at.spool), (at.machine_id, at.spool));
    // And its lock is stale there.
    let told = after
        .executor
        .launch(&after.host, &self::job("exit 2"))
        .await
        .expect("launch");
    assert_eq!(self::told(told).await.code(), 2);
    before
        .executor
        .stop(&before.host, job.id, StopReason::Cancel, Span::from_secs(5))
        .await
        .expect("stop");
    before.close().await;
    after.close().await;
}

#[tokio::test]
async fn run_as_goes_through_sudo_and_says_the_line_that_is_missing() {
    let sshd = Sshd::start();
    let user = User::with_shell("/bin/sh");
    let mut bench = Bench::ssh(&sshd);
    bench.host.run_as = Some(user.0.parse().expect("user"));
    bench.host.spool = None;
    let told = bench.run("id -un; echo $HOME").await;
    assert_eq!(told.text(), format!("{0}\n/home/{0}\n", user.0));
    bench.close().await;
    let mut bench = Bench::new(reach(&user.0, &sshd), Some(sshd.ssh_config.clone()));
    bench.host.run_as = Some("root".parse().expect("user"));
    let refused = bench
        .executor
        .locate(&bench.host, job("").id)
        .await
        .expect_err("no sudo");
    assert!(
        matches!(&refused, HostError::Sudo(text) if text.contains("NOPASSWD")),
        "{refused}"
    );
    bench.close().await;
}
