//! Records as others see them: without secrets, and with times counted from now.

use leasehold_domain::FencingToken;
use leasehold_domain::Grant;
use leasehold_domain::HolderView;
use leasehold_domain::LeaseState;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::Millis;
use leasehold_domain::WaiterView;

use crate::LockRecord;
use crate::lease::Lease;
use crate::waiter::Waiter;

/// How many holders an outcome shows, so that a refused acquire of a lock with thousands of
/// shared holders stays cheap. A [`LockView`] shows all.
pub const HOLDERS_SHOWN_MAX: usize = 32;

impl LockRecord {
    /// The lock as everybody may see it at `now`. What is due but was not written yet shows with
    /// nothing remaining.
    #[must_use]
    pub fn view(&self, lock: &LockRef, now: Millis) -> LockView {
        let reserved = self.reservations().iter().find(|r| r.until > now);
        LockView {
            lock: lock.clone(),
            revision: self.revision,
            settings: self.settings().into_owned(),
            holders: self.holders.iter().map(|lease| lease.view(now)).collect(),
            queue: self.waiters().map(|waiter| waiter.view()).collect(),
            cooldown_remaining_ms: now.until(self.cooldown_until()),
            reserved_for: reserved.map(|r| (r.to.clone(), now.until(r.until))),
            last_token: FencingToken(self.last_token),
            stale_ms: 0,
        }
    }

    /// The first holders, for an outcome: without their policies.
    pub(crate) fn holder_views(&self, now: Millis) -> Vec<HolderView> {
        let first = self.holders.iter().take(HOLDERS_SHOWN_MAX);
        let briefly = |lease: &Lease| HolderView {
            policies: None,
            ..lease.view(now)
        };
        first.map(briefly).collect()
    }
}

impl Lease {
    /// The lease as its holder sees it.
    pub(crate) fn grant(&self, now: Millis, repeated: bool) -> Grant {
        let remaining_ms = now.until(self.deadline);
        Grant {
            lease_id: self.lease_id,
            token: self.token,
            mode: self.mode,
            // A fresh promise is never longer than the longest hold.
            ttl_ms: match repeated {
                true => self.ttl_ms,
                false => self.ttl_ms.min(remaining_ms),
            },
            remaining_ms,
            hold_remaining_ms: self.hold_until.map(|end| now.until(end)),
            state: self.state(now),
            repeated,
            waited: self.waited,
        }
    }

    fn state(&self, now: Millis) -> LeaseState {
        match self.drain.as_deref() {
            None => LeaseState::Active,
            Some(cause) => LeaseState::Draining {
                remaining_ms: now.until(self.deadline),
                cause: cause.clone(),
            },
        }
    }

    fn view(&self, now: Millis) -> HolderView {
        HolderView {
            handle: self.lease_id.handle(),
            owner: self.party.owner(),
            mode: self.mode,
            token: self.token,
            since: self.since,
            remaining_ms: now.until(self.deadline),
            state: self.state(now),
            policies: self.policies.clone(),
        }
    }
}

impl Waiter {
    fn view(&self) -> WaiterView {
        WaiterView {
            handle: self.lease_id.handle(),
            owner: self.party.owner(),
            mode: self.mode,
            since: self.since,
        }
    }
}
