//! The transitions inside an event.

use std::sync::Arc;

use leasehold_domain as domain;
use leasehold_domain::EndCause;
use leasehold_domain::FencingToken;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;
use serde::Deserialize;

use super::ParseError;
use super::RawOwner;
use super::RawSettings;
use super::Text;
use super::drain_cause;
use super::mode;
use super::need;
use super::text;

/// All members that a transition of any type can have; flat, as the event is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTransition<'b> {
    #[serde(borrow, rename = "type")]
    kind: Text<'b>,
    handle: Option<Text<'b>>,
    owner: Option<RawOwner<'b>>,
    mode: Option<Text<'b>>,
    permits: Option<u32>,
    position: Option<u32>,
    token: Option<u64>,
    ttl_ms: Option<u64>,
    waited_ms: Option<u64>,
    request_id: Option<Text<'b>>,
    remaining_ms: Option<u64>,
    revoked_by: Option<Text<'b>>,
    transfer_to: Option<Text<'b>>,
    cause: Option<Text<'b>>,
    since_unix_ms: Option<u64>,
    held_ms: Option<u64>,
    late_ms: Option<u64>,
    renewals: Option<u64>,
    first_renewal_unix_ms: Option<u64>,
    last_renewal_unix_ms: Option<u64>,
    expired: Option<bool>,
    refused: Option<RawCounterFull>,
    to: Option<Text<'b>>,
    settings: Option<RawSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCounterFull {
    policy: Arc<str>,
    counter: Arc<str>,
    maximum: u32,
    present: u32,
    code: Option<Box<str>>,
}

impl RawCounterFull {
    fn counter_full(self) -> domain::CounterFull {
        domain::CounterFull {
            key: domain::CounterKey {
                policy: self.policy,
                name: self.counter,
            },
            maximum: self.maximum,
            present: self.present,
            code: self.code,
        }
    }
}

impl RawTransition<'_> {
    pub(super) fn transition(self) -> Result<Transition, ParseError> {
        match &*self.kind {
            "granted" => self.granted(),
            "queued" => self.queued(),
            "renewed" => self.renewed(),
            "draining" => self.draining(),
            "ended" => self.ended(),
            "wait-ended" => self.wait_ended(),
            "cooling-down" => Ok(Transition::CoolingDown {
                remaining_ms: need(self.remaining_ms, "remaining_ms")?,
            }),
            "reserved" => Ok(Transition::Reserved {
                to: text(&need(self.to, "to")?)?,
                remaining_ms: need(self.remaining_ms, "remaining_ms")?,
            }),
            "configured" => Ok(Transition::Configured {
                settings: need(self.settings, "settings")?.settings(),
            }),
            other => Err(ParseError(format!("transition {other:?}"))),
        }
    }

    fn granted(self) -> Result<Transition, ParseError> {
        Ok(Transition::Granted {
            handle: text(&need(self.handle, "handle")?)?,
            owner: need(self.owner, "owner")?.owner()?,
            mode: mode(&need(self.mode, "mode")?, self.permits)?,
            token: FencingToken(need(self.token, "token")?),
            ttl_ms: need(self.ttl_ms, "ttl_ms")?,
            waited_ms: self.waited_ms,
            request_id: text(&need(self.request_id, "request_id")?)?,
        })
    }

    fn queued(self) -> Result<Transition, ParseError> {
        Ok(Transition::Queued {
            handle: text(&need(self.handle, "handle")?)?,
            owner: need(self.owner, "owner")?.owner()?,
            mode: mode(&need(self.mode, "mode")?, self.permits)?,
            position: need(self.position, "position")?,
        })
    }

    fn renewed(self) -> Result<Transition, ParseError> {
        Ok(Transition::Renewed {
            handle: text(&need(self.handle, "handle")?)?,
            token: FencingToken(need(self.token, "token")?),
            ttl_ms: need(self.ttl_ms, "ttl_ms")?,
        })
    }

    fn draining(self) -> Result<Transition, ParseError> {
        Ok(Transition::Draining {
            handle: text(&need(self.handle, "handle")?)?,
            owner: need(self.owner, "owner")?.owner()?,
            remaining_ms: need(self.remaining_ms, "remaining_ms")?,
            cause: drain_cause(self.revoked_by.as_ref(), self.transfer_to.as_ref())?,
        })
    }

    fn ended(self) -> Result<Transition, ParseError> {
        Ok(Transition::Ended {
            handle: text(&need(self.handle, "handle")?)?,
            owner: need(self.owner, "owner")?.owner()?,
            mode: mode(&need(self.mode, "mode")?, self.permits)?,
            token: FencingToken(need(self.token, "token")?),
            cause: end_cause(&need(self.cause, "cause")?)?,
            since: WallMillis(need(self.since_unix_ms, "since_unix_ms")?),
            held_ms: need(self.held_ms, "held_ms")?,
            late_ms: need(self.late_ms, "late_ms")?,
            renewals: domain::Renewals {
                count: need(self.renewals, "renewals")?,
                first: WallMillis(need(self.first_renewal_unix_ms, "first_renewal_unix_ms")?),
                last: WallMillis(need(self.last_renewal_unix_ms, "last_renewal_unix_ms")?),
            },
        })
    }

    fn wait_ended(self) -> Result<Transition, ParseError> {
        Ok(Transition::WaitEnded {
            handle: text(&need(self.handle, "handle")?)?,
            owner: need(self.owner, "owner")?.owner()?,
            expired: need(self.expired, "expired")?,
            refused: self.refused.map(|raw| Box::new(raw.counter_full())),
        })
    }
}

fn end_cause(name: &str) -> Result<EndCause, ParseError> {
    [
        EndCause::Released,
        EndCause::Expired,
        EndCause::HeldTooLong,
        EndCause::Revoked,
        EndCause::Transferred,
        EndCause::GivenBack,
        EndCause::Unknown,
        EndCause::Moved,
    ]
    .into_iter()
    .find(|known| known.as_str() == name)
    .ok_or_else(|| ParseError(format!("end {name:?}")))
}
