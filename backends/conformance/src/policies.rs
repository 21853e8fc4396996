//! A lease keeps the policy versions that judged it.

use leasehold_domain::Action;
use leasehold_domain::ListQuery;
use leasehold_domain::LockView;

use crate::Durable;
use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::WAIT;
use crate::asking::acquire;
use crate::asking::by;
use crate::asking::granted;
use crate::asking::lock;
use crate::asking::renew;
use crate::asking::ruled;
use crate::asking::subject;

/// The versions that judged the acquire and the last renewal of each holder.
fn judged(view: &LockView) -> Vec<(String, Option<String>)> {
    let holders = view.holders.iter();
    let of = |versions: &[leasehold_domain::PolicyVersion]| {
        let versions = versions
            .iter()
            .map(|one| format!("{}@{}", one.policy, one.version));
        versions.collect::<Vec<_>>().join(" ")
    };
    holders
        .map(|holder| {
            let policies = holder.policies.as_deref().expect("a decision let it pass");
            (of(&policies.granted), policies.renewed.as_deref().map(of))
        })
        .collect()
}

fn pair(granted: &str, renewed: Option<&str>) -> Vec<(String, Option<String>)> {
    vec![(granted.to_owned(), renewed.map(str::to_owned))]
}

/// A view shows the policy versions that granted a lease and last renewed it, also of a lease from
/// the queue and of one that was handed over; a list shows them, too.
pub async fn a_lease_keeps_the_policy_versions_that_judged_it(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let under = |who, rule, action| ruled(by(who, "one", action), rule);
    let first = granted(store.run_one(under("ann", 1, acquire(LONG, None))).await);
    assert_eq!(judged(&store.view("one").await), pair("p@1.0.0", None));
    for rule in [1, 2, 2] {
        let renewal = under("ann", rule, renew(first.lease_id, None));
        granted(store.run_one(renewal).await);
    }
    let renewed = pair("p@1.0.0", Some("p@2.0.0"));
    assert_eq!(judged(&store.view("one").await), renewed);

    store.run_one(under("bob", 3, acquire(LONG, WAIT))).await;
    store.run_one(under("cat", 4, acquire(LONG, WAIT))).await;
    let transfer = Action::Transfer {
        lease_id: first.lease_id,
        to: subject("cat"),
        grace_ms: 0,
    };
    store.ask("ann", "one", transfer).await;
    assert_eq!(store.holders("one").await, ["cat"]);
    assert_eq!(judged(&store.view("one").await), pair("p@4.0.0", None));
    let handle = store.view("one").await.holders[0].handle;
    let all = Action::Revoke {
        target: leasehold_domain::RevokeTarget::Lease(handle),
        grace_ms: 0,
    };
    store.ask("ops", "one", all).await;
    assert_eq!(store.holders("one").await, ["bob"]);
    let listed = store.running.backend.list(ListQuery {
        namespace: lock("one").namespace,
        prefix: String::new(),
        holder: None,
        team: None,
        state: None,
        after: None,
        limit: 10,
    });
    let listed = listed.await.expect("the store can be read");
    assert_eq!(judged(&listed.rows[0]), pair("p@3.0.0", None));
}

/// Leases and waiters have their policy versions after a restart.
pub async fn policy_versions_survive_a_restart(harness: &impl Durable) {
    let store = Store::start(harness).await;
    let under = |who, name, rule, action| ruled(by(who, name, action), rule);
    let first = granted(
        store
            .run_one(under("ann", "one", 1, acquire(LONG, None)))
            .await,
    );
    let renewal = under("ann", "one", 2, renew(first.lease_id, None));
    granted(store.run_one(renewal).await);
    store
        .run_one(under("bob", "one", 3, acquire(LONG, Some(LONG))))
        .await;
    granted(
        store
            .run_one(under("ann", "two", 1, acquire(LONG, None)))
            .await,
    );
    let store = store.restart().await;
    let renewed = pair("p@1.0.0", Some("p@2.0.0"));
    assert_eq!(judged(&store.view("one").await), renewed);
    assert_eq!(judged(&store.view("two").await), pair("p@1.0.0", None));
    store.give_back("ann", "one", first.lease_id).await;
    assert_eq!(judged(&store.view("one").await), pair("p@3.0.0", None));
    let store = store.restart().await;
    assert_eq!(judged(&store.view("one").await), pair("p@3.0.0", None));
}
