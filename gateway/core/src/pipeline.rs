//! The way of a request, in one direction:
//! principal → admission → decision (`decide::Permit`) → backend → answer.

pub(crate) mod admit;
pub mod ask;
mod caps;
pub mod decide;
mod execute;
mod facts;
#[cfg(test)]
pub(crate) mod fixture;
mod in_use;
mod intent;
mod many;
mod promotion;
mod resolve;
mod run;
mod touched_locks;
mod turns;
mod version_in_use;
mod view;
mod wait;
mod watch;

use std::sync::Arc;

use leasehold_domain::Decision;
use leasehold_domain::Grant;
use leasehold_domain::LeaseHandle;
use leasehold_domain::LeaseId;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Request;

pub use self::decide::PolicyFailure;
pub use self::promotion::StepStatus;
pub use self::resolve::Resolution;
pub use self::resolve::Resolved;
pub use self::touched_locks::TouchedLocks;
pub use self::version_in_use::LeasesUnderVersion;

use self::decide::Decider;
use self::intent::Intent;
use crate::authorization::Authorization;
use crate::caller::Caller;
use crate::failure::Blocked;
use crate::failure::Failure;
use crate::governance::Governance;
use crate::governance::RolloutId;
use crate::governance::document::NamespaceCaps;
use crate::rollouts::Comparer;
use crate::rollouts::Reporter;
use crate::rollouts::SampleDifference;
use crate::rollouts::Standing;
use crate::stores::Stores;

/// How often a request is decided because the state that the decision saw had changed. Requests of one
/// gateway that change the same state take turns, so that only releases, expiries and other gateways
/// come between; each of those takes a durable write.
const DECISIONS_PER_REQUEST_MAX: usize = 64;
/// How often a request follows its namespace to another store.
const MOVES_PER_REQUEST_MAX: usize = 8;

/// The pipeline. Handlers call it once for each request.
#[derive(Debug)]
pub struct Pipeline {
    inner: Arc<Inner>,
    reporter: Arc<Reporter>,
}

/// What a waiter's background task shares with the pipeline.
#[derive(Debug)]
pub struct Inner {
    /// The rules in force.
    pub governance: Arc<Governance>,
    /// Who may do what.
    pub authorization: Arc<Authorization>,
    /// Runs the policies.
    pub decider: Decider,
    /// The stores by name.
    pub stores: Arc<Stores>,
    /// The caps of namespaces that have none of their own.
    pub default_caps: NamespaceCaps,
    /// Turns true when the gateway drains.
    pub shutdown: tokio::sync::watch::Receiver<bool>,
}

/// A lease that the caller holds, and the decision that allowed it.
#[derive(Debug, Clone)]
pub struct Held {
    /// The lease.
    pub grant: Grant,
    /// The decision, with the limits that policies put on the lease.
    pub decision: Option<Arc<Decision>>,
    /// Whether a renewal found the lease draining, and did not lengthen it.
    pub draining: bool,
}

/// What a transfer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transferring {
    /// How long the holder may drain.
    pub drain_remaining_ms: u64,
}

impl Pipeline {
    /// Puts the stages together.
    #[must_use]
    pub fn new(inner: Inner) -> Self {
        let home = inner.stores.home();
        let reporter = Reporter::new(
            inner.governance.clone(),
            inner.decider.comparer().clone(),
            home,
            inner.decider.clock().clone(),
        );
        Self {
            inner: Arc::new(inner),
            reporter: Arc::new(reporter),
        }
    }

    /// Takes a lock, at once or from its queue.
    ///
    /// # Errors
    /// `held` if somebody else has it (after the wait, if one was asked for), or why it was denied.
    /// `lease_ended` or `request_id_too_old` to a late duplicate of a request.
    pub async fn acquire(&self, caller: &Caller, ask: ask::Acquire) -> Result<Held, Failure> {
        let (mode, ttl_ms) = (ask.mode, ask.ttl_ms);
        let request = ask.request();
        let lease_id = LeaseId::from_bytes(rand::random());
        let intent = Intent::Acquire {
            lease_id,
            mode,
            ttl_ms,
            before: 0,
            overrides: false,
            override_ends: None,
        };
        let (inner, lock) = (&self.inner, &request.lock);
        let store = inner.store_for(caller, &lock.namespace, request.operation, [lock]);
        let store = store.await?;
        if let Some(wait_ms) = request.wait_ms {
            let polled = (request, intent, lease_id, wait_ms);
            // On the heap: the future of a request that does not wait stays small.
            return Box::pin(wait::acquire(&self.inner, &store, caller, polled)).await;
        }
        let (outcome, decision) = self.inner.run(&store, caller, request, intent).await?;
        acquired(outcome, decision)
    }

    /// Lengthens a lease.
    ///
    /// # Errors
    /// `lease_ended`, `lease_lost` or `not_holder` if there is nothing to lengthen, or why it was
    /// denied.
    pub async fn renew(&self, caller: &Caller, ask: ask::Renew) -> Result<Held, Failure> {
        let intent = Intent::Renew {
            lease_id: ask.lease_id,
            override_ends: None,
        };
        let (outcome, decision) = self
            .inner
            .run_where_it_is(caller, ask.request(), intent)
            .await?;
        held(outcome, decision)
    }

    /// Gives a lease back. No policy judges it: giving back must always be possible.
    ///
    /// # Errors
    /// `invalid` if the cooldown is too long; `lease_ended`, `lease_lost` or `not_holder`.
    pub async fn release(&self, caller: &Caller, ask: ask::Release) -> Result<(), Failure> {
        admit::check_cooldown(ask.cooldown_ms)?;
        let request = ask.request();
        let namespace = request.lock.namespace.clone();
        let intent = Intent::Release {
            lease_id: ask.lease_id,
            cooldown_ms: ask.cooldown_ms,
        };
        let Some(store) = self.inner.locate(&namespace).await? else {
            let operation = request.operation.as_str();
            let unseen = self
                .inner
                .authorization
                .unseen(caller, operation, &namespace);
            return Err(unseen.await);
        };
        let passed = self.inner.pass(store, caller, request, intent).await;
        match passed {
            Ok(Outcome::Released) => Ok(()),
            // Who has a lease may give it back, although it cannot see the namespace any more. Who
            // has none learns nothing.
            Ok(_) | Err(_) if !self.inner.is_seen(caller, &namespace) => {
                let operation = Operation::Release.as_str();
                Err(self
                    .inner
                    .authorization
                    .unseen(caller, operation, &namespace)
                    .await)
            }
            Ok(other) => Err(refused(other)),
            Err(failure) => Err(failure),
        }
    }

    /// Ends leases of others; answers which.
    ///
    /// # Errors
    /// Why it was denied.
    pub async fn revoke(
        &self,
        caller: &Caller,
        ask: ask::Revoke,
    ) -> Result<Vec<LeaseHandle>, Failure> {
        let (request, target) = ask.request();
        let intent = Intent::Revoke { target };
        let (outcome, _) = self.inner.run_where_it_is(caller, request, intent).await?;
        match outcome {
            Outcome::Revoked { leases } => Ok(leases),
            other => Err(refused(other)),
        }
    }

    /// Hands a lease to a successor.
    ///
    /// # Errors
    /// As for a renewal.
    pub async fn transfer(
        &self,
        caller: &Caller,
        ask: ask::Transfer,
    ) -> Result<Transferring, Failure> {
        let intent = Intent::Transfer {
            lease_id: ask.lease_id,
            to: ask.to.clone(),
        };
        let (outcome, _) = self
            .inner
            .run_where_it_is(caller, ask.request(), intent)
            .await?;
        match outcome {
            Outcome::Transferring { drain_remaining_ms } => Ok(Transferring { drain_remaining_ms }),
            other => Err(refused(other)),
        }
    }

    /// The newest failures of a policy version in this gateway, oldest first, in the namespaces that
    /// the caller can see.
    #[must_use]
    pub fn policy_failures(
        &self,
        caller: &Caller,
        policy: &str,
        version: &str,
    ) -> Vec<PolicyFailure> {
        let mut failures = self.inner.decider.failures(policy, version);
        failures.retain(|failure| self.inner.is_seen(caller, &failure.lock.namespace));
        failures
    }

    /// Returns the comparisons of a rollout's step on this gateway, with the differences in namespaces
    /// that the caller can see; `None` if there are none.
    #[must_use]
    pub fn standing(&self, caller: &Caller, rollout: &RolloutId) -> Option<Standing> {
        let mut standing = self.comparer().standing(rollout)?;
        let is_seen =
            |sample: &SampleDifference| self.inner.is_seen(caller, &sample.lock.namespace);
        standing.differences.retain(is_seen);
        Some(standing)
    }

    /// Returns what tells the other gateways of rollouts, and hears of them.
    #[must_use]
    pub fn reporter(&self) -> &Arc<Reporter> {
        &self.reporter
    }

    /// Returns the comparer of the two versions of each rollout.
    #[must_use]
    pub fn comparer(&self) -> &Arc<Comparer> {
        self.inner.decider.comparer()
    }

    /// Sets a lock's settings.
    ///
    /// # Errors
    /// Why it was refused.
    pub async fn declare(&self, caller: &Caller, ask: ask::Declare) -> Result<(), Failure> {
        admit::check_settings(&ask.settings)?;
        let request = Request::new(Operation::Configure, ask.lock);
        let intent = Intent::Configure(ask.settings);
        let (outcome, _) = self.inner.run_where_it_is(caller, request, intent).await?;
        match outcome {
            Outcome::Configured => Ok(()),
            other => Err(refused(other)),
        }
    }
}

/// The answer of an acquire.
pub(crate) fn acquired(outcome: Outcome, decision: Option<Arc<Decision>>) -> Result<Held, Failure> {
    match outcome {
        Outcome::LeaseLost(cause) => Err(Failure::late_duplicate(cause)),
        outcome => held(outcome, decision),
    }
}

/// The answer of an acquire or a renewal.
pub(crate) fn held(outcome: Outcome, decision: Option<Arc<Decision>>) -> Result<Held, Failure> {
    match outcome {
        Outcome::Granted(grant) | Outcome::Renewed(grant) => Ok(Held {
            grant,
            decision,
            draining: false,
        }),
        Outcome::Draining(grant) => Ok(Held {
            grant,
            decision,
            draining: true,
        }),
        other => Err(refused(other)),
    }
}

/// An outcome that is not what was asked for.
pub(crate) fn refused(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Held {
            holders,
            waiters,
            cooldown_remaining_ms,
            reserved_for,
        } => Failure::held(Blocked {
            holders,
            waiters: Some(waiters),
            position: None,
            cooldown_remaining_ms,
            reserved_for,
        }),
        Outcome::Queued {
            holders, position, ..
        } => Failure::held(Blocked {
            holders,
            position: Some(position),
            ..Blocked::default()
        }),
        Outcome::LeaseLost(cause) => Failure::lost(cause),
        Outcome::NotHolder => Failure::not_holder(),
        Outcome::Rejected(rejection) => Failure::rejected(rejection),
        Outcome::Moved => Failure::moving(),
        // The pipeline answers this one with the decision.
        Outcome::CounterFull(full) => Failure::denied(full.denial(), None, None),
        other @ (Outcome::Granted(_)
        | Outcome::Renewed(_)
        | Outcome::Draining(_)
        | Outcome::Released
        | Outcome::Revoked { .. }
        | Outcome::Transferring { .. }
        | Outcome::Cancelled
        | Outcome::Configured
        | Outcome::Ticked
        | Outcome::Stale
        | Outcome::NotAttempted
        | Outcome::Exported { .. }
        | Outcome::Imported
        | Outcome::Evicted) => Failure::internal(format!("unexpected outcome {other:?}")),
    }
}
