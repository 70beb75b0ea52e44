//! `show`: all that is known of one command.

use crate::domain::{Evidence, IdPart};

use super::Context;
use super::failure::Failure;
use super::rows::{CommandRow, name, when};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The command's id, its beginning, or the short form that pages show
    id: IdPart,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let value = context.source()?.command(args.id).await?;
    if context.out.is_json() {
        return context.out.json(&value);
    }
    let zone = context.config.zone.clone();
    let row = CommandRow::read(&value, &zone)?;
    let at = |instant| when(instant, &zone);
    context.out.line(&row.sentence())?;
    let facts = [
        ("id", Some(row.id.to_string())),
        ("status", Some(row.status.to_string())),
        ("error", row.error.clone()),
        ("exit code", row.exit_code.map(|code| code.to_string())),
        ("by", Some(name(&row.actor))),
        ("reason", row.reason.clone()),
        ("asked for", Some(at(row.created_at))),
        ("started", row.started_at.map(at)),
        ("finished", row.finished_at.map(at)),
        (
            "settled",
            row.settled_at
                .filter(|settled| Some(*settled) != row.finished_at)
                .map(at),
        ),
        ("took", Some(row.took()).filter(|took| !took.is_empty())),
        ("deadline", row.deadline.filter(|_| !row.is_final()).map(at)),
        ("stopped by", row.stop_by.as_deref().map(name)),
        (
            "said later",
            row.late_word
                .as_ref()
                .zip(row.late_at)
                .map(|(word, heard)| format!("{word}, {}", at(heard))),
        ),
        (
            "seen by",
            row.acknowledged_by.as_deref().map(|by| {
                let when = row.acknowledged_at.map(at).unwrap_or_default();
                let note = row.acknowledged_note.as_deref().unwrap_or_default();
                format!("{}, {when}: {note}", name(by))
            }),
        ),
        ("retry of", row.retry_of.map(|id| id.to_string())),
        (
            "kept by",
            row.kept_by
                .as_deref()
                .map(|by| format!("{}: {}", name(by), row.kept_reason.clone().unwrap_or_default())),
        ),
        ("definition", Some(row.definition.clone())),
        (
            "evidence",
            row.evidence
                .as_ref()
                .map(|said| evidence(said, row.spool.as_deref(), row.stop_by.is_some())),
        ),
        (
            "output",
            row.output_bytes
                .map(|bytes| format!("{bytes} bytes; see: quarterdeck output {}", row.id)),
        ),
    ];
    for (label, fact) in facts {
        if let Some(fact) = fact {
            let fact = fact.replace('\n', "\n              ");
            context.out.line(&format!("  {label:<11} {fact}"))?;
        }
    }
    Ok(())
}

/// What the host said, in a sentence; as it came where this program is older than what it says.
fn evidence(said: &serde_json::Value, spool: Option<&str>, asked: bool) -> String {
    match serde_json::from_value::<Evidence>(said.clone()) {
        Ok(evidence) => evidence.sentence(spool, asked),
        Err(_) => said.to_string(),
    }
}
