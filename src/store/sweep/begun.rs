//! The beginning of a sweep, which is said and signed with the first row that goes: who verifies meanwhile, or after it was
//! cut off, knows what may be missing.

use std::sync::Arc;

use diesel::prelude::*;

use super::super::error::Fault;
use super::super::schema::event_log;
use super::super::tx::Tx;
use super::super::{Journal, NewEvent, ReadError};
use super::Cutoffs;
use crate::domain::{CheckpointKind, Level, SigningKey, Timestamp};

/// The action of the event with which a sweep begins to remove rows.
const BEGUN: &str = "retention";

/// What a first piece says.
#[derive(Clone)]
pub(super) struct Beginning {
    pub(super) cutoffs: Cutoffs,
    pub(super) key: Arc<SigningKey>,
}

impl Beginning {
    pub(super) fn say(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.event(NewEvent {
            details: Some(serde_json::json!({
                "events_before": self.cutoffs.events.max(self.cutoffs.audit),
                "commands_before": self.cutoffs.commands,
            })),
            ..NewEvent::system(Level::Info, BEGUN, "A sweep begins to remove what is past its time")
        })?;
        tx.checkpoint(&self.key, CheckpointKind::Hour, None)?;
        Ok(())
    }
}

/// A sweep that has begun to remove rows and has not said yet what it removed: it is under way, or was cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::store) struct OpenSweep {
    /// The event with which it began.
    pub(in crate::store) event: i64,
    /// Events from before this time may be missing.
    pub(in crate::store) events_before: Option<Timestamp>,
    /// Commands that settled before this time may be missing.
    pub(in crate::store) commands_before: Option<Timestamp>,
}

impl Journal {
    /// Such a sweep. That it began is signed: without a checkpoint over its event it counts for nothing.
    pub(in crate::store) fn open_sweep(&mut self) -> Result<Option<OpenSweep>, ReadError> {
        let closed = self.base_checkpoint()?.map_or(0, |checkpoint| checkpoint.event_id);
        let signed = self.newest_checkpoint()?.map_or(0, |checkpoint| checkpoint.event_id);
        let begun: Option<(i64, Option<String>)> = event_log::table
            .filter(event_log::action.eq(BEGUN))
            .filter(event_log::id.gt(closed))
            .filter(event_log::id.le(signed))
            .select((event_log::id, event_log::details))
            .order(event_log::id.desc())
            .limit(1)
            .get_result(&mut self.conn)
            .optional()?;
        Ok(begun.map(|(event, details)| {
            let details: serde_json::Value = serde_json::from_str(&details.unwrap_or_default()).unwrap_or_default();
            let time = |name: &str| details[name].as_str()?.parse::<Timestamp>().ok();
            OpenSweep {
                event,
                events_before: time("events_before"),
                commands_before: time("commands_before"),
            }
        }))
    }
}
