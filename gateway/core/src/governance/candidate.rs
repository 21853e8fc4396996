//! A change of a binding that is only looked at: checked as a write would check it, and not written.

use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::Operation;
use leasehold_domain::Request;

use super::Governance;
use super::Stored;
use super::document::BindingDocument;
use super::index::ALL_NAMESPACES;
use super::judged::Judged;
use super::judged::JudgedChange;
use super::pattern::LockPattern;
use super::plan::PlanStep;
use super::revision::FieldChange;
use super::revision::field_changes;
use crate::failure::Failure;
use crate::failure::FailureKind;

/// What a binding would be made.
#[derive(Debug)]
pub struct BindingCandidate {
    /// The name of the binding.
    pub name: Arc<str>,
    /// The binding that it would replace or delete.
    pub before: Option<Stored<BindingDocument>>,
    /// The binding that would be written; `None` to delete it.
    pub after: Option<BindingDocument>,
    /// What differs.
    pub changes: Vec<FieldChange>,
    /// The policies that would judge other operations.
    pub evaluation_changes: Vec<JudgedChange>,
    /// The operations that at least one policy would judge.
    pub judges: Vec<Operation>,
    /// The roles in configurations that are not in the `roles` of the configuration.
    pub undeclared_roles: BTreeSet<String>,
    /// What should be known of the versions.
    pub warnings: Vec<String>,
    steps: Vec<Arc<PlanStep>>,
    scopes: Vec<Scope>,
}

/// The locks that a binding covers.
#[derive(Debug)]
struct Scope {
    /// `None` for all.
    namespaces: Option<BTreeSet<String>>,
    patterns: Vec<LockPattern>,
}

impl Scope {
    fn of(binding: &BindingDocument) -> Self {
        let named: BTreeSet<String> = binding.namespaces.iter().cloned().collect();
        // A pattern of a stored binding that this build cannot read covers nothing here either.
        let patterns = binding
            .locks
            .iter()
            .flat_map(|text| LockPattern::parse(text));
        Self {
            namespaces: (!named.contains(ALL_NAMESPACES)).then_some(named),
            patterns: patterns.collect(),
        }
    }

    fn names(&self, namespace: &NamespaceName) -> bool {
        let named = self.namespaces.as_ref();
        named.is_none_or(|named| named.contains(namespace.as_str()))
    }
}

impl BindingCandidate {
    /// Whether the binding before or after the change names a namespace.
    pub(crate) fn names(&self, namespace: &NamespaceName) -> bool {
        self.scopes.iter().any(|scope| scope.names(namespace))
    }

    /// Whether the binding before or after the change covers a lock.
    pub(crate) fn covers(&self, lock: &LockRef) -> bool {
        self.scopes.iter().any(|scope| {
            let mut patterns = scope.patterns.iter();
            scope.names(&lock.namespace) && patterns.any(|pattern| pattern.matches(&lock.lock))
        })
    }

    /// Returns the only namespace that the binding before and after the change names, if it is one.
    pub(crate) fn only_namespace(&self) -> Option<String> {
        let mut all = BTreeSet::new();
        for scope in &self.scopes {
            all.extend(scope.namespaces.as_ref()?);
        }
        match all.len() {
            1 => all.pop_first().cloned(),
            _ => None,
        }
    }

    /// Returns the policies of the binding after the change that would judge a request.
    pub(crate) fn judging(&self, request: &Request) -> Vec<&Arc<PlanStep>> {
        let Some(after) = &self.after else {
            return Vec::new();
        };
        let namespace = request.lock.namespace.as_str();
        let mut named = after.namespaces.iter();
        if !named.any(|name| name == namespace || name == ALL_NAMESPACES) {
            return Vec::new();
        }
        let judges = |step: &&Arc<PlanStep>| {
            let mut operations = step.operations();
            step.covers(&request.lock.lock) && operations.any(|one| one == request.operation)
        };
        self.steps.iter().filter(judges).collect()
    }
}

impl Governance {
    /// Checks a change of a binding as its write would, and writes nothing. `after` is `None` for a
    /// deletion.
    ///
    /// # Errors
    /// The write would be refused for another reason than a missing approval, or the store cannot be
    /// read.
    pub async fn binding_candidate(
        &self,
        name: &str,
        after: Option<BindingDocument>,
    ) -> Result<BindingCandidate, Failure> {
        let before = self.find_binding(name).await?;
        if before.is_none() && after.is_none() {
            let message = format!("there is no binding {name}");
            return Err(Failure::new(FailureKind::NotFound, message));
        }
        let replaced = before.as_ref().map(|before| &before.document);
        if replaced.is_some() {
            self.check_rollouts(name, after.as_ref()).await?;
        }
        let mut candidate = BindingCandidate {
            name: Arc::from(name),
            changes: field_changes(replaced, after.as_ref()),
            evaluation_changes: Vec::new(),
            judges: Vec::new(),
            undeclared_roles: BTreeSet::new(),
            warnings: Vec::new(),
            steps: Vec::new(),
            scopes: replaced.into_iter().chain(&after).map(Scope::of).collect(),
            before: None,
            after: None,
        };
        let mut judged = Judged::new();
        if let Some(binding) = &after {
            let inspected = self.inspect(binding, replaced).await?;
            let standing = self.check_standing(binding, replaced, &inspected.versions);
            candidate.warnings = standing.await?;
            candidate.undeclared_roles = self.undeclared_roles(&inspected.steps);
            judged = inspected.judged();
            candidate.steps = inspected.steps.into_iter().map(Arc::new).collect();
        }
        candidate.evaluation_changes = self.judged_otherwise(replaced, &judged).await?;
        let all: BTreeSet<Operation> = judged.into_values().flat_map(|(_, all)| all).collect();
        candidate.judges = all.into_iter().collect();
        Ok(BindingCandidate {
            before,
            after,
            ..candidate
        })
    }
}
