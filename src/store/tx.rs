//! What a piece of work sees of the journal while it may write: the connection inside its savepoint,
//! the time, and which topics it touched. Knows nothing of threads and queues.

use super::{Journal, Topic};
use crate::domain::Timestamp;

/// A piece's view of the one transaction that it shares with its group.
pub(super) struct Tx<'c> {
    /// The journal, inside the piece's savepoint.
    pub(super) journal: &'c mut Journal,
    /// When the piece began.
    pub(super) now: Timestamp,
    touched: Touched,
}

/// What a piece changed.
#[derive(Clone, Copy, Default)]
pub(super) struct Touched {
    /// The topics that the version rises for.
    pub(super) topics: Topics,
    /// Pages of the file that hold no row: SQLite counts no change for them.
    pages: bool,
}

impl Touched {
    pub(super) fn join(&mut self, other: Self) {
        self.topics.join(other.topics);
        self.pages |= other.pages;
    }

    pub(super) fn any(self) -> bool {
        self.pages || self.topics.any()
    }
}

impl<'c> Tx<'c> {
    pub(super) fn new(journal: &'c mut Journal) -> Self {
        Self {
            journal,
            now: Timestamp::now(),
            touched: Touched::default(),
        }
    }

    /// Says that rows of this topic changed: the group raises the version once.
    pub(super) fn touch(&mut self, topic: Topic) {
        self.touched.topics.add(topic);
    }

    /// Says that the file changed though no row did.
    pub(super) fn touch_pages(&mut self) {
        self.touched.pages = true;
    }

    pub(super) fn touched(&self) -> Touched {
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
