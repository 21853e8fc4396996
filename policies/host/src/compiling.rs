//! How many modules are compiled at once: as many as there are processors, but no more than
//! [`COMPILATIONS_MAX`], because each may take up to 200 MB.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::available_parallelism;

use crate::limits::COMPILATIONS_MAX;

/// Admits compilations.
pub(crate) struct Compiling {
    /// How many more may begin now.
    free: Mutex<usize>,
    freed: Condvar,
}

impl Default for Compiling {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self::with(processors.min(COMPILATIONS_MAX))
    }
}

impl Compiling {
    fn with(compilations: usize) -> Self {
        Self {
            free: Mutex::new(compilations),
            freed: Condvar::new(),
        }
    }

    /// Blocks until one more compilation may begin. It ends when the slot is dropped.
    pub(crate) fn begin(&self) -> Slot<'_> {
        let free = self.free.lock();
        let free = free.unwrap_or_else(PoisonError::into_inner);
        let free = self.freed.wait_while(free, |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Slot(self)
    }
}

/// The right to compile one module.
pub(crate) struct Slot<'c>(&'c Compiling);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let free = self.0.free.lock();
        *free.unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn no_more_are_compiled_at_once_than_are_admitted() {
        let compiling = Compiling::with(2);
        let (first, second) = (compiling.begin(), compiling.begin());
        drop((first, second));
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    let _slot = compiling.begin();
                    let all = now.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(all, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!(most.into_inner() <= 2);
    }
}
