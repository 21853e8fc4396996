//! The check of a binding before it is written.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use leasehold_domain::Operation;
use leasehold_domain::limits;

use super::Governance;
use super::Stored;
use super::bound::BoundPolicies;
use super::document::BindingDocument;
use super::document::BoundPolicyDocument;
use super::document::PolicyDocument;
use super::judged::Judged;
use super::judged::JudgedChange;
use super::judged::differences;
use super::plan;
use super::plan::PlanStep;
use super::reach;
use crate::failure::Failure;
use crate::failure::FailureKind;

/// The policy versions that a binding names, by the ids of their documents.
pub(super) type Versions = BTreeMap<String, Stored<PolicyDocument>>;

/// A binding that may be written.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) judged: Judged,
    pub(super) bound: BoundPolicies,
    pub(super) versions: Versions,
    /// Roles in its configurations that are not in the `roles` of the configuration.
    pub(super) undeclared_roles: BTreeSet<String>,
}

/// A binding that passed the checks, and of which nothing is kept.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) steps: Vec<PlanStep>,
    pub(super) bound: BoundPolicies,
    pub(super) versions: Versions,
}

impl Inspected {
    /// Returns the versions and the judged operations of each policy.
    pub(super) fn judged(&self) -> Judged {
        let mut judged = Judged::new();
        for planned in &self.steps {
            let step = &planned.step;
            let (versions, operations) = judged.entry(step.policy.to_string()).or_default();
            versions.push(step.version.to_string());
            operations.extend(planned.operations());
        }
        judged
    }
}

impl Governance {
    /// Asks the store: another gateway may have made the namespace a moment ago. A name that the
    /// replaced binding has too may stay: the namespace was deleted meanwhile, and the binding must
    /// not become one that cannot be written again.
    async fn check_namespaces(
        &self,
        binding: &BindingDocument,
        replaced: Option<&BindingDocument>,
    ) -> Result<(), Failure> {
        if binding.namespaces.is_empty() {
            return Err(Failure::invalid("namespaces: at least one, or \"*\""));
        }
        let had = |name: &String| replaced.is_some_and(|old| old.namespaces.contains(name));
        for (index, name) in binding.namespaces.iter().enumerate() {
            if name == "*" || had(name) {
                continue;
            }
            let missing = || {
                let hint = match name.contains('*') {
                    true => "; only \"*\" alone stands for all namespaces",
                    false => "",
                };
                Failure::invalid(format!(
                    "namespaces[{index}]: there is no namespace {name:?}{hint}"
                ))
            };
            let parsed = name.parse().map_err(|_| missing())?;
            match self.namespace(&parsed).await {
                Ok(_) => {}
                Err(failure) if failure.kind == FailureKind::NamespaceNotFound => {
                    return Err(missing());
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Checks a binding whole, and keeps its configurations.
    pub(super) async fn check(
        &self,
        binding: &BindingDocument,
        replaced: Option<&BindingDocument>,
    ) -> Result<Checked, Failure> {
        let inspected = self.inspect(binding, replaced).await?;
        let steps = &inspected.steps;
        // The configuration's bytes are kept by digest, so that any recorded decision can be run
        // again although the binding has changed since.
        for bound in steps.iter().flat_map(|planned| &planned.step.bound) {
            let config = Arc::from(bound.config().as_bytes());
            self.documents.put_blob(config).await?;
        }
        Ok(Checked {
            judged: inspected.judged(),
            undeclared_roles: self.undeclared_roles(steps),
            bound: inspected.bound,
            versions: inspected.versions,
        })
    }

    /// Checks a binding whole, and keeps nothing.
    pub(super) async fn inspect(
        &self,
        binding: &BindingDocument,
        replaced: Option<&BindingDocument>,
    ) -> Result<Inspected, Failure> {
        if binding
            .name
            .parse::<leasehold_domain::NamespaceName>()
            .is_err()
        {
            return Err(Failure::invalid("name: 1 to 63 of a-z, 0-9 and -"));
        }
        if binding.policies.is_empty() || binding.policies.len() > limits::POLICIES_PER_DECISION_MAX
        {
            let most = limits::POLICIES_PER_DECISION_MAX;
            return Err(Failure::invalid(format!("policies: expected 1 to {most}")));
        }
        reach::check_texts(binding)?;
        self.check_namespaces(binding, replaced).await?;
        let (steps, bound, versions) = self.bind_all(binding).await?;
        reach::check_steps(binding, &steps)?;
        Ok(Inspected {
            steps,
            bound,
            versions,
        })
    }

    /// Returns the roles in configurations that are not in the `roles` of the configuration.
    pub(super) fn undeclared_roles(&self, steps: &[PlanStep]) -> BTreeSet<String> {
        let named = steps.iter().flat_map(|planned| &planned.step.bound);
        let named = named.flat_map(leasehold_policy_host::BoundPolicy::custom_roles);
        named
            .filter(|role| !self.declared_roles.contains(role))
            .collect()
    }

    /// The binding's policies with their configurations; all of them can be loaded.
    async fn bind_all(
        &self,
        binding: &BindingDocument,
    ) -> Result<(Vec<PlanStep>, BoundPolicies, Versions), Failure> {
        let (mut modules, mut wanted) = (HashMap::new(), Vec::new());
        let mut versions = Versions::new();
        for (at, bound) in binding.policies.iter().enumerate() {
            let config = serde_json::to_vec(&bound.config)
                .map_err(|error| Failure::internal(error.to_string()))?;
            if config.len() > limits::POLICY_CONFIG_BYTES_MAX {
                let most = limits::POLICY_CONFIG_BYTES_MAX;
                let message = format!("policies[{at}].config: at most {most} bytes");
                return Err(Failure::invalid(message));
            }
            let id = PolicyDocument::id(&bound.policy, &bound.version);
            let version = self.version(&bound.policy, &bound.version).await?;
            let Some(version) = version else {
                let message = format!("policies[{at}]: there is no {id}");
                return Err(Failure::invalid(message));
            };
            let module = self.module(&version.document.digest).await?;
            if let Ok(module) = &module {
                wanted.push((module.clone(), bound.config.clone()));
            }
            versions.insert(id.clone(), version);
            modules.insert(id, module);
        }
        let bound = BoundPolicies::bind(wanted).await?;
        let checked = |document: &BoundPolicyDocument| {
            let id = PolicyDocument::id(&document.policy, &document.version);
            let module = modules.get(&id).cloned();
            let module = module.unwrap_or_else(|| Err(format!("there is no policy {id}")))?;
            bound.get(&module, &document.config)
        };
        let steps = plan::steps_of(binding, &[], checked).map_err(Failure::invalid)?;
        for (at, PlanStep { step, .. }) in steps.iter().enumerate() {
            if let Err(problem) = &step.bound {
                let (policy, version) = (&step.policy, &step.version);
                return Err(Failure::invalid(format!(
                    "policies[{at}]: {policy}@{version}: {problem}"
                )));
            }
        }
        Ok((steps, bound, versions))
    }

    /// Returns the policies that judge other operations than in the replaced binding; none if there is no
    /// such binding.
    pub(super) async fn judged_otherwise(
        &self,
        replaced: Option<&BindingDocument>,
        judged: &Judged,
    ) -> Result<Vec<JudgedChange>, Failure> {
        match replaced {
            Some(replaced) => Ok(differences(self.judged_before(replaced).await?, judged)),
            None => Ok(Vec::new()),
        }
    }

    /// What each policy of a stored binding judges, by the manifests of their versions.
    async fn judged_before(&self, binding: &BindingDocument) -> Result<Judged, Failure> {
        let mut judged = Judged::new();
        for bound in &binding.policies {
            let version = self.version(&bound.policy, &bound.version).await?;
            let operations = version.map(|v| v.document.operations).unwrap_or_default();
            let (versions, asked) = judged.entry(bound.policy.clone()).or_default();
            versions.push(bound.version.clone());
            asked.extend(operations.iter().filter_map(|name| {
                let named = binding.operations.is_empty() || binding.operations.contains(name);
                Operation::from_name(name).filter(|o| named && o.is_judged())
            }));
        }
        Ok(judged)
    }
}
