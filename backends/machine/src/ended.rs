//! Acquires whose leases have ended: remembered beside the records, so that a late duplicate of one
//! is answered with what became of its lease, and is not granted a lease that nobody knows of.
//!
//! One entry is some 25 bytes when it is stored, so a lock that changes hands thousands of times a
//! minute does not make its record grow.

use std::collections::HashMap;

use imbl::Vector;
use leasehold_domain::Digest;
use leasehold_domain::EndCause;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::RequestId;
use leasehold_domain::Subject;
use leasehold_domain::limits::ENDED_LEASE_MEMORY_MS;
use leasehold_domain::limits::ENDED_REQUESTS_MAX;
use leasehold_stored::Formed;
use leasehold_stored::Invalid;
use leasehold_stored::formed;
use leasehold_stored::record as form;

/// Identifies an acquire: 128 bits of the SHA-256 of lock, subject and request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestKey([u8; 16]);

impl RequestKey {
    pub(crate) fn of(lock: &LockRef, subject: &Subject, request_id: &RequestId) -> Self {
        let parts = [
            lock.namespace.as_str(),
            lock.lock.as_str(),
            subject.as_str(),
            request_id.as_str(),
        ];
        let mut bytes = Vec::with_capacity(256);
        for part in parts {
            // The length in front keeps different parts from making the same bytes.
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        let mut key = [0; 16];
        key.copy_from_slice(&Digest::of(&bytes).0[..16]);
        Self(key)
    }
}

impl<'a> Formed<'a> for RequestKey {
    type Form = [u8; 16];

    fn form(&'a self) -> [u8; 16] {
        self.0
    }

    fn restore(form: [u8; 16]) -> Result<Self, Invalid> {
        Ok(Self(form))
    }
}

formed!(struct EndedRequest => form::EndedRequest { key, at, cause });

/// An acquire whose lease has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedRequest {
    pub(crate) key: RequestKey,
    /// When its lease ended.
    pub(crate) at: Millis,
    /// How its lease ended.
    pub(crate) cause: EndCause,
}

impl EndedRequest {
    /// Returns the entry as if the lease had ended at `at`: for a store whose gateways have no
    /// common clock, where each counts from the moment at which it saw the entry.
    #[must_use]
    pub fn seen(self, at: Millis) -> Self {
        Self { at, ..self }
    }

    /// Whether it is still remembered at `now`.
    #[must_use]
    pub fn lasts(&self, now: Millis) -> bool {
        self.at.plus(ENDED_LEASE_MEMORY_MS) > now
    }
}

/// What a store remembers of such acquires, for [`ENDED_LEASE_MEMORY_MS`].
#[derive(Debug, Clone, Default)]
pub(crate) struct EndedRequests {
    /// The oldest first. A clone for a snapshot shares it.
    order: Vector<EndedRequest>,
    by_key: Parts,
}

/// A hash map in parts. A single map of this size moves all of its entries at once when it grows, and
/// each search of a tree of this size misses the processor's caches several times.
#[derive(Debug, Clone)]
struct Parts(Box<[HashMap<RequestKey, (Millis, EndCause)>]>);

/// Number of parts: enough that a part which grows moves within microseconds.
const PARTS: usize = 256;

impl Default for Parts {
    fn default() -> Self {
        Self((0..PARTS).map(|_| HashMap::default()).collect())
    }
}

impl Parts {
    fn of(&self, key: &RequestKey) -> &HashMap<RequestKey, (Millis, EndCause)> {
        &self.0[usize::from(key.0[0]) % PARTS]
    }

    fn of_mut(&mut self, key: &RequestKey) -> &mut HashMap<RequestKey, (Millis, EndCause)> {
        &mut self.0[usize::from(key.0[0]) % PARTS]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.iter().map(HashMap::len).sum()
    }
}

impl EndedRequests {
    pub(crate) fn of(order: impl IntoIterator<Item = EndedRequest>) -> Self {
        let mut ended = Self::default();
        order.into_iter().for_each(|one| ended.add(one));
        ended
    }

    pub(crate) fn add(&mut self, ended: EndedRequest) {
        if self.order.len() >= ENDED_REQUESTS_MAX {
            self.forget_first();
        }
        let part = self.by_key.of_mut(&ended.key);
        part.insert(ended.key, (ended.at, ended.cause));
        self.order.push_back(ended);
    }

    /// Forgets what is older than the memory lasts.
    pub(crate) fn fade(&mut self, now: Millis) {
        let is_over = |ended: &EndedRequest| !ended.lasts(now);
        while self.order.front().is_some_and(is_over) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some(first) = self.order.pop_front() else {
            return;
        };
        let part = self.by_key.of_mut(&first.key);
        let newest = part.get(&first.key);
        if newest.is_some_and(|(at, _)| *at <= first.at) {
            part.remove(&first.key);
        }
    }

    /// Removes entries that were added last: their write was rolled back.
    pub(crate) fn take_back(&mut self, ended: &[EndedRequest]) {
        for one in ended {
            if let Some(at) = self.order.iter().rposition(|kept| kept == one) {
                self.order.remove(at);
            }
            self.by_key.of_mut(&one.key).remove(&one.key);
        }
    }

    pub(crate) fn cause(&self, key: &RequestKey, now: Millis) -> Option<EndCause> {
        let (at, cause) = self.by_key.of(key).get(key)?;
        (at.plus(ENDED_LEASE_MEMORY_MS) > now).then_some(*cause)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn order(&self) -> &Vector<EndedRequest> {
        &self.order
    }
}

/// The map follows from the order.
impl PartialEq for EndedRequests {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for EndedRequests {}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(n: u8, at: u64) -> EndedRequest {
        EndedRequest {
            key: RequestKey([n; 16]),
            at: Millis(at),
            cause: EndCause::Released,
        }
    }

    #[test]
    fn it_is_bounded_by_time_and_number() {
        let mut all = EndedRequests::of([ended(1, 0), ended(2, 5), ended(1, 9)]);
        let known = |all: &EndedRequests, n: u8, now| all.cause(&RequestKey([n; 16]), Millis(now));
        assert_eq!(known(&all, 2, 60_004), Some(EndCause::Released));
        assert_eq!(known(&all, 2, 60_005), None);
        all.fade(Millis(60_005));
        assert_eq!((all.order.len(), all.by_key.len()), (1, 1));
        assert_eq!(known(&all, 1, 60_008), Some(EndCause::Released));
        all.take_back(&[ended(1, 9)]);
        assert!(all.is_empty() && all.by_key.len() == 0);
        for n in 0..ENDED_REQUESTS_MAX + 3 {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&n.to_le_bytes());
            let key = RequestKey(key);
            all.add(EndedRequest { key, ..ended(0, 1) });
        }
        assert_eq!(all.order.len(), ENDED_REQUESTS_MAX);
        assert_eq!(all.by_key.len(), ENDED_REQUESTS_MAX);
    }

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other() {
        let key = |lock: &str, subject: &str, request: &str| {
            let lock: LockRef = lock.parse().unwrap();
            RequestKey::of(&lock, &subject.parse().unwrap(), &request.parse().unwrap())
        };
        assert_eq!(key("demo/l", "ann", "r"), key("demo/l", "ann", "r"));
        assert_ne!(key("demo/la", "nn", "r"), key("demo/l", "ann", "r"));
        assert_ne!(key("demo/l", "an", "nr"), key("demo/l", "ann", "r"));
    }
}
