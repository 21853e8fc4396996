//! The gateway's copy of the store: what the machine works on. The watch feeds it; what the
//! gateway writes itself is in it at once.

mod counters;
mod ended;
mod follow;
mod prepare;
mod queue;

use std::collections::BTreeMap;

use leasehold_domain::Cursor;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::StoreId;
use leasehold_machine::State;
use leasehold_stored::formed;
use leasehold_stored::store as form;

use crate::item::Answer;
use crate::item::Query;

pub(crate) use self::counters::tick;
use self::ended::EndedKeys;
pub(crate) use self::follow::decoded;
pub(crate) use self::follow::stored_events;
pub(crate) use self::prepare::OwnKeys;
pub(crate) use self::prepare::Prepared;
use self::queue::Kept;

/// Locks that one tick may end or grant, so that no write is long.
const LOCKS_PER_TICK_MAX: usize = 64;
/// How long a gateway leaves what is due to the one that wrote it last, in milliseconds: otherwise
/// all gateways would write the same at the same time.
const OTHERS_FIRST_MS: u64 = 100;

/// The store as this gateway knows it, on this gateway's clock.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    pub(crate) state: State,
    /// All writes of locks and documents up to this revision are in it; 0 before it was read.
    pub(crate) head: i64,
    /// The watch has told all up to this revision.
    pub(crate) fed: i64,
    /// The last change of each record that is there.
    pub(crate) known: BTreeMap<LockRef, Known>,
    /// The last change of each counter's key, by its number.
    counters: BTreeMap<u16, i64>,
    /// The last change of the documents' revision.
    pub(crate) documents: i64,
    /// Up to where each consumer has events.
    pub(crate) consumers: BTreeMap<String, Cursor>,
    /// What the last new history began with.
    pub(crate) history: HistoryMark,
    /// Keys of acquires whose leases have ended.
    ended: EndedKeys,
}

/// What is known of a lock's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// Of its last change.
    pub(crate) revision: i64,
    /// Whether this gateway made it.
    pub(crate) mine: bool,
    /// Where the lock's waiters are, and in which time.
    kept: Kept,
}

/// What the last new history began with; the default is a store that never had one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HistoryMark {
    /// Added to etcd's revision where the store counts its writes: a restored etcd counts anew from a
    /// lower revision.
    pub(crate) revisions_added: u64,
    /// The identity of the history, which gateways that follow compare with the one they opened.
    pub(crate) id: Option<StoreId>,
}

/// Where events begin that are still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Base {
    /// The last that is gone.
    pub(crate) cursor: Cursor,
    /// Logical time of the events: those that follow are not earlier.
    pub(crate) now: Millis,
}

formed!(struct HistoryMark => form::HistoryMark { revisions_added, id });
formed!(struct Base => form::Base { cursor, now });

impl Mirror {
    /// The store's count of writes.
    pub(crate) fn writes(&self) -> u64 {
        let head = u64::try_from(self.head).unwrap_or_default();
        head.saturating_add(self.history.revisions_added)
    }

    /// The revision that a lock's key must still have; 0 if it must not be there.
    pub(crate) fn revision(&self, lock: &LockRef) -> i64 {
        self.known.get(lock).map_or(0, |known| known.revision)
    }

    /// The locks that a tick should look at now.
    pub(crate) fn due(&self, now: Millis) -> Vec<LockRef> {
        let patient = Millis(now.0.saturating_sub(OTHERS_FIRST_MS));
        let late = self.state.due(patient, LOCKS_PER_TICK_MAX);
        if late.len() == LOCKS_PER_TICK_MAX {
            return late;
        }
        let is_mine = |lock: &LockRef| self.known.get(lock).is_some_and(|known| known.mine);
        let due = self.state.due(now, LOCKS_PER_TICK_MAX);
        let mine = due.into_iter().filter(|lock| is_mine(lock));
        let mine: Vec<_> = mine.filter(|lock| !late.contains(lock)).collect();
        late.into_iter().chain(mine).collect()
    }

    /// Whether a tick had as much to do as it may.
    pub(crate) fn is_full(due: &[LockRef]) -> bool {
        due.len() >= LOCKS_PER_TICK_MAX
    }

    /// Up to where all consumers have events.
    pub(crate) fn consumed(&self) -> Cursor {
        self.consumers.values().min().copied().unwrap_or_default()
    }

    /// Answers a read.
    pub(crate) fn read(&self, query: &Query, now: Millis) -> Answer {
        match query {
            Query::Lock(lock) => Answer::Lock(Box::new(self.state.view(lock, now))),
            Query::Locks(query) => Answer::Locks(self.state.list(query, now)),
            Query::Usage(namespace, subject, team) => {
                Answer::Usage(self.state.usage(namespace, subject, team.as_ref()))
            }
            Query::Holds(lock, subject, request_id) => {
                Answer::Holds(self.state.holds(lock, subject, request_id))
            }
            Query::Document(collection, id) => {
                Answer::Document(self.state.document(collection, id))
            }
            Query::Documents(collection) => Answer::Documents(self.state.documents(collection)),
            Query::Snapshot => Answer::Snapshot(self.state.all_documents().clone()),
            Query::Revision => Answer::Revision(self.state.documents_revision()),
        }
    }
}

#[cfg(test)]
mod tests;
