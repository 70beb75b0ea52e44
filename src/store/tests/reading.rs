//! What readers see: hosts over their coming and going, pages, timelines.

use super::*;
use crate::domain::{Refusal, StopReason, Timestamp};

#[tokio::test]
async fn hosts_come_go_and_come_back() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let first = add(&store, "web-03").await;
    let row = executing(&store, "web-03").await;
    let busy = store.remove_host(&name("web-03"), alice()).await.expect_err("busy");
    assert!(busy.to_string().contains("busy with uptime"), "{busy}");
    store.finish(row.id, exit(0)).await.expect("written").expect("open");
    store.remove_host(&name("web-03"), alice()).await.expect("removed");
    let refused = store
        .request(ask("uptime", &["web-03"]))
        .await
        .expect("asked")
        .remove(0);
    assert_eq!(refused.refusal, Some(Refusal::Removed));
    let facts = crate::store::HostFacts {
        machine_id: "the old machine".to_owned(),
        ..Default::default()
    };
    store.record_facts(first.id, facts).await.expect("written");
    assert!(store.host_lost(first.id, "no route".to_owned()).await.expect("written"));
    let back = add(&store, "web-03").await;
    assert_eq!((back.id, back.created_at), (first.id, first.created_at));
    let known = store
        .reader()
        .read(move |journal| journal.host_facts(back.id))
        .await
        .expect("read");
    assert_eq!(known, None, "it may be another machine");
    let host = first.id;
    let page = store
        .reader()
        .read(move |journal| {
            let filter = HistoryFilter {
                host: Some(host),
                ..HistoryFilter::default()
            };
            journal.history(&filter, None, 10)
        })
        .await
        .expect("read");
    assert_eq!(page.rows.len(), 2);
    assert!(store.ensure_localhost().await.expect("written").is_some());
    store.remove_host(&name("localhost"), alice()).await.expect("removed");
    assert_eq!(store.ensure_localhost().await.expect("written"), None);
    let fleet = store.reader().read(Journal::fleet).await.expect("read");
    assert_eq!(fleet.len(), 1);
    assert_eq!(
        fleet[0].last.as_ref().map(|last| last.id),
        Some(row.id),
        "refusals do not count"
    );
    assert!(store.host_lost(host, "no route".to_owned()).await.expect("written"));
    assert!(!store.host_lost(host, "no route".to_owned()).await.expect("written"));
    assert!(store.host_connected(host).await.expect("written"));
}

#[tokio::test]
async fn a_long_timeline_shows_its_end() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    add(&store, "a").await;
    let row = executing(&store, "a").await;
    for n in 0..12 {
        let note = store.note(row.id, crate::domain::Level::Info, format!("note {n}"), None);
        note.await.expect("written").expect("there");
    }
    let events = store
        .reader()
        .read(move |journal| journal.events_of(row.id, 10))
        .await
        .expect("read");
    let messages: Vec<_> = events.iter().map(|event| event.message.clone()).collect();
    assert_eq!(messages, (2..12).map(|n| format!("note {n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn pages_have_neither_gap_nor_repeat() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    for n in 0..7 {
        add(&store, &format!("h{n}")).await;
        let rows = store.request(ask("uptime", &[&format!("h{n}")])).await.expect("asked");
        let row = if n % 2 == 0 {
            store.refuse(rows[0].id, Refusal::Auth, "no".to_owned(), None).await
        } else {
            store
                .wish_stop(rows[0].id, StopReason::Cancel, alice(), None)
                .await
                .expect("written");
            store.cancel_unstarted(rows[0].id).await
        };
        row.expect("written").expect("open");
    }
    let filter = HistoryFilter {
        status: vec![CommandStatus::Blocked, CommandStatus::Cancelled],
        ..HistoryFilter::default()
    };
    let get = |cursor| {
        let (filter, store) = (filter.clone(), store.clone());
        async move {
            store
                .reader()
                .read(move |journal| journal.history(&filter, cursor, 3))
                .await
                .expect("read")
        }
    };
    let first = get(None).await;
    assert_eq!((first.rows.len(), first.newer), (3, None));
    let second = get(first.older).await;
    let third = get(second.older).await;
    assert_eq!((second.rows.len(), third.rows.len(), third.older), (3, 1, None));
    let mut ids: Vec<_> = [&first, &second, &third]
        .iter()
        .flat_map(|page| &page.rows)
        .map(|row| row.id)
        .collect();
    let sorted = ids.clone();
    ids.sort_by(|a, b| b.cmp(a));
    ids.dedup();
    assert_eq!((ids.len(), ids), (7, sorted));
    let back = get(third.newer).await;
    assert_eq!(back.rows, second.rows);
    let until = HistoryFilter {
        until: Some(Timestamp::now().minus(Span::from_secs(3_600))),
        ..filter.clone()
    };
    let none = store
        .reader()
        .read(move |journal| journal.history(&until, None, 3))
        .await
        .expect("read");
    assert!(none.rows.is_empty());
}
