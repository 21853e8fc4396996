//! The policy versions under which a lease is held.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::Decision;
use crate::Enforcement;
use crate::PolicyVerdict;

/// One version of a policy. A version keeps its module forever, also after it was deleted, so the
/// name and the version identify the module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// The policy's name.
    pub policy: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
}

/// The policy versions that judged a lease, each once, in the order of their names. Advisory policies
/// are left out: their verdicts neither grant nor deny.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeasePolicies {
    /// They judged the acquire. Empty if no policy did.
    pub granted: Vec<PolicyVersion>,
    /// They judged the last renewal. `None` if the lease was not renewed by a decision.
    pub renewed: Option<Vec<PolicyVersion>>,
}

impl LeasePolicies {
    /// Returns the policies of a lease that this decision grants.
    #[must_use]
    pub fn granted_by(decision: &Decision) -> Self {
        Self {
            granted: judges(decision),
            renewed: None,
        }
    }

    /// Returns the policies of the same lease once this decision has renewed it.
    #[must_use]
    pub fn renewed_by(&self, decision: &Decision) -> Self {
        Self {
            granted: self.granted.clone(),
            renewed: Some(judges(decision)),
        }
    }

    /// Returns whether the last renewal was judged by the same versions as this decision.
    #[must_use]
    pub fn is_renewed_by(&self, decision: &Decision) -> bool {
        let same = |one: &PolicyVersion, verdict: &PolicyVerdict| {
            *one.policy == *verdict.policy && *one.version == *verdict.version
        };
        // Asked with every renewal, so it makes no list.
        self.renewed.as_ref().is_some_and(|renewed| {
            let judged = |one| deciding(decision).any(|verdict| same(one, verdict));
            let is_known = |verdict| renewed.iter().any(|one| same(one, verdict));
            renewed.iter().all(judged) && deciding(decision).all(is_known)
        })
    }

    /// Returns whether this version judged the acquire or the last renewal.
    #[must_use]
    pub fn has(&self, policy: &str, version: &str) -> bool {
        let renewed = self.renewed.iter().flatten();
        let mut all = self.granted.iter().chain(renewed);
        all.any(|one| *one.policy == *policy && *one.version == *version)
    }
}

fn deciding(decision: &Decision) -> impl Iterator<Item = &PolicyVerdict> {
    let verdicts = decision.verdicts.iter();
    verdicts.filter(|verdict| verdict.enforcement != Enforcement::Advisory)
}

/// Returns the versions whose verdicts decide.
fn judges(decision: &Decision) -> Vec<PolicyVersion> {
    let versions = deciding(decision).map(|verdict| PolicyVersion {
        policy: verdict.policy.clone(),
        version: verdict.version.clone(),
    });
    let mut versions: Vec<_> = versions.collect();
    versions.sort();
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;
    use crate::Effect;
    use crate::Facts;
    use crate::PolicyAnswer;
    use crate::PolicyLimits;
    use crate::WallMillis;

    fn decision(judges: &[(&str, &str, Enforcement)]) -> Decision {
        let verdicts = judges.iter().map(|(policy, version, enforcement)| {
            let digest = Digest::of(policy.as_bytes());
            PolicyVerdict {
                binding: "b".into(),
                policy: (*policy).into(),
                version: (*version).into(),
                module: digest,
                config: digest,
                enforcement: *enforcement,
                answer: PolicyAnswer::Allow(PolicyLimits::default()),
                fuel: 1,
                rollout: None,
            }
        });
        Decision {
            id: 1,
            effect: Effect::Allow,
            facts: Facts {
                now: WallMillis(1),
                lock: None,
                usage: None,
            },
            verdicts: verdicts.collect(),
            limits: PolicyLimits::default(),
            bindings_revision: 1,
            rule: None,
        }
    }

    fn shown(versions: &[PolicyVersion]) -> Vec<String> {
        let versions = versions.iter();
        versions
            .map(|v| format!("{}@{}", v.policy, v.version))
            .collect()
    }

    #[test]
    fn each_deciding_version_is_there_once() {
        use Enforcement::Advisory;
        use Enforcement::Mandatory;
        use Enforcement::Overridable;
        let grant = decision(&[
            ("q", "1.0.0", Mandatory),
            ("advice", "1.0.0", Advisory),
            ("p", "2.0.0", Overridable),
            ("p", "1.0.0", Mandatory),
            ("q", "1.0.0", Overridable),
            ("advice", "1.0.0", Advisory),
        ]);
        let granted = LeasePolicies::granted_by(&grant);
        assert_eq!(shown(&granted.granted), ["p@1.0.0", "p@2.0.0", "q@1.0.0"]);
        assert_eq!(granted.renewed, None);
        assert!(!granted.is_renewed_by(&grant));
        assert!(!granted.is_renewed_by(&decision(&[])));
        assert!(granted.has("p", "1.0.0") && granted.has("q", "1.0.0"));
        assert!(!granted.has("q", "2.0.0") && !granted.has("advice", "1.0.0"));

        let renewal = decision(&[("r", "1.0.0", Mandatory)]);
        let renewed = granted.renewed_by(&renewal);
        assert_eq!(renewed.granted, granted.granted);
        assert!(renewed.has("r", "1.0.0") && renewed.has("p", "2.0.0"));
        assert!(renewed.is_renewed_by(&renewal));
        assert!(!renewed.is_renewed_by(&grant));
        let unjudged = renewed.renewed_by(&decision(&[("r", "1.0.0", Advisory)]));
        assert_eq!(unjudged.renewed, Some(vec![]));
        assert!(unjudged.is_renewed_by(&decision(&[])));
        // A version that is advisory for one binding and decides for another.
        let both = decision(&[("p", "1.0.0", Advisory), ("p", "1.0.0", Mandatory)]);
        let both = LeasePolicies::granted_by(&both);
        assert_eq!(shown(&both.granted), ["p@1.0.0"]);
    }
}
