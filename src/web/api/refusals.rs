//! Every refused change becomes an event, but not more of them than a log can bear.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::bounded;
use crate::engine::{By, Engine};

use super::problem::Problem;

/// How many refusals are noted in one minute. A program in a loop must not fill the journal.
const A_MINUTE: u32 = 60;

/// Counts the refusals of the present minute.
#[derive(Debug)]
pub(super) struct Refusals(Mutex<(Instant, u32)>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new((Instant::now(), 0)))
    }
}

impl Refusals {
    /// Passes an answer on; where it is a refusal, the journal notes who was refused what, and why.
    pub(super) async fn noted<T>(
        &self,
        engine: &Engine,
        by: &By,
        what: &str,
        answer: Result<T, Problem>,
    ) -> Result<T, Problem> {
        if let Err(problem) = &answer
            && problem.is_refusal()
        {
            let asked = format!(
                "{} was refused {}: {}",
                by.actor.name(),
                bounded(what, 200),
                problem.detail()
            );
            match self.count() {
                1..A_MINUTE => note(engine, by, &asked).await,
                A_MINUTE => {
                    let last = format!("{asked} (further refusals of this minute are not noted)");
                    note(engine, by, &last).await;
                }
                _ => {}
            }
        }
        answer
    }

    fn count(&self) -> u32 {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.0.elapsed() > Duration::from_secs(60) {
            *minute = (Instant::now(), 0);
        }
        minute.1 = minute.1.saturating_add(1);
        minute.1
    }
}

/// The refusal stands, whether or not it could be noted.
async fn note(engine: &Engine, by: &By, message: &str) {
    if let Err(why) = engine.note_refusal(message, by.clone()).await {
        tracing::warn!(%why, message, "a refusal could not be journaled");
    }
}
