//! What a store does when one of its background tasks panics.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_domain::Clock;
use leasehold_domain::Command;
use leasehold_domain::Grant;
use leasehold_domain::SystemClock;
use leasehold_domain::WallMillis;

use crate::asking::LONG;
use crate::asking::acquire;
use crate::asking::command;
use crate::asking::fresh_request;
use crate::asking::granted;
use crate::asking::lock;

/// Longer than the tasks of any store take to read the clock.
const PATIENCE: Duration = Duration::from_secs(30);

/// The machine's clock, which panics once when it is told to, in the task that reads it next.
#[derive(Debug, Default)]
struct BrittleClock {
    clock: SystemClock,
    breaks: AtomicBool,
}

impl Clock for BrittleClock {
    fn monotonic(&self) -> Duration {
        assert!(!self.breaks.swap(false, Ordering::SeqCst), "as told");
        self.clock.monotonic()
    }

    fn wall(&self) -> WallMillis {
        self.clock.wall()
    }
}

fn take(who: &str, name: &str) -> Command {
    command(who, &fresh_request(), lock(name), acquire(LONG, None))
}

async fn taken(store: &dyn Backend, command: Command) -> Grant {
    let mut outcomes = store.execute(Batch::one(command)).await.expect("an answer");
    granted(outcomes.remove(0))
}

/// A store whose background task panics executes and reads nothing any more, and says why. Opened
/// again, it has what was answered before.
///
/// # Panics
/// The store does anything else.
pub async fn a_store_whose_background_task_panics_stops_and_says_so<B: Backend>(
    open: impl AsyncFn(Arc<dyn Clock>) -> Arc<B>,
) {
    let clock = Arc::new(BrittleClock::default());
    let store = open(clock.clone()).await;
    let held = take("ann", "one");
    let token = taken(&*store, held.clone()).await.token;
    // There are no requests now: the next that reads the clock is a task of the store.
    clock.breaks.store(true, Ordering::SeqCst);
    let stopped = tokio::time::timeout(PATIENCE, store.stopped()).await;
    let reason = stopped.expect("it has stopped");
    assert!(reason.contains("panicked"), "{reason}");
    let health = store.health().await;
    assert!(!health.ready, "{}", health.detail);
    assert!(health.detail.contains(&reason), "{}", health.detail);
    let refused = store.execute(Batch::one(take("bob", "two"))).await;
    let refused = refused.expect_err("nothing is executed any more");
    assert_eq!(
        (refused.kind, refused.effect),
        (ErrorKind::Closed, Effect::None)
    );
    let stale = Freshness::Stale {
        max_age_ms: u64::MAX,
    };
    let read = store.read(&held.lock, stale).await;
    let read = read.expect_err("nor read from memory");
    assert_eq!(read.kind, ErrorKind::Closed);
    let closed = tokio::time::timeout(PATIENCE, store.close()).await;
    closed.expect("it closes");

    let store = open(Arc::new(SystemClock::new())).await;
    assert_eq!(taken(&*store, held).await.token, token);
}
