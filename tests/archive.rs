//! What sweeps take is in the archive first: it verifies alone, nothing is lost by a kill or a full disk, and what
//! people want kept stays. Rows grow old by the dashboard's own clock, so that the chain stays what it was.

mod support;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use quarterdeck::store::archive::{self, Range};
use quarterdeck::store::{EventFilter, Store};
use serde_json::{Value, json};
use support::cli::{json as cli_json, quarterdeck};
use support::disk::SmallDisk;
use support::fake_clock::FakeClock;
use support::page::Browser;
use support::{Dashboard, id_of, wait_for};

const DAY: i64 = 86_400;

const OPS: &str = "[probe]\ninterval = \"0s\"\n\
     [[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n\
     [[op]]\nid = \"waits\"\nscript = \"while [ ! -e \\\"$HOME/go\\\" ]; do sleep 0.05; done\"\n\
     [[pipeline]]\nid = \"both\"\nstages = [{ op = \"uptime\" }, { op = \"three\" }]\n";

fn alter(qd: &Dashboard, sql: &str) {
    let file = qd.path("data/quarterdeck.db");
    let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    connection
        .batch_execute(&format!("PRAGMA busy_timeout=5000; {sql}"))
        .expect("altered");
}

/// A dashboard that believes it is as many days ago.
async fn ago(days: i64, config: &str) -> (Dashboard, FakeClock) {
    let mut qd = Dashboard::prepare(config);
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-days * DAY);
    qd.start_again().await;
    (qd, clock)
}

/// As if the days had gone by with a sweep in each hour: the clock is right from the next start on.
async fn until_today(qd: &mut Dashboard, clock: &FakeClock) {
    qd.stop().await;
    clock.is_off_by(0);
    alter(qd, "DELETE FROM sweeps;");
}

async fn ended(qd: &Dashboard, op: &str) -> String {
    let id = qd.accepted(op, "localhost").await;
    qd.until_final(&id).await;
    id
}

async fn pipeline(qd: &Dashboard) -> String {
    let (_, answer) = qd
        .post("/pipelines", &json!({"name": "both", "hosts": ["localhost"]}))
        .await;
    let id = id_of(&answer);
    wait_for("the pipeline's end", async || {
        let (_, row) = qd.get(&format!("/pipelines/{id}")).await;
        (!row["finished_at"].is_null()).then_some(())
    })
    .await;
    id
}

async fn gone(qd: &Dashboard, path: &str) {
    wait_for(&format!("{path} to go"), async || {
        (qd.get(path).await.0 == 404).then_some(())
    })
    .await;
}

async fn swept(qd: &Dashboard) {
    let (status, answer) = qd.post("/sweep", &json!({})).await;
    assert!(
        (200..300).contains(&status) && answer["postponed_until"].is_null(),
        "{answer}"
    );
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    files.sort();
    files
}

fn whole(qd: &Dashboard) -> Vec<PathBuf> {
    files(&qd.path("data/archive"), ".jsonl.gz")
}

/// With another program than ours.
fn lines(file: &Path) -> Vec<Value> {
    let output = Command::new("gzip").arg("-dc").arg(file).output().expect("gzip");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn pack(file: &Path, text: &str) {
    let out = std::fs::File::create(file).expect("file");
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(out)
        .spawn()
        .expect("gzip");
    gzip.stdin
        .take()
        .expect("stdin")
        .write_all(text.as_bytes())
        .expect("written");
    assert!(gzip.wait().expect("gzip").success());
}

async fn verified(qd: &Dashboard) {
    let (code, text, err) = quarterdeck(qd, "audit verify").await;
    assert_eq!(code, 0, "{text}{err}");
    let names: Vec<String> = whole(qd).iter().map(|file| file.display().to_string()).collect();
    if !names.is_empty() {
        let (code, text, err) = quarterdeck(qd, &format!("audit verify --archive {}", names.join(" "))).await;
        assert_eq!(code, 0, "{text}{err}");
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o777
}

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

fn text_of(file: &Path) -> String {
    let output = Command::new("gzip").arg("-dc").arg(file).output().expect("gzip");
    String::from_utf8(output.stdout).expect("text")
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

#[tokio::test]
async fn what_people_keep_and_hold_stays_and_the_rest_still_verifies() {
    let config = format!("{OPS}[retention]\naudit_days = 100\n");
    let (mut qd, clock) = ago(40, &config).await;
    let kept = ended(&qd, "three").await;
    let run = pipeline(&qd).await;
    let free = ended(&qd, "three").await;
    clock.is_off_by(-35 * DAY);
    let held = ended(&qd, "three").await;
    clock.is_off_by(-32 * DAY);
    let after = ended(&qd, "three").await;
    let (code, out, err) = quarterdeck(&qd, &format!("keep {kept} --reason evidence")).await;
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(quarterdeck(&qd, &format!("keep {kept} --reason again")).await.0, 4);
    let busy = qd.accepted("waits", "localhost").await;
    let refused = qd.run("uptime", "localhost").await;
    assert_eq!(refused["status"], "BLOCKED", "{refused}");
    std::fs::write(qd.path("home/go"), "").expect("go");
    qd.until_final(&busy).await;
    let (status, row) = qd
        .post(
            &format!("/commands/{}/keep", id_of(&refused)),
            &json!({"reason": "refused"}),
        )
        .await;
    assert_eq!(status, 202, "what was refused when it was asked for can be kept: {row}");
    let rows = cli_json(&qd, &format!("pipeline keep {run} --reason audit")).await;
    assert_eq!(rows[0]["kept_reason"], "audit", "{rows:?}");
    let (status, row) = qd
        .post(&format!("/commands/{free}/keep"), &json!({"reason": "for now"}))
        .await;
    assert_eq!(status, 202, "{row}");
    let (code, out, err) = quarterdeck(&qd, &format!("unkeep {free}")).await;
    assert_eq!(code, 0, "{out}{err}");
    let admin = Browser::signed_in(&qd).await;
    // The day of one of them, as somebody types it into the page.
    let at = qd.command(&held).await["created_at"].as_str().expect("time").to_owned();
    let (from, until) = (
        format!("{}T00:00:00Z", &at[..10]),
        format!("{}T23:59:59.999999Z", &at[..10]),
    );
    let (status, page) = admin
        .send("/settings/holds", &format!("from={until}&until={from}&reason=x"))
        .await;
    assert_eq!(status, 422);
    assert!(page.contains("must be later than the beginning"), "{page}");
    let place = admin
        .press(
            "/settings/holds",
            &format!("from={from}&until={until}&reason=case+4711"),
        )
        .await;
    assert_eq!(place, "/settings#holds");
    let count = |what: &str| -> i64 { qd.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("number") };
    let (audit, of_held) = (
        count("event_log WHERE category = 'audit'"),
        count(&format!("event_log WHERE command_id = '{held}'")),
    );
    until_today(&mut qd, &clock).await;
    qd.start_again().await;
    gone(&qd, &format!("/commands/{free}")).await;
    gone(&qd, &format!("/commands/{after}")).await;
    let file = wait_for("the archive file", async || whole(&qd).pop()).await;
    for path in [
        format!("/commands/{kept}"),
        format!("/commands/{held}"),
        format!("/pipelines/{run}"),
    ] {
        assert_eq!(qd.get(&path).await.0, 200, "{path}");
    }
    assert!(qd.path(&format!("data/output/{kept}")).exists() && qd.path(&format!("data/output/{held}")).exists());
    let count = |what: &str| -> i64 { qd.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("number") };
    assert_eq!(count(&format!("event_log WHERE command_id = '{held}'")), of_held);
    assert!(
        count(&format!(
            "event_log WHERE command_id = '{kept}' AND category = 'system'"
        )) > 2
    );
    assert!(
        count(&format!(
            "event_log WHERE pipeline_id = '{run}' AND category = 'system'"
        )) > 2
    );
    assert_eq!(
        count(&format!(
            "event_log WHERE command_id = '{free}' AND category = 'system'"
        )),
        0
    );
    assert!(count("event_log WHERE category = 'audit'") >= audit, "kept for longer");
    assert!(count("swept_events") > 3, "holes between what stays");
    let archived = lines(&file);
    assert!(archived.iter().all(|line| line["category"] != "audit"));

    // The page says it all, to an admin with forms.
    let admin = Browser::signed_in(&qd).await;
    let (status, page) = admin.get("/settings").await;
    assert_eq!(status, 200);
    for text in [
        "100 days",
        "case 4711",
        "Release hold 1",
        "No outside witness",
        "BEGIN PUBLIC KEY",
        "400 days",
        "-sweep-",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    let (_, page) = admin.get(&format!("/commands/{kept}")).await;
    assert!(
        page.contains("evidence") && page.contains("No longer keep it"),
        "{page}"
    );
    let (_, page) = admin.get(&format!("/pipelines/{run}")).await;
    assert!(page.contains("No longer keep it"), "{page}");
    qd.stop().await;
    verified(&qd).await;

    // Released and no longer kept, they go with the next sweep.
    qd.start_again().await;
    let (status, answer) = qd.post("/holds/1/release", &json!({"reason": "closed"})).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(qd.post("/holds/1/release", &json!({"reason": "closed"})).await.0, 409);
    let admin = Browser::signed_in(&qd).await;
    assert_eq!(
        admin.press(&format!("/commands/{kept}/unkeep"), "").await,
        format!("/commands/{kept}")
    );
    admin.press(&format!("/pipelines/{run}/unkeep"), "").await;
    swept(&qd).await;
    for path in [format!("/commands/{kept}"), format!("/commands/{held}")] {
        assert_eq!(qd.get(&path).await.0, 404, "{path}");
    }
    assert_eq!(
        qd.get(&format!("/pipelines/{run}")).await.0,
        200,
        "it has the newest success of uptime here, and stays whole"
    );
    qd.stop().await;
    verified(&qd).await;
    let forged = qd.path("data/quarterdeck.db");
    alter(
        &qd,
        &format!("UPDATE pipelines SET kept_reason = 'none' WHERE id = '{run}'"),
    );
    assert!(forged.exists());
    alter(
        &qd,
        &format!("UPDATE pipelines SET kept_by = 'user:bob' WHERE id = '{run}'"),
    );
    let (code, text, _) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 1, "a mark is part of the row: {text}");
}

/// Events of last month, of the database's own making; the next start links them.
fn fill(qd: &Dashboard, events: i64) {
    let triggers = qd.sql(
        "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE name IN ('event_log_is_not_rewritten', 'event_log_is_linked_once')",
    );
    alter(
        qd,
        &format!(
            "DROP TRIGGER event_log_is_not_rewritten; DROP TRIGGER event_log_is_linked_once; DELETE FROM checkpoints; \
             UPDATE event_log SET timestamp = '2026-01-01 00:00:00.000000', link = zeroblob(32); \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events}) \
             INSERT INTO event_log (timestamp, category, level, actor, action, message) \
             SELECT '2026-01-01 00:00:01.' || printf('%06d', i), 'system', 'info', 'system', 'x', 'number ' || i FROM n; \
             DELETE FROM sweeps; {triggers};"
        ),
    );
}

#[tokio::test]
async fn a_sweep_that_is_killed_anywhere_loses_nothing() {
    const EVENTS: i64 = 6_000;
    let mut qd = Dashboard::start(OPS).await;
    qd.stop().await;
    fill(&qd, EVENTS);
    let mut cut_off = 0;
    // Each life is killed a little later in its sweep, until one comes to its end.
    for life in 1..40 {
        qd.start_blindly();
        let at = EVENTS * life / 10;
        let over = wait_for("the sweep to be under way", async || {
            let gone: i64 = EVENTS
                - qd.sql("SELECT count(*) FROM event_log WHERE message LIKE 'number %'")
                    .parse::<i64>()
                    .expect("number");
            if qd.sql("SELECT count(*) FROM sweeps") == "1" {
                return Some(true);
            }
            (gone >= at.min(EVENTS)).then_some(false)
        })
        .await;
        qd.kill().await;
        // Wherever it was killed: each number is in the table, or in a file.
        let mut there: BTreeSet<String> = numbers(&qd);
        assert_eq!(there.len() as i64, EVENTS, "life {life}");
        there.clear();
        if over {
            break;
        }
        cut_off += 1;
    }
    assert!(cut_off >= 3, "it was killed in its midst: {cut_off}");
    qd.start_again().await;
    swept(&qd).await;
    assert!(files(&qd.path("data/archive"), ".part").is_empty(), "taken over");
    assert_eq!(numbers(&qd).len() as i64, EVENTS);
    qd.stop().await;
    verified(&qd).await;
}

/// The numbers of all events, of the table and, by our own reader, of the archive, each once.
fn numbers(qd: &Dashboard) -> BTreeSet<String> {
    let data = qd.path("data");
    let table = qd.sql("SELECT coalesce(group_concat(message), '') FROM event_log WHERE message LIKE 'number %'");
    let mut all: BTreeSet<String> = table
        .split(',')
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect();
    let reader = Store::open_copy(&data.join("quarterdeck.db")).expect("opens");
    let mut rows = archive::events(&data, Range::default(), |row| row.message.starts_with("number ")).expect("archive");
    while let Some(some) = rows.batch(&reader, 1_000).expect("read") {
        for row in some {
            assert!(all.insert(row.message.clone()), "twice: {}", row.message);
        }
    }
    all
}

#[tokio::test]
async fn a_sweep_that_cannot_be_archived_removes_nothing_and_says_so() {
    let (disk, mut qd) = SmallDisk::with_dashboard(32, &format!("low_space = 0\n{OPS}"));
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-40 * DAY);
    qd.start_again().await;
    let old = ended(&qd, "three").await;
    // A file in the place of the folder: no archive can be written, whatever the space.
    std::fs::write(disk.data().join("archive"), "in the way").expect("written");
    clock.is_off_by(0);
    let sweep = async || qd.post("/sweep", &json!({})).await;
    let (_, announced) = sweep().await;
    assert!(announced["postponed_until"].is_string(), "{announced}");
    clock.is_off_by(DAY / 24 * 2);
    let (status, answer) = sweep().await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer.to_string().contains("archive"), "{answer}");
    assert_eq!(qd.get(&format!("/commands/{old}")).await.0, 200, "nothing was removed");
    let events = qd.events().await;
    let said = |event: &&Value| event["action"] == "sweep" && event["category"] == "error";
    assert!(events.iter().any(|event| said(&event)), "an event says so");
    let ready = reqwest::get(format!("{}/readyz", qd.url)).await.expect("an answer");
    let status = ready.status().as_u16();
    let text = ready.text().await.expect("text");
    assert!(status == 503 && text.contains("sweep failed"), "{status} {text}");

    // With room for the folder, but none on the disk.
    std::fs::remove_file(disk.data().join("archive")).expect("removed");
    std::fs::create_dir(disk.data().join("archive")).expect("folder");
    disk.fill(0);
    let (status, answer) = sweep().await;
    assert!(status >= 400, "{answer}");
    assert_eq!(qd.get(&format!("/commands/{old}")).await.0, 200, "nothing was removed");
    disk.empty();
    wait_for("a sweep that can", async || {
        ((200..300).contains(&sweep().await.0)).then_some(())
    })
    .await;
    assert_eq!(qd.get(&format!("/commands/{old}")).await.0, 404);
    let ready = reqwest::get(format!("{}/readyz", qd.url)).await.expect("an answer");
    assert_eq!(ready.status().as_u16(), 200, "{:?}", ready.text().await);
    assert_eq!(files(&disk.data().join("archive"), ".part").len(), 0);
    assert_eq!(files(&disk.data().join("archive"), ".jsonl.gz").len(), 1);
}

#[tokio::test]
async fn archive_files_go_after_their_time_but_not_what_is_held() {
    let config = format!("{OPS}[retention]\narchive_days = 10\n");
    let (mut qd, clock) = ago(100, &config).await;
    let first = ended(&qd, "three").await;
    until_today(&mut qd, &clock).await;
    clock.is_off_by(-60 * DAY);
    qd.start_again().await;
    gone(&qd, &format!("/commands/{first}")).await;
    wait_for("its file", async || whole(&qd).pop()).await;
    let at = clock_of(&qd, "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-101 days')");
    let until = clock_of(&qd, "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-99 days')");
    let (status, hold) = qd
        .post("/holds", &json!({"from": at, "until": until, "reason": "a case"}))
        .await;
    assert_eq!(status, 201, "{hold}");
    until_today(&mut qd, &clock).await;
    qd.start_again().await;
    swept(&qd).await;
    let names = whole(&qd);
    assert!(!names.is_empty(), "its rows are held");
    let oldest = names[0].clone();
    qd.post("/holds/1/release", &json!({"reason": "closed"})).await;
    swept(&qd).await;
    assert!(!oldest.exists(), "past its time, and nobody holds it");
    let events = qd.events().await;
    assert!(
        events.iter().any(|event| event["action"] == "sweep:archive"),
        "an event says so"
    );
}

fn clock_of(qd: &Dashboard, query: &str) -> String {
    qd.sql(query.trim_start_matches("SELECT "))
}

#[tokio::test]
async fn settings_are_for_all_who_see_and_holds_for_admins() {
    let qd = Dashboard::start(OPS).await;
    let (status, answer) = qd.post("/holds", &json!({"from": "2026-01-01", "reason": " "})).await;
    assert_eq!(status, 422, "{answer}");
    let admin = Browser::signed_in(&qd).await;
    let (status, page) = admin.get("/settings").await;
    assert_eq!(status, 200);
    for text in [
        "7 days",
        "30 days",
        "400 days",
        "No outside witness: this proves accident, not honesty",
        "Hold a range",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    let file = qd.path("bad.toml");
    for (text, names) in [
        ("audit_days = 3", "audit_days"),
        ("archive_days = 0", "archive_days"),
        ("archive = 1", "true or false"),
    ] {
        std::fs::write(
            &file,
            format!("data_dir = \"{}\"\n[retention]\n{text}\n", qd.path("other").display()),
        )
        .expect("config");
        let output = qd
            .program_with(&file)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .output()
            .expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}: {said}");
        assert!(said.contains(names), "{text}: {said}");
    }
}
