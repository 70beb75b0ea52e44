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
    let row = context.client()?.post(&path, &json!({"reason": args.reason})).await?;
    if context.out.is_json() {
        return context.out.json(&row);
    }
    let row = CommandRow::read(&row)?;
    context
        .out
        .line(&format!("{}; kept: no sweep takes it", row.sentence()))
}

pub(super) async fn unkeep(args: Unkeep, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/commands/{}/unkeep", args.id);
    let row = context.client()?.post(&path, &json!({})).await?;
    if context.out.is_json() {
        return context.out.json(&row);
    }
    let row = CommandRow::read(&row)?;
    context
        .out
        .line(&format!("{}; it goes when its time comes", row.sentence()))
}
