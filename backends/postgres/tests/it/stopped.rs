//! A background task of the store that is gone.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_domain::WallMillis;
use leasehold_test_servers::Postgres;

use crate::asking::acquire;
use crate::asking::ask;
use crate::asking::command;
use crate::asking::granted;

/// Longer than the store's tasks take to look at the clock.
const PATIENCE: Duration = Duration::from_secs(30);

/// The machine's clock, which panics in the task that reads it next.
#[derive(Debug, Default)]
struct Brittle {
    clock: SystemClock,
    breaks: AtomicBool,
}

impl Clock for Brittle {
    fn monotonic(&self) -> Duration {
        assert!(!self.breaks.swap(false, Ordering::SeqCst), "as told");
        self.clock.monotonic()
    }

    fn wall(&self) -> WallMillis {
        self.clock.wall()
    }
}

#[test]
fn a_store_whose_background_task_panics_stops_and_says_so() {
    leasehold_conformance::run(async {
        let server = Postgres::start().await;
        let mut config = PostgresConfig::new(server.url("postgres"));
        config.allow_unreplicated = true;
        let clock = Arc::new(Brittle::default());
        let store = PostgresBackend::open(config.clone(), clock.clone()).await;
        let store = store.expect("it opens");
        let take = command("a", "r-1", acquire(600_000));
        let held = granted(ask(&store, take.clone()).await);
        // Nobody asks anything: the next that reads the clock is a task of the store.
        clock.breaks.store(true, Ordering::SeqCst);
        let stopped = tokio::time::timeout(PATIENCE, store.stopped()).await;
        let reason = stopped.expect("it has stopped");
        assert!(reason.contains("panicked"), "{reason}");
        let health = store.health().await;
        assert!(
            !health.ready && health.detail.contains(&reason),
            "{}",
            health.detail
        );
        let refused = ask(&store, command("b", "r-2", acquire(600_000))).await;
        let refused = refused.expect_err("nothing is executed any more");
        assert_eq!(
            (refused.kind, refused.effect),
            (ErrorKind::Closed, Effect::None)
        );
        let stale = Freshness::Stale {
            max_age_ms: u64::MAX,
        };
        let read = store.read(&take.lock, stale).await;
        let read = read.expect_err("nor read from memory");
        assert_eq!(read.kind, ErrorKind::Closed);
        let closed = tokio::time::timeout(PATIENCE, store.close()).await;
        closed.expect("it closes");

        // The next process finds what was answered.
        let store = PostgresBackend::open(config, Arc::new(SystemClock::new())).await;
        let store = store.expect("it opens");
        assert_eq!(granted(ask(&store, take).await).token, held.token);
    });
}
