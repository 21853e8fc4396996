//! Changes of a lock's state.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use leasehold_domain as domain;

use crate::form::form;
use crate::lock::CounterFull;
use crate::lock::LockSettings;
use crate::lock::Mode;
use crate::outcome::DrainCause;
use crate::outcome::EndCause;
use crate::outcome::Owner;

form! {
    /// One change of a lock's state.
    pub enum Transition<'a> {
        0 Granted {
            0 handle: [u8; 16],
            1 owner: Owner<'a>,
            2 mode: Mode,
            3 token: u64,
            4 ttl_ms: u64,
            5 waited_ms: Option<u64>,
            6 request_id: &'a str,
        },
        1 Queued {
            0 handle: [u8; 16],
            1 owner: Owner<'a>,
            2 mode: Mode,
            3 position: u32,
        },
        2 Renewed {
            0 handle: [u8; 16],
            1 token: u64,
            2 ttl_ms: u64,
        },
        3 Draining {
            0 handle: [u8; 16],
            1 owner: Owner<'a>,
            2 remaining_ms: u64,
            3 cause: DrainCause<'a>,
        },
        4 Ended {
            0 handle: [u8; 16],
            1 owner: Owner<'a>,
            2 mode: Mode,
            3 token: u64,
            4 cause: EndCause,
            5 since: u64,
            6 held_ms: u64,
            7 late_ms: u64 = default,
            8 renewals: Renewals = default,
        },
        5 WaitEnded {
            0 handle: [u8; 16],
            1 owner: Owner<'a>,
            2 expired: bool = default,
            3 refused: Option<Box<CounterFull<'a>>>,
        },
        6 CoolingDown {
            0 remaining_ms: u64,
        },
        7 Reserved {
            0 to: &'a str,
            1 remaining_ms: u64,
        },
        8 Configured {
            0 settings: LockSettings<'a>,
        },
    }
}

form! {
    /// The renewals of one lease.
    pub struct Renewals {
        0 count: u64 = default,
        1 first: u64 = default,
        2 last: u64 = default,
    }
}

crate::formed!(enum domain::Transition => Transition<'a> {
    Granted { handle, owner, mode, token, ttl_ms, waited_ms, request_id },
    Queued { handle, owner, mode, position },
    Renewed { handle, token, ttl_ms },
    Draining { handle, owner, remaining_ms, cause },
    Ended { handle, owner, mode, token, cause, since, held_ms, late_ms, renewals },
    WaitEnded { handle, owner, expired, refused },
    CoolingDown { remaining_ms },
    Reserved { to, remaining_ms },
    Configured { settings },
});
crate::formed!(struct domain::Renewals => Renewals {
    count, first, last,
});
