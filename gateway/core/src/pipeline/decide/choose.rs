//! The steps that judge a request, after rollouts have chosen between versions.

use std::sync::Arc;

use leasehold_domain::Cause;
use leasehold_domain::Operation;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RolloutChoice;
use leasehold_domain::WallMillis;

use crate::failure::Failure;
use crate::flags::FlagSnapshot;
use crate::flags::FlagSource;
use crate::governance::plan::GrantedLease;
use crate::governance::plan::NamespacePlan;
use crate::governance::plan::PlanStep;
use crate::governance::plan::Variant;
use crate::pipeline::facts::Needs;
use crate::rollouts::Comparer;
use crate::rollouts::Comparison;
use crate::store_client::StoreClient;

/// The steps that judge one request, in order.
#[derive(Debug)]
pub(super) struct Judges<'p> {
    pub(super) steps: Vec<&'p Arc<PlanStep>>,
    /// The choices of rollouts, by the index of the step.
    pub(super) choices: Vec<(usize, Arc<RolloutChoice>)>,
    pub(super) comparisons: Vec<Compared<'p>>,
    lease: Option<GrantedLease>,
    now: WallMillis,
    /// The flags of the rollouts, the same for the whole request.
    flags: Arc<FlagSnapshot>,
}

/// The other version of a policy, evaluated for comparison.
#[derive(Debug)]
pub(super) struct Compared<'p> {
    /// The step of the binding, which has the rollout.
    pub(super) planned: &'p Arc<PlanStep>,
    /// The index of the step that judges; `None` if that version does not judge the operation.
    pub(super) judging: Option<usize>,
    /// The version that judges.
    pub(super) variant: Variant,
    /// The other version.
    pub(super) other: &'p Arc<PlanStep>,
}

impl<'p> Judges<'p> {
    /// Chooses the steps of a request. Where the choice depends on the version that granted the lease,
    /// reads the lease: from this gateway's replica of the store, if the replica has it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn of(
        store: &StoreClient,
        namespace: NamespacePlan<'p>,
        (request, principal): (&Request, &Principal),
        now: WallMillis,
        flags: &dyn FlagSource,
    ) -> Result<Self, Failure> {
        let operation = request.operation;
        let planned = namespace.judges(operation, &request.lock.lock);
        let steps: Vec<&Arc<PlanStep>> = planned.collect();
        let mut judges = Self {
            steps,
            choices: Vec::new(),
            comparisons: Vec::new(),
            lease: None,
            now,
            flags: Arc::default(),
        };
        let has_rollout = |step: &&Arc<PlanStep>| step.rollout().is_some();
        if !judges.steps.iter().any(has_rollout) {
            return Ok(judges);
        }
        judges.flags = flags.snapshot();
        let rollouts = judges.steps.iter().filter_map(|step| step.rollout());
        let asks = rollouts.clone().any(|rule| rule.asks_for_lease(operation));
        if let (true, Some(lease)) = (asks, request.lease) {
            let holder = Box::pin(store.holder(&request.lock, lease)).await?;
            judges.lease = holder.map(|holder| GrantedLease {
                since: holder.since,
                policies: holder.policies,
            });
        }
        judges.choose(request, principal);
        Ok(judges)
    }

    /// Replaces each step that a rollout changes by the version that judges.
    fn choose(&mut self, request: &Request, principal: &Principal) {
        let planned = std::mem::take(&mut self.steps);
        for step in planned {
            let lease = (self.lease.as_ref(), self.now);
            let asked = (request, principal);
            let Some(chosen) = step.choose(request.operation, asked, lease, &self.flags) else {
                self.steps.push(step);
                continue;
            };
            let judging = chosen.step.map(|_| self.steps.len());
            if let Some(other) = chosen.compared {
                self.comparisons.push(Compared {
                    planned: step,
                    judging,
                    variant: chosen.variant,
                    other,
                });
            }
            if let Some(judging) = chosen.step {
                let choice = Arc::new(chosen.choice);
                self.choices.push((self.steps.len(), choice));
                self.steps.push(judging);
            }
        }
    }

    /// Returns the facts that the steps need.
    pub(super) fn needs(&self) -> Needs {
        let compared = self.comparisons.iter().map(|comparison| comparison.other);
        Needs::of(self.steps.iter().copied()).with_compared(compared)
    }

    /// Returns the verdicts of the steps, with the rollouts that chose them.
    pub(super) fn named(&self, mut verdicts: Vec<PolicyVerdict>) -> Vec<PolicyVerdict> {
        for (index, choice) in &self.choices {
            if let Some(verdict) = verdicts.get_mut(*index) {
                verdict.rollout = Some(choice.clone());
            }
        }
        verdicts
    }

    /// Queues the request for evaluation by the other version of each rollout.
    pub(super) fn compare(&self, comparer: &Comparer, cause: &Arc<Cause>) {
        for comparison in &self.comparisons {
            let Some(rule) = comparison.planned.rollout() else {
                continue;
            };
            let decision = cause.decision.as_ref();
            let is_judged = decision.is_some_and(|decision| !decision.verdicts.is_empty());
            if is_judged || comparison.judging.is_none() {
                comparer.ask(Comparison {
                    rollout: rule.id().clone(),
                    is_by_lock: rule.is_by_lock(),
                    variant: comparison.variant,
                    verdict: comparison.judging,
                    other: comparison.other.clone(),
                    cause: cause.clone(),
                });
            }
        }
    }

    /// Returns the version that judges renewals of the lease that the request names or acquires.
    pub(super) fn of_renewals(
        &self,
        step: &'p Arc<PlanStep>,
        asked: (&Request, &Principal),
    ) -> Option<&'p Arc<PlanStep>> {
        let lease = (self.lease.as_ref(), self.now);
        match step.choose(Operation::Renew, asked, lease, &self.flags) {
            Some(chosen) => chosen.step,
            None => Some(step),
        }
    }
}
