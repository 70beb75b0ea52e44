//! The fleet at a glance: every host with its facts, its open command, its last end and whether anything of it needs
//! attention. A few look-ups in an index for each host, whatever the size of the history.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use serde::Serialize;

use super::{CommandRow, FactsRow, HostRow, Journal, ReadError};
use crate::domain::CommandId;

/// A host as the fleet shows it.
#[derive(Clone, Debug, Serialize)]
pub struct FleetRow {
    /// The host.
    pub host: HostRow,
    /// What it said about itself; none before the first contact.
    pub facts: Option<FactsRow>,
    /// What is open on it.
    pub open: Option<CommandRow>,
    /// Its newest end; what was refused or written off by its pipeline does not count: nothing of it ran.
    pub last: Option<CommandRow>,
    /// Where there is none: its newest refusal.
    pub refused: Option<CommandRow>,
    /// Whether a command of it needs attention ([`CommandRow::needs_attention`]): the last one, or any before that.
    pub attention: bool,
}

#[derive(QueryableByName)]
struct Ids {
    #[diesel(sql_type = BigInt)]
    host_id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    open: Option<CommandId>,
    #[diesel(sql_type = Nullable<Text>)]
    last: Option<CommandId>,
    #[diesel(sql_type = Nullable<Text>)]
    refused: Option<CommandId>,
    #[diesel(sql_type = Bool)]
    attention: bool,
}

/// One step in each of the indexes for each host; its newest refusal is looked for where nothing ever ran. By name: left
/// to itself SQLite walks `commands_host`, and over every refusal of a host that has nothing else. Refusals do not count
/// as a host's last command on purpose: who looks at the fleet wants to know how what last ran there ended.
macro_rules! ids {
    ($hosts:literal) => {
        concat!(
            "WITH ends AS MATERIALIZED (SELECT h.id AS host_id, ",
            "(SELECT o.id FROM commands o WHERE o.host_id = h.id AND o.finished_at IS NULL) AS open, ",
            "(SELECT l.id FROM commands l INDEXED BY commands_last WHERE l.host_id = h.id AND l.finished_at IS NOT NULL ",
            "AND l.status <> 'BLOCKED' AND (l.refusal IS NULL OR l.started_at IS NOT NULL) ORDER BY l.id DESC LIMIT 1) AS last, ",
            "EXISTS (SELECT 1 FROM commands a INDEXED BY commands_attention_host WHERE a.host_id = h.id AND a.finished_at IS NOT NULL ",
            "AND a.acknowledged_at IS NULL AND +a.status IN ('ERROR', 'TIMEOUT', 'ORPHANED')) AS attention FROM hosts h WHERE ",
            $hosts,
            ") SELECT *, CASE WHEN last IS NULL THEN (SELECT r.id FROM commands r INDEXED BY commands_host_status ",
            "WHERE r.host_id = ends.host_id AND r.status = 'BLOCKED' ORDER BY r.id DESC LIMIT 1) END AS refused FROM ends"
        )
    };
}

const FLEET: &str = ids!("h.removed_at IS NULL");

/// The same of one host.
const ONE: &str = ids!("h.id = ?");

impl Journal {
    /// The fleet, by name; removed hosts are not part of it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn fleet(&mut self) -> Result<Vec<FleetRow>, ReadError> {
        let ids: Vec<Ids> = diesel::sql_query(FLEET).load(&mut self.conn)?;
        let mut commands = self.commands_of(&ids)?;
        let mut by_host: HashMap<i64, Ids> = ids.into_iter().map(|ids| (ids.host_id, ids)).collect();
        let mut facts: HashMap<i64, FactsRow> = self
            .all_facts()?
            .into_iter()
            .map(|facts| (facts.host_id, facts))
            .collect();
        let hosts = self.hosts()?;
        Ok(hosts
            .into_iter()
            .map(|host| {
                let (ids, facts) = (by_host.remove(&host.id), facts.remove(&host.id));
                FleetRow::new(host, facts, ids, &mut commands)
            })
            .collect())
    }

    /// One host as the fleet shows it, also one that was removed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn fleet_row(&mut self, host: HostRow) -> Result<FleetRow, ReadError> {
        let ids: Vec<Ids> = diesel::sql_query(ONE).bind::<BigInt, _>(host.id).load(&mut self.conn)?;
        let mut commands = self.commands_of(&ids)?;
        let facts = self.host_facts(host.id)?;
        Ok(FleetRow::new(host, facts, ids.into_iter().next(), &mut commands))
    }

    fn commands_of(&mut self, ids: &[Ids]) -> Result<HashMap<CommandId, CommandRow>, ReadError> {
        let wanted: Vec<CommandId> = ids
            .iter()
            .flat_map(|ids| [ids.open, ids.last, ids.refused])
            .flatten()
            .collect();
        let commands = self.commands_by_id(&wanted)?;
        Ok(commands.into_iter().map(|command| (command.id, command)).collect())
    }
}

impl FleetRow {
    fn new(
        host: HostRow,
        facts: Option<FactsRow>,
        ids: Option<Ids>,
        commands: &mut HashMap<CommandId, CommandRow>,
    ) -> Self {
        let attention = ids.as_ref().is_some_and(|ids| ids.attention);
        let (open, last, refused) = ids.map_or((None, None, None), |ids| (ids.open, ids.last, ids.refused));
        let last = last.and_then(|id| commands.remove(&id));
        Self {
            host,
            facts,
            open: open.and_then(|id| commands.remove(&id)),
            refused: refused.and_then(|id| commands.remove(&id)),
            attention,
            last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_of;

    #[test]
    fn each_host_costs_a_few_steps_in_an_index() {
        for query in [super::FLEET, super::ONE] {
            let plan = plan_of(query);
            for index in [
                "commands_one_open_per_host (host_id=?)",
                "commands_last (host_id=?)",
                "commands_attention_host (host_id=?)",
                "commands_host_status (host_id=? AND status=?)",
            ] {
                assert!(plan.contains(index), "{plan}");
            }
        }
        let plan = plan_of(super::ONE);
        assert!(plan.contains("SEARCH h USING INTEGER PRIMARY KEY"), "{plan}");
    }
}
