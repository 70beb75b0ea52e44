//! Dashboards that are killed in the midst of a sweep.

use std::collections::BTreeSet;

use quarterdeck::store::Store;
use quarterdeck::store::archive::{self, Range};

use crate::old::{OPS, swept, verified};
use crate::support::cli::quarterdeck;
use crate::support::{Dashboard, chain, files, wait_for};

/// Events of last month, of the database's own making; the next start links them.
fn fill(qd: &Dashboard, events: i64) {
    chain::forget(
        &qd.path("data"),
        &format!(
            "UPDATE event_log SET timestamp = '2026-01-01 00:00:00.000000'; \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events}) \
             INSERT INTO event_log (timestamp, category, level, actor, action, message) \
             SELECT '2026-01-01 00:00:01.' || printf('%06d', i), 'system', 'info', 'system', 'x', 'number ' || i FROM n; \
             DELETE FROM sweeps"
        ),
    );
}

#[tokio::test]
async fn a_sweep_that_is_killed_anywhere_loses_nothing() {
    const EVENTS: i64 = 6_000;
    let mut qd = Dashboard::start(OPS).await;
    qd.stop().await;
    fill(&qd, EVENTS);
    let (mut cut_off, mut noted) = (0, 0);
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
        let (code, text, err) = quarterdeck(&qd, "audit verify").await;
        assert_eq!(code, 0, "life {life}: {text}{err}");
        noted += usize::from(text.contains("has not ended"));
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
    assert!(noted >= 3, "verify says that a sweep was cut off: {noted}");
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
