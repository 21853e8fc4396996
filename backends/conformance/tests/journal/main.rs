//! The worked example of `backends/README.md`: a fourth backend, as a stranger would write it, on
//! nothing but the public crates. Durable, in one file, for one process; it passes both lists.

mod backend;
mod file;
mod store;

use std::sync::Arc;

use async_trait::async_trait;
use leasehold_conformance::Durable;
use leasehold_conformance::Harness;
use leasehold_conformance::Running;
use leasehold_domain::ManualClock;
use leasehold_domain::WallMillis;
use tempfile::TempDir;

use crate::backend::JournalBackend;

/// What outlives a process that is killed.
struct Machine {
    folder: TempDir,
    clock: Arc<ManualClock>,
}

impl Machine {
    async fn run(self) -> Running {
        let (path, clock) = (self.folder.path().join("journal"), self.clock.clone());
        let runtime = tokio::runtime::Handle::current();
        let opening = tokio::task::spawn_blocking(move || {
            let _inside = runtime.enter();
            JournalBackend::open(&path, clock)
        });
        let backend = opening.await.expect("no panic").expect("it opens");
        Running {
            documents: backend.clone(),
            backend,
            clock: self.clock.clone(),
            guard: Box::new(self),
        }
    }
}

struct Journal;

#[async_trait]
impl Harness for Journal {
    async fn start(&self) -> Running {
        let machine = Machine {
            folder: tempfile::tempdir().expect("a folder"),
            clock: Arc::new(ManualClock::new(WallMillis(1_000_000))),
        };
        machine.run().await
    }

    async fn pass(&self, store: &Running, ms: u64) {
        let machine = store.guard.downcast_ref::<Machine>();
        machine.expect("our guard is a machine").clock.advance(ms);
    }
}

#[async_trait]
impl Durable for Journal {
    async fn restart(&self, store: Running) -> Running {
        let Running {
            backend,
            documents,
            guard,
            ..
        } = store;
        // Without a word: nothing is closed, and a write under way may or may not be there.
        drop((backend, documents));
        let machine = guard.downcast::<Machine>();
        machine.expect("our guard is a machine").run().await
    }
}

leasehold_conformance::conformance!(Journal);
leasehold_conformance::conformance_durable!(Journal);
