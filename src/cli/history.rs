//! `history`: commands, newest first.

use crate::domain::{CommandStatus, HostName};

use super::Context;
use super::failure::Failure;
use super::rows;
use super::source::Wanted;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of this host, also of a removed one
    #[arg(long, value_name = "NAME")]
    host: Option<HostName>,
    /// Of this op
    #[arg(long, value_name = "OP")]
    op: Option<String>,
    /// Of these statuses, separated by commas: PENDING, EXECUTING, SUCCESS, ERROR, ...
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<CommandStatus>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let wanted = Wanted {
        host: args.host,
        op: args.op,
        status: args.status,
        limit: args.limit,
    };
    let found = context.source()?.history(&wanted).await?;
    if context.out.is_json() {
        return found.iter().try_for_each(|row| context.out.json(row));
    }
    let zone = context.config.zone.clone();
    rows::commands(&mut context.out, &found, &zone)
}
