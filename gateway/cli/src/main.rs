#![doc = include_str!("../README.md")]

mod apply;
mod approval;
mod audit;
mod backup;
mod cluster;
mod commands;
mod connection;
mod exit;
mod incident;
mod input_file;
mod key;
mod lock;
mod namespace;
mod output;
mod policy;
mod review;
mod revisions;
mod rollout;
mod run;
mod serve;
mod store;

use std::process::ExitCode;

/// Requests allocate on one thread and are freed on another; glibc's arenas contend there, and took
/// a tenth of the processor.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run()
}
