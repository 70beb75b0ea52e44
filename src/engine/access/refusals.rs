//! Refusals become events, but a stranger cannot fill the log with them: the same by the same actor from the same
//! address is one event, and within a minute one more that says how many there were.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{Level, MESSAGE_LIMIT, bounded};
use crate::store::{By, NewEvent};

use super::super::{Engine, EngineError};

const A_MINUTE: Duration = Duration::from_secs(60);
/// Different refusals that are kept apart at once; what comes on top is counted together.
const MOST: usize = 1_000;

/// See the module.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<Key, Seen>>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    message: String,
    actor: String,
    address: String,
}

struct Seen {
    first: Instant,
    more: u32,
    by: By,
}

impl Refusals {
    /// True where this is to be written now; else it is counted.
    fn is_new(&self, message: &str, by: &By, now: Instant) -> bool {
        let key = |message: &str, by: &By| Key {
            message: message.to_owned(),
            actor: by.actor.to_string(),
            address: by.address.clone().unwrap_or_default(),
        };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = seen.get_mut(&key(message, by)) {
            same.more = same.more.saturating_add(1);
            return false;
        }
        if seen.len() >= MOST {
            let others = key("many different requests were refused", &By::system());
            let others = seen.entry(others).or_insert_with(|| Seen {
                first: now,
                more: 0,
                by: By::system(),
            });
            others.more = others.more.saturating_add(1);
            return false;
        }
        seen.insert(
            key(message, by),
            Seen {
                first: now,
                more: 0,
                by: by.clone(),
            },
        );
        true
    }

    /// Takes out what is older than a minute (or everything): what was refused more than once, and how often.
    fn over(&self, now: Instant, all: bool) -> Vec<(String, u32, By)> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over: Vec<Key> = seen
            .iter()
            .filter(|(_, seen)| all || now.duration_since(seen.first) >= A_MINUTE)
            .map(|(key, _)| key.clone())
            .collect();
        let taken = over.into_iter().filter_map(|key| {
            let seen = seen.remove(&key)?;
            (seen.more > 0).then_some((key.message, seen.more, seen.by))
        });
        taken.collect()
    }
}

impl Engine {
    /// Journals that somebody was refused something. The same once more within a minute is counted.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn note_refusal(&self, message: &str, by: By) -> Result<(), EngineError> {
        let message = bounded(message, MESSAGE_LIMIT);
        if self.0.refusals.is_new(&message, &by, Instant::now()) {
            let event = NewEvent::audit(&by, Level::Warn, "refused", message);
            self.0.store.append_event(event).await?;
        }
        Ok(())
    }

    /// Writes down how often what was refused before was refused again.
    pub(crate) async fn note_counted_refusals(&self, all: bool) {
        for (message, more, by) in self.0.refusals.over(Instant::now(), all) {
            let event = NewEvent {
                details: Some(serde_json::json!({ "times": more })),
                ..NewEvent::audit(
                    &by,
                    Level::Warn,
                    "refused",
                    format!("{message} ({more} more times within a minute)"),
                )
            };
            if let Err(why) = self.0.store.append_event(event).await {
                tracing::warn!(%why, "refusals could not be journaled");
            }
        }
    }
}

/// Looks every few seconds whether a minute of something is over.
pub(crate) async fn refusal_loop(engine: Engine) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = ticks.tick() => engine.note_counted_refusals(false).await,
            () = engine.0.stopping.cancelled() => break,
        }
    }
    engine.note_counted_refusals(true).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Access, Actor};

    fn from(address: &str) -> By {
        By::new(Actor::System, Some(address.to_owned()), Access::Nothing)
    }

    #[test]
    fn a_stranger_cannot_fill_the_log() {
        let refusals = Refusals::default();
        let now = Instant::now();
        assert!(refusals.is_new("origin", &from("10.0.0.1"), now));
        assert!(!refusals.is_new("origin", &from("10.0.0.1"), now));
        assert!(!refusals.is_new("origin", &from("10.0.0.1"), now));
        assert!(refusals.is_new("origin", &from("10.0.0.2"), now));
        assert!(refusals.is_new("host", &from("10.0.0.1"), now));
        assert!(refusals.over(now, false).is_empty());
        let over = refusals.over(now + A_MINUTE, false);
        assert_eq!(over.len(), 1);
        assert_eq!((over[0].0.as_str(), over[0].1), ("origin", 2));
        assert!(refusals.is_new("origin", &from("10.0.0.1"), now + A_MINUTE));
    }

    #[test]
    fn what_is_kept_apart_is_bounded() {
        let refusals = Refusals::default();
        let now = Instant::now();
        let new = (0..10_000).filter(|n| refusals.is_new(&n.to_string(), &from("10.0.0.1"), now));
        assert_eq!(new.count(), MOST);
        let over = refusals.over(now, true);
        assert_eq!((over.len(), over[0].1), (1, 9_000));
    }
}
