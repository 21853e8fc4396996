//! The contract of a store that is a group of nodes: who is in it, and changes of it.

use std::fmt::Debug;

use async_trait::async_trait;
use leasehold_domain::FeatureLevel;
use serde::Deserialize;
use serde::Serialize;

use crate::BackendError;

/// A change of the group, asked by an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Steering {
    /// The one node of a group says where its peers find it, so that others can be taken in.
    Init,
    /// Takes in the node that waits at this address (`host:port` of its peers' listener).
    Join {
        /// Where it waits.
        address: String,
    },
    /// A member leaves for ever: its folder can never be used in this group again.
    Leave {
        /// Which.
        node: u64,
    },
    /// A waiting node takes the place of a member in one step.
    Replace {
        /// Which leaves.
        node: u64,
        /// Where the other waits.
        address: String,
    },
    /// Another member shall lead.
    TransferLeader {
        /// Which; none for the one that is furthest.
        to: Option<u64>,
    },
    /// Raises the feature level, by whose rules the group writes. Builds that do not support
    /// it can never be members again.
    RaiseLevel {
        /// Which; none for the highest that the leader's build supports.
        to: Option<FeatureLevel>,
    },
}

/// The group as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// The group's own random name; none for a node that waits to be taken in.
    pub group: Option<String>,
    /// The node that tells.
    pub node: u64,
    /// Who leads, if anybody does.
    pub leader: Option<u64>,
    /// The term.
    pub term: u64,
    /// The last entry that this node has applied.
    pub applied: u64,
    /// The members, by number.
    pub members: Vec<MemberView>,
    /// The feature level of the group.
    pub level: FeatureLevel,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Its number.
    pub node: u64,
    /// Where its peers find it; empty for a node that has no peers' listener.
    pub address: String,
    /// Whether it votes; a learner only follows.
    pub voter: bool,
    /// The last entry that it has, as far as the leader knows; only the leader knows.
    pub replicated: Option<u64>,
    /// The highest feature level that its build supports, as it has reported.
    pub supported_level: FeatureLevel,
}

/// A store that is a group of nodes.
#[async_trait]
pub trait Cluster: Debug + Send + Sync + 'static {
    /// The group as this node sees it. Answers at once, from what is known.
    fn cluster(&self) -> ClusterView;

    /// Changes the group. Whichever node is asked, the leader does it; it answers as the leader
    /// sees it afterwards. A change that was made already is no error.
    ///
    /// *Errors.* `Invalid` if the change can never be made, `Contended` if another is under way,
    /// `Deadline` with unknown effect if it goes on: ask again, or look.
    async fn steer(&self, asked: Steering) -> Result<ClusterView, BackendError>;
}
