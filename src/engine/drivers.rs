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

/// Runs `work` in a task of its own, so that a panic ends that alone; then says where and why it panicked.
pub(super) async fn unless_it_panics<F: Future<Output = ()> + Send + 'static>(
    work: impl FnOnce() -> F,
) -> Result<(), String> {
    match tokio::spawn(work())
        .await
        .map_err(tokio::task::JoinError::try_into_panic)
    {
        Err(Ok(panic)) => Err(panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a word".to_owned())),
        // It ended, or the program does.
        Ok(()) | Err(Err(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_panic_is_noticed_and_the_work_can_be_done_again() {
        let tries = Arc::new(AtomicUsize::new(0));
        let work = || {
            let tries = Arc::clone(&tries);
            async move {
                assert!(tries.fetch_add(1, Ordering::Relaxed) > 0, "the first try");
            }
        };
        assert_eq!(unless_it_panics(work).await, Err("the first try".to_owned()));
        assert_eq!(unless_it_panics(work).await, Ok(()));
        assert_eq!(tries.load(Ordering::Relaxed), 2);
    }
}
