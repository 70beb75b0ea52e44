//! Looking at idle hosts now and then, so that the fleet page knows what is reachable.

use tokio::task::JoinSet;

use crate::store::HostRow;

use super::{Engine, hosts};

/// Hosts looked at at once; the executor bounds the dials besides.
const AT_ONCE: usize = 8;

/// Looks at every idle host, over and over.
pub(super) async fn probe_loop(engine: Engine) {
    let Some(interval) = engine.0.settings.probe_interval else {
        return;
    };
    loop {
        let (met, lost) = engine.probe_once().await;
        tracing::debug!(met, lost, "looked at the idle hosts");
        tokio::select! {
            () = engine.0.stopping.cancelled() => return,
            () = tokio::time::sleep(interval.to_std()) => {}
        }
    }
}

impl Engine {
    /// Contacts every host that has nothing open, and says how many answered and how many did not.
    async fn probe_once(&self) -> (usize, usize) {
        let idle = self.reader().read(|journal| {
            let busy: std::collections::HashSet<i64> =
                journal.open_commands()?.into_iter().map(|row| row.host_id).collect();
            let mut idle = Vec::new();
            for host in journal.hosts()?.into_iter().filter(|host| !busy.contains(&host.id)) {
                let facts = journal.host_facts(host.id)?;
                idle.push((facts.is_some_and(|facts| facts.reachable == Some(false)), host));
            }
            // Who was silent last time comes last: a look at it may take its whole time.
            idle.sort_by_key(|(silent, _)| *silent);
            Ok(idle.into_iter().map(|(_, host)| host).collect::<Vec<_>>())
        });
        let mut idle = match idle.await {
            Ok(idle) => idle.into_iter(),
            Err(why) => {
                tracing::warn!(%why, "cannot read the journal");
                return (0, 0);
            }
        };
        let mut looking = JoinSet::new();
        let (mut met, mut lost) = (0, 0);
        loop {
            while looking.len() < AT_ONCE && !self.0.stopping.is_cancelled() {
                let Some(host) = idle.next() else { break };
                let engine = self.clone();
                looking.spawn(async move { engine.look_at(host).await });
            }
            tokio::select! {
                () = self.0.stopping.cancelled() => return (met, lost),
                seen = looking.join_next() => match seen {
                    None => return (met, lost),
                    Some(Ok(true)) => met += 1,
                    Some(_) => lost += 1,
                },
            }
        }
    }

    async fn look_at(&self, row: HostRow) -> bool {
        let mut host = hosts::reachable_as(&row, None);
        // Being there is asked as the login user: an idle look needs no other rights.
        host.run_as = None;
        match self.0.executor.contact(&host, false).await {
            Ok(facts) => {
                self.met(row.id, &facts).await;
                true
            }
            Err(why) => {
                self.lost(row.id, &why).await;
                false
            }
        }
    }
}
