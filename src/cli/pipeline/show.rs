//! `pipeline show`: how a pipeline's hosts stand, and their results in groups: "52 hosts: this; 3: that".

use serde_json::Value;

use crate::domain::{IdPart, PipelineId};

use super::super::Context;
use super::super::failure::Failure;
use super::super::rows::{CommandRow, name, when};
use super::words::{Group, PipelineRow, hosts};

/// Groups whose output is looked at for its last line; the rest is named.
const LOOKED_AT: usize = 20;

/// How much of an output's end is read for its last line.
const TAIL: u64 = 2_048;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The pipeline's id, its beginning, or the short form that pages show
    id: IdPart,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let value = context.source()?.pipeline(args.id, true).await?;
    if context.out.is_json() {
        return context.out.json(&value);
    }
    let zone = context.config.zone.clone();
    let row = PipelineRow::read(&value, &zone)?;
    context.out.line(&row.sentence())?;
    let stages: Vec<&str> = (0..row.plan.stages.len()).map(|stage| row.stage(stage)).collect();
    let ids = |ids: &[PipelineId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let facts = [
        ("id", Some(row.id.to_string())),
        ("status", Some(row.status.to_string())),
        ("stages", Some(stages.join(" && "))),
        ("limits", Some(row.limits())),
        ("by", Some(name(&row.actor))),
        ("reason", row.reason.clone()),
        ("started", Some(when(row.created_at, &zone))),
        ("finished", row.finished_at.map(|at| when(at, &zone))),
        ("took", Some(row.took())),
        ("retry of", row.retry_of.map(|id| id.to_string())),
        ("retried as", Some(ids(&row.retries)).filter(|ids| !ids.is_empty())),
    ];
    for (label, fact) in facts {
        if let Some(fact) = fact {
            context
                .out
                .line(&format!("  {label:<11} {}", fact.replace('\n', " ")))?;
        }
    }
    results(context, &value).await
}

/// The groups, stage by stage.
pub(super) async fn results(context: &mut Context, value: &Value) -> Result<(), Failure> {
    let row = PipelineRow::read(value, &context.config.zone)?;
    let mut stage = None;
    for (index, group) in row.results.iter().enumerate() {
        if stage != Some(group.stage) {
            stage = Some(group.stage);
            context
                .out
                .line(&format!("stage {}, {}:", group.stage + 1, row.stage(group.stage)))?;
        }
        let what = if index < LOOKED_AT {
            what(context, group).await?
        } else {
            let refusal = group.refusal.map(|refusal| format!(" ({})", refusal.as_str()));
            format!("{}{}", group.status, refusal.unwrap_or_default())
        };
        context
            .out
            .line(&format!("  {}: {what}  [{}]", hosts(group.hosts), group.who()))?;
    }
    Ok(())
}

/// What is the same for all of a group, by one of its commands: its status and the last line that it wrote.
async fn what(context: &Context, group: &Group) -> Result<String, Failure> {
    let source = context.source()?;
    let row = CommandRow::read(&source.command(group.example).await?, &context.config.zone)?;
    let words = row.words().lines().next().unwrap_or_default().to_owned();
    let Some(bytes) = row.output_bytes.filter(|bytes| *bytes > 0) else {
        return Ok(words);
    };
    let from = bytes.unsigned_abs().saturating_sub(TAIL);
    let tail = source.output(group.example, from).await?;
    Ok(match last_line(&tail) {
        Some(line) => format!("{words}: “{line}”"),
        None => words,
    })
}

/// The last line with something in it, of at most a hundred characters.
fn last_line(tail: &[u8]) -> Option<String> {
    let text = plain(&String::from_utf8_lossy(tail));
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    // Printed among our own words: what a terminal would still obey is escaped, wherever it goes.
    let line = crate::domain::bounded(line, 400);
    let short: String = line.chars().take(100).collect();
    Some(if short.len() < line.len() {
        format!("{short}…")
    } else {
        short
    })
}

/// Without a terminal's colours and movements (`ESC [ … letter`): here they are noise.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let end = after.find(|c: char| ('@'..='~').contains(&c));
        rest = end.and_then(|end| after.get(end + 1..)).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_most() {
        for (tail, line) in [
            (&b"one\ntwo\r\n\n"[..], Some("two")),
            (b"", None),
            (b" \n\n", None),
            (b"\x1b[1;31mred\x1b[0m \x1b[K", Some("red")),
            (b"half \x1b[31", Some("half")),
            (b"\x1b]0;title\x07", Some("\\u{1b}]0;title\\u{7}")),
        ] {
            assert_eq!(last_line(tail).as_deref(), line);
        }
        let long = last_line("x".repeat(300).as_bytes()).expect("a line");
        assert_eq!(long.chars().count(), 101);
    }
}
