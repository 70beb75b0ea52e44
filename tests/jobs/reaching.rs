//! Dials, refusals, sudo, masters.

use super::*;

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
    for (text, says) in [
        (String::new(), "nobody here has accepted yet"),
        (format!("[127.0.0.1]:{} {other}", sshd.port), "; known: ED25519 SHA256:"),
    ] {
        let bench = Bench::ssh(&sshd);
        std::fs::write(&known, &text).expect("known_hosts");
        let refused = bench.executor.contact(&bench.host, false).await.expect_err("refused");
        let shown = bench.executor.shown_key(&bench.host).expect("the key");
        let accept = format!("quarterdeck host accept {} {}", bench.host.name, shown.key.fingerprint);
        assert!(
            matches!(&refused, HostError::HostKey(why) if why.contains(says) && why.contains(&accept)),
            "{refused}"
        );
        assert_eq!(
            std::fs::read_to_string(&known).expect("known_hosts"),
            text,
            "looking changes nothing"
        );
        // It is what every further try hears, without a dial, until somebody asks.
        let connections = sshd.log().lines().count();
        assert_eq!(
            bench
                .executor
                .contact(&bench.host, false)
                .await
                .expect_err("remembered"),
            refused
        );
        assert_eq!(sshd.log().lines().count(), connections);
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
        matches!(&refused, HostError::Sudo(text) if text.contains(&format!("{} ALL=(root) NOPASSWD", user.0))),
        "{refused}"
    );
    assert!(!refused.to_string().contains("sudo: sudo:"), "{refused}");
    bench.close().await;
}

#[tokio::test]
async fn without_sudo_doas_is_tried_and_its_line_is_said() {
    let bin = TempDir::with_prefix("qd-bin").expect("folder");
    for entry in std::fs::read_dir("/usr/bin").expect("programs").filter_map(Result::ok) {
        if entry.file_name() != "sudo" {
            std::os::unix::fs::symlink(entry.path(), bin.path().join(entry.file_name())).expect("link");
        }
    }
    let sshd = Sshd::start_with(&format!("SetEnv PATH={}", bin.path().display()), &[]);
    std::fs::set_permissions(bin.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    let user = User::with_shell("/bin/dash");
    let mut bench = Bench::new(reach(&user.0, &sshd), Some(sshd.ssh_config.clone()));
    bench.host.run_as = Some("root".parse().expect("user"));
    let refused = bench
        .executor
        .locate(&bench.host, job("").id)
        .await
        .expect_err("no doas.conf");
    assert!(
        matches!(&refused, HostError::Sudo(text) if text.contains("permit nopass")),
        "{refused}"
    );
    bench.close().await;
}

#[tokio::test]
async fn a_close_ends_every_master() {
    let sshd = Sshd::start();
    let bench = Bench::ssh(&sshd);
    bench.executor.contact(&bench.host, false).await.expect("reached");
    let masters = || {
        let entries = std::fs::read_dir("/proc").expect("proc").filter_map(Result::ok);
        let port = format!("{}\0", sshd.port);
        let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines
            .filter(|line| line.starts_with(b"ssh") && String::from_utf8_lossy(line).contains(&port))
            .count()
            + usize::from(sshd.connections() > 0)
    };
    assert!(masters() > 0);
    let executor = bench.executor.clone();
    bench.close().await;
    until("no connection is left", || masters() == 0).await;
    drop(executor);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_sshd_is_tried_again() {
    let sshd = Sshd::start_with("MaxStartups 3:60:8", &[]);
    let bench = Bench::ssh(&sshd);
    let mut contacts = tokio::task::JoinSet::new();
    for i in 0..16 {
        let host = Host {
            name: format!("host-{i}").parse().expect("name"),
            ..bench.host.clone()
        };
        let executor = bench.executor.clone();
        contacts.spawn(async move { executor.contact(&host, false).await.map(|facts| facts.kernel) });
    }
    let answers = contacts.join_all().await;
    let reached = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(reached >= 14, "{answers:?}");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_channels_to_one_host_at_once_share_one_connection() {
    let sshd = Sshd::start();
    let bench = Bench::ssh(&sshd);
    let mut contacts = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (executor, host) = (bench.executor.clone(), bench.host.clone());
        contacts.spawn(async move { executor.contact(&host, false).await });
    }
    for answer in contacts.join_all().await {
        answer.expect("reached");
    }
    assert_eq!(sshd.log().matches("Accepted").count(), 1, "{}", sshd.log());
    bench.close().await;
}

#[tokio::test]
async fn an_account_without_a_shell_says_so_in_its_own_words() {
    let sshd = Sshd::start();
    let user = User::with_shell("/usr/sbin/nologin");
    let bench = Bench::new(reach(&user.0, &sshd), Some(sshd.ssh_config.clone()));
    let refused = bench.executor.contact(&bench.host, false).await.expect_err("no shell");
    assert!(
        matches!(&refused, HostError::Unreachable(text) if text.contains("not available")),
        "{refused}"
    );
    bench.close().await;
}
