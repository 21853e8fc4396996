//! `leasehold serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use leasehold_core::config::Config;
use leasehold_core::config::Overrides;

/// `EX_USAGE`.
const EXIT_USAGE: u8 = 64;
/// `EX_OSERR`.
const EXIT_SYSTEM: u8 = 71;

/// How to start the gateway.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// A configuration file; see config.example.toml.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_parser = leasehold_core::input::parse_address)]
    listen: Option<SocketAddr>,
    /// Where locks and ledger are kept.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Do not make the namespace demo, which is open to every key, at the first start.
    #[arg(long)]
    no_demo: bool,
}

/// Starts the gateway and serves until it is told to stop.
#[expect(
    clippy::print_stderr,
    reason = "there is no log before the configuration is read"
)]
pub(super) fn run(arguments: ServeArguments) -> ExitCode {
    let overrides = Overrides {
        listen: arguments.listen,
        data_dir: arguments.data_dir,
        no_demo: arguments.no_demo,
    };
    let config = match Config::load(arguments.config.as_deref(), overrides) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("leasehold: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if let Err(problem) =
        leasehold_core::telemetry::start_log(config.telemetry.format, &config.telemetry.level)
    {
        eprintln!("leasehold: telemetry: {problem}");
        return ExitCode::from(EXIT_USAGE);
    }
    let config = match leasehold_server::descriptors::make_room(config) {
        Ok(config) => Arc::new(config),
        Err(error) => {
            eprintln!("leasehold: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(leasehold_server::serve(config)),
        Err(error) => {
            eprintln!("leasehold: cannot start threads: {error}");
            ExitCode::from(EXIT_SYSTEM)
        }
    }
}
