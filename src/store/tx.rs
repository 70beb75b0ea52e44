//! What a piece of work sees of the journal while it may write: the connection inside its savepoint,
//! the time, and which topics it touched. Knows nothing of threads and queues.

use diesel::SqliteConnection;

use super::{Journal, Topic};
use crate::domain::Timestamp;

/// A piece's view of the one transaction that it shares with its group.
pub(super) struct Tx<'c> {
    /// The connection, inside the piece's savepoint.
    pub(super) conn: &'c mut SqliteConnection,
    /// When the piece began.
    pub(super) now: Timestamp,
    touched: Topics,
}

impl<'c> Tx<'c> {
    pub(super) fn new(conn: &'c mut SqliteConnection) -> Self {
        Self {
            conn,
            now: Timestamp::now(),
            touched: Topics::default(),
        }
    }

    /// The same rows for reading.
    pub(super) fn journal(&mut self) -> Journal<'_> {
        Journal::over(self.conn)
    }

    /// Says that rows of this topic changed: the group raises the version once.
    pub(super) fn touch(&mut self, topic: Topic) {
        self.touched.add(topic);
    }

    pub(super) fn touched(&self) -> Topics {
        self.touched
    }
}

/// A set of topics.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Topics([bool; Topic::ALL.len()]);

impl Topics {
    pub(super) fn add(&mut self, topic: Topic) {
        self.0[topic as usize] = true;
    }

    pub(super) fn join(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
    }

    pub(super) fn any(self) -> bool {
        self.0.contains(&true)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Topic> {
        Topic::ALL.into_iter().filter(move |topic| self.0[*topic as usize])
    }
}
