//! `extend`: more time for a command, before its deadline stops it.

use serde_json::json;

use crate::domain::{IdPart, Span};

use super::Context;
use super::failure::Failure;
use super::rows::{CommandRow, when};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The command's id, its beginning, or the short form that pages show
    id: IdPart,
    /// How much more time: 90s, 30m, 1h 30m
    #[arg(value_name = "FOR")]
    span: Span,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let path = format!("/commands/{}/extend", args.id);
    let zone = context.config.zone.clone();
    let sentence = |row: CommandRow| {
        let until = row.deadline.map_or_else(
            || "for as long as it takes".to_owned(),
            |at| format!("until {}", when(at, &zone)),
        );
        format!("{} on {} has time {until}", row.op, row.host)
    };
    context.wish(&path, &json!({"for": args.span}), sentence).await
}
