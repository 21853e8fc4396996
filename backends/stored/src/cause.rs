//! Who asked what, and which decision let it pass.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use std::collections::BTreeMap;

use leasehold_domain as domain;

use crate::Formed;
use crate::Invalid;
use crate::form::form;
use crate::lock::LockRef;
use crate::lock::Mode;
use crate::lock::Usage;
use crate::outcome::LockView;

form! {
    /// Why a command is run.
    pub struct Cause<'a> {
        0 request_id: &'a str,
        1 received: u64,
        2 principal: Box<Principal<'a>>,
        3 request: Request<'a>,
        4 decision: Option<Box<Decision<'a>>>,
    }
}

form! {
    /// Who calls.
    pub struct Principal<'a> {
        0 subject: &'a str,
        1 team: Option<&'a str>,
        2 roles: Option<Roles<'a>>,
        3 claims: BTreeMap<&'a str, &'a str> = default,
    }
}

form! {
    /// Roles, at least one: bits, numbered in this crate, and the names of custom ones.
    pub struct Roles<'a> {
        0 known: u32 = default,
        1 custom: Vec<&'a str> = default,
    }
}

form! {
    /// What was asked, before any policy limit was applied.
    pub struct Request<'a> {
        0 operation: Operation,
        1 lock: LockRef<'a>,
        2 mode: Option<Mode>,
        3 ttl_ms: Option<u64>,
        4 wait_ms: Option<u64>,
        5 grace_ms: Option<u64>,
        6 instance: Option<&'a str>,
        7 labels: BTreeMap<&'a str, &'a str> = default,
        8 reason: Option<&'a str>,
        9 value: Option<&'a str>,
        10 successor: Option<&'a str>,
        11 lease: Option<[u8; 16]>,
        12 override_terms: Option<Box<OverrideTerms<'a>>>,
    }
}

form! {
    /// Under which terms a denial is passed by break-glass.
    pub struct OverrideTerms<'a> {
        0 ticket: Option<&'a str>,
        1 ttl_ms: Option<u64>,
    }
}

form! {
    /// What is asked of a lock.
    pub enum Operation {
        0 Acquire,
        1 Renew,
        2 Release,
        3 Revoke,
        4 Transfer,
        5 CancelWait,
        6 Configure,
    }
}

form! {
    /// All verdicts for one request, and what follows from them.
    pub struct Decision<'a> {
        0 id: [u8; 16],
        1 effect: Effect<'a>,
        2 facts: Facts<'a>,
        3 verdicts: Vec<PolicyVerdict<'a>> = default,
        4 limits: PolicyLimits<'a> = default,
        5 bindings_revision: u64,
        6 rule: Option<[u8; 8]>,
    }
}

form! {
    /// What follows from the verdicts.
    pub enum Effect<'a> {
        0 Allow,
        1 Override {
            0 reason: &'a str,
        },
        2 Deny { 0 denial: Denial<'a> },
    }
}

form! {
    /// Why a request may not pass.
    pub struct Denial<'a> {
        0 kind: DenialKind,
        1 policy: Option<&'a str>,
        2 code: &'a str,
        3 message: &'a str,
        4 retry_after_ms: Option<u64>,
    }
}

form! {
    /// The answers that must never be confused with each other.
    pub enum DenialKind {
        0 Policy,
        1 PolicyError,
        2 NoPolicyBound,
        3 Role,
        4 NotHolder,
    }
}

form! {
    /// What a policy is shown besides request and principal.
    pub struct Facts<'a> {
        0 now: u64,
        1 lock: Option<Box<LockView<'a>>>,
        2 usage: Option<Usage>,
    }
}

form! {
    /// One policy's answer.
    pub struct PolicyVerdict<'a> {
        0 binding: &'a str,
        1 policy: &'a str,
        2 version: &'a str,
        3 module: [u8; 32],
        4 config: [u8; 32],
        5 enforcement: Enforcement,
        6 answer: PolicyAnswer<'a>,
        7 fuel: u64 = default,
        8 rollout: Option<Box<RolloutChoice<'a>>>,
    }
}

form! {
    /// Why a rollout chose a policy version.
    pub struct RolloutChoice<'a> {
        0 rollout: &'a str,
        1 stage: &'a str,
        2 variant: Option<&'a str>,
        3 bucket: Option<u32>,
        4 bucket_function: Option<&'a str>,
        5 flag_share: Option<u32>,
    }
}

form! {
    /// How binding a policy's answer is.
    pub enum Enforcement {
        0 Advisory,
        1 Mandatory,
        2 Overridable,
    }
}

form! {
    /// What one policy said.
    pub enum PolicyAnswer<'a> {
        0 Allow { 0 limits: PolicyLimits<'a> },
        1 Deny {
            0 code: &'a str,
            1 message: &'a str,
            2 retry_after_ms: Option<u64>,
        },
        2 Error {
            0 message: &'a str,
            1 passed: bool = default,
        },
    }
}

form! {
    /// Limits that a policy puts on what it allows.
    pub struct PolicyLimits<'a> {
        0 max_ttl_ms: Option<u64>,
        1 max_hold_ms: Option<u64>,
        2 counters: Vec<PolicyCounter<'a>> = default,
    }
}

form! {
    /// A counter as a verdict names it.
    pub struct PolicyCounter<'a> {
        0 name: &'a str,
        1 maximum: u32,
        2 code: Option<&'a str>,
    }
}

crate::formed!(struct domain::Cause => Cause<'a> {
    request_id, received, principal, request, decision,
});
crate::formed!(struct domain::Principal => Principal<'a> {
    subject, team, roles, claims,
});
crate::formed!(struct domain::Request => Request<'a> {
    operation, lock, mode, ttl_ms, wait_ms, grace_ms, instance, labels, reason, value, successor, lease,
    override_terms,
});
crate::formed!(struct domain::OverrideTerms => OverrideTerms<'a> { ticket, ttl_ms });
crate::formed!(enum domain::Operation => Operation {
    Acquire, Renew, Release, Revoke, Transfer, CancelWait, Configure,
});
crate::formed!(struct domain::Decision => Decision<'a> {
    id, effect, facts, verdicts, limits, bindings_revision, rule,
});
crate::formed!(enum domain::Effect => Effect<'a> {
    Allow,
    Override { reason },
    Deny(denial),
});
crate::formed!(struct domain::Denial => Denial<'a> {
    kind, policy, code, message, retry_after_ms,
});
crate::formed!(enum domain::DenialKind => DenialKind {
    Policy, PolicyError, NoPolicyBound, Role, NotHolder,
});
crate::formed!(struct domain::Facts => Facts<'a> {
    now, lock, usage,
});
crate::formed!(struct domain::PolicyVerdict => PolicyVerdict<'a> {
    binding, policy, version, module, config, enforcement, answer, fuel, rollout,
});
crate::formed!(struct domain::RolloutChoice => RolloutChoice<'a> {
    rollout, stage, variant, bucket, bucket_function, flag_share,
});
crate::formed!(enum domain::Enforcement => Enforcement {
    Advisory, Mandatory, Overridable,
});
crate::formed!(enum domain::PolicyAnswer => PolicyAnswer<'a> {
    Allow(limits),
    Deny { code, message, retry_after_ms },
    Error { message, passed },
});
crate::formed!(struct domain::PolicyLimits => PolicyLimits<'a> {
    max_ttl_ms, max_hold_ms, counters,
});
crate::formed!(struct domain::PolicyCounter => PolicyCounter<'a> { name, maximum, code });

/// The bit of a role. A bit that this build does not know is ignored when it is read.
fn bit(role: domain::Role) -> u32 {
    match role {
        domain::Role::Administrator => 1,
        domain::Role::Operator => 2,
        domain::Role::PolicyAuthor => 4,
        domain::Role::Auditor => 8,
        domain::Role::BreakGlass => 16,
        // Kept by name.
        domain::Role::Approver => 0,
    }
}

impl<'a> Formed<'a> for domain::RoleSet {
    type Form = Option<Roles<'a>>;

    fn form(&'a self) -> Self::Form {
        let known = self.iter().map(bit).sum();
        let custom: Vec<&str> = self.custom().map(domain::RoleName::as_str).collect();
        let is_empty = known == 0 && custom.is_empty();
        (!is_empty).then_some(Roles { known, custom })
    }

    fn restore(form: Self::Form) -> Result<Self, Invalid> {
        let Some(Roles { known, custom }) = form else {
            return Ok(Self::default());
        };
        let roles = domain::Role::ALL.into_iter();
        let roles: Self = roles.filter(|role| known & bit(*role) != 0).collect();
        let mut custom = custom.into_iter();
        custom.try_fold(roles, |roles, name| Ok(roles.with_named(name.parse()?)))
    }
}
