//! One notice after another to somebody: by POST or to a command, in order, at least once. One that does not go is
//! tried again some times, then left out, and the log says which.

use std::time::Instant;

use serde_json::json;

use crate::domain::{Notify, Span, Target, Timestamp, bounded};
use crate::outlet::{Http, NotSent, run};
use crate::store::{Delivery, EventRow, Topic};

use super::super::Engine;
use super::courier::Courier;
use super::{feed, notice};

/// When one is given up, those that have waited this long go with it: nobody wants them an hour later one by one.
const STALE: Span = Span::from_secs(600);

/// How many of those that were given up the log names.
const NAMED: usize = 20;

/// How the last one went.
enum Went {
    Arrived,
    GivenUp,
    Stopping,
}

/// Sends one text to where somebody is told.
pub(super) async fn tell(notify: &Notify, http: &mut Option<Http>, json: &[u8]) -> Result<(), NotSent> {
    match &notify.target {
        Target::Program(words) => run(words, json).await,
        Target::Url(url) => {
            let http = match http {
                Some(http) => http,
                none => none.insert(Http::new(url)?),
            };
            http.post(url, &notify.headers, json.to_vec()).await
        }
        Target::Tcp(_) | Target::Socket(_) | Target::File(_) => Ok(()),
    }
}

/// Serves one place until the dashboard stops.
pub(super) async fn notify_loop(engine: Engine, notify: Notify, row: Delivery) {
    let mut changes = engine.watch(Topic::Events);
    let mut courier = Courier::new(engine, &row);
    // Whatever arrives shows that it takes messages again; the others are sent one by one.
    courier.caught_up = true;
    let mut http = None;
    let mut seen = row.cursor;
    loop {
        changes.borrow_and_update();
        match next(&mut courier, &notify, &mut http, &mut seen).await {
            Some(true) => continue,
            Some(false) => {}
            None => {
                if !courier.pause(std::time::Duration::from_secs(5)).await {
                    break;
                }
                continue;
            }
        }
        let due = courier.store_due();
        tokio::select! {
            () = courier.engine.0.stopping.cancelled() => break,
            changed = changes.changed() => if changed.is_err() { break },
            () = async { match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            } } => courier.store().await,
        }
    }
    if courier.store_due().is_some() {
        courier.store().await;
    }
}

/// One batch. Whether there may be more; none where the journal cannot be used, or the dashboard stops.
async fn next(courier: &mut Courier, notify: &Notify, http: &mut Option<Http>, seen: &mut i64) -> Option<bool> {
    let rows = match feed::events_after(courier.engine.reader(), *seen).await {
        Ok(rows) => rows,
        Err(why) => {
            tracing::warn!(%why, "cannot read the journal");
            return None;
        }
    };
    let Some(last) = rows.last().map(|row| row.id) else {
        return Some(false);
    };
    let gaps = feed::gaps(*seen, &rows);
    if !gaps.is_empty() {
        let Courier { engine, kind, name, .. } = &*courier;
        engine.0.store.delivery_gap(*kind, name, gaps, last).await.ok()?;
    }
    let mut waiting = rows.as_slice();
    while let [row, rest @ ..] = waiting {
        waiting = rest;
        if let Some(of) = notice::notice_of(row, notify) {
            let public_url = courier.engine.0.settings.outside.public_url.clone();
            let body = notice::body(row, of, public_url.as_deref());
            match insist(courier, notify, http, &body).await {
                Went::Arrived => {
                    courier.caught_up = true;
                    courier.arrived(row.id);
                }
                Went::GivenUp => {
                    waiting = give_up(courier, notify, row, rest).await?;
                    *seen = courier.arrived;
                    continue;
                }
                Went::Stopping => return None,
            }
        } else {
            courier.passed(row.id);
        }
        *seen = row.id;
        if courier.store_due().is_some_and(|due| due <= Instant::now()) {
            courier.store().await;
        }
    }
    Some(true)
}

/// Tries until it arrives, has been tried often enough, or the dashboard stops.
async fn insist(courier: &mut Courier, notify: &Notify, http: &mut Option<Http>, body: &[u8]) -> Went {
    for tries in 1.. {
        let stopping = courier.engine.0.stopping.clone();
        let told = tokio::select! {
            told = tell(notify, http, body) => told,
            // Whether it arrived is not known then: it is sent again at the next start.
            () = async { stopping.cancelled().await; tokio::time::sleep(std::time::Duration::from_secs(3)).await; } => return Went::Stopping,
        };
        let Err(why) = told else { return Went::Arrived };
        let pause = courier.failed(&why.to_string()).await;
        if tries >= notify.tries {
            return Went::GivenUp;
        }
        if !courier.pause(pause).await {
            return Went::Stopping;
        }
    }
    Went::Stopping
}

/// Leaves out this one and those behind it that are too old to be news. Gives what is left.
async fn give_up<'a>(
    courier: &mut Courier,
    notify: &Notify,
    row: &'a EventRow,
    rest: &'a [EventRow],
) -> Option<&'a [EventRow]> {
    let now = Timestamp::now();
    let mut lost = vec![row];
    let (mut position, mut left) = (row.id, rest);
    while let [next, after @ ..] = left {
        if notice::notice_of(next, notify).is_some() {
            if now.since(next.timestamp) < STALE {
                break;
            }
            lost.push(next);
        }
        (position, left) = (next.id, after);
    }
    let mut named: Vec<String> = lost
        .iter()
        .take(NAMED)
        .map(|row| format!("#{} {}", row.id, bounded(&row.message, 150)))
        .collect();
    if lost.len() > NAMED {
        named.push(format!("and {} more", lost.len() - NAMED));
    }
    let message = format!(
        "did not go out after {} tries, and is left out: {}",
        notify.tries,
        named.join("; ")
    );
    let ids: Vec<i64> = lost.iter().map(|row| row.id).collect();
    let store = &courier.engine.0.store;
    let written = store.delivery_given_up(courier.kind, &courier.name, position, message, json!({ "events": ids }));
    if let Err(why) = written.await {
        tracing::warn!(%why, "cannot write the journal");
        return None;
    }
    courier.skipped(position);
    Some(left)
}
