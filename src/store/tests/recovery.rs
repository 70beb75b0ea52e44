//! The pass at start.

use super::*;

#[tokio::test]
async fn what_was_executing_is_unknown_and_twice_changes_nothing_more() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    for host in ["ran", "waits", "danger", "wished", "checks"] {
        add(&store, host).await;
    }
    let ran = executing(&store, "ran").await;
    store.request(ask("uptime", &["waits"])).await.expect("asked");
    store.request(ask("reboot", &["danger"])).await.expect("asked");
    let wished = store
        .request(ask("uptime", &["wished"]))
        .await
        .expect("asked")
        .remove(0);
    store
        .wish_stop(wished.id, crate::domain::StopReason::Cancel, alice(), None)
        .await
        .expect("written");
    let checks = store
        .request(ask("uptime", &["checks"]))
        .await
        .expect("asked")
        .remove(0);
    store.begin_validating(checks.id).await.expect("written");
    store.close();

    let store = store_in(&dir);
    let within = Span::from_secs(900);
    let folder = dir.path().to_owned();
    let preview = async || {
        let folder = folder.clone();
        store
            .reader()
            .read(move |journal| journal.recovery_preview(&folder, None, within))
            .await
            .expect("read")
    };
    let would = preview().await;
    let did = store.orphan_executing(within).await.expect("written");
    let hosts = |rows: &[CommandRow]| rows.iter().map(|row| row.host.clone()).collect::<Vec<_>>();
    assert_eq!(hosts(&did.orphaned), ["ran"]);
    assert_eq!(hosts(&did.resumed), ["waits", "checks"]);
    assert_eq!(hosts(&did.cancelled), ["danger", "wished"]);
    assert_eq!(hosts(&would.cancelled), hosts(&did.cancelled));
    assert_eq!(hosts(&would.orphaned), ["ran"]);
    assert!(would.asked_again.is_empty());
    let again = preview().await;
    assert_eq!(hosts(&again.asked_again), ["ran"], "the next start asks its host too");
    assert!(again.orphaned.is_empty());
    let open = store.reader().read(Journal::orphaned_commands).await.expect("read");
    assert_eq!(hosts(&open), ["ran"]);
    assert_eq!(did.orphaned[0].error.as_deref(), Some("Dashboard restarted"));
    assert!(did.orphaned[0].is_open());
    assert!(
        did.cancelled[1]
            .error
            .as_deref()
            .expect("why")
            .contains("cancelled by alice")
    );
    let before = store.reader().read(Journal::version).await.expect("read");
    let again = store.orphan_executing(within).await.expect("written");
    assert!(again.orphaned.is_empty() && again.cancelled.is_empty());
    assert_eq!(hosts(&again.asked_again), ["ran"]);
    assert_eq!(store.reader().read(Journal::version).await.expect("read"), before);
    let recovery = EventFilter {
        action: Some("recovery".to_owned()),
        ..EventFilter::default()
    };
    let events = store
        .reader()
        .read(move |journal| journal.events(&recovery, None, 100))
        .await
        .expect("read");
    assert_eq!(events.rows.len(), 4, "one each, and one that sums up");

    let back = store.reattach(ran.id).await.expect("written").expect("open");
    assert_eq!((back.status, back.error), (CommandStatus::Executing, None));
    let too_old = store.orphan_executing(Span::ZERO).await.expect("written");
    assert_eq!(hosts(&too_old.cancelled), ["waits", "checks"]);
    let resolved = store
        .resolve(ran.id, alice(), "seen to".to_owned(), "unreachable".to_owned())
        .await
        .expect("written")
        .expect("open");
    assert_eq!(resolved.status, CommandStatus::Orphaned);
    assert_eq!(resolved.error.as_deref(), Some("resolved by alice: seen to"));
    assert_eq!(
        store.request(ask("uptime", &["ran"])).await.expect("asked")[0].status,
        CommandStatus::Pending,
        "its host is free"
    );
}

#[tokio::test]
async fn after_a_restore_nothing_waiting_goes_on_and_the_preview_knows_it() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let within = Span::from_secs(900);
    store.begin_start(within).await.expect("started");
    add(&store, "a").await;
    add(&store, "b").await;
    store.request(ask("uptime", &["a"])).await.expect("asked");
    store.close();
    std::fs::remove_file(dir.path().join("instance")).expect("removed: the database came alone");

    let preview = || {
        let reader = Store::open_read_only(dir.path()).expect("opens");
        reader
            .read_blocking(|journal| journal.recovery_preview(dir.path(), None, within))
            .expect("read")
    };
    let would = preview();
    assert_eq!((would.resumed.len(), would.cancelled.len()), (0, 1));
    let store = store_in(&dir);
    assert!(store.begin_start(within).await.expect("started").restored);
    store.close();

    // That start died before its recovery: the next one finds nothing restored, and still must not resume the row.
    let would = preview();
    assert_eq!((would.resumed.len(), would.cancelled.len()), (0, 1));
    let store = store_in(&dir);
    assert!(!store.begin_start(within).await.expect("started").restored);
    store.request(ask("uptime", &["b"])).await.expect("asked");
    let did = store.orphan_executing(within).await.expect("written");
    assert_eq!(
        (did.resumed.len(), did.cancelled.len()),
        (1, 1),
        "younger than the restore"
    );
    assert!(did.cancelled[0].error.as_deref().expect("why").contains("restored"));
    assert_eq!(did.resumed[0].host, "b");
}
