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
    let sentence = |row: CommandRow| match row.is_final() {
        true => row.sentence(),
        false => format!(
            "{} is asked about {}; see what it said with: quarterdeck show {}",
            row.host, row.op, row.id
        ),
    };
    context.wish(&path, &json!({}), sentence).await
}
