//! The contract, on a group of one node. It restarts from a copy of its folder, taken while it
//! runs: what a kill would have left.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use leasehold_backend_api::Freshness;
use leasehold_backend_raft::RaftBackend;
use leasehold_backend_raft::RaftConfig;
use leasehold_conformance::Durable;
use leasehold_conformance::Harness;
use leasehold_conformance::Running;
use leasehold_domain::ManualClock;
use leasehold_domain::WallMillis;
use tempfile::TempDir;

struct Raft;

/// What a node of a test needs to go on.
struct Node {
    clock: Arc<ManualClock>,
    folder: TempDir,
}

impl Node {
    async fn run(self) -> Running {
        let config = RaftConfig::new(self.folder.path().to_owned());
        let opened = RaftBackend::open(config, self.clock.clone()).await;
        let backend = opened.expect("the folder can be opened");
        Running {
            documents: backend.clone(),
            backend,
            clock: self.clock.clone(),
            guard: Box::new(self),
        }
    }

    fn of(store: &Running) -> &Self {
        let node = store.guard.downcast_ref();
        node.expect("our guard is a node")
    }
}

#[async_trait]
impl Harness for Raft {
    async fn start(&self) -> Running {
        let node = Node {
            clock: Arc::new(ManualClock::new(WallMillis(1_000_000))),
            folder: tempfile::tempdir().expect("a folder"),
        };
        node.run().await
    }

    /// In steps that the node's clock follows: a greater one counts as a freeze.
    async fn pass(&self, store: &Running, ms: u64) {
        let clock = &Node::of(store).clock;
        let lock = "demo/clock".parse().expect("a lock's name");
        let mut left = ms;
        while left > 0 {
            let step = left.min(100);
            clock.advance(step);
            left -= step;
            let freshness = Freshness::Stale { max_age_ms: 0 };
            let looked = store.backend.read(&lock, freshness).await;
            looked.expect("the node looks at its clock");
        }
    }
}

#[async_trait]
impl Durable for Raft {
    async fn restart(&self, store: Running) -> Running {
        let node = Node::of(&store);
        let copied = Node {
            clock: node.clock.clone(),
            folder: tempfile::tempdir().expect("a folder"),
        };
        copy(node.folder.path(), copied.folder.path()).expect("the folder can be copied");
        store.backend.close().await;
        copied.run().await
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => std::fs::copy(entry.path(), target).map(|_| ())?,
        }
    }
    Ok(())
}

leasehold_conformance::conformance!(Raft);
leasehold_conformance::conformance_durable!(Raft);
