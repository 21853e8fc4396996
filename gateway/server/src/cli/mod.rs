//! The command line.

mod serve;

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

/// Locks for many teams: taken over HTTP, governed by policies, kept on record.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the gateway (also without a command).
    Serve(serve::ServeArguments),
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        None => serve::run(arguments.serve),
        Some(Command::Serve(serve)) => serve::run(serve),
    }
}
