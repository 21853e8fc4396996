//! What a node does with its folder, its disk, and its snapshots.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
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
use openraft::async_runtime::WatchReceiver;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::OpenError;
use crate::RaftBackend;
use crate::RaftConfig;
use crate::log::Change;
use crate::log::Disk;
use crate::log::LogStore;
use crate::open::Stored;

const PATIENCE: Duration = Duration::from_secs(30);

async fn open(config: &RaftConfig) -> Result<Arc<RaftBackend>, OpenError> {
    RaftBackend::open(config.clone(), Arc::new(SystemClock::new())).await
}

/// A folder, and a node of which it can be the folder.
fn node() -> (TempDir, RaftConfig) {
    let folder = tempfile::tempdir().unwrap();
    let config = RaftConfig::new(folder.path().join("node"));
    (folder, config)
}

/// Somebody takes the `n`th lock.
fn take(n: u64) -> Batch {
    let lock: LockRef = format!("demo/lock-{n}").parse().unwrap();
    let mut lease_id = [0; 16];
    lease_id[..8].copy_from_slice(&n.to_be_bytes());
    let principal = Principal {
        subject: "ann".parse().unwrap(),
        team: None,
        roles: RoleSet::default(),
        claims: BTreeMap::new(),
    };
    let cause = Cause {
        request_id: format!("request-{n}").parse().unwrap(),
        received: WallMillis(0),
        principal: Arc::new(principal),
        request: Request::new(Operation::Acquire, lock.clone()),
        decision: None,
    };
    Batch::one(Command {
        lock,
        action: Action::Acquire {
            lease_id: LeaseId::from_bytes(lease_id),
            mode: Mode::Exclusive,
            ttl_ms: 600_000,
            wait_ms: None,
            max_hold_ms: None,
        },
        cause: Some(Arc::new(cause)),
        expect: None,
    })
}

async fn events(node: &RaftBackend, after: u64, count: usize) -> Vec<Arc<Event>> {
    let events = node.events(Cursor(after)).take(count);
    let events = tokio::time::timeout(PATIENCE, events.collect::<Vec<_>>()).await;
    events.unwrap().into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_folder_can_be_opened_again_at_once_and_an_open_one_cannot() {
    let (_folder, config) = node();
    for round in 0..3 {
        let node = open(&config).await.unwrap();
        let second = open(&config).await;
        assert!(matches!(second, Err(OpenError::Locked(_))), "{round}");
        let digest = node.put_blob(Arc::from(*b"module")).await.unwrap();
        assert!(node.get_blob(&digest).await.unwrap().is_some());
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_dropped_lets_go_of_its_folder() {
    let (_folder, config) = node();
    for n in 0..3 {
        let node = open(&config).await.unwrap();
        node.execute(take(n)).await.unwrap();
        assert_eq!(node.health().await.counts.leases, n + 1);
        let released = node.released.clone();
        drop(node);
        tokio::time::timeout(PATIENCE, released.wait())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_folder_is_refused() {
    let (_folder, config) = node();
    open(&config).await.unwrap().close().await;
    let other_group = RaftConfig {
        cluster_id: "another".to_owned(),
        ..config.clone()
    };
    for other in [other_group] {
        let Err(OpenError::Foreign { found, expected }) = open(&other).await else {
            panic!("opened by {other:?}");
        };
        assert_eq!(found, "node 1 of leasehold");
        assert_ne!(expected, found);
    }
    open(&config).await.unwrap().close().await;
}

/// Opens the log alone, to put something into it.
fn log(config: &RaftConfig, work: impl FnOnce(&LogStore)) {
    let stored = Stored::read(config).unwrap();
    work(&stored.log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_cannot_be_read_is_named() {
    for (bytes, complaint) in [
        // Other versions are refused, not misread.
        (
            vec![4, 0, 0, 0, 0, 7],
            "entry 5: version 4 is of a build before the first release",
        ),
        (vec![6, 0, 0, 0, 0, 7], "entry 5: version 6 is not known"),
        (vec![5, 0, 0, 0, 0, 7], "entry 5: checksum differs"),
        (vec![5, 0], "entry 5: cut off"),
    ] {
        let (_folder, config) = node();
        let node = open(&config).await.unwrap();
        // Entry 0 makes the group, 1 is its leader's, 2 to 6 are these.
        for n in 0..5 {
            node.execute(take(n)).await.unwrap();
        }
        node.close().await;
        let (of, put) = (config.clone(), Change::Put { index: 5, bytes });
        let written = tokio::task::spawn_blocking(move || log(&of, |log| log.put(vec![put])));
        written.await.unwrap();
        let Err(OpenError::Corrupt(detail)) = open(&config).await else {
            panic!("{complaint}: opened");
        };
        assert!(detail.contains(complaint), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_in_the_log_is_refused() {
    let (_folder, config) = node();
    let node = open(&config).await.unwrap();
    for n in 0..5 {
        node.execute(take(n)).await.unwrap();
    }
    node.close().await;
    let (of, hole) = (config.clone(), Change::Remove { from: 3, to: 4 });
    let written = tokio::task::spawn_blocking(move || log(&of, |log| log.put(vec![hole])));
    written.await.unwrap();
    let Err(OpenError::Corrupt(detail)) = open(&config).await else {
        panic!("opened");
    };
    assert!(detail.contains("entry 3"), "{detail}");
}

/// A disk that can be told to fail.
struct Failing {
    disk: Box<dyn Disk>,
    fails: Arc<AtomicBool>,
}

impl Disk for Failing {
    fn commit(&mut self, changes: Vec<Change>) -> io::Result<()> {
        match self.fails.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the disk is broken")),
            false => self.disk.commit(changes),
        }
    }
}

async fn open_failing(config: &RaftConfig, fails: Arc<AtomicBool>) -> Arc<RaftBackend> {
    let of = config.clone();
    let stored = tokio::task::spawn_blocking(move || {
        Stored::read_by(&of, |folder, owner, lock| {
            LogStore::open_on(folder, owner, lock, |disk| {
                Box::new(Failing { disk, fails })
            })
        })
    });
    let stored = stored.await.unwrap().unwrap();
    let clock = Arc::new(SystemClock::new());
    RaftBackend::start(config.clone(), clock, stored)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_disk_poisons_the_node() {
    let (_folder, config) = node();
    let fails = Arc::new(AtomicBool::new(false));
    let node = open_failing(&config, fails.clone()).await;
    node.execute(take(0)).await.unwrap();
    fails.store(true, Ordering::SeqCst);
    // Everybody who waits is told that nobody knows.
    let asked = (1..10).map(|n| node.execute(take(n)));
    for answer in futures_util::future::join_all(asked).await {
        let error = answer.unwrap_err();
        if error.effect == Effect::None {
            // Refused before it was taken: this one came after the failure.
            assert_eq!(error.kind, ErrorKind::Closed);
        }
    }
    tokio::time::timeout(PATIENCE, node.stopped())
        .await
        .unwrap();
    let health = node.health().await;
    assert!(!health.ready && health.detail.contains("the disk is broken"));
    // A disk that works again is not trusted before it was read again.
    fails.store(false, Ordering::SeqCst);
    let error = node.execute(take(11)).await.unwrap_err();
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::Closed, Effect::None)
    );
    tokio::time::timeout(PATIENCE, node.close()).await.unwrap();

    let node = open(&config).await.unwrap();
    let again = node.execute(take(0)).await.unwrap();
    assert!(matches!(&again[0], Outcome::Granted(grant) if grant.repeated));
    assert_eq!(node.health().await.counts.leases, 1);
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_to_wait_for_a_broken_disk_hears_that_nobody_knows() {
    let (_folder, config) = node();
    let fails = Arc::new(AtomicBool::new(false));
    let node = open_failing(&config, fails.clone()).await;
    fails.store(true, Ordering::SeqCst);
    let error = node.execute(take(0)).await.unwrap_err();
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::Closed, Effect::Unknown)
    );
    node.close().await;
}

/// A node that takes a snapshot after 100 commands, with one of 200 taken, and 30 events trimmed.
async fn with_snapshot() -> (TempDir, RaftConfig) {
    let (folder, mut config) = node();
    config.snapshot_commands = 100;
    let node = open(&config).await.unwrap();
    for n in 0..200 {
        node.execute(take(n)).await.unwrap();
    }
    node.trim(leasehold_conformance::head(30)).await.unwrap();
    let before = events(&node, 30, 170).await;
    let wait = node.raft.wait(Some(PATIENCE));
    let purged = wait.metrics(
        |metrics| metrics.snapshot.is_some() && metrics.purged.is_some(),
        "a snapshot, and the log before it purged",
    );
    purged.await.unwrap();
    node.close().await;
    let digest = node.applied.read().state.digest();

    let node = open(&config).await.unwrap();
    let purged = node.raft.metrics().borrow_watched().purged;
    assert!(purged.unwrap().index >= 100, "{purged:?}");
    assert_eq!(node.applied.read().state.digest(), digest);
    assert_eq!(events(&node, 30, 170).await, before);
    let health = node.health().await;
    assert_eq!((health.trimmed, health.newest), (Cursor(30), Cursor(200)));
    node.execute(take(200)).await.unwrap();
    assert_eq!(events(&node, 200, 1).await[0].cursor, Cursor(201));
    node.close().await;
    (folder, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_keeps_state_and_events_and_the_log_is_purged() {
    let (_folder, config) = with_snapshot().await;
    let snapshot = config.data_dir.join("snapshot");
    let whole = std::fs::read(&snapshot).unwrap();
    for at in [0, 3, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&snapshot, damaged).unwrap();
        refused(&config, "snapshot").await;
    }
    std::fs::write(&snapshot, &whole[..whole.len() - 1]).unwrap();
    refused(&config, "snapshot").await;
    // Without it, what the purged log said is lost: that must not look like an empty store.
    std::fs::remove_file(&snapshot).unwrap();
    refused(&config, "the snapshot ends with None").await;
    std::fs::write(&snapshot, &whole).unwrap();
    open(&config).await.unwrap().close().await;
}

async fn refused(config: &RaftConfig, complaint: &str) {
    let Err(OpenError::Corrupt(detail)) = open(config).await else {
        panic!("opened, although {complaint}");
    };
    assert!(detail.contains(complaint), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_snapshot_does_no_harm() {
    let (_folder, config) = with_snapshot().await;
    let unfinished: &Path = &config.data_dir.join("snapshot.unfinished");
    std::fs::write(unfinished, b"half of one").unwrap();
    let node = open(&config).await.unwrap();
    assert_eq!(node.health().await.counts.leases, 201);
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_finishes_what_was_asked() {
    let (_folder, config) = node();
    let node = open(&config).await.unwrap();
    let (begun, begins) = oneshot::channel();
    let asking = node.clone();
    let asked = tokio::spawn(async move {
        let asked = (0..100).map(|n| asking.execute(take(n)));
        let all = futures_util::future::join_all(asked);
        begun.send(()).unwrap();
        all.await
    });
    begins.await.unwrap();
    node.close().await;
    let mut granted = 0;
    for answer in asked.await.unwrap() {
        match answer {
            Ok(outcomes) => {
                assert!(matches!(outcomes[0], Outcome::Granted(_)));
                granted += 1;
            }
            Err(error) => assert_eq!(
                (error.kind, error.effect),
                (ErrorKind::Closed, Effect::None)
            ),
        }
    }
    let node = open(&config).await.unwrap();
    assert_eq!(node.health().await.counts.leases, granted);
    node.close().await;
}
