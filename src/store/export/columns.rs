//! The columns of an export, in the order of a CSV's.

use serde::Serialize;

use super::super::whole::Stored;
use super::super::{CommandRow, EventRow, PipelineRow};

/// A row that can be taken away.
pub(super) trait Exported: Stored + Serialize {
    /// Its fields, in the order of a CSV's columns.
    const COLUMNS: &'static [&'static str];
}

impl Exported for EventRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "timestamp",
        "category",
        "level",
        "actor",
        "host",
        "host_id",
        "action",
        "message",
        "details",
        "command_id",
        "pipeline_id",
        "link",
    ];
}

impl Exported for CommandRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "created_at",
        "started_at",
        "launched_at",
        "finished_at",
        "settled_at",
        "status",
        "op",
        "host",
        "host_id",
        "actor",
        "reason",
        "exit_code",
        "error",
        "refusal",
        "evidence",
        "pipeline_id",
        "stage",
        "retry_of",
        "definition",
        "output_bytes",
        "output_sha256",
        "output_cut",
        "output_file",
        "stop_reason",
        "stop_by",
        "stop_at",
        "stop_note",
        "resolved_by",
        "late_word",
        "late_at",
        "acknowledged_by",
        "acknowledged_at",
        "acknowledged_note",
        "repeat_of",
        "kept_by",
        "kept_at",
        "kept_reason",
        "deadline",
        "warned_at",
        "overdue_at",
        "launches",
        "boot_id",
        "machine_id",
        "spool",
    ];
}

impl Exported for PipelineRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "created_at",
        "finished_at",
        "status",
        "name",
        "actor",
        "reason",
        "hosts",
        "current_stage",
        "hold_reason",
        "cancel_mode",
        "cancel_by",
        "cancel_at",
        "cancel_note",
        "kept_by",
        "kept_at",
        "kept_reason",
        "retry_of",
        "evidence",
        "plan",
    ];
}
