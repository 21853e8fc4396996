//! What came of a command, and locks as everybody may see them.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use std::collections::BTreeMap;

use leasehold_domain as domain;

use crate::Formed;
use crate::Invalid;
use crate::form::form;
use crate::lock::CounterFull;
use crate::lock::LeasePolicies;
use crate::lock::LockRef;
use crate::lock::LockSettings;
use crate::lock::Mode;

form! {
    /// The answer to one command.
    pub enum Outcome<'a> {
        0 Granted { 0 grant: Grant<'a> },
        1 Queued {
            0 lease_id: [u8; 16],
            1 position: u32,
            2 holders: Vec<HolderView<'a>> = default,
            3 wait_remaining_ms: u64,
        },
        2 Held {
            0 holders: Vec<HolderView<'a>> = default,
            1 waiters: u32 = default,
            2 cooldown_remaining_ms: u64 = default,
            3 reserved_for: Option<&'a str>,
        },
        3 Renewed { 0 grant: Grant<'a> },
        4 Draining { 0 grant: Grant<'a> },
        5 Released,
        6 LeaseLost { 0 cause: EndCause },
        7 NotHolder,
        8 Revoked {
            0 leases: Vec<[u8; 16]>,
        },
        9 Transferring {
            0 drain_remaining_ms: u64,
        },
        10 Cancelled,
        11 Configured,
        12 Ticked,
        13 Rejected { 0 rejection: Rejection },
        14 Stale,
        15 NotAttempted,
        16 Moved,
        17 Exported {
            0 record: Option<&'a [u8]>,
            1 token_floor: u64,
        },
        18 Imported,
        19 Evicted,
        20 CounterFull { 0 full: Box<CounterFull<'a>> },
    }
}

form! {
    /// Why a command could never be carried out.
    pub enum Rejection {
        0 QueueFull,
        1 TooManyPermits,
        2 RequestIdReused,
        3 Impossible,
        4 RequestIdTooOld,
        5 CapReached { 0 reached: CapReached },
    }
}

form! {
    /// A cap that an acquire would exceed.
    pub struct CapReached {
        0 cap: Cap,
        1 most: u64,
        2 present: u64,
    }
}

form! {
    /// What a cap limits.
    pub enum Cap {
        0 Locks,
        1 Waiters,
        2 LedgerBytes,
    }
}

form! {
    /// A lease as its holder sees it.
    pub struct Grant<'a> {
        0 lease_id: [u8; 16],
        1 token: u64,
        2 mode: Mode,
        3 ttl_ms: u64,
        4 remaining_ms: u64,
        5 hold_remaining_ms: Option<u64>,
        6 state: LeaseState<'a>,
        7 repeated: bool = default,
        8 waited: bool = default,
    }
}

form! {
    /// Whether a lease is in full force.
    pub enum LeaseState<'a> {
        0 Active,
        1 Draining {
            0 remaining_ms: u64,
            1 cause: DrainCause<'a>,
        },
    }
}

form! {
    /// Why a lease drains.
    pub enum DrainCause<'a> {
        0 Revoked {
            0 by: &'a str,
        },
        1 Transfer {
            0 to: &'a str,
        },
    }
}

form! {
    /// How a lease ended.
    pub enum EndCause {
        0 Released,
        1 Expired,
        2 HeldTooLong,
        3 Revoked,
        4 Transferred,
        5 GivenBack,
        6 Unknown,
        7 Moved,
    }
}

form! {
    /// The public identity of a holder or waiter.
    pub struct Owner<'a> {
        0 subject: &'a str,
        1 team: Option<&'a str>,
        2 instance: Option<&'a str>,
        3 labels: BTreeMap<&'a str, &'a str> = default,
        4 value: Option<&'a str>,
        5 reason: Option<&'a str>,
    }
}

form! {
    /// A holder as everybody may see it.
    pub struct HolderView<'a> {
        0 handle: [u8; 16],
        1 owner: Owner<'a>,
        2 mode: Mode,
        3 token: u64,
        4 since: u64,
        5 remaining_ms: u64,
        6 state: LeaseState<'a>,
        7 policies: Option<Box<LeasePolicies<'a>>>,
    }
}

form! {
    /// A waiter as everybody may see it.
    pub struct WaiterView<'a> {
        0 handle: [u8; 16],
        1 owner: Owner<'a>,
        2 mode: Mode,
        3 since: u64,
    }
}

form! {
    /// A lock as everybody may see it.
    pub struct LockView<'a> {
        0 lock: LockRef<'a>,
        1 revision: u64 = default,
        2 settings: LockSettings<'a>,
        3 holders: Vec<HolderView<'a>> = default,
        4 queue: Vec<WaiterView<'a>> = default,
        5 cooldown_remaining_ms: u64 = default,
        6 reserved_for: Option<&'a str>,
        7 reserved_ms: u64 = default,
        8 last_token: u64 = default,
        9 stale_ms: u64 = default,
    }
}

crate::formed!(enum domain::Outcome => Outcome<'a> {
    Granted(grant),
    Queued { lease_id, position, holders, wait_remaining_ms },
    Held { holders, waiters, cooldown_remaining_ms, reserved_for },
    Renewed(grant),
    Draining(grant),
    Released,
    LeaseLost(cause),
    NotHolder,
    Revoked { leases },
    Transferring { drain_remaining_ms },
    Cancelled,
    Configured,
    Ticked,
    Rejected(rejection),
    Stale,
    NotAttempted,
    Moved,
    Exported { record, token_floor },
    Imported,
    Evicted,
    CounterFull(full),
});
crate::formed!(enum domain::Rejection => Rejection {
    QueueFull, TooManyPermits, RequestIdReused, Impossible, RequestIdTooOld, CapReached(reached),
});
crate::formed!(struct domain::CapReached => CapReached { cap, most, present });
crate::formed!(enum domain::Cap => Cap { Locks, Waiters, LedgerBytes });
crate::formed!(struct domain::Grant => Grant<'a> {
    lease_id, token, mode, ttl_ms, remaining_ms, hold_remaining_ms, state, repeated, waited,
});
crate::formed!(enum domain::LeaseState => LeaseState<'a> {
    Active,
    Draining { remaining_ms, cause },
});
crate::formed!(enum domain::DrainCause => DrainCause<'a> {
    Revoked { by },
    Transfer { to },
});
crate::formed!(enum domain::EndCause => EndCause {
    Released, Expired, HeldTooLong, Revoked, Transferred, GivenBack, Unknown, Moved,
});
crate::formed!(struct domain::Owner => Owner<'a> {
    subject, team, instance, labels, value, reason,
});
crate::formed!(struct domain::HolderView => HolderView<'a> {
    handle, owner, mode, token, since, remaining_ms, state, policies,
});
crate::formed!(struct domain::WaiterView => WaiterView<'a> {
    handle, owner, mode, since,
});

impl<'a> Formed<'a> for domain::LockView {
    type Form = LockView<'a>;

    fn form(&'a self) -> LockView<'a> {
        let Self {
            lock,
            revision,
            settings,
            holders,
            queue,
            cooldown_remaining_ms,
            reserved_for,
            last_token,
            stale_ms,
        } = self;
        let reserved = reserved_for.as_ref();
        LockView {
            lock: lock.form(),
            revision: *revision,
            settings: settings.form(),
            holders: holders.form(),
            queue: queue.form(),
            cooldown_remaining_ms: *cooldown_remaining_ms,
            reserved_for: reserved.map(|(subject, _)| subject.as_str()),
            reserved_ms: reserved.map_or(0, |(_, ms)| *ms),
            last_token: last_token.0,
            stale_ms: *stale_ms,
        }
    }

    fn restore(form: LockView<'a>) -> Result<Self, Invalid> {
        let reserved = Option::<domain::Subject>::restore(form.reserved_for)?;
        Ok(Self {
            lock: Formed::restore(form.lock)?,
            revision: form.revision,
            settings: Formed::restore(form.settings)?,
            holders: Formed::restore(form.holders)?,
            queue: Formed::restore(form.queue)?,
            cooldown_remaining_ms: form.cooldown_remaining_ms,
            reserved_for: reserved.map(|subject| (subject, form.reserved_ms)),
            last_token: domain::FencingToken(form.last_token),
            stale_ms: form.stale_ms,
        })
    }
}
