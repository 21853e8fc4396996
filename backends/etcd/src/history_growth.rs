//! How much this gateway adds to etcd's history.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

/// Counts what this gateway adds to etcd's history.
#[derive(Debug)]
pub(crate) struct HistoryGrowth {
    bytes: AtomicU64,
    bytes_max: u64,
    full: Notify,
}

impl HistoryGrowth {
    /// It counts as full after so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes: AtomicU64::new(0),
            bytes_max,
            full: Notify::new(),
        }
    }

    /// So many bytes more were sent. When it is full, that is told once, and it begins anew.
    pub(crate) fn grow(&self, bytes: usize) {
        let before = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before.saturating_add(bytes as u64) >= self.bytes_max {
            self.bytes.store(0, Ordering::Relaxed);
            self.full.notify_one();
        }
    }

    /// Waits until it is full.
    pub(crate) async fn full(&self) {
        self.full.notified().await;
    }
}
