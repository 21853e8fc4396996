//! What is said of a lock in many forms.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use leasehold_domain as domain;

use crate::Formed;
use crate::Invalid;
use crate::form::form;

form! {
    /// A lock in its namespace.
    pub struct LockRef<'a> {
        0 namespace: &'a str,
        1 lock: &'a str,
    }
}

form! {
    /// How a lock is held.
    pub enum Mode {
        0 Exclusive,
        1 Shared {
            0 permits: u32,
        },
    }
}

form! {
    /// How many leases a principal and its team hold.
    pub struct Usage {
        0 subject_leases: u32 = default,
        1 team_leases: u32 = default,
    }
}

form! {
    /// A lock's own settings.
    pub struct LockSettings<'a> {
        0 limit: u32,
        1 cooldown_ms: u64 = default,
        2 description: &'a str = default,
    }
}

form! {
    /// The policy versions that judged a lease.
    pub struct LeasePolicies<'a> {
        0 versions: Vec<JudgingVersion<'a>> = default,
        1 was_renewed: bool = default,
    }
}

form! {
    /// A policy version, and what of a lease it judged.
    pub struct JudgingVersion<'a> {
        0 policy: &'a str,
        1 version: &'a str,
        2 granted: bool = default,
        3 renewed: bool = default,
    }
}

form! {
    /// Which counter.
    pub struct CounterKey<'a> {
        0 policy: &'a str,
        1 name: &'a str,
    }
}

form! {
    /// A counter that an acquire carries.
    pub struct Counter<'a> {
        0 key: CounterKey<'a>,
        1 maximum: u32,
        2 code: Option<&'a str>,
    }
}

form! {
    /// A counter that as many leases carry as may.
    pub struct CounterFull<'a> {
        0 key: CounterKey<'a>,
        1 maximum: u32,
        2 present: u32,
        3 code: Option<&'a str>,
    }
}

crate::formed!(struct domain::LockRef => LockRef<'a> {
    namespace, lock,
});
crate::formed!(enum domain::Mode => Mode {
    Exclusive,
    Shared { permits },
});
crate::formed!(struct domain::Usage => Usage {
    subject_leases, team_leases,
});
crate::formed!(struct domain::CounterKey => CounterKey<'a> { policy, name });
crate::formed!(struct domain::Counter => Counter<'a> { key, maximum, code });
crate::formed!(struct domain::CounterFull => CounterFull<'a> { key, maximum, present, code });
crate::formed!(struct domain::LockSettings => LockSettings<'a> {
    limit, cooldown_ms, description,
});

/// Most versions judge both acquire and renewals, so each is there once. The lists are sorted.
impl<'a> Formed<'a> for domain::LeasePolicies {
    type Form = LeasePolicies<'a>;

    fn form(&'a self) -> LeasePolicies<'a> {
        let mut granting = self.granted.iter().peekable();
        let mut renewing = self.renewed.iter().flatten().peekable();
        let versions = std::iter::from_fn(|| {
            let (granted, renewed) = match (granting.peek(), renewing.peek()) {
                (Some(one), Some(other)) => (one <= other, other <= one),
                (one, other) => (one.is_some(), other.is_some()),
            };
            let one = granting.next_if(|_| granted);
            let other = renewing.next_if(|_| renewed);
            one.or(other).map(|version| JudgingVersion {
                policy: &version.policy,
                version: &version.version,
                granted,
                renewed,
            })
        });
        LeasePolicies {
            versions: versions.collect(),
            was_renewed: self.renewed.is_some(),
        }
    }

    fn restore(form: LeasePolicies<'a>) -> Result<Self, Invalid> {
        let (mut granted, mut renewed) = (Vec::new(), Vec::new());
        for one in form.versions {
            let version = domain::PolicyVersion {
                policy: one.policy.into(),
                version: one.version.into(),
            };
            if one.granted {
                granted.push(version.clone());
            }
            if one.renewed {
                renewed.push(version);
            }
        }
        Ok(Self {
            granted,
            renewed: form.was_renewed.then_some(renewed),
        })
    }
}
