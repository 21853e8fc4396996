//! Something that tests share while any of them needs it.

use std::sync::Arc;
use std::sync::Weak;

/// Something that tests share while any of them needs it.
#[derive(Debug)]
pub struct Shared<T>(tokio::sync::Mutex<Weak<T>>);

impl<T> Shared<T> {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(tokio::sync::Mutex::const_new(Weak::new()))
    }

    /// What there is, or what `start` makes.
    pub async fn get<F: Future<Output = Arc<T>>>(&self, start: impl FnOnce() -> F) -> Arc<T> {
        let mut shared = self.0.lock().await;
        if let Some(there) = shared.upgrade() {
            return there;
        }
        let started = start().await;
        *shared = Arc::downgrade(&started);
        started
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}
