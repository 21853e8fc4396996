//! Getting a lock: waiting in the queue, through lost answers and outages, under one request id.

use std::time::Duration;
use std::time::Instant;

use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::error::Problem;
use leasehold_wire::v1::locks as wire;

use crate::Client;
use crate::Error;
use crate::LockGuard;
use crate::backoff::Backoff;
use crate::deadline::Moment;
use crate::deadline::now;
use crate::lease::Lease;
use crate::lease::Why;
use crate::lease::is_over;
use crate::request_id;
use crate::request_id::RequestIds;

/// The longest that one poll waits; longer waits ask again in the same place.
const POLL_MS: u64 = 25_000;
/// A poll that ends sooner did not wait, and is not repeated at once.
const POLL_SHORTEST: Duration = Duration::from_millis(100);
/// How many failures in a row are endured by who did not ask to wait, or has no place yet.
const FAILURES_MAX: u32 = 3;

/// What to take, and how.
#[derive(Debug, Clone)]
pub struct LockOptions {
    /// The namespace.
    pub namespace: String,
    /// The lock's name.
    pub lock: String,
    /// Mode, ttl, labels, reason… `wait_ms` is set here, and `request_id` if it is absent.
    pub request: wire::AcquireRequest,
    /// How long to wait for it; none to wait for ever.
    pub wait: Option<Duration>,
    /// Whether to follow the lock's watch while it is held, so that a revocation is heard of at
    /// once; else at the next renewal, after a third of the ttl. Takes one more connection.
    pub watch: bool,
}

/// Who stands in the way, shown while waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Who holds the lock.
    pub holders: Vec<String>,
    /// How many wait before this caller.
    pub position: Option<u32>,
}

impl Waiting {
    fn of(problem: &Problem) -> Self {
        let holders = problem.holders.iter().flatten();
        Self {
            holders: holders.map(|holder| holder.subject.clone()).collect(),
            position: problem.position.or(problem.waiters),
        }
    }
}

impl Client {
    /// Takes a lock and keeps it renewed. `show` hears who stands in the way, at each change.
    ///
    /// Failures that may pass are endured as long as the wait allows, in the same place of the
    /// queue. Without a wait, or before the gateway has answered once, only a few are.
    ///
    /// # Errors
    /// It was denied, it was not granted within the wait, or the gateway cannot be reached.
    pub async fn hold(
        &self,
        options: LockOptions,
        mut show: impl FnMut(&Waiting),
    ) -> Result<LockGuard, Error> {
        let LockOptions {
            namespace,
            lock,
            mut request,
            wait,
            watch,
        } = options;
        let mut ids = match &request.request_id {
            Some(_) => None,
            None => Some(RequestIds::default()),
        };
        request.request_id.get_or_insert_with(request_id::draw);
        // The first look does not wait, so that the reason to wait is shown at once.
        request.wait_ms = None;
        let mut patience = Patience::new(wait);
        let mut shown = None;
        loop {
            let sent = Moment::now();
            let error = match self.acquire(&namespace, &lock, &request).await {
                Ok(grant) => {
                    let why = Why {
                        reason: request.reason.take(),
                        ticket: request.ticket.take(),
                    };
                    let lock = (lock, why);
                    let lease = Lease::of(self, namespace, lock, &grant);
                    return Self::keep(lease, grant, sent, watch).await;
                }
                Err(error) => error,
            };
            if let Some(fresh) = ids.as_mut().and_then(|ids| ids.after(&error)) {
                request.request_id = Some(fresh);
                continue;
            }
            if let Some(problem) = error.held() {
                let waiting = Some(Waiting::of(problem));
                if waiting != shown {
                    shown = waiting;
                    shown.iter().for_each(&mut show);
                }
            }
            let polled = request.wait_ms.is_some() && sent.elapsed() >= POLL_SHORTEST;
            match patience.after(&error, polled || request.wait_ms.is_none()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
            request.wait_ms = Some(patience.poll_ms());
        }
    }

    /// Begins to renew a lease. One that waited, or that was granted before, is renewed once
    /// before it is reported as held: its time does not count from the request that was answered.
    async fn keep(
        lease: Lease,
        grant: wire::Grant,
        sent: Moment,
        watch: bool,
    ) -> Result<LockGuard, Error> {
        if !grant.waited && !grant.repeated {
            return Ok(LockGuard::new(lease, grant, sent, watch));
        }
        let mut backoff = Backoff::default();
        loop {
            let sent = Moment::now();
            let error = match lease.renew().await {
                Ok(grant) => return Ok(LockGuard::new(lease, grant, sent, watch)),
                Err(error) => error,
            };
            let pause = backoff.pause(error.retry_after_ms());
            if error.is_retryable() && backoff.failures() < FAILURES_MAX {
                tokio::time::sleep(pause).await;
                continue;
            }
            if !is_over(&error) {
                // Nobody works under it. If it cannot be given back either, it ends by time.
                let _ = lease.release(None).await;
            }
            return Err(error);
        }
    }
}

/// How long to go on asking.
#[derive(Debug)]
struct Patience {
    /// None: for ever.
    give_up: Option<Instant>,
    /// Whether the gateway has a place for this caller.
    has_place: bool,
    backoff: Backoff,
}

impl Patience {
    fn new(wait: Option<Duration>) -> Self {
        Self {
            give_up: wait.and_then(|wait| now().checked_add(wait)),
            has_place: false,
            backoff: Backoff::default(),
        }
    }

    /// The pause before asking again; none if that is of no use, or too late.
    fn after(&mut self, error: &Error, polled: bool) -> Option<Duration> {
        let pause = if error.held().is_some() {
            self.has_place = true;
            if polled {
                self.backoff.reset();
                Duration::ZERO
            } else {
                self.backoff.pause(None)
            }
        } else {
            let pause = self.backoff.pause(error.retry_after_ms());
            let endured =
                self.has_place || self.give_up.is_some() || self.backoff.failures() < FAILURES_MAX;
            if !may_pass(error) || !endured {
                return None;
            }
            pause
        };
        // Who does not wait for the lock still gets over a failure that lasts a moment.
        let few = error.held().is_none() && self.backoff.failures() < FAILURES_MAX;
        let in_time = |at: Instant| now() + pause < at;
        (few || self.give_up.is_none_or(in_time)).then_some(pause)
    }

    /// How long the next poll waits.
    fn poll_ms(&self) -> u64 {
        let left = |at: Instant| at.saturating_duration_since(now()).as_millis();
        let left = self.give_up.map_or(u128::from(POLL_MS), left);
        u64::try_from(left).unwrap_or(POLL_MS).clamp(1, POLL_MS)
    }
}

/// Whether asking again may help without anybody's doing. A policy that fails is not asked again
/// and again: each denial is written down.
fn may_pass(error: &Error) -> bool {
    let policy = |problem: &Problem| problem.code == ErrorCode::PolicyError;
    error.is_retryable() && !error.problem().is_some_and(policy)
}

#[cfg(test)]
mod tests;
