//! Server-Sent Events of a watch. The event's `id` is its cursor; send it as `Last-Event-ID` to
//! resume. An event named `resync` says that events were missed: read the locks again.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// One transition of a lock. The SSE event has its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchEvent {
    /// The place of the write that made it.
    pub cursor: u64,
    /// When, RFC 3339, for people.
    pub time: String,
    /// Its namespace.
    pub namespace: String,
    /// Which lock.
    pub lock: String,
    /// `granted`, `queued`, `renewed`, `draining`, `released`, `expired`, `revoked`…
    pub transition: String,
    /// The public handle of the lease or waiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Of which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The lease's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u64>,
    /// How long a drain, a cooldown or a reservation lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_ms: Option<u64>,
}
