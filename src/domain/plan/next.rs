//! What a pipeline does next: a pure function of its frozen plan and the rows of the journal.
//!
//! `&&` per host; each stage is a barrier over the hosts of a batch that are still in; a batch goes
//! through all stages before the next one starts. Nothing is remembered between two calls: after a
//! restart the same rows say the same thing, so no stage ever runs twice on a host.

use super::{Cell, Cells, Next, Orders, Plan, Tally, Why};
use crate::domain::{OnFailure, PipelineStatus};

/// How one host stands, over all of its stages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stand {
    /// Its next stage.
    At(usize),
    /// Open in this stage.
    Busy(usize),
    /// Through all of them.
    Through,
    /// Out since this stage.
    Out(usize),
}

struct Hosts<'a> {
    plan: &'a Plan,
    cells: &'a Cells,
    orders: &'a Orders,
    /// Why nothing further starts, where that is so.
    halted: Option<Why>,
}

impl<'a> Hosts<'a> {
    fn of(plan: &'a Plan, cells: &'a Cells, orders: &'a Orders) -> Self {
        let mut hosts = Self {
            plan,
            cells,
            orders,
            halted: None,
        };
        hosts.halted = if orders.cancelled {
            Some(Why::Cancelled)
        } else {
            hosts.tripped().then_some(Why::Stopped)
        };
        hosts
    }

    fn stand(&self, batch: usize, host: i64) -> Stand {
        for (stage, definition) in self.plan.stages.iter().enumerate() {
            if !self.plan.applies(host, stage) {
                continue;
            }
            if definition.op().is_none() {
                // Where nothing further starts, nobody is asked any more.
                if self.halted.is_some() || self.orders.passed.contains(&(batch, stage)) {
                    continue;
                }
                return Stand::At(stage);
            }
            match self.cells.get(&(host, stage)) {
                None => return Stand::At(stage),
                Some(Cell::Open) => return Stand::Busy(stage),
                Some(Cell::Good) => {}
                Some(Cell::Failed | Cell::Unreachable) if definition.on_failure == OnFailure::GoOn => {}
                Some(Cell::Failed | Cell::Unreachable | Cell::Rest) => return Stand::Out(stage),
            }
        }
        Stand::Through
    }

    /// Failed goes before unreachable.
    fn failed(&self, host: i64) -> Option<Cell> {
        let cells = self.cells.range((host, 0)..=(host, usize::MAX)).map(|(_, cell)| *cell);
        let mut found = None;
        for cell in cells {
            match cell {
                Cell::Failed => return Some(cell),
                Cell::Unreachable => found = Some(cell),
                Cell::Open | Cell::Good | Cell::Rest => {}
            }
        }
        found
    }

    fn counts(&self, host: i64) -> bool {
        match self.failed(host) {
            Some(Cell::Unreachable) => self.plan.count_unreachable,
            Some(_) => true,
            None => false,
        }
    }

    /// Every op that is for it ended well.
    fn passed(&self, host: i64) -> bool {
        self.plan
            .stages_of(host)
            .all(|stage| self.cells.get(&(host, stage)) == Some(&Cell::Good))
    }

    /// Whether so much failed that nothing further may start.
    fn tripped(&self) -> bool {
        if !self.plan.may_trip() {
            return false;
        }
        let failed = self.plan.hosts().filter(|host| self.counts(*host)).count();
        if self.plan.stop_at.is_some_and(|stop| failed >= stop.max(1)) {
            return true;
        }
        // A first batch of which nothing was reached has shown nothing either.
        self.plan.first_batch_must_pass
            && self.plan.batches.len() > 1
            && self.plan.batches.first().is_some_and(|first| {
                first.iter().any(|host| self.counts(*host)) || first.iter().all(|host| self.failed(*host).is_some())
            })
    }
}

impl Plan {
    /// What comes next, from the rows of the journal alone. Calling it again after its answer was
    /// carried out gives the answer after that; calling it again without gives the same one.
    #[must_use]
    pub fn next(&self, cells: &Cells, orders: &Orders) -> Next {
        let hosts = Hosts::of(self, cells, orders);
        let mut next = Next {
            current_stage: self.stages.len(),
            ..Next::default()
        };
        let open = cells.values().filter(|cell| **cell == Cell::Open).count();
        let places = self.max_parallel.max(1).saturating_sub(open);
        let mut is_turn = hosts.halted.is_none();
        for (batch, members) in self.batches.iter().enumerate() {
            let stands: Vec<(i64, Stand)> = members.iter().map(|host| (*host, hosts.stand(batch, *host))).collect();
            for (host, stand) in &stands {
                next.leave(&hosts, *host, *stand);
            }
            // The barrier: the least stage that a member still in has not left.
            let barrier = stands.iter().filter_map(|(_, stand)| match stand {
                Stand::At(stage) | Stand::Busy(stage) => Some(*stage),
                Stand::Through | Stand::Out(_) => None,
            });
            let Some(stage) = barrier.min() else { continue };
            next.current_stage = next.current_stage.min(stage);
            if !is_turn {
                continue;
            }
            is_turn = false; // The next batch starts when this one is through.
            next.turn = Some((batch, stage));
            if self.stages[stage].op().is_none() {
                next.waits = Some((batch, stage));
            } else if !orders.held {
                let ready = stands
                    .iter()
                    .filter(|(host, stand)| *stand == Stand::At(stage) && !orders.busy.contains(host));
                next.start = ready.take(places).map(|(host, _)| (*host, stage)).collect();
            }
        }
        if open == 0 && next.write_off.is_empty() && next.release.len() == self.hosts().count() {
            next.end = Some(self.verdict(&hosts));
        }
        next
    }

    /// The stage with an op that would start next, were nothing in the way; none where nothing further starts.
    #[must_use]
    pub fn upcoming(&self, cells: &Cells, orders: &Orders) -> Option<usize> {
        let hosts = Hosts::of(self, cells, orders);
        if hosts.halted.is_some() {
            return None;
        }
        self.batches.iter().enumerate().find_map(|(batch, members)| {
            let still_in = members.iter().filter(|host| match hosts.stand(batch, **host) {
                Stand::At(_) | Stand::Busy(_) => true,
                Stand::Through | Stand::Out(_) => false,
            });
            still_in
                .filter_map(|host| {
                    self.stages_of(*host)
                        .find(|stage| !cells.contains_key(&(*host, *stage)))
                })
                .min()
        })
    }

    /// How many hosts stand how.
    #[must_use]
    pub fn tally(&self, cells: &Cells) -> Tally {
        let orders = Orders::default();
        let hosts = Hosts::of(self, cells, &orders);
        let mut tally = Tally::default();
        for host in self.hosts() {
            let all_there = self
                .stages_of(host)
                .all(|stage| cells.get(&(host, stage)).is_some_and(|cell| *cell != Cell::Open));
            let place = match hosts.failed(host) {
                _ if !all_there => &mut tally.under_way,
                Some(Cell::Unreachable) => &mut tally.unreachable,
                Some(_) => &mut tally.failed,
                None if hosts.passed(host) => &mut tally.passed,
                None => &mut tally.written_off,
            };
            *place += 1;
        }
        tally
    }

    fn verdict(&self, hosts: &Hosts<'_>) -> PipelineStatus {
        if hosts.orders.cancelled {
            return PipelineStatus::Cancelled;
        }
        let (mut passed, mut not) = (false, false);
        for host in self.hosts() {
            if hosts.passed(host) {
                passed = true;
            } else {
                not = true;
            }
        }
        match (passed, not) {
            (_, false) => PipelineStatus::Complete,
            (false, true) => PipelineStatus::Failed,
            (true, true) => PipelineStatus::Partial,
        }
    }
}

impl Next {
    /// What follows for a host that is through or out, or is in though nothing further starts.
    fn leave(&mut self, hosts: &Hosts<'_>, host: i64, stand: Stand) {
        let halted = hosts.halted;
        let from = match (stand, halted) {
            (Stand::Out(stage), Some(Why::Cancelled)) => Some((stage + 1, Why::Cancelled)),
            (Stand::Out(stage), _) => Some((stage + 1, Why::EarlierStage)),
            (Stand::At(stage), Some(why)) => Some((stage, why)),
            (Stand::At(_), None) | (Stand::Busy(_) | Stand::Through, _) => None,
        };
        if let Some((from, why)) = from {
            let rest = hosts.plan.stages_of(host).filter(|stage| *stage >= from);
            let missing = rest.filter(|stage| !hosts.cells.contains_key(&(host, *stage)));
            self.write_off.extend(missing.map(|stage| (host, stage, why)));
        }
        let over = match stand {
            Stand::Through | Stand::Out(_) => true,
            Stand::At(_) => halted.is_some(),
            Stand::Busy(_) => false,
        };
        if over {
            self.release.insert(host);
        }
    }
}
