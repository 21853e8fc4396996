//! What the bindings mean, worked out ahead of the requests: which policies judge an operation in
//! a namespace, in which order.

mod rollout;
mod step;

use std::sync::Arc;

use leasehold_domain::LockName;
use leasehold_domain::NamespaceName;
use leasehold_domain::Operation;
use leasehold_domain::PolicyLimits;
use leasehold_domain::RuleDigest;

use super::document::DefaultDecision;
use super::document::NamespaceDocument;

pub(crate) use self::rollout::GrantedLease;
pub use self::rollout::RolloutId;
pub(crate) use self::rollout::Variant;
pub(crate) use self::step::PlanStep;
pub(crate) use self::step::steps_of;

/// The steps of some bindings, by the operation that they judge, each in the order in which they are
/// asked.
#[derive(Debug, Default)]
pub(super) struct Steps([Vec<Arc<PlanStep>>; Operation::ALL.len()]);

impl Steps {
    /// Sorts steps by operation and order.
    pub(super) fn of<'s>(steps: impl IntoIterator<Item = &'s Arc<PlanStep>>) -> Self {
        let mut all = Self::default();
        for step in steps {
            for operation in step.all_operations() {
                all.0[operation as usize].push(step.clone());
            }
        }
        for steps in &mut all.0 {
            steps.sort_by(|one, other| one.compare(other));
        }
        all
    }
}

/// The governance state of one revision. Immutable; requests share it by `Arc`. The next plan shares
/// with it what has not changed.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The revision of the documents that it was made from.
    pub(crate) revision: u64,
    namespaces: imbl::HashMap<NamespaceName, Arc<Tenant>>,
    /// The steps of bindings that name all namespaces. They are kept once, so that such a binding
    /// changes no namespace.
    everywhere: Arc<Steps>,
}

/// One namespace and the steps of the bindings that name it.
#[derive(Debug)]
struct Tenant {
    document: Arc<NamespaceDocument>,
    steps: Steps,
}

/// One namespace and what judges its operations.
#[derive(Debug, Clone, Copy)]
pub struct NamespacePlan<'a> {
    /// The tenant.
    pub document: &'a Arc<NamespaceDocument>,
    own: &'a Steps,
    everywhere: &'a Steps,
}

impl<'a> NamespacePlan<'a> {
    /// The rule under which a lease of this lock is held that is granted or renewed now: what
    /// judges its renewals, and the limits that it is given. What judges only acquires does not
    /// touch a lease that is held, and advice touches none, so a change of them is no change of the
    /// lease's rule. Where a rollout changes a step, `chosen` returns the version that judges renewals
    /// of the lease, if one does.
    pub(crate) fn rule(
        self,
        lock: &LockName,
        (limits, overridden): (&PolicyLimits, bool),
        chosen: impl Fn(&'a Arc<PlanStep>) -> Option<&'a Arc<PlanStep>>,
    ) -> RuleDigest {
        let judging = self.judges(Operation::Renew, lock).filter_map(chosen);
        let judging = judging.filter(|planned| planned.step.decides());
        let digests = judging.map(|planned| &planned.digest);
        RuleDigest::of(digests, limits, overridden)
    }

    /// Whether an operation is denied if no policy decides it. Settings are governed by roles alone.
    pub(crate) fn denies_unbound(self, operation: Operation) -> bool {
        operation != Operation::Configure && self.document.default_decision == DefaultDecision::Deny
    }

    /// Whether an operation on this lock is denied because no policy decides it: none judges it, or
    /// only advisory ones do.
    pub(crate) fn lacks_policies(self, operation: Operation, lock: &LockName) -> bool {
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
        self,
        operation: Operation,
        lock: &LockName,
    ) -> impl Iterator<Item = &'a Arc<PlanStep>> {
        let at = operation as usize;
        let steps = merged(&self.own.0[at], &self.everywhere.0[at]);
        steps.filter(move |step| step.covers(lock))
    }
}

/// Merges two sorted lists of steps.
fn merged<'a>(
    mut own: &'a [Arc<PlanStep>],
    mut everywhere: &'a [Arc<PlanStep>],
) -> impl Iterator<Item = &'a Arc<PlanStep>> {
    std::iter::from_fn(move || {
        let list = match (own.first(), everywhere.first()) {
            (Some(one), Some(other)) if one.compare(other).is_gt() => &mut everywhere,
            (Some(_), _) => &mut own,
            (None, _) => &mut everywhere,
        };
        let (first, rest) = list.split_first()?;
        *list = rest;
        Some(first)
    })
}

impl Plan {
    /// Adds or replaces a namespace, with the steps of the bindings that name it.
    pub(super) fn put_namespace(&mut self, document: Arc<NamespaceDocument>, steps: Steps) {
        let name = document.name.clone();
        let tenant = Tenant { document, steps };
        self.namespaces.insert(name, Arc::new(tenant));
    }

    /// Removes a namespace.
    pub(super) fn remove_namespace(&mut self, name: &NamespaceName) {
        self.namespaces.remove(name);
    }

    /// Replaces the steps of the bindings that name a namespace, if there is such a namespace.
    pub(super) fn put_steps(&mut self, name: &NamespaceName, steps: Steps) {
        if let Some(tenant) = self.namespaces.get(name) {
            self.put_namespace(tenant.document.clone(), steps);
        }
    }

    /// Replaces the steps of the bindings that name all namespaces.
    pub(super) fn put_steps_everywhere(&mut self, steps: Steps) {
        self.everywhere = Arc::new(steps);
    }

    /// All namespaces.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = NamespacePlan<'_>> {
        self.namespaces.values().map(|tenant| self.view(tenant))
    }

    /// The namespace of that name.
    #[must_use]
    pub fn namespace(&self, name: &NamespaceName) -> Option<NamespacePlan<'_>> {
        self.namespaces.get(name).map(|tenant| self.view(tenant))
    }

    fn view<'a>(&'a self, tenant: &'a Tenant) -> NamespacePlan<'a> {
        NamespacePlan {
            document: &tenant.document,
            own: &tenant.steps,
            everywhere: &self.everywhere,
        }
    }
}

#[cfg(test)]
mod tests;
