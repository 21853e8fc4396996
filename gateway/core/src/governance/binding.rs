//! Bindings: checked whole when they are written, so that a request never meets a bad one.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::failure::FailureKind;
use leasehold_domain::Edit;
use leasehold_domain::Operation;
use leasehold_domain::Precondition;
use leasehold_domain::limits;

use super::Governance;
use super::Stored;
use super::bound::BoundPolicies;
use super::document::BINDINGS;
use super::document::BindingDocument;
use super::document::BoundPolicyDocument;
use super::document::POLICIES;
use super::document::PolicyDocument;
use super::edit;
use super::plan;
use super::plan::PlanStep;
use super::reach;
use crate::caller::Caller;
use crate::failure::Failure;

/// A binding that was written.
#[derive(Debug, Clone)]
pub struct WrittenBinding {
    /// The revision of the write.
    pub revision: u64,
    /// The operations that at least one of the policies judges, in the order of the operations.
    pub judges: Vec<Operation>,
    /// The policies that judge other operations than in the binding that was replaced.
    pub changes: Vec<JudgedChange>,
}

/// A policy that judges other operations than before a binding was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedChange {
    /// Which policy.
    pub policy: String,
    /// Its versions in the binding before, empty if it was not bound.
    pub from: Vec<String>,
    /// Its versions now, empty if it is not bound any more.
    pub to: Vec<String>,
    /// The operations that it judges now and did not before.
    pub added: Vec<Operation>,
    /// The operations that it judged before and does not now.
    pub removed: Vec<Operation>,
}

/// The policy versions that a binding names, by the ids of their documents.
type Versions = BTreeMap<String, Stored<PolicyDocument>>;

/// A binding that may be written.
#[derive(Debug)]
struct Checked {
    judged: Judged,
    bound: BoundPolicies,
    versions: Versions,
}

/// How often a binding is checked and written against others that write, too.
const WRITES_MAX: usize = 4;

/// The versions and the judged operations of each policy of a binding.
type Judged = BTreeMap<String, (Vec<String>, BTreeSet<Operation>)>;

impl Governance {
    /// Creates or replaces a binding.
    ///
    /// # Errors
    /// A namespace, policy version or pattern does not exist, a part can never match, a
    /// configuration does not fit the version's schema (the message says where), the precondition
    /// does not hold, or the store cannot write.
    pub async fn put_binding(
        &self,
        caller: &Caller,
        binding: &BindingDocument,
        precondition: Precondition,
    ) -> Result<WrittenBinding, Failure> {
        for _ in 1..WRITES_MAX {
            if let Some(written) = self.try_put(caller, binding, precondition).await? {
                return Ok(written);
            }
        }
        let last = self.try_put(caller, binding, precondition).await?;
        let changed = || {
            let message = "other writes changed the binding or its policies each time; try again";
            Failure::new(FailureKind::Conflict, message)
        };
        last.ok_or_else(changed)
    }

    /// Checks and writes a binding. Returns `None` if what it was checked against has changed by the
    /// time of the write.
    async fn try_put(
        &self,
        caller: &Caller,
        binding: &BindingDocument,
        precondition: Precondition,
    ) -> Result<Option<WrittenBinding>, Failure> {
        let replaced = match precondition {
            Precondition::Absent => None,
            Precondition::Any | Precondition::Revision(_) => {
                self.find_binding(&binding.name).await?
            }
        };
        // Versions that the replaced binding names cannot be deleted before it is replaced.
        let exact = match (precondition, &replaced) {
            (Precondition::Any, Some(replaced)) => Precondition::Revision(replaced.revision),
            (Precondition::Any, None) => Precondition::Absent,
            (given, _) => given,
        };
        let replaced = replaced.map(|replaced| replaced.document);
        let Checked {
            judged,
            bound,
            versions,
        } = self.check(binding, replaced.as_ref()).await?;
        let before = match &replaced {
            Some(replaced) => self.judged_before(replaced).await?,
            None => judged.clone(),
        };
        let changes = differences(before, &judged);
        let named: Vec<String> = binding.policies.iter().map(version_id).collect();
        let mut summary = format!("binding {}: {}", binding.name, named.join(", "));
        for change in &changes {
            let _ = write!(summary, "; {change}");
        }
        let (id, body) = (&binding.name, Some(binding));
        let mut edits = vec![edit(caller, BINDINGS, id, body, exact, summary)?];
        edits.extend(taken_into_use(
            caller,
            binding,
            replaced.as_ref(),
            &versions,
        )?);
        let revision = match self.try_commit(edits, bound).await? {
            Ok(revision) => revision,
            Err(conflict) if conflict.index == 0 && precondition != Precondition::Any => {
                return Err(conflict.failure);
            }
            Err(_) => return Ok(None),
        };
        let all: BTreeSet<Operation> = judged.into_values().flat_map(|(_, all)| all).collect();
        Ok(Some(WrittenBinding {
            revision,
            judges: all.into_iter().collect(),
            changes,
        }))
    }

    /// Deletes a binding.
    ///
    /// # Errors
    /// There is none of that name, or the store cannot write.
    pub async fn delete_binding(&self, caller: &Caller, name: &str) -> Result<(), Failure> {
        let stored: Stored<BindingDocument> = self.binding(name).await?;
        let precondition = Precondition::Revision(stored.revision);
        let summary = format!("binding {name} deleted");
        let nothing = None::<&BindingDocument>;
        self.write(caller, BINDINGS, name, nothing, precondition, summary)
            .await?;
        Ok(())
    }

    /// One binding.
    ///
    /// # Errors
    /// There is none of that name, or the store cannot be read.
    pub async fn binding(&self, name: &str) -> Result<Stored<BindingDocument>, Failure> {
        self.read(BINDINGS, name).await
    }

    /// All bindings, by name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn bindings(&self) -> Result<Vec<Stored<BindingDocument>>, Failure> {
        self.list(BINDINGS).await
    }

    async fn find_binding(&self, name: &str) -> Result<Option<Stored<BindingDocument>>, Failure> {
        match self.binding(name).await {
            Ok(stored) => Ok(Some(stored)),
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

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
    async fn check(
        &self,
        binding: &BindingDocument,
        replaced: Option<&BindingDocument>,
    ) -> Result<Checked, Failure> {
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
        // The configuration's bytes are kept by digest, so that any recorded decision can be run
        // again although the binding has changed since.
        for bound in steps.iter().flat_map(|planned| &planned.step.bound) {
            let config = Arc::from(bound.config().as_bytes());
            self.documents.put_blob(config).await?;
        }
        let mut judged = Judged::new();
        for planned in &steps {
            let step = &planned.step;
            let (versions, operations) = judged.entry(step.policy.to_string()).or_default();
            versions.push(step.version.to_string());
            operations.extend(planned.operations());
        }
        Ok(Checked {
            judged,
            bound,
            versions,
        })
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
        let steps = plan::steps_of(binding, checked).map_err(Failure::invalid)?;
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

fn version_id(policy: &BoundPolicyDocument) -> String {
    PolicyDocument::id(&policy.policy, &policy.version)
}

/// Makes the edits that write the versions again, unchanged, which a binding names and the one that it
/// replaces does not. So none of them is deleted between the check of the binding and its write, and a
/// deletion that began before fails.
fn taken_into_use(
    caller: &Caller,
    binding: &BindingDocument,
    replaced: Option<&BindingDocument>,
    versions: &Versions,
) -> Result<Vec<Edit>, Failure> {
    let named_before = replaced.into_iter().flat_map(|replaced| &replaced.policies);
    let named_before: BTreeSet<String> = named_before.map(version_id).collect();
    let new = versions
        .iter()
        .filter(|(id, _)| !named_before.contains(*id));
    let edit_of = |(id, version): (&String, &Stored<PolicyDocument>)| {
        let same = Precondition::Revision(version.revision);
        let summary = format!("policy {id} taken into use by binding {}", binding.name);
        let unchanged = Some(&version.document);
        edit(caller, POLICIES, id, unchanged, same, summary)
    };
    new.map(edit_of).collect()
}

/// The policies that judge other operations than before.
fn differences(mut before: Judged, now: &Judged) -> Vec<JudgedChange> {
    let mut changes = Vec::new();
    for (policy, (to, new)) in now {
        let old = before.remove(policy).unwrap_or_default();
        changes.extend(difference(policy, old, to, new));
    }
    for (policy, old) in before {
        changes.extend(difference(&policy, old, &[], &BTreeSet::new()));
    }
    changes
}

fn difference(
    policy: &str,
    (from, old): (Vec<String>, BTreeSet<Operation>),
    to: &[String],
    new: &BTreeSet<Operation>,
) -> Option<JudgedChange> {
    (old != *new).then(|| JudgedChange {
        policy: policy.to_owned(),
        from,
        to: to.to_vec(),
        added: new.difference(&old).copied().collect(),
        removed: old.difference(new).copied().collect(),
    })
}

impl fmt::Display for JudgedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = |versions: &[String]| match versions {
            [] => "not bound".to_owned(),
            some => some.join(" and "),
        };
        write!(
            f,
            "{} ({} before, {} now)",
            self.policy,
            versions(&self.from),
            versions(&self.to)
        )?;
        for (what, operations) in [("judges", &self.added), ("no longer judges", &self.removed)] {
            let names: Vec<_> = operations.iter().map(|o| o.as_str()).collect();
            if !names.is_empty() {
                write!(f, " {what} {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}
