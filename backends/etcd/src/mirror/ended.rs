//! Keys that hold the acquires whose leases have ended, and how long they stay.
//!
//! Gateways have no common clock, so each counts from when it saw a key first: a key, and what it
//! says, is remembered for at least as long as it should be.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use leasehold_domain::Millis;
use leasehold_domain::limits::ENDED_LEASE_MEMORY_MS;
use prost::bytes::Bytes;

/// Keys that one write deletes at most. It puts one, so there are never many that are due.
const KEYS_DELETED_MAX: usize = 2;

/// The keys that are there, and when this gateway saw them first.
#[derive(Debug, Default)]
pub(crate) struct EndedKeys {
    seen: BTreeMap<Bytes, Millis>,
    /// The oldest first. May hold keys that are gone.
    order: VecDeque<Bytes>,
}

impl EndedKeys {
    /// Adds a key; returns false if it is known.
    pub(crate) fn add(&mut self, key: Bytes, seen: Millis) -> bool {
        if self.seen.contains_key(&key) {
            return false;
        }
        self.seen.insert(key.clone(), seen);
        self.order.push_back(key);
        true
    }

    /// Removes a key that was deleted.
    pub(crate) fn remove(&mut self, key: &Bytes) {
        self.seen.remove(key);
        while self
            .order
            .front()
            .is_some_and(|first| !self.seen.contains_key(first))
        {
            self.order.pop_front();
        }
    }

    /// When this gateway saw a key first.
    pub(crate) fn seen(&self, key: &Bytes) -> Option<Millis> {
        self.seen.get(key).copied()
    }

    /// The keys that the next write deletes.
    pub(crate) fn due(&self, now: Millis) -> Vec<Bytes> {
        let is_due = |key: &&Bytes| {
            let seen = self.seen.get(*key);
            seen.is_none_or(|seen| seen.plus(ENDED_LEASE_MEMORY_MS) <= now)
        };
        let due = self.order.iter().take_while(is_due);
        let there = due.filter(|key| self.seen.contains_key(*key));
        there.take(KEYS_DELETED_MAX).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_for_the_memory_and_go_two_at_a_time() {
        let key = |n: u64| Bytes::from(format!("k{n}"));
        let mut keys = EndedKeys::default();
        for n in 0..4 {
            assert!(keys.add(key(n), Millis(n)));
        }
        assert!(!keys.add(key(1), Millis(9)), "its own write comes back");
        assert!(keys.due(Millis(59_999)).is_empty());
        assert_eq!(keys.due(Millis(60_000)), [key(0)]);
        assert_eq!(keys.due(Millis(70_000)), [key(0), key(1)]);
        keys.remove(&key(1));
        assert_eq!(keys.due(Millis(70_000)), [key(0), key(2)]);
        keys.remove(&key(0));
        assert_eq!(keys.due(Millis(70_000)), [key(2), key(3)]);
        assert_eq!(
            (keys.seen(&key(2)), keys.seen(&key(0))),
            (Some(Millis(2)), None)
        );
    }
}
