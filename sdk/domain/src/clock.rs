//! Time is passed in. This is the only place of the house that reads the machine's clocks.

use std::fmt;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;

/// A point on one monotonic, logical clock, in milliseconds. Leases end by this, never by wall time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Millis(pub u64);

impl Millis {
    /// The point `ms` later; saturating, so that no input can wrap it.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The first point at which what was to last up to `self` is certainly over.
    ///
    /// A clock is read in whole milliseconds and cut off, so what is counted from a reading may
    /// begin up to one millisecond late: the millisecond of a deadline still belongs to it.
    #[must_use]
    pub fn over_from(self) -> Self {
        self.plus(1)
    }

    /// Whether what was to last up to `self` is certainly over when a clock shows `now`.
    #[must_use]
    pub fn is_over(self, now: Self) -> bool {
        now > self
    }

    /// Milliseconds from `self` until `later`; 0 if that has passed.
    #[must_use]
    pub fn until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

/// Wall-clock time in milliseconds since 1970 UTC: for people, never for ownership.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct WallMillis(pub u64);

/// A source of time. One per process in production, a hand-moved one in tests.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Time since some fixed instant of this process; never goes back.
    fn monotonic(&self) -> Duration;

    /// Wall-clock time, which may jump.
    fn wall(&self) -> WallMillis;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clocks"
    )]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clocks"
    )]
    fn wall(&self) -> WallMillis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        WallMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that moves only when told to, for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock {
    monotonic_ms: std::sync::atomic::AtomicU64,
    wall_ms: std::sync::atomic::AtomicU64,
}

impl ManualClock {
    /// A clock that stands at 0 monotonic, and at `wall`.
    #[must_use]
    pub fn new(wall: WallMillis) -> Self {
        Self {
            monotonic_ms: 0.into(),
            wall_ms: wall.0.into(),
        }
    }

    /// Moves both clocks on.
    pub fn advance(&self, ms: u64) {
        use std::sync::atomic::Ordering::SeqCst;
        self.monotonic_ms.fetch_add(ms, SeqCst);
        self.wall_ms.fetch_add(ms, SeqCst);
    }

    /// Sets the wall clock alone, forwards or backwards.
    pub fn set_wall(&self, wall: WallMillis) {
        self.wall_ms
            .store(wall.0, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn wall(&self) -> WallMillis {
        WallMillis(self.wall_ms.load(std::sync::atomic::Ordering::SeqCst))
    }
}
