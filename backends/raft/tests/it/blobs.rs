//! Blobs: on a majority before they are named, with every member in the end, and in no log entry,
//! state or snapshot.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Steering;
use leasehold_backend_raft::OpenError;
use leasehold_backend_raft::RaftBackend;
use leasehold_backend_raft::RaftConfig;
use leasehold_domain::Digest;
use leasehold_domain::SystemClock;
use leasehold_domain::limits::BLOB_BYTES_MAX;

use super::faults::take;
use super::group::Group;
use super::group::PATIENCE;

/// Bytes that occur nowhere else.
fn blob(bytes: usize) -> Arc<[u8]> {
    let start: u64 = rand::random();
    let words = (start..).flat_map(|n| Digest::of(&n.to_le_bytes()).0);
    words.take(bytes).collect()
}

fn file(config: &RaftConfig, digest: &Digest) -> PathBuf {
    config.data_dir.join("blobs").join(digest.to_string())
}

/// Waits until something is so.
async fn becomes(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, looking).await;
    assert!(seen.is_ok(), "{what}");
}

/// Waits until a member has the file of a blob, though nobody asks it for the blob.
async fn arrives(config: &RaftConfig, digest: &Digest, bytes: &[u8]) {
    let path = file(config, digest);
    let is_there = || std::fs::read(&path).is_ok_and(|there| there == bytes);
    becomes(&format!("{}", path.display()), is_there).await;
}

async fn of_three() -> Group {
    Group::of_three(Arc::new(SystemClock::new())).await
}

/// Files under a directory, except for blobs.
fn files_without_blobs(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if !path.is_dir() {
            found.push(path);
        } else if path.file_name().is_some_and(|name| name != "blobs") {
            files_without_blobs(&path, found);
        }
    }
}

/// Whether a part of a blob's bytes is in any file of a member except for the blob's own.
fn is_elsewhere(config: &RaftConfig, bytes: &[u8]) -> bool {
    let part = &bytes[1_000..1_032];
    let mut files = Vec::new();
    files_without_blobs(&config.data_dir, &mut files);
    assert!(files.len() > 3, "{files:?}");
    let has_part = |path: &PathBuf| {
        let all = std::fs::read(path).unwrap_or_default();
        all.windows(part.len()).any(|window| window == part)
    };
    files.iter().any(has_part)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_has_what_one_has_taken() {
    let group = of_three().await;
    for place in 0..3 {
        let bytes = blob(BLOB_BYTES_MAX);
        let digest = group.nodes[place].running().put_blob(bytes.clone());
        let digest = digest.await.unwrap();
        for node in &group.nodes {
            let found = node.running().get_blob(&digest).await.unwrap();
            assert!(found == Some(bytes.clone()), "from {place}");
            arrives(&node.config, &digest, &bytes).await;
        }
    }
    let node = group.nodes[0].running();
    assert_eq!(node.get_blob(&Digest([7; 32])).await.unwrap(), None);
    let refused = node.put_blob(blob(BLOB_BYTES_MAX + 1)).await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.effect),
        (ErrorKind::Invalid, Effect::None)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_down_gets_it_from_the_others() {
    let mut group = of_three().await;
    let down = group.follower().await;
    group.stop(down).await;
    let bytes = blob(3_000_000);
    let asked = group.running().next().unwrap();
    let digest = asked.put_blob(bytes.clone()).await.unwrap();
    // Both others have it already: it was answered by a majority of three.
    for place in (0..3).filter(|place| *place != down) {
        let there = std::fs::read(file(&group.nodes[place].config, &digest)).unwrap();
        assert!(there == *bytes, "{place}");
    }
    assert!(!file(&group.nodes[down].config, &digest).exists());
    group.start(down).await;
    arrives(&group.nodes[down].config, &digest, &bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_taken() {
    let mut group = Group::new(Arc::new(SystemClock::new()));
    group.found().await;
    for _ in 0..2 {
        let address = group.add().await;
        group.steer(Steering::Join { address }).await.unwrap();
    }
    group.take_part().await;
    let alone = group.follower().await;
    let bytes = blob(1_000);
    let digest = Digest::of(&bytes);
    for place in (0..3).filter(|place| *place != alone) {
        group.stop(place).await;
    }
    let node = group.nodes[alone].running().clone();
    let refused = node.put_blob(bytes.clone()).await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.effect),
        (ErrorKind::Unavailable, Effect::None)
    );
    // It cannot know whether another member has taken it meanwhile.
    let unsure = node.get_blob(&digest).await.unwrap_err();
    assert_eq!(unsure.kind, ErrorKind::Unavailable);
    for place in (0..3).filter(|place| *place != alone) {
        group.start(place).await;
    }
    group.take_part().await;
    assert_eq!(node.get_blob(&digest).await.unwrap(), None);
    assert_eq!(node.put_blob(bytes.clone()).await.unwrap(), digest);
    assert_eq!(node.get_blob(&digest).await.unwrap(), Some(bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_noticed_and_fetched_anew() {
    let group = of_three().await;
    let bytes = blob(2_000_000);
    let digest = group.nodes[0].running().put_blob(bytes.clone());
    let digest = digest.await.unwrap();
    for node in &group.nodes {
        arrives(&node.config, &digest, &bytes).await;
    }
    let mut damaged = bytes.to_vec();
    damaged[1_999_999] ^= 1;
    // Two copies: the one that is asked and one that it may ask.
    for place in 0..2 {
        std::fs::write(file(&group.nodes[place].config, &digest), &damaged).unwrap();
    }
    let found = group.nodes[0].running().get_blob(&digest).await.unwrap();
    assert!(found == Some(bytes.clone()));
    arrives(&group.nodes[0].config, &digest, &bytes).await;
    let found = group.nodes[1].running().get_blob(&digest).await.unwrap();
    assert!(found == Some(bytes.clone()));

    // Damaged everywhere, or away: nobody says that there is none.
    for place in 0..3 {
        std::fs::write(file(&group.nodes[place].config, &digest), &damaged).unwrap();
    }
    let lost = group.nodes[0].running().get_blob(&digest).await;
    let lost = lost.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::Corrupt, "{lost}");
    group.nodes[2].running().set_isolated(true);
    let unsure = group.nodes[0].running().get_blob(&digest).await;
    let unsure = unsure.unwrap_err();
    assert_eq!(unsure.kind, ErrorKind::Unavailable, "{unsure}");
    assert!(unsure.is_retryable());
    group.nodes[2].running().set_isolated(false);
    // The same bytes, sent again, heal it.
    let again = group.nodes[1].running().put_blob(bytes.clone()).await;
    assert_eq!(again.unwrap(), digest);
    for node in &group.nodes {
        arrives(&node.config, &digest, &bytes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_the_log_have_no_bytes_of_a_blob_and_a_new_member_fetches_it() {
    let mut group = Group::new(Arc::new(SystemClock::new()));
    let mut config = group.config(false);
    config.snapshot_commands = 500;
    group.push(config).await;
    group.steer(Steering::Init).await.unwrap();
    let founder = group.nodes[0].running().clone();
    let bytes = blob(4 * 1_024 * 1_024);
    let digest = founder.put_blob(bytes.clone()).await.unwrap();
    // More entries than a member keeps, so that a new one needs a snapshot.
    for n in 0..2_500 {
        let name = format!("lock-{}", n % 100);
        founder.execute(take("ann", &name)).await.unwrap();
    }
    let snapshot = group.nodes[0].config.data_dir.join("snapshot");
    becomes("a snapshot", || snapshot.exists()).await;
    let address = group.add().await;
    group.steer(Steering::Join { address }).await.unwrap();
    // It votes only once it has the blob, though nobody has asked it for it.
    let joiner = &group.nodes[1];
    let there = std::fs::read(file(&joiner.config, &digest)).unwrap();
    assert!(there == *bytes);
    let found = joiner.running().get_blob(&digest).await.unwrap();
    assert!(found == Some(bytes.clone()));
    for node in &group.nodes {
        let snapshot = node.config.data_dir.join("snapshot");
        let size = std::fs::metadata(&snapshot).unwrap().len();
        assert!(size < 1_000_000, "a snapshot of {size} bytes");
        assert!(!is_elsewhere(&node.config, &bytes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_member_leaves_the_blob_on_a_majority() {
    let mut group = of_three().await;
    let down = group.follower().await;
    let replaced = group.nodes[down].number();
    group.stop(down).await;
    let bytes = blob(1_000_000);
    let other = (0..3).rfind(|place| *place != down).unwrap();
    let asked = group.nodes[other].running();
    let digest = asked.put_blob(bytes.clone()).await.unwrap();
    // Without one of the two that have it, only one of two would.
    let node = group.nodes[other].number();
    let refused = group.steer(Steering::Leave { node }).await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.effect),
        (ErrorKind::Unavailable, Effect::None),
        "{refused}"
    );
    assert!(refused.detail.contains("policy modules"), "{refused}");
    // In the place of the one that is down comes one that fetches it first.
    let address = group.add().await;
    let replace = Steering::Replace {
        node: replaced,
        address,
    };
    group.steer(replace).await.unwrap();
    let there = std::fs::read(file(&group.nodes[3].config, &digest)).unwrap();
    assert!(there == *bytes);
}

async fn open_alone(config: &RaftConfig) -> Result<Arc<RaftBackend>, OpenError> {
    RaftBackend::open(config.clone(), Arc::new(SystemClock::new())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_keeps_blobs_and_refuses_a_directory_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = RaftConfig::new(folder.path().join("node"));
    let node = open_alone(&config).await.unwrap();
    let bytes = blob(100_000);
    let digest = node.put_blob(bytes.clone()).await.unwrap();
    node.close().await;
    drop(node);
    let node = open_alone(&config).await.unwrap();
    assert_eq!(node.get_blob(&digest).await.unwrap(), Some(bytes.clone()));
    // Damage in a running node is no absence.
    let path = file(&config, &digest);
    std::fs::write(&path, b"other bytes").unwrap();
    let lost = node.get_blob(&digest).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::Corrupt);
    assert!(lost.detail.contains(&digest.to_string()), "{lost}");
    assert_eq!(node.put_blob(bytes.clone()).await.unwrap(), digest);
    assert_eq!(node.get_blob(&digest).await.unwrap(), Some(bytes));
    node.close().await;
    drop(node);
    std::fs::remove_file(&path).unwrap();
    match open_alone(&config).await {
        Err(OpenError::Corrupt(problem)) => {
            assert!(problem.contains(&digest.to_string()), "{problem}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_cannot_take_a_blob_stops_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let config = RaftConfig::new(folder.path().join("node"));
    let node = open_alone(&config).await.unwrap();
    let directory = config.data_dir.join("blobs");
    std::fs::rename(&directory, folder.path().join("away")).unwrap();
    let refused = node.put_blob(blob(1_000)).await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.effect),
        (ErrorKind::Closed, Effect::None)
    );
    let stopped = tokio::time::timeout(PATIENCE, node.stopped());
    stopped.await.expect("it stops");
}

/// A node that was killed after it had written a blob, and before it was registered, has bytes that
/// nobody was promised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_were_not_registered_are_no_blob() {
    let folder = tempfile::tempdir().unwrap();
    let config = RaftConfig::new(folder.path().join("node"));
    open_alone(&config).await.unwrap().close().await;
    let bytes = blob(1_000);
    let digest = Digest::of(&bytes);
    std::fs::write(file(&config, &digest), &bytes).unwrap();
    let unfinished = config.data_dir.join("blobs").join("00.new");
    std::fs::write(&unfinished, &bytes).unwrap();
    let node = open_alone(&config).await.unwrap();
    assert!(!unfinished.exists());
    assert_eq!(node.get_blob(&digest).await.unwrap(), None);
    assert_eq!(node.put_blob(bytes.clone()).await.unwrap(), digest);
    assert_eq!(node.get_blob(&digest).await.unwrap(), Some(bytes));
}

/// Members are cut off and killed while all of them are asked to take blobs: what is answered is on the
/// disks of two of three at that instant, and with all of them in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_is_on_a_majority_whatever_fails() {
    let mut group = of_three().await;
    let configs: Vec<RaftConfig> = group.nodes.iter().map(|node| node.config.clone()).collect();
    let mut answered = Vec::new();
    for round in 0..12_usize {
        let (victim, asked) = (round % 3, (round + 1 + round / 3 % 2) % 3);
        let is_stopped = round % 2 == 0;
        let node = group.nodes[asked].running().clone();
        let bytes = blob(700_000 + round);
        let putting = tokio::spawn({
            let (node, bytes) = (node.clone(), bytes.clone());
            async move { node.put_blob(bytes).await }
        });
        // Before, in the middle of the transfer, or after it.
        let at = Duration::from_millis(rand::random_range(0..40));
        tokio::time::sleep(at).await;
        match is_stopped {
            true => group.stop(victim).await,
            false => group.nodes[victim].running().set_isolated(true),
        }
        match putting.await.unwrap() {
            Ok(digest) => {
                let has = |config: &&RaftConfig| {
                    std::fs::read(file(config, &digest)).is_ok_and(|there| there == *bytes)
                };
                let copies = configs.iter().filter(has).count();
                assert!(copies >= 2, "round {round}: {copies} copies");
                let found = node.get_blob(&digest).await.unwrap();
                assert!(found == Some(bytes.clone()), "round {round}");
                answered.push((digest, bytes));
            }
            Err(error) => assert!(error.is_retryable(), "round {round}: {error}"),
        }
        match is_stopped {
            true => group.start(victim).await,
            false => group.nodes[victim].running().set_isolated(false),
        }
        group.take_part().await;
    }
    assert!(answered.len() > 6, "{} of 12", answered.len());
    for (digest, bytes) in &answered {
        for config in &configs {
            arrives(config, digest, bytes).await;
        }
    }
}
