//! Stopping a job: marker, TERM, wait, KILL, verify, and the proof in the journal.

use crate::domain::{Level, Span, StopReason};
use crate::store::CommandRow;

use super::Engine;
use super::drive::{Backoff, Case, Trouble};

impl Engine {
    /// Carries out a journaled wish to stop, until nothing of the job is alive. What survives is said
    /// once each time it changes, and keeps the command open and its host locked.
    pub(super) async fn stop_and_verify(&self, case: &Case, row: CommandRow) -> Result<(), Trouble> {
        let Some(why) = row.stop_reason else { return Ok(()) };
        let grace = case.definition.kill_grace.unwrap_or(self.0.settings.kill_grace);
        let mut backoff = Backoff::new();
        let mut said: Option<Vec<String>> = None;
        loop {
            let report = self.0.executor.stop(&case.host, case.job(), why, grace).await?;
            if report.gone || said.as_ref() != Some(&report.survivors) {
                let (level, message) = match (report.gone, why) {
                    (true, StopReason::Cancel) => (
                        Level::Info,
                        format!(
                            "{} on {} was stopped: verified that nothing of it is alive",
                            row.op, row.host
                        ),
                    ),
                    (true, StopReason::Timeout) => (
                        Level::Warn,
                        format!(
                            "{} on {} was stopped, its time was up: verified that nothing of it is alive",
                            row.op, row.host
                        ),
                    ),
                    (false, _) => (
                        Level::Error,
                        format!(
                            "{} on {} could not be stopped: {} still alive; the host stays locked",
                            row.op,
                            row.host,
                            report.survivors.join(", ")
                        ),
                    ),
                };
                let details =
                    serde_json::json!({ "steps": report.steps, "survivors": report.survivors, "gone": report.gone });
                self.0.store.report_stop(row.id, message, details, level).await?;
            }
            if report.gone {
                return Ok(());
            }
            said = Some(report.survivors);
            tokio::time::sleep(backoff.pause().max(Span::from_secs(2).to_std())).await;
        }
    }
}
