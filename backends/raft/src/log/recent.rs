//! The newest entries in memory, so that applying them reads no disk.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::entry::Entry;

/// Entries kept: apply is seldom far behind.
const ENTRIES_MAX: usize = 256;
/// Bytes kept, whichever is less; the last entry always is.
const BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// The newest entries, without gaps. Every entry that is not written yet is among them.
#[derive(Debug, Default)]
pub(super) struct Recent {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
    /// Entries before this are written, and may be forgotten here.
    written_to: u64,
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the next entry.
    pub(super) fn push(&self, entry: Entry, bytes: usize) {
        let mut inner = self.lock();
        let last = inner.entries.back().map(|(last, _)| last.log_id.index);
        if last.is_some_and(|last| last + 1 != entry.log_id.index) {
            inner.entries.clear();
            inner.bytes = 0;
        }
        inner.entries.push_back((entry, bytes));
        inner.bytes += bytes;
        while inner.entries.len() > 1
            && (inner.entries.len() > ENTRIES_MAX || inner.bytes > BYTES_MAX)
            && inner.entries[0].0.log_id.index < inner.written_to
        {
            if let Some((_, bytes)) = inner.entries.pop_front() {
                inner.bytes -= bytes;
            }
        }
    }

    /// The entries before `index` are in the store now.
    pub(super) fn set_written(&self, index: u64) {
        let mut inner = self.lock();
        inner.written_to = inner.written_to.max(index);
    }

    /// Forgets entries from `index` on.
    pub(super) fn truncate(&self, index: u64) {
        let mut inner = self.lock();
        inner.written_to = inner.written_to.min(index);
        while inner
            .entries
            .back()
            .is_some_and(|(entry, _)| entry.log_id.index >= index)
        {
            if let Some((_, bytes)) = inner.entries.pop_back() {
                inner.bytes -= bytes;
            }
        }
    }

    /// Forgets entries up to `index`.
    pub(super) fn purge(&self, index: u64) {
        let mut inner = self.lock();
        while inner
            .entries
            .front()
            .is_some_and(|(entry, _)| entry.log_id.index <= index)
        {
            if let Some((_, bytes)) = inner.entries.pop_front() {
                inner.bytes -= bytes;
            }
        }
    }

    /// Those of the entries from `from` to before `to` that are here: all of them from some index
    /// on. What is missing before that is in the store.
    pub(super) fn range(&self, from: u64, to: u64) -> Vec<Entry> {
        let inner = self.lock();
        let Some((first, _)) = inner.entries.front() else {
            return Vec::new();
        };
        let first = first.log_id.index;
        let place = |index: u64| {
            let place = usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX);
            place.min(inner.entries.len())
        };
        let (begin, end) = (place(from), place(to));
        let entries = inner.entries.range(begin..end.max(begin));
        entries.map(|(entry, _)| entry.clone()).collect()
    }
}
