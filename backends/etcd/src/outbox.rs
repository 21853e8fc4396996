//! Events: where each stands in the one order of all gateways, the newest of them in memory, and
//! who waits for more.
//!
//! A write leaves its events in a key of its own, without cursors. Their order is that of the
//! revisions that created the keys, and of the keys where one write made several. Every gateway
//! counts in this order, from the base that is stored, and comes to the same cursors.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use leasehold_domain::Cursor;
use leasehold_domain::Event;
use prost::bytes::Bytes;
use tokio::sync::watch;

use crate::mirror::Base;

/// Events that are kept in memory; older ones are read from etcd.
const EVENTS_KEPT: usize = 16_384;
/// Events taken at once.
const EVENTS_AT_ONCE: usize = 1_024;
/// Keys read at once.
const KEYS_AT_ONCE: usize = 64;

/// What streams read. All that is in it is durable.
#[derive(Debug)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    newest: watch::Sender<Cursor>,
    documents: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    /// One for each key of events that is in etcd, in order.
    entries: VecDeque<Entry>,
    /// The newest events.
    events: VecDeque<Arc<Event>>,
    /// Where the next events follow.
    end: Base,
}

/// Where the events of one key stand.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Bytes,
    /// What they follow.
    pub(crate) after: Base,
}

/// Keys of events that nobody needs any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Consumed {
    /// What their events follow.
    pub(crate) after: Base,
    pub(crate) keys: Vec<Bytes>,
    /// What follows them.
    pub(crate) end: Base,
}

/// Where a stream finds what comes after a cursor.
#[derive(Debug)]
pub(crate) enum Found {
    /// Here. Empty if there is nothing new.
    Here(Vec<Arc<Event>>),
    /// Only in etcd, in these keys.
    Stored(Vec<Entry>),
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::default(),
            newest: watch::Sender::new(Cursor(0)),
            documents: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the events of keys that follow those that are known, and wakes who waits.
    pub(crate) fn push(&self, entries: impl IntoIterator<Item = (Bytes, Vec<Event>)>) {
        let newest = {
            let mut inner = self.lock();
            for (key, events) in entries {
                inner.push(key, events);
            }
            inner.end.cursor
        };
        self.tell(newest);
    }

    /// Begins anew with what is in etcd.
    pub(crate) fn restart(&self, base: Base, entries: Vec<(Bytes, Vec<Event>)>) {
        *self.lock() = Inner {
            end: base,
            ..Inner::default()
        };
        self.push(entries);
    }

    /// The keys that are gone from etcd.
    pub(crate) fn forget(&self, keys: &[Bytes]) {
        let mut inner = self.lock();
        for key in keys {
            match inner.entries.front().is_some_and(|first| first.key == *key) {
                true => {
                    inner.entries.pop_front();
                }
                false => inner.entries.retain(|entry| entry.key != *key),
            }
        }
    }

    fn tell(&self, newest: Cursor) {
        self.newest
            .send_if_modified(|shown| std::mem::replace(shown, newest) != newest);
    }

    /// Wakes governance if the documents have changed.
    pub(crate) fn tell_documents(&self, revision: u64) {
        self.documents
            .send_if_modified(|shown| std::mem::replace(shown, revision) != revision);
    }

    pub(crate) fn watch_newest(&self) -> watch::Receiver<Cursor> {
        self.newest.subscribe()
    }

    pub(crate) fn watch_documents(&self) -> watch::Receiver<u64> {
        self.documents.subscribe()
    }

    /// The last event, and logical time at it.
    pub(crate) fn end(&self) -> Base {
        self.lock().end
    }

    /// What comes after a cursor.
    pub(crate) fn after(&self, after: Cursor) -> Found {
        let inner = self.lock();
        if after >= inner.end.cursor {
            return Found::Here(Vec::new());
        }
        if let Some(first) = inner.events.front()
            && first.cursor.0 <= after.0 + 1
        {
            let from = inner.events.partition_point(|event| event.cursor <= after);
            let events = inner.events.range(from..).take(EVENTS_AT_ONCE);
            return Found::Here(events.cloned().collect());
        }
        // The last key that begins not after it has the next event, or ends with this one.
        let from = inner.entries.partition_point(|e| e.after.cursor <= after);
        let entries = inner.entries.range(from.saturating_sub(1)..);
        Found::Stored(entries.take(KEYS_AT_ONCE).cloned().collect())
    }

    /// The first keys of which all events are up to a cursor, at most so many. None if there are
    /// none.
    pub(crate) fn consumed(&self, up_to: Cursor, most: usize) -> Option<Consumed> {
        let inner = self.lock();
        let after = inner.entries.front()?.after;
        let (mut keys, mut end) = (Vec::new(), after);
        for (at, entry) in inner.entries.iter().enumerate().take(most) {
            let next = inner.entries.get(at + 1).map_or(inner.end, |e| e.after);
            if next.cursor > up_to {
                break;
            }
            keys.push(entry.key.clone());
            end = next;
        }
        (!keys.is_empty()).then_some(Consumed { after, keys, end })
    }
}

impl Inner {
    fn push(&mut self, key: Bytes, events: Vec<Event>) {
        let after = self.end;
        let numbered = number(after, events);
        if let Some(last) = numbered.last() {
            self.end = Base {
                cursor: last.cursor,
                now: last.now,
            };
        }
        self.entries.push_back(Entry { key, after });
        self.events.extend(numbered.into_iter().map(Arc::new));
        let surplus = self.events.len().saturating_sub(EVENTS_KEPT);
        self.events.drain(..surplus);
    }
}

/// Gives events their places, and a time that does not go back: gateways count on clocks of their
/// own.
pub(crate) fn number(after: Base, events: Vec<Event>) -> Vec<Event> {
    let mut last = after;
    let mut numbered = events;
    for event in &mut numbered {
        last.cursor = Cursor(last.cursor.0 + 1);
        last.now = last.now.max(event.now);
        event.cursor = last.cursor;
        event.now = last.now;
    }
    numbered
}

#[cfg(test)]
mod tests {
    use leasehold_domain::EventKind;
    use leasehold_domain::FeatureLevel;
    use leasehold_domain::Millis;
    use leasehold_domain::WallMillis;

    use super::*;

    fn event(now: u64) -> Event {
        Event {
            level: FeatureLevel::FIRST,
            cursor: Cursor(99),
            now: Millis(now),
            wall: WallMillis(0),
            kind: EventKind::Lock {
                lock: "demo/l".parse().unwrap(),
                cause: None,
                transitions: Vec::new(),
            },
        }
    }

    fn key(name: &'static str) -> Bytes {
        Bytes::from_static(name.as_bytes())
    }

    #[test]
    fn events_are_counted_from_the_base_and_their_time_does_not_go_back() {
        let outbox = Outbox::new();
        let base = Base {
            cursor: Cursor(5),
            now: Millis(100),
        };
        outbox.restart(base, vec![(key("a"), vec![event(90), event(110)])]);
        outbox.push([(key("b"), vec![event(105)])]);
        let Found::Here(events) = outbox.after(Cursor(5)) else {
            panic!("all is in memory");
        };
        let told: Vec<_> = events.iter().map(|e| (e.cursor.0, e.now.0)).collect();
        assert_eq!(told, [(6, 100), (7, 110), (8, 110)]);
        assert!(matches!(outbox.after(Cursor(8)), Found::Here(none) if none.is_empty()));

        assert!(outbox.consumed(Cursor(6), 10).is_none());
        let end = Base {
            cursor: Cursor(7),
            now: Millis(110),
        };
        let first = Consumed {
            after: base,
            keys: vec![key("a")],
            end,
        };
        assert_eq!(outbox.consumed(Cursor(7), 10), Some(first));
        outbox.forget(&[key("a")]);
        let second = Consumed {
            after: end,
            keys: vec![key("b")],
            end: outbox.end(),
        };
        assert_eq!(outbox.consumed(Cursor(8), 10), Some(second));
    }

    #[test]
    fn what_is_not_in_memory_is_found_by_its_key() {
        let outbox = Outbox::new();
        let entry = |_| (key("k"), vec![event(0), event(0)]);
        outbox.push((0..EVENTS_KEPT).map(entry));
        for (after, first) in [(0, 0), (1, 0), (2, 2), (101, 100)] {
            let Found::Stored(entries) = outbox.after(Cursor(after)) else {
                panic!("{after} is not in memory");
            };
            assert_eq!(entries[0].after.cursor, Cursor(first), "after {after}");
        }
    }
}
