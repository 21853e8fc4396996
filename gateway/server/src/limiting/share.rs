//! How many requests of one caller are under way at once. More of them wait here, in the order in
//! which they came: a client with many connections waits for itself, not in front of others.
//!
//! Requests are counted from the moment when so many of all callers are under way, so that a gateway
//! that is not crowded pays nothing. One caller can therefore have twice as many for a moment.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use super::AddressGroup;

/// One caller: an address, and a hash of what it shows and asks about, with a secret seed.
type Key = (AddressGroup, u64);

/// The callers that have requests under way or waiting, so as many as there are requests at most.
pub(crate) struct Shares {
    callers: Mutex<HashMap<Key, Caller>>,
    hasher: RandomState,
    max: usize,
}

struct Caller {
    places: Arc<Semaphore>,
    /// Requests under way and waiting.
    requests: usize,
}

/// A request's place among those of its caller; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    // Before the entry, whose end may remove the semaphore.
    _permit: Option<OwnedSemaphorePermit>,
    _entry: Entry,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    shares: Arc<Shares>,
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares")
            .field("callers", &self.callers().len())
            .finish_non_exhaustive()
    }
}

impl Shares {
    /// At most `max` requests of one caller at once.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            callers: Mutex::default(),
            hasher: RandomState::new(),
            max,
        })
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<Key, Caller>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place. Calls `held_back` if there is none at once.
    pub(crate) async fn take(
        self: &Arc<Self>,
        address: AddressGroup,
        caller: impl Hash,
        held_back: impl FnOnce(),
    ) -> Share {
        let key = (address, self.hasher.hash_one(caller));
        let (entry, places) = self.enter(key);
        let permit = match places.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                held_back();
                // Nobody closes the semaphore.
                places.acquire_owned().await.ok()
            }
        };
        Share {
            _permit: permit,
            _entry: entry,
        }
    }

    fn enter(self: &Arc<Self>, key: Key) -> (Entry, Arc<Semaphore>) {
        let mut callers = self.callers();
        let caller = callers.entry(key).or_insert_with(|| Caller {
            places: Arc::new(Semaphore::new(self.max)),
            requests: 0,
        });
        caller.requests += 1;
        let places = caller.places.clone();
        let shares = self.clone();
        (Entry { key, shares }, places)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut callers = self.shares.callers();
        if let Some(caller) = callers.get_mut(&self.key) {
            caller.requests -= 1;
            if caller.requests == 0 {
                callers.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::FutureExt;

    use super::*;

    fn address(last: u8) -> AddressGroup {
        std::net::IpAddr::from([10, 0, 0, last]).into()
    }

    #[test]
    fn a_caller_waits_for_its_own_requests_and_for_nobody_elses() {
        let shares = Shares::new(2);
        let held_back = Cell::new(0);
        let count = || held_back.set(held_back.get() + 1);
        let take = |last, caller: &'static str| shares.take(address(last), caller, count);
        let first = take(1, "a").now_or_never().unwrap();
        let second = take(1, "a").now_or_never().unwrap();
        let mut third = Box::pin(take(1, "a"));
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!(held_back.get(), 1);
        for (last, caller) in [(1, "b"), (2, "a")] {
            assert!(take(last, caller).now_or_never().is_some());
        }
        // A client that leaves gives up its place in the queue.
        let mut fourth = Box::pin(take(1, "a"));
        assert!(fourth.as_mut().now_or_never().is_none());
        drop(third);
        drop(first);
        let fourth = fourth.as_mut().now_or_never().unwrap();
        drop((second, fourth));
        assert!(shares.callers().is_empty(), "{shares:?}");
    }
}
