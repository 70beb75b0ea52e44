//! `cancel`: stop a command; its job is stopped and verified on the host, and that takes a moment.

use serde_json::json;

use crate::domain::IdPart;

use super::Context;
use super::failure::Failure;
use super::rows::CommandRow;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The command's id, its beginning, or the short form that pages show
    id: IdPart,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/commands/{}/cancel", args.id);
    let row = context.client()?.post(&path, &json!({"reason": args.reason})).await?;
    if context.out.is_json() {
        return context.out.json(&row);
    }
    let row = CommandRow::read(&row)?;
    if row.is_final() {
        return context.out.line(&row.sentence());
    }
    context.out.line(&format!(
        "{} on {} is being stopped; follow it with: quarterdeck show {}",
        row.op, row.host, row.id
    ))
}
