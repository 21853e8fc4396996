//! One policy that a request must pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_domain::Digest;
use leasehold_domain::Enforcement;
use leasehold_domain::Operation;
use leasehold_policy_host::BoundPolicy;

/// One policy that a request must pass, as a binding names it.
#[derive(Debug, Clone)]
pub struct Step {
    /// The name of the binding.
    pub binding: Arc<str>,
    /// The name of the policy.
    pub policy: Arc<str>,
    /// The version of the policy.
    pub version: Arc<str>,
    /// Whether a denial denies.
    pub enforcement: Enforcement,
    /// The operations that pass if the policy fails. A failure denies every other operation.
    pub on_error_allow: BTreeSet<Operation>,
    /// The module with its configuration, or the reason why it could not be loaded.
    pub bound: Result<BoundPolicy, String>,
    /// Who killed the version, when and why; `None` while it may judge. A killed version is not asked,
    /// and has failed.
    pub killed: Option<Arc<str>>,
}

impl Step {
    /// Returns whether the verdict counts. An advisory verdict is recorded, and neither grants nor
    /// denies anything.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.enforcement != Enforcement::Advisory
    }

    /// Returns a digest of everything that may change the verdict on a renewal: the names, the
    /// enforcement, whether a failure passes a renewal, the digests of module and configuration, and
    /// whether the version is killed.
    ///
    /// The digest is part of the [`RuleDigest`](leasehold_domain::RuleDigest) that is stored with a
    /// lease: it must never change for an equal step.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::new();
        let enforcement = self.enforcement.as_str();
        // The length after each text keeps the bytes of different steps different.
        for text in [&*self.binding, &*self.policy, &*self.version, enforcement] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
        let passes = self.on_error_allow.contains(&Operation::Renew);
        bytes.push(u8::from(passes));
        if let Ok(bound) = &self.bound {
            bytes.extend_from_slice(&bound.module().digest().0);
            bytes.extend_from_slice(&bound.config_digest().0);
        }
        if self.killed.is_some() {
            bytes.extend_from_slice(b"killed");
        }
        Digest::of(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        Step {
            binding: "b".into(),
            policy: "p".into(),
            version: "1.0.0".into(),
            enforcement: Enforcement::Mandatory,
            on_error_allow: BTreeSet::new(),
            bound: Err("not loaded".to_owned()),
            killed: None,
        }
    }

    #[test]
    fn the_digest_is_pinned_and_differs_by_each_part() {
        let pinned = "89f1fab164107fbaef5ce5aded28af6dfb689da0ba6f56b0387ae9ddc4696f1f";
        assert_eq!(step().digest().to_string(), pinned);
        let other = |change: fn(&mut Step)| {
            let mut step = step();
            change(&mut step);
            step.digest()
        };
        let digests = [
            step().digest(),
            other(|step| step.binding = "bp".into()),
            other(|step| step.policy = "".into()),
            other(|step| step.version = "1.0.1".into()),
            other(|step| step.enforcement = Enforcement::Overridable),
            other(|step| step.on_error_allow = [Operation::Renew].into()),
            other(|step| step.killed = Some("by ada".into())),
        ];
        assert_eq!(BTreeSet::from(digests).len(), digests.len());
        // Leases are held under what judges their renewals.
        let acquire = other(|step| step.on_error_allow = [Operation::Acquire].into());
        assert_eq!(acquire, step().digest());
    }
}
