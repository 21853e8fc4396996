//! What the policies said about one request, with all that a replay needs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;

use crate::Digest;
use crate::LockView;
use crate::PolicyCounter;
use crate::Usage;
use crate::WallMillis;

/// All verdicts for one request, and what follows from them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// 128 random bits, so that an answer can be found in the ledger.
    pub id: u128,
    /// What follows.
    pub effect: Effect,
    /// What the policies were shown besides request and principal.
    pub facts: Facts,
    /// Each policy's answer, in the order in which they ran.
    pub verdicts: Vec<PolicyVerdict>,
    /// The tightest of the limits that the allowing policies set.
    pub limits: PolicyLimits,
    /// The revision of the bindings that were used.
    pub bindings_revision: u64,
    /// The rule under which a lease is held by this decision; none for operations other than
    /// acquire and renew.
    pub rule: Option<RuleDigest>,
}

/// The rule under which a lease is held, in 64 bits: what judges its renewals (bindings, policy
/// versions, modules, configurations), and the limits that it was given. A renewal under another
/// rule gets an event of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RuleDigest(pub [u8; 8]);

impl RuleDigest {
    /// The rule of these steps, in their order, with these limits. `overridden` says that a
    /// break-glass principal passed a denial.
    ///
    /// The digest is stored with leases: it must never change for the same rule.
    #[must_use]
    pub fn of<'s>(
        steps: impl IntoIterator<Item = &'s Digest>,
        limits: &PolicyLimits,
        overridden: bool,
    ) -> Self {
        let mut hasher = sha2::Sha256::new();
        for limit in [limits.max_ttl_ms, limits.max_hold_ms] {
            hasher.update([u8::from(limit.is_some())]);
            hasher.update(limit.unwrap_or(0).to_be_bytes());
        }
        hasher.update([u8::from(overridden)]);
        for step in steps {
            hasher.update(step.0);
        }
        let digest = hasher.finalize();
        let mut rule = [0; 8];
        rule.copy_from_slice(&digest[..8]);
        Self(rule)
    }
}

impl fmt::Display for RuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RuleDigest {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidRule)?;
        Ok(Self(bytes))
    }
}

/// A rule's digest that is not 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 16 hexadecimal digits")]
pub struct InvalidRule;

/// What follows from the verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// The request may pass.
    Allow,
    /// It may pass although an overridable policy denied it, because a principal with the
    /// break-glass role gave a reason.
    Override {
        /// The written reason.
        reason: Box<str>,
    },
    /// It may not.
    Deny(Denial),
}

/// Why a request may not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Which of the answers this is.
    pub kind: DenialKind,
    /// The policy that denied, if one did.
    pub policy: Option<Arc<str>>,
    /// The policy's own code, stable, for programs.
    pub code: Box<str>,
    /// The policy's own message, for people.
    pub message: Box<str>,
    /// When it may be worth asking again.
    pub retry_after_ms: Option<u64>,
}

/// The answers that must never be confused with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DenialKind {
    /// A policy said no.
    Policy,
    /// A policy failed (trap, spent budget, rubbish), and its binding says that this denies.
    PolicyError,
    /// No policy is bound, and the namespace denies by default.
    NoPolicyBound,
    /// The principal lacks a role that the operation needs.
    Role,
    /// The lease is another principal's. The lock machine found that out, not a policy.
    NotHolder,
}

impl DenialKind {
    /// The kind's name in the API, metrics and the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "denied",
            Self::PolicyError => "policy_error",
            Self::NoPolicyBound => "no_policy_bound",
            Self::Role => "role",
            Self::NotHolder => "not_holder",
        }
    }
}

/// What a policy is shown besides request and principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The gateway's wall clock, for freeze windows and the like.
    pub now: WallMillis,
    /// The lock's state, if the policy's manifest asks for it.
    pub lock: Option<Box<LockView>>,
    /// The caller's usage, if the policy's manifest asks for it.
    pub usage: Option<Usage>,
}

/// One policy's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVerdict {
    /// The binding by which it ran.
    pub binding: Arc<str>,
    /// Which policy.
    pub policy: Arc<str>,
    /// Which version.
    pub version: Arc<str>,
    /// The module's digest.
    pub module: Digest,
    /// The digest of its configuration (canonical JSON bytes).
    pub config: Digest,
    /// How binding its answer is.
    pub enforcement: Enforcement,
    /// What it said.
    pub answer: PolicyAnswer,
    /// The fuel that it spent: deterministic.
    pub fuel: u64,
    /// The rollout that chose this version for the request, if one did.
    pub rollout: Option<Arc<RolloutChoice>>,
}

/// Why a rollout, the staged replacement of one policy version by another, chose a version for a
/// request. Names are text, so that a build can read those that a later build introduces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RolloutChoice {
    /// The rollout's name.
    pub rollout: Box<str>,
    /// The stage in which it was, such as `shadow`, `canary` or `full`.
    pub stage: Box<str>,
    /// Which of the versions it chose, such as `current` or `candidate`.
    pub variant: Option<Box<str>>,
    /// The bucket of the request's unit, if one was computed: 0 to 99,999.
    pub bucket: Option<u32>,
    /// The function that computed the bucket, such as `mmh3-v1`.
    pub bucket_function: Option<Box<str>>,
    /// The share of the canary in thousandths of a percent, if a flag has made it smaller than the
    /// share of the step.
    pub flag_share: Option<u32>,
}

/// How binding a policy's answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Enforcement {
    /// Recorded only.
    Advisory,
    /// A denial denies.
    Mandatory,
    /// A denial denies unless a break-glass principal gives a reason.
    Overridable,
}

impl Enforcement {
    /// The level's name in the API, metrics and the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Advisory => "advisory",
            Self::Mandatory => "mandatory",
            Self::Overridable => "overridable",
        }
    }
}

/// What one policy said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyAnswer {
    /// It may pass, within these limits.
    Allow(PolicyLimits),
    /// It may not.
    Deny {
        /// Stable, for programs.
        code: Box<str>,
        /// For people.
        message: Box<str>,
        /// When it may be worth asking again.
        retry_after_ms: Option<u64>,
    },
    /// The policy failed.
    Error {
        /// What happened, for the policy's author.
        message: Box<str>,
        /// Whether the binding lets the request pass all the same (`on_error = "allow"`).
        passed: bool,
    },
}

impl PolicyAnswer {
    /// The kinds of answer, as metrics and the ledger call them.
    pub const KINDS: [&str; 3] = ["allow", "deny", "error"];

    /// Which of [`Self::KINDS`] it is.
    #[must_use]
    pub fn kind(&self) -> usize {
        match self {
            Self::Allow(_) => 0,
            Self::Deny { .. } => 1,
            Self::Error { .. } => 2,
        }
    }

    /// The name of its kind.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        Self::KINDS[self.kind()]
    }
}

/// Limits that a policy puts on what it allows. None does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PolicyLimits {
    /// The longest time to live.
    pub max_ttl_ms: Option<u64>,
    /// The longest hold, renewals included.
    pub max_hold_ms: Option<u64>,
    /// The counters that the lease will carry: those of one verdict, in the policy's order. Empty in
    /// the limits of a decision, for the counters belong to their policies.
    pub counters: Vec<PolicyCounter>,
}

impl PolicyLimits {
    /// The tightest of both durations. Counters are left out: they belong to their policies.
    #[must_use]
    pub fn tightest(&self, other: &Self) -> Self {
        let least = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, None) | (None, one) => one,
        };
        Self {
            max_ttl_ms: least(self.max_ttl_ms, other.max_ttl_ms),
            max_hold_ms: least(self.max_hold_ms, other.max_hold_ms),
            counters: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_differs_by_each_of_its_parts() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let limits = |max_ttl_ms, max_hold_ms| PolicyLimits {
            max_ttl_ms,
            max_hold_ms,
            counters: Vec::new(),
        };
        let none = PolicyLimits::default();
        let rules = [
            RuleDigest::of([], &none, false),
            RuleDigest::of([], &none, true),
            RuleDigest::of([], &limits(Some(0), None), false),
            RuleDigest::of([], &limits(None, Some(0)), false),
            RuleDigest::of([], &limits(Some(7), None), false),
            RuleDigest::of([&a], &none, false),
            RuleDigest::of([&b], &none, false),
            RuleDigest::of([&a, &b], &none, false),
            RuleDigest::of([&b, &a], &none, false),
        ];
        let distinct: std::collections::HashSet<_> = rules.iter().collect();
        assert_eq!(distinct.len(), rules.len());
        assert_eq!(rules[0].to_string(), "d6fd62f5ce537d90");
        assert_eq!(rules[0].to_string().parse(), Ok(rules[0]));
        assert_eq!("12".parse::<RuleDigest>(), Err(InvalidRule));
    }
}
