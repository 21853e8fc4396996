//! How one node is set up.

use std::path::PathBuf;
use std::time::Duration;

/// How one node is set up. The defaults are for one node that is its own group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftConfig {
    /// The node's folder; made if absent, and used by one process at a time.
    pub data_dir: PathBuf,
    /// The node's number in its group. A folder belongs to one node for ever.
    pub node_id: u64,
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
}

impl RaftConfig {
    /// One node in `data_dir`.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            node_id: 1,
            cluster_id: "leasehold".to_owned(),
            tick: Duration::from_millis(100),
            snapshot_bytes: 64 * 1_024 * 1_024,
            snapshot_commands: 200_000,
            batch_commands_max: 1_000,
            queue_max: 16_384,
        }
    }
}
