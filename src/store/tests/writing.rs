//! One writer: groups, savepoints, and what happens when one of them breaks.

use std::sync::mpsc;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use proptest::prelude::*;

use super::*;
use crate::domain::{Refusal, StopReason};

/// Holds the writer inside a piece until the sender is dropped: what is asked meanwhile shares the next group. The
/// writer is in that piece when this returns.
async fn hold(store: &Store) -> (tokio::task::JoinHandle<Result<(), WriteError>>, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let (begun, begins) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let store = store.clone();
    let task = tokio::spawn(async move {
        store
            .write(move |_| {
                if let Some(begun) = begun.take() {
                    let _ = begun.send(());
                }
                let _ = held.lock().expect("held").recv();
                Ok(())
            })
            .await
    });
    begins.await.expect("the writer takes it");
    (task, release)
}

async fn until_queued(store: &Store, pieces: usize) {
    let queued = async {
        while store.health().queued < pieces {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), queued).await;
    assert!(waited.is_ok(), "{} of {pieces} are queued", store.health().queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_on_one_host_make_one_command() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    add(&store, "web-03").await;
    let (held, release) = hold(&store).await;
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.request(ask("uptime", &["web-03", "web-03"])).await })
        })
        .collect();
    until_queued(&store, 51).await;
    drop(release);
    held.await.expect("joined").expect("written");
    let mut pending = 0;
    let mut busy = 0;
    for task in asking {
        let rows = task.await.expect("joined").expect("written");
        assert_eq!(rows.len(), 1, "a host that is named twice counts once");
        match rows[0].refusal {
            None => pending += 1,
            Some(Refusal::Busy) => {
                assert_eq!(rows[0].status, CommandStatus::Blocked);
                assert!(
                    rows[0]
                        .error
                        .as_deref()
                        .expect("why")
                        .contains("busy with uptime since")
                );
                busy += 1;
            }
            Some(other) => panic!("{other}"),
        }
    }
    assert_eq!((pending, busy), (1, 49));
    let page = store
        .reader()
        .read(|journal| journal.history(&HistoryFilter::default(), None, 100))
        .await
        .expect("read");
    assert_eq!(page.rows.len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_that_fails_takes_nobody_with_it() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    add(&store, "a").await;
    add(&store, "b").await;
    let (held, release) = hold(&store).await;
    let mut tasks = Vec::new();
    for host in ["a", "b"] {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            store.request(ask("uptime", &[host])).await.map(|_| ())
        }));
    }
    until_queued(&store, 3).await;
    let constraint = {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .write(|tx| {
                    tx.event(NewEvent::system(crate::domain::Level::Info, "half", "must not stay"))?;
                    tx.event(NewEvent {
                        host_id: Some(4_711),
                        ..NewEvent::system(crate::domain::Level::Info, "half", "no such host")
                    })
                    .map(|_| ())
                })
                .await
        })
    };
    until_queued(&store, 4).await;
    let panicking = {
        let store = store.clone();
        tokio::spawn(async move { store.write(|_| -> Result<(), Fault> { panic!("on purpose") }).await })
    };
    until_queued(&store, 5).await;
    let unknown = {
        let store = store.clone();
        tokio::spawn(async move { store.request(ask("uptime", &["a", "nowhere"])).await.map(|_| ()) })
    };
    until_queued(&store, 6).await;
    drop(release);
    held.await.expect("joined").expect("written");
    for task in tasks {
        task.await.expect("joined").expect("written");
    }
    let conflict = constraint.await.expect("joined").expect_err("refused");
    assert!(matches!(conflict, WriteError::Conflict(_)), "{conflict}");
    let panic = panicking.await.expect("joined").expect_err("panicked");
    assert!(panic.to_string().contains("on purpose"), "{panic}");
    assert_eq!(
        unknown.await.expect("joined").expect_err("unknown"),
        WriteError::UnknownHost(name("nowhere"))
    );
    let (open, half) = store
        .reader()
        .read(|journal| {
            let half = EventFilter {
                action: Some("half".to_owned()),
                ..EventFilter::default()
            };
            Ok((journal.open_commands()?, journal.events(&half, None, 10)?))
        })
        .await
        .expect("read");
    assert_eq!(open.len(), 2);
    assert!(half.rows.is_empty(), "the first half of a failed piece is gone");
    assert!(store.health().alive);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_program_holds_the_lock_for_a_while() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let mut other =
        SqliteConnection::establish(dir.path().join("quarterdeck.db").to_str().expect("path")).expect("opens");
    other.batch_execute("BEGIN IMMEDIATE").expect("locked");
    let adding = {
        let store = store.clone();
        tokio::spawn(async move { add(&store, "web-03").await })
    };
    until_queued(&store, 1).await;
    let mut adding = adding;
    let early = tokio::time::timeout(Duration::from_millis(500), &mut adding).await;
    assert!(early.is_err(), "nobody is answered before COMMIT");
    other.batch_execute("ROLLBACK").expect("free");
    assert_eq!(adding.await.expect("joined").hostname, name("web-03"));
}

/// A file system of 3 MB, where this process may mount one.
struct Small(tempfile::TempDir);

impl Small {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().expect("folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs"])
            .arg(dir.path())
            .output();
        mounted.is_ok_and(|run| run.status.success()).then_some(Self(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_in_the_middle_of_groups_lies_to_nobody() {
    let Some(small) = Small::new() else {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    };
    let store = Store::open(&settings(small.0.path())).expect("opens");
    let big = "x".repeat(4_000);
    let mut told_done = Vec::new();
    let mut told_failed = Vec::new();
    'filling: for round in 0..200 {
        let tasks: Vec<_> = (0..16)
            .map(|n| {
                let (store, big) = (store.clone(), big.clone());
                let mark = format!("n{round}-{n}");
                tokio::spawn(async move {
                    let event = NewEvent::system(crate::domain::Level::Info, mark.clone(), big);
                    (mark, store.append_event(event).await)
                })
            })
            .collect();
        for task in tasks {
            let (mark, answer) = task.await.expect("joined");
            match answer {
                Ok(_) => told_done.push(mark),
                Err(error) => {
                    assert!(matches!(error, WriteError::Database(_)), "{error}");
                    told_failed.push(mark);
                }
            }
        }
        if told_failed.len() > 20 {
            break 'filling;
        }
    }
    assert!(!told_failed.is_empty() && !told_done.is_empty());
    assert!(store.health().write_error.is_some(), "readiness is red");
    let actions: std::collections::HashSet<String> = store
        .reader()
        .read(all_events)
        .await
        .expect("read")
        .into_iter()
        .map(|event| event.action)
        .collect();
    for mark in &told_done {
        assert!(actions.contains(mark), "{mark} was told done");
    }
    for mark in &told_failed {
        assert!(!actions.contains(mark), "{mark} was told failed");
    }
    assert!(!actions.contains("tampered"), "what was not committed is not missed");
}

#[tokio::test]
async fn what_changes_nothing_is_not_committed() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let host = add(&store, "a").await;
    let row = executing(&store, "a").await;
    let groups = || {
        let groups = |journal: &mut Journal| {
            use diesel::{QueryDsl as _, RunQueryDsl as _};
            let groups = crate::store::schema::state_version::table.select(crate::store::schema::state_version::groups);
            Ok(groups.get_result::<i64>(&mut journal.conn)?)
        };
        store.reader().read_blocking(groups).expect("read")
    };
    assert!(store.host_connected(host.id).await.expect("written"));
    let before = groups();
    assert_eq!(store.begin_validating(row.id).await.expect("asked"), None);
    assert!(!store.host_connected(host.id).await.expect("asked"));
    assert_eq!(groups(), before, "no row was written");
    store
        .record_facts(host.id, crate::store::HostFacts::default())
        .await
        .expect("written");
    assert_eq!(groups(), before + 1, "facts raise no version, and are kept");
}

#[tokio::test]
async fn a_late_result_changes_nothing_and_the_first_wish_stays() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    add(&store, "a").await;
    let row = executing(&store, "a").await;
    let wish = store.wish_stop(row.id, StopReason::Cancel, alice(), Some("too slow".to_owned()));
    let wished = wish.await.expect("written").expect("open");
    let again = store
        .wish_stop(row.id, StopReason::Timeout, By::system(), None)
        .await
        .expect("written")
        .expect("open");
    assert_eq!((again.stop_reason, again.stop_by), (wished.stop_reason, wished.stop_by));
    let done = store.finish(row.id, exit(0)).await.expect("written").expect("open");
    assert_eq!(store.finish(row.id, exit(3)).await.expect("written"), None);
    assert_eq!(store.reattach(row.id).await.expect("written"), None);
    let noted = store
        .note(
            row.id,
            crate::domain::Level::Info,
            "the host reported again".to_owned(),
            None,
        )
        .await
        .expect("written")
        .expect("there");
    assert_eq!(noted, done);
    assert_eq!(store.warn(row.id).await.expect("written"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_sequence_of_calls_keeps_to_the_legal_transitions(calls in prop::collection::vec(0u8..9, 1..14)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let dir = tempfile::tempdir().expect("folder");
            let store = store_in(&dir);
            add(&store, "a").await;
            let mut at = store.request(ask("uptime", &["a"])).await.expect("asked").remove(0);
            for call in calls {
                let id = at.id;
                let answer = match call {
                    0 => store.begin_validating(id).await,
                    1 => store.begin_executing(id, &super::at(), None).await,
                    2 => store.finish(id, exit(0)).await,
                    3 => store.refuse(id, Refusal::Unreachable, "no".to_owned(), None).await,
                    4 => store.skip(id, "not needed".to_owned()).await,
                    5 => store.cancel_unstarted(id).await,
                    6 => store.reattach(id).await,
                    7 => store.resolve(id, alice(), "gone".to_owned(), "nothing".to_owned()).await,
                    _ => {
                        let mut did = store.orphan_executing(Span::from_days(1)).await.expect("written");
                        Ok(did.orphaned.pop())
                    }
                };
                let Some(next) = answer.expect("legal calls only") else { continue };
                assert!(at.is_open(), "a final row changed: {at:?} -> {next:?}");
                assert!(at.status.may_become(next.status), "{} -> {}", at.status, next.status);
                assert!(next.finished_at.is_none_or(|end| end >= next.created_at));
                at = next;
            }
            let id = at.id;
            let (stored, events) = store
                .reader()
                .read(move |journal| Ok((journal.command(id)?, journal.events_of(id, 100)?)))
                .await
                .expect("read");
            assert_eq!(stored.expect("there"), at);
            assert!(!events.is_empty());
        });
    }
}
