//! Places outside: every event to log servers and files, checkpoints to witnesses, notices to people and programs.
//!
//! Each place has one task and one cursor in the journal. The task reads what is after the cursor, sends it, and only
//! then moves the cursor, so nothing is left out by a restart and something may arrive twice. It waits for events and
//! costs nothing while there are none; the journal never waits for it. A place that takes nothing is tried again, ever
//! more rarely (once a minute at least), is announced as an event, once, and is named beside readiness until it does.

mod courier;
mod feed;
mod forward;
mod health;
mod notice;
mod notify;

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use crate::domain::{Ask, DeliveryKind, Headers, Level, Notice, Outside, Timestamp, nearest};
use crate::store::{By, NewDelivery, NewEvent};

use super::{Engine, EngineError};

/// Since when which places take nothing.
pub(super) type Outages = BTreeMap<(DeliveryKind, String), Timestamp>;

/// How a test of a notification went.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct NotifyTested {
    /// The notification.
    pub name: String,
    /// Where it goes, without secrets.
    pub target: String,
    /// Whether the message arrived.
    pub delivered: bool,
    /// Why not.
    pub problem: Option<String>,
    /// How long it took, in milliseconds.
    #[schema(minimum = 0)]
    pub took_ms: i64,
}

/// Gives every place its cursor and its task.
pub(super) async fn start(engine: Engine) {
    let outside = engine.0.settings.outside.clone();
    let places = places(&outside);
    // Until the journal can be written nobody is served; it is tried again.
    let rows = loop {
        match engine.0.store.register_deliveries(places.clone()).await {
            Ok(rows) => break rows,
            Err(why) => tracing::warn!(%why, "the places outside could not be journaled"),
        }
        tokio::select! {
            () = engine.0.stopping.cancelled() => return,
            () = tokio::time::sleep(std::time::Duration::from_secs(5)) => {}
        }
    };
    let tasks = &engine.0.tasks;
    for row in rows {
        match row.kind {
            DeliveryKind::Notify => {
                if let Some(notify) = outside.notifies.iter().find(|notify| notify.name == row.name) {
                    tasks.spawn(notify::notify_loop(engine.clone(), notify.clone(), row));
                }
            }
            DeliveryKind::Forward | DeliveryKind::Witness => {
                let forward = outside.forwards.iter().find(|forward| forward.name == row.name);
                let witness = outside.witnesses.iter().find(|witness| witness.name == row.name);
                let forward = forward.map(|forward| (forward.target.clone(), Headers::None));
                let place = forward.or_else(|| witness.map(|place| (place.target.clone(), place.headers.clone())));
                if let Some((target, headers)) = place {
                    tasks.spawn(forward::forward_loop(engine.clone(), target, headers, row));
                }
            }
        }
    }
    if outside
        .notifies
        .iter()
        .any(|notify| notify.on.contains(&Notice::Unhealthy))
    {
        tasks.spawn(health::health_loop(engine.clone()));
    }
}

fn places(outside: &Outside) -> Vec<NewDelivery> {
    let new = |kind: DeliveryKind, name: &str, target: String, from_start: bool| NewDelivery {
        kind,
        name: name.to_owned(),
        target,
        from_start,
    };
    let mut places = Vec::new();
    for forward in &outside.forwards {
        let shown = forward.target.shown();
        if forward.witness {
            places.push(new(DeliveryKind::Witness, &forward.name, shown.clone(), false));
        }
        places.push(new(DeliveryKind::Forward, &forward.name, shown, forward.from_start));
    }
    for witness in &outside.witnesses {
        places.push(new(DeliveryKind::Witness, &witness.name, witness.target.shown(), false));
    }
    for notify in &outside.notifies {
        places.push(new(DeliveryKind::Notify, &notify.name, notify.target.shown(), false));
    }
    places
}

impl Engine {
    pub(super) fn outages(&self) -> MutexGuard<'_, Outages> {
        self.0.outages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says, beside readiness, which places take nothing. By name only: readiness is for everybody.
    pub(super) fn delivery_notes(&self) -> Vec<String> {
        let outages = self.outages();
        let note = |((kind, name), since): (&(DeliveryKind, String), &Timestamp)| {
            let since = &since.to_string()[..19];
            format!("{kind} “{name}” has taken nothing since {since} UTC or longer")
        };
        outages.iter().map(note).collect()
    }

    /// Sends a test message, once, and says how that went.
    ///
    /// # Errors
    /// [`EngineError::Unknown`] where no notification has this name; when the journal cannot be written.
    pub async fn test_notify(&self, by: By, name: &str) -> Result<NotifyTested, EngineError> {
        self.allow_at_all(&by, Ask::Settings)?;
        let outside = &self.0.settings.outside;
        let Some(notify) = outside.notifies.iter().find(|notify| notify.name == name) else {
            let near = nearest(name, outside.notifies.iter().map(|notify| notify.name.as_str()));
            let near = near.map(|near| format!("; did you mean “{near}”?")).unwrap_or_default();
            return Err(EngineError::Unknown(format!(
                "notification “{}” in the configuration{near}",
                crate::domain::bounded(name, 64)
            )));
        };
        let begun = Instant::now();
        let text = format!(
            "This is a test of the notification “{name}” of Quarterdeck, asked for by {}",
            by.actor.name()
        );
        let body = notice::body_without_event(&text, "test", outside.public_url.as_deref());
        let told = notify::tell(notify, &mut None, &body).await;
        let tested = NotifyTested {
            name: name.to_owned(),
            target: notify.target.shown(),
            delivered: told.is_ok(),
            problem: told.err().map(|why| why.to_string()),
            took_ms: i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX),
        };
        let (level, how) = match &tested.problem {
            None => (Level::Success, "it arrived".to_owned()),
            Some(why) => (Level::Warn, format!("it did not arrive: {why}")),
        };
        let message = format!("{} tested the notification “{name}”: {how}", by.actor.name());
        let event = NewEvent {
            details: Some(serde_json::json!({ "name": name, "target": tested.target, "problem": tested.problem })),
            ..NewEvent::audit(&by, level, "notify:test", message)
        };
        self.0.store.append_event(event).await?;
        Ok(tested)
    }
}
