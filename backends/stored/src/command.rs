//! What is asked of the lock machine.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use leasehold_domain as domain;

use crate::cause::Cause;
use crate::form::form;
use crate::lock::Counter;
use crate::lock::LockRef;
use crate::lock::LockSettings;
use crate::lock::Mode;
use crate::lock::Usage;
use crate::outcome::CapReached;

form! {
    /// One command for one lock.
    pub struct Command<'a> {
        0 lock: LockRef<'a>,
        1 action: Action<'a>,
        2 cause: Option<Box<Cause<'a>>>,
        3 expect: Option<Expectation<'a>>,
    }
}

form! {
    /// What must still be true when the command runs.
    pub struct Expectation<'a> {
        0 revision: Option<u64>,
        1 usage: Option<Usage>,
        2 caps: Option<Caps>,
        3 counters: Vec<Counter<'a>> = default,
    }
}

form! {
    /// The caps of a namespace.
    pub struct Caps {
        0 locks: Option<u64>,
        1 waiters: Option<u64>,
        2 reached: Option<CapReached>,
    }
}

form! {
    /// What to do with a lock.
    pub enum Action<'a> {
        0 Acquire {
            0 lease_id: [u8; 16],
            1 mode: Mode,
            2 ttl_ms: u64,
            3 wait_ms: Option<u64>,
            4 max_hold_ms: Option<u64>,
        },
        1 Renew {
            0 lease_id: [u8; 16],
            1 ttl_ms: Option<u64>,
            2 max_hold_ms: Option<u64>,
            3 record: bool = default,
        },
        2 Release {
            0 lease_id: [u8; 16],
        },
        3 Revoke {
            0 target: RevokeTarget<'a>,
            1 grace_ms: u64 = default,
        },
        4 Transfer {
            0 lease_id: [u8; 16],
            1 to: &'a str,
            2 grace_ms: u64 = default,
        },
        5 CancelWait {
            0 lease_id: [u8; 16],
        },
        6 Tick,
        7 Configure { 0 settings: LockSettings<'a> },
        8 Export,
        9 Import {
            0 era: u64,
            1 record: &'a [u8],
        },
        10 Evict {
            0 era: u64,
        },
        11 ReleaseWithCooldown {
            0 lease_id: [u8; 16],
            1 cooldown_ms: u64,
        },
        12 AcquireOnce {
            0 lease_id: [u8; 16],
            1 mode: Mode,
            2 ttl_ms: u64,
            3 wait_ms: Option<u64>,
            4 max_hold_ms: Option<u64>,
        },
    }
}

form! {
    /// Whose leases a revocation ends.
    pub enum RevokeTarget<'a> {
        0 All,
        1 Lease { 0 handle: [u8; 16] },
        2 Subject { 0 subject: &'a str },
    }
}

form! {
    /// Whether one failure stops a batch.
    pub enum Atomicity {
        0 Each,
        1 AllOrNothing,
    }
}

crate::formed!(struct domain::Command => Command<'a> {
    lock, action, cause, expect,
});
crate::formed!(struct domain::Expectation => Expectation<'a> {
    revision, usage, caps, counters,
});
crate::formed!(struct domain::Caps => Caps {
    locks, waiters, reached,
});
crate::formed!(enum domain::Action => Action<'a> {
    Acquire { lease_id, mode, ttl_ms, wait_ms, max_hold_ms },
    Renew { lease_id, ttl_ms, max_hold_ms, record },
    Release { lease_id },
    Revoke { target, grace_ms },
    Transfer { lease_id, to, grace_ms },
    CancelWait { lease_id },
    Tick,
    Configure(settings),
    Export,
    Import { era, record },
    Evict { era },
    ReleaseWithCooldown { lease_id, cooldown_ms },
    AcquireOnce { lease_id, mode, ttl_ms, wait_ms, max_hold_ms },
});
crate::formed!(enum domain::RevokeTarget => RevokeTarget<'a> {
    All,
    Lease(handle),
    Subject(subject),
});
crate::formed!(enum domain::Atomicity => Atomicity {
    Each, AllOrNothing,
});
