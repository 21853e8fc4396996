//! How one node is set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use leasehold_backend_api::Levels;

use crate::PeerSecurity;

/// How one node is set up. The defaults are for one node that is its own group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftConfig {
    /// The node's folder; made if absent, and used by one process at a time.
    pub data_dir: PathBuf,
    /// The group's name. A folder belongs to one group for ever.
    pub cluster_id: String,
    /// How often the leader looks at its clock. Time moves by at most two of these in one look.
    pub tick: Duration,
    /// Log bytes after which a snapshot is taken, and the log before it purged.
    pub snapshot_bytes: u64,
    /// Commands after which a snapshot is taken, whatever their size.
    pub snapshot_commands: u64,
    /// Commands in one log entry at most.
    pub batch_commands_max: usize,
    /// Requests that may wait for the log; one more is refused as overloaded.
    pub queue_max: usize,
    /// How long a request waits for a leader, and for the group to agree.
    pub agree_within: Duration,
    /// How the nodes of the group reach each other; none for a group of one.
    pub peers: Option<PeersConfig>,
    /// Of which feature levels it applies entries.
    pub levels: Levels,
    /// Whether a folder that has no store gets a new one. Where the node has peers, a folder
    /// without a store may be one that was lost: a new store would grant what the group holds.
    pub may_create: bool,
}

/// How the nodes of a group reach each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeersConfig {
    /// Where this node listens to its peers; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where its peers find it, `host:port`; none for where it listens.
    pub advertise: Option<String>,
    /// How peers know each other.
    pub security: PeerSecurity,
    /// A node whose folder has no store waits until a group takes it in, whatever
    /// [`RaftConfig::may_create`] says.
    pub join: bool,
}

impl RaftConfig {
    /// One node in `data_dir`.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            cluster_id: "leasehold".to_owned(),
            tick: Duration::from_millis(100),
            snapshot_bytes: 64 * 1_024 * 1_024,
            snapshot_commands: 200_000,
            batch_commands_max: 1_000,
            queue_max: 16_384,
            agree_within: Duration::from_secs(5),
            peers: None,
            levels: Levels::of_build(),
            may_create: true,
        }
    }
}
