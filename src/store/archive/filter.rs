//! The filters of the pages, for rows that come from the archive. Their fields are taken apart by name, so that one
//! which is added has to be decided here, too.

use super::super::{CommandRow, EventFilter, EventRow, HistoryFilter, PipelineFilter, PipelineRow};
use crate::domain::Actor;

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
            text,
        } = self;
        category.is_none_or(|category| row.category == category)
            && level.is_none_or(|level| row.level == level)
            && is_by(actor.as_deref(), &row.actor)
            && host.is_none_or(|host| row.host_id == Some(host))
            && action.as_ref().is_none_or(|action| row.action.starts_with(action))
            && command.is_none_or(|command| row.command_id == Some(command))
            && pipeline.is_none_or(|pipeline| row.pipeline_id == Some(pipeline))
            && since.is_none_or(|since| row.timestamp >= since)
            && until.is_none_or(|until| row.timestamp < until)
            && text.as_ref().is_none_or(|text| says(row, text.as_str()))
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
            ended_only,
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
            && (!ended_only || !row.is_open())
            && (!attention_only || row.needs_attention())
            && pipeline.is_none_or(|pipeline| row.pipeline_id == Some(pipeline))
            && is_by(actor.as_deref(), &row.actor)
            && since.is_none_or(|since| row.created_at >= since)
            && until.is_none_or(|until| row.created_at < until)
    }
}

impl PipelineFilter {
    /// Whether a row is what this filter asks for.
    #[must_use]
    pub fn fits(&self, row: &PipelineRow) -> bool {
        let Self {
            status,
            name,
            actor,
            host,
            open_only,
            since,
            until,
        } = self;
        (status.is_empty() || status.contains(&row.status))
            && name.as_ref().is_none_or(|name| row.name == *name)
            && is_by(actor.as_deref(), &row.actor)
            && host.is_none_or(|host| row.hosts.contains(&host))
            && (!open_only || row.is_open())
            && since.is_none_or(|since| row.created_at >= since)
            && until.is_none_or(|until| row.created_at < until)
    }
}

/// As the journal looks for actors: a bare name is whoever has it.
fn is_by(asked: Option<&str>, actor: &Actor) -> bool {
    asked.is_none_or(|asked| Actor::meant(asked).contains(&actor.to_string()))
}

/// Whether all that was typed occurs in message or details. There is no index of the archive, so a word counts that is
/// part of another one.
fn says(row: &EventRow, typed: &str) -> bool {
    let details = row.details.as_ref().map(ToString::to_string).unwrap_or_default();
    let all = format!("{} {details}", row.message).to_lowercase();
    let words = typed.split(|letter: char| letter.is_whitespace() || letter == '"');
    let mut words = words.map(|word| word.trim_end_matches('*').to_lowercase());
    words.all(|word| all.contains(&word))
}
