//! `keep`, `unkeep`: whether a sweep may take a command.

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
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Unkeep {
    /// The command's id, its beginning, or the short form that pages show
    id: IdPart,
}

pub(super) async fn keep(args: Args, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/commands/{}/keep", args.id);
    let sentence = |row: CommandRow| format!("{}; kept: no sweep takes it", row.sentence());
    context.wish(&path, &json!({"reason": args.reason}), sentence).await
}

pub(super) async fn unkeep(args: Unkeep, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/commands/{}/unkeep", args.id);
    let sentence = |row: CommandRow| format!("{}; it goes when its time comes", row.sentence());
    context.wish(&path, &json!({}), sentence).await
}
