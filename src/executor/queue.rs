//! Who dials next. A few dials are under way at once; who waits stands in classes, first come first served in each, so
//! that silent hosts never stand before healthy ones, nor looks at idle hosts before what people have asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The order in which dials are let through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Class {
    /// For a command, or for a person.
    Wanted,
    /// A look at an idle host.
    Look,
    /// For a command or a person, to a host that was silent at its last dial.
    WantedSilent,
    /// A look at a host that was silent at its last dial.
    LookSilent,
}

impl Class {
    fn is_silent(self) -> bool {
        matches!(self, Self::WantedSilent | Self::LookSilent)
    }
}

/// The slots for dials and who waits for one. Clones share them.
#[derive(Clone)]
pub(super) struct Queue(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// How many of the slots silent hosts may still take.
    free_silent: usize,
    waiting: BTreeMap<(Class, u64), oneshot::Sender<Slot>>,
    next: u64,
    closed: bool,
}

/// One dial's place; given back when dropped.
pub(super) struct Slot {
    queue: Queue,
    class: Class,
}

impl Queue {
    /// At most `slots` dials at once; at most half of them (but one at least) to silent hosts.
    pub(super) fn new(slots: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: slots.max(1),
            free_silent: (slots / 2).max(1),
            waiting: BTreeMap::new(),
            next: 0,
            closed: false,
        })))
    }

    /// Waits for a slot. May be given up at any instant. None when the queue is closed.
    pub(super) async fn slot(&self, class: Class) -> Option<Slot> {
        let (give, given) = oneshot::channel();
        {
            let mut state = self.state();
            if state.closed {
                return None;
            }
            let place = (class, state.next);
            state.next += 1;
            state.waiting.insert(place, give);
        }
        self.serve();
        given.await.ok()
    }

    /// Nobody dials any more; who waits is told.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        drop(waiting);
    }

    /// Gives free slots to who is next.
    fn serve(&self) {
        while let Some((class, give)) = self.next() {
            let slot = Slot {
                queue: self.clone(),
                class,
            };
            // Who has given up meanwhile gets none: it goes back as it is dropped here.
            let _ = give.send(slot);
        }
    }

    fn next(&self) -> Option<(Class, oneshot::Sender<Slot>)> {
        let mut state = self.state();
        state.waiting.retain(|_, give| !give.is_closed());
        if state.free == 0 {
            return None;
        }
        let room_for_silent = state.free_silent > 0;
        let place = *state
            .waiting
            .keys()
            .find(|(class, _)| room_for_silent || !class.is_silent())?;
        let give = state.waiting.remove(&place)?;
        state.free -= 1;
        if place.0.is_silent() {
            state.free_silent -= 1;
        }
        Some((place.0, give))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.queue.state();
            state.free += 1;
            if self.class.is_silent() {
                state.free_silent += 1;
            }
        }
        self.queue.serve();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silent_hosts_and_looks_stand_behind_and_never_take_every_slot() {
        let queue = Queue::new(2);
        let silent = queue.slot(Class::WantedSilent).await.expect("half for the silent");
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut waiters = Vec::new();
        let busy = queue.slot(Class::Wanted).await.expect("the other half");
        for class in [Class::LookSilent, Class::WantedSilent, Class::Look, Class::Wanted] {
            let (queue, told) = (queue.clone(), told.clone());
            waiters.push(tokio::spawn(async move {
                let slot = queue.slot(class).await;
                told.send(class).expect("heard");
                drop(slot);
            }));
        }
        while queue.state().waiting.len() < 4 {
            tokio::task::yield_now().await;
        }
        drop(busy);
        assert_eq!(order.recv().await, Some(Class::Wanted));
        assert_eq!(order.recv().await, Some(Class::Look));
        assert!(order.try_recv().is_err(), "the silent one's share is taken");
        drop(silent);
        assert_eq!(order.recv().await, Some(Class::WantedSilent));
        assert_eq!(order.recv().await, Some(Class::LookSilent));
        for waiter in waiters {
            waiter.await.expect("ends");
        }
        let state = queue.state();
        assert_eq!((state.free, state.free_silent), (2, 1), "all were given back");
    }

    #[tokio::test]
    async fn who_gives_up_keeps_no_slot_and_a_close_tells_who_waits() {
        let queue = Queue::new(1);
        let held = queue.slot(Class::Wanted).await.expect("free");
        let gone = queue.clone();
        let waiting = tokio::spawn(async move { gone.slot(Class::Wanted).await.is_some() });
        while queue.state().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        let _ = waiting.await;
        drop(held);
        assert!(queue.slot(Class::LookSilent).await.is_some(), "the slot is free");
        queue.close();
        assert!(queue.slot(Class::Wanted).await.is_none());
    }
}
