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

/// The newest entries, without gaps.
#[derive(Debug, Default)]
pub(super) struct Recent {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the next entry.
    pub(super) fn push(&self, entry: Entry, bytes: usize) {
        let mut inner = self.lock();
        let follows = inner
            .entries
            .back()
            .is_none_or(|(last, _)| last.log_id.index + 1 == entry.log_id.index);
        if !follows {
            inner.entries.clear();
            inner.bytes = 0;
        }
        inner.entries.push_back((entry, bytes));
        inner.bytes += bytes;
        while inner.entries.len() > 1
            && (inner.entries.len() > ENTRIES_MAX || inner.bytes > BYTES_MAX)
        {
            if let Some((_, bytes)) = inner.entries.pop_front() {
                inner.bytes -= bytes;
            }
        }
    }

    /// Forgets entries from `index` on.
    pub(super) fn truncate(&self, index: u64) {
        let mut inner = self.lock();
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

    /// The entries from `from` to before `to`, if all of them are here.
    pub(super) fn range(&self, from: u64, to: u64) -> Option<Vec<Entry>> {
        let inner = self.lock();
        let first = inner.entries.front()?.0.log_id.index;
        let last = inner.entries.back()?.0.log_id.index;
        if from < first || from > last {
            return None;
        }
        let begin = usize::try_from(from - first).ok()?;
        let end = usize::try_from(to.min(last + 1) - first).ok()?;
        Some(
            inner
                .entries
                .range(begin..end.max(begin))
                .map(|(entry, _)| entry.clone())
                .collect(),
        )
    }
}
