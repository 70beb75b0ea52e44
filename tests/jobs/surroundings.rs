//! Login shells, kinds of sh, and what a script finds around it.

use super::*;

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
async fn busybox_and_bash_as_sh_and_no_setsid_or_nothing_but_busybox() {
    let empty = tempfile::NamedTempFile::new().expect("file");
    let no_setsid = format!("mount --bind {} $(command -v setsid) && ", empty.path().display());
    let tools = "for t in setsid tail head awk grep find sleep wc mv ln rm cat df id mkdir mkfifo ls tr sed date uname; do \
                 mount --bind $(command -v busybox) $(command -v $t) || exit 1; done; ";
    for (sh, more) in [
        ("busybox", tools),
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
async fn a_script_runs_in_surroundings_that_are_not_ours() {
    // As the dashboard does, which hears it: a shell starts what is in its background with SIGINT ignored.
    let _heard = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).expect("a handler");
    let bench = Bench::local();
    let told = bench
        .run("sh -c 'kill -INT $$; echo ignored'; echo $?; sh -c 'kill -PIPE $$; echo ignored'; echo $?; ls -l /proc/self/fd | grep -c '/base/'; pwd; read x; echo $?")
        .await;
    let home = std::env::var("HOME").expect("home");
    assert_eq!(told.text(), format!("130\n141\n1\n{home}\n1\n"));
}
