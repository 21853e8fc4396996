//! `leasehold policy resolve`.

use clap::Args;
use leasehold_wire::v1::bindings as wire;
use leasehold_wire::v1::paths;

use crate::connection::Connection;
use crate::connection::block_on;
use crate::exit::Failed;
use crate::output::Shown;

#[derive(Debug, Args)]
pub(crate) struct ResolveArguments {
    /// NAMESPACE/LOCK
    lock: String,
    /// acquire, renew, transfer or revoke.
    #[arg(long, default_value = "acquire")]
    operation: String,
    /// The subject of the request; absent: that of the key.
    #[arg(long)]
    subject: Option<String>,
    /// Of which team.
    #[arg(long)]
    team: Option<String>,
}

const HEADINGS: [&str; 7] = [
    "ORDER",
    "BINDING",
    "POLICY",
    "ENFORCEMENT",
    "ROLLOUT",
    "PROBLEM",
    "WARNING",
];

/// Asks which policies would judge a request.
pub(super) fn run(arguments: &ResolveArguments, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    let mut path = format!(
        "{}?lock={}&evaluated_operation={}",
        paths::BINDINGS_RESOLVE,
        paths::encode(&arguments.lock),
        paths::encode(&arguments.operation)
    );
    for (name, value) in [("subject", &arguments.subject), ("team", &arguments.team)] {
        if let Some(value) = value {
            path += &format!("&{name}={}", paths::encode(value));
        }
    }
    let found: wire::Resolution = block_on(async { Ok(client.get(&path).await?) })?;
    Shown::of(connection.json, &found, show)
}

fn show(found: &wire::Resolution) -> Shown {
    let mut rows: Vec<Vec<String>> = found.policies.iter().map(row).collect();
    if found.denied_unbound {
        let mut row = vec![String::new(); HEADINGS.len()];
        "none decides: denied (no_policy_bound)".clone_into(&mut row[5]);
        rows.push(row);
    }
    Shown::Table(HEADINGS.to_vec(), rows)
}

fn row(policy: &wire::ResolvedPolicy) -> Vec<String> {
    let rollout = policy.rollout.as_ref().map(|name| {
        let stage = policy.stage.as_deref().unwrap_or_default();
        let variant = policy.variant.as_deref().unwrap_or_default();
        let bucket = policy.bucket;
        let bucket = bucket.map_or_else(String::new, |bucket| format!(", bucket {bucket}"));
        let narrowed = policy.flag_share.map_or_else(String::new, |share| {
            format!(", narrowed to buckets below {share} by a flag")
        });
        format!("{name}: {stage}, {variant}{bucket}{narrowed}")
    });
    vec![
        policy.order.to_string(),
        policy.binding.clone(),
        format!("{}@{}", policy.policy, policy.version),
        policy.enforcement.clone(),
        rollout.unwrap_or_default(),
        policy.problem.clone().unwrap_or_default(),
        policy.warnings.join("; "),
    ]
}
