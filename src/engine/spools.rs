//! Giving back the space of old spools on the hosts, once a day.
//!
//! A spool is emptied when its outcome is committed; what failed stays whole for a week, and what
//! could not be emptied then (host away, dashboard killed) is found here. The host's side of the
//! sweep touches only our own folders, and none without proof that its job ended or never started.

use crate::domain::Span;
use crate::store::Journal;

use super::{Engine, hosts};

/// The first sweep, after the start, and the time between two.
const FIRST: Span = Span::from_secs(3_600);
const INTERVAL: Span = Span::from_days(1);

/// Sweeps the spools of all hosts, over and over.
pub(super) async fn spool_loop(engine: Engine) {
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = engine.0.stopping.cancelled() => return,
            () = tokio::time::sleep(pause.to_std()) => {}
        }
        pause = INTERVAL;
        let (removed, silent) = engine.sweep_spools_once().await;
        tracing::info!(removed, silent, "swept the spools on the hosts");
    }
}

impl Engine {
    /// Sweeps one host after the other; says how many folders went and how many hosts gave no answer.
    async fn sweep_spools_once(&self) -> (i64, usize) {
        let rows = match self.reader().read(Journal::hosts).await {
            Ok(rows) => rows,
            Err(why) => {
                tracing::warn!(%why, "cannot read the journal");
                return (0, 0);
            }
        };
        let (mut removed, mut silent) = (0, 0);
        for row in rows {
            let host = hosts::reachable_as(&row, None);
            let swept = tokio::select! {
                () = self.0.stopping.cancelled() => return (removed, silent),
                swept = self.0.executor.sweep(&host) => swept,
            };
            match swept {
                Ok(count) => removed += count,
                Err(why) => {
                    tracing::debug!(host = %row.hostname, %why, "spools not swept");
                    silent += 1;
                }
            }
        }
        (removed, silent)
    }
}
