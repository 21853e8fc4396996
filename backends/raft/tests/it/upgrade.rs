//! A group of members that support different feature levels: upgraded one by one, and back, until
//! the level is raised.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Cluster;
use leasehold_backend_api::ClusterView;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Levels;
use leasehold_backend_api::Steering;
use leasehold_backend_raft::OpenError;
use leasehold_backend_raft::RaftBackend;
use leasehold_backend_raft::RaftConfig;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use leasehold_domain::SystemClock;

use super::faults::held_by;
use super::faults::take;
use super::group::Group;
use super::group::PATIENCE;

const RAISE: Steering = Steering::RaiseLevel { to: None };
/// The level of this build, with which a new group begins, and that of the next one.
const LEVEL: FeatureLevel = FeatureLevel::NEWEST;
const NEXT: FeatureLevel = FeatureLevel(LEVEL.0 + 1);

fn before() -> Levels {
    Levels::of_build()
}

fn after() -> Levels {
    Levels::of_build().next()
}

/// Restarts a node as a build that supports `levels`.
async fn install(group: &mut Group, place: usize, levels: Levels) {
    group.stop(place).await;
    group.nodes[place].config.levels = levels;
    group.start(place).await;
    group.take_part().await;
    let node = group.nodes[place].number();
    let reported = |view: &ClusterView| {
        let member = view.members.iter().find(|member| member.node == node);
        member.map(|member| member.supported_level) == Some(levels.max)
    };
    for running in group.running() {
        becomes(running, reported).await;
    }
}

/// Waits until the view of a node satisfies a condition.
async fn becomes(node: &RaftBackend, is_so: impl Fn(&ClusterView) -> bool) {
    let looking = async {
        while !is_so(&node.cluster()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, looking).await;
    assert!(seen.is_ok(), "{:?}", node.cluster());
}

async fn refused_for(group: &Group, places: &[usize]) {
    let refused = group.steer(RAISE).await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.effect),
        (ErrorKind::Invalid, Effect::None)
    );
    for (place, node) in group.nodes.iter().enumerate() {
        let named = refused
            .detail
            .contains(&node.running().cluster().node.to_string());
        assert!(!places.contains(&place) || named, "{refused}: {place}");
    }
}

async fn events(node: &RaftBackend, count: usize) -> Vec<Arc<Event>> {
    let events = node.events(Cursor(0)).take(count);
    let events = tokio::time::timeout(PATIENCE, events.collect::<Vec<_>>()).await;
    events
        .expect("in time")
        .into_iter()
        .map(|event| event.expect("an event"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_upgraded_and_back_and_up_again_and_its_level_raised_by_command() {
    let mut group = Group::of_three(Arc::new(SystemClock::new())).await;
    let write = async |group: &Group, name: &str| {
        let node = group.running().next().expect("a node runs");
        node.execute(take("ann", name)).await.expect("taken");
    };
    write(&group, "before").await;
    let refused = group
        .steer(Steering::RaiseLevel { to: Some(NEXT) })
        .await
        .unwrap_err();
    assert!(refused.detail.contains("levels 1 to 2, not 3"), "{refused}");
    for place in 0..3 {
        install(&mut group, place, after()).await;
        write(&group, &format!("mixed-{place}")).await;
        let behind: Vec<usize> = (place + 1..3).collect();
        let leader = group.leader().await;
        if !behind.is_empty() && leader <= place {
            refused_for(&group, &behind).await;
        }
    }
    install(&mut group, 1, before()).await;
    write(&group, "back").await;
    let leader = group.leader().await;
    if leader == 1 {
        let to = Some(group.nodes[0].number());
        group.steer(Steering::TransferLeader { to }).await.unwrap();
    }
    refused_for(&group, &[1]).await;
    install(&mut group, 1, after()).await;

    let raised = group.steer(RAISE).await.unwrap();
    assert_eq!(raised.level, NEXT);
    let lower = group
        .steer(Steering::RaiseLevel { to: Some(LEVEL) })
        .await
        .unwrap_err();
    assert!(lower.detail.contains("never falls"), "{lower}");
    // It is so already.
    assert_eq!(group.steer(RAISE).await.unwrap().level, NEXT);
    write(&group, "after").await;
    group.take_part().await;
    let first = events(group.nodes[0].running(), 6).await;
    let levels: Vec<u16> = first.iter().map(|event| event.level.0).collect();
    assert_eq!(levels, [2, 2, 2, 2, 2, 3]);
    for node in group.running() {
        becomes(node, |view| view.level == NEXT).await;
        assert_eq!(events(node, 6).await, first);
        for name in ["before", "mixed-0", "mixed-1", "mixed-2", "back", "after"] {
            assert_eq!(held_by(node, name).await, ["ann"], "{name}");
        }
    }
    // There is no way back.
    group.stop(2).await;
    let mut config = group.nodes[2].config.clone();
    config.levels = before();
    match RaftBackend::open(config, group.clock.clone()).await {
        Err(OpenError::Level(problem)) => assert!(problem.contains("level 3"), "{problem}"),
        other => panic!("{other:?}"),
    }
    let address = group.add().await;
    let refused = group.steer(Steering::Join { address }).await.unwrap_err();
    assert!(refused.detail.contains("feature level 3"), "{refused}");
    assert_eq!(refused.effect, Effect::None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_are_down_count_and_an_older_build_stops_at_the_raised_level() {
    let mut group = Group::of_three(Arc::new(SystemClock::new())).await;
    for place in 0..2 {
        install(&mut group, place, after()).await;
    }
    if group.leader().await == 2 {
        let to = Some(group.nodes[0].number());
        group.steer(Steering::TransferLeader { to }).await.unwrap();
    }
    let down = group.nodes[2].number();
    group.stop(2).await;
    let refused = group.steer(RAISE).await.unwrap_err();
    assert!(refused.detail.contains(&down.to_string()), "{refused}");
    group.start(2).await;
    install(&mut group, 2, after()).await;
    group.stop(2).await;
    assert_eq!(group.steer(RAISE).await.unwrap().level, NEXT);

    // It was down, so its folder does not know yet.
    group.nodes[2].config.levels = before();
    group.start(2).await;
    let stopped = tokio::time::timeout(PATIENCE, group.nodes[2].running().stopped());
    let reason = stopped.await.expect("it stops");
    assert!(reason.contains("feature level 3"), "{reason}");
    group.stop(2).await;
    group.nodes[2].config.levels = after();
    group.start(2).await;
    group.take_part().await;
    becomes(group.nodes[2].running(), |view| view.level == NEXT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_group_begins_with_the_highest_level_and_its_snapshot_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = RaftConfig {
        levels: after(),
        snapshot_commands: 1,
        ..RaftConfig::new(folder.path().join("node"))
    };
    let clock = Arc::new(SystemClock::new());
    let node = RaftBackend::open(config.clone(), clock.clone())
        .await
        .unwrap();
    becomes(&node, |view| view.level == NEXT).await;
    node.execute(take("ann", "one")).await.unwrap();
    let snapshot = config.data_dir.join("snapshot");
    let taken = async {
        while !snapshot.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken)
        .await
        .expect("a snapshot");
    node.close().await;
    drop(node);
    let older = RaftConfig {
        levels: before(),
        ..config.clone()
    };
    match RaftBackend::open(older, clock.clone()).await {
        Err(OpenError::Level(problem)) => assert!(problem.contains("level 3"), "{problem}"),
        other => panic!("{other:?}"),
    }
    let node = RaftBackend::open(config, clock).await.unwrap();
    assert_eq!(node.cluster().level, NEXT);
    assert_eq!(held_by(&node, "one").await, ["ann"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_build_refuses_the_snapshot_of_a_higher_level_and_keeps_what_it_has() {
    let mut group = Group::of_three(Arc::new(SystemClock::new())).await;
    for place in 0..3 {
        group.nodes[place].config.snapshot_commands = 500;
        install(&mut group, place, after()).await;
    }
    group.nodes[0]
        .running()
        .execute(take("ann", "before"))
        .await
        .unwrap();
    group.take_part().await;
    assert_eq!(held_by(group.nodes[2].running(), "before").await, ["ann"]);
    group.stop(2).await;
    assert_eq!(group.steer(RAISE).await.unwrap().level, NEXT);
    // More entries than a member keeps, so that they cannot be sent one by one.
    let writer = group.nodes[group.leader().await].running().clone();
    for n in 0..2_500 {
        let name = format!("lock-{}", n % 100);
        writer.execute(take("ann", &name)).await.unwrap();
    }
    drop(writer);

    let snapshot = group.nodes[2].config.data_dir.join("snapshot");
    let had = std::fs::read(&snapshot).ok();
    group.nodes[2].config.levels = before();
    group.start(2).await;
    let stopped = tokio::time::timeout(PATIENCE, group.nodes[2].running().stopped());
    let reason = stopped.await.expect("it stops");
    for part in ["snapshot of a peer", "feature level 3", "supports 1 to 2"] {
        assert!(reason.contains(part), "{reason}");
    }
    group.stop(2).await;
    assert!(
        std::fs::read(&snapshot).ok() == had,
        "a snapshot was stored"
    );
    // Its directory is as it was, and opens.
    group.start(2).await;
    group.stop(2).await;
    group.nodes[2].config.levels = after();
    group.start(2).await;
    group.take_part().await;
    let node = group.nodes[2].running();
    becomes(node, |view| view.level == NEXT).await;
    for name in ["before", "lock-0", "lock-99"] {
        assert_eq!(held_by(node, name).await, ["ann"], "{name}");
    }
}
