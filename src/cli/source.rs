//! Where reading subcommands read: the dashboard that runs, else the journal itself, read-only. Both
//! give the API's rows, so that what is printed does not depend on it.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::Config;
use crate::domain::{Catalog, CommandId, CommandStatus, HostName, IdPart, Span, Timestamp, part_means};
use crate::store::{Cursor, EventFilter, FleetRow, HistoryFilter, Journal, Reader, SearchText, Store, output};

use super::client::{Client, PIECE};
use super::failure::Failure;
use super::rows::list;

/// See the module.
pub(super) enum Source {
    Live(Client),
    AtRest(Box<AtRest>),
}

/// The journal of a dashboard that is not running.
pub(super) struct AtRest {
    pub(super) reader: Reader,
    pub(super) data_dir: PathBuf,
    machine_folder: Option<PathBuf>,
    pub(super) catalog: Arc<Catalog>,
    resume_within: Span,
}

/// Which commands are listed.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) host: Option<HostName>,
    pub(super) op: Option<String>,
    pub(super) status: Vec<CommandStatus>,
    /// Only what needs attention.
    pub(super) attention: bool,
    /// As it is written: `local:alice`.
    pub(super) actor: Option<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) limit: i64,
}

/// The most rows that one request may ask for.
const PAGE: i64 = 1_000;

impl Source {
    pub(super) fn at_rest(config: &Config) -> Result<Self, Failure> {
        Ok(Self::AtRest(Box::new(AtRest {
            reader: Store::open_read_only(&config.data_dir)?,
            data_dir: config.data_dir.clone(),
            machine_folder: crate::app::machine_folder(config),
            catalog: Arc::new(config.catalog.clone()),
            resume_within: config.jobs.resume_within,
        })))
    }

    pub(super) async fn hosts(&self) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Live(client) => Ok(list(&client.get("/hosts", &[]).await?, "hosts")),
            Self::AtRest(journal) => {
                let rows = |journal: &mut Journal| Ok(journal.fleet()?.iter().map(host_row).collect());
                Ok(journal.reader.read_blocking(rows)?)
            }
        }
    }

    pub(super) async fn ops(&self) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Live(client) => Ok(list(&client.get("/ops", &[]).await?, "ops")),
            Self::AtRest(journal) => Ok(journal.catalog.iter().map(|op| json!(op)).collect()),
        }
    }

    pub(super) async fn command(&self, id: impl Into<IdPart>) -> Result<Value, Failure> {
        let id = id.into();
        match self {
            Self::Live(client) => client.get(&format!("/commands/{id}"), &[]).await,
            Self::AtRest(journal) => {
                let found = journal.reader.read_blocking(|journal| journal.commands_like(&id))?;
                let id = part_means("command", id.as_str(), &found).map_err(Failure::Usage)?;
                let row = journal.reader.read_blocking(|journal| journal.command(id))?;
                let row = row
                    .ok_or_else(|| Failure::Usage(format!("there is no command {id}; it may be past its retention")))?;
                Ok(json!(row))
            }
        }
    }

    /// Newest first, page after page until there are as many as were asked for.
    pub(super) async fn history(&self, wanted: &Wanted) -> Result<Vec<Value>, Failure> {
        let mut rows: Vec<Value> = Vec::new();
        let mut cursor: Option<CommandId> = None;
        loop {
            let left = wanted.limit - i64::try_from(rows.len()).unwrap_or(i64::MAX);
            if left <= 0 {
                return Ok(rows);
            }
            let (page, next) = match self {
                Self::Live(client) => client.history(wanted, cursor, left.min(PAGE)).await?,
                Self::AtRest(journal) => journal.history(wanted, cursor, left.min(PAGE))?,
            };
            rows.extend(page);
            cursor = next;
            if cursor.is_none() {
                return Ok(rows);
            }
        }
    }

    /// The last events, oldest first. A look for few among many stops now and then, and goes on from there.
    pub(super) async fn last_events(&self, limit: i64, search: Option<&SearchText>) -> Result<Vec<Value>, Failure> {
        let mut rows: Vec<Value> = Vec::new();
        let mut cursor: Option<i64> = None;
        loop {
            let left = limit - i64::try_from(rows.len()).unwrap_or(i64::MAX);
            if left <= 0 {
                break;
            }
            let (page, next) = match self {
                Self::Live(client) => client.events(left, search, cursor).await?,
                Self::AtRest(journal) => journal.events(left, search, cursor)?,
            };
            rows.extend(page);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        rows.reverse();
        Ok(rows)
    }

    /// The holds, newest first.
    pub(super) async fn holds(&self) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Live(client) => Ok(list(&client.get("/holds", &[]).await?, "holds")),
            Self::AtRest(journal) => {
                let rows = journal.reader.read_blocking(Journal::holds)?;
                Ok(rows.iter().map(|row| json!(row)).collect())
            }
        }
    }

    /// The next bytes of a command's output; none where there are no more (yet).
    pub(super) async fn output(&self, id: CommandId, from: u64) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Live(client) => client.output(&id.to_string(), from).await,
            Self::AtRest(journal) => {
                let length = output::length(&journal.data_dir, id)?;
                if from >= length {
                    return Ok(Vec::new());
                }
                Ok(output::read_range(
                    &journal.data_dir,
                    id,
                    from,
                    length.min(from + PIECE),
                )?)
            }
        }
    }

    /// What a start would do to the commands that are open.
    pub(super) async fn recovery(&self) -> Result<Value, Failure> {
        match self {
            Self::Live(client) => client.get("/recovery", &[]).await,
            Self::AtRest(journal) => {
                let resume_within = journal.resume_within;
                let found = journal.reader.read_blocking(|inside| {
                    inside.recovery_preview(&journal.data_dir, journal.machine_folder.as_deref(), resume_within)
                })?;
                Ok(json!({
                    "orphaned": found.orphaned,
                    "asked_again": found.asked_again,
                    "resumed": found.resumed,
                    "cancelled": found.cancelled,
                }))
            }
        }
    }
}

/// The host's own columns, with what is known of it beside them: as the API gives it.
fn host_row(fleet: &FleetRow) -> Value {
    let mut row = json!(fleet.host);
    row["facts"] = json!(fleet.facts);
    row["open"] = json!(fleet.open);
    row["last"] = json!(fleet.last);
    row["attention"] = json!(fleet.attention);
    row
}

type Page = (Vec<Value>, Option<CommandId>);
type Events = (Vec<Value>, Option<i64>);

impl Client {
    async fn events(&self, limit: i64, search: Option<&SearchText>, before: Option<i64>) -> Result<Events, Failure> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(search.map(|text| ("q", text.to_string())));
        query.extend(before.map(|id| ("cursor", id.to_string())));
        let answer = self.get("/events", &query).await?;
        Ok((list(&answer, "events"), answer["next"].as_i64()))
    }

    async fn history(&self, wanted: &Wanted, cursor: Option<CommandId>, limit: i64) -> Result<Page, Failure> {
        let status: Vec<_> = wanted.status.iter().map(|status| status.as_str()).collect();
        let query = [
            ("host", wanted.host.as_ref().map(ToString::to_string)),
            ("op", wanted.op.clone()),
            ("status", (!status.is_empty()).then(|| status.join(","))),
            ("attention", wanted.attention.then(|| "true".to_owned())),
            ("actor", wanted.actor.clone()),
            ("since", wanted.since.map(Timestamp::to_rfc3339)),
            ("until", wanted.until.map(Timestamp::to_rfc3339)),
            ("limit", Some(limit.to_string())),
            ("cursor", cursor.map(|id| id.to_string())),
        ];
        let query: Vec<_> = query
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        let answer = self.get("/commands", &query).await?;
        let next = answer["next"].as_str().and_then(|id| id.parse().ok());
        Ok((list(&answer, "commands"), next))
    }
}

impl AtRest {
    fn events(&self, limit: i64, search: Option<&SearchText>, before: Option<i64>) -> Result<Events, Failure> {
        let filter = EventFilter {
            text: search.cloned(),
            ..EventFilter::default()
        };
        let cursor = before.map(Cursor::Before);
        let page = self
            .reader
            .read_blocking(|journal| journal.events(&filter, cursor, limit))?;
        let next = match page.older {
            Some(Cursor::Before(id)) => Some(id),
            Some(Cursor::After(_)) | None => None,
        };
        Ok((page.rows.iter().map(|row| json!(row)).collect(), next))
    }

    /// The number of a host.
    pub(super) fn host_id(&self, name: &HostName) -> Result<i64, Failure> {
        let row = self.reader.read_blocking(|journal| journal.host(name))?;
        let row = row.ok_or_else(|| Failure::Usage("there is no host of this name, and never was".to_owned()))?;
        Ok(row.id)
    }

    fn history(&self, wanted: &Wanted, cursor: Option<CommandId>, limit: i64) -> Result<Page, Failure> {
        let mut filter = HistoryFilter {
            op: wanted.op.clone(),
            status: wanted.status.clone(),
            attention_only: wanted.attention,
            actor: wanted.actor.clone(),
            since: wanted.since,
            until: wanted.until,
            ..HistoryFilter::default()
        };
        let page = self.reader.read_blocking(|journal| {
            if let Some(name) = &wanted.host {
                let Some(host) = journal.host(name)? else {
                    return Ok(None);
                };
                filter.host = Some(host.id);
            }
            journal.history(&filter, cursor.map(Cursor::Before), limit).map(Some)
        })?;
        let page = page.ok_or_else(|| Failure::Usage("there is no host of this name, and never was".to_owned()))?;
        let next = page.older.and_then(|_| page.rows.last()).map(|row| row.id);
        Ok((page.rows.iter().map(|row| json!(row)).collect(), next))
    }
}
