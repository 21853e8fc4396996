//! One watch that follows the newest events.

use std::fmt;
use std::sync::Arc;

use leasehold_domain::Cursor;
use tokio::sync::Notify;

use super::Fanout;
use super::Found;

/// A watch's place among the followers; given back when dropped.
pub(in crate::watches) struct Subscription {
    fanout: Arc<Fanout>,
    number: u64,
    waker: Arc<Notify>,
    /// Whether it has read since it was woken last.
    has_read: bool,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    pub(super) fn new(fanout: Arc<Fanout>, number: u64, waker: Arc<Notify>) -> Self {
        Self {
            fanout,
            number,
            waker,
            has_read: false,
        }
    }

    /// Waits for events after a cursor, and reads them. It reads once each time that it is woken, so
    /// that others have their turn.
    pub(in crate::watches) async fn next(&mut self, after: Cursor) -> Found {
        let mut after = after;
        loop {
            if self.has_read {
                self.waker.notified().await;
            }
            self.has_read = true;
            let (found, queued) = self.fanout.ring().read(self.number, after);
            if queued {
                self.fanout.queued.notify_one();
            }
            match found {
                Found::Events { events, to } if events.is_empty() => after = to,
                found => return found,
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.fanout.ring().unsubscribe(self.number);
    }
}
