//! Exit codes and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    quarterdeck::cli::main()
}
