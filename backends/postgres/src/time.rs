//! Logical time: counted by the gateway's monotonic clock from the last write that it knows.
//!
//! Two rules keep a lease from ending early. Whoever stamps a write counts on from the stamp of the
//! write before it. And it counts no more than has passed since that stamp was made: for its own
//! writes it knows when that was; for another gateway's it knows that it was before the answer
//! came that showed it.
//!
//! The time between the other gateway's stamp and that answer would be lost, and a busy pair of
//! gateways would lose most of it. So each write also keeps what the database's clock showed. That
//! clock may step, so it is believed only as far as it agrees with this gateway's own clock before
//! and after: the offset between the two is taken from the least of all answers since the last one
//! before the write, and a step, forwards or backwards, makes that less and never more.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_domain::Clock;

/// How many answers are remembered.
const SAMPLES: usize = 64;

/// One answer of the database: its clock, and when the answer had arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// What the database's clock showed, in microseconds.
    pub(crate) clock_us: i64,
    /// This gateway's monotonic time after the answer came.
    pub(crate) received: Duration,
}

impl Sample {
    /// The database's clock minus this gateway's, or a little less.
    fn offset_us(self) -> i64 {
        self.clock_us.saturating_sub(micros(self.received))
    }
}

/// Counts logical time for one gateway. It stands still while nobody looks for long, so that a
/// gateway that was frozen expires nobody on waking.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    cap: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    now: Duration,
    seen: Duration,
    samples: VecDeque<Sample>,
}

impl Timekeeper {
    /// `cap` is the most that one look, or one write of another gateway, may add.
    pub(crate) fn new(cap: Duration) -> Self {
        Self {
            cap,
            inner: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the clock, and answers logical time in microseconds.
    pub(crate) fn look(&self, clock: &dyn Clock) -> u64 {
        let mut inner = self.lock();
        // Read under the lock: two looks must not be counted in the wrong order.
        let seen = clock.monotonic();
        let step = seen.saturating_sub(inner.seen).min(self.cap);
        inner.now += step;
        inner.seen = inner.seen.max(seen);
        u64::try_from(inner.now.as_micros()).unwrap_or(u64::MAX)
    }

    /// Remembers an answer of the database.
    pub(crate) fn sample(&self, sample: Sample) {
        let mut inner = self.lock();
        if inner.samples.len() == SAMPLES {
            inner.samples.pop_front();
        }
        inner.samples.push_back(sample);
    }

    /// Forgets all answers: another server's clock says nothing about this one's.
    pub(crate) fn forget(&self) {
        self.lock().samples.clear();
    }

    /// Goes on from a write of another gateway, or of this one before it forgot: stamped `now_us`
    /// when the database's clock showed `clock_us`, and shown by an answer that was sampled last
    /// and had arrived at `received`.
    pub(crate) fn follow(&self, now_us: u64, clock_us: i64, received: Duration) {
        let mut inner = self.lock();
        let credit = inner.elapsed(clock_us, received).min(self.cap);
        inner.now = Duration::from_micros(now_us) + credit;
        inner.seen = inner.seen.max(received);
    }
}

impl Inner {
    /// At least nothing, and at most what has passed since the database's clock showed `clock_us`.
    fn elapsed(&self, clock_us: i64, received: Duration) -> Duration {
        let before = self.samples.iter().rposition(|s| s.clock_us <= clock_us);
        // Without an answer from before the write there is nothing to compare the clock with.
        let Some(before) = before.filter(|at| at + 1 < self.samples.len()) else {
            return Duration::ZERO;
        };
        let since = self.samples.range(before..);
        let offset = since.map(|s| s.offset_us()).min();
        let elapsed = offset
            .unwrap_or(i64::MIN)
            .saturating_add(micros(received))
            .saturating_sub(clock_us);
        let elapsed = Duration::from_micros(u64::try_from(elapsed).unwrap_or(0));
        // Whatever the clock says: the write came after the answer before it.
        elapsed.min(received.saturating_sub(self.samples[before].received))
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
