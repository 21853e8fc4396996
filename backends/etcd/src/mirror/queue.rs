//! Waiters are values of their own, so that a write of a lock does not grow with its queue: a
//! hand-over moves one of them. The lock's key has all else, and every write of a waiter puts it,
//! too, so that its revision is the only condition of a write.
//!
//! A waiter's value stays as it is while others come and go. So all values of a lock have one time:
//! not that of the gateway that wrote them, but the *record's*, which its first writer began, and
//! which each gateway translates ([`LockRecord::rebased`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain::Millis;
use leasehold_machine::ChangeParts;
use leasehold_machine::LockRecord;
use leasehold_machine::RecordChange;
use leasehold_machine::Waiter;
use leasehold_machine::stored;

/// What a message about a key has besides it.
const AROUND_KEY_BYTES: usize = 32;

/// How a lock is kept in etcd.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    /// What the record's clock shows, in the record's own time.
    clock: Millis,
    /// Of the waiters, in order. Fewer than wait if they are in the lock's own key, as another
    /// build may put them: then they are put anew with the next write.
    places: Box<[Place]>,
}

/// Where a waiter is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// In its key.
    number: u64,
    /// Of its value.
    bytes: usize,
}

/// A waiter, and how many bytes its value has.
pub(crate) type Valued = (Arc<Waiter>, usize);

/// What a write of a lock does in etcd.
#[derive(Debug)]
pub(crate) struct Step {
    /// For the lock's key.
    pub(crate) head: LockRecord,
    /// Values of waiters that came or have changed, by their numbers.
    pub(crate) put: Vec<(u64, Vec<u8>)>,
    /// Waiters that are not there any more.
    pub(crate) gone: Vec<u64>,
    /// Whether waiters came.
    pub(crate) grows: bool,
    /// How the lock is kept then.
    pub(crate) kept: Kept,
}

impl Kept {
    /// The write that leads from a record to another; `self` is how the first is kept.
    pub(crate) fn step(&self, before: Option<&LockRecord>, after: &LockRecord) -> Step {
        let clock = before.map_or(after.clock(), |before| {
            self.clock.plus(before.clock().until(after.clock()))
        });
        // Waiters without numbers have no values of their own to go on from.
        let numbered = before.filter(|before| before.queue_len() == self.places.len());
        let ChangeParts {
            head,
            keeps,
            gone,
            put,
        } = RecordChange::between(numbered, after)
            .rebased(clock)
            .into_parts();
        let mut gone = gone.into_iter().peekable();
        let leaves = |place: u32| !keeps || gone.next_if_eq(&place).is_some();
        let (gone, mut places) = self.split(leaves);
        // Not one that leaves in the same write: etcd takes each key once.
        let mut unused = self.places.last().map_or(0, |last| last.number + 1);
        let (stayed, mut values) = (places.len(), Vec::with_capacity(put.len()));
        for (place, waiter) in put {
            let value = stored::encode(&waiter);
            let bytes = value.len();
            let there = usize::try_from(place).ok();
            let number = match there.and_then(|place| places.get_mut(place)) {
                Some(there) => {
                    there.bytes = bytes;
                    there.number
                }
                None => {
                    let number = unused;
                    unused += 1;
                    places.push(Place { number, bytes });
                    number
                }
            };
            values.push((number, value));
        }
        Step {
            head,
            put: values,
            gone,
            grows: places.len() > stayed,
            kept: Self {
                clock,
                places: places.into(),
            },
        }
    }

    /// The numbers of those that leave, and the places of those that stay.
    fn split(&self, mut leaves: impl FnMut(u32) -> bool) -> (Vec<u64>, Vec<Place>) {
        let places = self.places.iter().copied().zip(0_u32..);
        let (gone, stay): (Vec<_>, Vec<_>) = places.partition(|(_, at)| leaves(*at));
        let gone = gone.into_iter().map(|(place, _)| place.number);
        (
            gone.collect(),
            stay.into_iter().map(|(place, _)| place).collect(),
        )
    }

    /// Of the waiters that have values of their own.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.places.iter().map(|place| place.number)
    }

    /// About the most bytes of a write that ends or serves the whole queue, besides the lock's own:
    /// each waiter is in the lock's value then, as a lease, and in an event; and its key, of so many
    /// bytes, is deleted.
    pub(crate) fn end_bytes(&self, key_bytes: usize) -> usize {
        let each = self.places.iter();
        each.map(|place| 2 * place.bytes + key_bytes + AROUND_KEY_BYTES)
            .sum()
    }

    /// The waiters of a record that is kept so, in the record's own time.
    pub(crate) fn waiters(&self, record: &LockRecord) -> BTreeMap<u64, Valued> {
        if record.queue_len() != self.places.len() {
            return BTreeMap::new();
        }
        let record = record.clone().rebased(self.clock);
        let waiters = record.waiters().cloned();
        let valued = self.places.iter().zip(waiters);
        let valued = valued.map(|(place, waiter)| (place.number, (waiter, place.bytes)));
        valued.collect()
    }

    /// The lock of these values, which were seen at `seen`.
    pub(crate) fn join(
        head: LockRecord,
        waiters: BTreeMap<u64, Valued>,
        seen: Millis,
    ) -> (LockRecord, Self) {
        let clock = head.clock();
        if head.queue_len() > 0 {
            let places = Box::default();
            return (head.rebased(seen), Self { clock, places });
        }
        let placed = waiters.into_iter().map(|(number, (waiter, bytes))| {
            let place = Place { number, bytes };
            (place, waiter)
        });
        let (places, waiters): (Vec<_>, Vec<_>) = placed.unzip();
        let places = places.into();
        let record = head.with_waiters(waiters).rebased(seen);
        (record, Self { clock, places })
    }
}
