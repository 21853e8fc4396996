//! The cluster: its members, and changes of it.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Take in the gateway that waits at this address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// `host:port` of its peers' listener.
    pub address: String,
}

/// Let a member go, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaveRequest {
    /// Its number.
    pub node: u64,
}

/// Put a waiting gateway in the place of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceRequest {
    /// The number of the member that leaves.
    pub node: u64,
    /// `host:port` of the waiting gateway's peers' listener.
    pub address: String,
}

/// Let another member lead.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferLeaderRequest {
    /// Its number; none for the one that is furthest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// Raise the feature level: builds that do not support it can never be members again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RaiseLevelRequest {
    /// To which level; none for the highest that the leader's build supports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u16>,
}

/// The cluster as one gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterStatus {
    /// The cluster's own random name; none for a gateway that is alone, or waits to be taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The gateway that tells.
    pub node: u64,
    /// Who leads, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<u64>,
    /// The term.
    pub term: u64,
    /// The last log entry that this gateway has applied.
    pub applied: u64,
    /// The feature level by whose rules the cluster writes. It is raised by command, and never falls.
    pub feature_level: u16,
    /// The members, by number.
    pub members: Vec<ClusterMember>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterMember {
    /// Its number.
    pub node: u64,
    /// Where its peers find it; empty for a gateway without a peers' listener.
    pub address: String,
    /// `voter`, or `learner`: it follows, and does not vote.
    pub role: String,
    /// The highest feature level that its build supports.
    pub feature_level_max: u16,
    /// The last log entry that it has; only the leader knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicated: Option<u64>,
}
