//! The transitions inside an event.

use leasehold_domain as domain;
use leasehold_domain::EndCause;
use leasehold_domain::FencingToken;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;
use serde::Deserialize;

use super::ParseError;
use super::RawOwner;
use super::RawSettings;
use super::drain_cause;
use super::mode;
use super::text;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum RawTransition {
    Granted(Box<RawGranted>),
    Queued {
        handle: String,
        owner: RawOwner,
        mode: String,
        permits: Option<u32>,
        position: u32,
    },
    Renewed {
        handle: String,
        token: u64,
        ttl_ms: u64,
    },
    Draining {
        handle: String,
        owner: RawOwner,
        remaining_ms: u64,
        revoked_by: Option<String>,
        transfer_to: Option<String>,
    },
    Ended(Box<RawEnded>),
    WaitEnded {
        handle: String,
        owner: RawOwner,
        expired: bool,
    },
    CoolingDown {
        remaining_ms: u64,
    },
    Reserved {
        to: String,
        remaining_ms: u64,
    },
    Configured {
        settings: RawSettings,
    },
}

impl RawTransition {
    pub(super) fn transition(self) -> Result<Transition, ParseError> {
        Ok(match self {
            Self::Granted(granted) => granted.transition()?,
            Self::Queued {
                handle,
                owner,
                mode: how,
                permits,
                position,
            } => Transition::Queued {
                handle: text(&handle)?,
                owner: owner.owner()?,
                mode: mode(&how, permits)?,
                position,
            },
            Self::Renewed {
                handle,
                token,
                ttl_ms,
            } => Transition::Renewed {
                handle: text(&handle)?,
                token: FencingToken(token),
                ttl_ms,
            },
            Self::Draining {
                handle,
                owner,
                remaining_ms,
                revoked_by,
                transfer_to,
            } => Transition::Draining {
                handle: text(&handle)?,
                owner: owner.owner()?,
                remaining_ms,
                cause: drain_cause(revoked_by.as_deref(), transfer_to.as_deref())?,
            },
            Self::Ended(ended) => ended.transition()?,
            Self::WaitEnded {
                handle,
                owner,
                expired,
            } => Transition::WaitEnded {
                handle: text(&handle)?,
                owner: owner.owner()?,
                expired,
            },
            Self::CoolingDown { remaining_ms } => Transition::CoolingDown { remaining_ms },
            Self::Reserved { to, remaining_ms } => Transition::Reserved {
                to: text(&to)?,
                remaining_ms,
            },
            Self::Configured { settings } => Transition::Configured {
                settings: settings.settings(),
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGranted {
    handle: String,
    owner: RawOwner,
    mode: String,
    permits: Option<u32>,
    token: u64,
    ttl_ms: u64,
    waited_ms: Option<u64>,
    request_id: String,
}

impl RawGranted {
    fn transition(self) -> Result<Transition, ParseError> {
        Ok(Transition::Granted {
            handle: text(&self.handle)?,
            owner: self.owner.owner()?,
            mode: mode(&self.mode, self.permits)?,
            token: FencingToken(self.token),
            ttl_ms: self.ttl_ms,
            waited_ms: self.waited_ms,
            request_id: text(&self.request_id)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEnded {
    handle: String,
    owner: RawOwner,
    mode: String,
    permits: Option<u32>,
    token: u64,
    cause: String,
    since_unix_ms: u64,
    held_ms: u64,
    late_ms: u64,
    renewals: u64,
    first_renewal_unix_ms: u64,
    last_renewal_unix_ms: u64,
}

impl RawEnded {
    fn transition(self) -> Result<Transition, ParseError> {
        Ok(Transition::Ended {
            handle: text(&self.handle)?,
            owner: self.owner.owner()?,
            mode: mode(&self.mode, self.permits)?,
            token: FencingToken(self.token),
            cause: end_cause(&self.cause)?,
            since: WallMillis(self.since_unix_ms),
            held_ms: self.held_ms,
            late_ms: self.late_ms,
            renewals: domain::Renewals {
                count: self.renewals,
                first: WallMillis(self.first_renewal_unix_ms),
                last: WallMillis(self.last_renewal_unix_ms),
            },
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
    ]
    .into_iter()
    .find(|known| known.as_str() == name)
    .ok_or_else(|| ParseError(format!("end {name:?}")))
}
