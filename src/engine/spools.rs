//! Giving back the space of old spools on the hosts, once a day.
//!
//! A spool is emptied when its outcome is committed; what failed stays whole for a week, and what
//! could not be emptied then (host away, dashboard killed) is found here. The host's side of the
//! sweep touches only our own folders, and none without proof that its job ended or never started.

use std::collections::BTreeSet;

use crate::domain::{OpId, RunAs, Span};
use crate::executor::HostError;
use crate::store::{HostRow, Journal};

use super::{Engine, hosts};

/// The first sweep, after the start, and the time between two.
const FIRST: Span = Span::from_secs(3_600);
const INTERVAL: Span = Span::from_days(1);
/// The longest that one host may take, whatever it says meanwhile: the others wait for it.
const MOST_PER_HOST: Span = Span::from_secs(300);

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
            let swept = tokio::select! {
                () = self.0.stopping.cancelled() => return (removed, silent),
                swept = tokio::time::timeout(MOST_PER_HOST.to_std(), self.sweep_spools_of(&row)) => swept,
            };
            match swept {
                Ok(Ok(count)) => removed += count,
                Ok(Err(why)) => {
                    tracing::debug!(host = %row.hostname, %why, "spools not swept");
                    silent += 1;
                }
                Err(_) => {
                    tracing::info!(host = %row.hostname, "spools not swept: it took more than {MOST_PER_HOST}");
                    silent += 1;
                }
            }
        }
        (removed, silent)
    }

    /// Sweeps one host as each user that ops have run as there.
    async fn sweep_spools_of(&self, row: &HostRow) -> Result<i64, HostError> {
        let mut removed = self.0.executor.sweep(&hosts::reachable_as(row, None)).await?;
        if row.run_as.is_some() {
            return Ok(removed); // It goes before the ops' own.
        }
        for user in self.users_on(row.id).await {
            match self.0.executor.sweep(&hosts::reachable_as(row, Some(&user))).await {
                Ok(count) => removed += count,
                Err(why) => tracing::debug!(host = %row.hostname, %user, %why, "spools not swept"),
            }
        }
        Ok(removed)
    }

    /// Users that ops of the catalog run as, of those that were started on a host: a host's log hears of no other.
    async fn users_on(&self, host_id: i64) -> BTreeSet<RunAs> {
        let ops = self.0.catalog.iter().filter(|op| op.run_as.is_some());
        let ops: Vec<(OpId, RunAs)> = ops.filter_map(|op| Some((op.id.clone(), op.run_as.clone()?))).collect();
        let found = self.reader().read(move |journal| {
            let mut users = BTreeSet::new();
            for (op, user) in ops {
                if !users.contains(&user) && journal.was_started(host_id, &op)? {
                    users.insert(user);
                }
            }
            Ok(users)
        });
        found.await.unwrap_or_else(|why| {
            tracing::warn!(%why, "cannot read the journal");
            BTreeSet::new()
        })
    }
}
