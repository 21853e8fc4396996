//! Returns which policies would judge a request, without evaluating them.

use leasehold_domain::Enforcement;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RolloutChoice;

use super::Pipeline;
use crate::caller::Caller;
use crate::failure::Failure;

/// A policy that would judge a request.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The binding that names it.
    pub binding: String,
    /// The order of the binding.
    pub order: i32,
    /// Its name.
    pub policy: String,
    /// The version that would judge.
    pub version: String,
    /// The enforcement level.
    pub enforcement: Enforcement,
    /// The rollout that chooses the version, if one does.
    pub rollout: Option<RolloutChoice>,
    /// Why it cannot be evaluated; it would fail.
    pub problem: Option<String>,
    /// What should be known of the version.
    pub warnings: Vec<String>,
}

/// The policies of one request.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The policies, in the order of evaluation.
    pub policies: Vec<Resolved>,
    /// Whether the request is denied because none of them decides.
    pub denied_unbound: bool,
}

impl Pipeline {
    /// Returns which policies would judge a request of this principal, in the order of evaluation. A
    /// renewal may be judged by the version that granted the lease instead.
    ///
    /// # Errors
    /// There is no such namespace, or the caller cannot see it.
    pub async fn resolve(
        &self,
        caller: &Caller,
        request: &Request,
        principal: &Principal,
    ) -> Result<Resolution, Failure> {
        let (name, operation) = (&request.lock.namespace, request.operation);
        // Loads the newest plan if the one in force does not have the namespace.
        self.inner
            .store_of(caller, name, operation.as_str())
            .await?;
        let plan = self.inner.governance.plan();
        let namespace = plan.namespace(name);
        let namespace = namespace.ok_or_else(|| Failure::no_namespace(name))?;
        let mut policies = Vec::new();
        let flags = self.inner.governance.flags().snapshot();
        for planned in namespace.judges(operation, &request.lock.lock) {
            let now = leasehold_domain::WallMillis(0);
            let chosen = planned.choose(operation, (request, principal), (None, now), &flags);
            let (judging, rollout) = match chosen {
                None => (Some(planned), None),
                Some(chosen) => (chosen.step, Some(chosen.choice)),
            };
            let Some(judging) = judging else { continue };
            let step = &judging.step;
            let governance = &self.inner.governance;
            policies.push(Resolved {
                binding: step.binding.to_string(),
                order: planned.order(),
                policy: step.policy.to_string(),
                version: step.version.to_string(),
                enforcement: step.enforcement,
                rollout,
                problem: match &step.killed {
                    Some(killed) => Some(killed.to_string()),
                    None => step.bound.as_ref().err().cloned(),
                },
                warnings: governance.version_warnings(&step.policy, &step.version),
            });
        }
        let is_unbound = namespace.lacks_policies(operation, &request.lock.lock);
        Ok(Resolution {
            policies,
            denied_unbound: is_unbound && operation != Operation::Configure,
        })
    }
}
