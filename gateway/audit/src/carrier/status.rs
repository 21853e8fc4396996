//! How far the carrier is.

use std::error::Error;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_backend_api::Health;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use tokio::sync::watch;

/// A problem that so many attempts met lasts: the pauses between them are a second and a half.
const LASTING_FAILURES: u32 = 5;

/// How far the ledger is, for metrics and health. Cheap to read.
#[derive(Debug)]
pub struct CarrierStatus {
    head: watch::Sender<u64>,
    newest: AtomicU64,
    /// Up to where the backend has forgotten its events.
    trimmed: AtomicU64,
    /// How many attempts have failed since the last that went well.
    failures: AtomicU32,
    /// How many unwritten events there may be.
    unwritten_max: u64,
    last_error: Mutex<Option<String>>,
}

impl Default for CarrierStatus {
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl CarrierStatus {
    /// A status that says how many events the backend may keep that the ledger does not have.
    #[must_use]
    pub fn new(unwritten_max: u64) -> Self {
        Self {
            head: watch::Sender::default(),
            newest: AtomicU64::new(0),
            trimmed: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            unwritten_max,
            last_error: Mutex::default(),
        }
    }

    /// How many events the backend may keep that the ledger does not have.
    #[must_use]
    pub fn unwritten_max(&self) -> u64 {
        self.unwritten_max
    }

    /// The last event that the ledger has durably, as far as the carrier saw.
    #[must_use]
    pub fn ledger_head(&self) -> Cursor {
        Cursor(*self.head.borrow())
    }

    /// The newest event of the backend that the carrier has heard of.
    #[must_use]
    pub fn backend_newest(&self) -> Cursor {
        Cursor(self.newest.load(Ordering::Acquire))
    }

    /// How many events the ledger is behind.
    #[must_use]
    pub fn lag_events(&self) -> u64 {
        self.backend_newest().0.saturating_sub(self.ledger_head().0)
    }

    /// How many events the backend keeps that the ledger does not have.
    #[must_use]
    pub fn unwritten_events(&self) -> u64 {
        let written = self
            .ledger_head()
            .0
            .max(self.trimmed.load(Ordering::Acquire));
        self.backend_newest().0.saturating_sub(written)
    }

    /// Why events do not reach the ledger, once several attempts in a row have failed.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let lasting = self.failures.load(Ordering::Acquire) >= LASTING_FAILURES;
        self.last_error().filter(|_| lasting)
    }

    /// Waits until the ledger has an event, but no longer than `at_most`. Answers whether it has.
    pub async fn reached(&self, cursor: Cursor, at_most: Duration) -> bool {
        let mut head = self.head.subscribe();
        let reached = head.wait_for(|head| *head >= cursor.0);
        // The sender is our own, so the wait cannot fail.
        matches!(tokio::time::timeout(at_most, reached).await, Ok(Ok(_)))
    }

    /// What failed, if the last attempt did.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Follows the last event that the ledger has.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    pub(crate) fn head(&self, cursor: Cursor) {
        self.head.send_replace(cursor.0);
        self.newest(cursor);
    }

    pub(super) fn newest(&self, cursor: Cursor) {
        self.newest.fetch_max(cursor.0, Ordering::AcqRel);
    }

    /// Takes in how far the backend is.
    pub(super) fn backend(&self, health: &Health) {
        self.newest(health.newest);
        self.trimmed.fetch_max(health.trimmed.0, Ordering::AcqRel);
    }

    pub(super) fn went_well(&self) {
        if self.failures.swap(0, Ordering::AcqRel) == 0 {
            return;
        }
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn failed(&self, error: &dyn Error) {
        self.failures.fetch_add(1, Ordering::AcqRel);
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

/// About how many bytes an event's record will have: the parts that can be long, and a base.
pub(super) fn about_bytes(event: &Event) -> usize {
    let cause = match &event.kind {
        EventKind::Lock { cause, .. } => cause.as_ref(),
        EventKind::Denied(cause) => Some(cause),
        EventKind::Governance(_) => None,
    };
    let long = cause.map_or(0, |cause| {
        let claims: usize = cause.principal.claims.values().map(String::len).sum();
        let view = cause
            .decision
            .as_ref()
            .and_then(|decision| decision.facts.lock.as_ref());
        let shown = view.map_or(0, |view| (view.holders.len() + view.queue.len()) * 200);
        claims
            + shown
            + cause
                .request
                .value
                .as_ref()
                .map_or(0, |value| value.len() * 2)
    });
    1_000 + long
}
