//! A group of five: two may be lost, one leaves, one is replaced.

use std::sync::Arc;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Cluster;
use leasehold_backend_api::Steering;
use leasehold_domain::Outcome;
use leasehold_domain::SystemClock;

use super::faults::held_by;
use super::faults::persist;
use super::group::Group;
use super::group::PATIENCE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_members_go_on_without_two() {
    let mut group = Group::new(Arc::new(SystemClock::new()));
    group.found().await;
    for _ in 0..4 {
        let address = group.add().await;
        group.steer(Steering::Join { address }).await.unwrap();
    }
    group.take_part().await;
    let view = group.nodes[4].running().cluster();
    assert!(view.members.iter().all(|member| member.voter), "{view:?}");
    assert_eq!(view.members.len(), 5);

    // The leader goes, and another with it.
    let leader = group.leader().await;
    let (first, second) = (leader, (leader + 1) % 5);
    let (left, replaced) = (group.nodes[first].number(), group.nodes[second].number());
    group.stop(first).await;
    group.stop(second).await;
    let third = group.nodes[(leader + 2) % 5].running().clone();
    let granted = tokio::time::timeout(PATIENCE, persist(&third, "ann", "one"));
    assert!(matches!(granted.await.unwrap(), Outcome::Granted(_)));

    // Of the two, one has left and the other is replaced: four members, all of them there.
    group.steer(Steering::Leave { node: left }).await.unwrap();
    let address = group.add().await;
    let replace = Steering::Replace {
        node: replaced,
        address,
    };
    let view = group.steer(replace).await.unwrap();
    assert_eq!(view.members.iter().filter(|member| member.voter).count(), 4);
    group.take_part().await;
    for node in group.running() {
        assert_eq!(held_by(node, "one").await, ["ann"]);
        assert!(node.health().await.ready);
    }
}
