//! How long a lease may be relied on, on the caller's own monotonic clock.

use std::time::Duration;
use std::time::Instant;

/// The moment by which work under a lease must have stopped.
///
/// A lease lasts at least its ttl from the moment at which the confirmed request was *sent*; the
/// gateway's clock may be a little fast, so a thousandth and a few milliseconds are kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// Kept back besides a thousandth of the time.
const MARGIN: Duration = Duration::from_millis(50);

impl Deadline {
    /// Counted from the send time of the request that was confirmed, for the time that it gave.
    #[must_use]
    pub fn after(sent: Instant, lasts: Duration) -> Self {
        let kept_back = lasts / 1_000 + MARGIN;
        Self(sent + lasts.saturating_sub(kept_back))
    }

    /// The moment itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The moment `before` it: when to begin stopping.
    #[must_use]
    pub fn minus(self, before: Duration) -> Instant {
        self.0.checked_sub(before).unwrap_or(self.0)
    }
}

/// The only place of this crate that reads a clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a client counts its leases on its own clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_before_the_lease_ends_and_never_before_it_was_asked_for() {
        let sent = now();
        let ends = sent + Duration::from_secs(10);
        let deadline = Deadline::after(sent, Duration::from_secs(10));
        assert!(deadline.instant() < ends - MARGIN && deadline.instant() > ends - MARGIN * 2);
        assert_eq!(Deadline::after(sent, Duration::ZERO).instant(), sent);
    }
}
