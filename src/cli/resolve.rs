//! `resolve`: end by hand a command whose outcome cannot be found out. Its job may still be there.

use serde_json::json;

use crate::domain::IdPart;

use super::Context;
use super::failure::{Failure, say};
use super::rows::CommandRow;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The command's id, its beginning, or the short form that pages show
    id: IdPart,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/commands/{}/resolve", args.id);
    let row = context.client()?.post(&path, &json!({"reason": args.reason})).await?;
    if context.out.is_json() {
        return context.out.json(&row);
    }
    let row = CommandRow::read(&row, &context.config.zone)?;
    context.out.line(&row.sentence())?;
    say("its job may still run on the host; nothing new is started there while one is found");
    Ok(())
}
