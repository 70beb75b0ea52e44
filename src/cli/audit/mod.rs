//! `audit`: what an auditor does with the journal.

mod export;
mod report;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;

use super::Context;
use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Take rows of the journal away as CSV or JSON Lines
    Export(Box<export::Args>),
    /// Make an audit report, as the page does, and write its page: one file that needs nothing else
    Report(Box<report::Args>),
    /// Check that the journal is what was written: works on a copy, and beside a running dashboard
    Verify(verify::Args),
    /// Print the public key that signs checkpoints, as PEM
    Key(Database),
    /// Print the newest checkpoint, one line, for a place outside of this machine
    Checkpoint(Database),
}

/// Which database.
#[derive(Debug, clap::Args)]
pub(super) struct Database {
    /// The database file; else that of the data folder
    #[arg(value_name = "DATABASE")]
    database: Option<PathBuf>,
}

pub(super) async fn execute(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Export(args) => export::execute(*args, context).await,
        Command::Report(args) => report::execute(*args, context).await,
        Command::Verify(args) => verify::execute(args, context).await,
        Command::Key(database) => {
            let checkpoint = newest(&database, context).await?;
            context.out.line(checkpoint.key.to_pem().trim_end())
        }
        Command::Checkpoint(database) => {
            let checkpoint = newest(&database, context).await?;
            context.out.line(&checkpoint.line())
        }
    }
}

async fn newest(database: &Database, context: &Context) -> Result<crate::domain::Checkpoint, Failure> {
    let (reader, _) = database.open(context)?;
    let newest = reader.read(crate::store::Journal::newest_checkpoint).await?;
    newest
        .ok_or_else(|| Failure::Usage("there is no checkpoint yet: the dashboard makes one when it starts".to_owned()))
}

impl Database {
    /// Whether a file was named.
    const fn is_given(&self) -> bool {
        self.database.is_some()
    }

    /// A reader of it, and the folder that it lies in.
    fn open(&self, context: &Context) -> Result<(crate::store::Reader, PathBuf), Failure> {
        use crate::store::Store;
        match &self.database {
            None => Ok((
                Store::open_read_only(&context.config.data_dir)?,
                context.config.data_dir.clone(),
            )),
            Some(file) => {
                let file = std::path::absolute(file)?;
                let folder = file.parent().map(PathBuf::from).unwrap_or_default();
                Ok((Store::open_copy(&file)?, folder))
            }
        }
    }
}
