//! The ledger.

use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A page of events.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// The events.
    pub events: Vec<LedgerEvent>,
    /// One ledger was asked: it holds every event up to this cursor, and within it the page is
    /// complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_to: Option<u64>,
    /// One ledger was asked: give this as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<u64>,
    /// The ledgers that were asked.
    pub ledgers: Vec<LedgerPart>,
    /// Several ledgers were asked: give this as `cursors` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursors: Option<String>,
    /// Stores whose ledgers should have been asked and are not open: the page lacks their events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// One ledger of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerPart {
    /// Of which store.
    pub store: String,
    /// It holds every event up to this cursor.
    pub complete_to: u64,
    /// A signed checkpoint of it, of at least these events: keep it, and later nobody can have
    /// answered from another history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// One event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LedgerEvent {
    /// The store whose ledger has it.
    pub store: String,
    /// Its place in that ledger; dense, from 1.
    pub cursor: u64,
    /// The hash chain after it.
    pub chain: String,
    /// Its canonical bytes exactly as they are hashed: one JSON object.
    #[schema(value_type = Object)]
    pub event: Box<RawValue>,
}

/// Who held a lock at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldersResponse {
    /// Which lock, `namespace/lock`.
    pub lock: String,
    /// Which moment, RFC 3339.
    pub at: String,
    /// The holds, in the order of their grants.
    pub holders: Vec<HoldView>,
    /// One ledger was asked: it holds every event up to this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_to: Option<u64>,
    /// The ledgers that were asked: of every store that has, or had, the namespace.
    pub ledgers: Vec<LedgerPart>,
    /// Stores whose ledgers should have been asked and are not open: the answer lacks their part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A hold that covered the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldView {
    /// The store in whose ledger the grant is.
    pub store: String,
    /// The lease's public handle.
    pub lease: String,
    /// Who.
    pub subject: String,
    /// Of which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// `exclusive` or `shared`.
    pub mode: String,
    /// Its token.
    pub fencing_token: u64,
    /// When it was granted, RFC 3339.
    pub from: String,
    /// When it ended, RFC 3339; absent if it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// The event that granted it.
    pub granted_by: u64,
    /// The request that asked for it.
    pub request_id: String,
    /// The rule under which it was held at the asked moment; absent if no decision is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleView>,
}

/// The rule under which a lease was held: of its acquire, or of the last renewal under another
/// rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleView {
    /// The rule's digest; absent for decisions that were recorded without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Since when the lease was held under it, RFC 3339.
    pub since: String,
    /// The event with the decision.
    pub decided_by: u64,
    /// The decision's id.
    pub decision_id: String,
    /// Whether a break-glass principal passed a denial.
    pub overridden: bool,
    /// The policies whose verdicts decided, in order.
    pub policies: Vec<RulePolicy>,
    /// Advisory policies that were asked, too, in order. Their verdicts decided nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<RulePolicy>,
    /// The longest time to live that they allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl_ms: Option<u64>,
    /// The longest hold that they allowed, renewals included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hold_ms: Option<u64>,
}

/// A policy that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RulePolicy {
    /// The binding by which it ran.
    pub binding: String,
    /// Which policy.
    pub policy: String,
    /// Which version.
    pub version: String,
    /// SHA-256 of the module.
    pub module: String,
    /// SHA-256 of its configuration.
    pub config: String,
    /// `mandatory` or `overridable`; `advisory` if it decided nothing.
    #[serde(default)]
    pub enforcement: String,
    /// `allow`, `deny` or `error`.
    pub answer: String,
    /// The rollout that chose this version for the request, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// The stage in which the rollout was, such as `shadow`, `canary` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Which of the rollout's versions this is, such as `current` or `candidate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The bucket of the request's lock, team or subject in the rollout: 0 to 99,999.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<u32>,
    /// The share of the canary in thousandths of a percent, if a flag has made it smaller than that of
    /// the step: buckets below it are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag_share: Option<u32>,
}

/// Whether the ledger is what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifyResponse {
    /// Of which store.
    pub store: String,
    /// Whether the hash chain fits every stored event, and the ledger continues what its store has
    /// forgotten.
    pub intact: bool,
    /// The first event that does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad_cursor: Option<u64>,
    /// Why the ledger is not the continuation of what its store has forgotten, with both positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The last event.
    pub cursor: u64,
    /// The hash chain after it: note it down elsewhere, and compare later.
    pub chain: String,
}

/// Whose checkpoints they are, and by what they are verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogKeyResponse {
    /// Of which store.
    pub store: String,
    /// The name of its log: the first line of each checkpoint.
    pub origin: String,
    /// The public keys that this gateway signs with, each as NAME+ID+KEY.
    pub keys: Vec<String>,
}
