//! Counts of what is there at once, per key of a map. Only what is counted is in the map, so it is
//! as large as the number of connections at most.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// How many there are of each.
pub(crate) struct Counts {
    counts: Mutex<HashMap<Arc<str>, usize>>,
    max: usize,
}

/// One that is counted; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    key: Arc<str>,
    counts: Arc<Counts>,
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts")
            .field("keys", &self.lock().len())
            .finish_non_exhaustive()
    }
}

impl Counts {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            max,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more; `None` if that would be more than the limit.
    pub(crate) fn enter(self: &Arc<Self>, key: &str) -> Option<Place> {
        let mut counts = self.lock();
        let key = match counts.get_key_value(key) {
            Some((_, count)) if *count >= self.max => return None,
            Some((key, _)) => key.clone(),
            None if self.max == 0 => return None,
            None => Arc::from(key),
        };
        *counts.entry(key.clone()).or_default() += 1;
        Some(Place {
            key,
            counts: self.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}
