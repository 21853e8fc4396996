//! How much memory a held lock takes.

use leasehold_domain::LockRef;
use leasehold_domain::Millis;

use super::LockRecord;
use crate::lease::Lease;

/// What the allocator takes for an allocation of so many bytes, as glibc does: a header of 8, in
/// steps of 16.
const fn allocated(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16)
}

/// What an entry takes in a B-tree whose nodes are two thirds full.
const fn in_tree(bytes: usize) -> usize {
    bytes * 3 / 2
}

#[test]
fn a_plainly_held_lock_stays_small() {
    let counts = 16;
    let name = allocated(counts + "ledger/close/2026-11-0001".len());
    let request_id = allocated(counts + "01234567-89ab-cdef-0123-456789abcdef".len());
    let record = in_tree(size_of::<leasehold_domain::LockName>() + size_of::<LockRecord>());
    let deadline = in_tree(size_of::<(Millis, LockRef)>());
    let lease = allocated(size_of::<Lease>());
    let total = name + request_id + record + deadline + lease;
    // Subject, team and namespace are shared between the leases of one holder.
    assert!(size_of::<Lease>() <= 200, "{}", size_of::<Lease>());
    assert!(size_of::<LockRecord>() <= 56, "{}", size_of::<LockRecord>());
    assert!(total <= 526, "{total} bytes for each held lock");
}
