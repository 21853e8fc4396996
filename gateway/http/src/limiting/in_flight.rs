//! A limit on the requests of one client that are in flight at once. Further requests of that client
//! wait in the order of their arrival, so a client with many connections delays itself and not the
//! others.
//!
//! The caller counts requests only while the gateway as a whole has at least that many in flight. A
//! client can therefore have twice as many for a moment, and a gateway with few requests does no work
//! for the limit.

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

/// A client: its address, and a hash of its credential and namespace with a secret seed.
type Key = (AddressGroup, u64);

/// The clients that have requests in flight or waiting: at most as many as there are requests.
pub(crate) struct InFlightLimit {
    clients: Mutex<HashMap<Key, Client>>,
    hasher: RandomState,
    max: usize,
}

struct Client {
    places: Arc<Semaphore>,
    /// Requests in flight and waiting.
    requests: usize,
}

/// A request in flight; dropping it lets the client's next request begin.
#[derive(Debug)]
pub(crate) struct InFlight {
    // Before the entry, whose end may remove the semaphore.
    _permit: Option<OwnedSemaphorePermit>,
    _entry: Entry,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    limit: Arc<InFlightLimit>,
}

impl fmt::Debug for InFlightLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlightLimit")
            .field("clients", &self.clients().len())
            .finish_non_exhaustive()
    }
}

impl InFlightLimit {
    /// Allows `max` requests of one client at once.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            clients: Mutex::default(),
            hasher: RandomState::new(),
            max,
        })
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Key, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the request may begin. Calls `held_back` if it may not begin at once.
    pub(crate) async fn take(
        self: &Arc<Self>,
        address: AddressGroup,
        client: impl Hash,
        held_back: impl FnOnce(),
    ) -> InFlight {
        let key = (address, self.hasher.hash_one(client));
        let (entry, places) = self.enter(key);
        let permit = match places.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                held_back();
                // Nobody closes the semaphore.
                places.acquire_owned().await.ok()
            }
        };
        InFlight {
            _permit: permit,
            _entry: entry,
        }
    }

    fn enter(self: &Arc<Self>, key: Key) -> (Entry, Arc<Semaphore>) {
        let mut clients = self.clients();
        let client = clients.entry(key).or_insert_with(|| Client {
            places: Arc::new(Semaphore::new(self.max)),
            requests: 0,
        });
        client.requests += 1;
        let places = client.places.clone();
        let limit = self.clone();
        (Entry { key, limit }, places)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut clients = self.limit.clients();
        if let Some(client) = clients.get_mut(&self.key) {
            client.requests -= 1;
            if client.requests == 0 {
                clients.remove(&self.key);
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
    fn a_client_waits_for_its_own_requests_and_not_for_those_of_others() {
        let limit = InFlightLimit::new(2);
        let held_back = Cell::new(0);
        let count = || held_back.set(held_back.get() + 1);
        let take = |last, client: &'static str| limit.take(address(last), client, count);
        let first = take(1, "a").now_or_never().unwrap();
        let second = take(1, "a").now_or_never().unwrap();
        let mut third = Box::pin(take(1, "a"));
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!(held_back.get(), 1);
        for (last, client) in [(1, "b"), (2, "a")] {
            assert!(take(last, client).now_or_never().is_some());
        }
        // A client that leaves gives up its place in the queue.
        let mut fourth = Box::pin(take(1, "a"));
        assert!(fourth.as_mut().now_or_never().is_none());
        drop(third);
        drop(first);
        let fourth = fourth.as_mut().now_or_never().unwrap();
        drop((second, fourth));
        assert!(limit.clients().is_empty(), "{limit:?}");
    }
}
