//! A reader of events that insists on the contract of the stream.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::Transition;

/// Real time after which an event that should be there is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads events, and fails on a gap, a repetition, or time that goes back.
pub(crate) struct Tail {
    events: BoxStream<'static, Result<Arc<Event>, BackendError>>,
    last: Option<Arc<Event>>,
    after: u64,
}

impl Tail {
    pub(crate) fn new(backend: &dyn Backend, after: u64) -> Self {
        Self {
            events: backend.events(Cursor(after)),
            last: None,
            after,
        }
    }

    /// The next event, or the stream's error.
    pub(crate) async fn try_next(&mut self) -> Result<Arc<Event>, BackendError> {
        let next = tokio::time::timeout(PATIENCE, self.events.next()).await;
        let event = next
            .unwrap_or_else(|_| panic!("no event after {} in {PATIENCE:?}", self.after))
            .expect("a stream of events has no end")?;
        assert_eq!(event.cursor.0, self.after + 1, "cursors are dense");
        if let Some(last) = &self.last {
            assert!(event.now >= last.now, "{event:?} follows {last:?}");
        }
        self.after = event.cursor.0;
        self.last = Some(event.clone());
        Ok(event)
    }

    pub(crate) async fn next(&mut self) -> Arc<Event> {
        self.try_next().await.expect("an event")
    }

    pub(crate) async fn take(&mut self, count: usize) -> Vec<Arc<Event>> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            events.push(self.next().await);
        }
        events
    }

    /// Reads on to the first event of a lock with a transition of that name.
    pub(crate) async fn until(&mut self, lock: &str, transition: &str) -> Arc<Event> {
        loop {
            let event = self.next().await;
            if names(&event, lock).contains(&transition) {
                return event;
            }
        }
    }
}

/// What an event changed about a lock, by name.
pub(crate) fn names(event: &Event, name: &str) -> Vec<&'static str> {
    match &event.kind {
        EventKind::Lock {
            lock, transitions, ..
        } if lock.lock.as_str() == name => transitions.iter().map(Transition::as_str).collect(),
        EventKind::Lock { .. } | EventKind::Denied(_) | EventKind::Governance(_) => Vec::new(),
    }
}
