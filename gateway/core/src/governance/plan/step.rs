//! One policy of a binding as requests meet it, with the rollout that changes it.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use leasehold_domain::Digest;
use leasehold_domain::Enforcement;
use leasehold_domain::LockName;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RolloutChoice;
use leasehold_domain::WallMillis;
use leasehold_policy_evaluate::BUCKET_FUNCTION;
use leasehold_policy_evaluate::Step;
use leasehold_policy_host::BoundPolicy;

use super::rollout::GrantedLease;
use super::rollout::RolloutRule;
use super::rollout::Variant;
use crate::flags::FlagSnapshot;
use crate::governance::document::BindingDocument;
use crate::governance::document::BoundPolicyDocument;
use crate::governance::document::EnforcementName;
use crate::governance::document::PolicyDocument;
use crate::governance::document::RolloutDocument;
use crate::governance::document::RolloutStage;
use crate::governance::document::RolloutVersion;
use crate::governance::pattern::LockPattern;
use crate::telemetry::DecisionMetrics;

/// One policy that requests must pass, and which requests those are.
#[derive(Debug)]
pub(crate) struct PlanStep {
    /// The policy.
    pub(crate) step: Step,
    /// The step's digest, computed once.
    pub(super) digest: Digest,
    /// The metrics of its answers, from the first answer on.
    pub(crate) counted: OnceLock<DecisionMetrics>,
    /// The fuel that it is expected to spend, by its last answer. Decides on which thread it runs.
    pub(crate) expected_fuel: AtomicU64,
    patterns: Vec<LockPattern>,
    operations: Vec<Operation>,
    order: (i32, usize),
    rollout: Option<Box<PlannedRollout>>,
}

/// A rollout, and the version that the binding does not name.
#[derive(Debug)]
struct PlannedRollout {
    rule: RolloutRule,
    other: Arc<PlanStep>,
}

/// The choice between the two steps of a rollout for one request.
#[derive(Debug)]
pub(crate) struct Chosen<'p> {
    /// The step that judges; `None` if its version does not judge the operation.
    pub(crate) step: Option<&'p Arc<PlanStep>>,
    /// The version of the step that judges.
    pub(crate) variant: Variant,
    /// The reason, as the decision records it.
    pub(crate) choice: RolloutChoice,
    /// The other step, if it is evaluated for comparison.
    pub(crate) compared: Option<&'p Arc<PlanStep>>,
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

    /// The rollout that changes it, if one does.
    pub(crate) fn rollout(&self) -> Option<&RolloutRule> {
        self.rollout.as_ref().map(|rollout| &rollout.rule)
    }

    /// The version that the binding does not name, if a rollout changes it.
    fn other(&self) -> Option<&Arc<Self>> {
        self.rollout.as_ref().map(|rollout| &rollout.other)
    }

    /// The version that the binding does not name, if a rollout may choose it.
    pub(crate) fn other_that_may_judge(&self) -> Option<&Arc<Self>> {
        let rollout = self.rollout.as_ref();
        let rollout = rollout.filter(|rollout| rollout.rule.stage() != RolloutStage::Shadow);
        rollout.map(|rollout| &rollout.other)
    }

    /// Chooses the version that judges an operation; `None` if no rollout changes it.
    pub(crate) fn choose<'p>(
        self: &'p Arc<Self>,
        operation: Operation,
        asked: (&Request, &Principal),
        lease: (Option<&GrantedLease>, WallMillis),
        flags: &FlagSnapshot,
    ) -> Option<Chosen<'p>> {
        let PlannedRollout { rule, other } = &**self.rollout.as_ref()?;
        let (variant, choice) = rule.choose(operation, asked, lease, flags);
        let (judging, beside) = match variant == rule.bound() {
            true => (self, other),
            false => (other, self),
        };
        let judges = |step: &&Arc<Self>| step.operations.contains(&operation);
        Some(Chosen {
            step: Some(judging).filter(judges),
            variant,
            choice,
            compared: Some(beside)
                .filter(judges)
                .filter(|_| rule.stage().is_open()),
        })
    }

    /// Marks the versions that were killed, by the ids of their documents.
    pub(crate) fn kill(&mut self, killed: &HashMap<Box<str>, Arc<str>>) {
        let id = PolicyDocument::id(&self.step.policy, &self.step.version);
        self.step.killed = killed.get(&*id).cloned();
        self.digest = self.step.digest();
        let Some(PlannedRollout { rule, other }) = self.rollout.as_deref_mut() else {
            return;
        };
        if let Some(other) = Arc::get_mut(other) {
            other.kill(killed);
        }
        let is_killed = |step: &Step| step.killed.is_some();
        rule.kill(is_killed(&self.step), is_killed(&other.step));
    }

    /// The order of its binding.
    pub(crate) fn order(&self) -> i32 {
        self.order.0
    }

    /// The operations that one of its versions judges.
    pub(super) fn all_operations(&self) -> impl Iterator<Item = Operation> {
        let other = self
            .other()
            .into_iter()
            .flat_map(|other| other.operations());
        let new = other.filter(|operation| !self.operations.contains(operation));
        self.operations().chain(new)
    }

    /// Compares two steps by the order in which they are asked.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let by_binding = || self.step.binding.cmp(&other.step.binding);
        self.order.cmp(&other.order).then_with(by_binding)
    }
}

/// The operations that a binding names, or all.
fn parse_operations(binding: &BindingDocument) -> Result<Vec<Operation>, String> {
    let parse = |name: &String| {
        Operation::from_name(name).ok_or_else(|| format!("operations: there is no {name:?}"))
    };
    if binding.operations.is_empty() {
        let judged = Operation::ALL.into_iter().filter(|o| o.is_judged());
        return Ok(judged.collect());
    }
    binding.operations.iter().map(parse).collect()
}

/// The steps of one binding, with the rollouts that change it. `bind` loads a policy version with its
/// configuration.
pub(crate) fn steps_of(
    binding: &BindingDocument,
    rollouts: &[RolloutDocument],
    mut bind: impl FnMut(&BoundPolicyDocument) -> Result<BoundPolicy, String>,
) -> Result<Vec<PlanStep>, String> {
    let maker = StepMaker::new(binding)?;
    let mut steps = Vec::with_capacity(binding.policies.len());
    for (index, document) in binding.policies.iter().enumerate() {
        let mut step = maker.step(index, document, bind(document));
        let of_step = |rollout: &&RolloutDocument| is_of(rollout, document);
        if let Some(rollout) = rollouts.iter().find(of_step) {
            let RolloutVersion { version, config } = rollout.other().clone();
            let other = BoundPolicyDocument {
                version,
                config,
                ..document.clone()
            };
            let mut bound = bind(&other);
            if rollout.bucket_function != BUCKET_FUNCTION {
                // Another function would put locks into other buckets.
                let function = &rollout.bucket_function;
                let problem = format!("this build does not know the bucket function {function}");
                step.step.bound = Err(problem.clone());
                bound = Err(problem);
            }
            let other = maker.step(index, &other, bound);
            step.rollout = Some(Box::new(PlannedRollout {
                rule: RolloutRule::new(rollout)?,
                other: Arc::new(other),
            }));
        }
        steps.push(step);
    }
    Ok(steps)
}

/// Whether a rollout changes this entry of its binding. It does not once the entry names another
/// version or configuration.
fn is_of(rollout: &RolloutDocument, entry: &BoundPolicyDocument) -> bool {
    let bound = rollout.bound();
    rollout.policy == entry.policy && bound.version == entry.version && bound.config == entry.config
}

/// What the steps of one binding have in common.
struct StepMaker {
    name: Arc<str>,
    order: i32,
    operations: Vec<Operation>,
    patterns: Vec<LockPattern>,
}

impl StepMaker {
    fn new(binding: &BindingDocument) -> Result<Self, String> {
        let patterns = binding.locks.iter().map(|text| LockPattern::parse(text));
        Ok(Self {
            name: Arc::from(binding.name.as_str()),
            order: binding.order,
            operations: parse_operations(binding)?,
            patterns: patterns.collect::<Result<_, _>>()?,
        })
    }

    fn step(
        &self,
        index: usize,
        document: &BoundPolicyDocument,
        bound: Result<BoundPolicy, String>,
    ) -> PlanStep {
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
        let operations = self.operations.iter().copied().filter(judges).collect();
        let step = Step {
            binding: self.name.clone(),
            policy: Arc::from(document.policy.as_str()),
            version: Arc::from(document.version.as_str()),
            enforcement,
            on_error_allow: document.on_error.operations(),
            bound,
            killed: None,
        };
        PlanStep {
            digest: step.digest(),
            step,
            counted: OnceLock::new(),
            expected_fuel: AtomicU64::new(0),
            operations,
            patterns: self.patterns.clone(),
            order: (self.order, index),
            rollout: None,
        }
    }
}
