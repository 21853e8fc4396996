//! Bindings: checked whole when they are written, so that a request never meets a bad one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::failure::FailureKind;
use leasehold_domain::Edit;
use leasehold_domain::Operation;
use leasehold_domain::Precondition;

use super::Governance;
use super::Stored;
use super::approval::of_binding;
use super::checking::Checked;
use super::checking::Versions;
use super::document::BINDINGS;
use super::document::BindingDocument;
use super::document::BoundPolicyDocument;
use super::document::POLICIES;
use super::document::PolicyDocument;
use super::document::RevisionOrigin;
use super::edit;
use super::index::ALL_NAMESPACES;
use super::judged::JudgedChange;
use super::revision::RevisedEdits;
use super::revision::RevisedWrite;
use super::revision::check_reason;
use super::revision::exact;
use crate::caller::Caller;
use crate::failure::Failure;

/// A binding that was written.
#[derive(Debug, Clone)]
pub struct WrittenBinding {
    /// The revision of the write.
    pub revision: u64,
    /// The number of the binding's newest revision.
    pub number: u64,
    /// The operations that at least one of the policies judges, in the order of the operations.
    pub judges: Vec<Operation>,
    /// The policies that judge other operations than in the binding that was replaced.
    pub changes: Vec<JudgedChange>,
    /// The roles in configurations of stock policies that are not in the `roles` of the configuration.
    pub undeclared_roles: BTreeSet<String>,
    /// What whoever binds them should know of its versions.
    pub warnings: Vec<String>,
}

/// The pattern of all locks.
const ALL_LOCKS: &str = "**";

/// How often a binding is checked and written against others that write, too.
const WRITES_MAX: usize = 4;

impl Governance {
    /// Creates or replaces a binding.
    ///
    /// # Errors
    /// A namespace, policy version or pattern does not exist, a part can never match, a
    /// configuration does not fit the version's schema (the message says where), the precondition
    /// does not hold, others must approve the change first, or the store cannot write.
    pub async fn put_binding(
        &self,
        caller: &Caller,
        binding: &BindingDocument,
        precondition: Precondition,
    ) -> Result<WrittenBinding, Failure> {
        let why = (RevisionOrigin::Put, None);
        self.write_binding(caller, binding, precondition, why).await
    }

    /// Creates or replaces a binding as [`Self::put_binding`] does, and keeps the reason with its
    /// revision.
    ///
    /// # Errors
    /// As [`Self::put_binding`], and the reason is invalid.
    pub async fn put_binding_for(
        &self,
        caller: &Caller,
        binding: &BindingDocument,
        precondition: Precondition,
        reason: Option<&str>,
    ) -> Result<WrittenBinding, Failure> {
        check_reason(reason)?;
        let why = (RevisionOrigin::Put, reason);
        self.write_binding(caller, binding, precondition, why).await
    }

    /// Makes a binding say what one of its revisions said. That passes the same checks and approvals
    /// as any other write of the binding.
    ///
    /// # Errors
    /// `not_found`: there is no such revision. `invalid`: it deleted the binding. As
    /// [`Self::put_binding`].
    pub async fn restore_binding(
        &self,
        caller: &Caller,
        name: &str,
        number: u64,
        reason: Option<&str>,
    ) -> Result<(BindingDocument, WrittenBinding), Failure> {
        check_reason(reason)?;
        let body: BindingDocument = self.restorable(name, number).await?;
        let why = (RevisionOrigin::Restore(number), reason);
        let written = self.write_binding(caller, &body, Precondition::Any, why);
        let written = Box::pin(written).await?;
        Ok((body, written))
    }

    /// Checks and writes a binding, for every way to create or replace one but a rollout.
    async fn write_binding(
        &self,
        caller: &Caller,
        binding: &BindingDocument,
        precondition: Precondition,
        why: (RevisionOrigin, Option<&str>),
    ) -> Result<WrittenBinding, Failure> {
        for _ in 0..WRITES_MAX {
            let put = self.try_put(caller, binding, precondition, why.clone());
            if let Some(written) = Box::pin(put).await? {
                return Ok(written);
            }
        }
        let message = "other writes changed the binding or its policies each time; try again";
        Err(Failure::new(FailureKind::Conflict, message))
    }

    /// Checks and writes a binding. Returns `None` if what it was checked against has changed by the
    /// time of the write.
    async fn try_put(
        &self,
        caller: &Caller,
        binding: &BindingDocument,
        precondition: Precondition,
        (origin, reason): (RevisionOrigin, Option<&str>),
    ) -> Result<Option<WrittenBinding>, Failure> {
        let replaced = match precondition {
            Precondition::Absent => None,
            Precondition::Any | Precondition::Revision(_) => {
                self.find_binding(&binding.name).await?
            }
        };
        // Versions that the replaced binding names cannot be deleted before it is replaced.
        let exact = exact(precondition, replaced.as_ref());
        let replaced = replaced.map(|replaced| replaced.document);
        if replaced.is_some() {
            self.check_rollouts(&binding.name, Some(binding)).await?;
        }
        let Checked {
            judged,
            bound,
            versions,
            undeclared_roles,
        } = self.check(binding, replaced.as_ref()).await?;
        let warnings = self.check_standing(binding, replaced.as_ref(), &versions);
        let warnings = warnings.await?;
        let changes = self.judged_otherwise(replaced.as_ref(), &judged).await?;
        let summary = summary_of(binding, &changes);
        let change = (replaced.as_ref(), Some(binding));
        let asked = told(&summary, reason);
        let approval = [of_binding(&binding.name, change, &versions, &asked)];
        let approval = Box::pin(self.approved(caller, &approval)).await?;
        let write = RevisedWrite::<BindingDocument> {
            name: &binding.name,
            before: replaced.as_ref(),
            after: Some(binding),
            precondition: exact,
            origin,
            reason,
            summary,
        };
        let RevisedEdits { mut edits, number } = self.revised_edits(caller, write).await?;
        edits.extend(approval);
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
            number,
            judges: all.into_iter().collect(),
            changes,
            undeclared_roles,
            warnings,
        }))
    }

    /// Checks the versions that a binding puts to new use: those that the binding before did not name,
    /// and all of them if it reaches further than that one. Others go on, so that an expired version
    /// does not make a binding unchangeable. Returns what should be known of all of them.
    pub(super) async fn check_standing(
        &self,
        binding: &BindingDocument,
        replaced: Option<&BindingDocument>,
        versions: &Versions,
    ) -> Result<Vec<String>, Failure> {
        let named_before = replaced.into_iter().flat_map(|replaced| &replaced.policies);
        let named_before: BTreeSet<String> = named_before.map(version_id).collect();
        let is_wider = replaced.is_none_or(|replaced| reaches_further(binding, replaced));
        let mut warnings = Vec::new();
        for (id, version) in versions {
            let version = &version.document;
            let standing = match is_wider || !named_before.contains(id) {
                true => self.usable(version, "bound").await?,
                false => self.standing(version).await?,
            };
            warnings.extend(standing.warnings(id));
        }
        Ok(warnings)
    }

    /// Deletes a binding.
    ///
    /// # Errors
    /// There is none of that name, others must approve the change first, or the store cannot write.
    pub async fn delete_binding(&self, caller: &Caller, name: &str) -> Result<(), Failure> {
        let deleted = self.delete_binding_for(caller, name, Precondition::Any, None);
        deleted.await.map(drop)
    }

    /// Deletes a binding as [`Self::delete_binding`] does, and keeps the reason with the revision.
    /// Returns what it said, and the number of the revision.
    ///
    /// # Errors
    /// As [`Self::delete_binding`]; the precondition does not hold, or the reason is invalid.
    pub async fn delete_binding_for(
        &self,
        caller: &Caller,
        name: &str,
        precondition: Precondition,
        reason: Option<&str>,
    ) -> Result<(Stored<BindingDocument>, u64), Failure> {
        check_reason(reason)?;
        let stored: Stored<BindingDocument> = self.binding(name).await?;
        self.check_rollouts(name, None).await?;
        let exact = exact(precondition, Some(&stored));
        let summary = format!("binding {name} deleted");
        let change = (Some(&stored.document), None);
        let asked = told(&summary, reason);
        let proposal = of_binding(name, change, &Versions::new(), &asked);
        let approval = Box::pin(self.approved(caller, &[proposal])).await?;
        let write = RevisedWrite::<BindingDocument> {
            name,
            before: Some(&stored.document),
            after: None,
            precondition: exact,
            origin: RevisionOrigin::Delete,
            reason,
            summary,
        };
        let RevisedEdits { mut edits, number } = self.revised_edits(caller, write).await?;
        edits.extend(approval);
        self.commit(edits).await?;
        Ok((stored, number))
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

    pub(super) async fn find_binding(
        &self,
        name: &str,
    ) -> Result<Option<Stored<BindingDocument>>, Failure> {
        match self.binding(name).await {
            Ok(stored) => Ok(Some(stored)),
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// Whether a binding judges in a namespace, a pattern of locks or an operation that another does not
/// name.
fn reaches_further(binding: &BindingDocument, than: &BindingDocument) -> bool {
    let adds = |new: &[String], old: &[String], all: &str| {
        let had_all = old.iter().any(|old| old == all);
        !had_all && new.iter().any(|new| !old.contains(new))
    };
    let operations = match (binding.operations.is_empty(), than.operations.is_empty()) {
        (_, true) => false,
        (true, false) => true,
        (false, false) => adds(&binding.operations, &than.operations, ""),
    };
    operations
        || adds(&binding.namespaces, &than.namespaces, ALL_NAMESPACES)
        || adds(&binding.locks, &than.locks, ALL_LOCKS)
}

/// Returns what approvers are told of a change.
fn told(summary: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{summary}: {reason}"),
        None => summary.to_owned(),
    }
}

/// Returns a binding and what its policies judge otherwise, in words.
fn summary_of(binding: &BindingDocument, changes: &[JudgedChange]) -> String {
    let named: Vec<String> = binding.policies.iter().map(version_id).collect();
    let mut summary = format!("binding {}: {}", binding.name, named.join(", "));
    for change in changes {
        let _ = write!(summary, "; {change}");
    }
    summary
}

fn version_id(policy: &BoundPolicyDocument) -> String {
    PolicyDocument::id(&policy.policy, &policy.version)
}

/// Makes the edits that rewrite, unchanged, each version that a binding names and the replaced binding
/// does not. So a version cannot be deleted between the check of the binding and its write: one of
/// the two writes fails.
pub(super) fn taken_into_use(
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
