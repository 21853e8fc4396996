//! How long a lease may be relied on, on the caller's own clocks.

use std::time::Duration;
use std::time::Instant;

/// Kept back besides a thousandth of the time.
const MARGIN: Duration = Duration::from_millis(50);

/// Timers of the runtime stand still while the machine sleeps, so long waits are cut into pieces
/// of this length and look at the clock that counts sleep after each.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// A point in time on the caller's own clocks: the monotonic one, on which timers run, and the one
/// that also counts the time in which the machine was suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    since_boot: Duration,
    instant: Instant,
}

impl Moment {
    /// Reads both clocks.
    #[must_use]
    pub fn now() -> Self {
        Self {
            since_boot: since_boot(),
            instant: now(),
        }
    }

    /// This moment as the time since the machine was started, suspension included.
    #[must_use]
    pub fn since_boot(self) -> Duration {
        self.since_boot
    }

    /// The time that has passed since, suspension included.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        since_boot().saturating_sub(self.since_boot)
    }
}

/// The moment by which work under a lease must have stopped.
///
/// A lease lasts at least its ttl from the moment at which the confirmed request was *sent*; the
/// gateway's clock may be a little fast, so a thousandth and a few milliseconds are kept back.
/// The time in which this machine was suspended counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Moment);

impl Deadline {
    /// Counted from the send time of the request that was confirmed, for the time that it gave.
    #[must_use]
    pub fn after(sent: Moment, lasts: Duration) -> Self {
        let kept_back = lasts / 1_000 + MARGIN;
        let lasts = lasts.saturating_sub(kept_back);
        Self(Moment {
            since_boot: sent.since_boot + lasts,
            instant: sent.instant + lasts,
        })
    }

    /// The moment itself on the monotonic clock, if the machine is not suspended until then.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0.instant
    }

    /// The moment itself as the time since the machine was started, suspension included:
    /// `CLOCK_BOOTTIME` on Linux. The same for all processes of a machine.
    #[must_use]
    pub fn since_boot(self) -> Duration {
        self.0.since_boot
    }

    /// The moment `before` it on the monotonic clock: when to begin stopping.
    #[must_use]
    pub fn minus(self, before: Duration) -> Instant {
        self.0.instant.checked_sub(before).unwrap_or(self.0.instant)
    }

    /// Waits until only `before` is left, also if the machine is suspended meanwhile.
    pub async fn only_left(self, before: Duration) {
        loop {
            let left = self.0.since_boot.saturating_sub(since_boot());
            let left = left.saturating_sub(before);
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(TICK)).await;
        }
    }
}

/// Sleeps; time in which the machine is suspended counts.
pub(crate) async fn sleep(pause: Duration) {
    let begun = Moment::now();
    loop {
        let left = pause.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(TICK)).await;
    }
}

/// The monotonic clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a client counts its leases on its own clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The clock that counts suspension.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    use nix::time::ClockId;
    use nix::time::clock_gettime;

    // Only a kernel older than 2.6.39 lacks the first; none lacks the second.
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC))
        .unwrap_or_else(|error| unreachable!("the kernel has no clock: {error}"));
    Duration::from(time)
}

/// The monotonic clock, counted from its first reading: it counts suspension on most other systems.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    use std::sync::OnceLock;

    static FIRST: OnceLock<Instant> = OnceLock::new();
    now() - *FIRST.get_or_init(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_before_the_lease_ends_and_never_before_it_was_asked_for() {
        let sent = Moment::now();
        let ends = sent.instant + Duration::from_secs(10);
        let deadline = Deadline::after(sent, Duration::from_secs(10));
        assert!(deadline.instant() < ends - MARGIN && deadline.instant() > ends - MARGIN * 2);
        let lasts = deadline.since_boot() - sent.since_boot;
        assert_eq!(lasts, deadline.instant() - sent.instant);
        assert_eq!(Deadline::after(sent, Duration::ZERO).0, sent);
    }

    #[tokio::test]
    async fn a_deadline_that_passed_while_the_machine_slept_is_noticed_on_waking() {
        // As after a suspension of an hour: the monotonic clock stood still.
        let now = Moment::now();
        let deadline = Deadline(Moment {
            since_boot: now.since_boot - Duration::from_secs(1),
            instant: now.instant + Duration::from_secs(3_599),
        });
        let noticed = tokio::time::timeout(TICK * 2, deadline.only_left(Duration::ZERO));
        noticed.await.unwrap();
    }
}
