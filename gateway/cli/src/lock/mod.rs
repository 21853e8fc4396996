//! `leasehold lock …`.

mod lease;
mod record;
mod watch;

use clap::Subcommand;
use leasehold_client::Client;
use leasehold_wire::v1::locks as wire;

use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::output::finish;

/// What to do with locks.
#[derive(Debug, Subcommand)]
pub(super) enum LockCommand {
    /// Take a lock; prints its lease id and fencing token.
    Acquire(lease::Acquire),
    /// Lengthen a lease.
    Renew(lease::Renew),
    /// Give a lease back.
    Release(lease::Release),
    /// Show a lock: holders, the policy versions under which they hold it, queue, cooldown.
    Get {
        /// NAMESPACE/LOCK
        lock: String,
    },
    /// List locks of a namespace, all of them.
    List(record::List),
    /// Set a lock's settings, whole: what is not given gets its default.
    Declare(record::Declare),
    /// Say whether a fencing token is the current one; exit 76 if no work may begin under it.
    Validate {
        /// NAMESPACE/LOCK
        lock: String,
        /// The token that a client showed.
        fencing_token: u64,
    },
    /// Show what happens, as it happens; goes on by itself when the connection breaks.
    Watch {
        /// NAMESPACE/LOCK, or NAMESPACE for all of its locks.
        lock: String,
    },
    /// End leases of others.
    Revoke(lease::Revoke),
    /// Hand a lease to a successor.
    Transfer(lease::Transfer),
}

pub(super) fn mode(shared: Option<u32>) -> wire::ModeName {
    shared.map_or(wire::ModeName::Exclusive, |_| wire::ModeName::Shared)
}

/// Does it, shows the answer, and answers the exit code.
pub(super) fn run(command: LockCommand, connection: Connection) -> Result<u8, Failed> {
    let client = connection.client()?;
    block_on(perform(&client, command, connection.json))
}

async fn perform(client: &Client, command: LockCommand, json: bool) -> Result<u8, Failed> {
    match command {
        LockCommand::Acquire(acquire) => finish(acquire.perform(client, json).await),
        LockCommand::Renew(renew) => finish(renew.perform(client, json).await),
        LockCommand::Release(release) => finish(release.perform(client, json).await),
        LockCommand::Get { lock } => finish(record::get(client, &lock, json).await),
        LockCommand::List(list) => finish(list.perform(client, json).await),
        LockCommand::Declare(declare) => finish(declare.perform(client, json).await),
        LockCommand::Validate {
            lock,
            fencing_token,
        } => record::validate(client, &lock, fencing_token, json).await,
        LockCommand::Watch { lock } => watch::follow(client, &lock, json).await,
        LockCommand::Revoke(revoke) => finish(revoke.perform(client, json).await),
        LockCommand::Transfer(transfer) => finish(transfer.perform(client, json).await),
    }
}
