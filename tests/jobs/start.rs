//! A job starts once or never, whoever asks for it how often, and never beside another one.

use super::*;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_and_a_launch_never_both_win() {
    let mut seeded = Seeded::new();
    let bench = Bench::local();
    let began = Instant::now();
    bench.run("true").await;
    let usual = began.elapsed().as_micros().min(200_000) as u64;
    let (mut fenced, mut started) = (0, 0);
    for race in 0..200 {
        let seen = bench.dir.path().join(format!("seen-{race}"));
        let job = job(&format!("echo x > {}", seen.display()));
        let delays = [seeded.next() % usual, seeded.next() % (2 * usual)];
        let launch = async {
            tokio::time::sleep(Duration::from_micros(delays[0])).await;
            told(bench.executor.launch(&bench.host, &job).await.expect("launch"))
                .await
                .evidence
        };
        let ask = async {
            tokio::time::sleep(Duration::from_micros(delays[1])).await;
            bench
                .executor
                .ask(&bench.host, job.id, true)
                .await
                .expect("ask")
                .evidence
        };
        let (launched, asked) = tokio::join!(launch, ask);
        let again = bench.asked(job.id, true).await;
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
    let Evidence::Locked {
        by: holder,
        op,
        since_s,
    } = &refused.evidence
    else {
        panic!("not locked: {refused:?}");
    };
    assert_eq!((holder, op.as_deref()), (&by, Some("an-op")));
    assert!(since_s.is_some_and(|since| since > 1_700_000_000), "{refused:?}");
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
        signal(Signal::SIGKILL, &[vec![sup], carriers(gone.id)].concat());
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

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_cut_off_at_any_instant_starts_once_or_never() {
    let mut seeded = Seeded::new();
    let sshd = Sshd::start();
    for bench in [Bench::local(), Bench::ssh(&sshd)] {
        bench
            .executor
            .contact(&bench.host, false)
            .await
            .expect("a warm connection");
        let began = Instant::now();
        bench.run("true").await;
        let usual = began.elapsed().as_micros().min(200_000) as u64;
        let (mut never, mut once) = (0, 0);
        for round in 0..24 {
            let seen = bench.dir.path().join(format!("cut-{round}"));
            let job = job(&format!("echo x >> {}; echo y", seen.display()));
            let patience = Duration::from_micros(seeded.next() % usual);
            // The client is killed wherever it is.
            let _ = timeout(patience, bench.executor.launch(&bench.host, &job)).await;
            let fenced = round % 2 == 0;
            let asked = bench
                .executor
                .ask(&bench.host, job.id, fenced)
                .await
                .expect("ask")
                .evidence;
            let told = told(bench.executor.launch(&bench.host, &job).await.expect("launch")).await;
            let lines = std::fs::read_to_string(&seen).unwrap_or_default();
            if matches!(told.evidence, Evidence::Exit { code: 0, .. }) {
                assert_eq!((told.text().as_str(), lines.as_str()), ("y\n", "x\n"), "round {round}");
                assert_ne!(asked, Evidence::NeverStarted, "round {round}");
                once += 1;
            } else {
                assert_eq!(
                    (told.evidence, lines.as_str()),
                    (Evidence::NeverStarted, ""),
                    "round {round}: {asked:?}"
                );
                assert!(fenced, "round {round}");
                never += 1;
            }
        }
        assert!(once >= 12, "{once} started, {never} fenced");
        bench.close().await;
    }
}

#[tokio::test]
async fn one_machine_reached_in_two_ways_has_one_lock() {
    let sshd = Sshd::start();
    let user = User::with_shell("/bin/sh");
    let here = Bench::local();
    let there = Bench::ssh(&sshd);
    let run_as = Some(user.0.parse().expect("user"));
    let here_host = Host {
        spool: None,
        run_as: run_as.clone(),
        ..here.host.clone()
    };
    let there_host = Host {
        spool: None,
        reach: reach(&user.0, &sshd),
        ..there.host.clone()
    };
    let job = job("sleep 60");
    let follower = here.executor.launch(&here_host, &job).await.expect("launch");
    let refused = told(
        there
            .executor
            .launch(&there_host, &self::job("echo no"))
            .await
            .expect("launch"),
    )
    .await;
    assert!(matches!(refused.evidence, Evidence::Locked { .. }), "{refused:?}");
    let stop = here
        .executor
        .stop(&here_host, job.id, StopReason::Cancel, Span::from_secs(5))
        .await
        .expect("stop");
    assert!(stop.gone, "{stop:?}");
    assert_eq!(told(follower).await.code(), 143);
    there.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_launch_does_not_lock_out_the_next_one() {
    let mut seeded = Seeded::new();
    let bench = Bench::local();
    let began = Instant::now();
    bench.run("true").await;
    let usual = began.elapsed().as_micros().min(200_000) as u64;
    for round in 0..60 {
        let first = job("true");
        let launch = async { bench.executor.launch(&bench.host, &first).await };
        let ask = async {
            tokio::time::sleep(Duration::from_micros(seeded.next() % usual)).await;
            bench
                .executor
                .ask(&bench.host, first.id, true)
                .await
                .expect("ask")
                .evidence
        };
        let asked = tokio::select! {
            asked = ask => asked,
            _ = launch => continue,
        };
        if asked == Evidence::NeverStarted {
            let next = Job {
                id: JobId { launch: 2, ..first.id },
                ..first
            };
            let told = told(bench.executor.launch(&bench.host, &next).await.expect("launch")).await;
            assert_eq!(told.code(), 0, "round {round}");
        }
    }
}
