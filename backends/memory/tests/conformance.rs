//! The contract, on the memory backend.

use std::sync::Arc;

use async_trait::async_trait;
use leasehold_backend_memory::MemoryBackend;
use leasehold_conformance::Harness;
use leasehold_conformance::Running;
use leasehold_domain::ManualClock;
use leasehold_domain::WallMillis;

struct Memory;

#[async_trait]
impl Harness for Memory {
    async fn start(&self) -> Running {
        let clock = Arc::new(ManualClock::new(WallMillis(1_000_000)));
        let backend = MemoryBackend::new(clock.clone());
        Running {
            documents: backend.clone(),
            backend,
            clock: clock.clone(),
            guard: Box::new(clock),
        }
    }

    async fn pass(&self, store: &Running, ms: u64) {
        let clock = store.guard.downcast_ref::<Arc<ManualClock>>();
        clock.expect("our guard is a clock").advance(ms);
    }
}

leasehold_conformance::conformance!(Memory);
