//! What the bindings mean, worked out ahead of the requests: which policies judge an operation in
//! a namespace, in which order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use leasehold_domain::Digest;
use leasehold_domain::Enforcement;
use leasehold_domain::LockName;
use leasehold_domain::NamespaceName;
use leasehold_domain::Operation;
use leasehold_domain::PolicyLimits;
use leasehold_domain::RuleDigest;
use leasehold_policy_evaluate::Step;
use leasehold_policy_host::BoundPolicy;

use super::document::BindingDocument;
use super::document::BoundPolicyDocument;
use super::document::DefaultDecision;
use super::document::EnforcementName;
use super::document::NamespaceDocument;
use super::pattern::LockPattern;
use crate::telemetry::DecisionMetrics;

/// One policy that requests must pass, and which requests those are.
#[derive(Debug)]
pub(crate) struct PlanStep {
    /// The policy.
    pub(crate) step: Step,
    /// The step's digest, computed once.
    digest: Digest,
    /// The metrics of its answers, from the first answer on.
    pub(crate) counted: OnceLock<DecisionMetrics>,
    /// What it is expected to spend: a guess from the last answer, for the choice of threads.
    pub(crate) expected_fuel: AtomicU64,
    patterns: Vec<LockPattern>,
    operations: Vec<Operation>,
    namespaces: Vec<String>,
    order: (i32, usize),
}

impl PlanStep {
    /// Whether it judges this lock.
    pub(crate) fn covers(&self, lock: &LockName) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(lock))
    }

    /// The operations that it judges: those of its module that the binding names.
    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation> {
        self.operations.iter().copied()
    }

    fn applies(&self, namespace: &NamespaceName, operation: Operation) -> bool {
        self.operations.contains(&operation)
            && self
                .namespaces
                .iter()
                .any(|name| name == "*" || name == namespace.as_str())
    }
}

/// The governance state of one revision. Immutable; requests share it by `Arc`.
#[derive(Debug, Default)]
pub struct Plan {
    /// The revision of the documents that it was made from.
    pub(crate) revision: u64,
    namespaces: HashMap<NamespaceName, NamespacePlan>,
}

/// One namespace and what judges its operations.
#[derive(Debug)]
pub struct NamespacePlan {
    /// The tenant.
    pub document: Arc<NamespaceDocument>,
    steps: [Vec<Arc<PlanStep>>; Operation::ALL.len()],
}

impl NamespacePlan {
    /// The rule under which a lease of this lock is held that is granted or renewed now: what
    /// judges its renewals, and the limits that it is given. What judges only acquires does not
    /// touch a lease that is held, and advice touches none, so a change of them is no change of the
    /// lease's rule.
    pub(crate) fn rule(
        &self,
        lock: &LockName,
        limits: PolicyLimits,
        overridden: bool,
    ) -> RuleDigest {
        let judging = self.judges(Operation::Renew, lock);
        let judging = judging.filter(|planned| planned.step.decides());
        let digests = judging.map(|planned| &planned.digest);
        RuleDigest::of(digests, limits, overridden)
    }

    /// Whether an operation is denied if no policy decides it. Settings are governed by roles alone.
    pub(crate) fn denies_unbound(&self, operation: Operation) -> bool {
        operation != Operation::Configure && self.document.default_decision == DefaultDecision::Deny
    }

    /// Whether an operation on this lock is denied because no policy decides it: none judges it, or
    /// only advisory ones do.
    pub(crate) fn lacks_policies(&self, operation: Operation, lock: &LockName) -> bool {
        // A lease that is held is not denied for want of a policy until it is old.
        let of_a_lease = matches!(operation, Operation::Renew | Operation::Transfer);
        !of_a_lease
            && self.denies_unbound(operation)
            && !self
                .judges(operation, lock)
                .any(|planned| planned.step.decides())
    }

    /// The steps that judge an operation on a lock, in order.
    pub(crate) fn judges(
        &self,
        operation: Operation,
        lock: &LockName,
    ) -> impl Iterator<Item = &Arc<PlanStep>> {
        let steps = self.steps[operation as usize].iter();
        steps.filter(move |step| step.covers(lock))
    }
}

impl Plan {
    /// Works out the plan of these namespaces and steps.
    pub(crate) fn new(
        revision: u64,
        namespaces: Vec<NamespaceDocument>,
        mut steps: Vec<PlanStep>,
    ) -> Self {
        steps.sort_by(|a, b| {
            a.order
                .cmp(&b.order)
                .then_with(|| a.step.binding.cmp(&b.step.binding))
        });
        let steps: Vec<Arc<PlanStep>> = steps.into_iter().map(Arc::new).collect();
        let plan_of = |document: NamespaceDocument| {
            let of = |operation| {
                let applies = |step: &&Arc<PlanStep>| step.applies(&document.name, operation);
                steps.iter().filter(applies).cloned().collect::<Vec<_>>()
            };
            let steps = Operation::ALL.map(of);
            (
                document.name.clone(),
                NamespacePlan {
                    document: Arc::new(document),
                    steps,
                },
            )
        };
        Self {
            revision,
            namespaces: namespaces.into_iter().map(plan_of).collect(),
        }
    }

    /// All namespaces.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &NamespacePlan> {
        self.namespaces.values()
    }

    /// The namespace of that name.
    pub fn namespace(&self, name: &NamespaceName) -> Option<&NamespacePlan> {
        self.namespaces.get(name)
    }
}

/// The operations that a binding names, or all.
pub(crate) fn parse_operations(binding: &BindingDocument) -> Result<Vec<Operation>, String> {
    let parse = |name: &String| {
        Operation::from_name(name).ok_or_else(|| format!("operations: there is no {name:?}"))
    };
    if binding.operations.is_empty() {
        let judged = Operation::ALL.into_iter().filter(|o| o.is_judged());
        return Ok(judged.collect());
    }
    binding.operations.iter().map(parse).collect()
}

/// The steps of one binding. `bind` loads a policy version with its configuration.
pub(crate) fn steps_of(
    binding: &BindingDocument,
    mut bind: impl FnMut(&BoundPolicyDocument) -> Result<BoundPolicy, String>,
) -> Result<Vec<PlanStep>, String> {
    let patterns: Vec<LockPattern> = binding
        .locks
        .iter()
        .map(|text| LockPattern::parse(text))
        .collect::<Result<_, _>>()?;
    let operations = parse_operations(binding)?;
    let name: Arc<str> = Arc::from(binding.name.as_str());
    let step = |(index, document): (usize, &BoundPolicyDocument)| {
        let bound = bind(document);
        let judges = |operation: &Operation| match &bound {
            Ok(bound) => bound.module().manifest().operations.contains(operation),
            // A policy that cannot be loaded must not silently stop judging.
            Err(_) => true,
        };
        let enforcement = match document.enforcement {
            EnforcementName::Advisory => Enforcement::Advisory,
            EnforcementName::Mandatory => Enforcement::Mandatory,
            EnforcementName::Overridable => Enforcement::Overridable,
        };
        let operations = operations.iter().copied().filter(judges).collect();
        let step = Step {
            binding: name.clone(),
            policy: Arc::from(document.policy.as_str()),
            version: Arc::from(document.version.as_str()),
            enforcement,
            on_error_allow: document.on_error.operations(),
            bound,
        };
        PlanStep {
            digest: step.digest(),
            step,
            counted: OnceLock::new(),
            expected_fuel: AtomicU64::new(0),
            operations,
            patterns: patterns.clone(),
            namespaces: binding.namespaces.clone(),
            order: (binding.order, index),
        }
    };
    Ok(binding.policies.iter().enumerate().map(step).collect())
}

#[cfg(test)]
mod tests;
