//! What the policies of a binding judge, and what differs from the binding before.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use leasehold_domain::Operation;

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

/// The versions and the judged operations of each policy of a binding.
pub(super) type Judged = BTreeMap<String, (Vec<String>, BTreeSet<Operation>)>;

/// The policies that judge other operations than before.
pub(super) fn differences(mut before: Judged, now: &Judged) -> Vec<JudgedChange> {
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
