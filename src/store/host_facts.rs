//! `host_facts`: what a host last said about itself, and whether it can be reached. Facts are not journal:
//! they raise no version and leave no event; coming and going does both.

use diesel::prelude::*;
use serde::Serialize;

use super::error::Fault;
use super::schema::host_facts;
use super::tx::Tx;
use super::{Journal, NewEvent, ReadError, Store, Topic, WriteError};
use crate::domain::{Level, MESSAGE_LIMIT, Timestamp, bounded};

/// What is known of a host beside its way to be reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = host_facts, check_for_backend(diesel::sqlite::Sqlite))]
pub struct FactsRow {
    /// Whose they are.
    pub host_id: i64,
    /// Whether it answered last; none before the first contact.
    pub reachable: Option<bool>,
    /// Since when that is so.
    pub since: Option<Timestamp>,
    /// Why it cannot be reached.
    pub problem: Option<String>,
    /// When the facts below were read; none before the first time.
    pub probed_at: Option<Timestamp>,
    /// See [`HostFacts::kernel`].
    pub kernel: String,
    /// See [`HostFacts::os`].
    pub os: String,
    /// See [`HostFacts::boot_id`].
    pub boot_id: String,
    /// See [`HostFacts::machine_id`].
    pub machine_id: String,
    /// See [`HostFacts::uptime_s`].
    pub uptime_s: i64,
    /// See [`HostFacts::clock_s`].
    pub clock_s: i64,
    /// See [`HostFacts::user`].
    pub user: String,
    /// See [`HostFacts::disk_used_percent`].
    pub disk_used_percent: Option<i64>,
    /// See [`HostFacts::reboot_needed`].
    pub reboot_needed: bool,
}

/// Facts that a host was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Insertable, AsChangeset)]
#[diesel(table_name = host_facts, treat_none_as_null = true)]
pub struct HostFacts {
    /// `Linux`, `Darwin`, `FreeBSD`.
    pub kernel: String,
    /// `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Which boot of the host this is.
    pub boot_id: String,
    /// The machine's own id.
    pub machine_id: String,
    /// Seconds since boot.
    pub uptime_s: i64,
    /// The host's clock, in seconds since 1970.
    pub clock_s: i64,
    /// The user that answered.
    pub user: String,
    /// Percent used of the file system that holds `/`.
    pub disk_used_percent: Option<i64>,
    /// The system itself asks for a reboot.
    pub reboot_needed: bool,
}

impl Journal {
    /// What is known of a host; none before the first contact.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn host_facts(&mut self, host_id: i64) -> Result<Option<FactsRow>, ReadError> {
        Ok(host_facts::table
            .find(host_id)
            .select(FactsRow::as_select())
            .get_result(&mut self.conn)
            .optional()?)
    }

    /// What is known of every host.
    pub(super) fn all_facts(&mut self) -> Result<Vec<FactsRow>, ReadError> {
        Ok(host_facts::table.select(FactsRow::as_select()).load(&mut self.conn)?)
    }
}

impl Store {
    /// Keeps facts that a host has just told. No event, no version.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn record_facts(&self, host_id: i64, facts: HostFacts) -> Result<(), WriteError> {
        self.write(move |tx| {
            diesel::insert_into(host_facts::table)
                .values((
                    host_facts::host_id.eq(host_id),
                    host_facts::probed_at.eq(tx.now),
                    &facts,
                ))
                .on_conflict(host_facts::host_id)
                .do_update()
                .set((host_facts::probed_at.eq(tx.now), &facts))
                .execute(&mut tx.journal.conn)?;
            Ok(())
        })
        .await
    }

    /// The host answered. An event where it had not before; true where this changed anything.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn host_connected(&self, host_id: i64) -> Result<bool, WriteError> {
        self.write(move |tx| {
            let before = tx.journal.host_facts(host_id)?;
            if before.as_ref().and_then(|facts| facts.reachable) == Some(true) {
                return Ok(false);
            }
            let away = before
                .filter(|facts| facts.reachable == Some(false))
                .and_then(|facts| facts.since)
                .map(|since| format!(" again, after {}", tx.now.since(since).human()))
                .unwrap_or_default();
            set_state(tx, host_id, true, None)?;
            let name = name(tx, host_id)?;
            tx.event(NewEvent {
                host_id: Some(host_id),
                ..NewEvent::system(Level::Success, "host:connected", format!("{name} can be reached{away}"))
            })?;
            Ok(true)
        })
        .await
    }

    /// The host does not answer, or does not let us in. An event where it did before; true where this changed anything.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn host_lost(&self, host_id: i64, why: String) -> Result<bool, WriteError> {
        self.write(move |tx| {
            let why = bounded(&why, MESSAGE_LIMIT);
            let before = tx.journal.host_facts(host_id)?;
            if before.is_some_and(|facts| facts.reachable == Some(false)) {
                return Ok(false);
            }
            set_state(tx, host_id, false, Some(&why))?;
            let name = name(tx, host_id)?;
            tx.event(NewEvent {
                host_id: Some(host_id),
                ..NewEvent::system(Level::Warn, "host:lost", format!("{name} cannot be reached: {why}"))
            })?;
            Ok(true)
        })
        .await
    }
}

fn set_state(tx: &mut Tx<'_>, host_id: i64, reachable: bool, problem: Option<&str>) -> Result<(), Fault> {
    let state = (
        host_facts::reachable.eq(reachable),
        host_facts::since.eq(tx.now),
        host_facts::problem.eq(problem),
    );
    diesel::insert_into(host_facts::table)
        .values((host_facts::host_id.eq(host_id), state))
        .on_conflict(host_facts::host_id)
        .do_update()
        .set(state)
        .execute(&mut tx.journal.conn)?;
    tx.touch(Topic::Hosts);
    Ok(())
}

fn name(tx: &mut Tx<'_>, host_id: i64) -> Result<String, Fault> {
    match tx.journal.host_by_id(host_id)? {
        Some(host) => Ok(host.hostname.to_string()),
        None => Err(WriteError::NotFound(format!("host {host_id}")).into()),
    }
}
