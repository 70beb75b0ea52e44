//! Recovery: what a stop left open is orphaned in one transaction before the first page is served,
//! and then settled with each host's evidence while pages are served already.

use crate::domain::{Digest, Level};
use crate::store::{CommandRow, EventFilter, Journal, NewEvent, Recovered, Started};

use super::{Engine, EngineError};

/// Of how many commands that were resolved by hand the hosts are asked again after a start, and before another one.
pub(super) const LATEST_RESOLVED: i64 = 200;

/// What a start would do now, without doing it.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct RecoveryPreview {
    /// Would be orphaned, and their hosts asked.
    pub orphaned: Vec<CommandRow>,
    /// Are orphaned already; their hosts would be asked again.
    pub asked_again: Vec<CommandRow>,
    /// Were asked for recently and would still be started.
    pub resumed: Vec<CommandRow>,
    /// Were asked for too long ago, or are dangerous, and would be cancelled.
    pub cancelled: Vec<CommandRow>,
}

impl Engine {
    /// The start's own pass: one transaction over the journal, then one driver per open command.
    ///
    /// # Errors
    /// When the journal cannot be written: nothing may be served then.
    pub async fn recover(&self) -> Result<(Started, Recovered), EngineError> {
        let started = self.0.store.begin_start(self.0.settings.resume_within).await?;
        let instance = self.reader().read(Journal::instance_row).await?;
        if let Some(at) = instance.restored_at {
            let _ = self.0.restored_at.set(at);
        }
        let recovered = self.0.store.orphan_executing(self.0.settings.resume_within).await?;
        // Those of this start, and those whose hosts an earlier one could not reach.
        for row in self.reader().read(Journal::orphaned_commands).await? {
            self.drive(row.id);
        }
        self.take_up().await?;
        let unanswered = self
            .reader()
            .read(|journal| journal.resolved_unanswered(LATEST_RESOLVED));
        for row in unanswered.await? {
            self.drive(row.id);
        }
        Ok((started, recovered))
    }

    /// Journals the configuration of this start, by its digest, where it differs from that of the start before.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub async fn note_configuration(&self, text: &str) -> Result<(), EngineError> {
        let digest = Digest::of(text.as_bytes());
        let filter = EventFilter {
            action: Some("config".to_owned()),
            ..EventFilter::default()
        };
        let last = self
            .reader()
            .read(move |journal| journal.events(&filter, None, 1))
            .await?;
        let before = last
            .rows
            .first()
            .and_then(|event| event.details.as_ref())
            .map(|details| details["sha256"].clone());
        if before.as_ref().and_then(serde_json::Value::as_str) == Some(digest.as_str()) {
            return Ok(());
        }
        let message = match before {
            Some(_) => "The configuration has changed since the start before".to_owned(),
            None => "The configuration of this start is noted, so that changes will show".to_owned(),
        };
        let event = NewEvent {
            details: Some(serde_json::json!({ "sha256": digest })),
            ..NewEvent::system(Level::Info, "config", message)
        };
        self.0.store.append_event(event).await?;
        Ok(())
    }

    /// What the start would do to the commands that are open now.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn recovery_preview(&self) -> Result<RecoveryPreview, EngineError> {
        let resume_within = self.0.settings.resume_within;
        let data_dir = self.0.settings.data_dir.clone();
        let machine_folder = self.0.store.machine_folder().map(std::path::Path::to_owned);
        let found = self
            .reader()
            .read(move |journal| journal.recovery_preview(&data_dir, machine_folder.as_deref(), resume_within))
            .await?;
        Ok(RecoveryPreview {
            orphaned: found.orphaned,
            asked_again: found.asked_again,
            resumed: found.resumed,
            cancelled: found.cancelled,
        })
    }
}
