//! What the ledger knows without asking its file.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use leasehold_backend_api::LedgerHead;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_domain::NamespaceName;
use leasehold_domain::StoreId;

use super::namespaces::NamespaceBytes;
use super::tree::Tree;
use super::tree::TreePart;
use crate::chunk::Written;
use crate::segment::Blocks;
use crate::segment::Hot;
use crate::segment::OpenHold;
use crate::segment::OpenHolds;

/// A segment whose index is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    /// The cursors of its first and its last event.
    pub(super) first: u64,
    pub(super) last: u64,
    /// The chain after its last event.
    pub(super) chain: Digest,
    /// The least and the greatest wall time of its events.
    pub(super) walls: (u64, u64),
    /// The least grant time of the holds that ended in it; the greatest number if none did.
    pub(super) hold_min: u64,
    /// The greatest time that a hold which ended in it covers; 0 if none did.
    pub(super) hold_max: u64,
}

/// How much of a segment there is, and when it is full. The writer asks before the events are
/// durable, the state after it, and the state again at the next start: they must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    events_max: u64,
    bytes_max: u64,
    events: u64,
    bytes: u64,
}

impl Fill {
    pub(super) fn new(events_max: u64, bytes_max: u64) -> Self {
        Self {
            events_max,
            bytes_max,
            events: 0,
            bytes: 0,
        }
    }

    /// Takes in an event of so many canonical bytes; whether it is the segment's last.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        self.events += 1;
        self.bytes += bytes as u64;
        let full = self.events >= self.events_max || self.bytes >= self.bytes_max;
        if full {
            *self = Self::new(self.events_max, self.bytes_max);
        }
        full
    }
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
    /// The bytes of its events by namespace.
    pub(super) bytes: Vec<(NamespaceName, u64)>,
    /// What it adds to the stored tree.
    pub(super) tree: TreePart,
}

/// A full segment, encoded.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) full: Full,
    pub(super) blocks: Blocks,
    pub(super) closed: Closed,
}

impl Full {
    /// Encodes its index.
    pub(super) fn encode(self) -> Encoded {
        let walls = &self.hot.walls;
        let holds = self.hot.ended.iter().map(|(_, hold)| hold);
        let closed = Closed {
            first: self.hot.first,
            last: self.hot.first + self.hot.len() as u64 - 1,
            chain: self.chain,
            walls: (
                walls.iter().copied().min().unwrap_or(0),
                walls.iter().copied().max().unwrap_or(0),
            ),
            hold_min: holds
                .clone()
                .map(|hold| hold.from)
                .min()
                .unwrap_or(u64::MAX),
            hold_max: holds
                .map(|hold| hold.from.max(hold.until))
                .max()
                .unwrap_or(0),
        };
        Encoded {
            blocks: self.hot.blocks(),
            closed,
            full: self,
        }
    }
}

/// Everything up to the head. Segments 0.. are `closed`, then `closing`, then `hot`.
#[derive(Debug)]
pub(super) struct State {
    /// Of the open segment.
    pub(super) fill: Fill,
    pub(super) head: LedgerHead,
    /// What the first event follows: where the ledger began.
    pub(super) start: LedgerHead,
    pub(super) closed: Vec<Closed>,
    pub(super) closing: Vec<Arc<Hot>>,
    pub(super) hot: Hot,
    pub(super) open: OpenHolds,
    pub(super) bytes: NamespaceBytes,
    pub(super) tree: Tree,
}

impl State {
    /// Takes in the next event, which is durable; a segment that it fills is to be closed.
    pub(super) fn apply(&mut self, event: &Event, written: &Written) -> Option<Full> {
        let Written { chain, leaf, bytes } = *written;
        self.hot.add(event);
        self.tree.push(leaf);
        self.bytes.add(event, bytes);
        let ended = &mut self.hot.ended;
        self.open
            .apply(event, |lock, hold| ended.push((lock, hold)));
        self.head = LedgerHead {
            cursor: event.cursor,
            chain,
        };
        if !self.fill.add(bytes) {
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
            bytes: self.bytes.close_segment(),
            tree: self.tree.part(),
        })
    }

    /// Whether there is no event.
    pub(super) fn is_empty(&self) -> bool {
        self.head.cursor == self.start.cursor
    }

    /// Lets an empty ledger begin elsewhere; returns whether it is empty.
    pub(super) fn begin_after(&mut self, position: LedgerHead) -> bool {
        let empty = self.is_empty();
        if empty {
            (self.start, self.head) = (position, position);
            self.hot = Hot::new(position.cursor.0 + 1);
        }
        empty
    }

    /// The segments that are in memory.
    pub(super) fn in_memory(&self) -> impl Iterator<Item = &Hot> {
        let closing = self.closing.iter().map(|hot| &**hot);
        closing.chain(std::iter::once(&self.hot))
    }

    pub(super) fn index_bytes(&self) -> usize {
        self.in_memory().map(Hot::bytes).sum()
    }
}

/// The state, as the writer and all readers share it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) backend: String,
    /// Whose events these are, if that is recorded.
    store: Mutex<Option<StoreId>>,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(backend: String, state: State, store: Option<StoreId>) -> Self {
        Self {
            backend,
            store: Mutex::new(store),
            state: Mutex::new(state),
        }
    }

    /// Whose events these are, if that is recorded.
    pub(super) fn store(&self) -> Option<StoreId> {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is recorded in the file, too.
    pub(super) fn set_store(&self, id: StoreId) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }

    /// The state. A reader that panicked has changed nothing, so poison is passed over.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
