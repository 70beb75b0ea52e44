//! A command as its driver sees it: the row, the definition that it was asked for with, and its host.

use std::path::Path;

use crate::domain::{CommandId, Definition, Identity};
use crate::executor::{self, HostError, JobId};
use crate::store::{CommandRow, ReadError, WriteError};

use super::Engine;

/// One command with all that it takes to act for it.
pub(super) struct Case {
    pub(super) row: CommandRow,
    pub(super) definition: Definition,
    pub(super) host: executor::Host,
}

impl Case {
    pub(super) fn job(&self) -> JobId {
        JobId {
            command: self.row.id,
            launch: self.row.launches.max(1),
        }
    }

    /// The same with the spool that was journaled: a final command's host may have been given another one since.
    pub(super) fn where_it_was_sent(&self) -> Self {
        let base = self
            .row
            .spool
            .as_deref()
            .and_then(|folder| Path::new(folder).ancestors().nth(2));
        let base = base.and_then(|base| base.to_str()?.parse().ok());
        let mut host = self.host.clone();
        host.spool = base.or(host.spool);
        Self {
            row: self.row.clone(),
            definition: self.definition.clone(),
            host,
        }
    }

    /// Boot, machine and folder as they were journaled; empty where they never were.
    pub(super) fn journaled(&self) -> Identity {
        let spool = self.row.spool.clone().unwrap_or_default();
        Identity {
            boot_id: self.row.boot_id.clone().unwrap_or_default(),
            machine_id: self.row.machine_id.clone().unwrap_or_default(),
            // The row has the first launch's folder; a later one lives beside it.
            spool: if self.row.launches > 1 {
                format!("{spool}.{}", self.row.launches)
            } else {
                spool
            },
        }
    }
}

/// Why a step could not be done; decides nothing about the command.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the output file cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

impl Engine {
    /// The open command of this id; none where it is final or gone.
    pub(super) async fn case(&self, id: CommandId) -> Result<Option<Case>, Trouble> {
        self.case_of(id, false).await
    }

    pub(super) async fn case_of(&self, id: CommandId, final_too: bool) -> Result<Option<Case>, Trouble> {
        let found = self
            .reader()
            .read(move |journal| {
                let Some(row) = journal.command(id)? else {
                    return Ok(None);
                };
                if row.finished_at.is_some() && !final_too {
                    return Ok(None);
                }
                let text = journal.definition(&row.definition)?;
                let host = journal.host_by_id(row.host_id)?;
                Ok(text.zip(host).map(|(text, host)| (row, text, host)))
            })
            .await?;
        let Some((row, text, host)) = found else {
            return Ok(None);
        };
        let definition = match Definition::read(&text) {
            Ok(definition) => definition,
            Err(why) => return Err(Trouble::Read(ReadError::Row(why.to_string()))),
        };
        let host = super::hosts::reachable_as(&host, definition.run_as.as_ref());
        Ok(Some(Case { row, definition, host }))
    }
}
