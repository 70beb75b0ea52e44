//! Audit reports: begun, finished, reviewed. What one says is gathered and drawn by `web`; here is who may, in
//! which order it is written, and how the dashboard stood when it was made.

use crate::domain::{Ask, ReportAsk, ReportNumber, Span};
use crate::store::{By, ReportDone, ReportRow, ReviewRow};

use super::turns::{Kind, Turn};
use super::{Engine, EngineError};

/// How long a report may wait for the system's word on its clock.
const CLOCK_PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// Whether the dashboard's clock follows a time server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockState {
    /// The system says so.
    Synchronised,
    /// The system says that it does not.
    Free,
    /// Nobody could say.
    Unknown,
}

impl Engine {
    /// Whoever asks for a report takes a turn first: each is work and an event, so nobody asks without end.
    ///
    /// # Errors
    /// Not allowed; [`EngineError::TooMany`].
    pub fn report_turn(&self, by: &By) -> Result<Turn, EngineError> {
        self.allow_at_all(by, Ask::See)?;
        Turn::take(self, Kind::Report, by.actor.to_string())
    }

    /// Gives a report its number. `covers` is the newest event that it knows.
    ///
    /// # Errors
    /// Not allowed; the journal cannot be written.
    pub async fn begin_report(&self, ask: ReportAsk, covers: i64, by: By, _: &Turn) -> Result<ReportRow, EngineError> {
        self.allow_at_all(&by, Ask::See)?;
        self.0.store.room_for_new()?;
        Ok(self.0.store.begin_report(ask, covers, by).await?)
    }

    /// Makes a begun report whole: its digest is an event, and a checkpoint covers that event.
    ///
    /// # Errors
    /// Not allowed; it is whole; the journal cannot be written.
    pub async fn finish_report(&self, id: i64, done: ReportDone, by: By) -> Result<ReportRow, EngineError> {
        self.allow_at_all(&by, Ask::See)?;
        Ok(self.0.store.finish_report(id, done, by).await?)
    }

    /// Notes that somebody has looked at a report.
    ///
    /// # Errors
    /// Not allowed; no such report; they made it, or said so before.
    pub async fn review_report(
        &self,
        number: ReportNumber,
        note: Option<String>,
        by: By,
    ) -> Result<ReviewRow, EngineError> {
        self.allow_at_all(&by, Ask::See)?;
        Ok(self.0.store.review_report(number, note, by).await?)
    }

    /// How long events are kept; none is forever.
    #[must_use]
    pub fn keeps_events(&self) -> Option<Span> {
        self.0.settings.keep_events
    }

    /// How long the text of reports is kept; none is forever.
    #[must_use]
    pub fn keeps_reports(&self) -> Option<Span> {
        self.0.settings.keep_reports
    }

    /// The dashboard's lasting id.
    #[must_use]
    pub fn dashboard_id(&self) -> &str {
        self.0.store.dashboard_id()
    }

    /// Asks the system whether its clock follows a time server: systemd's own mark, else `timedatectl`, which reads the
    /// kernel's flag whatever program sets it.
    pub async fn clock_state(&self) -> ClockState {
        if std::path::Path::new("/run/systemd/timesync/synchronized").exists() {
            return ClockState::Synchronised;
        }
        let asked = tokio::process::Command::new("timedatectl")
            .args(["show", "--property=NTPSynchronized", "--value"])
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output();
        match tokio::time::timeout(CLOCK_PATIENCE, asked).await {
            Ok(Ok(said)) if said.status.success() && said.stdout.starts_with(b"yes") => ClockState::Synchronised,
            Ok(Ok(said)) if said.status.success() && said.stdout.starts_with(b"no") => ClockState::Free,
            _ => ClockState::Unknown,
        }
    }
}
