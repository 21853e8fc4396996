//! Rates: a token bucket for each of an unbounded number of clients, in bounded memory.

use std::fmt;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::RandomState;
use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use leasehold_domain::limits::RATE_BUCKETS;

/// Buckets in a table of fixed size, found by a hash with a secret seed.
///
/// A map of clients would have to forget some when it is full, and whoever can fill it chooses
/// which. A table forgets nothing and never grows; two clients share a bucket with a probability of
/// one in [`RATE_BUCKETS`], and nobody can tell which.
///
/// Each bucket is one number, the *theoretical arrival time* of the generic cell rate algorithm: the
/// instant until which the requests so far would take at exactly the allowed rate.
pub(crate) struct Rates<K: ?Sized> {
    /// Empty if there is no limit.
    buckets: Box<[AtomicU64]>,
    hasher: RandomState,
    interval_ns: u64,
    burst_ns: u64,
    keys: PhantomData<fn(&K)>,
}

impl<K: ?Sized> fmt::Debug for Rates<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates")
            .field("interval_ns", &self.interval_ns)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + ?Sized> Rates<K> {
    /// So many a second, and as many as `burst_s` seconds allow at once; 0 for no limit.
    pub(crate) fn new(per_s: u32, burst_s: u32) -> Self {
        let buckets = if per_s == 0 { 0 } else { RATE_BUCKETS };
        let interval_ns = 1_000_000_000 / u64::from(per_s.max(1));
        Self {
            buckets: (0..buckets).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            interval_ns,
            burst_ns: interval_ns * u64::from(per_s) * u64::from(burst_s),
            keys: PhantomData,
        }
    }

    /// How much memory the buckets take at most.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        std::mem::size_of_val(&*self.buckets)
    }

    fn bucket(&self, key: &K) -> Option<&AtomicU64> {
        let index = self.hasher.hash_one(key) as usize;
        self.buckets.get(index.checked_rem(self.buckets.len())?)
    }

    /// Takes one token.
    ///
    /// # Errors
    /// There is none; the result says after which time there will be.
    pub(crate) fn take(&self, key: &K, now: Duration) -> Result<(), Duration> {
        let Some(bucket) = self.bucket(key) else {
            return Ok(());
        };
        let now_ns = nanoseconds(now);
        let mut refused = None;
        let taken = bucket.fetch_update(Relaxed, Relaxed, |until| {
            let next = until.max(now_ns) + self.interval_ns;
            refused = next
                .checked_sub(now_ns + self.burst_ns)
                .filter(|ns| *ns > 0);
            refused.is_none().then_some(next)
        });
        match (taken, refused) {
            (Err(_), Some(wait_ns)) => Err(Duration::from_nanos(wait_ns)),
            _ => Ok(()),
        }
    }

    /// Whether there is a token; takes none.
    pub(crate) fn has_token(&self, key: &K, now: Duration) -> bool {
        let Some(bucket) = self.bucket(key) else {
            return true;
        };
        let now_ns = nanoseconds(now);
        bucket.load(Relaxed).max(now_ns) + self.interval_ns <= now_ns + self.burst_ns
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}
