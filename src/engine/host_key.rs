//! The keys of hosts: which one a host shows, and a person's word that it is the right one.

use crate::domain::{Ask, Fingerprint, HostName, Level};
use crate::executor::ShownKey;
use crate::store::{By, HostRow, NewEvent};

use super::hosts::reachable_as;
use super::{Engine, EngineError, Tested};

impl Engine {
    /// The key that a host showed when it was refused because of it, since this start; none where that is not why.
    #[must_use]
    pub fn shown_key(&self, row: &HostRow) -> Option<ShownKey> {
        self.0.executor.shown_key(&reachable_as(row, None))
    }

    /// Takes the key with this fingerprint as the host's own from now on, in place of any that was known, and tests the
    /// host. The host is dialled for its key first: what it shows then must be just that one.
    ///
    /// # Errors
    /// Not allowed; not confirmed lately who they are; no such host; [`EngineError::Conflict`] where the host is not
    /// reached, shows another key, or one that is known already or revoked. Nothing was changed then.
    pub async fn accept_key(&self, name: &HostName, wanted: &Fingerprint, by: By) -> Result<Tested, EngineError> {
        self.allow_at_all(&by, Ask::Hosts)?;
        self.proved_lately(&by)?;
        let found = name.clone();
        let row = self.reader().read(move |journal| journal.host(&found)).await?;
        let Some(row) = row.filter(|row| row.removed_at.is_none()) else {
            return Err(EngineError::UnknownHost(name.to_string()));
        };
        let host = reachable_as(&row, None);
        let shown = self.0.executor.look_at_key(&host).await.map_err(|why| {
            EngineError::Conflict(format!(
                "the key of {name} could not be looked at, so nothing was changed: {why}"
            ))
        })?;
        let why_not = if shown.key.fingerprint != *wanted {
            Some(format!("{name} shows another key now: {}, not {wanted}", shown.key))
        } else if shown.revoked {
            Some(format!("{} is marked as revoked in a file of known hosts", shown.key))
        } else if shown.is_known() {
            Some(format!("{} is known already; test the host", shown.key))
        } else {
            None
        };
        if let Some(why) = why_not {
            return Err(EngineError::Conflict(format!("{why}; nothing was changed")));
        }
        self.note_accepted(&row, &shown, &by).await?;
        if let Err(why) = self.0.executor.pin(&host, &shown).await {
            let why = format!("the key of {name} could not be written: {why}");
            let event = NewEvent {
                host_id: Some(row.id),
                ..NewEvent::audit(&by, Level::Error, "host:key", why.clone())
            };
            self.0.store.append_event(event).await?;
            return Err(EngineError::Conflict(why));
        }
        self.test_host(name, by).await
    }

    /// Before it is done: who took which key in place of which.
    async fn note_accepted(&self, row: &HostRow, shown: &ShownKey, by: &By) -> Result<(), EngineError> {
        let known: Vec<String> = shown.known.iter().map(ToString::to_string).collect();
        let before = if known.is_empty() {
            "none was known".to_owned()
        } else {
            format!("in place of {}", known.join(", "))
        };
        let (who, name) = (by.actor.name(), &row.hostname);
        let message = format!("{who} accepted the host key of {name}: {} ({before})", shown.key);
        let event = NewEvent {
            host_id: Some(row.id),
            details: Some(serde_json::json!({ "before": shown.known, "after": shown.key })),
            ..NewEvent::audit(by, Level::Info, "host:key", message)
        };
        self.0.store.append_event(event).await?;
        Ok(())
    }
}
