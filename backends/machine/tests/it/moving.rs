//! A namespace moves from one state to another.

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Change;
use leasehold_domain::Command;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockSettings;
use leasehold_domain::Millis;
use leasehold_domain::Outcome;
use leasehold_domain::Precondition;
use leasehold_domain::Seat;
use leasehold_domain::SeatState;
use leasehold_machine::State;
use proptest::prelude::*;

use crate::asking::EXCLUSIVE;
use crate::asking::acquire;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::release;
use crate::asking::renew;
use crate::asking::shared;
use crate::asking::transfer;

const ERA: u64 = 1;
const LOCKS: [&str; 3] = ["a", "b", "c"];

/// A store with its own time and its own count of writes.
struct Store {
    state: State,
    now: u64,
    write: u64,
}

impl Store {
    fn new(now: u64, write: u64) -> Self {
        let state = State::default();
        Self { state, now, write }
    }

    fn run(&mut self, command: &Command) -> Outcome {
        self.write += 1;
        let at = moment(self.now, self.write);
        let commands = std::slice::from_ref(command);
        let applied = self.state.execute(commands, Atomicity::Each, &[], at);
        applied.outcomes.into_iter().next().unwrap()
    }

    fn step(&mut self, lock: LockRef, action: Action) -> Outcome {
        self.run(&Command {
            lock,
            action,
            cause: None,
            expect: None,
        })
    }

    fn seat(&mut self, state: SeatState, token_offset: u64) {
        let seat = Seat {
            era: ERA,
            state,
            token_offset,
        };
        let cause = command("ops", "move", lock("a"), Action::Tick)
            .cause
            .unwrap();
        let edit = Edit {
            collection: Seat::COLLECTION.into(),
            id: "demo".into(),
            body: Some(Arc::from(seat.to_string().into_bytes())),
            precondition: Precondition::Any,
            change: Some(Change {
                request_id: cause.request_id.clone(),
                principal: cause.principal.clone(),
                collection: Seat::COLLECTION.into(),
                id: "demo".into(),
                digest: None,
                summary: "moved".into(),
            }),
        };
        self.write += 1;
        let (outcome, _) = self.state.edit(&[edit], moment(self.now, self.write));
        assert!(matches!(outcome, EditOutcome::Done(_)));
    }

    fn export(&mut self, lock: LockRef) -> (Option<Arc<[u8]>>, u64) {
        match self.step(lock, Action::Export) {
            Outcome::Exported {
                record,
                token_floor,
            } => (record, token_floor),
            other => panic!("{other:?}"),
        }
    }

    fn locks(&self) -> Vec<LockRef> {
        let query = ListQuery {
            namespace: "demo".parse().unwrap(),
            prefix: String::new(),
            holder: None,
            team: None,
            state: None,
            after: None,
            limit: 100,
        };
        let page = self.state.list(&query, Millis(self.now));
        page.rows.into_iter().map(|view| view.lock).collect()
    }
}

/// Everything that a gateway does, in its order.
fn move_all(from: &mut Store, to: &mut Store) {
    to.seat(SeatState::Arriving, 0);
    from.seat(SeatState::Moved, 0);
    let (_, given) = from.export(lock("any"));
    let (_, ours) = to.export(lock("any"));
    let offset = (given + 1_024).saturating_sub(ours);
    to.seat(SeatState::Arriving, offset);
    for lock in from.locks() {
        let (record, _) = from.export(lock.clone());
        let import = Action::Import {
            era: ERA,
            record: record.unwrap(),
        };
        // A copy that was cut off is made again.
        for _ in 0..2 {
            assert_eq!(to.step(lock.clone(), import.clone()), Outcome::Imported);
        }
    }
    to.seat(SeatState::Open, offset);
    for lock in from.locks() {
        assert_eq!(
            from.step(lock, Action::Evict { era: ERA }),
            Outcome::Evicted
        );
    }
}

fn held(store: &Store, name: &str) -> Vec<(String, u64, u64)> {
    let view = store.state.view(&lock(name), Millis(store.now));
    let holder =
        |h: &leasehold_domain::HolderView| (h.handle.to_string(), h.token.0, h.remaining_ms);
    view.holders.iter().map(holder).collect()
}

#[derive(Debug, Clone)]
enum Ask {
    Acquire(bool, u64, Option<u64>),
    Renew(u64),
    Release(u64),
    Transfer(u64),
    Cool,
}

fn asks() -> impl Strategy<Value = (u64, usize, usize, Ask)> {
    let ttl = prop_oneof![Just(1_000_u64), Just(4_000)];
    let wait = prop_oneof![Just(None), Just(Some(3_000_u64))];
    let ask = prop_oneof![
        6 => (any::<bool>(), ttl, wait).prop_map(|(s, t, w)| Ask::Acquire(s, t, w)),
        2 => (0..12_u64).prop_map(Ask::Renew),
        2 => (0..12_u64).prop_map(Ask::Release),
        1 => (0..12_u64).prop_map(Ask::Transfer),
        1 => Just(Ask::Cool),
    ];
    (0..900_u64, 0..LOCKS.len(), 0..3_usize, ask)
}

fn perform(store: &mut Store, asked: &[(u64, usize, usize, Ask)]) -> u64 {
    let mut newest = 0;
    for (n, (step, name, who, ask)) in asked.iter().enumerate() {
        store.now += step;
        let who = ["ann", "bob", "cyd"][*who];
        let action = match ask {
            Ask::Acquire(false, ttl, wait) => acquire(n as u64, EXCLUSIVE, *ttl, *wait),
            Ask::Acquire(true, ttl, wait) => acquire(n as u64, shared(1), *ttl, *wait),
            Ask::Renew(id) => renew(*id, None),
            Ask::Release(id) => release(*id),
            Ask::Transfer(id) => transfer(*id, "cyd", 500),
            Ask::Cool => Action::Configure(LockSettings {
                cooldown_ms: 2_000,
                ..LockSettings::default()
            }),
        };
        store.run(&command(who, &format!("r{n}"), lock(LOCKS[*name]), action));
        for name in LOCKS {
            let tokens = held(store, name).into_iter().map(|(_, token, _)| token);
            newest = newest.max(tokens.max().unwrap_or(0));
        }
    }
    newest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever was done before: leases stay with their tokens and end no earlier, the queue keeps
    /// its order, the old store does nothing any more, and every later token is greater than any
    /// earlier one, of locks without a record too.
    #[test]
    fn a_move_shortens_no_lease_and_tokens_grow(
        asked in proptest::collection::vec(asks(), 1..20),
        clock in 0..1_000_000_u64,
        write in 1..2_000_u64,
    ) {
        let (mut from, mut to) = (Store::new(1_000, 1_000), Store::new(clock, write));
        let newest = perform(&mut from, &asked);
        let before = LOCKS.map(|name| held(&from, name));
        let queues = LOCKS.map(|name| from.state.view(&lock(name), Millis(from.now)).queue);
        let settings = LOCKS.map(|name| from.state.view(&lock(name), Millis(from.now)).settings);
        move_all(&mut from, &mut to);
        for (index, name) in LOCKS.into_iter().enumerate() {
            let after = held(&to, name);
            prop_assert_eq!(after.len(), before[index].len());
            for (old, new) in before[index].iter().zip(&after) {
                prop_assert_eq!((&old.0, old.1), (&new.0, new.1));
                prop_assert!(new.2 >= old.2, "{} ms of {} ms are left", new.2, old.2);
            }
            let view = to.state.view(&lock(name), Millis(to.now));
            let handles = |queue: &[leasehold_domain::WaiterView]| {
                queue.iter().map(|waiter| waiter.handle).collect::<Vec<_>>()
            };
            prop_assert_eq!(handles(&view.queue), handles(&queues[index]));
            prop_assert_eq!(&view.settings, &settings[index]);
            let late = command("ann", "late", lock(name), acquire(99, EXCLUSIVE, 1_000, None));
            prop_assert_eq!(from.run(&late), Outcome::Moved);
        }
        prop_assert!(from.locks().is_empty());
        prop_assert_eq!(from.state.counts().leases, 0);
        prop_assert_eq!(from.state.next_deadline(), None);
        // A snapshot knows it, too.
        let restored = State::from_bytes(&to.state.to_bytes()).unwrap();
        prop_assert_eq!(&restored, &to.state);
        to.now += 100_000;
        // The one for whom a transfer may reserve a lock.
        for name in LOCKS.into_iter().chain(["never-seen"]) {
            let asked = command("cyd", name, lock(name), acquire(100, EXCLUSIVE, 1_000, None));
            let grant = granted(to.run(&asked));
            prop_assert!(grant.token.0 > newest, "{} after {newest}", grant.token.0);
        }
    }
}

#[test]
fn time_stands_still_on_the_way() {
    let mut from = Store::new(0, 1);
    let take = command("ann", "r", lock("a"), acquire(1, EXCLUSIVE, 1_000, None));
    granted(from.run(&take));
    from.seat(SeatState::Moved, 0);
    from.now = 50_000;
    assert_eq!(from.state.next_deadline(), None);
    assert!(from.state.tick(moment(from.now, 50), 10).is_empty());
    let renewal = command("ann", "n", lock("a"), renew(1, None));
    assert_eq!(from.run(&renewal), Outcome::Moved);
    // It arrives as if it had been renewed: the holder may have tried, and been refused.
    let mut to = Store::new(7, 1);
    move_all(&mut from, &mut to);
    assert_eq!(held(&to, "a")[0].2, 1_000);
    assert!(matches!(to.run(&renewal), Outcome::Renewed(_)));
    to.now = 5_000;
    assert_eq!(to.state.tick(moment(to.now, 90), 10).len(), 1);
}

/// A move that was cut off for longer than a lease lasts: when it goes on, the lease is whole again.
#[test]
fn what_is_imported_again_counts_from_then() {
    let mut from = Store::new(0, 1);
    let take = command("ann", "r", lock("a"), acquire(1, EXCLUSIVE, 1_000, None));
    let token = granted(from.run(&take)).token;
    from.seat(SeatState::Moved, 0);
    let mut to = Store::new(7, 1);
    to.seat(SeatState::Arriving, 1 << 20);
    let mut revisions = Vec::new();
    // While it lasts it is rounded up, for the two stores' milliseconds do not begin together.
    for remaining_ms in [1_001, 1_000] {
        let (record, _) = from.export(lock("a"));
        let record = record.unwrap();
        let import = Action::Import { era: ERA, record };
        assert_eq!(to.step(lock("a"), import), Outcome::Imported);
        assert_eq!(
            held(&to, "a"),
            [(held(&to, "a")[0].0.clone(), token.0, remaining_ms)]
        );
        revisions.push(to.state.view(&lock("a"), Millis(to.now)).revision);
        assert_eq!(to.state.counts().leases, 1);
        (from.now, to.now) = (from.now + 20_000, to.now + 20_000);
    }
    assert!(revisions[1] > revisions[0], "{revisions:?}");
    to.now -= 20_000;
    to.seat(SeatState::Open, 1 << 20);
    let renewal = command("ann", "n", lock("a"), renew(1, None));
    assert!(matches!(to.run(&renewal), Outcome::Renewed(_)));
}

#[test]
fn steps_of_another_move_do_nothing() {
    let mut store = Store::new(0, 1);
    let take = command("ann", "r", lock("a"), acquire(1, EXCLUSIVE, 1_000, None));
    granted(store.run(&take));
    let evict = |era| Action::Evict { era };
    for action in [evict(0), evict(ERA)] {
        assert_eq!(store.step(lock("a"), action), Outcome::Moved);
    }
    // It may be looked at before it moves.
    let (weighed, _) = store.export(lock("a"));
    store.seat(SeatState::Moved, 0);
    let (record, _) = store.export(lock("a"));
    assert_eq!(record, weighed);
    let import = |era| Action::Import {
        era,
        record: record.clone().unwrap(),
    };
    for action in [evict(ERA + 1), import(ERA)] {
        assert_eq!(store.step(lock("a"), action), Outcome::Moved);
    }
    store.seat(SeatState::Arriving, 0);
    for action in [evict(ERA), import(ERA + 1)] {
        assert_eq!(store.step(lock("a"), action), Outcome::Moved);
    }
    // Opened again it goes on as if nothing had been.
    store.seat(SeatState::Open, 0);
    assert_eq!(store.state.next_deadline(), Some(Millis(1_001)));
}
