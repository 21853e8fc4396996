//! Server-Sent Events of a watch. Send an event's `id` as `Last-Event-ID` to resume after it: it is
//! its cursor and, after a dash, the store that the cursor is of; treat it as opaque. What the store
//! has forgotten is told from the ledger. An event named `resync` says that events were missed, and
//! why ([`Resync`]): read the locks again. If it has an `id`, the watch goes on there by itself.

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
    /// Who revoked or transferred the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The reason that they gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of an event named `resync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resync {
    /// `foreign`: the id is of another store. `unknown`: the store has not come that far.
    /// `trimmed`: neither store nor ledger has the events any more. `too-many`: there are more than
    /// are told again. `corrupt`: the store contradicts itself. `unavailable`: nothing was missed,
    /// but nothing can be read now; the watch ends, and may be asked for again with the last id.
    pub reason: String,
}
