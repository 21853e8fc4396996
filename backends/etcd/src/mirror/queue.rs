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

/// How a lock is kept in etcd.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    /// What the record's clock shows, in the record's own time.
    clock: Millis,
    /// Of the waiters, in order: the numbers in their keys. Fewer than wait if they are in the
    /// lock's own key, as an older build has put them: then they are put anew with the next write.
    numbers: Box<[u64]>,
}

/// What a write of a lock does in etcd.
#[derive(Debug)]
pub(crate) struct Step {
    /// For the lock's key.
    pub(crate) head: LockRecord,
    /// Waiters that came or have changed.
    pub(crate) put: Vec<(u64, Arc<Waiter>)>,
    /// Waiters that are not there any more.
    pub(crate) gone: Vec<u64>,
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
        let numbered = before.filter(|before| before.queue_len() == self.numbers.len());
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
        let (gone, mut numbers) = self.split(leaves);
        // Not one that leaves in the same write: etcd takes each key once.
        let mut unused = self.numbers.last().map_or(0, |last| last + 1)..;
        let mut numbered = Vec::with_capacity(put.len());
        for (place, waiter) in put {
            let there = usize::try_from(place).ok();
            let number = there.and_then(|place| numbers.get(place).copied());
            let number = number.or_else(|| {
                let number = unused.next()?;
                numbers.push(number);
                Some(number)
            });
            numbered.extend(number.map(|number| (number, waiter)));
        }
        Step {
            head,
            put: numbered,
            gone,
            kept: Self {
                clock,
                numbers: numbers.into(),
            },
        }
    }

    /// The numbers of those that leave, and of those that stay.
    fn split(&self, mut leaves: impl FnMut(u32) -> bool) -> (Vec<u64>, Vec<u64>) {
        let places = self.numbers.iter().copied().zip(0_u32..);
        let (gone, stay): (Vec<_>, Vec<_>) = places.partition(|(_, place)| leaves(*place));
        let numbers = |all: Vec<(u64, u32)>| all.into_iter().map(|(number, _)| number).collect();
        (numbers(gone), numbers(stay))
    }

    /// Of the waiters that have values of their own.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.numbers.iter().copied()
    }

    /// The waiters of a record that is kept so, in the record's own time.
    pub(crate) fn waiters(&self, record: &LockRecord) -> BTreeMap<u64, Arc<Waiter>> {
        if record.queue_len() != self.numbers.len() {
            return BTreeMap::new();
        }
        let record = record.clone().rebased(self.clock);
        let waiters = record.waiters().cloned();
        self.numbers.iter().copied().zip(waiters).collect()
    }

    /// The lock of these values, which were seen at `seen`.
    pub(crate) fn join(
        head: LockRecord,
        waiters: BTreeMap<u64, Arc<Waiter>>,
        seen: Millis,
    ) -> (LockRecord, Self) {
        let clock = head.clock();
        if head.queue_len() > 0 {
            let numbers = Box::default();
            return (head.rebased(seen), Self { clock, numbers });
        }
        let (numbers, waiters): (Vec<_>, Vec<_>) = waiters.into_iter().unzip();
        let numbers = numbers.into();
        let record = head.with_waiters(waiters).rebased(seen);
        (record, Self { clock, numbers })
    }
}
