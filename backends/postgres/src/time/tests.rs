//! The timekeeper, on clocks that step. Two gateways write in turns; a pretended database keeps the
//! last stamp; real time is counted beside them.

use leasehold_domain::ManualClock;

use super::*;

const MS: u64 = 1_000;

/// Numbers that are different for each seed, and the same for the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Microseconds that are moved by hand. A manual clock has milliseconds only.
#[derive(Debug)]
struct Micros(std::sync::Mutex<u64>);

impl Clock for Micros {
    fn monotonic(&self) -> Duration {
        Duration::from_micros(*self.0.lock().unwrap())
    }

    fn wall(&self) -> leasehold_domain::WallMillis {
        leasehold_domain::WallMillis(0)
    }
}

/// The last write, as the database has it, and when it was stamped in truth.
#[derive(Clone, Copy)]
struct Stored {
    writer: usize,
    now_us: u64,
    clock_us: i64,
}

struct World {
    /// Real time; the gateways' own clocks show it, too.
    time: Micros,
    /// What the database's clock shows besides.
    offset_us: i64,
    keepers: [Timekeeper; 2],
    known: [Option<usize>; 2],
    writes: Vec<Stored>,
    /// The least of stamp minus real time over all writes: a stamp above that ends leases early.
    least: Option<i64>,
}

impl World {
    fn new() -> Self {
        Self {
            time: Micros(std::sync::Mutex::new(7_000_000)),
            offset_us: 1_700_000_000_000_000,
            keepers: [0, 1].map(|_| Timekeeper::new(Duration::from_millis(200))),
            known: [None; 2],
            writes: Vec::new(),
            least: None,
        }
    }

    fn now(&self) -> u64 {
        *self.time.0.lock().unwrap()
    }

    fn pass(&self, us: u64) {
        *self.time.0.lock().unwrap() += us;
    }

    fn clock_us(&self) -> i64 {
        self.offset_us + i64::try_from(self.now()).unwrap()
    }

    /// A gateway asks where the store is, and follows.
    fn look(&mut self, gateway: usize, trip_us: u64) {
        self.pass(trip_us);
        let (clock_us, last) = (self.clock_us(), self.writes.last().copied());
        let count = self.writes.len();
        self.pass(trip_us);
        let received = self.time.monotonic();
        let keeper = &self.keepers[gateway];
        keeper.sample(Sample { clock_us, received });
        if self.known[gateway] != Some(count) {
            self.known[gateway] = Some(count);
            if let Some(stored) = last.filter(|stored| stored.writer != gateway) {
                keeper.follow(stored.now_us, stored.clock_us, received);
            }
        }
    }

    /// A gateway that is where the store is writes.
    fn write(&mut self, gateway: usize, trip_us: u64) {
        let now_us = self.keepers[gateway].look(&self.time);
        let ahead = i64::try_from(now_us).unwrap() - i64::try_from(self.now()).unwrap();
        let least = self.least.unwrap_or(ahead);
        assert!(ahead <= least, "a lease ends {} us early", ahead - least);
        self.least = Some(ahead);
        self.pass(trip_us);
        self.writes.push(Stored {
            writer: gateway,
            now_us,
            clock_us: self.clock_us(),
        });
        self.known[gateway] = Some(self.writes.len());
        self.pass(trip_us);
        let received = self.time.monotonic();
        let clock_us = self.writes[self.writes.len() - 1].clock_us;
        self.keepers[gateway].sample(Sample { clock_us, received });
    }

    /// How far logical time is behind real time, counted from the first write.
    fn late_us(&self) -> u64 {
        let first = &self.writes[0];
        let last = &self.writes[self.writes.len() - 1];
        // The clock of the database is not stepped where this is asked.
        let real = u64::try_from(last.clock_us - first.clock_us).unwrap();
        real.saturating_sub(last.now_us - first.now_us)
    }
}

#[test]
fn no_lease_ends_early_whatever_the_database_s_clock_does() {
    for seed in 1..=200_u64 {
        let mut dice = Dice(u64::wrapping_mul(seed, 0x9E37_79B9_7F4A_7C15));
        let mut world = World::new();
        for _ in 0..400 {
            if dice.below(12) == 0 {
                // Up to ten seconds, forwards or backwards, or a hardly visible step.
                let reach = [20, 2_000, 10_000_000][usize::try_from(dice.below(3)).unwrap()];
                let step = i64::try_from(dice.below(2 * reach)).unwrap();
                world.offset_us += step - i64::try_from(reach).unwrap();
            }
            let trip_us = 20 + dice.below(3 * MS);
            // Both look at least once between two steps, as they do in twenty a second.
            for gateway in [0, 1] {
                world.look(gateway, trip_us);
            }
            if dice.below(3) > 0 {
                let gateway = usize::try_from(dice.below(2)).unwrap();
                world.look(gateway, trip_us);
                world.write(gateway, 20 + dice.below(3 * MS));
            }
            world.pass(dice.below(50 * MS));
        }
    }
}

#[test]
fn a_change_of_writer_costs_one_round_trip_at_most() {
    let trip_us = 150;
    let mut world = World::new();
    for gateway in [0, 1] {
        world.look(gateway, trip_us);
    }
    let changes = 10_000;
    for turn in 0..changes {
        let gateway = turn % 2;
        world.look(gateway, trip_us);
        world.write(gateway, trip_us);
    }
    let bound = u64::try_from(changes).unwrap() * 2 * trip_us;
    assert!(world.late_us() <= bound, "{} us", world.late_us());
}

#[test]
fn a_step_costs_no_more_than_a_look_can_count() {
    for step_s in [-3_600, 3_600] {
        let mut world = World::new();
        for gateway in [0, 1] {
            world.look(gateway, 100);
        }
        let mut before = 0;
        for turn in 0..200 {
            world.look(turn % 2, 100);
            world.write(turn % 2, 100);
            world.pass(20 * MS);
            if turn == 99 {
                before = world.writes[99].now_us;
                world.offset_us += step_s * 1_000_000;
            }
        }
        let counted = world.writes[199].now_us - before;
        let real = 100 * (20 * MS + 400);
        assert!(counted <= real, "{counted} of {real} us");
        // One write's credit is lost, and a round trip for each change of writer.
        assert!(
            counted + 21 * MS + 100 * 400 >= real,
            "{counted} of {real} us"
        );
    }
}

#[test]
fn a_freeze_counts_for_one_step_and_idle_looks_add_up() {
    let clock = ManualClock::default();
    let keeper = Timekeeper::new(Duration::from_millis(200));
    keeper.follow(1_000_000, 0, clock.monotonic());
    for _ in 0..50 {
        clock.advance(100);
        keeper.look(&clock);
    }
    assert_eq!(keeper.look(&clock), 6_000_000);
    clock.advance(30_000);
    assert_eq!(keeper.look(&clock), 6_200_000, "frozen for 30 s");
    clock.set_wall(leasehold_domain::WallMillis(0));
    assert_eq!(keeper.look(&clock), 6_200_000, "wall time does not matter");
}

#[test]
fn without_an_answer_from_before_nothing_is_credited() {
    let keeper = Timekeeper::new(Duration::from_millis(200));
    let (clock, received) = (ManualClock::default(), Duration::from_secs(5));
    clock.advance(5_000);
    keeper.sample(Sample {
        clock_us: 9_000_000,
        received,
    });
    keeper.follow(1_000_000, 8_900_000, received);
    assert_eq!(keeper.look(&clock), 1_000_000);
}
