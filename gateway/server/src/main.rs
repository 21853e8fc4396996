//! The `leasehold` binary: gateway and command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    leasehold_server::cli::run()
}
