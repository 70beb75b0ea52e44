//! `pipeline continue`: a held pipeline goes on; where it waited for a person, that person has looked.

use serde_json::json;

use crate::domain::IdPart;

use super::super::Context;
use super::super::failure::Failure;
use super::words::PipelineRow;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The pipeline's id, its beginning, or the short form that pages show
    id: IdPart,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/pipelines/{}/continue", args.id);
    let sentence = |row: PipelineRow| row.sentence();
    context.wish(&path, &json!({}), sentence).await
}
