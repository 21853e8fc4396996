//! What a gateway is asked about policies.

use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;
use leasehold_client::Client;
use leasehold_wire::v1::bindings as wire;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::policies::PolicyList;
use leasehold_wire::v1::policies::PolicyVersion;

use super::modules;
use crate::connection::Connection;
use crate::connection::block_on;
use crate::exit::Failed;
use crate::exit::USAGE;
use crate::input_file;
use crate::output::Shown;

/// What to ask a gateway about policies.
#[derive(Debug, Subcommand)]
pub(crate) enum OnlineCommand {
    /// Upload a module. The gateway verifies it and runs its own test cases first.
    #[command(override_usage = "leasehold policy upload [OPTIONS] [POLICY@VERSION] <FILE>")]
    Upload {
        /// The component, a .wasm file. POLICY@VERSION before it must be what the module's manifest
        /// says; without it the manifest is read here, which compiles the module.
        #[arg(value_name = "FILE", required = true, num_args = 1..=2)]
        module: Vec<String>,
    },
    /// Delete a version that no binding names and under which no lease is held.
    Delete {
        /// POLICY@VERSION
        policy: String,
    },
    /// Bind policies, or replace a binding, from a JSON file (- for standard input).
    Bind {
        /// The binding's name.
        name: String,
        /// The file: namespaces, locks, operations, order, policies.
        file: PathBuf,
    },
    /// Delete a binding.
    Unbind {
        /// The binding's name.
        name: String,
    },
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

/// Asks the gateway.
pub(super) fn run(command: OnlineCommand, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    block_on(perform(&client, command, connection.json))
}

async fn perform(client: &Client, command: OnlineCommand, json: bool) -> Result<Shown, Failed> {
    match command {
        OnlineCommand::Upload { module } => upload(client, &module, json).await,
        OnlineCommand::Delete { policy } => delete(client, &policy, json).await,
        OnlineCommand::Bind { name, file } => {
            let request: wire::BindingRequest = input_file::json(&file)?;
            let path = paths::member(paths::BINDINGS, &name);
            let bound: wire::Binding = client.put(&path, &request).await?;
            Shown::of(json, &bound, show_bound)
        }
        OnlineCommand::Unbind { name } => {
            let path = paths::member(paths::BINDINGS, &name);
            let gone: wire::Binding = client.delete(&path).await?;
            Shown::of(json, &gone, |gone| {
                Shown::Fields(vec![("unbound", gone.name.clone())])
            })
        }
        OnlineCommand::List => {
            let list: PolicyList = client.get(paths::POLICIES).await?;
            Shown::of(json, &list, |list| {
                let row = |v: &PolicyVersion| {
                    vec![
                        v.policy.clone(),
                        v.version.clone(),
                        v.operations.join(","),
                        v.digest.clone(),
                    ]
                };
                let headings = vec!["POLICY", "VERSION", "JUDGES", "DIGEST"];
                Shown::Table(headings, list.policies.iter().map(row).collect())
            })
        }
        OnlineCommand::Show { policy } => {
            let (name, version) = split_version(&policy)?;
            let path = paths::policy_version(name, version);
            let shown: PolicyVersion = client.get(&path).await?;
            Shown::of(json, &shown, show_version)
        }
        OnlineCommand::Bindings => {
            let list: wire::BindingList = client.get(paths::BINDINGS).await?;
            Shown::of(json, &list, |list| {
                Shown::Table(HEADINGS.to_vec(), list.bindings.iter().map(row).collect())
            })
        }
    }
}

async fn upload(client: &Client, module: &[String], json: bool) -> Result<Shown, Failed> {
    let (named, file) = match module {
        [file] => (None, file),
        [policy, file, ..] => (Some(split_version(policy)?), file),
        [] => return Err(Failed::new(USAGE, "no module: name a .wasm file")),
    };
    let file = Path::new(file);
    let wasm = input_file::read(file)?;
    let path = match named {
        Some((name, version)) => paths::policy_version(name, version),
        None => {
            let module = modules::compile(&wasm, file)?;
            let manifest = module.manifest();
            paths::policy_version(&manifest.name, &manifest.version)
        }
    };
    let stored: PolicyVersion = client.upload(&path, wasm).await?;
    Shown::of(json, &stored, |stored| {
        Shown::Fields(vec![
            ("policy", format!("{}@{}", stored.policy, stored.version)),
            ("digest", stored.digest.clone()),
            ("evaluates", stored.operations.join(", ")),
        ])
    })
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

/// A version, and how it failed.
fn show_version(version: &PolicyVersion) -> Shown {
    let mut fields = vec![
        ("policy", format!("{}@{}", version.policy, version.version)),
        ("digest", version.digest.clone()),
        ("evaluates", version.operations.join(", ")),
        (
            "uploaded",
            format!("{} by {}", version.uploaded_at, version.uploaded_by),
        ),
    ];
    for failure in &version.failures {
        let told = format!(
            "{} {}: {} [{} {}, binding {}, {}, decision {}]",
            failure.at,
            failure.kind,
            failure.detail,
            failure.operation,
            failure.lock,
            failure.binding,
            failure.enforcement,
            failure.decision_id
        );
        fields.push(("failed", told));
    }
    Shown::Fields(fields)
}

const HEADINGS: [&str; 6] = [
    "BINDING",
    "ORDER",
    "NAMESPACES",
    "LOCKS",
    "OPERATIONS",
    "POLICIES",
];

fn row(binding: &wire::Binding) -> Vec<String> {
    let policies = binding
        .policies
        .iter()
        .map(|p| format!("{}@{}", p.policy, p.version));
    vec![
        binding.name.clone(),
        binding.order.to_string(),
        binding.namespaces.join(","),
        binding.locks.join(","),
        binding.operations.join(","),
        policies.collect::<Vec<_>>().join(","),
    ]
}

/// A binding that was written: what it judges, and what judges otherwise than before.
fn show_bound(bound: &wire::Binding) -> Shown {
    let cells = HEADINGS_OF_BOUND.into_iter().zip(row(bound));
    let mut fields: Vec<_> = cells.collect();
    fields.push(("evaluates", bound.evaluated_operations.join(",")));
    for change in &bound.changes {
        let versions = |versions: &[String]| match versions {
            [] => "not bound".to_owned(),
            some => some.join(" and "),
        };
        let mut told = format!(
            "{}, {} before, {} now",
            change.policy,
            versions(&change.from),
            versions(&change.to)
        );
        for (what, names) in [
            ("newly evaluates", &change.newly_evaluated),
            ("no longer evaluates", &change.no_longer_evaluated),
        ] {
            if !names.is_empty() {
                told += &format!("; {what} {}", names.join(", "));
            }
        }
        fields.push(("changed", told));
    }
    if !bound.undeclared_roles.is_empty() {
        let names = bound.undeclared_roles.join(", ");
        let told = format!("{names}: not in authentication.jwt.roles; check the spelling");
        fields.push(("undeclared roles", told));
    }
    Shown::Fields(fields)
}

const HEADINGS_OF_BOUND: [&str; 6] = [
    "binding",
    "order",
    "namespaces",
    "locks",
    "operations",
    "policies",
];
