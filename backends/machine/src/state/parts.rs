//! The state in pieces, for a backend that stores each record by itself.

use leasehold_domain::Cursor;
use leasehold_domain::DocumentSet;
use leasehold_domain::LockName;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;

use super::State;
use crate::EndedRequest;
use crate::LockRecord;
use crate::Misfit;
use crate::RecordChange;

impl State {
    /// One lock's record; none if it has none.
    #[must_use]
    pub fn record(&self, lock: &LockRef) -> Option<&LockRecord> {
        self.locks.get(lock)
    }

    /// All locks that have a record, with their records.
    pub fn records(&self) -> impl Iterator<Item = (LockRef, &LockRecord)> {
        let all = self.locks.records.iter();
        all.flat_map(|(namespace, locks)| {
            let of = move |lock: &LockName| LockRef::new(namespace.clone(), lock.clone());
            locks.iter().map(move |(lock, record)| (of(lock), record))
        })
    }

    /// Puts a record in its place as it is, or takes it away. No event is made: it is what another
    /// gateway, or an earlier write, left there.
    pub fn put_record(&mut self, lock: &LockRef, record: Option<LockRecord>) {
        self.locks.put(lock, record);
    }

    /// Puts what a change makes of a record in its place, or takes the record away. No event is
    /// made, as by [`State::put_record`].
    ///
    /// # Errors
    /// The change does not go on from the record that is there, which is left as it is.
    pub fn change_record(
        &mut self,
        lock: &LockRef,
        change: Option<RecordChange>,
    ) -> Result<(), Misfit> {
        let before = || self.record(lock).cloned();
        let after = change.map(|change| change.carry_out(before()));
        self.put_record(lock, after.transpose()?);
        Ok(())
    }

    /// Remembers acquires whose leases another gateway, or an earlier write, has ended, and forgets
    /// those that are too old beside them. The oldest come first.
    pub fn put_ended(&mut self, ended: impl IntoIterator<Item = EndedRequest>) {
        for one in ended {
            self.ended.fade(one.at);
            self.ended.add(one);
        }
    }

    /// Forgets acquires that a write added which was rolled back.
    pub fn take_back_ended(&mut self, ended: &[EndedRequest]) {
        self.ended.take_back(ended);
    }

    /// Returns the acquires whose leases have ended lately, the oldest first.
    pub fn ended(&self) -> impl Iterator<Item = &EndedRequest> {
        self.ended.order().iter()
    }

    /// Where time and events stand after a write that was not made here.
    pub fn resume(&mut self, now: Millis, newest: Cursor) {
        self.now = now;
        self.newest = newest;
        self.ended.fade(now);
    }

    /// The locks that [`State::tick`] would look at, at most `locks_max`, in its order.
    #[must_use]
    pub fn due(&self, now: Millis, locks_max: usize) -> Vec<LockRef> {
        self.locks.all_due(now, locks_max)
    }

    /// Replaces all documents, and the feature level by the one that they name: the first if they name
    /// none.
    pub fn put_documents(&mut self, documents: DocumentSet) {
        self.level = documents.feature_level().unwrap_or_default();
        self.documents = documents;
        self.read_seats();
    }
}
