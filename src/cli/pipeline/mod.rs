//! `pipeline`: ordered stages over many hosts. One file per subcommand; `read` fetches, `words` says, `wait` follows.

mod cancel;
mod go_on;
mod hold;
mod keep;
mod list;
mod preview;
mod read;
mod retry;
mod show;
mod start;
mod wait;
mod words;

use serde_json::Value;

use crate::domain::PipelineStatus;

use super::Context;
use super::failure::Failure;

use words::PipelineRow;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List pipelines, newest first; with --catalog those that can be started
    List(list::Args),
    /// Start a pipeline, or an op on several hosts
    Start(start::Args),
    /// Show a pipeline: how its hosts stand, and their results in groups
    Show(show::Args),
    /// Start nothing further of a pipeline; what runs may end by itself unless --kill is given
    Cancel(cancel::Args),
    /// Start nothing new of a pipeline until somebody says "continue"
    Hold(hold::Args),
    /// Let a held pipeline go on
    Continue(go_on::Args),
    /// Try again the hosts that did not pass, each from the stage where it stopped
    Retry(retry::Args),
    /// Let no sweep take a pipeline, its commands, events and outputs
    Keep(keep::Args),
    /// Let a kept pipeline go when its time comes
    Unkeep(keep::Unkeep),
}

pub(super) async fn execute(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::execute(args, context).await,
        Command::Start(args) => start::execute(args, context).await,
        Command::Show(args) => show::execute(args, context).await,
        Command::Cancel(args) => cancel::execute(args, context).await,
        Command::Hold(args) => hold::execute(args, context).await,
        Command::Continue(args) => go_on::execute(args, context).await,
        Command::Retry(args) => retry::execute(args, context).await,
        Command::Keep(args) => keep::keep(args, context).await,
        Command::Unkeep(args) => keep::unkeep(args, context).await,
    }
}

/// Says that a pipeline is under way, or follows it to its end.
async fn begun(context: &mut Context, row: Value, wait: bool) -> Result<(), Failure> {
    let read = PipelineRow::read(&row, &context.config.zone)?;
    if wait {
        return wait::to_the_end(context, read.id).await;
    }
    if context.out.is_json() {
        context.out.json(&row)?;
    } else {
        context.out.line(&read.sentence())?;
        context
            .out
            .line(&format!("follow it with: quarterdeck pipeline show {}", read.id))?;
    }
    verdict(read.status)
}

/// 0 where it is complete or under way, 1 otherwise.
fn verdict(status: PipelineStatus) -> Result<(), Failure> {
    match status {
        PipelineStatus::Complete | PipelineStatus::Running | PipelineStatus::Held => Ok(()),
        PipelineStatus::Partial | PipelineStatus::Failed | PipelineStatus::Cancelled => Err(Failure::Op),
    }
}
