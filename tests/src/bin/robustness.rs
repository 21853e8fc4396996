//! `cargo robustness`: a long run of faults on one store, checked. Exit code 1 if something did not
//! hold, 2 if the run could not be carried out.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that talks to people"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use leasehold_tests::robustness;
use leasehold_tests::robustness::History;
use leasehold_tests::robustness::Options;
use leasehold_tests::robustness::Store;
use leasehold_tests::robustness::Summary;
use leasehold_tests::robustness::check;
use leasehold_tests::robustness::plan::Kind;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

/// Injects faults into real gateways under load, and checks what their clients have seen.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which store.
    #[arg(long, value_enum, default_value = "raft")]
    store: Store,
    /// How many gateways.
    #[arg(long, default_value_t = 3)]
    gateways: usize,
    /// How long.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// What the plan and the clients' choices are made from; drawn if absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Which faults; all that the store can be put through if absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Kind>,
    /// A bug that the gateways were built with (feature `planted-bugs`).
    #[arg(long)]
    plant: Option<String>,
    /// Keep history, logs and data even if all holds.
    #[arg(long)]
    keep: bool,
    /// Where to keep them.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Run nothing; check a history that was kept.
    #[arg(long)]
    check: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(file) = &arguments.check {
        return check_again(file);
    }
    let seed = arguments
        .seed
        .unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let mut options = Options::new(arguments.store, arguments.seconds, seed);
    options.gateways = arguments.gateways;
    options.plant = arguments.plant;
    options.keep = arguments.keep;
    options.folder = arguments.folder;
    if !arguments.faults.is_empty() {
        options.faults = arguments.faults;
    }
    println!("{}", options.command());
    let runtime = tokio::runtime::Runtime::new();
    let done = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(until_stopped(&options)));
    match done {
        Ok(summary) => {
            println!("{summary}");
            match summary.violations.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("the run could not be carried out: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// A run, unless it is told to stop; then everything is taken down, too.
async fn until_stopped(options: &Options) -> anyhow::Result<Summary> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        summary = robustness::run(options) => summary,
        _ = terminated.recv() => anyhow::bail!("stopped"),
        _ = tokio::signal::ctrl_c() => anyhow::bail!("stopped"),
    }
}

/// Checks a kept history again, but for what only its run knew.
fn check_again(file: &std::path::Path) -> ExitCode {
    let history = match History::read(file) {
        Ok(history) => history,
        Err(error) => {
            eprintln!("{}: {error:#}", file.display());
            return ExitCode::from(2);
        }
    };
    let violations = check::run(&history, &check::Expected::default());
    for violation in &violations {
        println!("{}: {}", violation.check, violation.what);
    }
    match violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
