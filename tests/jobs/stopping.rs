//! A stop ends all of a job and proves it.

use super::*;

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
        let asked = bench.asked(job.id, false).await;
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
