//! Who may be in a group.

use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Cluster;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Steering;
use leasehold_backend_raft::OpenError;
use leasehold_backend_raft::PeerSecurity;
use leasehold_backend_raft::PeersConfig;
use leasehold_backend_raft::RaftBackend;
use leasehold_backend_raft::RaftConfig;
use leasehold_domain::LockRef;
use leasehold_domain::SystemClock;

use super::faults::held_by;
use super::faults::take;
use super::group::Group;
use super::group::PATIENCE;

fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_becomes_a_group_and_keeps_what_it_has() {
    let mut group = Group::new(clock());
    let with_peers = group.config(false);
    // As a single gateway runs today.
    let alone = RaftConfig {
        peers: None,
        ..with_peers.clone()
    };
    let node = RaftBackend::open(alone, group.clock.clone()).await.unwrap();
    node.execute(take("ann", "one")).await.unwrap();
    let refused = node.steer(Steering::Init).await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.effect),
        (ErrorKind::Invalid, Effect::None)
    );
    node.close().await;

    group.push(with_peers).await;
    let address = group.add().await;
    let join = Steering::Join { address };
    let refused = group.steer(join.clone()).await.unwrap_err();
    assert!(refused.detail.contains("init"), "{refused}");
    group.steer(Steering::Init).await.unwrap();
    let joined = group.steer(join.clone()).await.unwrap();
    assert_eq!(
        joined.members.iter().filter(|member| member.voter).count(),
        2
    );
    // Asked again, it is so already.
    assert_eq!(group.steer(join).await.unwrap().members.len(), 2);
    group.take_part().await;
    for node in group.running() {
        assert_eq!(held_by(node, "one").await, ["ann"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_leave_are_replaced_and_hand_over() {
    let mut group = Group::of_three(clock()).await;
    let follower = group.follower().await;
    let to = group.nodes[follower].number();
    let led = group
        .steer(Steering::TransferLeader { to: Some(to) })
        .await
        .unwrap();
    assert_eq!(led.leader, Some(to));
    assert_eq!(group.leader().await, follower);

    // The leader itself is replaced: the others elect one of theirs.
    let address = group.add().await;
    let new = group.nodes[3].number();
    group
        .steer(Steering::Replace { node: to, address })
        .await
        .unwrap();
    group.stop(follower).await;
    let others = group
        .nodes
        .iter()
        .enumerate()
        .filter(|(place, _)| *place != follower);
    for (place, node) in others {
        let part = tokio::time::timeout(PATIENCE, node.running().take_part());
        part.await.unwrap().unwrap();
        node.running()
            .execute(take("ann", &format!("lock-{place}")))
            .await
            .unwrap();
    }
    let left = group.steer(Steering::Leave { node: new }).await.unwrap();
    assert_eq!(left.members.len(), 2);
    let gone = group
        .steer(Steering::Leave { node: new })
        .await
        .unwrap_err();
    assert_eq!((gone.kind, gone.effect), (ErrorKind::Invalid, Effect::None));
    // Who has left is served no more.
    let read = group.nodes[3].running();
    let lock: LockRef = "demo/lock-0".parse().unwrap();
    let refused = tokio::time::timeout(PATIENCE, read.read(&lock, Freshness::Linearizable));
    let refused = refused.await.unwrap().unwrap_err();
    assert_eq!(
        (refused.kind, refused.effect),
        (ErrorKind::Unavailable, Effect::None)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_group_is_refused() {
    // The same authority and the same configured name, but another group.
    let mut group = Group::of_three(clock()).await;
    let foreign = group.config(false);
    group.push(foreign).await;
    let foreign = group.nodes.pop().unwrap();
    let ask = foreign.running().steer(Steering::Init).await.unwrap();
    assert_ne!(ask.group, group.nodes[0].running().cluster().group);
    let address = foreign.address();
    let refused = group.steer(Steering::Join { address }).await.unwrap_err();
    assert!(refused.detail.contains("belongs to group"), "{refused}");
    assert_eq!(refused.effect, Effect::None);
    let address = group.nodes[1].address();
    let refused = foreign
        .running()
        .steer(Steering::Join { address })
        .await
        .unwrap_err();
    assert!(refused.detail.contains("belongs to group"), "{refused}");
    assert_eq!(group.steer(Steering::Init).await.unwrap().members.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_node_does_not_come_back_under_its_old_number() {
    let mut group = Group::of_three(clock()).await;
    let leader = group.leader().await;
    let place = (leader + 1) % 3;
    let old = group.nodes[place].number();
    group.stop(place).await;
    let mut config = group.nodes[place].config.clone();
    std::fs::remove_dir_all(&config.data_dir).unwrap();
    config.peers.as_mut().unwrap().join = true;
    group.nodes[place].config = config;
    group.start(place).await;
    let wiped = &group.nodes[place];
    let new = wiped.number();
    assert_ne!(new, old);
    assert_eq!(wiped.running().cluster().group, None);
    // The leader goes on calling the old node at this address, and is turned away.
    let node = wiped.running();
    let silence = tokio::time::timeout(Duration::from_secs(2), node.take_part());
    assert!(
        silence.await.is_err(),
        "it takes part, although nobody took it in"
    );
    assert_eq!(node.cluster().members, []);
    // It must be taken in by name, in the place of the one that it was.
    let address = wiped.address();
    let join = Steering::Join {
        address: address.clone(),
    };
    let leading = group.nodes[leader].running();
    let refused = leading.steer(join).await.unwrap_err();
    assert!(refused.detail.contains("replace it"), "{refused}");
    let replaced = leading
        .steer(Steering::Replace { node: old, address })
        .await
        .unwrap();
    let members: Vec<u64> = replaced.members.iter().map(|member| member.node).collect();
    assert!(
        members.contains(&new) && !members.contains(&old),
        "{members:?}"
    );
    group.take_part().await;
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    let mut copy = std::process::Command::new("cp");
    let copied = copy.arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("cp runs").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_an_older_folder_takes_no_part_and_says_why() {
    let mut group = Group::of_three(clock()).await;
    let leader = group.leader().await;
    let (place, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let folder = group.nodes[place].config.data_dir.clone();
    let copy = folder.with_extension("copy");
    group.stop(place).await;
    copy_folder(&folder, &copy);
    group.start(place).await;
    for n in 0..3 {
        let leading = group.nodes[leader].running();
        leading
            .execute(take("ann", &format!("l-{n}")))
            .await
            .unwrap();
    }
    // It has acknowledged them: the other one is away.
    group.stop(other).await;
    let leading = group.nodes[leader].running();
    leading.execute(take("ann", "by-two")).await.unwrap();
    group.stop(place).await;
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&copy, &folder).unwrap();
    group.start(place).await;

    let node = group.nodes[place].running();
    let problem = tokio::time::timeout(PATIENCE, node.outdated())
        .await
        .unwrap();
    let advice = format!(
        "leasehold cluster replace {} ADDRESS",
        group.nodes[place].number()
    );
    assert!(problem.contains(&advice), "{problem}");
    let part = tokio::time::timeout(Duration::from_secs(2), node.take_part());
    assert!(part.await.is_err(), "it takes part");
    // With it alone the leader has no majority.
    let leading = group.nodes[leader].running();
    let refused = leading.execute(take("ann", "alone")).await;
    assert!(refused.is_err(), "{refused:?}");
    // With the other one it has, and nothing is lost.
    group.start(other).await;
    for place in [leader, other] {
        let node = group.nodes[place].running();
        let part = tokio::time::timeout(PATIENCE, node.take_part());
        part.await.unwrap().unwrap();
        assert_eq!(held_by(node, "by-two").await, ["ann"]);
    }
    // Also when all were started again since.
    for place in 0..3 {
        group.stop(place).await;
    }
    for place in [leader, other, place] {
        group.start(place).await;
    }
    let node = group.nodes[place].running();
    tokio::time::timeout(PATIENCE, node.outdated())
        .await
        .unwrap();
    // A folder that is as new as what was acknowledged is none.
    let whole = group.nodes[other].running();
    assert!(
        tokio::time::timeout(Duration::from_secs(2), whole.outdated())
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plaintext_is_for_loopback_and_strangers_are_turned_away() {
    let group = Group::new(clock());
    let open = |peers: PeersConfig, name: &str| {
        let data_dir = group.config(false).data_dir.join(name);
        let config = RaftConfig {
            peers: Some(peers),
            ..RaftConfig::new(data_dir)
        };
        RaftBackend::open(config, group.clock.clone())
    };
    let peers = |listen: &str, security: PeerSecurity, join| PeersConfig {
        listen: listen.parse().unwrap(),
        advertise: None,
        security,
        join,
    };
    let everywhere = peers("0.0.0.0:0", PeerSecurity::PlaintextOnLoopback, false);
    let refused = open(everywhere, "everywhere").await;
    assert!(matches!(refused, Err(OpenError::Peers(_))), "{refused:?}");

    let secure = peers("127.0.0.1:0", group.security.clone(), false);
    let secure = open(secure, "secure").await.unwrap();
    secure.steer(Steering::Init).await.unwrap();
    let strangers = tempfile::tempdir().unwrap();
    let other_authority = super::certificates::write(strangers.path());
    for (name, security) in [
        ("plain", PeerSecurity::PlaintextOnLoopback),
        ("stranger", other_authority),
    ] {
        let stranger = open(peers("127.0.0.1:0", security, true), name)
            .await
            .unwrap();
        let address = stranger.peer_address().unwrap().to_string();
        let refused = secure.steer(Steering::Join { address }).await.unwrap_err();
        assert_eq!(
            (refused.kind, refused.effect),
            (ErrorKind::Unavailable, Effect::None)
        );
        assert_eq!(stranger.cluster().group, None);
    }
}
