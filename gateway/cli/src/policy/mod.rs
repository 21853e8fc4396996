//! `leasehold policy …`: what a gateway is asked about policies, and what their authors do with a
//! module on their own machine.

mod bench;
mod bind;
mod cases;
mod check;
mod embed;
mod explain;
pub(super) mod modules;
mod new;
mod online;
mod preview;
mod recorded;
mod replay;
mod resolve;
pub(super) mod sign;
mod templates;
mod trust;
mod verify;
mod version;

use clap::Subcommand;

use super::connection::Connection;
use super::exit::Failed;
use super::output;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Write a project for a policy of your own, in one of five languages. Asks no gateway.
    New(new::NewArguments),
    /// Say whether a gateway would take a module, and why not. Asks no gateway.
    Check(check::CheckArguments),
    /// Run test cases on a module, and show every one that fails. Asks no gateway.
    Test(cases::TestArguments),
    /// Measure fuel and time of test cases, and compare them with another module's. Asks no gateway.
    Bench(bench::BenchArguments),
    /// Show one decision of a module in full, with what it traced: of a question or a test case,
    /// without a gateway; or of a recorded event, as it was asked.
    Explain(explain::ExplainArguments),
    /// Put test cases into a module. Asks no gateway.
    Embed(embed::EmbedArguments),
    /// Make a pair of keys to sign policies with. Asks no gateway.
    Keygen(sign::KeygenArguments),
    /// Sign a module: state what it is and when it may be put to use. Asks no gateway.
    Sign(sign::SignArguments),
    /// Say whether trusted keys signed a module. Asks no gateway.
    Verify(verify::VerifyArguments),
    /// Show and change which keys are trusted to sign policies.
    #[command(subcommand)]
    Trust(trust::TrustCommand),
    /// Evaluate recorded decisions again, and show what a candidate would have changed.
    Replay(Box<replay::ReplayArguments>),
    /// Say which policies would judge a request, in order, with the rollouts that choose versions.
    Resolve(resolve::ResolveArguments),
    #[command(flatten)]
    Online(online::OnlineCommand),
}

/// Does it.
pub(super) fn run(command: PolicyCommand, connection: Connection) -> Result<u8, Failed> {
    let json = connection.json;
    match command {
        PolicyCommand::New(new) => new::run(&new, json),
        PolicyCommand::Check(check) => check::run(&check, json),
        PolicyCommand::Test(test) => cases::run(&test, json),
        PolicyCommand::Bench(bench) => bench::run(&bench, json),
        PolicyCommand::Explain(explain) => explain::run(&explain, &connection),
        PolicyCommand::Embed(embed) => embed::run(&embed, json),
        PolicyCommand::Keygen(keygen) => sign::keygen(&keygen, json),
        PolicyCommand::Sign(sign) => sign::run(&sign, json),
        PolicyCommand::Verify(verify) => verify::run(&verify, json),
        PolicyCommand::Trust(trust) => output::finish(trust::run(trust, connection)),
        PolicyCommand::Replay(replay) => output::finish(replay::run(*replay, connection)),
        PolicyCommand::Resolve(resolve) => output::finish(resolve::run(&resolve, connection)),
        PolicyCommand::Online(online) => output::finish(online::run(online, connection)),
    }
}
