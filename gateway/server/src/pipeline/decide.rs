//! Decision: runs the policies, and is the only maker of a [`Permit`].

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Clock;
use leasehold_domain::Command;
use leasehold_domain::Decision;
use leasehold_domain::Denial;
use leasehold_domain::DenialKind;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::Expectation;
use leasehold_domain::Facts;
use leasehold_domain::LeaseId;
use leasehold_domain::LockSettings;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyLimits;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RevokeTarget;
use leasehold_domain::Role;
use leasehold_domain::Subject;
use leasehold_domain::limits::POLICIES_PER_DECISION_MAX;

use super::ask::Caller;
use super::execute::Store;
use super::facts;
use super::failure::Failure;
use crate::governance::plan::NamespacePlan;
use crate::governance::plan::PlanStep;
use crate::telemetry::Metrics;

/// Proof that a command may be executed. Only this module can make one, and the store's door
/// ([`Store::run`]) asks for it.
#[derive(Debug)]
pub(crate) struct Permit {
    command: Command,
}

impl Permit {
    /// The command that may be executed.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Why.
    pub(crate) fn cause(&self) -> Option<Arc<Cause>> {
        self.command.cause.clone()
    }
}

/// A denial that must be made durable before it may be answered; see [`Store::refuse`].
#[derive(Debug)]
pub(crate) struct Denied {
    cause: Arc<Cause>,
    denial: Denial,
}

impl Denied {
    /// What the ledger keeps, and what the caller is told.
    pub(crate) fn into_parts(self) -> (Arc<Cause>, Denial) {
        (self.cause, self.denial)
    }

    /// The same, to be read.
    pub(crate) fn parts(&self) -> (&Arc<Cause>, Denial) {
        (&self.cause, self.denial.clone())
    }
}

/// Why there is no permit.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The policies, or a missing role, said no.
    Denied(Box<Denied>),
    /// There was no decision at all.
    Failed(Box<Failure>),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// What is to be done once it is allowed. Durations come from the request and the limits.
#[derive(Debug, Clone)]
pub(crate) enum Intent {
    Acquire {
        lease_id: LeaseId,
        mode: Mode,
        ttl_ms: u64,
        /// How many leases the same request takes before this one.
        before: u32,
    },
    /// Keep a lease that was granted after a wait, by a decision that is newer than the wait.
    Confirm {
        lease_id: LeaseId,
    },
    Renew {
        lease_id: LeaseId,
    },
    Release {
        lease_id: LeaseId,
    },
    Revoke {
        target: RevokeTarget,
    },
    Transfer {
        lease_id: LeaseId,
        to: Subject,
    },
    CancelWait {
        lease_id: LeaseId,
    },
    Configure(LockSettings),
}

/// Runs the policies.
#[derive(Debug)]
pub(crate) struct Decider {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// `audit.renewals = "every"`.
    record_renewals: bool,
}

impl Decider {
    pub(crate) fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, record_renewals: bool) -> Self {
        Self {
            clock,
            metrics,
            record_renewals,
        }
    }

    /// Judges a request by the role that its operation needs, and by the policies bound to it.
    pub(crate) async fn judge(
        &self,
        store: &Store,
        namespace: &NamespacePlan,
        revision: u64,
        caller: &Caller,
        request: Request,
        intent: Intent,
    ) -> Result<Permit, Refusal> {
        let steps: Vec<&PlanStep> = namespace
            .steps(request.operation)
            .iter()
            .map(|step| &**step)
            .filter(|step| step.covers(&request.lock.lock))
            .collect();
        let now = self.clock.wall();
        let (facts, expect) = facts::gather(now, store, &steps, caller, &request, &intent).await?;
        let mut decision = Decision {
            id: rand::random(),
            effect: Effect::Allow,
            facts,
            verdicts: Vec::with_capacity(steps.len()),
            limits: PolicyLimits::default(),
            bindings_revision: revision,
            rule: None,
        };
        decision.effect = match missing_role(namespace, &caller.principal, request.operation) {
            Some(denial) => Effect::Deny(denial),
            None if steps.is_empty() => unbound(namespace, request.operation),
            None => self.ask_all(&steps, &caller.principal, &request, &mut decision),
        };
        let denial = match &decision.effect {
            Effect::Deny(denial) => Some(denial.clone()),
            Effect::Allow | Effect::Override { .. } => None,
        };
        let limits = decision.limits;
        if matches!(request.operation, Operation::Acquire | Operation::Renew) && denial.is_none() {
            let overridden = matches!(decision.effect, Effect::Override { .. });
            decision.rule = Some(namespace.rule(&request.lock.lock, limits, overridden));
        }
        let cause = self.cause(caller, request, Some(Arc::new(decision)));
        match denial {
            Some(denial) => {
                self.metrics.denied(denial.kind);
                Err(Refusal::Denied(Box::new(Denied { cause, denial })))
            }
            None => Ok(self.permit(cause, intent, limits, expect)),
        }
    }

    /// A permit for an operation that no policy judges: giving back, and leaving the queue.
    pub(crate) fn pass(&self, caller: &Caller, request: Request, intent: Intent) -> Permit {
        let cause = self.cause(caller, request, None);
        self.permit(cause, intent, PolicyLimits::default(), None)
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
        limits: PolicyLimits,
        expect: Option<Expectation>,
    ) -> Permit {
        let action = action(intent, &cause.request, limits, self.record_renewals);
        Permit {
            command: Command {
                lock: cause.request.lock.clone(),
                action,
                cause: Some(cause),
                expect,
            },
        }
    }

    /// Asks each policy in turn. All are asked even after a denial, so that the ledger shows the
    /// whole picture; the first that denies is the one that is answered.
    fn ask_all(
        &self,
        steps: &[&PlanStep],
        principal: &Principal,
        request: &Request,
        decision: &mut Decision,
    ) -> Effect {
        if steps.len() > POLICIES_PER_DECISION_MAX {
            return Effect::Deny(Denial {
                kind: DenialKind::PolicyError,
                policy: None,
                code: "too-many-policies".into(),
                message: format!("more than {POLICIES_PER_DECISION_MAX} policies are bound").into(),
                retry_after_ms: None,
            });
        }
        let mut denial = None;
        let mut overridden = None;
        for step in steps {
            let verdict = self.ask(step, principal, request, &decision.facts);
            match (denial_of(step, &verdict.answer), step.enforcement) {
                (None, _) | (Some(_), Enforcement::Advisory) => {}
                (Some(refused), Enforcement::Overridable) => {
                    match break_glass(principal, request) {
                        Some(reason) => overridden = Some(reason),
                        None => denial = denial.or(Some(refused)),
                    }
                }
                (Some(refused), Enforcement::Mandatory) => denial = denial.or(Some(refused)),
            }
            if let (PolicyAnswer::Allow(limits), true) =
                (&verdict.answer, step.enforcement != Enforcement::Advisory)
            {
                decision.limits = decision.limits.tightest(*limits);
            }
            decision.verdicts.push(verdict);
        }
        match (denial, overridden) {
            (Some(denial), _) => Effect::Deny(denial),
            (None, Some(reason)) => {
                self.metrics.overridden();
                Effect::Override { reason }
            }
            (None, None) => Effect::Allow,
        }
    }

    fn ask(
        &self,
        step: &PlanStep,
        principal: &Principal,
        request: &Request,
        facts: &Facts,
    ) -> PolicyVerdict {
        let began = self.clock.monotonic();
        let failed = |message: String| PolicyAnswer::Error {
            message: message.into(),
            passed: step.on_error.passes(request.operation),
        };
        let (module, config, answer, fuel) = match &step.bound {
            Ok(bound) => {
                let evaluation = bound.decide(request, principal, facts);
                let answer = evaluation
                    .answer
                    .unwrap_or_else(|fault| failed(fault.to_string()));
                (
                    bound.module().digest(),
                    bound.config_digest(),
                    answer,
                    evaluation.fuel,
                )
            }
            Err(problem) => {
                let none = leasehold_domain::Digest([0; 32]);
                (none, none, failed(problem.clone()), 0)
            }
        };
        self.metrics.decided(
            &step.policy,
            &step.version,
            answer.as_str(),
            self.clock.monotonic() - began,
        );
        PolicyVerdict {
            binding: step.binding.clone(),
            policy: step.policy.clone(),
            version: step.version.clone(),
            module,
            config,
            enforcement: step.enforcement,
            answer,
            fuel,
        }
    }
}

/// The denial in an answer, if it is one.
fn denial_of(step: &PlanStep, answer: &PolicyAnswer) -> Option<Denial> {
    match answer {
        PolicyAnswer::Allow(_) | PolicyAnswer::Error { passed: true, .. } => None,
        PolicyAnswer::Deny {
            code,
            message,
            retry_after_ms,
        } => Some(Denial {
            kind: DenialKind::Policy,
            policy: Some(step.policy.clone()),
            code: code.clone(),
            message: message.clone(),
            retry_after_ms: *retry_after_ms,
        }),
        PolicyAnswer::Error {
            message: _,
            passed: false,
        } => Some(Denial {
            kind: DenialKind::PolicyError,
            policy: Some(step.policy.clone()),
            code: "policy-error".into(),
            message: format!("policy {} failed, and its binding denies then", step.policy).into(),
            retry_after_ms: None,
        }),
    }
}

/// The written reason of a principal that may pass an overridable denial.
fn break_glass(principal: &Principal, request: &Request) -> Option<Box<str>> {
    let reason = request
        .reason
        .as_ref()
        .filter(|reason| !reason.trim().is_empty())?;
    principal
        .roles
        .has(Role::BreakGlass)
        .then(|| reason.clone())
}

/// Operations on other people's leases and on settings need a role, whatever the policies say.
fn missing_role(
    namespace: &NamespacePlan,
    principal: &Principal,
    operation: Operation,
) -> Option<Denial> {
    let operates = principal.roles.has(Role::Operator) || principal.roles.has(Role::Administrator);
    let own_team = principal.team.is_some() && principal.team == namespace.document.team;
    let (may, needs) = match operation {
        Operation::Revoke => (operates, "role operator or administrator"),
        Operation::Configure => (
            operates || own_team,
            "role operator or administrator, or the namespace's team",
        ),
        Operation::Acquire
        | Operation::Renew
        | Operation::Release
        | Operation::Transfer
        | Operation::CancelWait => (true, ""),
    };
    (!may).then(|| Denial {
        kind: DenialKind::Role,
        policy: None,
        code: "role".into(),
        message: format!("{} needs {needs}", operation.as_str()).into(),
        retry_after_ms: None,
    })
}

/// What happens where no policy is bound.
fn unbound(namespace: &NamespacePlan, operation: Operation) -> Effect {
    if !namespace.denies_unbound(operation) {
        return Effect::Allow;
    }
    Effect::Deny(Denial {
        kind: DenialKind::NoPolicyBound,
        policy: None,
        code: "no-policy-bound".into(),
        message: format!(
            "no policy of namespace {} judges {}, and its default is to deny",
            namespace.document.name,
            operation.as_str()
        )
        .into(),
        retry_after_ms: None,
    })
}

/// The action that a permit carries: the request's durations, cut to the limits.
fn action(intent: Intent, request: &Request, limits: PolicyLimits, record: bool) -> Action {
    let cut = |ttl_ms: u64| limits.max_ttl_ms.map_or(ttl_ms, |max| ttl_ms.min(max));
    match intent {
        Intent::Acquire {
            lease_id,
            mode,
            ttl_ms,
            before: _,
        } => Action::Acquire {
            lease_id,
            mode,
            ttl_ms: cut(ttl_ms),
            wait_ms: request.wait_ms,
            max_hold_ms: limits.max_hold_ms,
        },
        Intent::Confirm { lease_id } => Action::Renew {
            lease_id,
            ttl_ms: request.ttl_ms.map(cut),
            max_hold_ms: limits.max_hold_ms,
            record: true,
        },
        Intent::Renew { lease_id } => Action::Renew {
            lease_id,
            ttl_ms: request.ttl_ms.map(cut),
            max_hold_ms: limits.max_hold_ms,
            record,
        },
        Intent::Release { lease_id } => Action::Release { lease_id },
        Intent::Revoke { target } => Action::Revoke {
            target,
            grace_ms: request.grace_ms.unwrap_or(0),
        },
        Intent::Transfer { lease_id, to } => Action::Transfer {
            lease_id,
            to,
            grace_ms: request.grace_ms.unwrap_or(0),
        },
        Intent::CancelWait { lease_id } => Action::CancelWait { lease_id },
        Intent::Configure(settings) => Action::Configure(settings),
    }
}
