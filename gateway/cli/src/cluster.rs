//! `leasehold cluster …`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use leasehold_client::Client;
use leasehold_core::config::Config;
use leasehold_core::config::Overrides;
use leasehold_core::config::StorageBackend;
use leasehold_core::embedded;
use leasehold_wire::v1::cluster as wire;
use leasehold_wire::v1::paths;
use serde_json::json;

use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::exit::UNAVAILABLE;
use super::exit::USAGE;
use super::output::Shown;

/// What to do with the cluster. Any member can be asked.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Create an empty store for the first gateway of a new cluster, before its first start. No
    /// gateway is asked.
    Create(CreateArguments),
    /// Make the gateway that is asked, alone until now, the first member.
    Init,
    /// Take in a gateway that waits (`cluster.join = true` in its configuration).
    Join {
        /// host:port of its peers' listener.
        address: String,
    },
    /// Let a member go. It never comes back under its number.
    Leave {
        /// Its number.
        node: u64,
    },
    /// Show the members, and who leads.
    Status,
    /// Let another member lead.
    TransferLeader {
        /// Its number; without it, the one that is furthest.
        node: Option<u64>,
    },
    /// Raise the cluster's feature level, once all members run builds that support the new one. Builds
    /// that do not support it can never be members again.
    RaiseLevel {
        /// The level; without it, the highest that the leader's build supports.
        level: Option<u16>,
    },
    /// Put a gateway that waits in the place of a member, in one step.
    Replace {
        /// The number of the member that leaves.
        node: u64,
        /// host:port of the waiting gateway's peers' listener.
        address: String,
    },
}

/// Which gateway's store to create.
#[derive(Debug, Args)]
pub(super) struct CreateArguments {
    /// The gateway's configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where locks and ledger will be kept, if the file does not say it.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// Does it.
pub(super) fn run(command: ClusterCommand, connection: Connection) -> Result<Shown, Failed> {
    if let ClusterCommand::Create(arguments) = command {
        return create(arguments, connection.json);
    }
    let client = connection.client()?;
    block_on(ask(&client, command, connection.json))
}

fn create(arguments: CreateArguments, json: bool) -> Result<Shown, Failed> {
    let overrides = Overrides {
        data_dir: arguments.data_dir,
        ..Overrides::default()
    };
    let config = Config::load(arguments.config.as_deref(), overrides)
        .map_err(|error| Failed::new(USAGE, error.to_string()))?;
    if config.storage.backend != StorageBackend::Raft {
        let problem = "storage.backend: only the embedded store (\"raft\") is created by command";
        return Err(Failed::new(USAGE, problem));
    }
    let data_dir = &config.storage.data_dir;
    let group = embedded::create(data_dir).map_err(|problem| Failed::new(UNAVAILABLE, problem))?;
    let answer = json!({ "data_dir": data_dir, "group": group });
    Shown::of(json, &answer, |_| {
        Shown::Fields(vec![
            ("data_dir", data_dir.display().to_string()),
            ("group", group.clone()),
        ])
    })
}

async fn ask(client: &Client, command: ClusterCommand, json: bool) -> Result<Shown, Failed> {
    let status: wire::ClusterStatus = match command {
        ClusterCommand::Create(arguments) => return create(arguments, json),
        ClusterCommand::Status => client.get(paths::CLUSTER).await?,
        ClusterCommand::Init => client.post(paths::CLUSTER_INIT, &()).await?,
        ClusterCommand::Join { address } => {
            let request = wire::JoinRequest { address };
            client.post(paths::CLUSTER_JOIN, &request).await?
        }
        ClusterCommand::Leave { node } => {
            let request = wire::LeaveRequest { node };
            client.post(paths::CLUSTER_LEAVE, &request).await?
        }
        ClusterCommand::TransferLeader { node } => {
            let request = wire::TransferLeaderRequest { to: node };
            client
                .post(paths::CLUSTER_TRANSFER_LEADER, &request)
                .await?
        }
        ClusterCommand::RaiseLevel { level } => {
            let request = wire::RaiseLevelRequest { to: level };
            client.post(paths::CLUSTER_RAISE_LEVEL, &request).await?
        }
        ClusterCommand::Replace { node, address } => {
            let request = wire::ReplaceRequest { node, address };
            client.post(paths::CLUSTER_REPLACE, &request).await?
        }
    };
    Shown::of(json, &status, |status| {
        let headings = vec!["NODE", "ADDRESS", "ROLE", "LEADS", "ENTRIES", "LEVEL"];
        let row = |member: &wire::ClusterMember| {
            let leads = match status.leader == Some(member.node) {
                true => "yes",
                false => "",
            };
            let entries = member.replicated.map(|entries| entries.to_string());
            vec![
                member.node.to_string(),
                member.address.clone(),
                member.role.clone(),
                leads.to_owned(),
                entries.unwrap_or_default(),
                match member.feature_level_max == status.feature_level {
                    true => status.feature_level.to_string(),
                    false => format!(
                        "{}, supports {}",
                        status.feature_level, member.feature_level_max
                    ),
                },
            ]
        };
        Shown::Table(headings, status.members.iter().map(row).collect())
    })
}
