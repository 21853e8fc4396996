//! At most one holds; tokens grow; retries are harmless; strangers change nothing.

use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use leasehold_backend_api::Batch;
use leasehold_domain::Action;
use leasehold_domain::EndCause;
use leasehold_domain::LockSettings;
use leasehold_domain::Mode;
use leasehold_domain::Outcome;
use leasehold_domain::Rejection;

use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::WAIT;
use crate::asking::acquire;
use crate::asking::acquire_as;
use crate::asking::acquire_once;
use crate::asking::by;
use crate::asking::command;
use crate::asking::each;
use crate::asking::fresh_lease;
use crate::asking::granted;
use crate::asking::lock;
use crate::asking::renew;
use crate::asking::revoke;
use crate::asking::together;

const SHARED: Mode = Mode::Shared { permits: 1 };

/// Many contend for one lock: never are there two holders, and tokens grow with the grants.
pub async fn one_holds_at_a_time_and_tokens_grow(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let (inside, last_token) = (AtomicU32::new(0), Mutex::new(0));
    let clients = (0..16).map(|client| {
        let (store, inside, last_token) = (&store, &inside, &last_token);
        async move {
            let who = format!("client-{client}");
            let mut grants = 0;
            while grants < 5 {
                let outcome = store.ask(&who, "one", acquire(LONG, None)).await;
                let Outcome::Granted(grant) = outcome else {
                    assert!(matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
                    tokio::task::yield_now().await;
                    continue;
                };
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two holders");
                let before = std::mem::replace(
                    &mut *last_token.lock().expect("no client panicked"),
                    grant.token.0,
                );
                assert!(grant.token.0 > before, "{} after {before}", grant.token);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                store.give_back(&who, "one", grant.lease_id).await;
                grants += 1;
            }
        }
    });
    join_all(clients).await;
    assert!(store.holders("one").await.is_empty());
}

/// Shared holders together never take more permits than the limit, and keep exclusive ones out.
pub async fn shared_holders_share_the_limit(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let settings = LockSettings {
        limit: 3,
        ..LockSettings::default()
    };
    let configured = store.ask("ops", "pool", Action::Configure(settings)).await;
    assert_eq!(configured, Outcome::Configured);
    let two = Mode::Shared { permits: 2 };
    let first = granted(store.ask("ann", "pool", acquire_as(two, LONG, None)).await);
    let refused = store.ask("bob", "pool", acquire_as(two, LONG, None)).await;
    assert!(matches!(refused, Outcome::Held { .. }), "{refused:?}");
    let second = granted(
        store
            .ask("bob", "pool", acquire_as(SHARED, LONG, None))
            .await,
    );
    assert!(second.token >= first.token);
    let exclusive = store.ask("cat", "pool", acquire(LONG, None)).await;
    assert!(matches!(exclusive, Outcome::Held { .. }), "{exclusive:?}");
    let four = Mode::Shared { permits: 4 };
    let never = store.ask("cat", "pool", acquire_as(four, LONG, None)).await;
    assert_eq!(never, Outcome::Rejected(Rejection::TooManyPermits));
    store.give_back("ann", "pool", first.lease_id).await;
    store.give_back("bob", "pool", second.lease_id).await;
    let exclusive = store.take("cat", "pool", LONG).await;
    assert!(exclusive.token > second.token, "it excludes the others");
}

/// A repeated acquire finds what the first one got, whatever lease id it brings.
pub async fn a_repeated_acquire_gets_the_same_lease(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let ask = || command("ann", "the-request", lock("one"), acquire(LONG, None));
    let first = granted(store.run_one(ask()).await);
    let again = granted(store.run_one(ask()).await);
    assert!(!first.repeated && again.repeated);
    assert_eq!((again.lease_id, again.token), (first.lease_id, first.token));
    // Both repetitions in one batch, and beside each other.
    let batch = store.run(each(vec![ask(), ask()])).await;
    for outcome in batch {
        assert_eq!(granted(outcome).lease_id, first.lease_id);
    }
    let other_mode = command(
        "ann",
        "the-request",
        lock("one"),
        acquire_as(SHARED, LONG, None),
    );
    let reused = store.run_one(other_mode).await;
    assert_eq!(reused, Outcome::Rejected(Rejection::RequestIdReused));
    assert_eq!(store.holders("one").await, ["ann"]);
}

/// A late duplicate of an acquire is told what became of its lease, however often the lock has been
/// taken since; other requests are not touched by it.
pub async fn a_late_duplicate_is_told_how_its_lease_ended(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let ask = |name: &str| command("ann", "the-request", lock(name), acquire_once(LONG, None));
    let lost = |cause| Outcome::LeaseLost(cause);
    for (name, release) in [("one", true), ("two", false)] {
        let first = granted(store.run_one(ask(name)).await);
        let again = granted(store.run_one(ask(name)).await);
        assert_eq!((again.lease_id, again.repeated), (first.lease_id, true));
        let (who, end, cause) = match release {
            true => {
                let lease_id = first.lease_id;
                ("ann", Action::Release { lease_id }, EndCause::Released)
            }
            false => ("ops", revoke(0), EndCause::Revoked),
        };
        store.ask(who, name, end).await;
        for n in 0..20 {
            let next = store.take("bob", name, LONG).await;
            // The lock is held, and then free.
            if n == 0 {
                assert_eq!(store.run_one(ask(name)).await, lost(cause));
            }
            store.give_back("bob", name, next.lease_id).await;
        }
        assert_eq!(store.run_one(ask(name)).await, lost(cause));
        let waits = command("ann", "the-request", lock(name), acquire_once(LONG, WAIT));
        assert_eq!(store.run_one(waits).await, lost(cause));
        assert_eq!(store.holders(name).await, [""; 0]);
    }
    // In the same batch as the release, all or nothing, and of another subject.
    let third = granted(store.run_one(ask("three")).await);
    let lease_id = third.lease_id;
    let release = command("ann", "give", lock("three"), Action::Release { lease_id });
    let outcomes = store.run(each(vec![release, ask("three")])).await;
    assert_eq!(outcomes, [Outcome::Released, lost(EndCause::Released)]);
    let outcomes = store.run(together(vec![ask("three"), ask("four")])).await;
    assert_eq!(outcomes, [lost(EndCause::Released), Outcome::NotAttempted]);
    let other = command("bob", "the-request", lock("one"), acquire_once(LONG, None));
    granted(store.run_one(other).await);
}

/// A repeated release succeeds, and takes nothing from the next holder.
pub async fn a_repeated_release_is_harmless(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    store.give_back("ann", "one", first.lease_id).await;
    store.take("bob", "one", LONG).await;
    store.give_back("ann", "one", first.lease_id).await;
    assert_eq!(store.holders("one").await, ["bob"]);
}

/// The lease id alone is not enough: it must be the same principal.
pub async fn only_the_holder_renews_and_releases(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let Outcome::Granted(grant) = store.ask("ann", "one", acquire(LONG, None)).await else {
        panic!("not granted");
    };
    let lease_id = grant.lease_id;
    let stolen = [
        renew(lease_id, None),
        Action::Release { lease_id },
        Action::CancelWait { lease_id },
        Action::Transfer {
            lease_id,
            to: crate::asking::subject("bob"),
            grace_ms: 0,
        },
    ];
    for action in stolen {
        let outcome = store.ask("bob", "one", action).await;
        assert_eq!(outcome, Outcome::NotHolder);
    }
    assert_eq!(store.holders("one").await, ["ann"]);
}

/// A lease that never was is lost, and asking for it changes nothing.
pub async fn an_unknown_lease_is_lost(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let lease_id = fresh_lease();
    let lost = Outcome::LeaseLost(EndCause::Unknown);
    for name in ["unused", "one"] {
        let renewed = store.ask("ann", name, renew(lease_id, None)).await;
        assert_eq!(renewed, lost);
        let released = store.ask("ann", name, Action::Release { lease_id }).await;
        assert_eq!(released, lost);
        assert_eq!(store.view("unused").await.revision, 0, "no record is made");
        store.ask("bob", "one", acquire(LONG, None)).await;
    }
    assert_eq!(store.holders("one").await, ["bob"]);
}

/// Tokens grow within a batch, over the deletion of the record, and when it is made again.
pub async fn tokens_grow_over_batches_and_deletion(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let mut last = 0;
    for round in 0..2 {
        let mut commands = Vec::new();
        for _ in 0..100 {
            let lease_id = fresh_lease();
            let take = Action::Acquire {
                lease_id,
                mode: Mode::Exclusive,
                ttl_ms: LONG,
                wait_ms: None,
                max_hold_ms: None,
            };
            commands.push(by("ann", "one", take));
            commands.push(by("ann", "one", Action::Release { lease_id }));
        }
        for outcome in store.run(each(commands)).await {
            let Outcome::Granted(grant) = outcome else {
                assert_eq!(outcome, Outcome::Released);
                continue;
            };
            let token = grant.token.0;
            assert!(token > last, "round {round}: {token} after {last}");
            last = token;
        }
        // The record is forgotten some time after its last lease has ended.
        let memory = leasehold_domain::limits::ENDED_LEASE_MEMORY_MS;
        store
            .until("one", memory + 30_000, |view| view.revision == 0)
            .await;
    }
}

/// More commands than a write has tokens for are refused, and none of them takes effect.
pub async fn a_batch_has_a_limit(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let many = leasehold_domain::limits::LEASES_PER_RENEWAL_MAX + 1;
    let commands = (0..many).map(|n| by("ann", &format!("l-{n}"), acquire(LONG, None)));
    let refused = store.try_run(each(commands.collect())).await.unwrap_err();
    assert_eq!(refused.effect, leasehold_backend_api::Effect::None);
    assert!(!refused.is_retryable(), "{refused}");
    assert_eq!(store.view("l-0").await.revision, 0);
    let nothing = store.run(Batch::default()).await;
    assert!(nothing.is_empty());
}
