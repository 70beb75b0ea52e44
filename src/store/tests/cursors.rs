//! Cursors of places outside: moving one is no change of the journal, and each goes on from where it was.

use super::*;
use crate::domain::DeliveryKind;

fn place(kind: DeliveryKind, name: &str, from_start: bool) -> NewDelivery {
    NewDelivery {
        kind,
        name: name.to_owned(),
        target: format!("/{name}"),
        from_start,
    }
}

#[tokio::test]
async fn a_cursor_moves_without_a_version_an_event_or_a_wake_up() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    add(&store, "a").await;
    let places = vec![
        place(DeliveryKind::Forward, "all", true),
        place(DeliveryKind::Forward, "new", false),
        place(DeliveryKind::Notify, "all", false),
    ];
    let rows = store.register_deliveries(places.clone()).await.expect("registered");
    let behind: Vec<i64> = rows.iter().map(|row| row.behind).collect();
    assert!(behind[0] > 0 && behind[1..] == [0, 0], "{rows:?}");

    let version = |journal: &mut Journal| journal.version();
    let before = store.reader().read(version).await.expect("version");
    let watched = store.watch(Topic::Events);
    let head = rows[0].cursor + rows[0].behind;
    store
        .delivered(DeliveryKind::Forward, "all", head)
        .await
        .expect("moved");
    store
        .passed_over(DeliveryKind::Notify, "all", head)
        .await
        .expect("moved");
    store.witnessed("all", vec![(3, 7), (4, 9)]).await.expect("witnessed");
    store.witnessed("all", vec![(4, 9)]).await.expect("again");
    assert_eq!(store.reader().read(version).await.expect("version"), before);
    assert!(!watched.has_changed().expect("open"));
    let witness = store
        .reader()
        .read(Journal::last_witness)
        .await
        .expect("read")
        .expect("one");
    assert_eq!(
        (witness.name.as_str(), witness.checkpoint_id, witness.event_id),
        ("all", 4, 9)
    );

    // A place that is gone keeps its cursor, and goes on from there.
    store.register_deliveries(Vec::new()).await.expect("registered");
    let all = store.reader().read(Journal::deliveries).await.expect("read");
    assert!(all.iter().all(|row| !row.active), "{all:?}");
    add(&store, "b").await;
    let rows = store.register_deliveries(places).await.expect("registered");
    assert!(rows.iter().all(|row| row.active));
    assert_eq!((rows[0].cursor, rows[0].behind > 0), (head, true), "{rows:?}");
    store.close();
}

#[test]
fn the_last_witness_is_found_by_an_index() {
    let plan = plan_of("SELECT name FROM witnesses ORDER BY event_id DESC, id DESC LIMIT 1");
    assert!(
        plan.contains("witnesses_event") && !plan.contains("TEMP B-TREE"),
        "{plan}"
    );
}
