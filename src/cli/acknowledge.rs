//! `acknowledge`: note that somebody has looked at how a command ended.

use serde_json::json;

use crate::domain::IdPart;

use super::Context;
use super::failure::Failure;
use super::rows::CommandRow;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The command's id, its beginning, or the short form that pages show
    id: IdPart,
    /// What you found, or did about it, for the journal
    #[arg(long, value_name = "TEXT")]
    note: String,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/commands/{}/acknowledge", args.id);
    let sentence = |row: CommandRow| format!("{}; acknowledged", row.sentence());
    context.wish(&path, &json!({"note": args.note}), sentence).await
}
