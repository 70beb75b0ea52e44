//! A real dashboard, killed at random instants in the middle of a pipeline.

use std::fs;

use quarterdeck::domain::{CommandStatus, LimitsGiven, Reach, Span};
use quarterdeck::store::{Journal, NewHost, Store};

use crate::inside::{alice, open, ops, wish};
use crate::support::sshd::Sshd;
use crate::support::{Dashboard, Dice, lines_of, wait_for};

/// The issue's own sentence: 20 hosts, two fail, the dashboard is killed twice at random instants.
#[tokio::test]
async fn twenty_hosts_two_failures_and_two_kills_give_exactly_the_right_matrix() {
    let mut dice = Dice::new();
    let sshd = Sshd::start_with("MaxStartups 100\nMaxSessions 20", &[]);
    let config = format!(
        "[ssh]\nconfig_file = \"{}\"\n[probe]\ninterval = \"0s\"\n",
        sshd.ssh_config.display()
    );
    let mut qd = Dashboard::start(&config).await;
    qd.kill().await;
    let names: Vec<String> = (1..=20).map(|n| format!("web-{n:02}")).collect();
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();

    // Started by a dashboard without doors in the same folder, which stops at once.
    let (store, engine) = open(qd.dir.path(), Span::from_secs(900), Some(sshd.ssh_config.clone()));
    engine.recover().await.expect("recovered");
    for name in &names {
        let host = NewHost {
            name: name.parse().expect("name"),
            reach: Reach::ssh(&format!("127.0.0.1:{}", sshd.port)).expect("reach"),
            spool: Some(
                format!("{}/spool-{name}", qd.dir.path().display())
                    .parse()
                    .expect("spool"),
            ),
            run_as: None,
            tags: Vec::new(),
            automatic: false,
        };
        engine.add_host(host, alice()).await.expect("added");
    }
    let marks = qd.dir.path().join("marks");
    fs::write(marks.join("pull.fail.web-07"), "").expect("mark");
    fs::write(marks.join("switch.fail.web-15"), "").expect("mark");
    let file = qd.dir.path().join("quarterdeck.toml");
    let text = fs::read_to_string(&file).expect("config");
    fs::write(&file, format!("{text}{}", ops(&marks))).expect("config");
    let limits = LimitsGiven {
        max_parallel: Some(6),
        ..LimitsGiven::default()
    };
    let id = engine
        .start_pipeline(wish("do-all", &wanted, limits), alice())
        .await
        .expect("started")
        .id;
    engine.stop().await;
    drop(engine);
    store.clean_stop().await.expect("journaled");
    tokio::task::spawn_blocking(move || store.close())
        .await
        .expect("closed");

    let ended = |qd: &Dashboard| {
        let count = format!("SELECT count(*) FROM commands WHERE pipeline_id = '{id}' AND finished_at IS NOT NULL");
        qd.sql(&count).parse::<u64>().expect("number")
    };
    for kill in 0..2 {
        qd.start_again().await;
        let some = 20 * kill + dice.below(25);
        wait_for("some rows", async || (ended(&qd) >= some).then_some(())).await;
        tokio::time::sleep(std::time::Duration::from_millis(dice.below(800))).await;
        eprintln!("killed with {} of 60 rows at their end", ended(&qd));
        qd.kill().await;
    }
    qd.start_again().await;
    let status = wait_for("the end", async || {
        let query = format!("SELECT status || ' ' || coalesce(hold_reason, '') FROM pipelines WHERE id = '{id}'");
        let status = qd.sql(&query);
        (!status.starts_with("RUNNING")).then_some(status)
    })
    .await;
    let reader = Store::open_read_only(&qd.path("data")).expect("opens");
    let rows = reader
        .read(move |journal: &mut Journal| journal.commands_of_pipeline(id))
        .await
        .expect("read");
    assert_eq!(status.trim(), "PARTIAL", "{}", qd.log());
    assert_eq!(rows.len(), 60);
    for row in &rows {
        let expected = match (row.host.as_str(), row.stage) {
            ("web-07", Some(0)) | ("web-15", Some(1)) => CommandStatus::Error,
            ("web-07", _) | ("web-15", Some(2)) => CommandStatus::Skipped,
            _ => CommandStatus::Success,
        };
        assert_eq!(row.status, expected, "{row:?}");
    }
    for (op, out) in [
        ("pull", vec![]),
        ("switch", vec!["web-07"]),
        ("test", vec!["web-07", "web-15"]),
    ] {
        let mut started = lines_of(&marks.join(format!("{op}.started")));
        started.sort();
        let expected: Vec<&str> = wanted.iter().copied().filter(|name| !out.contains(name)).collect();
        assert_eq!(started, expected, "{op}: once on each host");
    }
}
