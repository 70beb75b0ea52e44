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
    let sentence = |row: CommandRow| match row.is_final() {
        true => row.sentence(),
        false => format!(
            "{} on {} is being stopped; follow it with: quarterdeck show {}",
            row.op, row.host, row.id
        ),
    };
    context.wish(&path, &json!({"reason": args.reason}), sentence).await
}
