//! Reads, lists, usage, health.

use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_domain::FencingToken;
use leasehold_domain::ListQuery;
use leasehold_domain::LockFilter;
use leasehold_domain::LockSettings;
use leasehold_domain::Usage;

use crate::Harness;
use crate::asking::LONG;
use crate::asking::Store;
use crate::asking::WAIT;
use crate::asking::acquire;
use crate::asking::by;
use crate::asking::command;
use crate::asking::each;
use crate::asking::granted;
use crate::asking::lock;
use crate::asking::revoke;
use crate::asking::subject;

/// A lock that nobody used is free.
pub async fn an_unused_lock_is_free(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let view = store.view("unused").await;
    assert_eq!((view.revision, view.last_token), (0, FencingToken(0)));
    assert_eq!(view.settings, LockSettings::default());
    assert!(view.holders.is_empty() && view.queue.is_empty());
    assert_eq!((view.cooldown_remaining_ms, view.stale_ms), (0, 0));
    assert_eq!(view.reserved_for, None);
}

/// A linearizable read shows what was answered before it; a stale one is as old as it says.
pub async fn a_read_shows_what_was_answered(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let grant = store.take("ann", "one", 10_000).await;
    store.queue("bob", "one", LONG).await;
    let view = store.view("one").await;
    let holder = &view.holders[0];
    assert_eq!(holder.handle, grant.lease_id.handle());
    assert_eq!((holder.token, view.last_token), (grant.token, grant.token));
    assert_eq!(holder.owner.subject, subject("ann"));
    assert!(holder.remaining_ms <= 10_000);
    assert_eq!(view.queue[0].owner.subject, subject("bob"));
    assert_eq!(view.stale_ms, 0);
    let freshness = Freshness::Stale { max_age_ms: 60_000 };
    let stale = store.running.backend.read(&lock("one"), freshness).await;
    assert!(stale.expect("a stale read").stale_ms <= 60_000);
}

/// A list goes through the names in order, page by page, and filters.
pub async fn a_list_has_pages_and_filters(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let names: Vec<String> = (0..25).map(|n| format!("app/{n:02}")).collect();
    let commands = names.iter().map(|name| {
        let who = if name.ends_with('0') { "bob" } else { "ann" };
        by(who, name, acquire(LONG, None))
    });
    store.run(each(commands.collect())).await;
    store.run_one(by("ann", "other", acquire(LONG, None))).await;
    store
        .run_one(by("ann", "elsewhere:app/99", acquire(LONG, None)))
        .await;
    store.queue("cat", "app/03", LONG).await;
    store.ask("ops", "app/04", revoke(60_000)).await;

    let query = |limit: usize| ListQuery {
        namespace: lock("x").namespace,
        prefix: "app/".to_owned(),
        holder: None,
        team: None,
        state: None,
        after: None,
        limit,
    };
    assert_eq!(listed(&store, query(10)).await, names);
    assert_eq!(listed(&store, query(1_000)).await, names);
    let all = ListQuery {
        prefix: String::new(),
        ..query(7)
    };
    assert_eq!(listed(&store, all).await.len(), 26);
    let bobs = ListQuery {
        holder: Some(subject("bob")),
        ..query(2)
    };
    assert_eq!(listed(&store, bobs).await, ["app/00", "app/10", "app/20"]);
    let team = "team-b".parse().expect("a team");
    let team = ListQuery {
        team: Some(team),
        ..query(2)
    };
    assert_eq!(listed(&store, team).await, ["app/00", "app/10", "app/20"]);
    let states = [
        (LockFilter::Held, 25),
        (LockFilter::Free, 0),
        (LockFilter::Contended, 1),
        (LockFilter::Draining, 1),
        (LockFilter::CoolingDown, 0),
        (LockFilter::Reserved, 0),
    ];
    for (state, count) in states {
        let state = ListQuery {
            state: Some(state),
            ..query(100)
        };
        assert_eq!(
            listed(&store, state.clone()).await.len(),
            count,
            "{state:?}"
        );
    }
}

/// All names of a list, page after page.
async fn listed<H: Harness>(store: &Store<'_, H>, mut query: ListQuery) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let page = store.running.backend.list(query.clone()).await;
        let page = page.expect("a page");
        assert!(page.rows.len() <= query.limit);
        names.extend(page.rows.iter().map(|row| row.lock.lock.to_string()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return names,
        }
    }
}

/// Usage counts the leases of a subject and of its team, in one namespace.
pub async fn usage_counts_leases(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let usage = async |who: &str| {
        let team = format!("team-{}", &who[..1]).parse().expect("a team");
        let namespace = lock("x").namespace;
        let backend = &store.running.backend;
        let usage = backend.usage(&namespace, &subject(who), Some(&team)).await;
        let usage: Usage = usage.expect("usage");
        (usage.subject_leases, usage.team_leases)
    };
    assert_eq!(usage("ann").await, (0, 0));
    let grant = store.take("ann", "one", LONG).await;
    store.take("ann", "two", LONG).await;
    store.take("amy", "three", LONG).await;
    store.take("bob", "four", LONG).await;
    store.take("ann", "elsewhere:one", LONG).await;
    store.queue("ann", "four", LONG).await;
    assert_eq!(usage("ann").await, (2, 3));
    assert_eq!(usage("bob").await, (1, 1));
    store.give_back("ann", "one", grant.lease_id).await;
    store.ask("ops", "two", revoke(0)).await;
    assert_eq!(usage("ann").await, (0, 1));
}

/// A request is known by the lease that it got, to its own subject, as long as that is held.
pub async fn a_request_is_known_by_its_lease(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let holds = async |who: &str, request: &str| {
        let request = request.parse().expect("a request id");
        let backend = &store.running.backend;
        let holds = backend.holds(&lock("one"), &subject(who), &request).await;
        holds.expect("the store can be read")
    };
    assert!(!holds("ann", "mine").await);
    let mine = command("ann", "mine", lock("one"), acquire(LONG, None));
    let grant = granted(store.run_one(mine).await);
    let waiting = command("bob", "his", lock("one"), acquire(LONG, WAIT));
    store.run_one(waiting).await;
    assert!(holds("ann", "mine").await);
    assert!(!holds("ann", "other").await && !holds("bob", "mine").await);
    assert!(!holds("bob", "his").await, "waiting is not holding");
    store.give_back("ann", "one", grant.lease_id).await;
    assert!(!holds("ann", "mine").await && holds("bob", "his").await);
}

/// Health counts records, leases and waiters.
pub async fn health_counts(harness: &impl Harness) {
    let store = Store::start(harness).await;
    let before = store.running.backend.health().await;
    assert!(before.ready, "{}", before.detail);
    assert_eq!((before.newest.0, before.trimmed.0), (0, 0));
    store.take("ann", "one", LONG).await;
    store.take("ann", "two", LONG).await;
    store.queue("bob", "one", LONG).await;
    let health = store.running.backend.health().await;
    let counts = health.counts;
    assert_eq!((counts.locks, counts.leases, counts.waiters), (2, 2, 1));
    let (writes, before) = (health.writes, before.writes);
    assert!(writes.count() > before.count() && writes.commands() >= before.commands() + 3);
}

/// A closed store takes nothing, and says so; what it had answered was finished.
pub async fn a_closed_store_refuses(harness: &impl Harness) {
    let store = Store::start(harness).await;
    store.take("ann", "one", LONG).await;
    store.running.backend.close().await;
    let refused = store.try_run(leasehold_backend_api::Batch::one(by(
        "ann",
        "two",
        acquire(LONG, None),
    )));
    let error = refused.await.unwrap_err();
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::Closed, Effect::None)
    );
    assert!(!store.running.backend.health().await.ready);
}
