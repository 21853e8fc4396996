//! An incident: a recorded time in safe mode. This is also the form in which the gateway keeps it.

use leasehold_domain::Principal;
use leasehold_domain::RequestId;
use leasehold_domain::WallMillis;
use serde::Deserialize;
use serde::Serialize;

/// A time in which a store was in safe mode, the clock of another gateway differed, recorded decisions
/// were not reproduced, or a witness refused the ledger's checkpoints, as one gateway saw it. Times are wall-clock times, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name; unique among all gateways, and in the order of time for one.
    pub id: String,
    /// Which store.
    pub store: String,
    /// Which gateway noticed.
    pub noticed_by: String,
    /// When safe mode began.
    pub began: WallMillis,
    /// For how long nothing had proved by then that the store agrees, milliseconds.
    pub window_ms: u64,
    /// The last command that was carried out before; none if there was none since the start.
    // As it is called in `incidents.json`.
    #[serde(rename = "last_good")]
    pub last_success: Option<LastGood>,
    /// How many requests were refused.
    pub refused: u64,
    /// How many tries failed, from the last success on.
    pub failed: u64,
    /// The last error, in few words, for operators.
    pub last_error: Option<String>,
    /// The clock that it is about; none if it is about something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockAhead>,
    /// The verdict that it is about; none if it is about something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_reproduced: Option<NotReproduced>,
    /// The refusal of a witness that it is about; none if it is about something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<WitnessRefusal>,
    /// When and how it ended; none while it lasts.
    pub ended: Option<Ended>,
    /// Who has acknowledged it.
    pub acknowledged: Option<Acknowledged>,
    /// What of it is in the audit ledger.
    pub recorded: Recorded,
}

/// The wall clock of another gateway, which was ahead of that of the gateway that noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockAhead {
    /// Which gateway's.
    pub gateway: String,
    /// By how much at the least, the most that was noticed.
    pub ahead_ms: u64,
}

/// A verdict in the ledger that the same module gave differently when it was evaluated again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReproduced {
    /// Which policy.
    pub policy: String,
    /// Which version.
    pub version: String,
    /// The decision with the first such verdict.
    pub decision: String,
    /// The recorded answer of that verdict, in words, with its fuel.
    pub recorded: String,
    /// The answer of the new evaluation, in words, with its fuel.
    pub evaluated: String,
    /// How many verdicts of the version were not reproduced.
    pub verdicts: u64,
}

/// A witness that did not cosign a checkpoint of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRefusal {
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastGood {
    /// When.
    pub at: WallMillis,
    /// Which operation.
    pub operation: String,
}

/// The end of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: WallMillis,
    /// What ended it, besides that the store works again.
    pub by: EndedBy,
}

/// What ended an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// Nothing else was needed.
    Recovery,
    /// An operator's acknowledgement.
    Acknowledgement,
}

impl EndedBy {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::Acknowledgement => "acknowledgement",
        }
    }
}

/// An operator has seen it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// When.
    pub at: WallMillis,
    /// Who.
    pub by: Principal,
    /// The request that said so.
    pub request_id: RequestId,
    /// What they had to say.
    pub note: String,
}

/// What of an incident is in the audit ledger, or in the store on its way there. What is not yet
/// follows as soon as the store takes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// That it began.
    pub began: bool,
    /// That it was acknowledged.
    pub acknowledged: bool,
    /// That it ended.
    pub ended: bool,
}

/// Draws the name of an incident: its time, so that names sort, and something that no other gateway
/// draws.
fn draw_id(wall: WallMillis) -> String {
    let time: String = crate::telemetry::rfc3339(wall)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    format!("{time}-{:08x}", rand::random::<u32>())
}

impl Incident {
    /// Creates an incident that begins now, which the named gateway noticed. The caller sets what it is
    /// about.
    pub(crate) fn open(store: &str, noticed_by: &str, now: WallMillis) -> Self {
        Self {
            id: draw_id(now),
            store: store.to_owned(),
            noticed_by: noticed_by.to_owned(),
            began: now,
            window_ms: 0,
            last_success: None,
            refused: 0,
            failed: 0,
            last_error: None,
            clock: None,
            not_reproduced: None,
            witness: None,
            ended: None,
            acknowledged: None,
            recorded: Recorded::default(),
        }
    }

    /// Whether it is about safe mode.
    #[must_use]
    pub fn is_safe_mode(&self) -> bool {
        self.clock.is_none() && self.not_reproduced.is_none() && self.witness.is_none()
    }

    /// Whether it lasts.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether the ledger lacks something of it that has happened.
    #[must_use]
    pub fn is_unrecorded(&self) -> bool {
        let Recorded {
            began,
            acknowledged,
            ended,
        } = self.recorded;
        !began || (self.acknowledged.is_some() && !acknowledged) || (self.ended.is_some() && !ended)
    }
}
