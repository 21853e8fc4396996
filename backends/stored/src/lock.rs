//! What is said of a lock in many forms.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use leasehold_domain as domain;

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
crate::formed!(struct domain::LockSettings => LockSettings<'a> {
    limit, cooldown_ms, description,
});
