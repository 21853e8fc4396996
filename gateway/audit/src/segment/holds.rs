//! Holds: from a grant to its end. Only cursors, times and the handle are kept; all else is read
//! from the granting event when somebody asks.

use std::collections::HashMap;

use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LeaseHandle;
use leasehold_domain::LockRef;
use leasehold_domain::Transition;

use super::varint::pull;
use super::varint::push;

/// FNV-1a of `namespace/lock`. Stored, so it must never change; two locks with one hash are told
/// apart by the granting event.
pub(crate) fn lock_hash(lock: &LockRef) -> u64 {
    let text = [lock.namespace.as_str(), "/", lock.lock.as_str()];
    text.iter()
        .flat_map(|part| part.bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// The key of a lock's ended holds in a closed segment.
pub(crate) fn hold_key(lock: u64) -> [u8; 9] {
    let mut key = [b'h'; 9];
    key[1..].copy_from_slice(&lock.to_be_bytes());
    key
}

/// A hold that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndedHold {
    pub(crate) handle: [u8; 16],
    pub(crate) granted_by: u64,
    pub(crate) ended_by: u64,
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl EndedHold {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.handle);
        for number in [self.granted_by, self.ended_by, self.from, self.until] {
            push(out, number);
        }
    }
}

/// Holds as [`EndedHold::encode`] wrote them; none if the bytes are damaged.
pub(crate) fn decode_ended(mut bytes: &[u8]) -> Option<Vec<EndedHold>> {
    let mut holds = Vec::new();
    while !bytes.is_empty() {
        let (handle, rest) = bytes.split_first_chunk::<16>()?;
        bytes = rest;
        let mut number = || pull(&mut bytes);
        holds.push(EndedHold {
            handle: *handle,
            granted_by: number()?,
            ended_by: number()?,
            from: number()?,
            until: number()?,
        });
    }
    Some(holds)
}

/// A hold that has not ended: its key and its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenHold {
    pub(crate) lock: u64,
    pub(crate) handle: [u8; 16],
    pub(crate) granted_by: u64,
    pub(crate) from: u64,
}

/// The holds that have not ended, some 50 to 90 bytes each.
#[derive(Debug, Default)]
pub(crate) struct OpenHolds(HashMap<(u64, [u8; 16]), (u64, u64)>);

impl OpenHolds {
    /// Puts back a hold that was stored at the close of a segment.
    pub(crate) fn restore(&mut self, hold: OpenHold) {
        self.0
            .insert((hold.lock, hold.handle), (hold.granted_by, hold.from));
    }

    /// Takes in one event; gives what it ended to `ended`, by the lock's hash.
    pub(crate) fn apply(&mut self, event: &Event, mut ended: impl FnMut(u64, EndedHold)) {
        let EventKind::Lock {
            lock, transitions, ..
        } = &event.kind
        else {
            return;
        };
        let lock = lock_hash(lock);
        for transition in transitions {
            match transition {
                Transition::Granted { handle, .. } => {
                    self.0
                        .insert(key(lock, handle), (event.cursor.0, event.wall.0));
                }
                Transition::Ended { handle, .. } => {
                    // A lease without a grant is none of this ledger's.
                    let Some((granted_by, from)) = self.0.remove(&key(lock, handle)) else {
                        continue;
                    };
                    let (ended_by, until) = (event.cursor.0, event.wall.0);
                    let handle = *handle.as_bytes();
                    ended(
                        lock,
                        EndedHold {
                            handle,
                            granted_by,
                            ended_by,
                            from,
                            until,
                        },
                    );
                }
                Transition::Queued { .. }
                | Transition::Renewed { .. }
                | Transition::Draining { .. }
                | Transition::WaitEnded { .. }
                | Transition::CoolingDown { .. }
                | Transition::Reserved { .. }
                | Transition::Configured { .. } => {}
            }
        }
    }

    /// The holds granted by the events from `cursor` on.
    pub(crate) fn granted_since(&self, cursor: u64) -> Vec<OpenHold> {
        self.iter()
            .filter(|hold| hold.granted_by >= cursor)
            .collect()
    }

    /// The holds of one lock.
    pub(crate) fn of_lock(&self, lock: u64) -> Vec<OpenHold> {
        self.iter().filter(|hold| hold.lock == lock).collect()
    }

    fn iter(&self) -> impl Iterator<Item = OpenHold> {
        self.0
            .iter()
            .map(|(&(lock, handle), &(granted_by, from))| OpenHold {
                lock,
                handle,
                granted_by,
                from,
            })
    }
}

fn key(lock: u64, handle: &LeaseHandle) -> (u64, [u8; 16]) {
    (lock, *handle.as_bytes())
}
