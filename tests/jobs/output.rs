//! Output arrives byte by byte, over every kind of lost connection.

use super::*;

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

#[tokio::test]
async fn waiting_for_an_event_can_be_given_up_at_any_instant() {
    let bench = Bench::local();
    let job = job("yes 0123456789abcde | head -c 20000000");
    let mut follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
    let mut seeded = Seeded::new();
    let mut length = 0;
    loop {
        match timeout(Duration::from_micros(seeded.next() % 2_000), follower.next()).await {
            Err(_) | Ok(Ok(JobEvent::At(_) | JobEvent::Started { .. } | JobEvent::Alive { .. })) => {}
            Ok(Ok(JobEvent::Output { offset, bytes })) => {
                assert_eq!(offset, length);
                length += bytes.len() as u64;
            }
            Ok(Ok(JobEvent::Ended(_))) => break,
            Ok(Err(error)) => panic!("{error}"),
        }
    }
    assert_eq!(length, 20_000_000);
}

#[tokio::test]
async fn a_frozen_connection_is_found_in_seconds_and_the_job_is_followed_again() {
    let sshd = Sshd::start();
    let bench = Bench::ssh(&sshd);
    let go = bench.dir.path().join("go");
    let job = job(&format!(
        "echo one; while [ ! -e {} ]; do sleep 0.1; done; echo two",
        go.display()
    ));
    let mut follower = bench.executor.launch(&bench.host, &job).await.expect("launch");
    while !matches!(follower.next().await.expect("output"), JobEvent::Output { .. }) {}
    sshd.freeze_connections();
    let began = Instant::now();
    let lost = loop {
        match follower.next().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(lost, HostError::Lost(_)), "{lost}");
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    std::fs::write(go, "").expect("go");
    let follower = bench.executor.follow(&bench.host, job.id, 4).await.expect("follow");
    let told = told_from(follower, 4).await.expect("end");
    assert_eq!((told.code(), told.text().as_str()), (0, "two\n"));
    bench.close().await;
}
