//! Many log-ins at once cost two turns of hashing at a time: other pages answer, and the memory stays what it was.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use serde_json::json;

use super::browser::Browser;
use super::support::Dashboard;
use super::{OPS, user};

/// The most memory that the dashboard has had so far, in KiB.
fn peak(dashboard: &Dashboard) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", dashboard.pid())).expect("its status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

#[tokio::test]
async fn a_flood_of_log_ins_leaves_the_pages_answering() {
    const FLOOD: usize = 120;
    let dashboard = Dashboard::start(&format!("proxies = [\"127.0.0.0/8\"]\n{OPS}")).await;
    user(&dashboard, "alice", "viewer").await;
    let mut alice = Browser::of(&dashboard, "alice").await;
    alice.get("/").await;
    let before = peak(&dashboard);
    let client = reqwest::Client::new();
    // Each from a network of its own, so that no limit but the hashing itself is in the way.
    let guess = |n: usize| {
        let body = json!({ "name": format!("nobody{n}"), "password": "wrong-wrong-wrong" });
        let request = client.post(format!("{}/api/v1/login", dashboard.url));
        request
            .header("x-forwarded-for", format!("198.51.{n}.7"))
            .json(&body)
            .send()
    };
    let begun = Instant::now();
    let flood = async {
        let answers = join_all((0..FLOOD).map(guess)).await;
        (answers, begun.elapsed())
    };
    let pages = async {
        let mut slowest = Duration::ZERO;
        for path in ["/", "/history", "/log", "/account", "/"] {
            let begun = Instant::now();
            assert_eq!(alice.get(path).await.status, 200, "{path}");
            slowest = slowest.max(begun.elapsed());
        }
        (slowest, begun.elapsed())
    };
    let ((answers, flooded), (slowest, looked)) = join(flood, pages).await;
    for answer in answers {
        let status = answer.expect("an answer").status().as_u16();
        assert!(status == 403 || status == 503, "{status}");
    }
    assert!(looked < flooded, "the pages were done first: {looked:?} of {flooded:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    // A hash takes 19 MiB: all of them at once would be two gigabytes.
    let more = peak(&dashboard).saturating_sub(before);
    assert!(more < 8 * 19 * 1024, "{more} KiB more");
}
