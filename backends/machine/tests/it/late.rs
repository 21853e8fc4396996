//! Late duplicates of acquires whose leases have ended.

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::EndCause;
use leasehold_domain::Outcome;
use leasehold_domain::Rejection;
use leasehold_domain::WallMillis;
use leasehold_machine::State;

use crate::asking::EXCLUSIVE;
use crate::asking::OneLock;
use crate::asking::acquire;
use crate::asking::acquire_once;
use crate::asking::cancel;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::release;
use crate::asking::renew;
use crate::asking::revoke;
use crate::asking::run_each;
use crate::asking::transfer;

const WAIT: Option<u64> = Some(30_000);

/// A store to which the tests speak in turn; each command is one write.
#[derive(Default)]
struct Store {
    state: State,
    writes: u64,
}

impl Store {
    fn ask(&mut self, now: u64, who: &str, request: &str, action: Action) -> Outcome {
        self.run(now, command(who, request, lock("l"), action))
    }

    fn run(&mut self, now: u64, command: Command) -> Outcome {
        self.writes += 1;
        run_each(&mut self.state, now, self.writes, &[command]).remove(0)
    }

    /// The same store after its state was stored and read.
    fn restart(&mut self) {
        self.state = State::from_bytes(&self.state.to_bytes()).unwrap();
    }
}

fn lost(cause: EndCause) -> Outcome {
    Outcome::LeaseLost(cause)
}

#[test]
fn a_late_duplicate_is_told_what_became_of_its_lease() {
    let end = |end: &dyn Fn(&mut Store), now: u64, cause: EndCause| {
        let mut store = Store::default();
        granted(store.ask(0, "ann", "r", acquire_once(1, EXCLUSIVE, 5_000, None)));
        end(&mut store);
        for wait_ms in [None, WAIT] {
            let again = store.ask(now, "ann", "r", acquire_once(2, EXCLUSIVE, 5_000, wait_ms));
            assert_eq!(again, lost(cause));
        }
        store.restart();
        let again = store.ask(now, "ann", "r", acquire_once(3, EXCLUSIVE, 5_000, None));
        assert_eq!(again, lost(cause));
        assert_eq!(
            store.state.counts().leases + store.state.counts().waiters,
            0
        );
        // It is one request of one subject for one lock, and no other.
        granted(store.ask(now, "abe", "r", acquire_once(4, EXCLUSIVE, 1_000, None)));
        let other = command(
            "ann",
            "r",
            lock("m"),
            acquire_once(5, EXCLUSIVE, 1_000, None),
        );
        granted(store.run(now, other));
        // After a minute nobody knows any more.
        let late = now + 60_001;
        granted(store.ask(late, "ann", "r", acquire_once(6, EXCLUSIVE, 5_000, None)));
    };
    let ask = |who: &'static str, action: fn() -> Action| {
        move |store: &mut Store| {
            store.ask(10, who, "other", action());
        }
    };
    end(&ask("ann", || release(1)), 11, EndCause::Released);
    end(&ask("op", || revoke(0)), 11, EndCause::Revoked);
    end(&ask("op", || revoke(500)), 600, EndCause::Revoked);
    end(
        &ask("ann", || transfer(1, "ann", 0)),
        5_100,
        EndCause::Transferred,
    );
    // It expires in the very step of the duplicate, or before.
    end(&|_| {}, 5_001, EndCause::Expired);
    end(
        &|store| {
            store.state.tick(moment(5_001, 9), 9);
            store.writes = 9;
        },
        5_002,
        EndCause::Expired,
    );
}

#[test]
fn what_stands_is_found_and_what_was_never_held_may_be_asked_for() {
    let mut store = Store::default();
    let first = granted(store.ask(0, "ann", "r", acquire_once(1, EXCLUSIVE, 5_000, None)));
    let again = granted(store.ask(1, "ann", "r", acquire_once(2, EXCLUSIVE, 5_000, None)));
    assert_eq!((again.lease_id, again.repeated), (first.lease_id, true));
    // A wait that ended without a grant, and a grant that nobody was there to take.
    store.ask(2, "bob", "q", acquire_once(3, EXCLUSIVE, 5_000, WAIT));
    store.ask(3, "bob", "q", cancel(3));
    store.ask(4, "bob", "q", acquire_once(4, EXCLUSIVE, 5_000, WAIT));
    store.ask(5, "ann", "s", release(1));
    store.ask(6, "bob", "q", cancel(4));
    granted(store.ask(7, "bob", "q", acquire_once(5, EXCLUSIVE, 5_000, None)));
    // Repeated releases and renewals are answered as before.
    assert_eq!(store.ask(8, "ann", "s", release(1)), Outcome::Released);
    assert_eq!(
        store.ask(8, "ann", "s", renew(1, None)),
        lost(EndCause::Released)
    );
    // What an older log holds keeps its meaning.
    store.ask(9, "bob", "q", release(5));
    granted(store.ask(10, "ann", "r", acquire(6, EXCLUSIVE, 5_000, None)));
}

#[test]
fn a_hot_lock_forgets_none_of_its_leases() {
    let mut store = Store::default();
    for n in 1..500 {
        let request = format!("r{n}");
        granted(store.ask(n, "ann", &request, acquire_once(n, EXCLUSIVE, 5_000, None)));
        store.ask(n, "ann", "x", release(n));
    }
    let record = store.state.record(&lock("l")).cloned();
    for n in 1..500 {
        let request = format!("r{n}");
        let again = store.ask(
            501,
            "ann",
            &request,
            acquire_once(1_000 + n, EXCLUSIVE, 5_000, None),
        );
        assert_eq!(again, lost(EndCause::Released), "{request}");
    }
    assert_eq!(store.state.record(&lock("l")).cloned(), record);
}

#[test]
fn one_late_duplicate_fails_a_batch_as_a_whole() {
    let mut store = Store::default();
    let both = |ids: [u64; 2]| {
        ["l", "m"].map(|name| {
            let id = ids[usize::from(name == "m")];
            command(
                "ann",
                "r",
                lock(name),
                acquire_once(id, EXCLUSIVE, 5_000, None),
            )
        })
    };
    let together = |store: &mut Store, now, ids| {
        store.writes += 1;
        let at = moment(now, store.writes);
        let applied = store
            .state
            .execute(&both(ids), Atomicity::AllOrNothing, &[], at);
        (applied.outcomes, applied.events.len())
    };
    let (granted, _) = together(&mut store, 0, [1, 2]);
    assert!(granted.iter().all(|o| matches!(o, Outcome::Granted(_))));
    store.ask(1, "ann", "s", release(1));
    let refused = (vec![lost(EndCause::Released), Outcome::NotAttempted], 0);
    assert_eq!(together(&mut store, 2, [3, 4]), refused);
    store.run(3, command("ann", "s", lock("m"), release(2)));
    let refused = (vec![lost(EndCause::Released); 2], 0);
    assert_eq!(together(&mut store, 4, [5, 6]), refused);
    assert_eq!(store.state.counts().leases, 0);
}

/// A command whose request id was made `age_ms` before the gateway took it.
fn aged(age_ms: u64, action: Action) -> Command {
    let made = 1_700_000_000_000_u64;
    let (high, low) = (made >> 16, made & 0xffff);
    let request = format!("{high:08x}-{low:04x}-7aaa-8aaa-aaaaaaaaaaaa");
    let command = command("ann", &request, lock("l"), action);
    let cause = command.cause.as_deref().map(|cause| Cause {
        received: WallMillis(made + age_ms),
        ..cause.clone()
    });
    Command {
        cause: cause.map(Arc::new),
        ..command
    }
}

#[test]
fn an_old_request_id_is_refused_unless_its_request_stands() {
    let too_old = Outcome::Rejected(Rejection::RequestIdTooOld);
    let mut store = Store::default();
    let once = |id, wait_ms| acquire_once(id, EXCLUSIVE, 5_000, wait_ms);
    let refused = store.run(0, aged(60_001, once(1, None)));
    assert_eq!(refused, too_old);
    assert_eq!(store.state.counts().locks, 0);
    granted(store.run(0, aged(60_000, once(2, None))));
    let again = granted(store.run(1, aged(90_000, once(3, None))));
    assert!(again.repeated);
    store.ask(2, "ann", "s", release(2));
    let known = store.run(3, aged(90_000, once(4, None)));
    assert_eq!(known, lost(EndCause::Released));
    assert_eq!(store.run(70_000, aged(70_000, once(5, None))), too_old);
    // A place in the queue may be kept for as long as its client asks.
    granted(store.ask(
        80_000,
        "bob",
        "b",
        acquire_once(6, EXCLUSIVE, 300_000, None),
    ));
    let queued = store.run(80_000, aged(0, once(7, WAIT)));
    assert!(matches!(queued, Outcome::Queued { .. }), "{queued:?}");
    for at in (100_000..200_000).step_by(20_000) {
        let queued = store.run(at, aged(at - 80_000, once(8, WAIT)));
        assert!(matches!(queued, Outcome::Queued { .. }), "{queued:?}");
    }
    // Ids that do not say when they were made, or were made by a clock that is ahead, are taken.
    let mut l = OneLock::default();
    granted(l.repeat(0, "ann", "nightly", once(1, None)));
}
