//! Watches the dashboard's own readiness for those who want to be told: red for a while is an event, and so is its end.
//! Where the journal cannot take that event, which may be the very trouble, they are told without it, once.

use std::time::{Duration, Instant};

use crate::domain::{Category, Level, Notice};
use crate::store::NewEvent;

use super::super::Engine;
use super::{notice, notify};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// What is over sooner is no trouble.
const AFTER: Duration = Duration::from_secs(15);

pub(super) async fn health_loop(engine: Engine) {
    let mut red_since: Option<Instant> = None;
    let mut said = false;
    loop {
        tokio::select! {
            () = engine.0.stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let health = engine.health();
        if health.ready {
            red_since = None;
            if said {
                let event = NewEvent::system(Level::Success, "ready", "The dashboard is ready again");
                said = engine.0.store.append_event(event).await.is_err();
            }
            continue;
        }
        let since = *red_since.get_or_insert_with(Instant::now);
        if said || since.elapsed() < AFTER || engine.0.stopping.is_cancelled() {
            continue;
        }
        let message = format!("The dashboard is not ready: {}", health.problems.join("; "));
        let event = NewEvent {
            category: Category::Error,
            ..NewEvent::system(Level::Error, "unready", message.clone())
        };
        if engine.0.store.append_event(event).await.is_err() {
            tell_without_the_journal(&engine, &message).await;
        }
        said = true;
    }
}

async fn tell_without_the_journal(engine: &Engine, message: &str) {
    let outside = &engine.0.settings.outside;
    let body = notice::body_without_event(message, Notice::Unhealthy.as_str(), outside.public_url.as_deref());
    for place in outside
        .notifies
        .iter()
        .filter(|place| place.on.contains(&Notice::Unhealthy))
    {
        if let Err(why) = notify::tell(place, &mut None, &body).await {
            tracing::error!(name = place.name, %why, "nobody could be told that the dashboard is not ready");
        }
    }
}
