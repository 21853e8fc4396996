//! Samples of the decisions of this gateway, for the self-check.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use leasehold_domain::Cause;
use leasehold_domain::LockRef;
use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::SELF_CHECK_SAMPLE_AGE_MS_MAX;
use leasehold_domain::limits::SELF_CHECK_SAMPLES_MAX;

/// A decision that this process made and that the ledger will contain, if its command takes effect.
#[derive(Debug, Clone)]
pub(crate) struct DecisionSample {
    /// The decision.
    pub(crate) id: u128,
    /// The store of the lock.
    pub(crate) store: StoreName,
    /// The lock.
    pub(crate) lock: LockRef,
    /// When the request was received.
    pub(crate) received: WallMillis,
    /// When the decision was sampled, on the monotonic clock.
    pub(crate) taken: Duration,
    /// How often the ledger was searched for it without success.
    pub(crate) searches: u32,
}

impl DecisionSample {
    /// Returns whether the ledger is to be searched for the decision now: at first at once, then 4, 16
    /// and 64 seconds after it was sampled, but not later than the greatest age of a sample. Many
    /// decisions never get there, and each search reads the ledger.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        let longest = Duration::from_millis(SELF_CHECK_SAMPLE_AGE_MS_MAX);
        let wait = match self.searches {
            0 => Duration::ZERO,
            searches => Duration::from_secs(4_u64.saturating_pow(searches)).min(longest),
        };
        now.saturating_sub(self.taken) >= wait
    }
}

/// Takes one decision in each interval. Only decisions of this process: another gateway may run another
/// build of the engine.
#[derive(Debug)]
pub struct DecisionSamples {
    interval_ms: u64,
    /// When the next decision is sampled, in milliseconds of the monotonic clock.
    due_ms: AtomicU64,
    waiting: Mutex<VecDeque<DecisionSample>>,
}

impl DecisionSamples {
    /// Samples at most one decision in each interval; an interval of zero turns sampling off.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Self {
            interval_ms,
            due_ms: AtomicU64::new(match interval_ms {
                0 => u64::MAX,
                _ => 0,
            }),
            waiting: Mutex::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<DecisionSample>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Samples the decision of a request, if one is due. `now` is monotonic.
    pub(crate) fn offer(&self, store: &StoreName, cause: &Arc<Cause>, now: Duration) {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let due_ms = self.due_ms.load(Relaxed);
        let Some(decision) = cause.decision.as_ref().filter(|_| now_ms >= due_ms) else {
            return;
        };
        let next = now_ms.saturating_add(self.interval_ms);
        let is_taken = || {
            let taken = self.due_ms.compare_exchange(due_ms, next, Relaxed, Relaxed);
            taken.is_ok()
        };
        if !decision.verdicts.is_empty() && is_taken() {
            self.put_back(DecisionSample {
                id: decision.id,
                store: store.clone(),
                lock: cause.request.lock.clone(),
                received: cause.received,
                taken: now,
                searches: 0,
            });
        }
    }

    /// Removes the oldest sample.
    pub(crate) fn take(&self) -> Option<DecisionSample> {
        self.waiting().pop_front()
    }

    /// Puts a sample behind the others. The oldest is dropped if there are too many.
    pub(crate) fn put_back(&self, sample: DecisionSample) {
        let mut waiting = self.waiting();
        waiting.push_back(sample);
        if waiting.len() > SELF_CHECK_SAMPLES_MAX {
            waiting.pop_front();
        }
    }

    /// Returns how many samples wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().len()
    }
}
