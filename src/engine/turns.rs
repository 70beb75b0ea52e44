//! How many exports and reports somebody may begin: each is work and an event, so nobody begins them without end.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Engine, EngineError};

/// Those of one actor that may be on their way at once.
const AT_ONCE: usize = 4;
/// The same of everybody.
const AT_ONCE_IN_ALL: usize = 20;
/// Those that one actor may begin within an hour.
const IN_AN_HOUR: usize = 60;
const AN_HOUR: Duration = Duration::from_secs(3600);
/// After how many seconds one of those that are on their way may have ended.
const A_WHILE: i64 = 10;

/// What is counted; each by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Export,
    Report,
}

impl Kind {
    const fn many(self) -> &'static str {
        match self {
            Self::Export => "exports",
            Self::Report => "audit reports",
        }
    }
}

/// Who has some on their way, or has begun some within the last hour, by the actor's text.
#[derive(Default)]
pub(super) struct Turns {
    exports: Mutex<HashMap<String, Theirs>>,
    reports: Mutex<HashMap<String, Theirs>>,
}

#[derive(Default)]
struct Theirs {
    running: usize,
    began: VecDeque<Instant>,
}

impl Turns {
    fn begin(&self, kind: Kind, whose: &str, now: Instant) -> Result<(), EngineError> {
        let what = kind.many();
        let mut all = self.all(kind);
        all.retain(|_, theirs| {
            theirs.began.retain(|began| now.duration_since(*began) < AN_HOUR);
            theirs.running > 0 || !theirs.began.is_empty()
        });
        if all.values().map(|theirs| theirs.running).sum::<usize>() >= AT_ONCE_IN_ALL {
            let why = format!("{AT_ONCE_IN_ALL} {what} are on their way; begin this one when another has ended");
            return Err(EngineError::TooMany { why, again: A_WHILE });
        }
        let theirs = all.entry(whose.to_owned()).or_default();
        if theirs.running >= AT_ONCE {
            let why = format!("{AT_ONCE} {what} of yours are on their way; begin this one when another has ended");
            return Err(EngineError::TooMany { why, again: A_WHILE });
        }
        if let Some(oldest) = theirs.began.front().filter(|_| theirs.began.len() >= IN_AN_HOUR) {
            let left = AN_HOUR.saturating_sub(now.duration_since(*oldest)).as_secs();
            let again = i64::try_from(left).unwrap_or(i64::MAX).saturating_add(1);
            let why = format!(
                "you have begun {IN_AN_HOUR} {what} within an hour; the next may begin in {} min",
                left / 60 + 1
            );
            return Err(EngineError::TooMany { why, again });
        }
        theirs.running += 1;
        theirs.began.push_back(now);
        Ok(())
    }

    fn end(&self, kind: Kind, whose: &str) {
        if let Some(theirs) = self.all(kind).get_mut(whose) {
            theirs.running = theirs.running.saturating_sub(1);
        }
    }

    fn all(&self, kind: Kind) -> MutexGuard<'_, HashMap<String, Theirs>> {
        let all = match kind {
            Kind::Export => &self.exports,
            Kind::Report => &self.reports,
        };
        all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one of them for as long as it is on its way.
pub struct Turn {
    engine: Engine,
    kind: Kind,
    whose: String,
}

impl Turn {
    pub(super) fn take(engine: &Engine, kind: Kind, whose: String) -> Result<Self, EngineError> {
        engine.0.turns.begin(kind, &whose, Instant::now())?;
        let engine = engine.clone();
        Ok(Self { engine, kind, whose })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.engine.0.turns.end(self.kind, &self.whose);
    }
}
