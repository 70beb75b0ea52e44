//! Stopping a job: marker, TERM, wait, KILL, verify, and the proof in the journal.

use crate::domain::{Level, Span, StopReason};
use crate::store::CommandRow;

use crate::executor::Looked;

use super::Engine;
use super::case::{Case, Trouble};
use super::drive::Backoff;

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
                        format!("{} on {} {}", row.op, row.host, verified(report.looked, "")),
                    ),
                    (true, StopReason::Timeout) => {
                        let text = verified(report.looked, ", its time was up");
                        (Level::Warn, format!("{} on {} {text}", row.op, row.host))
                    }
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

/// What a stop can say for certain: where the host looked, and found nothing.
fn verified(looked: Looked, why: &str) -> String {
    let places = match looked {
        Looked::Ended => return format!("had ended by itself before it could be stopped{why}"),
        Looked::Unstarted => return format!("was kept from starting{why}"),
        Looked::Groups => "",
        Looked::OwnEnvironments => ", nor any process of its user that carries its id in its environment",
        Looked::AllEnvironments => ", nor any process that carries its id in its environment",
    };
    format!("was stopped{why}: on the host, nothing in its process groups and sessions is alive{places}")
}
