//! What a store must bring along to be tested.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Documents;
use leasehold_domain::Clock;

/// A store that runs.
pub struct Running {
    /// Its locks.
    pub backend: Arc<dyn Backend>,
    /// Its documents. The two are one store: their events are one stream.
    pub documents: Arc<dyn Documents>,
    /// The clock by which a client of this store would count. A lease that ends before its ttl
    /// has passed on it has ended early.
    pub clock: Arc<dyn Clock>,
    /// Whatever must live as long as the store: a folder, a process. A harness finds here what
    /// it needs to restart it.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// Starts stores, and lets time pass for them.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Starts a store without locks, documents and events.
    async fn start(&self) -> Running;

    /// Lets at least `ms` pass on `store.clock`, and for the store. The default waits: right for
    /// every store that counts real time. A store whose clock is moved by hand overrides it.
    async fn pass(&self, store: &Running, ms: u64) {
        let begin = store.clock.monotonic();
        let enough = Duration::from_millis(ms);
        while let Some(left) = enough
            .checked_sub(store.clock.monotonic() - begin)
            .filter(|left| !left.is_zero())
        {
            tokio::time::sleep(left).await;
        }
    }
}

/// A harness of a store that keeps what it was told.
#[async_trait]
pub trait Durable: Harness {
    /// Stops the store as abruptly as its harness can, and starts it again from what it kept.
    /// `clock` of the answer goes on from the one before, or is the same.
    async fn restart(&self, store: Running) -> Running;
}
