//! `hosts`: the fleet. A host is never deleted; a removed one keeps its name, and its history.

use diesel::prelude::*;
use serde::Serialize;

use super::column::Tags;
use super::error::Fault;
use super::pipeline::release_if_done;
use super::schema::{commands, host_facts, hosts, pipeline_hosts, pipelines};
use super::tx::Tx;
use super::{By, Journal, NewEvent, ReadError, Store, Topic, WriteError};
use crate::domain::{HostName, Level, PipelineId, Reach, RunAs, SpoolDir, Tag, Timestamp};

/// A host as it stands in the journal.
#[derive(Clone, PartialEq, Debug, Serialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = hosts, check_for_backend(diesel::sqlite::Sqlite))]
pub struct HostRow {
    /// Its number in the journal; stays the same over removal and return.
    pub id: i64,
    /// Its name.
    pub hostname: HostName,
    /// How it is reached.
    #[serde(serialize_with = "as_text")]
    pub reach: Reach,
    /// The base folder of its spools, where it is not the usual one.
    pub spool: Option<SpoolDir>,
    /// The user that ops run as there.
    pub run_as: Option<RunAs>,
    /// Its tags.
    #[diesel(deserialize_as = Tags)]
    pub tags: Vec<Tag>,
    /// The `localhost` that was added by itself.
    pub automatic: bool,
    /// When it was first added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was removed; none for a host of the fleet.
    pub removed_at: Option<Timestamp>,
}

fn as_text<S: serde::Serializer>(reach: &Reach, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reach)
}

/// A host that is to be added.
#[derive(Clone, Debug)]
pub struct NewHost {
    /// Its name.
    pub name: HostName,
    /// How it is reached.
    pub reach: Reach,
    /// The base folder of its spools, where it is not the usual one.
    pub spool: Option<SpoolDir>,
    /// The user that ops run as there.
    pub run_as: Option<RunAs>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// The `localhost` that is added by itself.
    pub automatic: bool,
}

/// What is in the way of a host's change.
pub(super) enum InTheWay {
    /// An open command: its op and when it was asked for.
    Command { op: String, since: Timestamp },
    /// A pipeline's reservation.
    Pipeline { name: String, since: Timestamp },
}

impl std::fmt::Display for InTheWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command { op, since } => write!(f, "busy with {op} since {}", clock(*since)),
            Self::Pipeline { name, since } => {
                write!(f, "reserved by the pipeline “{name}” since {}", clock(*since))
            }
        }
    }
}

/// A time in a sentence: `14:02 UTC`, with its day where that is another one.
pub(super) fn clock(time: Timestamp) -> String {
    let text = time.to_string();
    let today = Timestamp::now().to_string();
    if text.get(..10) == today.get(..10) {
        format!("{} UTC", &text[11..16])
    } else {
        format!("{} UTC", &text[..16])
    }
}

impl Journal {
    /// The fleet, by name; removed hosts are not part of it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn hosts(&mut self) -> Result<Vec<HostRow>, ReadError> {
        Ok(hosts::table
            .filter(hosts::removed_at.is_null())
            .order(hosts::hostname.asc())
            .select(HostRow::as_select())
            .load(&mut self.conn)?)
    }

    /// The host of this name, also one that was removed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn host(&mut self, name: &HostName) -> Result<Option<HostRow>, ReadError> {
        Ok(hosts::table
            .filter(hosts::hostname.eq(name))
            .select(HostRow::as_select())
            .get_result(&mut self.conn)
            .optional()?)
    }

    /// The host of this number, also one that was removed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn host_by_id(&mut self, id: i64) -> Result<Option<HostRow>, ReadError> {
        Ok(hosts::table
            .find(id)
            .select(HostRow::as_select())
            .get_result(&mut self.conn)
            .optional()?)
    }

    /// The open command of a host.
    pub(super) fn open_command_of(&mut self, host_id: i64) -> Result<Option<InTheWay>, ReadError> {
        let open: Option<(String, Timestamp)> = commands::table
            .filter(commands::host_id.eq(host_id))
            .filter(commands::finished_at.is_null())
            .select((commands::op, commands::created_at))
            .get_result(&mut self.conn)
            .optional()?;
        Ok(open.map(|(op, since)| InTheWay::Command { op, since }))
    }

    /// What a new command on this host would meet now, in words; none where it is free.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn busy_with(&mut self, host_id: i64) -> Result<Option<String>, ReadError> {
        let mut way = self.open_command_of(host_id)?;
        if way.is_none() {
            way = self.reservation_of(host_id, None)?;
        }
        Ok(way.map(|way| way.to_string()))
    }

    /// The pipeline that reserves a host, other than `mine`.
    pub(super) fn reservation_of(
        &mut self,
        host_id: i64,
        mine: Option<PipelineId>,
    ) -> Result<Option<InTheWay>, ReadError> {
        let reserved: Option<(PipelineId, String, Timestamp)> = pipeline_hosts::table
            .inner_join(pipelines::table)
            .filter(pipeline_hosts::host_id.eq(host_id))
            .filter(pipeline_hosts::released_at.is_null())
            .select((pipelines::id, pipelines::name, pipeline_hosts::reserved_at))
            .get_result(&mut self.conn)
            .optional()?;
        Ok(reserved
            .filter(|(id, ..)| Some(*id) != mine)
            .map(|(_, name, since)| InTheWay::Pipeline { name, since }))
    }
}

impl Store {
    /// Adds a host, or brings a removed one back with the new way to reach it: its history goes on, its facts and
    /// whether it can be reached are forgotten.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where the fleet has a host of that name.
    pub async fn add_host(&self, host: NewHost, by: By) -> Result<HostRow, WriteError> {
        self.write(move |tx| add(tx, &host, &by)).await
    }

    /// Adds `localhost`, unless a host of that name was ever there: a removed one does not come back by itself.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn ensure_localhost(&self) -> Result<Option<HostRow>, WriteError> {
        self.write(|tx| {
            let name: HostName = "localhost".parse().map_err(WriteError::Invalid)?;
            if tx.journal.host(&name)?.is_some() {
                return Ok(None);
            }
            let host = NewHost {
                name,
                reach: Reach::Local,
                spool: None,
                run_as: None,
                tags: Vec::new(),
                automatic: true,
            };
            add(tx, &host, &By::system()).map(Some)
        })
        .await
    }

    /// Takes a host out of the fleet. Its commands and events stay, under its name.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] while it has an open command or a pipeline reserves it.
    pub async fn remove_host(&self, name: &HostName, by: By) -> Result<HostRow, WriteError> {
        let name = name.clone();
        self.write(move |tx| remove(tx, &name, &by)).await
    }
}

fn add(tx: &mut Tx<'_>, host: &NewHost, by: &By) -> Result<HostRow, Fault> {
    let before = tx.journal.host(&host.name)?;
    let how = match host.reach {
        Reach::Local => "locally".to_owned(),
        Reach::Ssh { .. } => format!("by ssh {}", host.reach),
    };
    let values = (
        hosts::hostname.eq(&host.name),
        hosts::reach.eq(&host.reach),
        hosts::spool.eq(&host.spool),
        hosts::run_as.eq(&host.run_as),
        hosts::tags.eq(Tags(host.tags.clone())),
        hosts::automatic.eq(host.automatic),
        hosts::updated_at.eq(tx.now),
    );
    let (row, did): (HostRow, _) = match before {
        Some(before) if before.removed_at.is_none() => {
            return Err(WriteError::Conflict(format!("there is a host “{}” already", host.name)).into());
        }
        Some(before) => {
            // It may be another machine by now: nothing that the old one said of itself counts.
            diesel::delete(host_facts::table.find(before.id)).execute(&mut tx.journal.conn)?;
            (
                diesel::update(hosts::table.find(before.id))
                    .set((values, hosts::removed_at.eq(None::<Timestamp>)))
                    .returning(HostRow::as_returning())
                    .get_result(&mut tx.journal.conn)?,
                "added again",
            )
        }
        None => (
            diesel::insert_into(hosts::table)
                .values((values, hosts::created_at.eq(tx.now)))
                .returning(HostRow::as_returning())
                .get_result(&mut tx.journal.conn)?,
            "added",
        ),
    };
    tx.touch(Topic::Hosts);
    tx.event(NewEvent {
        host_id: Some(row.id),
        details: Some(serde_json::json!({ "reach": row.reach.to_string(), "tags": row.tags })),
        ..NewEvent::audit(
            by,
            Level::Info,
            "host:add",
            format!("{} {did} {}, reached {how}", by.actor.name(), row.hostname),
        )
    })?;
    note_reach(tx, &row, by)?;
    Ok(row)
}

/// Journals who may run dangerous ops on a host from now on because of its tags.
fn note_reach(tx: &mut Tx<'_>, host: &HostRow, by: &By) -> Result<(), Fault> {
    let through = tx.journal.rights_through(&host.tags)?;
    let dangerous: Vec<_> = through.iter().filter(|(_, grants)| grants.has_dangerous()).collect();
    if dangerous.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = dangerous
        .iter()
        .map(|(actor, grants)| format!("{} ({grants})", actor.name()))
        .collect();
    let rights: serde_json::Map<String, serde_json::Value> = dangerous
        .iter()
        .map(|(actor, grants)| (actor.to_string(), grants.to_string().into()))
        .collect();
    tx.event(NewEvent {
        host_id: Some(host.id),
        details: Some(serde_json::json!({ "tags": host.tags, "through": rights })),
        ..NewEvent::audit(
            by,
            Level::Warn,
            "host:reach",
            format!(
                "by its tags, dangerous ops on {} are now within reach of {}",
                host.hostname,
                named.join(", ")
            ),
        )
    })?;
    Ok(())
}

fn remove(tx: &mut Tx<'_>, name: &HostName, by: &By) -> Result<HostRow, Fault> {
    let host = tx
        .journal
        .host(name)?
        .filter(|host| host.removed_at.is_none())
        .ok_or_else(|| WriteError::UnknownHost(name.clone()))?;
    let mut way = tx.journal.open_command_of(host.id)?;
    if way.is_none() && release_if_done(tx, host.id, None)? {
        way = tx.journal.reservation_of(host.id, None)?;
    }
    if let Some(way) = way {
        return Err(
            WriteError::Conflict(format!("{name} cannot be removed: {way}; stop or resolve that first")).into(),
        );
    }
    let row = diesel::update(hosts::table.find(host.id))
        .set((
            hosts::removed_at.eq(tx.now.max(host.created_at)),
            hosts::updated_at.eq(tx.now),
        ))
        .returning(HostRow::as_returning())
        .get_result(&mut tx.journal.conn)?;
    tx.touch(Topic::Hosts);
    tx.event(NewEvent {
        host_id: Some(host.id),
        ..NewEvent::audit(
            by,
            Level::Info,
            "host:remove",
            format!("{} removed {name} from the fleet", by.actor.name()),
        )
    })?;
    Ok(row)
}
