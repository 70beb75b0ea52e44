//! A dashboard that is killed in the middle of a pipeline, and what its page says in the end.

use std::fs;

use serde_json::json;

use crate::support::cli::json as cli_json;
use crate::support::page::{Browser, matrix_of};
use crate::support::sshd::Sshd;
use crate::support::{Dashboard, Dice, lines_of, wait_for};
use crate::{start, until_status};

/// The issue's own sentence, all of it through the front door: hosts by the API, the start by the form, what came of it
/// by the page and by the command line.
#[tokio::test]
async fn twenty_ssh_hosts_two_failures_and_two_kills_shown_on_the_page_and_by_the_command_line() {
    let mut dice = Dice::new();
    let sshd = Sshd::start_with("MaxStartups 100\nMaxSessions 20", &[]);
    let marks = tempfile::tempdir().expect("folder");
    let mark = |name: &str| marks.path().join(name);
    let op = |id: &str| {
        let marks = marks.path().display();
        format!(
            "\n[[op]]\nid = \"{id}\"\nscript = '''\necho \"$QD_HOST\" >> {marks}/{id}.started\nsleep 0.2\n\
             echo '{id} ran'\n[ ! -e {marks}/{id}.fail.$QD_HOST ]\n'''\n"
        )
    };
    let ops: String = ["pull", "switch", "test"].map(op).concat();
    let config = format!(
        "[ssh]\nconfig_file = \"{}\"\n[probe]\ninterval = \"0s\"\n{ops}",
        sshd.ssh_config.display()
    );
    let mut dashboard = Dashboard::start(&config).await;
    let names: Vec<String> = (1..=20).map(|n| format!("web-{n:02}")).collect();
    for name in &names {
        dashboard.add_ssh(name, sshd.port, &["web"]).await;
    }
    fs::write(mark("pull.fail.web-07"), "").expect("mark");
    fs::write(mark("switch.fail.web-15"), "").expect("mark");

    let browser = Browser::signed_in(&dashboard).await;
    let id = start(&browser, "name=do-all&tag=web&max_parallel=6").await;
    let path = format!("/pipelines/{id}");
    let ended = format!("SELECT count(*) FROM commands WHERE pipeline_id = '{id}' AND finished_at IS NOT NULL");
    for kill in 0..2 {
        let some = 20 * kill + dice.below(25);
        wait_for("some rows", async || {
            (dashboard.sql(&ended).parse::<u64>().expect("number") >= some).then_some(())
        })
        .await;
        tokio::time::sleep(std::time::Duration::from_millis(dice.below(500))).await;
        eprintln!("killed with {} of 60 rows at their end", dashboard.sql(&ended));
        dashboard.kill().await;
        dashboard.start_again().await;
    }
    until_status(&dashboard, &id, "PARTIAL").await;
    let (status, page) = browser.get(&path).await;
    assert_eq!(status, 200);
    let skipped = "Skipped: earlier stage failed";
    let mut expected = vec![
        format!("web-07: Failed, exit 1 | {skipped} | {skipped}"),
        format!("web-15: Succeeded | Failed, exit 1 | {skipped}"),
    ];
    let others = names
        .iter()
        .filter(|name| !["web-07", "web-15"].contains(&name.as_str()));
    expected.extend(others.map(|name| format!("{name}: Succeeded | Succeeded | Succeeded")));
    assert_eq!(matrix_of(&page), expected, "{}", dashboard.log());
    assert!(page.contains("18 of 20 hosts passed, 2 failed."), "{page}");

    // The command line says the same.
    let shown = cli_json(&dashboard, &format!("pipeline show {id}")).await;
    let row = &shown[0];
    let groups: Vec<String> = (row["results"].as_array().expect("groups").iter())
        .map(|group| {
            format!(
                "{} {} {}",
                group["stage"],
                group["status"].as_str().unwrap_or("?"),
                group["hosts"]
            )
        })
        .collect();
    assert_eq!(
        groups,
        [
            "0 SUCCESS 19",
            "0 ERROR 1",
            "1 SUCCESS 18",
            "1 ERROR 1",
            "1 SKIPPED 1",
            "2 SUCCESS 18",
            "2 SKIPPED 2"
        ],
        "{row}"
    );
    assert_eq!(
        (
            &row["status"],
            &row["counts"]["hosts_passed"],
            &row["counts"]["hosts_failed"]
        ),
        (&json!("PARTIAL"), &json!(18), &json!(2))
    );
    let matrix = matrix_of(&page);
    let cells: Vec<&str> = (matrix.iter().filter_map(|line| line.split_once(": ")))
        .flat_map(|(_, cells)| cells.split(" | "))
        .collect();
    for (words, count) in [
        ("Succeeded", "done"),
        ("Failed, exit 1", "failed"),
        (skipped, "skipped"),
    ] {
        let shown = cells.iter().filter(|cell| **cell == words).count();
        assert_eq!(json!(shown), row["counts"][count], "{count}");
    }
    for (op, out) in [
        ("pull", &[][..]),
        ("switch", &["web-07"]),
        ("test", &["web-07", "web-15"]),
    ] {
        let mut started = lines_of(&mark(&format!("{op}.started")));
        started.sort();
        let expected: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !out.contains(name))
            .collect();
        assert_eq!(started, expected, "{op}: once on each host");
    }
}
