//! Live regions: a page says which version it shows, and is answered when there is a newer one.
//!
//! A wait is bounded by [`PATIENCE`] and ends at once when the dashboard stops. Many waiters are answered
//! one after another, no faster than one a millisecond, so that a busy journal and a thousand open pages
//! cannot take the machine away from the ops.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use futures_util::future::select_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::domain::{Invalid, bounded};
use crate::store::Topic;

use super::Web;
use super::fields::Fields;

/// How long a poll waits at most before it is answered with 204.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Waits end in vain at multiples of this after [`BEGUN`], so that the many of a quiet dashboard wake it together.
const BEAT: Duration = Duration::from_millis(500);
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The longest that pacing delays an answer.
const PACE_LIMIT: Duration = Duration::from_secs(5);

/// What a page shows: `INSTANCE.VERSION`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Shown {
    instance: String,
    version: i64,
}

impl Shown {
    /// The version a page is drawn from, for its `data-version`.
    pub(super) fn text(web: &Web, version: i64) -> String {
        format!("{}.{version}", web.engine.instance())
    }

    /// What the request's `live` says: none where a whole page is asked for.
    pub(super) fn of(fields: &Fields) -> Result<Option<Self>, Invalid> {
        let Some(text) = fields.text("live") else {
            return Ok(None);
        };
        let wrong = || {
            Invalid::new(
                "live",
                format!("“{}” is no version of a page; reload it", bounded(text, 60)),
            )
        };
        let (instance, version) = text.rsplit_once('.').ok_or_else(wrong)?;
        Ok(Some(Self {
            instance: instance.to_owned(),
            version: version.parse().map_err(|_| wrong())?,
        }))
    }
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waited {
    /// There is something newer: draw it.
    Changed,
    /// Nothing changed in time, or the dashboard stops: 204.
    Nothing,
}

/// Waits until one of the topics is newer than what the page shows.
pub(super) async fn wait(web: &Web, topics: &[Topic], shown: &Shown) -> Waited {
    if shown.instance != web.engine.instance() {
        return Waited::Changed;
    }
    let waiter = Waiter::new(web);
    let mut topics: Vec<_> = topics.iter().map(|topic| web.engine.watch(*topic)).collect();
    let newer = async {
        while topics
            .iter_mut()
            .all(|topic| *topic.borrow_and_update() <= shown.version)
        {
            changed(&mut topics).await;
        }
    };
    tokio::select! {
        () = web.shutdown.cancelled() => Waited::Nothing,
        outcome = timeout_at(on_the_beat(waiter.arrived + PATIENCE), newer) => match outcome {
            Ok(()) => waiter.pace(web).await,
            Err(_) => Waited::Nothing,
        },
    }
}

/// The last beat before that.
fn on_the_beat(end: Instant) -> Instant {
    let since = end.saturating_duration_since(*BEGUN);
    let beats = since.as_millis() / BEAT.as_millis();
    *BEGUN + BEAT * u32::try_from(beats).unwrap_or(u32::MAX)
}

/// The same, and when something changed waits on for a moment, so that many changes are drawn once: a pipeline over a
/// thousand hosts changes all the time.
pub(super) async fn wait_and_gather(web: &Web, topics: &[Topic], shown: &Shown, moment: Duration) -> Waited {
    let waited = wait(web, topics, shown).await;
    if waited == Waited::Changed && shown.instance == web.engine.instance() {
        tokio::select! {
            () = web.shutdown.cancelled() => return Waited::Nothing,
            () = tokio::time::sleep(moment) => {}
        }
    }
    waited
}

/// Waits for the next change of any of the topics.
pub(super) async fn changed(topics: &mut [watch::Receiver<i64>]) {
    let changes = topics.iter_mut().map(|topic| {
        Box::pin(async {
            if topic.changed().await.is_err() {
                std::future::pending::<()>().await; // the store is closed: the dashboard stops
            }
        })
    });
    select_all(changes).await;
}

/// Counts one waiting request for as long as it waits.
pub(super) struct Waiter {
    pub(super) arrived: Instant,
    count: Arc<AtomicU64>,
}

impl Waiter {
    pub(super) fn new(web: &Web) -> Self {
        let count = Arc::clone(&web.waiters);
        count.fetch_add(1, Ordering::Relaxed);
        Self {
            arrived: Instant::now(),
            count,
        }
    }

    /// Holds an answer back until as many milliseconds after its arrival as there are waiters.
    pub(super) async fn pace(&self, web: &Web) -> Waited {
        tokio::select! {
            () = web.shutdown.cancelled() => Waited::Nothing,
            () = sleep_until(self.arrived + self.pause()) => Waited::Changed,
        }
    }

    /// A millisecond for each waiter there is.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_millis(self.count.load(Ordering::Relaxed)).min(PACE_LIMIT)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer to a poll for which there is nothing.
pub(super) fn nothing() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_in_vain_end_together_and_never_late() {
        let begun = *BEGUN;
        let end = |millis: u64| on_the_beat(begun + Duration::from_millis(millis)) - begun;
        assert_eq!(end(20_000), Duration::from_secs(20));
        assert_eq!(end(20_499), Duration::from_secs(20));
        assert_eq!(end(20_500), Duration::from_millis(20_500));
        assert_eq!(end(90_000_123), Duration::from_secs(90_000));
    }

    #[test]
    fn a_version_reads_back_and_nonsense_is_refused() {
        let read = |text: &str| Shown::of(&Fields::query(text).expect("query"));
        assert_eq!(
            read("live=ab-1.17").expect("fine"),
            Some(Shown {
                instance: "ab-1".into(),
                version: 17
            })
        );
        assert_eq!(read("").expect("fine"), None);
        assert!(read("live=17").is_err());
        assert!(read("live=a.b").is_err());
    }
}
