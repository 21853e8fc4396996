//! Policy modules: compiled once, kept in memory by digest, read from the store's blobs.
//!
//! A gateway may know a binding before it can read the module's bytes: another member of a cluster may
//! still have to hand them over. For a short time the plan before stays in force meanwhile. Then the
//! binding comes into force, and its steps fail with a reason until the module is compiled here: it is
//! tried again with a backoff.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_domain::Digest;
use leasehold_policy_host::HostError;
use leasehold_policy_host::Module;
use leasehold_policy_host::VerdictCacheStats;
use tokio::sync::watch;

use super::Governance;
use crate::failure::Failure;
use crate::failure::FailureKind;

/// How long the bytes of a module may be unreadable before its binding comes into force without it.
/// Less than [`super::CONFIRM_WINDOW`], so that one module does not keep the gateway from granting.
const UNREADABLE_MAX: Duration = Duration::from_secs(2);
/// How soon missing modules are tried again.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The modules of one gateway.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// Compiled modules: immutable, so never stale.
    compiled: Mutex<HashMap<Digest, Arc<Module>>>,
    /// Modules that could not be read, and since when, by the gateway's clock.
    missing: Mutex<BTreeMap<Digest, Duration>>,
    /// How many there are; wakes the task that tries them again.
    count: watch::Sender<usize>,
    /// Whether there is a plan that can stay in force while a module cannot be read.
    has_plan: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Modules {
    /// Returns the compiled module of that digest.
    pub(super) fn compiled(&self, digest: &Digest) -> Option<Arc<Module>> {
        lock(&self.compiled).get(digest).cloned()
    }

    /// Keeps a compiled module.
    fn keep(&self, module: &Arc<Module>) {
        lock(&self.compiled).insert(module.digest(), module.clone());
    }

    /// Drops a compiled module.
    pub(super) fn forget(&self, digest: &Digest) {
        lock(&self.compiled).remove(digest);
    }

    /// Records that a module cannot be read; returns since when.
    fn is_missing(&self, digest: Digest, now: Duration) -> Duration {
        let (since, count) = {
            let mut missing = lock(&self.missing);
            (*missing.entry(digest).or_insert(now), missing.len())
        };
        self.count.send_replace(count);
        since
    }

    /// Records that a module was read.
    fn is_found(&self, digest: &Digest) {
        self.retain_missing(|missing| missing != digest);
    }

    /// Forgets missing modules but those that `is_wanted` names.
    pub(super) fn retain_missing(&self, is_wanted: impl Fn(&Digest) -> bool) {
        let count = {
            let mut missing = lock(&self.missing);
            if missing.is_empty() {
                return;
            }
            missing.retain(|digest, _| is_wanted(digest));
            missing.len()
        };
        self.count.send_replace(count);
    }

    /// Records that a plan is in force.
    pub(super) fn plan_is_in_force(&self) {
        self.has_plan.store(true, Ordering::Relaxed);
    }

    /// Returns the digests of the modules that could not be read.
    pub(super) fn missing(&self) -> Vec<Digest> {
        lock(&self.missing).keys().copied().collect()
    }
}

impl Governance {
    /// Returns the counts of the verdict caches of all policies of this gateway.
    #[must_use]
    pub fn verdict_cache_stats(&self) -> VerdictCacheStats {
        self.engine.verdict_cache_stats()
    }

    /// The compiled module of that digest, from memory or from the store; or why it is none.
    ///
    /// # Errors
    /// The store could not read it for a short time. That says nothing of the module, and is not
    /// remembered as if.
    pub(super) async fn module(
        &self,
        digest: &str,
    ) -> Result<Result<Arc<Module>, String>, Failure> {
        let Ok(digest) = digest.parse::<Digest>() else {
            return Ok(Err(format!("{digest}: not a digest")));
        };
        if let Some(module) = self.modules.compiled(&digest) {
            self.modules.is_found(&digest);
            return Ok(Ok(module));
        }
        let read = self.documents.get_blob(&digest);
        let failure = match tokio::time::timeout(UNREADABLE_MAX, read).await {
            Ok(Ok(Some(bytes))) => {
                self.modules.is_found(&digest);
                let compiled = self.compile(bytes).await;
                return Ok(compiled.map_err(|error| format!("module {digest}: {error}")));
            }
            Ok(Ok(None)) => {
                self.modules.is_missing(digest, self.clock.monotonic());
                let problem = format!("module {digest} is not in the store; upload it again");
                return Ok(Err(problem));
            }
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::new(FailureKind::Unavailable, "a module cannot be read now"),
        };
        let now = self.clock.monotonic();
        let since = self.modules.is_missing(digest, now);
        let has_plan = self.modules.has_plan.load(Ordering::Relaxed);
        if has_plan && failure.kind.is_retryable() && now.saturating_sub(since) < UNREADABLE_MAX {
            return Err(failure);
        }
        tracing::error!(
            %digest, message = %failure.message, detail = ?failure.detail,
            "governance.module cannot be read; its bindings fail until it can"
        );
        Ok(Err(format!(
            "module {digest} cannot be read on this gateway now; it is tried again"
        )))
    }

    /// Compiles away from the request threads, and remembers.
    pub(super) async fn compile(&self, wasm: Arc<[u8]>) -> Result<Arc<Module>, HostError> {
        let engine = self.engine.clone();
        let compiled = tokio::task::spawn_blocking(move || engine.compile(&wasm)).await;
        // The engine turns a panic of the compiler into an error. This one is of the task itself.
        let module = compiled.map_err(|error| HostError::Panicked(error.to_string()))??;
        self.modules.keep(&module);
        Ok(module)
    }

    /// How many modules of bindings cannot be read on this gateway.
    pub fn missing_modules(&self) -> usize {
        *self.modules.count.borrow()
    }
}

/// Tries missing modules again until governance is gone.
pub(super) async fn retry(governance: Weak<Governance>) -> ControlFlow<()> {
    let Some(mut count) = governance
        .upgrade()
        .map(|all| all.modules.count.subscribe())
    else {
        return ControlFlow::Break(());
    };
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        if *count.borrow_and_update() == 0 {
            pause = RETRY_PAUSE_MIN;
            if count.changed().await.is_err() {
                return ControlFlow::Break(());
            }
            continue;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
        let Some(governance) = governance.upgrade() else {
            return ControlFlow::Break(());
        };
        if let Err(failure) = governance.load_missing().await {
            tracing::warn!(message = %failure.message, detail = ?failure.detail, "governance.retry failed");
        }
    }
}
