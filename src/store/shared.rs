//! What the writer thread shares with everybody: versions by topic, its heartbeat, its last error, and the
//! instance file beside the database. Nothing here waits for the writer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Topic;
use super::end::End;
use super::high_water::HighWater;
use super::mark::Mark;
use super::tx::Topics;
use crate::domain::Timestamp;

/// How often the instance file is written while the dashboard runs.
const MARK_EVERY: Duration = Duration::from_secs(60);

/// See the file's head.
pub(super) struct Shared {
    pub(super) data_dir: PathBuf,
    topics: [watch::Sender<i64>; Topic::ALL.len()],
    version: AtomicI64,
    commits: AtomicU64,
    queued: AtomicUsize,
    life: Mutex<Life>,
    high_water: Mutex<Option<HighWater>>,
}

struct Life {
    beat: Instant,
    error: Option<String>,
    mark: Option<Mark>,
    marked: Instant,
    end: Option<End>,
}

impl Shared {
    pub(super) fn new(data_dir: PathBuf, version: i64) -> Self {
        Self {
            data_dir,
            topics: std::array::from_fn(|_| watch::Sender::new(version)),
            version: AtomicI64::new(version),
            commits: AtomicU64::new(0),
            queued: AtomicUsize::new(0),
            life: Mutex::new(Life {
                beat: Instant::now(),
                error: None,
                mark: None,
                marked: Instant::now(),
                end: None,
            }),
            high_water: Mutex::new(None),
        }
    }

    pub(super) fn watch(&self, topic: Topic) -> watch::Receiver<i64> {
        self.topics[topic as usize].subscribe()
    }

    pub(super) fn queue_one(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn done(&self, pieces: usize) {
        self.queued.fetch_sub(pieces, Ordering::Relaxed);
    }

    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub(super) fn beat(&self) {
        self.life().beat = Instant::now();
    }

    /// Age of the last beat, and the error of the last group if it failed.
    pub(super) fn pulse(&self) -> (Duration, Option<String>) {
        let life = self.life();
        (life.beat.elapsed(), life.error.clone())
    }

    pub(super) fn failed(&self, why: &str) {
        tracing::error!(%why, "the journal could not be written");
        self.life().error = Some(why.to_owned());
    }

    /// A group is in the journal: the version goes out to whoever watches a topic that it touched.
    pub(super) fn committed(&self, version: i64, topics: Topics, end: End) {
        let mut life = self.life();
        life.error = None;
        life.end = Some(end);
        drop(life);
        self.commits.fetch_add(1, Ordering::Release);
        // After the end: who reads both never has an end that is newer than its version.
        self.version.store(version, Ordering::Release);
        self.raise_high_water(version);
        for topic in topics.iter() {
            self.topics[topic as usize].send_replace(version);
        }
    }

    /// From now on each commit is told to this mark.
    pub(super) fn keep_high_water(&self, mark: HighWater) {
        *self.high_water.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
        self.raise_high_water(self.version());
    }

    fn raise_high_water(&self, version: i64) {
        let mut mark = self.high_water.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = mark.as_ref().map(|mark| mark.set(version)) {
            tracing::warn!(%error, "the high-water mark of this machine cannot be written; it is given up");
            *mark = None;
        }
    }

    /// Where the last group left the log; none before the first.
    pub(super) fn end(&self) -> Option<End> {
        self.life().end.clone()
    }

    /// Groups that were committed since the opening, of whatever was in them. It has risen before anybody is answered
    /// who waits for a commit: what was read at this number still holds while it is the same.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    pub(super) fn version(&self) -> i64 {
        self.version.load(Ordering::Acquire)
    }

    /// From now on the writer keeps this mark fresh in its file.
    pub(super) fn keep_mark(&self, mark: Option<Mark>) {
        let mut life = self.life();
        life.mark = mark;
        life.marked = Instant::now();
    }

    /// Writes the instance file once a minute: with the version as a high-water mark, and as a sign of life.
    pub(super) fn mark_if_due(&self) {
        let mut life = self.life();
        if life.marked.elapsed() < MARK_EVERY {
            return;
        }
        life.marked = Instant::now();
        let Some(mark) = &life.mark else { return };
        let mark = Mark {
            end: life.end.clone(),
            version: self.version(),
            alive_at: Timestamp::now(),
            ..mark.clone()
        };
        drop(life);
        if let Err(error) = mark.write(&self.data_dir, false) {
            tracing::warn!(%error, "the instance file could not be written");
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
