//! `leasehold cluster …`.

use clap::Subcommand;
use leasehold_client::Client;
use leasehold_wire::v1::cluster as wire;
use leasehold_wire::v1::paths;

use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::output::Shown;

/// What to do with the cluster. Any member can be asked.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
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
    /// Put a gateway that waits in the place of a member, in one step.
    Replace {
        /// The number of the member that leaves.
        node: u64,
        /// host:port of the waiting gateway's peers' listener.
        address: String,
    },
}

/// Does it.
pub(super) fn run(command: ClusterCommand, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    block_on(ask(&client, command, connection.json))
}

async fn ask(client: &Client, command: ClusterCommand, json: bool) -> Result<Shown, Failed> {
    let status: wire::ClusterStatus = match command {
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
        ClusterCommand::Replace { node, address } => {
            let request = wire::ReplaceRequest { node, address };
            client.post(paths::CLUSTER_REPLACE, &request).await?
        }
    };
    Shown::of(json, &status, |status| {
        let headings = vec!["NODE", "ADDRESS", "ROLE", "LEADS", "ENTRIES"];
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
            ]
        };
        Shown::Table(headings, status.members.iter().map(row).collect())
    })
}
