//! What a group does when nodes and networks fail.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Effect;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Steering;
use leasehold_backend_raft::RaftBackend;
use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::SystemClock;
use leasehold_domain::WallMillis;

use super::group::Group;
use super::group::PATIENCE;

const TTL_MS: u64 = 600_000;

fn command(who: &str, name: &str, action: Action, operation: Operation) -> Command {
    let lock: LockRef = format!("demo/{name}").parse().expect("a name");
    let principal = Principal {
        subject: who.parse().expect("a subject"),
        team: None,
        roles: RoleSet::default(),
        claims: BTreeMap::new(),
    };
    let cause = Cause {
        request_id: format!("{who}-{name}").parse().expect("an id"),
        received: WallMillis(0),
        principal: Arc::new(principal),
        request: Request::new(operation, lock.clone()),
        decision: None,
    };
    Command {
        lock,
        action,
        cause: Some(Arc::new(cause)),
        expect: None,
    }
}

/// `who` takes a lock for long. Asked again, it is the same request.
pub(super) fn take(who: &str, name: &str) -> Batch {
    let action = Action::Acquire {
        lease_id: LeaseId::from_bytes(rand::random()),
        mode: Mode::Exclusive,
        ttl_ms: TTL_MS,
        wait_ms: None,
        max_hold_ms: None,
    };
    Batch::one(command(who, name, action, Operation::Acquire))
}

fn give_back(who: &str, name: &str, lease_id: LeaseId) -> Batch {
    Batch::one(command(
        who,
        name,
        Action::Release { lease_id },
        Operation::Release,
    ))
}

/// Takes a lock; asks again, with the same request id, while nobody knows.
pub(super) async fn persist(node: &RaftBackend, who: &str, name: &str) -> Outcome {
    loop {
        match node.execute(take(who, name)).await {
            Ok(outcomes) => return outcomes[0].clone(),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}

/// Who holds a lock, read linearizably.
pub(super) async fn held_by(node: &RaftBackend, name: &str) -> Vec<String> {
    let lock: LockRef = format!("demo/{name}").parse().expect("a name");
    let view = node
        .read(&lock, Freshness::Linearizable)
        .await
        .expect("read");
    let holders = view.holders.iter();
    holders
        .map(|holder| holder.owner.subject.to_string())
        .collect()
}

async fn events(node: &RaftBackend, after: u64, count: usize) -> Vec<Arc<Event>> {
    let events = node.events(Cursor(after)).take(count).collect::<Vec<_>>();
    let events = tokio::time::timeout(PATIENCE, events)
        .await
        .expect("in time");
    events
        .into_iter()
        .map(|event| event.expect("an event"))
        .collect()
}

/// All nodes tell of the same, from `after` on.
async fn same_events(group: &Group, after: u64) {
    group.take_part().await;
    let mut newest = 0;
    for node in group.running() {
        newest = newest.max(node.health().await.newest.0);
    }
    let count = usize::try_from(newest - after).expect("a count");
    let mut told = Vec::new();
    for node in group.running() {
        told.push(events(node, after, count).await);
    }
    for other in &told[1..] {
        assert!(*other == told[0], "the nodes tell of different events");
    }
}

fn system_clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_takes_any_request_and_all_tell_of_the_same() {
    let group = Group::of_three(system_clock()).await;
    let asked = group.running().enumerate().map(async |(place, node)| {
        let taken = (0..50).map(|n| node.execute(take("ann", &format!("{place}-{n}"))));
        for outcomes in futures_util::future::join_all(taken).await {
            assert!(matches!(outcomes.unwrap()[0], Outcome::Granted(_)));
        }
        let digest = node
            .put_blob(Arc::from(format!("{place}").as_bytes()))
            .await
            .unwrap();
        // Whoever wrote reads what was written, on the same node.
        assert!(node.get_blob(&digest).await.unwrap().is_some());
    });
    futures_util::future::join_all(asked).await;
    for node in group.running() {
        assert_eq!(node.health().await.newest, Cursor(150));
        for place in 0..3 {
            assert_eq!(held_by(node, &format!("{place}-49")).await, ["ann"]);
        }
    }
    same_events(&group, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_read_says_how_stale_it_is() {
    let group = Group::of_three(system_clock()).await;
    let follower = group.nodes[group.follower().await].running();
    follower.execute(take("ann", "one")).await.unwrap();
    let lock: LockRef = "demo/one".parse().unwrap();
    let stale = |max_age_ms| follower.read(&lock, Freshness::Stale { max_age_ms });
    let view = stale(60_000).await.unwrap();
    assert!(
        view.stale_ms < 60_000 && view.holders.len() == 1,
        "{view:?}"
    );
    follower.set_isolated(true);
    let view = stale(600_000).await.unwrap();
    assert_eq!(view.holders.len(), 1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let refused = stale(10).await.unwrap_err();
    assert_eq!(refused.effect, Effect::None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_grants_nothing_and_comes_back() {
    let group = Group::of_three(system_clock()).await;
    let old = group.leader().await;
    let cut_off = group.nodes[old].running();
    cut_off.execute(take("ann", "one")).await.unwrap();
    cut_off.set_isolated(true);
    let others: Vec<_> = group
        .running()
        .filter(|node| !Arc::ptr_eq(node, cut_off))
        .collect();
    let granted = tokio::time::timeout(PATIENCE, persist(others[0], "bob", "two"));
    assert!(matches!(granted.await.unwrap(), Outcome::Granted(_)));
    // It may have been asked before it knew, but it never says that somebody holds the lock.
    let refused = cut_off.execute(take("cid", "two")).await;
    assert!(refused.is_err(), "{refused:?}");
    cut_off.set_isolated(false);
    let part = tokio::time::timeout(PATIENCE, cut_off.take_part());
    part.await.unwrap().unwrap();
    assert_eq!(held_by(cut_off, "two").await, ["bob"]);
    assert_eq!(held_by(others[1], "one").await, ["ann"]);
    same_events(&group, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_loses_nothing() {
    let mut group = Group::of_three(system_clock()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut rounds = 0;
    for place in 0..3 {
        let others: Vec<_> = (0..3).filter(|other| *other != place).collect();
        stop.store(false, Ordering::SeqCst);
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let node = group.nodes[others[client % 2]].running().clone();
                tokio::spawn(cycle(
                    node,
                    format!("client-{place}-{client}"),
                    stop.clone(),
                ))
            })
            .collect();
        group.stop(place).await;
        group.start(place).await;
        let part = group.nodes[place].running().take_part();
        tokio::time::timeout(PATIENCE, part).await.unwrap().unwrap();
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            rounds += client.await.unwrap();
        }
    }
    assert!(rounds > 0, "no client did anything");
    for place in 0..3 {
        for client in 0..8 {
            let name = format!("client-{place}-{client}");
            for node in group.running() {
                assert_eq!(held_by(node, &name).await, std::slice::from_ref(&name));
            }
        }
    }
    same_events(&group, 0).await;
}

/// Takes and gives back its own lock until told to stop, and holds it then. No request may fail:
/// one node restarts, and it is not this one. Tokens only grow.
async fn cycle(node: Arc<RaftBackend>, name: String, stop: Arc<AtomicBool>) -> u64 {
    let (mut rounds, mut token) = (0, 0);
    loop {
        let outcomes = node.execute(take(&name, &name)).await.expect("an answer");
        let Outcome::Granted(grant) = &outcomes[0] else {
            panic!("{name}: {outcomes:?}");
        };
        assert!(!grant.repeated && grant.token.0 > token, "{grant:?}");
        token = grant.token.0;
        if stop.load(Ordering::SeqCst) {
            return rounds;
        }
        node.execute(give_back(&name, &name, grant.lease_id))
            .await
            .expect("an answer");
        rounds += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_joiner_gets_a_snapshot() {
    let mut group = Group::new(system_clock());
    let mut config = group.config(false);
    config.snapshot_commands = 500;
    group.push(config).await;
    group.steer(Steering::Init).await.unwrap();
    let founder = group.nodes[0].running().clone();
    let module: Arc<[u8]> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let digest = founder.put_blob(module.clone()).await.unwrap();
    // More entries than a member keeps, so that they cannot be sent one by one.
    let mut tokens = HashMap::new();
    for n in 0..2_500 {
        let name = format!("lock-{}", n % 100);
        let outcomes = founder.execute(take("ann", &name)).await.unwrap();
        if let Outcome::Granted(grant) = &outcomes[0] {
            tokens.insert(name, grant.token);
        }
    }
    let address = group.add().await;
    group.steer(Steering::Join { address }).await.unwrap();
    group.take_part().await;
    let joiner = group.nodes[1].running();
    assert_eq!(joiner.get_blob(&digest).await.unwrap(), Some(module));
    assert_eq!(joiner.health().await.counts, founder.health().await.counts);
    for (name, token) in tokens {
        let lock: LockRef = format!("demo/{name}").parse().unwrap();
        let view = joiner.read(&lock, Freshness::Linearizable).await.unwrap();
        assert_eq!(view.last_token, token);
    }
    same_events(&group, 0).await;
}
