//! Folders of jobs: safe ones, full disks, what is cleared and what is swept.

use super::*;

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
    assert_eq!(bench.asked(job.id, true).await, Evidence::Done);
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
    assert_eq!(bench.asked(job.id, true).await, Evidence::NeverStarted);
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
async fn whatever_room_is_left_a_launch_is_refused_or_its_exit_survives() {
    let bench = Bench::local();
    let tiny = Tiny::mount(bench.base.clone(), "400k");
    bench.executor.locate(&bench.host, job("").id).await.expect("room");
    let (mut refused, mut ended) = (0, 0);
    for pages in 0..24 {
        let ballast = tiny.0.join("ballast");
        let available = nix::sys::statvfs::statvfs(&tiny.0)
            .expect("free space")
            .blocks_available() as usize;
        std::fs::write(&ballast, vec![1; available.saturating_sub(pages) * 4096]).expect("ballast");
        let job = job("echo out; exit 6");
        match bench.executor.launch(&bench.host, &job).await {
            Ok(follower) => match told_from(follower, 0).await {
                Ok(told) => {
                    assert_eq!(told.code(), 6, "{pages} pages");
                    ended += 1;
                }
                Err(error) => panic!("{pages} pages: {error}"),
            },
            Err(error) => {
                assert!(matches!(error, HostError::DiskFull(_)), "{pages} pages: {error}");
                let asked = bench
                    .executor
                    .ask(&bench.host, job.id, true)
                    .await
                    .expect("ask")
                    .evidence;
                assert_eq!(asked, Evidence::NeverStarted, "{pages} pages");
                refused += 1;
            }
        }
        std::fs::remove_file(ballast).expect("ballast");
        bench.executor.clear(&bench.host, job.id).await.expect("clear");
    }
    assert!(refused > 3 && ended > 3, "{refused} refused, {ended} ended");
}
