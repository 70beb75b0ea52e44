//! The filters of the pages, for rows that come from the archive. Their fields are taken apart by name, so that one
//! which is added has to be decided here, too.

use super::super::{CommandRow, EventFilter, EventRow, HistoryFilter};

impl EventFilter {
    /// Whether a row is what this filter asks for.
    #[must_use]
    pub fn fits(&self, row: &EventRow) -> bool {
        let Self {
            category,
            level,
            actor,
            host,
            action,
            command,
            pipeline,
            since,
            until,
        } = self;
        category.is_none_or(|category| row.category == category)
            && level.is_none_or(|level| row.level == level)
            && actor.as_ref().is_none_or(|actor| row.actor.to_string() == *actor)
            && host.is_none_or(|host| row.host_id == Some(host))
            && action.as_ref().is_none_or(|action| row.action.starts_with(action))
            && command.is_none_or(|command| row.command_id == Some(command))
            && pipeline.is_none_or(|pipeline| row.pipeline_id == Some(pipeline))
            && since.is_none_or(|since| row.timestamp >= since)
            && until.is_none_or(|until| row.timestamp < until)
    }
}

impl HistoryFilter {
    /// Whether a row is what this filter asks for.
    #[must_use]
    pub fn fits(&self, row: &CommandRow) -> bool {
        let Self {
            host,
            op,
            status,
            open_only,
            attention_only,
            pipeline,
            actor,
            since,
            until,
        } = self;
        host.is_none_or(|host| row.host_id == host)
            && op.as_ref().is_none_or(|op| row.op.as_str() == op)
            && (status.is_empty() || status.contains(&row.status))
            && (!open_only || row.is_open())
            && (!attention_only || row.status.needs_attention())
            && pipeline.is_none_or(|pipeline| row.pipeline_id == Some(pipeline))
            && actor.as_ref().is_none_or(|actor| row.actor.to_string() == *actor)
            && since.is_none_or(|since| row.created_at >= since)
            && until.is_none_or(|until| row.created_at < until)
    }
}
