//! What the ledger knows without asking its file.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use leasehold_backend_api::LedgerHead;
use leasehold_domain::Digest;
use leasehold_domain::Event;

use crate::segment::Hot;
use crate::segment::OpenHold;
use crate::segment::OpenHolds;

/// A segment whose index is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    /// The chain after its last event.
    pub(super) chain: Digest,
    /// The least and the greatest wall time of its events.
    pub(super) walls: (u64, u64),
    /// The least grant time of the holds that ended in it; the greatest number if none did.
    pub(super) hold_min: u64,
    /// The greatest time that a hold which ended in it covers; 0 if none did.
    pub(super) hold_max: u64,
}

/// A full segment that is to be written.
#[derive(Debug)]
pub(super) struct Full {
    pub(super) hot: Arc<Hot>,
    /// Its number, from 0.
    pub(super) segment: u64,
    pub(super) chain: Digest,
    /// The holds that were granted in it and had not ended at its end.
    pub(super) opened: Vec<OpenHold>,
}

/// Everything up to the head. Segments 0.. are `closed`, then `closing`, then `hot`.
#[derive(Debug)]
pub(super) struct State {
    pub(super) segment_events: u64,
    pub(super) head: LedgerHead,
    pub(super) closed: Vec<Closed>,
    pub(super) closing: Vec<Arc<Hot>>,
    pub(super) hot: Hot,
    pub(super) open: OpenHolds,
}

impl State {
    /// Takes in the next event, which is durable; a segment that it fills is to be closed.
    pub(super) fn apply(&mut self, event: &Event, chain: Digest) -> Option<Full> {
        self.hot.add(event);
        let ended = &mut self.hot.ended;
        self.open
            .apply(event, |lock, hold| ended.push((lock, hold)));
        self.head = LedgerHead {
            cursor: event.cursor,
            chain,
        };
        if (self.hot.len() as u64) < self.segment_events {
            return None;
        }
        let segment = (self.closed.len() + self.closing.len()) as u64;
        let next = Hot::new(event.cursor.0 + 1);
        let hot = Arc::new(std::mem::replace(&mut self.hot, next));
        self.closing.push(hot.clone());
        let opened = self.open.granted_since(hot.first);
        Some(Full {
            hot,
            segment,
            chain,
            opened,
        })
    }

    pub(super) fn index_bytes(&self) -> usize {
        self.hot.bytes() + self.closing.iter().map(|hot| hot.bytes()).sum::<usize>()
    }
}

/// The state, as the writer and all readers share it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) backend: String,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(backend: String, state: State) -> Self {
        Self {
            backend,
            state: Mutex::new(state),
        }
    }

    /// The state. A reader that panicked has changed nothing, so poison is passed over.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
