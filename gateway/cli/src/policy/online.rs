//! What a gateway is asked about policies.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use leasehold_client::Client;
use leasehold_wire::v1::bindings as wire;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::policies::PolicyList;
use leasehold_wire::v1::policies::PolicyMarkRequest;
use leasehold_wire::v1::policies::PolicyVersion;
use leasehold_wire::v1::policies::PushedPolicy;

use super::bind;
use super::modules;
use super::sign;
use super::version;
use crate::connection::Connection;
use crate::connection::block_on;
use crate::exit::Failed;
use crate::exit::USAGE;
use crate::input_file;
use crate::output::Shown;
use crate::revisions;

/// What to ask a gateway about policies.
#[derive(Debug, Subcommand)]
pub(crate) enum OnlineCommand {
    /// Push a module. The gateway verifies it, runs its own test cases and checks its signatures first.
    #[command(
        alias = "upload",
        override_usage = "leasehold policy push [OPTIONS] [POLICY@VERSION] <FILE>"
    )]
    Push {
        /// The component, a .wasm file. POLICY@VERSION before it must be what the module's manifest
        /// says; without it the manifest is read here, which compiles the module.
        #[arg(value_name = "FILE", required = true, num_args = 1..=2)]
        module: Vec<String>,
        /// A file of signatures, as `leasehold policy sign` writes it; may be repeated.
        #[arg(long, value_name = "FILE")]
        signature: Vec<PathBuf>,
        /// Do everything but the write.
        #[arg(long)]
        dry_run: bool,
    },
    /// Advise against a version: whoever binds it is warned.
    Deprecate(MarkArguments),
    /// Forbid a version for anything new: it cannot be pushed, bound or promoted. What it judges goes
    /// on, and is listed.
    Withdraw(MarkArguments),
    /// Take back that a version was deprecated or withdrawn.
    Restore(MarkArguments),
    /// Kill a version: it fails wherever it would judge, on every gateway, at once. Open rollouts whose
    /// candidate it is are rolled back.
    Kill(MarkArguments),
    /// Let a killed version judge again where it is bound.
    Revive(MarkArguments),
    /// Delete a version that no binding names and under which no lease is held.
    Delete {
        /// POLICY@VERSION
        policy: String,
    },
    /// Bind policies, or replace a binding, from a JSON file (- for standard input).
    Bind(bind::BindArguments),
    /// Delete a binding. Its revisions stay, and can be restored.
    Unbind(bind::UnbindArguments),
    /// Show the revisions of a binding, newest first, also of one that was deleted: who changed what,
    /// when and why.
    History(revisions::HistoryArguments),
    /// Make a binding say what one of its revisions said, by the same checks and approvals as `bind`.
    RestoreBinding(revisions::RestoreArguments),
    /// List versions of policies.
    List,
    /// Show one version, and its newest failures in the gateway that is asked.
    Show {
        /// POLICY@VERSION
        policy: String,
    },
    /// List bindings.
    Bindings,
}

/// Which version to mark, and why.
#[derive(Debug, Args)]
pub(crate) struct MarkArguments {
    /// POLICY@VERSION
    policy: String,
    /// Why; the ledger keeps it.
    #[arg(long)]
    reason: String,
}

/// Asks the gateway.
pub(super) fn run(command: OnlineCommand, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    block_on(perform(&client, command, connection.json))
}

async fn perform(client: &Client, command: OnlineCommand, json: bool) -> Result<Shown, Failed> {
    match command {
        OnlineCommand::Push {
            module,
            signature,
            dry_run,
        } => push(client, &module, (&signature, dry_run), json).await,
        OnlineCommand::Deprecate(mark) => marked(client, "deprecate", mark, json).await,
        OnlineCommand::Withdraw(mark) => marked(client, "withdraw", mark, json).await,
        OnlineCommand::Restore(mark) => marked(client, "restore", mark, json).await,
        OnlineCommand::Kill(mark) => marked(client, "kill", mark, json).await,
        OnlineCommand::Revive(mark) => marked(client, "revive", mark, json).await,
        OnlineCommand::Delete { policy } => delete(client, &policy, json).await,
        OnlineCommand::Bind(arguments) => bind::bind(client, arguments, json).await,
        OnlineCommand::Unbind(arguments) => bind::unbind(client, arguments, json).await,
        OnlineCommand::History(arguments) => {
            revisions::show::<wire::BindingRequest>(client, paths::BINDINGS, &arguments, json).await
        }
        OnlineCommand::RestoreBinding(arguments) => {
            let bound = revisions::restore(client, paths::BINDINGS, arguments).await?;
            Shown::of(json, &bound, bind::show)
        }
        OnlineCommand::List => {
            let list: PolicyList = client.get(paths::POLICIES).await?;
            Shown::of(json, &list, |list| {
                let rows = list.policies.iter().map(version::row).collect();
                Shown::Table(version::HEADINGS.to_vec(), rows)
            })
        }
        OnlineCommand::Show { policy } => {
            let (name, version) = split_version(&policy)?;
            let path = paths::policy_version(name, version);
            let shown: PolicyVersion = client.get(&path).await?;
            Shown::of(json, &shown, version::show)
        }
        OnlineCommand::Bindings => {
            let list: wire::BindingList = client.get(paths::BINDINGS).await?;
            Shown::of(json, &list, |list| {
                let rows = list.bindings.iter().map(bind::row).collect();
                Shown::Table(bind::HEADINGS.to_vec(), rows)
            })
        }
    }
}

async fn push(
    client: &Client,
    module: &[String],
    (signatures, dry_run): (&[PathBuf], bool),
    json: bool,
) -> Result<Shown, Failed> {
    let (named, file) = match module {
        [file] => (None, file),
        [policy, file, ..] => (Some(split_version(policy)?), file),
        [] => return Err(Failed::new(USAGE, "no module: name a .wasm file")),
    };
    let mut files = Vec::new();
    for file in signatures {
        let encoded = sign::read(file)?.base64();
        files.push(encoded.map_err(|problem| Failed::new(USAGE, problem))?);
    }
    let file = Path::new(file);
    let wasm = input_file::read(file)?;
    let mut path = match named {
        Some((name, version)) => paths::policy_version(name, version),
        None => {
            let module = modules::compile(&wasm, file)?;
            let manifest = module.manifest();
            paths::policy_version(&manifest.name, &manifest.version)
        }
    };
    if dry_run {
        path += "?dry_run=true";
    }
    let pushed: PushedPolicy = client.push(&path, wasm, &files).await?;
    Shown::of(json, &pushed, version::show_pushed)
}

async fn marked(
    client: &Client,
    verb: &str,
    MarkArguments { policy, reason }: MarkArguments,
    json: bool,
) -> Result<Shown, Failed> {
    let (name, version) = split_version(&policy)?;
    let path = paths::policy_verb(name, version, verb);
    let request = PolicyMarkRequest { reason };
    let marked: PolicyVersion = client.post(&path, &request).await?;
    Shown::of(json, &marked, version::show)
}

async fn delete(client: &Client, policy: &str, json: bool) -> Result<Shown, Failed> {
    let (name, version) = split_version(policy)?;
    let path = paths::policy_version(name, version);
    let gone: PolicyVersion = client.delete(&path).await?;
    Shown::of(json, &gone, |gone| {
        let deleted = format!("{}@{}", gone.policy, gone.version);
        Shown::Fields(vec![("deleted", deleted)])
    })
}

fn split_version(policy: &str) -> Result<(&str, &str), Failed> {
    let split = policy.split_once('@');
    split.ok_or_else(|| Failed::new(USAGE, format!("{policy}: must be POLICY@VERSION")))
}
