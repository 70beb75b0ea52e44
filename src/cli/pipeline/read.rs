//! Pipelines from where reading subcommands read: the dashboard that runs, else the journal itself.

use serde_json::{Value, json};

use crate::domain::{CommandId, HostName, IdPart, PipelineId, PipelineStatus, part_means};
use crate::store::{Cursor, PipelineFilter};

use super::super::failure::Failure;
use super::super::rows::list;
use super::super::source::{AtRest, Source};

/// Which pipelines are listed.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) host: Option<HostName>,
    pub(super) name: Option<String>,
    pub(super) status: Vec<PipelineStatus>,
    pub(super) open: bool,
    pub(super) limit: i64,
}

impl Source {
    /// What can be started.
    pub(super) async fn pipeline_definitions(&self) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Live(client) => Ok(list(&client.get("/pipeline-definitions", &[]).await?, "definitions")),
            Self::AtRest(journal) => Ok(journal.catalog.pipelines().map(|def| json!(def)).collect()),
        }
    }

    /// Newest first; one page of as many as were asked for.
    pub(super) async fn pipelines(&self, wanted: &Wanted) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Live(client) => {
                let status: Vec<_> = wanted.status.iter().map(|status| status.as_str()).collect();
                let query = [
                    ("host", wanted.host.as_ref().map(ToString::to_string)),
                    ("name", wanted.name.clone()),
                    ("status", (!status.is_empty()).then(|| status.join(","))),
                    ("open", wanted.open.then(|| "true".to_owned())),
                    ("limit", Some(wanted.limit.to_string())),
                ];
                let query: Vec<_> = query
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, value?)))
                    .collect();
                Ok(list(&client.get("/pipelines", &query).await?, "pipelines"))
            }
            Self::AtRest(journal) => journal.pipelines(wanted),
        }
    }

    /// One pipeline with its counts, and its results in groups where they are wanted.
    pub(in crate::cli) async fn pipeline(&self, id: impl Into<IdPart>, results: bool) -> Result<Value, Failure> {
        let id = id.into();
        match self {
            Self::Live(client) => {
                let query = [("results", results.to_string())];
                client.get(&format!("/pipelines/{id}"), &query).await
            }
            Self::AtRest(journal) => {
                let found = journal.reader.read_blocking(|journal| journal.pipelines_like(&id))?;
                let id = part_means("pipeline", id.as_str(), &found).map_err(Failure::Usage)?;
                journal.pipeline(id, results)
            }
        }
    }
}

impl Source {
    /// The commands of a pipeline that came after this one, oldest first.
    pub(in crate::cli) async fn pipeline_commands(
        &self,
        id: PipelineId,
        after: Option<CommandId>,
    ) -> Result<Vec<Value>, Failure> {
        let is_new = |row: &Value| {
            let id = row["id"].as_str().and_then(|id| id.parse::<CommandId>().ok());
            id > after
        };
        let client = match self {
            Self::Live(client) => client,
            Self::AtRest(journal) => {
                let rows = journal
                    .reader
                    .read_blocking(|journal| journal.commands_of_pipeline(id))?;
                return Ok(rows.iter().map(|row| json!(row)).filter(is_new).collect());
            }
        };
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", "1000".to_owned())];
            query.extend(cursor.map(|id| ("cursor", id)));
            let answer = client.get(&format!("/pipelines/{id}/commands"), &query).await?;
            let page = list(&answer, "commands");
            let whole = page.iter().all(is_new);
            found.extend(page.into_iter().filter(is_new));
            cursor = answer["next"].as_str().map(str::to_owned).filter(|_| whole);
            if cursor.is_none() {
                found.reverse();
                return Ok(found);
            }
        }
    }
}

impl AtRest {
    fn pipelines(&self, wanted: &Wanted) -> Result<Vec<Value>, Failure> {
        let mut filter = PipelineFilter {
            name: wanted.name.clone(),
            status: wanted.status.clone(),
            open_only: wanted.open,
            ..PipelineFilter::default()
        };
        let page = self.reader.read_blocking(|journal| {
            if let Some(name) = &wanted.host {
                let Some(host) = journal.host(name)? else {
                    return Ok(None);
                };
                filter.host = Some(host.id);
            }
            let newest: Option<Cursor<PipelineId>> = None;
            journal.pipelines(&filter, newest, wanted.limit).map(Some)
        })?;
        let page = page.ok_or_else(|| Failure::Usage("there is no host of this name, and never was".to_owned()))?;
        Ok(page.rows.iter().map(|row| json!(row)).collect())
    }

    /// As the API gives it.
    fn pipeline(&self, id: PipelineId, results: bool) -> Result<Value, Failure> {
        let found = self.reader.read_blocking(|journal| {
            let Some(row) = journal.pipeline(id)? else {
                return Ok(None);
            };
            let mut shown = json!(row);
            let turn = row.plan.turn(&journal.pipeline_cells(id)?, row.hold_reason.as_deref());
            shown["turn"] = json!(turn.map(|(_, stage)| stage));
            shown["counts"] = json!(journal.pipeline_counts(id)?);
            if results {
                shown["results"] = json!(journal.pipeline_results(id)?);
                let retries = journal.retries_of_pipeline(id)?;
                shown["retries"] = retries.iter().map(|retry| json!(retry.id)).collect();
            }
            Ok(Some(shown))
        })?;
        found.ok_or_else(|| Failure::Usage(format!("there is no pipeline {id}; it may be past its retention")))
    }
}
