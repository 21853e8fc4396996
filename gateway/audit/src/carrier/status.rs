//! How far the carrier is.

use std::error::Error;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use tokio::sync::watch;

/// How far the ledger is, for metrics and health. Cheap to read.
#[derive(Debug, Default)]
pub struct CarrierStatus {
    head: watch::Sender<u64>,
    newest: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl CarrierStatus {
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

    pub(super) fn went_well(&self) {
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn failed(&self, error: &dyn Error) {
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
