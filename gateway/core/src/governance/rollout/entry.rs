//! The entry of one policy in a binding.

use crate::failure::Failure;
use crate::governance::document::BindingDocument;
use crate::governance::document::RolloutVersion;

/// Returns the index of a binding's only entry of a policy.
pub(super) fn entry(binding: &BindingDocument, policy: &str) -> Result<usize, Failure> {
    let all = binding.policies.iter().enumerate();
    let mut entries = all.filter(|(_, entry)| entry.policy == policy);
    match (entries.next(), entries.next()) {
        (Some((at, _)), None) => Ok(at),
        (None, _) => Err(Failure::invalid(format!(
            "policy: binding {} does not name policy {policy}",
            binding.name
        ))),
        (Some(_), Some(_)) => Err(Failure::invalid(format!(
            "policy: binding {} names policy {policy} more than once; split the binding first",
            binding.name
        ))),
    }
}

pub(super) fn version_of(binding: &BindingDocument, entry: usize) -> RolloutVersion {
    let entry = &binding.policies[entry];
    RolloutVersion {
        version: entry.version.clone(),
        config: entry.config.clone(),
    }
}

pub(super) fn with_entry(
    binding: &BindingDocument,
    entry: usize,
    to: &RolloutVersion,
) -> BindingDocument {
    let mut changed = binding.clone();
    let entry = &mut changed.policies[entry];
    (entry.version, entry.config) = (to.version.clone(), to.config.clone());
    changed
}
