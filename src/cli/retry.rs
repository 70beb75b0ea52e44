//! `retry`: the same op once more on the same host, linked to the first try.

use serde_json::json;

use crate::domain::{CommandStatus, IdPart};

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
    let path = format!("/commands/{}/retry", args.id);
    let row = context.client()?.post(&path, &json!({"reason": args.reason})).await?;
    let read = CommandRow::read(&row, &context.config.zone)?;
    if context.out.is_json() {
        context.out.json(&row)?;
    } else {
        context.out.line(&format!("{}  ({})", read.sentence(), read.id))?;
    }
    if read.status == CommandStatus::Blocked {
        return Err(Failure::SaidRefused);
    }
    Ok(())
}
