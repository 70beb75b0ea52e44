//! A file of the archive verifies alone, and its rows come back as rows.

use std::collections::BTreeSet;
use std::path::Path;

use quarterdeck::store::archive::{self, Range};
use quarterdeck::store::{EventFilter, Store};
use serde_json::Value;

use crate::old::{OPS, ago, ended, gone, lines, mode, pack, pipeline, text_of, until_today, verified, whole};
use crate::support::cli::quarterdeck;
use crate::support::{Dashboard, wait_for};

#[tokio::test]
async fn what_a_sweep_takes_is_in_the_archive_first_and_verifies_alone() {
    let (mut qd, clock) = ago(40, OPS).await;
    let first = ended(&qd, "uptime").await;
    let failed = ended(&qd, "three").await;
    let run = pipeline(&qd).await;
    let newest = ended(&qd, "uptime").await;
    let last: i64 = qd.sql("SELECT max(id) FROM event_log").parse().expect("number");
    until_today(&mut qd, &clock).await;
    qd.start_again().await;
    gone(&qd, &format!("/commands/{first}")).await;
    gone(&qd, &format!("/commands/{failed}")).await;
    gone(&qd, &format!("/pipelines/{run}")).await;
    let file = wait_for("the archive file", async || whole(&qd).pop()).await;
    assert_eq!(
        qd.command(&newest).await["status"],
        "SUCCESS",
        "the newest success stays"
    );
    assert_eq!(mode(&qd.path("data/archive")), 0o700);
    assert_eq!(mode(&file), 0o600);

    let lines = lines(&file);
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(lines[0]["kind"], "archive");
    assert!(
        lines[lines.len() - 1]["signature"].is_string(),
        "its checkpoint is last"
    );
    let ids: Vec<i64> = of("event")
        .iter()
        .map(|line| line["id"].as_i64().expect("id"))
        .collect();
    assert!(ids.len() as i64 >= last && ids.is_sorted(), "{ids:?}");
    let commands: BTreeSet<&str> = of("command")
        .iter()
        .filter_map(|line| line["row"]["id"].as_str())
        .collect();
    assert!(
        commands.contains(first.as_str()) && commands.contains(failed.as_str()),
        "{commands:?}"
    );
    assert_eq!(commands.len(), 4, "with the two of the pipeline");
    assert_eq!(of("pipeline").len(), 1);
    assert!(
        of("definition")
            .iter()
            .any(|line| line["text"].to_string().contains("exit 3"))
    );
    let text = |lines: &[Value]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();

    // Rows come back as rows.
    let data = qd.path("data");
    let reader = Store::open_copy(&data.join("quarterdeck.db")).expect("opens");
    let mut found = archive::commands(&data, Range::default(), |row| row.op.as_str() == "three").expect("archive");
    let rows = found.batch(&reader, 100).expect("read").expect("rows");
    assert_eq!(rows.len(), 2);
    let row = rows.iter().find(|row| row.id.to_string() == failed).expect("it");
    assert_eq!(
        (row.exit_code, row.host.as_str(), row.output_cut),
        (Some(3), "localhost", false)
    );
    let mut found = archive::pipelines(&data, Range::default(), |_| true).expect("archive");
    let row = found.next().expect("one").expect("read");
    assert_eq!(
        (row.id.to_string(), row.plan.stages.len(), row.hosts.len()),
        (run.clone(), 2, 1)
    );
    let filter = EventFilter {
        action: Some("op:three".to_owned()),
        ..EventFilter::default()
    };
    let events: Vec<_> = archive::events(&data, Range::default(), move |row| filter.fits(row))
        .expect("archive")
        .collect::<Result<_, _>>()
        .expect("read");
    assert!(
        events.iter().any(|event| event.message.contains("failed, exit 3")),
        "{events:?}"
    );
    let before = Range {
        until: Some("2020-01-01".parse().expect("time")),
        ..Range::default()
    };
    assert!(
        archive::events(&data, before, |_| true)
            .expect("archive")
            .next()
            .is_none()
    );
    drop(reader);

    qd.stop().await;
    verified(&qd).await;
    let (code, key, _) = quarterdeck(&qd, "audit key").await;
    assert_eq!(code, 0);
    let pem = qd.path("key.pem");
    std::fs::write(&pem, key).expect("key");
    let verify = async |file: &Path, more: &str| {
        quarterdeck(&qd, &format!("audit verify --archive {} {more}", file.display())).await
    };
    assert_eq!(verify(&file, &format!("--public-key {}", pem.display())).await.0, 0);
    assert_eq!(verify(&qd.path("nowhere.gz"), "").await.0, 3);

    // Whatever is changed in it is found.
    let changed = qd.path("changed.jsonl.gz");
    let raw = text_of(&file);
    let edits: [(&str, String, &str); 7] = [
        (
            "a message",
            raw.replacen("asked for three", "asked for nothing", 1),
            "event",
        ),
        ("a link", raw.replacen("\"prev\":\"", "\"prev\":\"0", 1), "line"),
        (
            "an exit code",
            raw.replacen("\"exit_code\":3", "\"exit_code\":0", 1),
            "checkpoint",
        ),
        (
            "a host",
            raw.replacen("\"host\":\"localhost\"", "\"host\":\"other\"", 1),
            "checkpoint",
        ),
        ("a row less", without(&raw, "\"kind\":\"command\""), "checkpoint"),
        ("a torn tail", raw[..raw.len() - 10].to_owned(), "the file"),
        ("no checkpoint", without(&raw, "{\"dashboard\""), "the file"),
    ];
    for (what, text, names) in edits {
        assert_ne!(text, raw, "{what}");
        pack(&changed, &text);
        let (code, said, _) = verify(&changed, "").await;
        assert_eq!(code, 1, "{what}: {said}");
        let line = said.lines().next().unwrap_or_default();
        assert!(
            line.starts_with("DOES NOT FIT") && line.contains(names),
            "{what}: {said}"
        );
    }
    let _ = text;
    let other = Dashboard::start(OPS).await;
    let (_, key, _) = quarterdeck(&other, "audit key").await;
    std::fs::write(&pem, key).expect("key");
    assert_eq!(verify(&file, &format!("--public-key {}", pem.display())).await.0, 1);
}

/// Without the first line that begins or goes on so.
fn without(text: &str, part: &str) -> String {
    let mut dropped = false;
    let lines = text.lines().filter(|line| {
        let drop = !dropped && line.contains(part);
        dropped |= drop;
        !drop
    });
    lines.map(|line| format!("{line}\n")).collect()
}
