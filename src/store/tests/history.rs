//! The history: one line for a pipeline, one for equal refusals, and what needs attention until somebody says so.

use std::collections::BTreeSet;

use diesel::RunQueryDsl as _;

use super::*;
use crate::domain::{Category, CommandId, Refusal, Timestamp};

async fn lines(
    store: &Store,
    filter: &HistoryFilter,
    cursor: Option<Cursor<CommandId>>,
    limit: i64,
) -> Page<HistoryLine> {
    let filter = filter.clone();
    let read = store
        .reader()
        .read(move |journal| journal.history_lines(&filter, cursor, limit));
    read.await.expect("read")
}

fn keys(page: &Page<HistoryLine>) -> Vec<CommandId> {
    page.rows.iter().map(HistoryLine::key).collect()
}

/// All lines by walking down, then by walking up again: each way the same, in order, none twice.
async fn walked(store: &Store, filter: &HistoryFilter, limit: i64) -> Vec<HistoryLine> {
    let mut down = Vec::new();
    let mut page = lines(store, filter, None, limit).await;
    assert_eq!(page.newer, None);
    let mut last = page.clone();
    loop {
        down.extend(page.rows.clone());
        let Some(older) = page.older else { break };
        page = lines(store, filter, Some(older), limit).await;
        last = page.clone();
    }
    let mut up: Vec<Vec<CommandId>> = vec![keys(&last)];
    while let Some(newer) = last.newer {
        last = lines(store, filter, Some(newer), limit).await;
        up.push(keys(&last));
    }
    let up: Vec<CommandId> = up.into_iter().rev().flatten().collect();
    let ids: Vec<CommandId> = down.iter().map(HistoryLine::key).collect();
    assert_eq!(up, ids);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    down
}

#[tokio::test]
async fn equal_refusals_within_a_minute_are_one_line_with_a_count() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    for host in ["web-03", "web-04"] {
        add(&store, host).await;
    }
    let open = executing(&store, "web-03").await;
    for _ in 0..49 {
        let row = store
            .request(ask("uptime", &["web-03"]))
            .await
            .expect("asked")
            .remove(0);
        assert_eq!(row.status, CommandStatus::Blocked);
    }
    // Another op is another refusal, and so is another actor.
    store.request(ask("reboot", &["web-03"])).await.expect("asked");
    let bob = Request {
        by: By::from(Actor::User("bob".to_owned())),
        ..ask("uptime", &["web-03"])
    };
    store.request(bob).await.expect("asked");
    // What a host itself refuses, later, is as equal.
    for _ in 0..3 {
        let row = store
            .request(ask("uptime", &["web-04"]))
            .await
            .expect("asked")
            .remove(0);
        let refused = store.refuse(row.id, Refusal::Auth, "no".to_owned(), None).await;
        refused.expect("written").expect("open");
    }
    let of_host = HistoryFilter {
        host: Some(open.host_id),
        ..HistoryFilter::default()
    };
    for filter in [HistoryFilter::default(), of_host] {
        for limit in [1, 2, 50] {
            let all = walked(&store, &filter, limit).await;
            let counts: Vec<i64> = all
                .iter()
                .map(|line| match line {
                    HistoryLine::Command(_, repeats) => *repeats,
                    HistoryLine::Pipeline(_) => panic!("there is none"),
                })
                .collect();
            // Newest first: the host's refusal (all hosts only), bob's, the other op's, the 49, and what runs.
            let expected: &[i64] = if filter.host.is_none() {
                &[2, 0, 0, 48, 0]
            } else {
                &[0, 0, 48, 0]
            };
            assert_eq!(counts, expected);
        }
    }
    let rows = HistoryFilter::default();
    let all = store
        .reader()
        .read(move |journal| journal.history(&rows, None, 1_000))
        .await;
    assert_eq!(
        all.expect("read").rows.len(),
        1 + 49 + 2 + 3,
        "each attempt has its row"
    );
    // An equal refusal more than a minute later is news again.
    store
        .write(|tx| {
            diesel::sql_query("UPDATE commands SET created_at = '2026-01-01 00:00:00.000000' WHERE status = 'BLOCKED'")
                .execute(&mut tx.journal.conn)?;
            Ok(())
        })
        .await
        .expect("written");
    let later = store
        .request(ask("uptime", &["web-03"]))
        .await
        .expect("asked")
        .remove(0);
    assert_eq!(later.repeat_of, None);
}

#[tokio::test]
async fn pages_that_hide_very_many_repeats_are_bounded_and_lead_on() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    add(&store, "web-03").await;
    let open = executing(&store, "web-03").await;
    for _ in 0..1_200 {
        store.request(ask("uptime", &["web-03"])).await.expect("asked");
    }
    let filter = HistoryFilter {
        host: Some(open.host_id),
        ..HistoryFilter::default()
    };
    let first = lines(&store, &filter, None, 50).await;
    assert!(first.rows.is_empty() && first.older.is_some());
    let second = lines(&store, &filter, first.older, 50).await;
    assert_eq!(second.rows.len(), 2);
    assert!(
        matches!(&second.rows[0], HistoryLine::Command(_, 1_001)),
        "as far as a count goes"
    );
    assert_eq!(
        keys(&lines(&store, &filter, second.newer, 50).await),
        [] as [CommandId; 0]
    );
    // Without a filter the index has the lines alone.
    assert_eq!(lines(&store, &HistoryFilter::default(), None, 50).await.rows.len(), 2);
}

#[tokio::test]
async fn a_pipeline_is_one_line_among_commands_unless_a_host_is_asked_for() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let mut expected = Vec::new();
    for n in 0..9 {
        add(&store, &format!("h{n}")).await;
        if n % 3 == 0 {
            let row = pipelines::started(&store, &format!("h{n}")).await;
            expected.push(row.id.among_commands());
        } else {
            expected.push(executing(&store, &format!("h{n}")).await.id);
        }
    }
    expected.reverse();
    let running = HistoryFilter {
        open_only: true,
        ..HistoryFilter::default()
    };
    let since = HistoryFilter {
        since: Some(Timestamp::now().minus(Span::from_secs(60))),
        actor: Some("alice".to_owned()),
        ..HistoryFilter::default()
    };
    for filter in [HistoryFilter::default(), running, since] {
        for limit in [1, 2, 4, 50] {
            let all = walked(&store, &filter, limit).await;
            assert_eq!(
                all.iter().map(HistoryLine::key).collect::<Vec<_>>(),
                expected,
                "{filter:?}"
            );
        }
    }
    let counts = store.reader().read(Journal::counts).await.expect("counts");
    assert_eq!(
        counts,
        Counts {
            attention: 0,
            running: 9
        }
    );
    // A host's own list has the pipeline's command there.
    let h0 = store
        .reader()
        .read(|journal| journal.host(&name("h0")))
        .await
        .expect("read")
        .expect("host");
    let filter = HistoryFilter {
        host: Some(h0.id),
        ..HistoryFilter::default()
    };
    let of_host = lines(&store, &filter, None, 50).await;
    assert!(matches!(&of_host.rows[..], [HistoryLine::Command(row, 0)] if row.pipeline_id.is_some()));
    let tomorrow = HistoryFilter {
        since: Some(Timestamp::now().plus(Span::from_days(1))),
        ..HistoryFilter::default()
    };
    assert_eq!(lines(&store, &tomorrow, None, 50).await.rows, []);
}

#[tokio::test]
async fn a_bad_end_needs_attention_until_somebody_acknowledges_it() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    add(&store, "web-03").await;
    let bad = executing(&store, "web-03").await;
    store.finish(bad.id, exit(3)).await.expect("written").expect("open");
    let good = executing(&store, "web-03").await;
    let open = store
        .acknowledge_ends(vec![good.id], "early".to_owned(), alice())
        .await
        .expect("written");
    assert_eq!((open.done.len(), open.not.len()), (0, 1), "what is open has no end");
    store.finish(good.id, exit(0)).await.expect("written").expect("open");
    // A success afterwards takes nothing away: fleet, count and list say the same.
    let standing = |journal: &mut Journal| {
        let filter = HistoryFilter {
            attention_only: true,
            ..HistoryFilter::default()
        };
        let listed = journal.history_lines(&filter, None, 50)?.rows.len();
        Ok((listed, journal.counts()?.attention, journal.fleet()?[0].attention))
    };
    assert_eq!(store.reader().read(standing).await.expect("read"), (1, 1, true));
    let came = store
        .acknowledge_ends(vec![bad.id, good.id], "a known bug".to_owned(), alice())
        .await
        .expect("written");
    assert_eq!((came.done.len(), came.not.len()), (1, 1));
    assert_eq!(store.reader().read(standing).await.expect("read"), (0, 0, false));
    let again = store
        .acknowledge_ends(
            vec![bad.id],
            "me too".to_owned(),
            By::from(Actor::User("bob".to_owned())),
        )
        .await
        .expect("written");
    let stands = &again.not[0];
    assert_eq!(stands.acknowledged_by, Some(Actor::User("alice".to_owned())));
    assert_eq!(stands.acknowledged_note.as_deref(), Some("a known bug"));
    let events = store.reader().read(all_events).await.expect("read");
    let ours: Vec<_> = events.iter().filter(|event| event.action == "acknowledge").collect();
    assert_eq!(ours.len(), 1, "one event, by whoever came first");
    assert_eq!(
        ours[0].message,
        "alice acknowledged how uptime on web-03 ended: a known bug"
    );
    assert_eq!((ours[0].category, ours[0].command_id), (Category::Audit, Some(bad.id)));
    let details = ours[0].details.as_ref().expect("details");
    assert_eq!(details["note"], "a known bug");
    assert_eq!(details["command_id"], bad.id.to_string());
}
