//! `find-out`: ask a command's host now what became of it, instead of when its turn comes.

use serde_json::json;

use crate::domain::IdPart;

use super::Context;
use super::failure::Failure;
use super::rows::CommandRow;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The command's id, its beginning, or the short form that pages show
    id: IdPart,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/commands/{}/find-out", args.id);
    let row = context.client()?.post(&path, &json!({})).await?;
    if context.out.is_json() {
        return context.out.json(&row);
    }
    let row = CommandRow::read(&row)?;
    if row.is_final() {
        return context.out.line(&row.sentence());
    }
    context.out.line(&format!(
        "{} is asked about {}; see what it said with: quarterdeck show {}",
        row.host, row.op, row.id
    ))
}
