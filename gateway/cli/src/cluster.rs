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
    /// Show the members and who leads, or the gateways that share the store; and the feature level.
    Status {
        #[command(flatten)]
        of: StoreArgument,
    },
    /// Let another member lead.
    TransferLeader {
        /// Its number; without it, the one that is furthest.
        node: Option<u64>,
    },
    /// Raise the feature level of a store, once all members, or all gateways that share it, run builds
    /// that support the new one. Builds that do not support it can never use the store again.
    RaiseLevel {
        /// The level; without it, the highest that the build of the leader supports, or of the gateway
        /// that is asked if the store is shared.
        level: Option<u16>,
        #[command(flatten)]
        of: StoreArgument,
    },
    /// Forget a gateway that shared a store and does not come back, so that it does not count when the
    /// feature level is raised.
    ForgetGateway {
        /// Its id, as `cluster status` shows it.
        gateway: String,
        #[command(flatten)]
        of: StoreArgument,
    },
    /// Put a gateway that waits in the place of a member, in one step.
    Replace {
        /// The number of the member that leaves.
        node: u64,
        /// host:port of the waiting gateway's peers' listener.
        address: String,
    },
}

/// Which store of the gateway is meant.
#[derive(Debug, Args)]
pub(super) struct StoreArgument {
    /// A store besides the default one: each has a feature level of its own.
    #[arg(long)]
    store: Option<String>,
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
        ClusterCommand::Status { of } => {
            let query = of
                .store
                .map(|store| format!("?store={}", paths::encode(&store)));
            let path = format!("{}{}", paths::CLUSTER, query.unwrap_or_default());
            client.get(&path).await?
        }
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
        ClusterCommand::RaiseLevel { level, of } => {
            let request = wire::RaiseLevelRequest {
                to: level,
                store: of.store,
            };
            client.post(paths::CLUSTER_RAISE_LEVEL, &request).await?
        }
        ClusterCommand::ForgetGateway { gateway, of } => {
            let request = wire::ForgetGatewayRequest {
                gateway,
                store: of.store,
            };
            client.post(paths::CLUSTER_FORGET_GATEWAY, &request).await?
        }
        ClusterCommand::Replace { node, address } => {
            let request = wire::ReplaceRequest { node, address };
            client.post(paths::CLUSTER_REPLACE, &request).await?
        }
    };
    Shown::of(json, &status, |status| match status.node {
        Some(_) => members(status),
        None => gateways(status),
    })
}

/// The members of the embedded store.
fn members(status: &wire::ClusterStatus) -> Shown {
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
            level(status, member.feature_level_max),
        ]
    };
    Shown::Table(headings, status.members.iter().map(row).collect())
}

/// The gateways that share a store.
fn gateways(status: &wire::ClusterStatus) -> Shown {
    let headings = vec!["GATEWAY", "NAME", "BUILD", "LAST SEEN", "ANSWERS", "LEVEL"];
    let row = |gateway: &wire::ClusterGateway| {
        let answers = match gateway.answers {
            true => "yes",
            false => "",
        };
        vec![
            gateway.id.clone(),
            gateway.name.clone(),
            gateway.build.clone(),
            gateway.last_seen_at.clone(),
            answers.to_owned(),
            level(status, gateway.feature_level_max),
        ]
    };
    Shown::Table(headings, status.gateways.iter().map(row).collect())
}

/// The feature level of the store, and the highest that a build supports if that differs.
fn level(status: &wire::ClusterStatus, supported: u16) -> String {
    match supported == status.feature_level {
        true => status.feature_level.to_string(),
        false => format!("{}, supports {supported}", status.feature_level),
    }
}
