//! All locks and documents of one store, in memory.

mod caps;
mod counters;
mod documents;
mod execute;
mod list;
mod parts;
mod restore;
mod seats;
mod snapshot;
mod table;
mod usage;

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_domain::Command;
use leasehold_domain::Counts;
use leasehold_domain::Cursor;
use leasehold_domain::DocumentSet;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FeatureLevel;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::Millis;
use leasehold_domain::NamespaceName;
use leasehold_domain::Outcome;
use leasehold_domain::Page;
use leasehold_domain::RequestId;
use leasehold_domain::Seat;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::Usage;

pub use self::snapshot::FrozenState;
pub use self::snapshot::StateBuilder;
use self::table::LockTable;
#[cfg(test)]
pub(crate) use self::table::map_records;
use crate::EndedRequest;
use crate::LockRecord;
use crate::Moment;
use crate::ended::EndedRequests;

/// How long a backend lets patient commands alone wait for company: see [`State::is_patient`].
pub const PATIENCE: Duration = Duration::from_millis(2);

/// All locks and documents of one store, in memory: what a backend keeps and snapshots.
///
/// The same calls with the same arguments in the same order give the same state, outcomes and
/// events, however the commands are cut into batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The highest level that a write may have.
    level: FeatureLevel,
    now: Millis,
    newest: Cursor,
    pub(crate) locks: LockTable,
    documents: DocumentSet,
    /// Read from the documents: they are looked up with every command.
    seats: BTreeMap<NamespaceName, Seat>,
    /// Acquires whose leases have ended lately.
    ended: EndedRequests,
}

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// One for each command, in order.
    pub outcomes: Vec<Outcome>,
    /// What happened, in order; cursors go on from [`State::newest`] without gaps.
    pub events: Vec<Event>,
    /// Acquires whose leases ended; [`State`] remembers them already. A backend that stores each
    /// record by itself stores them in the same write.
    pub ended: Vec<EndedRequest>,
}

impl State {
    /// The feature level that was raised last: new writes are made by its rules.
    #[must_use]
    pub fn level(&self) -> FeatureLevel {
        self.level
    }

    /// Raises the feature level. It never falls: what was written by a level must stay readable.
    pub fn raise_level(&mut self, to: FeatureLevel) {
        self.level = self.level.max(to);
    }

    /// Logical time of the last write. A later write cannot be earlier than this.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }

    /// The cursor of the last event that was made.
    #[must_use]
    pub fn newest(&self) -> Cursor {
        self.newest
    }

    /// When [`State::tick`] has something to do; none if never. In the past if it is late.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.locks.next_deadline()
    }

    /// One lock at `now`, which is lifted to [`State::now`]. A lock without a record is free.
    #[must_use]
    pub fn view(&self, lock: &LockRef, now: Millis) -> LockView {
        let now = now.max(self.now);
        match self.locks.get(lock) {
            Some(record) => record.view(lock, now),
            None => LockRecord::default().view(lock, now),
        }
    }

    /// Whether these are one acquire that can only enter a queue, as far as is known: somebody has
    /// the lock, or waits for it. A backend may let its write wait for company, for nobody waits
    /// for it. That may have changed by then, which costs it some time and nothing else.
    #[must_use]
    pub fn is_patient(&self, commands: &[Command]) -> bool {
        let [command] = commands else {
            return false;
        };
        let record = || self.locks.get(&command.lock);
        command.action.may_wait() && record().is_some_and(LockRecord::makes_wait)
    }

    /// Locks that have a record, in the order of their names. A page may have fewer rows than
    /// asked for and still have a next one: a filter that matches little looks at a bounded
    /// number of locks at a time.
    #[must_use]
    pub fn list(&self, query: &ListQuery, now: Millis) -> Page<LockView> {
        self.locks.list(query, now.max(self.now))
    }

    /// How many leases the subject, and the team, hold in a namespace.
    #[must_use]
    pub fn usage(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        team: Option<&TeamName>,
    ) -> Usage {
        self.locks.usage(namespace, subject, team)
    }

    /// Whether a subject holds a lease of a lock that it asked for by this request.
    #[must_use]
    pub fn holds(&self, lock: &LockRef, subject: &Subject, request_id: &RequestId) -> bool {
        let record = self.locks.get(lock);
        record.is_some_and(|record| record.holds(subject, request_id))
    }

    /// Sizes, for metrics.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.locks.counts()
    }

    /// Begins a write: time never goes back.
    fn begin(&mut self, at: Moment) -> Moment {
        self.now = self.now.max(at.now);
        self.ended.fade(self.now);
        Moment {
            now: self.now,
            ..at
        }
    }

    /// Makes the next event.
    fn event(&mut self, at: Moment, kind: EventKind) -> Event {
        self.newest = Cursor(self.newest.0 + 1);
        Event {
            cursor: self.newest,
            now: at.now,
            wall: at.wall,
            level: at.level,
            kind,
        }
    }
}
