//! Leases and waits end by time: never early, and without anybody asking.

use std::time::Duration;

use leasehold_domain::Action;
use leasehold_domain::EndCause;
use leasehold_domain::LockSettings;
use leasehold_domain::Outcome;
use leasehold_domain::limits::WAITER_SLACK_MS;

use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::acquire;
use crate::asking::granted;
use crate::asking::renew;
use crate::tail::names;

/// Room for a store to be late in.
const LATE: u64 = 30_000;

/// Lets time pass until a lease is gone, and fails if it is gone before its time. `since` is when
/// its holder sent the request that was answered.
async fn lasts<H: Harness>(store: &Store<'_, H>, name: &str, since: Duration, ttl_ms: u64) {
    store
        .until(name, ttl_ms + LATE, |view| view.holders.is_empty())
        .await;
    let lasted = store.clock() - since;
    assert!(
        lasted >= Duration::from_millis(ttl_ms),
        "{name} ended after {lasted:?}, its ttl is {ttl_ms} ms"
    );
}

/// A lease lasts as long as its holder was told, counted from when it asked.
pub async fn a_lease_does_not_end_early(harness: &impl Harness) {
    let store = Store::start(harness).await;
    for ttl_ms in [1_000, 1_250] {
        let since = store.clock();
        let grant = store.take("ann", "one", ttl_ms).await;
        assert_eq!((grant.ttl_ms, grant.remaining_ms), (ttl_ms, ttl_ms));
        lasts(&store, "one", since, ttl_ms).await;
    }
}

/// The next waiter gets the lock when its holder's time is over, although nobody asks anything.
pub async fn a_waiter_is_served_by_time_alone(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let since = store.clock();
    let first = store.take("ann", "one", 1_000).await;
    store.queue("bob", "one", LONG).await;
    let mut tail = store.tail();
    tail.until("one", "queued").await;
    store.pass(1_200).await;
    let handover = tail.until("one", "expired").await;
    let lasted = store.clock() - since;
    assert!(lasted >= Duration::from_secs(1), "ended after {lasted:?}");
    assert_eq!(names(&handover, "one"), ["expired", "granted"]);
    assert_eq!(store.holders("one").await, ["bob"]);
    let outcome = store.ask("ann", "one", renew(first.lease_id, None)).await;
    assert_eq!(outcome, Outcome::LeaseLost(EndCause::Expired));
}

/// A renewed lease lasts from the renewal on.
pub async fn a_renewal_lengthens(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let grant = store.take("ann", "one", 1_500).await;
    let mut since = store.clock();
    for _ in 0..3 {
        store.pass(600).await;
        since = store.clock();
        let renewed = granted(store.ask("ann", "one", renew(grant.lease_id, None)).await);
        assert_eq!((renewed.token, renewed.remaining_ms), (grant.token, 1_500));
    }
    assert_eq!(store.holders("one").await, ["ann"]);
    lasts(&store, "one", since, 1_500).await;
}

/// After an expiry the lock rests; after a release it does not.
pub async fn a_lock_cools_down_after_an_expiry_only(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let settings = LockSettings {
        cooldown_ms: 1_000,
        ..LockSettings::default()
    };
    store.ask("ops", "one", Action::Configure(settings)).await;
    let first = store.take("ann", "one", LONG).await;
    store.give_back("ann", "one", first.lease_id).await;
    let since = store.clock();
    let second = store.take("ann", "one", 1_000).await;
    store.queue("bob", "one", LONG).await;
    store
        .until("one", 1_000 + LATE, |view| {
            !view.holders.is_empty() && view.queue.is_empty()
        })
        .await;
    let rested = store.clock() - since;
    assert!(rested >= Duration::from_secs(2), "granted after {rested:?}");
    let view = store.view("one").await;
    assert!(view.holders[0].token > second.token);
}

/// A release with a cooldown keeps the lock free for as long as it says; who waits stays queued and
/// is served when it ends, without any request.
pub async fn a_release_with_a_cooldown_delays_the_next_grant(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let first = store.take("ann", "one", LONG).await;
    store.queue("bob", "one", LONG).await;
    let since = store.clock();
    let release = || Action::ReleaseWithCooldown {
        lease_id: first.lease_id,
        cooldown_ms: 1_000,
    };
    let released = store.ask("ann", "one", release()).await;
    assert_eq!(released, Outcome::Released);
    let view = store.view("one").await;
    assert_eq!((view.holders.len(), view.queue.len()), (0, 1));
    assert!(view.cooldown_remaining_ms > 0, "{view:?}");
    let refused = store.ask("cyd", "one", acquire(LONG, None)).await;
    assert!(matches!(refused, Outcome::Held { .. }), "{refused:?}");
    assert_eq!(store.ask("ann", "one", release()).await, Outcome::Released);
    store
        .until("one", 1_000 + LATE, |view| !view.holders.is_empty())
        .await;
    let rested = store.clock() - since;
    assert!(rested >= Duration::from_secs(1), "granted after {rested:?}");
    let view = store.view("one").await;
    assert_eq!(store.holders("one").await, ["bob"]);
    assert!(view.holders[0].token > first.token);
}

/// A waiter leaves when its own time is over, and not before.
pub async fn a_wait_ends_by_time(harness: &impl Harness) {
    let store = Store::start(harness).await;
    store.take("ann", "one", LONG).await;
    let since = store.clock();
    let queued = store.ask("bob", "one", acquire(LONG, Some(500))).await;
    assert!(matches!(queued, Outcome::Queued { .. }), "{queued:?}");
    store
        .until("one", WAITER_SLACK_MS + LATE, |view| view.queue.is_empty())
        .await;
    let waited = store.clock() - since;
    assert!(
        waited >= Duration::from_millis(500),
        "left after {waited:?}"
    );
    store.tail().until("one", "wait-ended").await;
    assert_eq!(store.holders("one").await, ["ann"]);
}

/// Many leases of different lengths: none ends early, all end, each is told of once.
pub async fn many_leases_end_each_in_its_time(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let mut begun = Vec::new();
    for n in 0..40_u64 {
        let ttl_ms = 1_000 + n * 20;
        let since = store.clock();
        store.take("ann", &format!("l-{n}"), ttl_ms).await;
        begun.push((since, ttl_ms));
    }
    let mut tail = store.tail();
    let mut ended = std::collections::BTreeSet::new();
    tail.take(begun.len()).await;
    while ended.len() < begun.len() {
        store.pass(100).await;
        let told = begun.len() + ended.len();
        let newest = store.running.backend.health().await.newest.0;
        // All leases should be over by now: from here on only real time helps.
        let overdue = store.clock() > begun[39].0 + Duration::from_millis(LATE);
        if newest <= told as u64 && !overdue {
            continue;
        }
        // An end is seen late, never early; so one event for each step is enough to look at.
        let event = tail.next().await;
        let n = (0..begun.len()).find(|n| names(&event, &format!("l-{n}")) == ["expired"]);
        let n = n.expect("nothing else happens");
        assert!(ended.insert(n), "l-{n} ended twice");
        let (since, ttl_ms) = begun[n];
        let lasted = store.clock() - since;
        assert!(lasted >= Duration::from_millis(ttl_ms), "l-{n}: {lasted:?}");
    }
    let health = store.running.backend.health().await;
    assert_eq!(health.counts.leases, 0);
}
