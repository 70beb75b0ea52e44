//! `serve`: the dashboard itself.

use crate::config::Config;

use super::failure::Failure;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// The address and port of the pages; loopback only
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<String>,
}

pub(super) fn execute(config: Config) -> Result<(), Failure> {
    // Said here too, because it is a usage error and not the dashboard's failure.
    config.socket()?;
    config.check_surroundings()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(crate::app::serve(config)).map_err(Failure::Other)
}
