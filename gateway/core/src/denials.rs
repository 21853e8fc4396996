//! Denials of administrative requests, in the ledger before they are answered.
//!
//! The denials of locks have an event of their own kind, written with each of them. Whoever lacks a
//! role may ask as often as it likes, so these are bounded: the first few of one caller and route
//! within a window are written one by one, each before its answer. Those after them are counted, and
//! the count is written when the window is over.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use leasehold_domain::Change;
use leasehold_domain::Clock;
use leasehold_domain::Digest;
use leasehold_domain::Principal;
use leasehold_domain::RequestId;
use leasehold_domain::Subject;
use leasehold_domain::limits::ADMIN_DENIAL_WINDOW_MS;
use leasehold_domain::limits::ADMIN_DENIAL_WINDOWS_MAX;
use leasehold_domain::limits::ADMIN_DENIALS_PER_WINDOW_MAX;

use crate::failure::Failure;
use crate::stores::OpenStore;

/// The ledger's word for a denied administrative request.
const COLLECTION: &str = "denied";
/// How often windows are looked at that may be over.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// What was denied.
#[derive(Debug, Clone)]
pub struct Denied {
    /// Who asked.
    pub principal: Arc<Principal>,
    /// The request's id.
    pub request_id: RequestId,
    /// Method and route, such as `DELETE /v1/bindings/{binding}`: never what the caller made up.
    pub operation: String,
    /// What was asked for, and which role it needs.
    pub summary: String,
}

/// Writes denials of administrative requests into the home store's ledger.
#[derive(Debug)]
pub struct AdminDenials {
    store: Arc<OpenStore>,
    clock: Arc<dyn Clock>,
    windows: Mutex<HashMap<Key, Window>>,
}

/// Whose denials of which route; of no one caller where there are too many of them.
type Key = (Option<Subject>, String);

/// The denials of one caller and route.
#[derive(Debug)]
struct Window {
    began: Duration,
    written: u32,
    /// Those that were only counted, and the last of them.
    counted: u64,
    last: Denied,
}

impl AdminDenials {
    /// Denials that are recorded in this store's ledger.
    pub fn new(store: Arc<OpenStore>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            store,
            clock,
            windows: Mutex::default(),
        })
    }

    /// Records a denial. Once this returns, it is durable, or counted in the window of one that is.
    ///
    /// # Errors
    /// It cannot be recorded; then it must not be answered as a denial.
    pub async fn record(&self, denied: Denied) -> Result<(), Failure> {
        self.write(self.over()).await?;
        if !self.takes(&denied) {
            return Ok(());
        }
        let written = self.write(vec![(denied.clone(), 0)]).await;
        if written.is_err() {
            self.gives_back(&denied);
        }
        written
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<Key, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a denial is to be written itself; else it is counted.
    fn takes(&self, denied: &Denied) -> bool {
        let mut windows = self.windows();
        let mut key = key(denied);
        if windows.len() >= ADMIN_DENIAL_WINDOWS_MAX && !windows.contains_key(&key) {
            // So many callers at once share one window.
            key.0 = None;
        }
        let window = windows.entry(key).or_insert_with(|| Window {
            began: self.clock.monotonic(),
            written: 0,
            counted: 0,
            last: denied.clone(),
        });
        let takes = window.written < ADMIN_DENIALS_PER_WINDOW_MAX;
        match takes {
            true => window.written += 1,
            false => {
                window.counted += 1;
                window.last = denied.clone();
            }
        }
        takes
    }

    fn gives_back(&self, denied: &Denied) {
        if let Some(window) = self.windows().get_mut(&key(denied)) {
            window.written = window.written.saturating_sub(1);
        }
    }

    /// Removes the windows that are over; those of them that have counted denials.
    fn over(&self) -> Vec<(Denied, u64)> {
        let now = self.clock.monotonic();
        let length = Duration::from_millis(ADMIN_DENIAL_WINDOW_MS);
        let mut counted = Vec::new();
        self.windows().retain(|_, window| {
            let is_over = now.saturating_sub(window.began) >= length;
            if is_over && window.counted > 0 {
                counted.push((window.last.clone(), window.counted));
            }
            !is_over
        });
        counted
    }

    /// Writes denials, each with how many others it stands for.
    async fn write(&self, denials: Vec<(Denied, u64)>) -> Result<(), Failure> {
        if denials.is_empty() {
            return Ok(());
        }
        // No more than the ledger has room for.
        self.store.admit(leasehold_domain::Operation::Configure)?;
        let changes = denials.into_iter().map(change).collect();
        Ok(self.store.door.record(changes).await?)
    }

    /// Writes what was counted, whether or not its window is over.
    pub async fn flush(&self) {
        let windows = std::mem::take(&mut *self.windows());
        let counted = windows.into_values().filter(|window| window.counted > 0);
        let counted: Vec<_> = counted
            .map(|window| (window.last, window.counted))
            .collect();
        self.write_or_log(counted).await;
    }

    async fn write_or_log(&self, counted: Vec<(Denied, u64)>) {
        let count: u64 = counted.iter().map(|(_, count)| count).sum();
        if let Err(failure) = self.write(counted).await {
            tracing::error!(message = %failure.message, detail = ?failure.detail, count, "denials were not recorded");
        }
    }
}

/// Writes the counts of windows that are over, until the gateway is closed.
pub async fn flush_windows(denials: Weak<AdminDenials>) -> ControlFlow<()> {
    loop {
        tokio::time::sleep(FLUSH_EVERY).await;
        let Some(denials) = denials.upgrade() else {
            return ControlFlow::Break(());
        };
        denials.write_or_log(denials.over()).await;
    }
}

fn key(denied: &Denied) -> Key {
    let subject = denied.principal.subject.clone();
    (Some(subject), denied.operation.clone())
}

fn change((denied, counted): (Denied, u64)) -> Change {
    let summary = match counted {
        0 => denied.summary,
        _ => format!(
            "{counted} more within the same minute, the last: {}",
            denied.summary
        ),
    };
    Change {
        request_id: denied.request_id,
        principal: denied.principal,
        collection: COLLECTION.into(),
        id: denied.operation.into(),
        digest: Some(Digest::of(summary.as_bytes())),
        summary: summary.into(),
    }
}
