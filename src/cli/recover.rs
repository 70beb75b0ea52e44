//! `recover`: what a start of the dashboard would do to the commands that are open now. Does nothing.

use serde_json::json;

use super::Context;
use super::failure::Failure;
use super::rows::{self, CommandRow, when};

/// The parts of the preview, in the order of their weight, and what would happen.
const PARTS: [(&str, &str); 4] = [
    ("orphaned", "was running: its host would be asked what became of it"),
    (
        "asked_again",
        "is being found out about: its host would be asked again what became of it",
    ),
    ("resumed", "would still be started: it was asked for recently"),
    (
        "cancelled",
        "would be cancelled: it was asked for too long ago or before a restore, is dangerous, or somebody wished to stop it",
    ),
];

pub(super) async fn execute(context: &mut Context) -> Result<(), Failure> {
    let preview = context.source()?.recovery().await?;
    let zone = context.config.zone.clone();
    let mut any = false;
    for (part, what) in PARTS {
        for row in rows::list(&preview, part) {
            any = true;
            if context.out.is_json() {
                context.out.json(&json!({"would_be": part, "command": row}))?;
                continue;
            }
            let row = CommandRow::read(&row, &zone)?;
            context.out.line(&format!(
                "{} on {} (asked for {}, {}) {what}",
                row.op,
                row.host,
                when(row.created_at, &zone),
                row.id
            ))?;
        }
    }
    if !any && !context.out.is_json() {
        context.out.line("nothing is open: a start would change nothing")?;
    }
    Ok(())
}
