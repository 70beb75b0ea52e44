//! Events as lines of a file: as the API has them, owner only, through rotation and a line that was cut off.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::support::{Dashboard, lines_of, wait_for};
use super::{OPS, first_seen, id, ids, something};

fn rows(files: &[&Path]) -> Vec<Value> {
    let lines = files.iter().flat_map(|file| lines_of(file));
    lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
}

async fn until_all(dashboard: &Dashboard, files: &[&Path]) {
    wait_for("every event in the file", async || {
        (first_seen(rows(files).iter().map(id)) == ids(dashboard).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn lines_are_the_apis_rows_through_rotation_and_a_kill() {
    let mut dashboard = Dashboard::prepare(&format!(
        "{OPS}\n[[forward]]\nname = \"lines\"\nfile = \"events.jsonl\"\nfrom = \"start\"\n"
    ));
    dashboard.start_again().await;
    let file = dashboard.path("events.jsonl");
    dashboard.accepted("quick", "localhost").await;
    until_all(&dashboard, &[&file]).await;
    assert_eq!(
        std::fs::metadata(&file).expect("file").permissions().mode() & 0o777,
        0o600
    );
    let all = dashboard.events().await;
    let written = rows(&[&file]);
    assert_eq!(written[0], all[0], "the same shape as in the API");
    assert_eq!(written[0]["link"].as_str().map(str::len), Some(64));

    let old = dashboard.path("events.jsonl.1");
    std::fs::rename(&file, &old).expect("rotated");
    something(&dashboard).await;
    wait_for("a new file", async || file.exists().then_some(())).await;
    until_all(&dashboard, &[&old, &file]).await;
    assert_eq!(
        std::fs::metadata(&file).expect("file").permissions().mode() & 0o777,
        0o600
    );

    // A line was cut off by a loss of power: it stays as it is, and the next one is whole.
    dashboard.kill().await;
    let mut torn = std::fs::File::options().append(true).open(&file).expect("file");
    torn.write_all(b"{\"id\": 99999, \"acti").expect("torn");
    drop(torn);
    dashboard.start_again().await;
    something(&dashboard).await;
    until_all(&dashboard, &[&old, &file]).await;
    let broken = lines_of(&file)
        .into_iter()
        .filter(|line| serde_json::from_str::<Value>(line).is_err());
    assert_eq!(broken.collect::<Vec<_>>(), ["{\"id\": 99999, \"acti"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_an_outage_until_it_can() {
    let dashboard = Dashboard::start(&format!(
        "{OPS}\n[[forward]]\nname = \"lines\"\nfile = \"sub/events.jsonl\"\nfrom = \"start\"\n"
    ))
    .await;
    super::until_event(&dashboard, "forward:failing").await;
    std::fs::create_dir(dashboard.path("sub")).expect("folder");
    super::until_event(&dashboard, "forward:back").await;
    until_all(&dashboard, &[&dashboard.path("sub/events.jsonl")]).await;
}
