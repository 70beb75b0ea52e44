//! Pipelines in words: where one stands, in a sentence, and what holds it back.

use crate::domain::{CommandStatus, IfBusy, PipelineStatus, Plan, Refusal, Timestamp};
use crate::store::{CommandRow, PipelineCounts, PipelineRow, StageCounts};

use super::super::clock::Clock;
use super::super::words::{self, Word, count};

/// The word for where a pipeline stands.
pub(super) fn status(row: &PipelineRow) -> Word {
    let word = |tone, icon, text: String| Word::new(tone, icon, text, row.status.as_str());
    let by = || row.cancel_by.as_ref().unwrap_or(&row.actor).name().to_owned();
    match row.status {
        PipelineStatus::Running | PipelineStatus::Held if row.cancel_mode.is_some() => {
            word("warn", "stop", format!("Being cancelled by {}", by()))
        }
        PipelineStatus::Running => word("run", "run", "Running".to_owned()),
        PipelineStatus::Held => word("warn", "pause", held(row)),
        PipelineStatus::Complete => word("ok", "ok", "Complete".to_owned()),
        PipelineStatus::Partial => word("bad", "warn", "Partial".to_owned()),
        PipelineStatus::Failed => word("bad", "bad", "Failed".to_owned()),
        PipelineStatus::Cancelled => word("quiet", "stop", format!("Cancelled by {}", by())),
    }
}

/// `Held by bob`, `Held: dashboard was away 61 h`.
fn held(row: &PipelineRow) -> String {
    let reason = row.hold_reason.as_deref().unwrap_or("no reason was kept");
    match reason.strip_prefix("held ") {
        Some(by) => format!("Held {by}"),
        None => format!("Held: {reason}"),
    }
}

/// The same for a page that says beside it why it is held.
pub(super) fn headline(row: &PipelineRow) -> Word {
    let mut word = status(row);
    if row.status == PipelineStatus::Held && row.cancel_mode.is_none() {
        word.text = row.status.name().to_owned();
    }
    word
}

/// "Stage 2 of 3, 41 done, 2 failed, 5 not needed, 1 unreachable; batch 2 of 3; stops at 3 failures." Of an ended one:
/// "18 of 20 hosts passed, 2 failed."
pub(super) fn sentence(
    row: &PipelineRow,
    counts: &PipelineCounts,
    stages: &[StageCounts],
    turn: Option<(usize, usize)>,
) -> String {
    let mut text = String::new();
    let mut add = |number: i64, what: &str| {
        if number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    };
    let (Some((batch, stage)), true) = (turn, row.is_open()) else {
        add(counts.hosts_failed, "failed");
        add(counts.hosts_unreachable, "unreachable");
        // On a held one nothing moves.
        let waits = row.status == PipelineStatus::Held;
        add(counts.hosts_under_way, if waits { "waiting" } else { "under way" });
        let rest = if row.cancel_mode.is_some() {
            "cancelled"
        } else {
            "not begun or not finished"
        };
        add(counts.hosts_written_off, rest);
        if counts.not_needed > 0 {
            // Of commands, not of hosts: a host is among those above.
            text.push_str(&format!(
                "; {} not needed",
                count(counts.not_needed, "command", "commands")
            ));
        }
        let hosts = count(counts.hosts, "host", "hosts");
        return format!("{} of {hosts} passed{text}.", counts.hosts_passed);
    };
    let here = stages.get(stage).copied().unwrap_or_default();
    add(counts.hosts_failed.max(here.failed), "failed");
    add(here.not_needed, "not needed");
    add(counts.hosts_unreachable.max(here.unreachable), "unreachable");
    add(here.running, "running");
    let mut sentence = match row.plan.stages.len() {
        0 | 1 => format!("{} of {} done{text}", here.done, count(counts.hosts, "host", "hosts")),
        all if row.plan.stages[stage].op().is_none() => {
            format!("Stage {} of {all} waits for a person{text}", stage + 1)
        }
        all => format!("Stage {} of {all}, {} done{text}", stage + 1, here.done),
    };
    if row.plan.batches.len() > 1 {
        sentence.push_str(&format!("; batch {} of {}", batch + 1, row.plan.batches.len()));
    }
    if let Some(stop) = stops(&row.plan) {
        sentence.push_str(&format!("; {stop}"));
    }
    sentence.push('.');
    sentence
}

/// When nothing further starts because hosts failed.
fn stops(plan: &Plan) -> Option<String> {
    match plan.stop_at {
        Some(1) => Some("stops at the first failure".to_owned()),
        Some(stop) => Some(format!("stops at {stop} failures")),
        None if plan.first_batch_must_pass => Some("stops when a host of the first batch fails".to_owned()),
        None => None,
    }
}

/// What holds a pipeline back, for its page and for its preview.
pub(super) fn limits(plan: &Plan) -> Vec<String> {
    let sizes: Vec<usize> = plan.batches.iter().map(Vec::len).collect();
    let mut limits = vec![at_once(plan.max_parallel), in_batches(&sizes)];
    limits.extend(stops(plan));
    limits.push(busy(plan.if_busy));
    if plan.count_unreachable {
        limits.push("hosts that are not reached count as failed".to_owned());
    }
    limits
}

/// `at most 6 hosts at once`
pub(super) fn at_once(most: usize) -> String {
    format!("at most {} at once", count(most, "host", "hosts"))
}

/// `3 batches: 1, 5, 14`
pub(super) fn in_batches(sizes: &[usize]) -> String {
    const SHOWN: usize = 6;
    if sizes.len() < 2 {
        return "one batch".to_owned();
    }
    let shown: Vec<String> = sizes.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if sizes.len() > SHOWN { ", …" } else { "" };
    format!("{} batches: {}{more}", sizes.len(), shown.join(", "))
}

/// What happens to a busy host.
pub(super) fn busy(how: IfBusy) -> String {
    match how {
        IfBusy::Refuse => "busy hosts are refused".to_owned(),
        IfBusy::LeaveOut => "busy hosts are left out".to_owned(),
        IfBusy::Wait(span) => format!("busy hosts are waited for, {span} at most"),
    }
}

/// How long a pipeline took, or has been going on.
pub(super) fn took(row: &PipelineRow, now: Timestamp) -> String {
    row.finished_at.unwrap_or(now).since(row.created_at).human()
}

/// A command's word in a matrix: short where the column and the pipeline say the rest.
pub(super) fn cell(row: &CommandRow, clock: &Clock) -> Word {
    let word = |tone, icon, text: &str| Word::new(tone, icon, text, row.status.as_str());
    match (row.status, row.refusal) {
        (CommandStatus::Cancelled, Some(Refusal::Cancelled)) if row.launched_at.is_none() => {
            word("quiet", "stop", "Cancelled: never began")
        }
        (CommandStatus::Blocked, Some(Refusal::Unreachable)) => word("warn", "warn", "Unreachable"),
        (CommandStatus::Blocked, Some(Refusal::Auth)) => word("warn", "warn", "Unreachable: log-in refused"),
        (CommandStatus::Blocked, Some(Refusal::HostKey)) => word("warn", "warn", "Unreachable: host key"),
        _ => words::status(row, clock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Action, OpId, Stage};

    fn plan(stages: usize, batches: &[&[i64]]) -> Plan {
        let op: OpId = "pull".parse().expect("op");
        let action = Action::Op {
            op,
            definition: crate::domain::Digest::of(b""),
            dangerous: false,
        };
        let stage = Stage {
            action,
            on_failure: crate::domain::OnFailure::StopHost,
            only: None,
        };
        Plan {
            stages: vec![stage; stages],
            batches: batches.iter().map(|hosts| hosts.to_vec()).collect(),
            max_parallel: 6,
            ..Plan::default()
        }
    }

    #[test]
    fn limits_are_said_in_words() {
        let mut plan = plan(1, &[&[1], &[2, 3]]);
        plan.stop_at = Some(3);
        plan.count_unreachable = true;
        assert_eq!(
            limits(&plan),
            [
                "at most 6 hosts at once",
                "2 batches: 1, 2",
                "stops at 3 failures",
                "busy hosts are refused",
                "hosts that are not reached count as failed"
            ]
        );
        assert_eq!(in_batches(&[1; 9]), "9 batches: 1, 1, 1, 1, 1, 1, …");
        assert_eq!(in_batches(&[7]), "one batch");
    }
}
