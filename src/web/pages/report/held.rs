//! What people keep from the sweeps: legal holds and marks that touch the range of a report.

use crate::store::{CommandRow, HoldRow, PipelineRow, ReadError, Reader};

use super::gather::Wanted;

/// What stands when the report is made.
#[derive(Default)]
pub(super) struct Held {
    pub(super) holds: Vec<HoldRow>,
    pub(super) commands: Vec<CommandRow>,
    pub(super) pipelines: Vec<PipelineRow>,
}

impl Held {
    /// Holds on a part of the range, whatever the filters; marks on commands of the range and on pipelines that were
    /// started in it, on hosts that are asked for.
    pub(super) fn in_range(reader: &Reader, wanted: &Wanted<'_>) -> Result<Self, ReadError> {
        let (since, until) = (wanted.ask.since, wanted.ask.until);
        let (mut holds, mut commands, mut pipelines) = reader.read_blocking(|journal| {
            Ok((
                journal.standing_holds()?,
                journal.kept_commands()?,
                journal.kept_pipelines()?,
            ))
        })?;
        holds.retain(|hold| hold.from_at < until && hold.until_at.is_none_or(|end| end > since));
        commands.retain(|row| row.created_at >= since && row.created_at < until && wanted.host(Some(row.host_id)));
        pipelines.retain(|row| {
            row.created_at >= since && row.created_at < until && row.hosts.iter().any(|host| wanted.host(Some(*host)))
        });
        Ok(Self {
            holds,
            commands,
            pipelines,
        })
    }
}
