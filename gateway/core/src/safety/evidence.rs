//! What commands leave behind: two atomic stores for each that succeeds, so that the way of a
//! request takes no lock for it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Operation;

use super::agreement::Seen;

/// The low bits of a success that tell its operation.
const KIND_BITS: u64 = 0xf;
/// Longest error text that is kept.
const ERROR_CHARS_MAX: usize = 200;

/// What commands have left behind. Instants are nanoseconds on the gateway's monotonic clock; 0 for
/// none. Of several at the same time any may be the newest: nothing hangs on a microsecond.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    begun: AtomicU64,
    /// With the operation in its low bits.
    good: AtomicU64,
    failed: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// Whether the last try failed because the store is behind its history.
    fenced: AtomicBool,
    /// Whether it failed because this build does not support the store's feature level.
    outdated: AtomicBool,
}

/// The newest success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Good {
    pub(crate) at: Duration,
    pub(crate) operation: Operation,
}

impl Evidence {
    /// A command goes to the store.
    pub(crate) fn begun(&self, at: Duration) {
        self.begun.store(nanos(at), Relaxed);
    }

    /// It was carried out.
    pub(crate) fn good(&self, at: Duration, operation: Operation) {
        let kind = operation as u64 & KIND_BITS;
        self.good.store(nanos(at) & !KIND_BITS | kind, Relaxed);
    }

    /// It was not. What the caller did wrong says nothing of the store.
    pub(crate) fn failed(&self, error: &BackendError) {
        if matches!(error.kind, ErrorKind::Invalid | ErrorKind::Trimmed) {
            return;
        }
        self.failed.fetch_add(1, Relaxed);
        self.fenced.store(error.kind == ErrorKind::Fenced, Relaxed);
        self.outdated
            .store(error.kind == ErrorKind::Outdated, Relaxed);
        let text = error.to_string().chars().take(ERROR_CHARS_MAX).collect();
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// Whether the store is behind its history, as the last failure said.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.load(Relaxed)
    }

    /// Whether this build does not support the store's feature level, as the last failure said.
    pub(crate) fn is_outdated(&self) -> bool {
        self.outdated.load(Relaxed)
    }

    pub(crate) fn seen(&self) -> Seen {
        let begun = self.begun.load(Relaxed);
        Seen {
            begun: (begun > 0).then(|| Duration::from_nanos(begun & !KIND_BITS)),
            good: self.newest().map(|good| good.at),
        }
    }

    /// The newest success, if there was one.
    pub(crate) fn newest(&self) -> Option<Good> {
        let good = self.good.load(Relaxed);
        let operation = Operation::ALL.get(usize::try_from(good & KIND_BITS).ok()?)?;
        (good > KIND_BITS).then(|| Good {
            at: Duration::from_nanos(good & !KIND_BITS),
            operation: *operation,
        })
    }

    /// How many tries have failed since this was last set, and the last error.
    pub(crate) fn failures(&self) -> (u64, Option<String>) {
        let last = self.last_error.lock();
        let last = last.unwrap_or_else(PoisonError::into_inner).clone();
        (self.failed.load(Relaxed), last)
    }

    /// Counts on from here; without failures, the last error is forgotten.
    pub(crate) fn count_from(&self, failed: u64) {
        if self.failed.swap(failed, Relaxed) != failed && failed == 0 {
            *self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_success_tells_when_and_what() {
        let evidence = Evidence::default();
        assert_eq!(evidence.newest(), None);
        assert_eq!(evidence.seen(), Seen::default());
        for operation in Operation::ALL {
            let at = Duration::from_millis(16 + operation as u64);
            evidence.begun(at);
            assert!(evidence.seen().begun > evidence.seen().good);
            evidence.good(at + Duration::from_micros(1), operation);
            let newest = evidence.newest().unwrap();
            assert_eq!(newest.operation, operation);
            assert!(newest.at >= at && evidence.seen().begun < evidence.seen().good);
        }
    }

    #[test]
    fn only_what_the_store_did_counts_as_failed() {
        let evidence = Evidence::default();
        evidence.failed(&BackendError::without_effect(ErrorKind::Invalid, "yours"));
        assert_eq!(evidence.failures(), (0, None));
        evidence.failed(&BackendError::unknown(ErrorKind::Deadline, "x".repeat(999)));
        let (failed, last) = evidence.failures();
        assert_eq!((failed, last.unwrap().len()), (1, ERROR_CHARS_MAX));
        evidence.count_from(0);
        assert_eq!(evidence.failures(), (0, None));
    }
}
