//! A waiting acquire: one write to enter the queue, none to stay, and nobody left behind.

use std::sync::Arc;
use std::time::Duration;

use crate::failure::FailureKind;
use leasehold_domain::CounterFull;
use leasehold_domain::Decision;
use leasehold_domain::FencingToken;
use leasehold_domain::Grant;
use leasehold_domain::LeaseId;
use leasehold_domain::LeaseState;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Request;
use leasehold_domain::limits::WAITER_SLACK_MS;

use super::Held;
use super::Inner;
use super::intent::Intent;
use crate::caller::Caller;
use crate::failure::Blocked;
use crate::failure::Failure;
use crate::stores::OpenStore;
use crate::waits::Ear;
use crate::waits::Signal;

/// A grant that waited longer than this is judged again: clocks and policies may have moved on.
const JUDGE_AGAIN_AFTER_MS: u64 = 1_000;

/// Takes the lock, or waits for it.
pub(super) async fn acquire(
    inner: &Arc<Inner>,
    store: &Arc<OpenStore>,
    caller: &Caller,
    (request, intent, drawn, wait_ms): (Request, Intent, LeaseId, u64),
) -> Result<Held, Failure> {
    super::admit::check(&request)?;
    let asker = (inner.clone(), store.clone(), caller.clone());
    let mut waiter = Waiter::new(asker, &request, drawn, wait_ms);
    let run = async || {
        inner
            .run(store, caller, request.clone(), intent.clone())
            .await
    };
    let ran = run().await;
    let is_refused = |failure: &Failure| {
        matches!(
            failure.kind,
            FailureKind::NamespaceFull | FailureKind::Denied
        )
    };
    if ran.as_ref().is_err_and(is_refused) {
        // A policy or the store has refused it, so there is nothing to cancel.
        waiter.settled();
    }
    let (outcome, decision) = ran?;
    let Outcome::Queued { lease_id, .. } = outcome else {
        waiter.settled();
        return super::acquired(outcome, decision);
    };
    if lease_id != drawn {
        // The caller asked before and stands in the queue under its first lease id. Its grant may
        // have come between the write and this line, so ask once more now that we listen.
        waiter.listen(lease_id);
        let (outcome, decision) = run().await?;
        if !matches!(outcome, Outcome::Queued { .. }) {
            waiter.settled();
            return super::acquired(outcome, decision);
        }
    }
    let place = Place {
        request,
        decision,
        lease_id,
    };
    stand(inner, caller, place, waiter, wait_ms).await
}

/// What a waiting request stands for.
struct Place {
    request: Request,
    decision: Option<Arc<Decision>>,
    lease_id: LeaseId,
}

impl Place {
    /// The lease that a grant from the queue gives.
    fn grant(&self, token: FencingToken, ttl_ms: u64) -> Grant {
        Grant {
            lease_id: self.lease_id,
            token,
            mode: self.request.mode.unwrap_or(Mode::Exclusive),
            ttl_ms,
            remaining_ms: ttl_ms,
            hold_remaining_ms: self.decision.as_ref().and_then(|d| d.limits.max_hold_ms),
            state: LeaseState::Active,
            repeated: false,
            waited: true,
        }
    }
}

/// Stands in the queue until the grant, the end of the poll, or the gateway's drain.
async fn stand(
    inner: &Arc<Inner>,
    caller: &Caller,
    place: Place,
    mut waiter: Waiter,
    wait_ms: u64,
) -> Result<Held, Failure> {
    let revision = inner.governance.plan().revision;
    let (store, mut shutdown) = (waiter.store.clone(), inner.shutdown.clone());
    let wait = Duration::from_millis(wait_ms).min(waiter.remaining());
    let left = inner
        .governance
        .leaves(&place.request.lock.namespace, &store.name);
    let signal = tokio::select! {
        biased;
        failure = store.door.safe_mode().refuses() => {
            // The place is kept: another gateway may still agree with the store.
            waiter.keep_place(false);
            return Err(failure);
        }
        signal = waiter.ear.hear() => Some(signal),
        () = tokio::time::sleep(wait) => None,
        // The place has gone along with its namespace.
        () = left => Some(Signal::Ended),
        _ = shutdown.wait_for(|down| *down) => {
            // Dropping the waiter leaves the queue; the client asks again.
            return Err(Failure {
                retry_after_ms: Some(1_000),
                ..Failure::new(FailureKind::Unavailable, "the gateway is shutting down")
            });
        }
    };
    match signal {
        Some(Signal::Granted {
            token,
            ttl_ms,
            waited_ms,
        }) if !waiter.remaining().is_zero() => {
            let grant = place.grant(token, ttl_ms);
            let moved = inner.governance.plan().revision != revision;
            if waited_ms <= JUDGE_AGAIN_AFTER_MS && !moved {
                waiter.settled();
                return Ok(Held {
                    grant,
                    decision: place.decision,
                    draining: false,
                });
            }
            judge_again(caller, place, waiter, grant).await
        }
        Some(Signal::Ended) => {
            waiter.settled();
            let there = inner.locate(&place.request.lock.namespace).await;
            let store = there.ok().flatten();
            let store = store.unwrap_or_else(|| waiter.store.clone());
            Err(still_held(&store, &place.request.lock, place.lease_id).await)
        }
        Some(Signal::Refused(full)) => {
            waiter.settled();
            Err(refused(inner, caller, place, &waiter.store, &full).await)
        }
        Some(Signal::Granted { .. } | Signal::Missed) | None => {
            let failure = still_held(&waiter.store, &place.request.lock, place.lease_id).await;
            waiter.keep_place(signal.is_some());
            Err(failure)
        }
    }
}

/// Makes durable that a counter refused a waiter when its turn came, and only then answers it.
async fn refused(
    inner: &Inner,
    caller: &Caller,
    place: Place,
    store: &OpenStore,
    full: &CounterFull,
) -> Failure {
    let decision = place.decision.as_ref();
    let decider = &inner.decider;
    let denied = decider.waiter_refused(caller, place.request, decision, full);
    store.door.refuse(denied).await
}

/// Judges a grant that waited once more; a denial gives it back. The decision that is answered is
/// the lease's from then on, and on record.
async fn judge_again(
    caller: &Caller,
    place: Place,
    mut waiter: Waiter,
    grant: Grant,
) -> Result<Held, Failure> {
    let (inner, store) = (waiter.inner.clone(), waiter.store.clone());
    let intent = Intent::Confirm {
        lease_id: grant.lease_id,
        override_ends: None,
    };
    // Dropping the waiter gives the grant back.
    let (outcome, decision) = inner.run(&store, caller, place.request, intent).await?;
    let draining = matches!(outcome, Outcome::Draining(_));
    let held = super::held(outcome, decision)?;
    waiter.settled();
    let grant = Grant {
        waited: true,
        ..held.grant
    };
    // A lease that drains by now is as it was, and so is the decision that it was granted by.
    let decision = match draining {
        true => place.decision,
        false => held.decision,
    };
    Ok(Held {
        grant,
        decision,
        draining,
    })
}

/// Who stands in the way now.
async fn still_held(store: &OpenStore, lock: &LockRef, lease_id: LeaseId) -> Failure {
    let freshness = leasehold_backend_api::Freshness::Stale { max_age_ms: 1_000 };
    let view = match store.door.read(lock, freshness).await {
        Ok(view) => view,
        Err(failure) => return failure,
    };
    let handle = lease_id.handle();
    let position = view.queue.iter().position(|waiter| waiter.handle == handle);
    Failure::held(Blocked {
        holders: view.holders,
        waiters: u32::try_from(view.queue.len()).ok(),
        position: position.and_then(|position| u32::try_from(position).ok()),
        cooldown_remaining_ms: view.cooldown_remaining_ms,
        reserved_for: view.reserved_for.map(|(subject, _)| subject),
    })
}

/// A claim on a place in the queue. If it is dropped unsettled (the client has gone, or the handler
/// failed), the claim is cancelled: the waiter leaves the queue, or its grant is given back, unless
/// its client has asked again, here or elsewhere.
#[derive(Debug)]
struct Waiter {
    inner: Arc<Inner>,
    store: Arc<OpenStore>,
    caller: Caller,
    lock: LockRef,
    /// The lease id that this acquire drew: the claim's name.
    drawn: LeaseId,
    ear: Ear,
    /// Until when, on the gateway's clock, the store keeps this claim at the least: it counts from
    /// when it took the acquire, this from before that. A grant that is heard of later may be no
    /// longer ours to give.
    lasts_until: Duration,
    settled: bool,
}

impl Waiter {
    fn new(
        (inner, store, caller): (Arc<Inner>, Arc<OpenStore>, Caller),
        request: &Request,
        drawn: LeaseId,
        wait_ms: u64,
    ) -> Self {
        let window = Duration::from_millis(wait_ms.saturating_add(WAITER_SLACK_MS));
        Self {
            ear: store.waits.listen(drawn.handle()),
            lasts_until: store.door.monotonic() + window,
            inner,
            store,
            caller,
            lock: request.lock.clone(),
            drawn,
            settled: false,
        }
    }

    /// Listens for another lease than the one that was drawn.
    fn listen(&mut self, lease_id: LeaseId) {
        self.ear = self.store.waits.listen(lease_id.handle());
    }

    /// How long the claim lasts at the least.
    fn remaining(&self) -> Duration {
        let now = self.store.door.monotonic();
        self.lasts_until.saturating_sub(now)
    }

    /// Nothing is left to clean up.
    fn settled(&mut self) {
        self.settled = true;
    }

    /// The poll ended without a grant, and the client may ask again in its place for a short
    /// while. If the grant comes meanwhile and nobody asks for it, it is given back. `told` says
    /// that the ear has told all it will: of a grant, or that nobody knows.
    fn keep_place(mut self, told: bool) {
        self.settled = true;
        let slack = Duration::from_millis(WAITER_SLACK_MS);
        tokio::spawn(async move {
            if !told {
                match tokio::time::timeout(slack * 2, self.ear.hear()).await {
                    Ok(Signal::Granted { .. } | Signal::Missed) => {}
                    // The claim has ended by time, or was refused.
                    Ok(Signal::Ended | Signal::Refused(_)) | Err(_) => return,
                }
            }
            tokio::time::sleep(slack).await;
            self.leave().await;
        });
    }
}

impl Waiter {
    /// Cancels the claim. The store takes the place, or the grant, only if it was the last.
    fn leave(&self) -> impl Future<Output = ()> + Send + use<> {
        let (inner, store) = (self.inner.clone(), self.store.clone());
        let (caller, lock, drawn) = (self.caller.clone(), self.lock.clone(), self.drawn);
        async move {
            let request = Request {
                lease: Some(drawn.handle()),
                ..Request::new(Operation::CancelWait, lock)
            };
            let intent = Intent::CancelWait { lease_id: drawn };
            if let Err(failure) = inner.pass(store, &caller, request, intent).await {
                // The waiter's own lease, or the grant's ttl, ends it.
                tracing::warn!(lease.handle = %drawn.handle(), detail = ?failure.detail, "wait.cancel failed");
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(self.leave());
        }
    }
}

#[cfg(test)]
mod tests;
