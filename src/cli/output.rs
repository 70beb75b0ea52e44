//! `output`: what a command wrote, byte by byte, and on request what it still writes.

use crate::domain::IdPart;

use super::Context;
use super::failure::Failure;
use super::follow::{self, Show};
use super::out::Printable;
use super::rows::CommandRow;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The command's id, its beginning, or the short form that pages show
    id: IdPart,
    /// Go on until the command has ended
    #[arg(long)]
    follow: bool,
}

pub(super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let source = context.source()?;
    let row = source.command(args.id).await?;
    let id = CommandRow::read(&row, &context.config.zone)?.id;
    if args.follow {
        // With no dashboard nothing is written any more: there is nothing to wait for.
        context.client()?;
        follow::to_the_end(context, vec![row], None, Show::Plain).await?;
        return Ok(());
    }
    let mut text = Printable::default();
    let mut from = 0;
    loop {
        let bytes = source.output(id, from).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        from += bytes.len() as u64;
        context.out.bytes(&mut text, &bytes)?;
    }
}
