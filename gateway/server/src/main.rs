//! The `leasehold` binary: gateway and command line.

use std::process::ExitCode;

/// Requests allocate on one thread and are freed on another; glibc's arenas contend there, and took
/// a tenth of the processor.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    leasehold_server::cli::run()
}
