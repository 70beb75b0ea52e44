//! Who is driven: each command and each pipeline by one task at the most.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

type Seats<I> = Arc<Mutex<HashMap<I, Arc<Notify>>>>;

/// The drivers that are at work, and how each is woken.
pub(super) struct Drivers<I>(Seats<I>);

impl<I> Default for Drivers<I> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<I: Copy + Eq + Hash> Drivers<I> {
    /// The seat of the one driver of this; none where it is taken.
    pub(super) fn seat(&self, id: I) -> Option<Seat<I>> {
        let mut seats = locked(&self.0);
        if seats.contains_key(&id) {
            return None;
        }
        let wake = Arc::new(Notify::new());
        seats.insert(id, Arc::clone(&wake));
        Some(Seat {
            seats: Arc::clone(&self.0),
            id,
            wake,
        })
    }

    /// Wakes the driver of this, so that it reads its row again.
    pub(super) fn wake(&self, id: I) {
        if let Some(wake) = locked(&self.0).get(&id) {
            wake.notify_one();
        }
    }
}

/// A driver's seat; dropped, it is free again, however the driver's task ended.
pub(super) struct Seat<I: Copy + Eq + Hash> {
    seats: Seats<I>,
    id: I,
    /// Somebody asks for a look.
    pub(super) wake: Arc<Notify>,
}

impl<I: Copy + Eq + Hash> Drop for Seat<I> {
    fn drop(&mut self) {
        locked(&self.seats).remove(&self.id);
    }
}

fn locked<I>(seats: &Seats<I>) -> MutexGuard<'_, HashMap<I, Arc<Notify>>> {
    seats.lock().unwrap_or_else(PoisonError::into_inner)
}
