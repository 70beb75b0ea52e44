//! What a job is told to do, what becomes of it, and what its host says about it.

use super::*;

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
async fn a_killed_supervisor_is_no_end_while_the_command_lives() {
    let bench = Bench::local();
    let job = job("echo one; sleep 60 & wait");
    let mut follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
    let sup = supervisor(&bench.folder(job.id));
    signal(Signal::SIGKILL, &[sup]);
    // A busy machine takes its time to kill.
    until("the supervisor is dead", || {
        std::fs::read(format!("/proc/{sup}/environ")).map_or(true, |environ| environ.is_empty())
    })
    .await;
    for _ in 0..2 {
        let asked = bench.asked(job.id, true).await;
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
    signal(Signal::SIGKILL, &carriers(job.id));
    let told = told_from(follower, 4).await.expect("end");
    assert_eq!(told.evidence, Evidence::ExitLost { stopped: None });
    let asked = bench.asked(job.id, false).await;
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
    signal(Signal::SIGKILL, &[sup]);
    let told = told(follower).await;
    let left = carriers(job.id);
    signal(Signal::SIGKILL, &left);
    assert_eq!(told.evidence, Evidence::ExitLost { stopped: None });
    assert_eq!(left.len(), 1, "the one outside of the group");
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
async fn scripts_of_the_largest_size_arrive_whole() {
    let sshd = Sshd::start();
    for bench in [Bench::local(), Bench::ssh(&sshd)] {
        let padding = "# it's \"padding\" $(false) \\\n".repeat(64 * 1024 / 30);
        let text = |last: &str| format!("{padding}{last}");
        let job = Job {
            post_check: Some(text("echo checked")),
            ..job(&text("echo ran; exit 0"))
        };
        let prepared = bench
            .executor
            .prepare(
                &bench.host,
                job.id,
                Some(&text("echo may; exit 0")),
                Span::from_secs(5),
                false,
            )
            .await
            .expect("prepare");
        assert_eq!(
            prepared.check.map(|check| (check.code, check.text)),
            Some((0, "may".to_owned()))
        );
        let told = told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await;
        assert_eq!((told.code(), told.text().as_str()), (0, "ran\nchecked\n"));
        bench.close().await;
    }
}
