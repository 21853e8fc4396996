//! The newest events of a store in memory, and who follows which of them.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::limits::WATCH_BACKLOG_EVENTS_MAX;
use tokio::sync::Notify;

use super::Published;
use crate::watches::WatchScope;

/// Most events that a watch reads at a time: some 20 KiB as they are sent.
const READ_EVENTS_MAX: usize = 64;

/// What a watch finds after its cursor.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::watches) enum Found {
    /// Events of its scope, perhaps none.
    Events {
        events: Vec<Arc<Published>>,
        /// Everything up to here was looked at.
        to: Cursor,
    },
    /// The events were lost here; the store may have them.
    Lost,
    /// So much has happened since that the events are not here any more.
    TooFar,
}

/// The events, and who follows them.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Events of locks after `floor`, in order.
    events: VecDeque<Arc<Published>>,
    floor: Cursor,
    newest: Cursor,
    /// Counts the times that events were lost; odd while they are read.
    generation: u64,
    next: u64,
    followers: HashMap<u64, Follower>,
    /// The followers that have seen all events so far, by the lock or the namespace that they
    /// follow. The others are queued, or were woken and have not read since: they cost an event
    /// nothing.
    of_locks: HashMap<LockRef, BTreeSet<u64>>,
    of_namespaces: HashMap<NamespaceName, BTreeSet<u64>>,
    /// Followers to be woken, each once.
    queue: VecDeque<u64>,
}

#[derive(Debug)]
struct Follower {
    scope: WatchScope,
    generation: u64,
    /// It had seen everything up to here when it was queued.
    seen: Cursor,
    waker: Arc<Notify>,
}

impl Ring {
    fn is_live(&self) -> bool {
        self.generation % 2 == 1
    }

    /// Begins anew after a cursor. Whoever follows has lost events.
    pub(super) fn restart(&mut self, newest: Cursor) {
        self.stop();
        self.generation += 1;
        (self.floor, self.newest) = (newest, newest);
    }

    /// The events cannot be read now.
    pub(super) fn stop(&mut self) {
        if self.is_live() {
            self.generation += 1;
        }
        self.events.clear();
        let of_locks = self.of_locks.drain().flat_map(|(_, numbers)| numbers);
        let of_namespaces = self.of_namespaces.drain().flat_map(|(_, numbers)| numbers);
        self.queue.extend(of_locks.chain(of_namespaces));
    }

    /// Adds an event. Returns whether somebody is to be woken.
    pub(super) fn publish(&mut self, event: Arc<Event>) -> bool {
        let before = std::mem::replace(&mut self.newest, event.cursor);
        let EventKind::Lock { lock, .. } = &event.kind else {
            return false;
        };
        let lock = lock.clone();
        if self.events.len() == WATCH_BACKLOG_EVENTS_MAX
            && let Some(oldest) = self.events.pop_front()
        {
            self.floor = oldest.event.cursor;
        }
        self.events.push_back(Published::new(event));
        let mut covering = self.of_locks.remove(&lock).unwrap_or_default();
        if let Some(of_namespace) = self.of_namespaces.get_mut(&lock.namespace) {
            covering.extend(of_namespace.extract_if(.., |number| {
                let follower = self.followers.get(number);
                follower.is_some_and(|one| one.scope.covers(&lock.namespace, &lock.lock))
            }));
        }
        for number in covering {
            if let Some(follower) = self.followers.get_mut(&number) {
                follower.seen = before;
                self.queue.push_back(number);
            }
        }
        !self.queue.is_empty()
    }

    /// The follower that has waited longest to be woken.
    pub(super) fn next_to_wake(&mut self) -> Option<Arc<Notify>> {
        while let Some(number) = self.queue.pop_front() {
            if let Some(follower) = self.followers.get(&number) {
                return Some(follower.waker.clone());
            }
        }
        None
    }

    /// Adds a follower, if all events after the cursor are here. It must read before it is woken.
    pub(super) fn subscribe(
        &mut self,
        scope: &WatchScope,
        after: Cursor,
    ) -> Option<(u64, Arc<Notify>)> {
        if !self.is_live() || after < self.floor {
            return None;
        }
        self.next += 1;
        let (number, waker) = (self.next, Arc::new(Notify::new()));
        let follower = Follower {
            scope: scope.clone(),
            generation: self.generation,
            seen: after,
            waker: waker.clone(),
        };
        self.followers.insert(number, follower);
        Some((number, waker))
    }

    /// Forgets a follower.
    pub(super) fn unsubscribe(&mut self, number: u64) {
        let Some(follower) = self.followers.remove(&number) else {
            return;
        };
        match &follower.scope {
            WatchScope::Lock(lock) => leave(&mut self.of_locks, lock, number),
            WatchScope::Prefix(of, _) => leave(&mut self.of_namespaces, of, number),
        }
    }

    /// What a follower has not seen yet. If that is more than it reads at a time, it is queued again;
    /// otherwise the next event of its scope queues it.
    /// Returns also whether somebody is to be woken.
    pub(super) fn read(&mut self, number: u64, after: Cursor) -> (Found, bool) {
        let Some(follower) = self.followers.get(&number) else {
            return (Found::Lost, false);
        };
        if follower.generation != self.generation {
            return (Found::Lost, false);
        }
        let after = after.max(follower.seen);
        if after < self.floor {
            return (Found::TooFar, false);
        }
        let from = self
            .events
            .partition_point(|published| published.event.cursor <= after);
        let mut events = Vec::new();
        let mut to = self.newest.max(after);
        let mut more = false;
        for published in self.events.range(from..) {
            if events.len() == READ_EVENTS_MAX {
                more = true;
                break;
            }
            if let EventKind::Lock { lock, .. } = &published.event.kind
                && follower.scope.covers(&lock.namespace, &lock.lock)
            {
                events.push(published.clone());
            }
        }
        if more {
            to = events.last().map_or(after, |last| last.event.cursor);
            self.queue.push_back(number);
        } else {
            match &follower.scope {
                WatchScope::Lock(lock) => self.of_locks.entry(lock.clone()).or_default(),
                WatchScope::Prefix(of, _) => self.of_namespaces.entry(of.clone()).or_default(),
            }
            .insert(number);
        }
        (Found::Events { events, to }, more)
    }
}

fn leave<K: Eq + std::hash::Hash>(of: &mut HashMap<K, BTreeSet<u64>>, key: &K, number: u64) {
    if let Some(numbers) = of.get_mut(key) {
        numbers.remove(&number);
        if numbers.is_empty() {
            of.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
