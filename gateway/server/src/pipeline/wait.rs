//! A waiting acquire: one write to enter the queue, none to stay, and nobody left behind.

use std::sync::Arc;
use std::time::Duration;

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
use leasehold_wire::v1::error::ErrorCode;

use super::Held;
use super::Inner;
use super::ask::Caller;
use super::decide::Intent;
use super::decide::Refusal;
use super::failure::Blocked;
use super::failure::Failure;
use crate::waits::Ear;
use crate::waits::Signal;

/// A grant that waited longer than this is judged again: clocks and policies may have moved on.
const JUDGE_AGAIN_AFTER_MS: u64 = 1_000;

/// Takes the lock, or waits for it.
pub(super) async fn acquire(
    inner: &Arc<Inner>,
    caller: &Caller,
    request: Request,
    intent: Intent,
    drawn: LeaseId,
    wait_ms: u64,
) -> Result<Held, Failure> {
    super::admit::check(&request)?;
    let mut waiter = Waiter::new(inner.clone(), caller.clone(), &request, drawn);
    let (outcome, decision) = inner.run(caller, request.clone(), intent.clone()).await?;
    let Outcome::Queued { lease_id, .. } = outcome else {
        waiter.settled();
        if let Outcome::Granted(grant) = &outcome {
            // Perhaps a grant that came between two polls.
            inner.waits.claim(grant.lease_id.handle());
        }
        return super::held(outcome, decision);
    };
    inner.waits.claim(lease_id.handle());
    if lease_id != drawn {
        // The caller asked before and stands in the queue under its first lease id. Its grant may
        // have come between the write and this line, so ask once more now that we listen.
        waiter.settled();
        waiter = Waiter::new(inner.clone(), caller.clone(), &request, lease_id);
        let (outcome, decision) = inner.run(caller, request.clone(), intent.clone()).await?;
        if !matches!(outcome, Outcome::Queued { .. }) {
            waiter.settled();
            return super::held(outcome, decision);
        }
    }
    let place = Place {
        request,
        intent,
        decision,
        lease_id,
    };
    stand(inner, caller, place, waiter, wait_ms).await
}

/// What a waiting request stands for.
struct Place {
    request: Request,
    intent: Intent,
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
    let mut shutdown = inner.shutdown.clone();
    let signal = tokio::select! {
        biased;
        signal = waiter.ear.hear() => signal,
        () = tokio::time::sleep(Duration::from_millis(wait_ms)) => None,
        _ = shutdown.wait_for(|down| *down) => {
            // Dropping the waiter leaves the queue; the client asks again.
            return Err(Failure {
                retry_after_ms: Some(1_000),
                ..Failure::new(ErrorCode::Unavailable, "the gateway is shutting down")
            });
        }
    };
    match signal {
        Some(Signal::Granted {
            token,
            ttl_ms,
            waited_ms,
        }) => {
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
            judge_again(inner, caller, place.request, place.intent, waiter, grant).await
        }
        Some(Signal::Ended) => {
            waiter.settled();
            Err(still_held(inner, &place.request.lock, place.lease_id).await)
        }
        None => {
            let failure = still_held(inner, &place.request.lock, place.lease_id).await;
            waiter.keep_place();
            Err(failure)
        }
    }
}

/// Judges a grant that waited once more; a denial gives it back.
async fn judge_again(
    inner: &Arc<Inner>,
    caller: &Caller,
    request: Request,
    intent: Intent,
    mut waiter: Waiter,
    grant: Grant,
) -> Result<Held, Failure> {
    match inner.decide(caller, request, intent).await {
        Ok(permit) => {
            let decision: Option<Arc<Decision>> = permit.cause().and_then(|c| c.decision.clone());
            waiter.settled();
            Ok(Held {
                grant,
                decision,
                draining: false,
            })
        }
        // Dropping the waiter gives the grant back.
        Err(Refusal::Failed(failure)) => Err(*failure),
        Err(Refusal::Denied(denied)) => Err(inner.store.refuse(*denied).await),
    }
}

/// Who stands in the way now.
async fn still_held(inner: &Inner, lock: &LockRef, lease_id: LeaseId) -> Failure {
    let freshness = leasehold_backend_api::Freshness::Stale { max_age_ms: 1_000 };
    let view = match inner.store.read(lock, freshness).await {
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

/// A place in the queue. If it is dropped unsettled (the client has gone, or the handler failed),
/// the waiter is taken out of the queue, or its grant given back.
#[derive(Debug)]
struct Waiter {
    inner: Arc<Inner>,
    caller: Caller,
    lock: LockRef,
    lease_id: LeaseId,
    ear: Ear,
    settled: bool,
}

impl Waiter {
    fn new(inner: Arc<Inner>, caller: Caller, request: &Request, lease_id: LeaseId) -> Self {
        let ear = inner.waits.listen(lease_id.handle());
        Self {
            inner,
            caller,
            lock: request.lock.clone(),
            lease_id,
            ear,
            settled: false,
        }
    }

    /// Nothing is left to clean up.
    fn settled(&mut self) {
        self.settled = true;
    }

    /// The poll ended without a grant, and the client may ask again in its place for a short
    /// while. If the grant comes meanwhile and nobody asks for it, it is given back.
    fn keep_place(mut self) {
        self.settled = true;
        let handle = self.lease_id.handle();
        self.inner.waits.abandon(handle);
        let slack = Duration::from_millis(WAITER_SLACK_MS);
        tokio::spawn(async move {
            match tokio::time::timeout(slack, self.ear.hear()).await {
                // The client asked again, and another poll listens.
                Ok(None) => return,
                Ok(Some(Signal::Granted { .. })) => tokio::time::sleep(slack).await,
                Ok(Some(Signal::Ended)) | Err(_) => {
                    self.inner.waits.claim(handle);
                    return;
                }
            }
            if self.inner.waits.claim(handle) {
                let (inner, caller) = (self.inner.clone(), self.caller.clone());
                leave(inner, caller, self.lock.clone(), self.lease_id).await;
            }
        });
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let (inner, caller) = (self.inner.clone(), self.caller.clone());
        let (lock, lease_id) = (self.lock.clone(), self.lease_id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(leave(inner, caller, lock, lease_id));
        }
    }
}

/// Leaves the queue, or gives the unclaimed grant back.
async fn leave(inner: Arc<Inner>, caller: Caller, lock: LockRef, lease_id: LeaseId) {
    let request = Request {
        lease: Some(lease_id.handle()),
        ..Request::new(Operation::CancelWait, lock)
    };
    let permit = inner
        .decider
        .pass(&caller, request, Intent::CancelWait { lease_id });
    if let Err(failure) = inner.store.run(Operation::CancelWait, permit).await {
        // The waiter's own lease, or the grant's ttl, ends it.
        tracing::warn!(lease.handle = %lease_id.handle(), detail = ?failure.detail, "wait.cancel failed");
    }
}
