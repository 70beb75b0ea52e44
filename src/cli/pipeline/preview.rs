//! What a start would do, for a reader: what will run where, in which order.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{Timestamp, spoken};

use super::super::Context;
use super::super::failure::Failure;
use super::words::hosts;

/// Names of hosts that are printed of one batch.
const NAMES: usize = 20;

#[derive(Deserialize)]
struct Preview {
    name: String,
    stages: Vec<Stage>,
    batches: Vec<Vec<String>>,
    hosts: usize,
    busy: Vec<(String, String)>,
    #[serde(default)]
    unreachable: Vec<(String, String)>,
    left_out: Vec<(String, String)>,
    max_parallel: usize,
    stop_at: Option<usize>,
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct Stage {
    text: String,
    op: Option<String>,
    dangerous: bool,
    hosts: usize,
}

pub(super) fn print(context: &mut Context, found: &Value) -> Result<(), Failure> {
    if context.out.is_json() {
        return context.out.json(found);
    }
    for line in lines(&Preview::deserialize(found)?) {
        let line = spoken(&context.config.zone, &line, Timestamp::now());
        context.out.line(&line)?;
    }
    context.out.line("nothing was started")
}

fn lines(preview: &Preview) -> Vec<String> {
    let mut lines = vec![format!("{} would run on {}:", preview.name, hosts(preview.hosts))];
    for (number, stage) in (1..).zip(&preview.stages) {
        let what = match &stage.op {
            Some(op) => op.clone(),
            None => format!("wait for a person: {}", stage.text),
        };
        let danger = if stage.dangerous { ", dangerous" } else { "" };
        lines.push(format!("  stage {number}: {what} on {}{danger}", hosts(stage.hosts)));
    }
    let many = preview.batches.len() > 1;
    for (number, batch) in (1..).zip(&preview.batches) {
        let label = if many {
            format!("batch {number}")
        } else {
            "hosts".to_owned()
        };
        lines.push(format!("  {label}: {}", shown(batch)));
    }
    let mut limits = format!("  at most {} at once", hosts(preview.max_parallel));
    if many {
        limits.push_str("; a batch goes through all stages before the next one starts");
    }
    if let Some(stop) = preview.stop_at {
        limits.push_str(&format!("; stops when {stop} failed"));
    }
    lines.push(limits);
    for (what, pairs) in [
        ("busy now", &preview.busy),
        ("unreachable when last contacted", &preview.unreachable),
        ("left out", &preview.left_out),
    ] {
        for (host, why) in pairs.iter().take(NAMES) {
            lines.push(format!("  {what}: {host} ({why})"));
        }
        if let Some(more) = pairs.len().checked_sub(NAMES + 1) {
            lines.push(format!("  {what}: and {} more", more + 1));
        }
    }
    lines.extend(preview.notes.iter().map(|note| format!("  note: {note}")));
    lines
}

/// The hosts that a preview came to, in the order of their turns.
pub(super) fn names(found: &Value) -> Result<Vec<String>, Failure> {
    Ok(Preview::deserialize(found)?.batches.concat())
}

fn shown(batch: &[String]) -> String {
    let shown = batch[..batch.len().min(NAMES)].join(", ");
    match batch.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_says_what_will_run_where_in_which_order() {
        let many: Vec<String> = (0..25).map(|n| format!("h{n}")).collect();
        let found = json!({
            "name": "update", "label": "Update", "hosts": 26, "dangerous": false, "max_parallel": 5, "stop_at": 3,
            "stages": [{"text": "Pull", "op": "pull", "dangerous": false, "hosts": 26},
                       {"text": "look", "op": null, "dangerous": false, "hosts": 26},
                       {"text": "Reboot", "op": "reboot", "dangerous": true, "hosts": 1}],
            "batches": [["a"], many], "busy": [["a", "busy with pull"]], "left_out": [],
            "unreachable": [["b", "no route"]], "if_busy": "refuse",
            "notes": ["It waits."],
        });
        let preview = Preview::deserialize(&found).expect("a preview");
        let text = lines(&preview).join("\n");
        for part in [
            "update would run on 26 hosts:",
            "stage 1: pull on 26 hosts\n",
            "stage 2: wait for a person: look",
            "stage 3: reboot on 1 host, dangerous",
            "batch 1: a\n",
            "h19 and 5 more",
            "at most 5 hosts at once; a batch goes through all stages before the next one starts; stops when 3 failed",
            "busy now: a (busy with pull)",
            "unreachable when last contacted: b (no route)",
            "note: It waits.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
