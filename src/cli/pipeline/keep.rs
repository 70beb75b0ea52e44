//! `pipeline keep`, `pipeline unkeep`: whether a sweep may take a pipeline.

use serde_json::json;

use crate::domain::IdPart;

use super::super::Context;
use super::super::failure::Failure;
use super::words::PipelineRow;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The pipeline's id, its beginning, or the short form that pages show
    id: IdPart,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Unkeep {
    /// The pipeline's id, its beginning, or the short form that pages show
    id: IdPart,
}

pub(super) async fn keep(args: Args, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/pipelines/{}/keep", args.id);
    let sentence = |row: PipelineRow| format!("{}; kept: no sweep takes it", row.sentence());
    context.wish(&path, &json!({"reason": args.reason}), sentence).await
}

pub(super) async fn unkeep(args: Unkeep, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/pipelines/{}/unkeep", args.id);
    let sentence = |row: PipelineRow| format!("{}; it goes when its time comes", row.sentence());
    context.wish(&path, &json!({}), sentence).await
}
