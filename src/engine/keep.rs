//! What people say of retention: keep this, hold that range, and let it go again.

use crate::domain::{Ask, CommandId, Invalid, PipelineId, Span, Timestamp};
use crate::store::{By, CommandRow, HoldRow, PipelineRow};

use super::command::clean;
use super::{Engine, EngineError};

/// What is kept, and for how long; none is for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Events.
    pub events: Option<Span>,
    /// Events of category audit.
    pub audit: Option<Span>,
    /// Commands and pipelines with their output.
    pub commands: Option<Span>,
    /// Files of the archive; the outer none is: what goes is not archived.
    pub archive: Option<Option<Span>>,
}

impl Engine {
    /// Marks a command as kept: no sweep takes it, nor its events and output.
    ///
    /// # Errors
    /// When there is no such command, no reason, or it is kept already.
    pub async fn keep(&self, id: CommandId, reason: String, by: By) -> Result<CommandRow, EngineError> {
        self.allow_on_command(&by, id).await?;
        let reason = said(reason, "say why it is to be kept")?;
        Ok(self.0.store.keep_command(id, Some(reason), by).await?)
    }

    /// Takes that mark away: the next sweep may take the command.
    ///
    /// # Errors
    /// When there is no such command, or it is not kept.
    pub async fn unkeep(&self, id: CommandId, by: By) -> Result<CommandRow, EngineError> {
        self.allow_on_command(&by, id).await?;
        Ok(self.0.store.keep_command(id, None, by).await?)
    }

    /// Marks a pipeline as kept, with all of its commands.
    ///
    /// # Errors
    /// When there is no such pipeline, no reason, or it is kept already.
    pub async fn keep_pipeline(&self, id: PipelineId, reason: String, by: By) -> Result<PipelineRow, EngineError> {
        self.allow_on_pipeline(&by, id).await?;
        let reason = said(reason, "say why it is to be kept")?;
        Ok(self.0.store.keep_pipeline(id, Some(reason), by).await?)
    }

    /// Takes that mark away.
    ///
    /// # Errors
    /// When there is no such pipeline, or it is not kept.
    pub async fn unkeep_pipeline(&self, id: PipelineId, by: By) -> Result<PipelineRow, EngineError> {
        self.allow_on_pipeline(&by, id).await?;
        Ok(self.0.store.keep_pipeline(id, None, by).await?)
    }

    /// Holds a range of time: nothing of it is swept, neither events nor commands nor pipelines, until it is released.
    ///
    /// # Errors
    /// When the range ends before it begins, or there is no reason.
    pub async fn place_hold(
        &self,
        from: Timestamp,
        until: Option<Timestamp>,
        reason: String,
        by: By,
    ) -> Result<HoldRow, EngineError> {
        self.allow_at_all(&by, Ask::Settings)?;
        let reason = said(reason, "say why this range is held")?;
        Ok(self.0.store.place_hold(from, until, reason, by).await?)
    }

    /// Releases a hold.
    ///
    /// # Errors
    /// When there is no such hold, no reason, or it was released before.
    pub async fn release_hold(&self, id: i64, reason: String, by: By) -> Result<HoldRow, EngineError> {
        self.allow_at_all(&by, Ask::Settings)?;
        let reason = said(reason, "say why it is released")?;
        Ok(self.0.store.release_hold(id, reason, by).await?)
    }

    async fn allow_on_command(&self, by: &By, id: CommandId) -> Result<(), EngineError> {
        let row = self.row(id).await?;
        self.allow_on_hosts(by, Ask::Steer, vec![row.host_id]).await
    }

    async fn allow_on_pipeline(&self, by: &By, id: PipelineId) -> Result<(), EngineError> {
        let row = self.pipeline_row(id).await?;
        self.allow_on_hosts(by, Ask::Steer, row.hosts).await
    }
}

fn said(reason: String, missing: &str) -> Result<String, EngineError> {
    clean(Some(reason)).ok_or_else(|| Invalid::new("reason", missing).into())
}
