//! Incidents: recorded times in safe mode, times in which the clocks of gateways differed, and
//! decisions that were not reproduced.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of incidents, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncidentList {
    /// The gateway that was asked, by the name that it has as `noticed_by`. It knows the incidents
    /// that it has noticed itself, and no others: ask each gateway, or the ledger.
    pub gateway: String,
    /// The incidents that this gateway has noticed.
    pub incidents: Vec<IncidentView>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A time in which a store was in safe mode, in which clocks differed, or since which decisions are known
/// that were not reproduced, as one gateway saw it. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncidentView {
    /// Its name.
    pub id: String,
    /// Which store.
    pub store: String,
    /// Whether it lasts.
    pub open: bool,
    /// Which gateway noticed.
    pub noticed_by: String,
    /// When it started.
    pub started_at: String,
    /// For how long nothing had proved by then that the store agrees.
    pub window_ms: u64,
    /// The last command that was carried out before; absent if there was none since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<LastSuccessView>,
    /// How many requests were refused.
    pub refused_requests: u64,
    /// How many tries failed, from the last success on.
    pub failed_attempts: u64,
    /// The last error, in few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The clock that it is about: that of another gateway, which is ahead of this one's. Absent if it
    /// is about something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockView>,
    /// The recorded verdict that it is about, which a new evaluation did not reproduce. Absent if it is
    /// about something else. Such an incident lasts until it is acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_reproduced: Option<NotReproducedView>,
    /// The refusal of a witness that it is about. Absent if it is about something else. Such an incident
    /// lasts until it is acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<WitnessRefusalView>,
    /// When and how it ended; absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndedView>,
    /// Who has acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<AcknowledgedView>,
    /// Whether the ledger tells all that has happened of it; it follows as soon as the store works.
    pub recorded: bool,
}

/// The wall clock of another gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockView {
    /// Which gateway's.
    pub gateway: String,
    /// By how much it is ahead at the least; the most that was noticed.
    pub ahead_ms: u64,
}

/// A recorded verdict that the same module gave differently when it was evaluated again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotReproducedView {
    /// Which policy.
    pub policy: String,
    /// Which version.
    pub version: String,
    /// Id of the decision with the first such verdict.
    pub decision_id: String,
    /// The recorded answer, in words, with the fuel that it needed.
    pub recorded: String,
    /// The answer of the new evaluation, in words, with the fuel that it needed.
    pub evaluated: String,
    /// How many verdicts of the version were not reproduced.
    pub verdicts: u64,
}

/// A witness that did not cosign a checkpoint of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WitnessRefusalView {
    /// Which witness.
    pub witness: String,
    /// What it said first.
    pub answer: String,
    /// How many events the checkpoint was of.
    pub size: u64,
    /// The root of the checkpoint, in hexadecimal digits.
    pub root: String,
    /// How often it has refused.
    pub refusals: u64,
}

/// A command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastSuccessView {
    /// When.
    pub at: String,
    /// Which operation.
    pub operation: String,
}

/// The end of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndedView {
    /// When.
    pub at: String,
    /// `recovery`, or `acknowledgement` if the store needed one besides working again.
    pub by: String,
}

/// An operator has seen it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcknowledgedView {
    /// When.
    pub at: String,
    /// Who.
    pub by: String,
    /// What they had to say.
    pub note: String,
}

/// Acknowledge an incident.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeRequest {
    /// What there is to say of it.
    #[serde(default)]
    pub note: String,
}
