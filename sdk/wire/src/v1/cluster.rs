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

/// Raise the feature level of a store: builds that do not support it can never use the store again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RaiseLevelRequest {
    /// To which level; none for the highest that the build of the leader supports, or of the gateway
    /// that is asked if the store is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u16>,
    /// Which store of the gateway; none for the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// Forget a gateway that shared a store and does not come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetGatewayRequest {
    /// Its id.
    pub gateway: String,
    /// Which store of the gateway that is asked; none for the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// Those who write to one store, as one gateway sees them: the members of the embedded store, or the
/// gateways that share a database or an etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterStatus {
    /// The name of the store.
    pub store: String,
    /// The embedded cluster's own random name; none for a gateway that is alone, or waits to be taken
    /// in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The member that tells; none if the store is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// Who leads, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<u64>,
    /// The term; none if the store is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// The last log entry that this gateway has applied; none if the store is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// The feature level by whose rules the store is written. It is raised by command, and never falls.
    pub feature_level: u16,
    /// The members of the embedded store, by number; empty if the store is shared.
    pub members: Vec<ClusterMember>,
    /// The gateways that are registered with a shared store, by id, those that are down included; empty
    /// for the embedded store.
    #[serde(default)]
    pub gateways: Vec<ClusterGateway>,
}

/// One gateway that shares a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterGateway {
    /// Its random id, which its data directory keeps.
    pub id: String,
    /// What it is called: `safe_mode.gateway` of its configuration, or the name of its host.
    pub name: String,
    /// Its `consumer` in the configuration of the store.
    pub consumer: String,
    /// The version of its build.
    pub build: String,
    /// The lowest feature level that its build supports.
    pub feature_level_min: u16,
    /// The highest.
    pub feature_level_max: u16,
    /// When it last said that it is there, by its own clock; it does so once a minute.
    pub last_seen_at: String,
    /// Whether it is the one that answers.
    pub answers: bool,
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
