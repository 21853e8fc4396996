#![doc = include_str!("../README.md")]

mod commands;
mod debian;
mod guests;
mod run;
mod sums;
mod toolchain;
mod workspace;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use clap::Subcommand;

/// Builds the stock policies into modules.
#[derive(Debug, Parser)]
#[command(name = "pack", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the stock policies and writes the modules and their SHA256SUMS.
    Build,
    /// Builds them again and compares: the same compiler must give the same bytes; the modules of
    /// another one must load and pass the same test cases. Writes nothing to the tree.
    Check,
    /// Builds a policy's own project, such as `leasehold policy new --lang rust` writes, where the
    /// installed compiler has no WebAssembly target. Prints the path of the component.
    Project {
        /// The directory with the project's Cargo.toml.
        directory: PathBuf,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Build => commands::build(),
        Command::Check => commands::check(),
        Command::Project { directory } => commands::project(&directory),
    }
}
