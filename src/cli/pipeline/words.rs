//! A pipeline in words: its row as the API gives it, one sentence about where it stands, and its results in groups.

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{CommandId, CommandStatus, PipelineId, PipelineStatus, Plan, Refusal, Timestamp, spoken};

use super::super::failure::Failure;
use super::super::rows::name;

/// What the command line shows of a pipeline.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PipelineRow {
    pub(super) id: PipelineId,
    pub(super) name: String,
    pub(super) hosts: Vec<i64>,
    pub(super) status: PipelineStatus,
    pub(super) created_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) actor: String,
    pub(super) reason: Option<String>,
    pub(super) plan: Plan,
    pub(super) hold_reason: Option<String>,
    pub(super) cancel_mode: Option<String>,
    pub(super) cancel_by: Option<String>,
    pub(super) retry_of: Option<PipelineId>,
    #[serde(default)]
    pub(super) retries: Vec<PipelineId>,
    /// The stage whose turn it is; not in lists.
    pub(super) turn: Option<usize>,
    pub(super) counts: Option<Counts>,
    #[serde(default)]
    pub(super) results: Vec<Group>,
}

/// How its cells and hosts stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) cells: u64,
    pub(super) running: u64,
    pub(super) waiting: u64,
    pub(super) not_needed: u64,
    pub(super) hosts_passed: u64,
    pub(super) hosts_failed: u64,
    pub(super) hosts_unreachable: u64,
    pub(super) hosts_written_off: u64,
    pub(super) hosts_under_way: u64,
}

/// Commands of one stage with the same result.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Group {
    pub(super) stage: usize,
    pub(super) status: CommandStatus,
    pub(super) refusal: Option<Refusal>,
    pub(super) hosts: usize,
    pub(super) example: CommandId,
    pub(super) names: Vec<String>,
}

impl PipelineRow {
    /// As the API gives it, with the times in its sentences in the configured zone.
    pub(super) fn read(row: &Value, zone: &TimeZone) -> Result<Self, Failure> {
        let row = Self::deserialize(row)?;
        let written = row.finished_at.unwrap_or_else(Timestamp::now);
        Ok(Self {
            hold_reason: row.hold_reason.map(|text| spoken(zone, &text, written)),
            ..row
        })
    }

    pub(super) fn is_final(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Where it stands, in words.
    pub(super) fn words(&self) -> String {
        let by = || name(self.cancel_by.as_deref().unwrap_or("somebody"));
        match self.status {
            PipelineStatus::Running | PipelineStatus::Held if self.cancel_mode.is_some() => {
                format!("Being cancelled by {}", by())
            }
            PipelineStatus::Running => "Running".to_owned(),
            PipelineStatus::Held => {
                let reason = self.hold_reason.as_deref().unwrap_or("no reason was kept");
                match reason.strip_prefix("held ") {
                    Some(by) => format!("Held {by}"),
                    None => format!("Held: {reason}"),
                }
            }
            PipelineStatus::Complete => "Complete".to_owned(),
            PipelineStatus::Partial => "Partial".to_owned(),
            PipelineStatus::Failed => "Failed".to_owned(),
            PipelineStatus::Cancelled => format!("Cancelled by {}", by()),
        }
    }

    /// `update: Running, stage 2 of 3; 41 of 60 hosts passed, 2 failed, 17 under way`
    pub(super) fn sentence(&self) -> String {
        let mut text = format!("{}: {}", self.name, self.words());
        let stages = self.plan.stages.len();
        // As pages do: by whose turn it is. The stage that the row has is the one that all hosts have done.
        if let Some(stage) = self.turn.filter(|_| !self.is_final() && stages > 1) {
            text.push_str(&format!(", stage {} of {stages}", stage + 1));
        }
        text.push_str("; ");
        match &self.counts {
            Some(counts) => text.push_str(&counts.words(self.hosts.len(), self.status == PipelineStatus::Held)),
            None => text.push_str(&hosts(self.hosts.len())),
        }
        text
    }

    /// What a stage is called.
    pub(super) fn stage(&self, index: usize) -> &str {
        self.plan.stages.get(index).map_or("?", |stage| stage.text())
    }

    /// How long it took, or has been going on.
    pub(super) fn took(&self) -> String {
        let end = self.finished_at.unwrap_or_else(Timestamp::now);
        end.since(self.created_at).human()
    }

    /// What holds it back, one clause each.
    pub(super) fn limits(&self) -> String {
        let mut limits = Vec::new();
        if self.plan.batches.len() > 1 {
            let sizes: Vec<String> = self.plan.batches.iter().map(|batch| batch.len().to_string()).collect();
            limits.push(format!("batches of {}", sizes.join(", ")));
        }
        limits.push(format!("{} at once", hosts(self.plan.max_parallel)));
        if let Some(stop) = self.plan.stop_at {
            limits.push(format!("stops at {stop} failed"));
        }
        limits.join("; ")
    }
}

impl Counts {
    /// Cells whose fate is known.
    pub(super) fn settled(&self) -> u64 {
        self.cells.saturating_sub(self.running + self.waiting)
    }

    fn words(&self, all: usize, held: bool) -> String {
        let mut text = format!("{} of {} passed", self.hosts_passed, hosts(all));
        for (count, what) in [
            (self.hosts_failed, "failed"),
            (self.hosts_unreachable, "unreachable"),
            (self.hosts_written_off, "written off"),
            // On a held one nothing moves.
            (self.hosts_under_way, if held { "waiting" } else { "under way" }),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        if self.not_needed > 0 {
            let commands = if self.not_needed == 1 { "command" } else { "commands" };
            text.push_str(&format!("; {} {commands} not needed", self.not_needed));
        }
        text
    }
}

impl Group {
    /// `web-01, web-02 and 50 more`
    pub(super) fn who(&self) -> String {
        let shown = self.names.join(", ");
        match self.hosts.saturating_sub(self.names.len()) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }
}

/// `1 host`, `60 hosts`
pub(super) fn hosts(count: usize) -> String {
    match count {
        1 => "1 host".to_owned(),
        _ => format!("{count} hosts"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(change: Value) -> PipelineRow {
        let mut row = json!({
            "id": "0192b0a0-0000-7000-8000-000000000000", "name": "update", "hosts": [1, 2, 3], "current_stage": 1,
            "status": "RUNNING", "created_at": "2026-11-23T08:00:00Z", "actor": "local:alice",
            "plan": {"stages": [{"action": {"wait": {"text": "look"}}}, {"action": {"wait": {"text": "again"}}}],
                     "batches": [[1], [2, 3]], "max_parallel": 200, "stop_at": 2},
        });
        for (key, value) in change.as_object().expect("object") {
            row[key] = value.clone();
        }
        PipelineRow::read(&row, &TimeZone::UTC).expect("a row")
    }

    #[test]
    fn one_sentence_says_where_it_stands() {
        let counts = json!({"hosts_passed": 1, "hosts_failed": 1, "hosts_under_way": 1, "not_needed": 2});
        for (change, sentence) in [
            (json!({}), "update: Running; 3 hosts"),
            (
                json!({"turn": 1, "counts": counts}),
                "update: Running, stage 2 of 2; 1 of 3 hosts passed, 1 failed, 1 under way; 2 commands not needed",
            ),
            (
                json!({"status": "HELD", "hold_reason": "look"}),
                "update: Held: look; 3 hosts",
            ),
            (
                json!({"status": "HELD", "hold_reason": "look", "current_stage": 0, "turn": 1, "counts": counts}),
                "update: Held: look, stage 2 of 2; 1 of 3 hosts passed, 1 failed, 1 waiting; 2 commands not needed",
            ),
            (
                json!({"status": "HELD", "hold_reason": "held by bob"}),
                "update: Held by bob; 3 hosts",
            ),
            (
                json!({"cancel_mode": "kill", "cancel_by": "user:bob"}),
                "update: Being cancelled by bob; 3 hosts",
            ),
            (
                json!({"status": "COMPLETE", "finished_at": "2026-11-23T08:01:00Z", "hosts": [1]}),
                "update: Complete; 1 host",
            ),
        ] {
            assert_eq!(row(change).sentence(), sentence);
        }
        assert_eq!(
            row(json!({})).limits(),
            "batches of 1, 2; 200 hosts at once; stops at 2 failed"
        );
    }

    #[test]
    fn progress_is_what_is_settled() {
        let counts = Counts {
            cells: 10,
            running: 2,
            waiting: 3,
            ..Counts::default()
        };
        assert_eq!(counts.settled(), 5);
    }
}
