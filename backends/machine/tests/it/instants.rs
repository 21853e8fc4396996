//! Time in microseconds beside the machine's whole milliseconds: no lease ends before its ttl has
//! passed between the instants of its grant and of its end, however these lie in their milliseconds.

use leasehold_domain::Action;
use leasehold_domain::Millis;
use leasehold_domain::Outcome;
use leasehold_machine::LockRecord;
use leasehold_machine::apply;
use proptest::prelude::*;

use crate::asking::EXCLUSIVE;
use crate::asking::acquire;
use crate::asking::cancel;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::renew;
use crate::asking::tick;

const MS: u64 = 1_000;
const TTL_MS: u64 = 20;

/// A record, and who may write it: each with a clock of its own that shows whole milliseconds.
struct Store {
    record: LockRecord,
    /// What each clock shows at the instant 0, in microseconds.
    clocks: Vec<u64>,
    /// Whose clock the record is on.
    writer: usize,
    writes: u64,
}

impl Store {
    fn new(clocks: Vec<u64>) -> Self {
        Self {
            record: LockRecord::default(),
            clocks,
            writer: 0,
            writes: 0,
        }
    }

    fn shows(&self, writer: usize, at_us: u64) -> Millis {
        Millis((self.clocks[writer] + at_us) / MS)
    }

    /// Another sees the record at this instant, and counts on from there.
    fn seen_by(&mut self, writer: usize, at_us: u64) {
        if writer != self.writer {
            let arrived = self.shows(writer, at_us).over_from();
            self.record = self.record.clone().rebased(arrived);
            self.writer = writer;
        }
    }

    fn ask(&mut self, at_us: u64, who: &str, action: Action) -> Outcome {
        self.writes += 1;
        let at = moment(self.shows(self.writer, at_us).0, self.writes);
        let asked = command(who, who, lock("l"), action);
        apply(&mut self.record, &asked, at).0
    }

    /// Whether the lease ends at this instant.
    fn ends(&mut self, at_us: u64) -> bool {
        self.writes += 1;
        let at = moment(self.shows(self.writer, at_us).0, self.writes);
        let (_, told) = apply(&mut self.record, &tick(lock("l")), at);
        !told.is_empty()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lease_lasts_its_ttl_and_at_most_a_millisecond_more(
        clock in 0..5 * MS,
        asked in 0..5 * MS,
        renewed in proptest::option::of(0..TTL_MS * MS),
        after in 0..(TTL_MS + 2) * MS,
    ) {
        let mut store = Store::new(vec![clock]);
        let grant = granted(store.ask(asked, "ann", acquire(1, EXCLUSIVE, TTL_MS, None)));
        prop_assert_eq!(grant.remaining_ms, TTL_MS);
        let from = asked + renewed.unwrap_or(0);
        if renewed.is_some() {
            granted(store.ask(from, "ann", renew(1, None)));
        }
        match store.ends(from + after) {
            true => prop_assert!(after >= TTL_MS * MS, "{after} us"),
            false => prop_assert!(after < (TTL_MS + 1) * MS, "{after} us"),
        }
    }

    #[test]
    fn a_lease_ends_early_on_no_clock_that_it_is_put_on(
        clocks in proptest::collection::vec(0..9 * MS, 3),
        turns in proptest::collection::vec((0..3_usize, 0..2 * MS, 0..MS), 1..12),
    ) {
        let (mut store, mut now) = (Store::new(clocks), 0);
        granted(store.ask(now, "ann", acquire(1, EXCLUSIVE, TTL_MS, None)));
        let (mut others, mut late) = (0, 0);
        for (place, (writer, trip, pause)) in turns.into_iter().enumerate() {
            // The way of the record to the next writer is time that nobody counts.
            now += trip;
            if writer != store.writer {
                others += 1;
                late += trip;
            }
            store.seen_by(writer, now);
            now += pause;
            prop_assert!(now >= TTL_MS * MS || !store.ends(now), "ended after {now} us");
            // Somebody comes and goes, so that the record is written.
            let id = 10 + place as u64;
            store.ask(now, "bob", acquire(id, EXCLUSIVE, TTL_MS, Some(1_000)));
            store.ask(now, "bob", cancel(id));
        }
        // A turn costs the way, and at most two milliseconds that are cut off.
        let end = TTL_MS * MS + late + (2 * others + 1) * MS;
        prop_assert!(now >= TTL_MS * MS || store.ends(end.max(now)), "lasts {end} us and more");
    }
}
