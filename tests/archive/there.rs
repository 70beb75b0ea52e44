//! `audit verify` reads the files of the archive, too: each that a sweep signed and retention has not removed is there
//! and whole, and nothing honest alarms it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::old::{DAY, OPS, ago, alter, ended, gone, lines, pack, swept, text_of, until_today, verified, whole};
use crate::support::cli::quarterdeck;
use crate::support::fake_clock::FakeClock;
use crate::support::{Dashboard, files, wait_for};

/// A dashboard of today, at rest, with two sweeps behind it, and their files.
async fn two_sweeps(config: &str) -> (Dashboard, FakeClock, Vec<PathBuf>) {
    let (mut qd, clock) = ago(100, config).await;
    let first = ended(&qd, "three").await;
    until_today(&mut qd, &clock).await;
    clock.is_off_by(-60 * DAY);
    qd.start_again().await;
    gone(&qd, &format!("/commands/{first}")).await;
    let second = ended(&qd, "three").await;
    until_today(&mut qd, &clock).await;
    qd.start_again().await;
    gone(&qd, &format!("/commands/{second}")).await;
    let files = wait_for("two files", async || Some(whole(&qd)).filter(|files| files.len() == 2)).await;
    qd.stop().await;
    verified(&qd).await;
    (qd, clock, files)
}

/// A copy of a data folder.
struct Copied(tempfile::TempDir);

impl Copied {
    fn of(qd: &Dashboard) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let done = Command::new("cp")
            .arg("-r")
            .arg(qd.path("data"))
            .arg(dir.path())
            .status();
        assert!(done.expect("cp").success());
        Self(dir)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// The same file of the archive, here.
    fn file(&self, of: &Path) -> PathBuf {
        self.data().join("archive").join(of.file_name().expect("name"))
    }

    fn verify(&self, more: &[&str]) -> (i32, String) {
        run(Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .arg("--data-dir")
            .arg(self.data())
            .args(["audit", "verify"])
            .args(more))
    }

    /// Something is found, and its first line names all of this; but not where the archive is left out.
    fn found(&self, what: &str, names: &[&str]) {
        let (code, text) = self.verify(&[]);
        assert_eq!(code, 1, "{what}: {text}");
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("DOES NOT FIT"), "{what}: {text}");
        for name in names {
            assert!(first.contains(name), "{what}: expected {name} in {first}");
        }
        let (code, text) = self.verify(&["--no-archive"]);
        assert_eq!(code, 0, "{what}: {text}");
        assert!(text.contains("files of the archive were not read"), "{text}");
    }

    fn fits(&self, what: &str, says: &str) {
        let (code, text) = self.verify(&[]);
        assert_eq!(code, 0, "{what}: {text}");
        assert!(text.contains(says), "{what}: expected {says} in {text}");
    }
}

fn run(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

fn name_of(file: &Path) -> String {
    file.file_name().expect("name").to_string_lossy().into_owned()
}

/// `…-sweep-17.jsonl.gz`, as the checkpoint says: `checkpoint 17`.
fn checkpoint_of(file: &Path) -> String {
    let name = name_of(file);
    let number = name.split("-sweep-").nth(1).and_then(|rest| rest.split('.').next());
    format!("checkpoint {}", number.expect("a number"))
}

/// As it is called before it has its name.
fn part_of(file: &Path) -> PathBuf {
    let name = name_of(file);
    let stamp = name.split("-sweep-").next().expect("a stamp");
    file.with_file_name(format!("{stamp}.part"))
}

#[tokio::test]
async fn verify_finds_what_is_wrong_with_the_archive() {
    let (qd, _, files) = two_sweeps(OPS).await;
    let (first, second) = (&files[0], &files[1]);
    let copied = Copied::of(&qd);
    copied.fits("as it is", "2 archive files");
    let bytes = fs::read(first).expect("file");
    let names = [name_of(first), checkpoint_of(first)];
    let names = names.each_ref().map(String::as_str);
    let with = |what: &str, changed: &[u8], says: &str| {
        let copied = Copied::of(&qd);
        fs::write(copied.file(first), changed).expect("written");
        copied.found(what, &[names[0], names[1], says]);
    };
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 0x10;
    with("a flipped bit", &flipped, "");
    with("a torn tail", &bytes[..bytes.len() - 40], "cannot be read to its end");
    with("nothing in it", b"", "");
    let other = fs::read(second).expect("file");
    with("another sweep's", &other, "another sweep's");
    // What a reader goes by who looks for a range stands in the header, which no digest is of.
    let mut elsewhen = bytes.clone();
    let range = b"{\"event\":[\"2020-01-01T00:00:00.000000Z\",\"2020-01-02T00:00:00.000000Z\"]}";
    elsewhen[16..16 + 512].fill(b' ');
    elsewhen[16..16 + range.len()].copy_from_slice(range);
    with("another range in its header", &elsewhen, "of other times");

    let copied = Copied::of(&qd);
    fs::remove_file(copied.file(first)).expect("removed");
    copied.found("a missing file", &[names[0], names[1], "missing"]);
    let part = copied.data().join("archive/2020-01-01T000000.000000Z.part");
    fs::write(&part, "").expect("written");
    copied.found("an empty part is no excuse", &[names[0], "missing"]);
    fs::remove_file(copied.file(second)).expect("removed");
    fs::copy(first, &part).expect("copied");
    let (code, text) = copied.verify(&[]);
    assert_eq!(code, 1, "another sweep's part is none: {text}");
    assert!(text.contains(&name_of(second)) && text.contains(names[0]), "{text}");
    fs::remove_dir_all(copied.data().join("archive")).expect("removed");
    copied.found("no folder", &["no such folder", names[0], "--no-archive"]);

    let copied = Copied::of(&qd);
    fs::copy(
        first,
        copied
            .data()
            .join("archive/2026-01-01T000000.000000Z-sweep-999.jsonl.gz"),
    )
    .expect("copied");
    copied.fits("a file too many", "of no sweep of this journal");
    let (code, out, err) = quarterdeck(&qd, "audit verify --json").await;
    let verdict: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &verdict["archives"]), (0, &2.into()), "{out}{err}");
}

#[tokio::test]
async fn a_copy_without_its_archive_is_a_forgotten_flag() {
    let (qd, _, _) = two_sweeps(OPS).await;
    let copied = Copied::of(&qd);
    let lone = copied.0.path().join("copy.db");
    fs::copy(copied.data().join("quarterdeck.db"), &lone).expect("copied");
    let kept = ended_output(&qd);
    let verify = |more: &[&str]| {
        run(Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .args(["audit", "verify"])
            .arg(&lone)
            .args(more))
    };
    let (code, text) = verify(&[]);
    assert_eq!(code, 2, "{text}");
    assert_eq!(text.contains("--no-outputs"), kept, "{text}");
    assert!(
        text.contains("--no-archive") && !text.contains("DOES NOT FIT"),
        "{text}"
    );
    let (code, text) = verify(&["--no-outputs"]);
    assert!(code == 2 && !text.contains("with --no-outputs"), "{text}");
    assert_eq!(verify(&["--no-outputs", "--no-archive"]).0, 0);
    let moved = copied.data().join("archive");
    fs::rename(moved, copied.0.path().join("archive")).expect("moved");
    let (code, text) = verify(&["--no-outputs"]);
    assert!(code == 0 && text.contains("2 archive files"), "{text}");
}

/// Whether a command that still has its row wrote output.
fn ended_output(qd: &Dashboard) -> bool {
    qd.sql("SELECT count(*) FROM commands WHERE output_bytes > 0") != "0"
}

#[tokio::test]
async fn what_a_kill_before_the_renaming_leaves_is_the_file() {
    let (mut qd, _, files_there) = two_sweeps(OPS).await;
    let (first, second) = (&files_there[0], &files_there[1]);
    let copied = Copied::of(&qd);
    let part = part_of(&copied.file(second));
    fs::rename(copied.file(second), &part).expect("renamed");
    copied.fits("whole but for its name", &name_of(&part));
    let bytes = fs::read(&part).expect("file");
    fs::write(&part, &bytes[..bytes.len() - 20]).expect("written");
    copied.fits("torn behind its lines", "2 archive files");
    fs::write(&part, &bytes[..bytes.len() / 2]).expect("written");
    copied.found(
        "torn in its lines",
        &[&name_of(second), &checkpoint_of(second), "missing"],
    );
    // The next sweep had taken it over, and was killed itself.
    let taken = copied.data().join("archive/2100-01-01T000000.000000Z.part");
    let text = text_of(second);
    let (head, rows) = text.split_once('\n').expect("a head");
    let (rows, _) = rows.split_once("{\"dashboard\"").expect("a checkpoint");
    let began = lines(second)[0]["made_at"].clone();
    let head = head.replace("\"made_at\"", &format!("\"took\":[{began}],\"made_at\""));
    pack(&taken, &format!("{head}\n{rows}"));
    copied.fits("taken over", "which has taken it over");
    let (_, fewer) = rows.split_once("\n").expect("rows");
    pack(&taken, &format!("{head}\n{fewer}"));
    copied.found("taken over, but for one", &[&name_of(second), "missing"]);
    pack(
        &taken,
        &format!("{head}\n{}", rows.replacen("asked for", "asks for", 1)),
    );
    copied.found("taken over, and changed", &[&name_of(second), "missing"]);
    // An older one cannot be on its way: the sweep behind it would have taken it over.
    let copied = Copied::of(&qd);
    fs::rename(copied.file(first), part_of(&copied.file(first))).expect("renamed");
    copied.found("an older one", &[&name_of(first), "missing"]);

    // The next sweep takes it over and says so.
    fs::rename(second, part_of(second)).expect("renamed");
    qd.start_again().await;
    wait_for("it to be taken over", async || {
        let newest = whole(&qd).pop()?;
        (newest != *first && newest != *second).then_some(())
    })
    .await;
    swept(&qd).await;
    qd.stop().await;
    assert!(files(&qd.path("data/archive"), ".part").is_empty());
    verified(&qd).await;
    let newest = whole(&qd).pop().expect("a file");
    let copied = Copied::of(&qd);
    fs::remove_file(copied.file(&newest)).expect("removed");
    copied.found("what took it over", &[&name_of(&newest), "missing"]);
}

#[tokio::test]
async fn sweeps_without_an_archive_and_files_past_their_time_are_told_in_a_note() {
    let config = |more: &str| format!("{OPS}[retention]\n{more}\n");
    let (mut qd, clock, files) = two_sweeps(&config("archive_days = 200")).await;
    let set = |qd: &Dashboard, from: &str, to: &str| {
        let file = qd.path("quarterdeck.toml");
        let text = fs::read_to_string(&file).expect("config");
        assert!(text.contains(from), "{text}");
        fs::write(&file, text.replace(from, to)).expect("config");
    };
    // The first is from 60 days ago.
    set(&qd, "archive_days = 200", "archive_days = 30\narchive = false");
    qd.start_again().await;
    alter(&qd, "DELETE FROM sweeps");
    swept(&qd).await;
    assert_eq!(whole(&qd), [files[1].clone()], "past its time");
    qd.stop().await;
    Copied::of(&qd).fits("past its time", &name_of(&files[0]));

    // Kept for longer, from now on: what is gone was gone before.
    set(&qd, "archive_days = 30", "archive_days = 300");
    clock.is_off_by(40 * DAY);
    alter(&qd, "DELETE FROM sweeps");
    qd.start_again().await;
    wait_for("a sweep", async || {
        (qd.sql("SELECT count(*) FROM event_log WHERE action = 'sweep:archive'") == "0"
            && qd.sql("SELECT count(*) FROM checkpoints WHERE kind = 'sweep'") != "2")
            .then_some(())
    })
    .await;
    swept(&qd).await;
    qd.stop().await;
    let copied = Copied::of(&qd);
    copied.fits("past its time then", &name_of(&files[0]));
    copied.fits("no archive", "without an archive");
    fs::remove_file(copied.file(&files[1])).expect("removed");
    copied.found("not past its time", &[&name_of(&files[1]), "missing"]);
    // Nobody has signed what stands in that table.
    let at = qd.sql("strftime('%Y-%m-%d %H:%M:%f000', 'now', '+900 days')");
    let database = copied.data().join("quarterdeck.db");
    let done = run(Command::new("sqlite3")
        .arg(&database)
        .arg(format!("UPDATE sweeps SET archive_before = '{at}'")));
    if done.0 == 0 {
        copied.found("with a forged cut-off", &[&name_of(&files[1]), "missing"]);
    }
}
