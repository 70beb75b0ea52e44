//! `serve`: the dashboard itself.

use crate::config::Config;

use super::failure::Failure;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// The address and port of the pages; beyond this machine only with a certificate
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<String>,
    /// Serve pages to others without encryption: whoever is on the way reads passwords
    #[arg(long)]
    pub(super) insecure_http: bool,
}

pub(super) fn execute(config: Config) -> Result<(), Failure> {
    // Said here too, because it is a usage error and not the dashboard's failure.
    config.socket()?;
    config.check_surroundings()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(crate::app::serve(config)).map_err(Failure::Other)
}
