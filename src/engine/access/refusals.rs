//! Refusals become events, but nobody can fill the log with them, nor hide others behind them: the same kind by the same
//! actor from the same network is one event, and within a minute one more that says how many there were. What is said to
//! somebody who is known counts too: another mistake is another event. Only so many are kept apart: of a kind, of each
//! who is known, of log-ins under each name, and of all strangers together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{Access, Actor, Category, Level, MESSAGE_LIMIT, bounded};
use crate::store::{By, NewEvent};

use super::super::{Engine, EngineError};

const A_MINUTE: Duration = Duration::from_secs(60);
/// Different refusals of one actor that are kept apart at once; what comes on top is counted together. There are about
/// as many routes.
const OF_ONE_ACTOR: usize = 100;
/// Different texts of one kind among them: so many, and no more, can be made by who chooses the words of a request.
const OF_ONE_KIND: usize = 10;
/// The same of log-ins under one name, and of strangers all together.
const OF_STRANGERS: usize = 30;

/// See the module.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<Whose, HashMap<Key, Seen>>>);

/// Who shares what may be kept apart.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Whose {
    /// Somebody who was recognised.
    Known(String),
    /// Whoever tries to be somebody; empty where there is nobody of that name.
    LogIn(String),
    /// Everybody else.
    Strangers,
}

impl Whose {
    fn of(by: &By, log_in: bool) -> Self {
        if by.access != Access::Nothing {
            return Self::Known(by.actor.to_string());
        }
        match &by.actor {
            Actor::System if log_in => Self::LogIn(String::new()),
            Actor::System => Self::Strangers,
            actor @ (Actor::User(_) | Actor::Token(_) | Actor::Local(_)) => Self::LogIn(actor.to_string()),
        }
    }

    fn most(&self) -> usize {
        match self {
            Self::Known(_) => OF_ONE_ACTOR,
            Self::LogIn(_) | Self::Strangers => OF_STRANGERS,
        }
    }
}

/// What is counted together.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Holds nothing that the caller can choose.
    kind: String,
    /// What is said to somebody who is known; empty for all others, and for what there is too much of.
    text: String,
    network: String,
}

struct Seen {
    first: Instant,
    more: u32,
    message: String,
    by: By,
}

impl Refusals {
    /// True where this is to be written now; else it is counted.
    fn is_new(&self, whose: Whose, kind: &str, message: &str, by: &By, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = whose.most();
        let known = matches!(whose, Whose::Known(_));
        let theirs = all.entry(whose).or_default();
        let mut key = Key {
            kind: kind.to_owned(),
            text: if known { message.to_owned() } else { String::new() },
            network: network(by.address.as_deref().unwrap_or_default()),
        };
        let of_its_kind = |other: &&Key| other.kind == key.kind && other.network == key.network;
        let crowded = known && !theirs.contains_key(&key) && theirs.keys().filter(of_its_kind).count() >= OF_ONE_KIND;
        if crowded {
            key.text.clear();
        }
        if let Some(same) = theirs.get_mut(&key) {
            same.more = same.more.saturating_add(1);
            return false;
        }
        let new = |message: &str, by: By, more| Seen {
            first: now,
            more,
            message: message.to_owned(),
            by,
        };
        if theirs.len() < most {
            if crowded {
                let message = format!("{} was refused other things of the kind “{kind}”", by.actor.name());
                theirs.insert(key, new(&message, by.clone(), 1));
                return false;
            }
            theirs.insert(key, new(message, by.clone(), 0));
            return true;
        }
        let others = Key {
            kind: String::new(),
            text: String::new(),
            network: String::new(),
        };
        let others = theirs.entry(others).or_insert_with(|| {
            let by = if known { by.clone() } else { By::system() };
            new("many different requests were refused", by, 0)
        });
        others.more = others.more.saturating_add(1);
        false
    }

    /// Takes out what is older than a minute (or everything): what was refused more than once, and how often.
    fn over(&self, now: Instant, all: bool) -> Vec<(String, u32, By)> {
        let mut over = Vec::new();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, theirs| {
            theirs.retain(|_, seen| {
                let keep = !all && now.duration_since(seen.first) < A_MINUTE;
                if !keep && seen.more > 0 {
                    over.push((seen.message.clone(), seen.more, seen.by.clone()));
                }
                keep
            });
            !theirs.is_empty()
        });
        over
    }
}

/// The network of an address: a stranger has many neighbours.
fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        Ok(IpAddr::V6(_)) | Err(_) => super::login::network(address),
    }
}

impl Engine {
    /// Journals that somebody was refused something. The same once more within a minute is counted; a kind holds nothing
    /// that the caller can choose.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn note_refusal(&self, kind: &str, message: &str, by: By) -> Result<(), EngineError> {
        self.note(Whose::of(&by, false), kind, message, by).await
    }

    /// The same of a log-in.
    pub(super) async fn note_log_in(&self, kind: &str, by: By) -> Result<(), EngineError> {
        self.note(Whose::of(&by, true), kind, kind, by).await
    }

    async fn note(&self, whose: Whose, kind: &str, message: &str, by: By) -> Result<(), EngineError> {
        let message = bounded(message, MESSAGE_LIMIT);
        if self.0.refusals.is_new(whose, kind, &message, &by, Instant::now()) {
            let event = NewEvent::audit(&by, Level::Warn, "refused", message);
            self.0.store.append_event(event).await?;
        }
        Ok(())
    }

    /// Journals that the certificate's files have changed, and what came of it.
    pub async fn note_certificate(&self, taken: Result<(), String>) {
        let event = match taken {
            Ok(()) => {
                tracing::info!("the certificate has changed; the new one counts from now on");
                let message = "The certificate has changed; the new one counts from now on";
                NewEvent::system(Level::Info, "certificate", message)
            }
            Err(why) => {
                tracing::warn!(why, "the certificate has changed and cannot be used; the old one stays");
                let message = format!("The certificate has changed and cannot be used; the old one stays: {why}");
                NewEvent {
                    category: Category::Error,
                    ..NewEvent::system(Level::Error, "certificate", message)
                }
            }
        };
        if let Err(why) = self.0.store.append_event(event).await {
            tracing::warn!(%why, "a change of the certificate could not be journaled");
        }
    }

    /// Writes down how often what was refused before was refused again.
    async fn note_counted_refusals(&self, all: bool) {
        for (message, more, by) in self.0.refusals.over(Instant::now(), all) {
            let times = if more == 1 { "time" } else { "times" };
            let event = NewEvent {
                details: Some(serde_json::json!({ "times": more })),
                ..NewEvent::audit(
                    &by,
                    Level::Warn,
                    "refused",
                    format!("{message} ({more} more {times} within a minute)"),
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

    fn from(address: &str) -> By {
        By::new(Actor::System, Some(address.to_owned()), Access::Nothing)
    }

    fn is_new(refusals: &Refusals, kind: &str, by: &By, now: Instant) -> bool {
        refusals.is_new(Whose::of(by, false), kind, kind, by, now)
    }

    #[test]
    fn a_stranger_cannot_fill_the_log() {
        let refusals = Refusals::default();
        let now = Instant::now();
        assert!(is_new(&refusals, "origin", &from("10.0.0.1"), now));
        assert!(!is_new(&refusals, "origin", &from("10.0.0.1"), now));
        assert!(!is_new(&refusals, "origin", &from("10.0.0.2"), now), "a neighbour");
        assert!(is_new(&refusals, "origin", &from("10.0.1.1"), now));
        assert!(is_new(&refusals, "host", &from("10.0.0.1"), now));
        assert!(refusals.over(now, false).is_empty());
        let over = refusals.over(now + A_MINUTE, false);
        assert_eq!(over.len(), 1);
        assert_eq!((over[0].0.as_str(), over[0].1), ("origin", 2));
        assert!(is_new(&refusals, "origin", &from("10.0.0.1"), now + A_MINUTE));
    }

    #[test]
    fn another_mistake_is_another_event_but_words_cannot_fill_the_log() {
        let refusals = Refusals::default();
        let now = Instant::now();
        let anna = By::new(Actor::User("anna".to_owned()), None, Access::Everything);
        let is_new = |kind: &str, text: &str| refusals.is_new(Whose::of(&anna, false), kind, text, &anna, now);
        assert!(is_new("POST /run", "anna was refused: a"));
        assert!(is_new("POST /run", "anna was refused: b"), "another text");
        assert!(!is_new("POST /run", "anna was refused: a"), "the same");
        let more = (0..1_000).filter(|n| is_new("POST /run", &n.to_string())).count();
        assert_eq!(more, OF_ONE_KIND - 2);
        assert!(!is_new("POST /run", "anna was refused: b"), "counted with its like");
        assert!(
            is_new("POST /hosts", "anna was refused: a"),
            "another kind is not hidden by it"
        );
        let over = refusals.over(now, true);
        let times = |text: &str| {
            over.iter()
                .find(|(said, ..)| said.contains(text))
                .map(|(_, more, _)| *more)
        };
        assert_eq!(times("refused: a"), Some(1));
        assert_eq!(times("refused: b"), Some(1));
        assert_eq!(
            times("other things of the kind “POST /run”"),
            Some(992),
            "1,000 but those eight"
        );
    }

    #[test]
    fn what_is_kept_apart_is_bounded_and_displaces_nobody_else() {
        let refusals = Refusals::default();
        let now = Instant::now();
        let strangers = (0..10_000).map(|n| from(&format!("10.{}.{}.1", n / 250, n % 250)));
        let new = strangers.filter(|by| is_new(&refusals, "host", by, now));
        assert_eq!(new.count(), OF_STRANGERS);
        let known = |name: &str| By::new(Actor::Token(name.to_owned()), None, Access::Everything);
        let new = (0..10_000).filter(|n| is_new(&refusals, &n.to_string(), &known("a"), now));
        assert_eq!(new.count(), OF_ONE_ACTOR);
        assert!(is_new(&refusals, "x", &known("b"), now), "another one");
        let alice = By::new(Actor::User("alice".to_owned()), None, Access::Nothing);
        assert!(is_new(&refusals, "a log-in failed", &alice, now));
        let nobody = Whose::of(&from("10.0.0.1"), true);
        assert!(refusals.is_new(nobody, "a log-in failed", "", &from("10.0.0.1"), now));
        let mut over: Vec<_> = refusals.over(now, true).into_iter().map(|(_, more, _)| more).collect();
        over.sort_unstable();
        assert_eq!(over, [9_900, 9_970]);
    }
}
