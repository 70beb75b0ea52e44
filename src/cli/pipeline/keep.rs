//! `pipeline keep`, `pipeline unkeep`: whether a sweep may take a pipeline.

use serde_json::json;

use crate::domain::PipelineId;

use super::super::Context;
use super::super::failure::Failure;
use super::words::PipelineRow;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The pipeline's id
    id: PipelineId,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Unkeep {
    /// The pipeline's id
    id: PipelineId,
}

pub(super) async fn keep(args: Args, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/pipelines/{}/keep", args.id);
    let row = context.client()?.post(&path, &json!({"reason": args.reason})).await?;
    if context.out.is_json() {
        return context.out.json(&row);
    }
    let row = PipelineRow::read(&row)?;
    context
        .out
        .line(&format!("{}; kept: no sweep takes it", row.sentence()))
}

pub(super) async fn unkeep(args: Unkeep, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/pipelines/{}/unkeep", args.id);
    let row = context.client()?.post(&path, &json!({})).await?;
    if context.out.is_json() {
        return context.out.json(&row);
    }
    let row = PipelineRow::read(&row)?;
    context
        .out
        .line(&format!("{}; it goes when its time comes", row.sentence()))
}
