//! Decides a request by roles and policies, and is the only maker of a `Permit`.

mod asked;
mod choose;
mod counters;
mod denial;
mod not_holder;
mod overriding;
mod permit;
mod recent;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::Cause;
use leasehold_domain::Clock;
use leasehold_domain::Command;
use leasehold_domain::Decision;
use leasehold_domain::Effect;
use leasehold_domain::Expectation;
use leasehold_domain::HolderView;
use leasehold_domain::Operation;
use leasehold_domain::PolicyLimits;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::TURN_WAIT_MS_MAX;
use leasehold_domain::limits::UNJUDGED_LEASE_MS_MAX;
use leasehold_policy_host::Budget;

pub(crate) use self::counters::may_exceed;
pub(crate) use self::permit::Denied;
pub(crate) use self::permit::Permit;
pub(crate) use self::permit::Refusal;
pub use self::recent::PolicyFailure;

use self::asked::told;
use self::choose::Judges;
use self::denial::denied_unasked;
use self::denial::missing_role;
use self::denial::too_old;
use self::denial::unbound;
use self::not_holder::RecordBudget;
use self::recent::Recent;
use super::facts;
use super::facts::Needs;
use super::intent::Intent;
use super::turns::Taken;
use super::turns::TurnKey;
use super::turns::Turns;
use crate::caller::Caller;
use crate::evaluation_pool::EvaluationPool;
use crate::failure::Failure;
use crate::flags::FlagSource;
use crate::governance::plan::NamespacePlan;
use crate::replay::DecisionSamples;
use crate::rollouts::Comparer;
use crate::store_client::StoreClient;
use crate::telemetry::Metrics;

/// Runs the policies.
#[derive(Debug)]
pub struct Decider {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// `audit.renewals = "every"`.
    record_renewals: bool,
    /// `policy.break_glass_ticket_required`.
    requires_tickets: bool,
    turns: Arc<Turns>,
    failures: Recent,
    not_holder: RecordBudget,
    budget: Budget,
    pool: EvaluationPool,
    comparer: Arc<Comparer>,
    samples: Arc<DecisionSamples>,
    flags: Arc<dyn FlagSource>,
}

impl Decider {
    /// Returns the clock that it goes by.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Decides by this clock. `record_renewals`: whether every renewal is in the ledger. `budget`:
    /// what the policies of one request may spend together. `flags` may narrow rollouts.
    pub fn new(
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        record_renewals: bool,
        budget: Budget,
        flags: Arc<dyn FlagSource>,
    ) -> Self {
        Self {
            comparer: Comparer::start(clock.clone(), metrics.clone(), budget),
            clock,
            metrics,
            record_renewals,
            requires_tickets: false,
            turns: Arc::new(Turns::new(Duration::from_millis(TURN_WAIT_MS_MAX))),
            failures: Recent::default(),
            not_holder: RecordBudget::default(),
            budget,
            pool: EvaluationPool::default(),
            samples: Arc::new(DecisionSamples::every(Duration::ZERO)),
            flags,
        }
    }

    /// Offers its decisions to the self-check, which takes some of them.
    #[must_use]
    pub fn sampled(self, samples: Arc<DecisionSamples>) -> Self {
        Self { samples, ..self }
    }

    /// What compares the two versions of each rollout.
    #[must_use]
    pub fn comparer(&self) -> &Arc<Comparer> {
        &self.comparer
    }

    /// The newest failures of a policy version in this gateway, oldest first.
    pub(crate) fn failures(&self, policy: &str, version: &str) -> Vec<PolicyFailure> {
        self.failures.of(policy, version)
    }

    /// Waits until no other request of this gateway is being decided and executed that these
    /// requests could invalidate, or be invalidated by.
    pub(crate) async fn turn<'r>(
        &self,
        namespace: NamespacePlan<'_>,
        principal: &Principal,
        requests: impl IntoIterator<Item = &'r Request>,
    ) -> Taken {
        let mut keys = BTreeSet::new();
        for request in requests {
            let judges = namespace.judges(request.operation, &request.lock.lock);
            // Every version of a rollout that may judge; one in shadow does not.
            let versions = judges.flat_map(|step| [Some(step), step.other_that_may_judge()]);
            let needs = Needs::of(versions.flatten());
            if needs.tied_to_usage {
                keys.insert(TurnKey::usage(&namespace.document.name, principal));
            }
            if needs.tied_to_lock {
                keys.insert(TurnKey::Lock(request.lock.clone()));
            }
        }
        match keys.is_empty() {
            true => Taken::default(),
            false => self.turns.take(keys).await,
        }
    }

    /// Returns the denial of a request about a lease that is another principal's: to be made
    /// durable before it is answered.
    ///
    /// # Errors
    /// `rate_limited` if the principal has caused too many of them.
    pub(crate) fn not_holder(&self, cause: &Cause) -> Result<Denied, Failure> {
        let subject = &cause.principal.subject;
        if !self.not_holder.take(subject, self.clock.monotonic()) {
            return Err(Failure::too_many_foreign_leases());
        }
        let denial = not_holder::denial();
        self.metrics.denied(denial.kind);
        let cause = not_holder::denied_cause(cause, self.clock.wall());
        Ok(Denied::new(Arc::new(cause), denial, None))
    }

    /// Judges a request by the role that its operation needs, and by the policies bound to it.
    pub(crate) async fn judge(
        &self,
        store: &StoreClient,
        namespace: NamespacePlan<'_>,
        revision: u64,
        caller: &Caller,
        request: Request,
        intent: Intent,
    ) -> Result<Permit, Refusal> {
        let now = self.clock.wall();
        let principal = &caller.principal;
        let flags = &*self.flags;
        let judges = Judges::of(store, namespace, (&request, principal), now, flags).await?;
        let gathering = facts::gather(now, store, judges.needs(), caller, &request, &intent);
        let (facts, expect) = gathering.await?;
        let id = rand::random();
        let judgment = match missing_role(namespace, principal, request.operation) {
            Some(denial) => denied_unasked(denial),
            None => {
                self.ask_all(&judges.steps, &request, principal, &facts, id)
                    .await?
            }
        };
        let verdicts = judges.named(judgment.verdicts);
        let effect = match judgment.effect {
            Some(effect) => effect,
            None => self.unjudged(store, namespace, &request, now).await?,
        };
        let counters = judgment.counters;
        let (effect, counters) = Self::carried(effect, counters, (&request, principal), &intent);
        let fault = judgment.error.map(|error| told(&error, principal));
        let (effect, limits) = match effect {
            Effect::Override { .. } => {
                let judged = (&judgment.limits, &verdicts[..]);
                // Boxed: this path is rare, and unboxed it would enlarge the future of every request.
                Box::pin(self.bounded(store, (&request, &intent), effect, judged, now)).await?
            }
            Effect::Allow | Effect::Deny(_) => (effect, judgment.limits.clone()),
        };
        let (denial, overridden) = match &effect {
            Effect::Deny(denial) => (Some(denial.clone()), false),
            Effect::Override { .. } => (None, true),
            Effect::Allow => (None, false),
        };
        let holds = matches!(request.operation, Operation::Acquire | Operation::Renew);
        let rule = (holds && denial.is_none()).then(|| {
            let renewing = |step| judges.of_renewals(step, (&request, principal));
            namespace.rule(&request.lock.lock, (&judgment.limits, overridden), renewing)
        });
        let decision = Decision {
            id,
            effect,
            facts,
            verdicts,
            limits: limits.clone(),
            bindings_revision: revision,
            rule,
        };
        let cause = self.cause(caller, request, Some(Arc::new(decision)));
        self.evaluate_later(store, &judges, &cause);
        match denial {
            Some(denial) => {
                self.metrics.denied(denial.kind);
                Err(Refusal::Denied(Box::new(Denied::new(cause, denial, fault))))
            }
            None => Ok(self
                .permit(cause, intent, &limits, expect)
                .counting(counters)),
        }
    }

    /// Hands the decision to what evaluates it again after the answer: by the other version of a rollout,
    /// and by the self-check.
    fn evaluate_later(&self, store: &StoreClient, judges: &Judges<'_>, cause: &Arc<Cause>) {
        judges.compare(&self.comparer, cause);
        let now = self.clock.monotonic();
        self.samples.offer(&store.safe_mode().store, cause, now);
    }

    /// A permit for an operation that no policy judges: giving back, and leaving the queue.
    pub(crate) fn pass(&self, caller: &Caller, request: Request, intent: Intent) -> Permit {
        let cause = self.cause(caller, request, None);
        self.permit(cause, intent, &PolicyLimits::default(), None)
    }

    fn cause(
        &self,
        caller: &Caller,
        request: Request,
        decision: Option<Arc<Decision>>,
    ) -> Arc<Cause> {
        Arc::new(Cause {
            request_id: caller.request_id.clone(),
            received: self.clock.wall(),
            principal: caller.principal.clone(),
            request,
            decision,
        })
    }

    fn permit(
        &self,
        cause: Arc<Cause>,
        intent: Intent,
        limits: &PolicyLimits,
        expect: Option<Expectation>,
    ) -> Permit {
        Permit::new(Command {
            lock: cause.request.lock.clone(),
            action: intent.into_action(&cause.request, limits, self.record_renewals),
            cause: Some(cause),
            expect,
        })
    }

    /// Returns the effect where no policy judges the request, or only advisory ones, which never
    /// grant anything. A lease that is held may be renewed and transferred for a day after its grant
    /// all the same: the policies that let it be granted may judge nothing else, and those that
    /// judged its renewals may have been unbound since.
    async fn unjudged(
        &self,
        store: &StoreClient,
        namespace: NamespacePlan<'_>,
        request: &Request,
        now: WallMillis,
    ) -> Result<Effect, Failure> {
        let effect = unbound(namespace, request.operation);
        let of_a_lease = matches!(request.operation, Operation::Renew | Operation::Transfer);
        let lease = request.lease.filter(|_| of_a_lease);
        let (Effect::Deny(denial), Some(lease)) = (&effect, lease) else {
            return Ok(effect);
        };
        let holder = store.holder(&request.lock, lease).await?;
        let young = |held: HolderView| now.0.saturating_sub(held.since.0) < UNJUDGED_LEASE_MS_MAX;
        // Of a lease that is not there, the store says what became of it.
        Ok(match holder.is_none_or(young) {
            true => Effect::Allow,
            false => Effect::Deny(too_old(denial)),
        })
    }
}

#[cfg(test)]
mod counter_tests;
#[cfg(test)]
mod overriding_tests;
#[cfg(test)]
mod rollout_tests;
#[cfg(test)]
mod tests;
