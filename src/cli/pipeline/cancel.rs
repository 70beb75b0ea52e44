//! `pipeline cancel`: nothing further starts; what runs ends by itself, or is stopped.

use serde_json::json;

use crate::domain::{CancelMode, IdPart};

use super::super::Context;
use super::super::failure::Failure;
use super::words::PipelineRow;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The pipeline's id, its beginning, or the short form that pages show
    id: IdPart,
    /// Stop what runs, too
    #[arg(long)]
    kill: bool,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let mode = if args.kill {
        CancelMode::Kill
    } else {
        CancelMode::Finish
    };
    let path = format!("/pipelines/{}/cancel", args.id);
    let body = json!({"mode": mode, "reason": args.reason});
    let row = context.client()?.post(&path, &body).await?;
    if context.out.is_json() {
        return context.out.json(&row);
    }
    let row = PipelineRow::read(&row, &context.config.zone)?;
    context.out.line(&row.sentence())?;
    if row.is_final() {
        return Ok(());
    }
    let what = if args.kill {
        "is being stopped"
    } else {
        "may end by itself"
    };
    context
        .out
        .line(&format!("what runs {what}; see: quarterdeck pipeline show {}", row.id))
}
