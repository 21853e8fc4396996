//! Denials of administrative requests, and of acquires beyond a cap, in the ledger before they are
//! answered.
//!
//! Other denials of locks have an event of their own kind, written with each of them. Whoever lacks a
//! role may ask as often as it likes, and so may all who want a lock of a namespace that is at its
//! cap. So these are bounded: the first few of one caller and route, or of one namespace and cap,
//! within a window are written one by one, each before its answer. Those after them are counted, and
//! the count is written when the window is over.

use std::collections::BTreeMap;
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
use leasehold_domain::NamespaceName;
use leasehold_domain::Principal;
use leasehold_domain::RequestId;
use leasehold_domain::StoreName;
use leasehold_domain::Subject;
use leasehold_domain::limits::ADMIN_DENIAL_WINDOW_MS;
use leasehold_domain::limits::ADMIN_DENIAL_WINDOWS_MAX;
use leasehold_domain::limits::ADMIN_DENIALS_PER_WINDOW_MAX;

use crate::failure::Failure;
use crate::stores::OpenStore;

/// The collection of denials because a role is missing, or a policy version cannot be put to use, in the
/// ledger.
const BY_ROLE: &str = "denied";
/// The collection of refusals by a cap, in the ledger.
const BY_CAP: &str = "cap";
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
    /// What was asked for, and which role it needs, or which cap refused it.
    pub summary: String,
    /// Why.
    pub reason: Reason,
}

/// Why something was denied, and where that is recorded.
#[derive(Debug, Clone)]
pub enum Reason {
    /// The caller lacks a role, or cannot see the namespace. In the default store's ledger, counted
    /// for each caller.
    Role,
    /// A policy version cannot be put to use. In the default store's ledger, counted for each caller.
    Standing,
    /// A cap of a namespace is reached. In the ledger of its store, and counted for the namespace,
    /// because all of its callers meet the cap at once.
    Cap {
        /// The namespace.
        namespace: NamespaceName,
        /// Its store.
        store: Arc<OpenStore>,
    },
}

/// Writes denials into the ledgers of their stores.
#[derive(Debug)]
pub struct DenialRecorder {
    store: Arc<OpenStore>,
    clock: Arc<dyn Clock>,
    windows: Mutex<HashMap<Key, Window>>,
}

/// Store, caller and route of denials that are counted together. No caller where there are too many
/// of them, and where a cap refuses.
type Key = (StoreName, Option<Subject>, String);

/// The denials of one caller and route.
#[derive(Debug)]
struct Window {
    began: Duration,
    written: u32,
    /// Those that were only counted, and the last of them.
    counted: u64,
    last: Denied,
}

impl DenialRecorder {
    /// Denials that are recorded in the ledger of this default store, unless they are of another.
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
        let store = self.store_of(&denied).clone();
        self.write(&store, self.over(Some(&store.name))).await?;
        if !self.takes(&denied) {
            return Ok(());
        }
        let written = self.write(&store, vec![(denied.clone(), 0)]).await;
        if written.is_err() {
            self.gives_back(&denied);
        }
        written
    }

    /// Returns the store whose ledger records a denial.
    fn store_of<'a>(&'a self, denied: &'a Denied) -> &'a Arc<OpenStore> {
        match &denied.reason {
            Reason::Role | Reason::Standing => &self.store,
            Reason::Cap { store, .. } => store,
        }
    }

    fn key(&self, denied: &Denied) -> Key {
        let store = self.store_of(denied).name.clone();
        let subject = match denied.reason {
            Reason::Role | Reason::Standing => Some(denied.principal.subject.clone()),
            Reason::Cap { .. } => None,
        };
        (store, subject, denied.operation.clone())
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<Key, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a denial is to be written itself; else it is counted.
    fn takes(&self, denied: &Denied) -> bool {
        let mut windows = self.windows();
        let mut key = self.key(denied);
        if windows.len() >= ADMIN_DENIAL_WINDOWS_MAX && !windows.contains_key(&key) {
            // So many callers at once share one window.
            key.1 = None;
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
        if let Some(window) = self.windows().get_mut(&self.key(denied)) {
            window.written = window.written.saturating_sub(1);
        }
    }

    /// Removes the windows of a store, or of all, that are over; those of them that have counted
    /// denials.
    fn over(&self, store: Option<&StoreName>) -> Vec<(Denied, u64)> {
        let now = self.clock.monotonic();
        let length = Duration::from_millis(ADMIN_DENIAL_WINDOW_MS);
        let mut counted = Vec::new();
        self.windows().retain(|key, window| {
            let is_meant = store.is_none_or(|store| key.0 == *store);
            let is_over = is_meant && now.saturating_sub(window.began) >= length;
            if is_over && window.counted > 0 {
                counted.push((window.last.clone(), window.counted));
            }
            !is_over
        });
        counted
    }

    /// Writes denials into a store's ledger, each with how many others it stands for.
    async fn write(&self, store: &OpenStore, denials: Vec<(Denied, u64)>) -> Result<(), Failure> {
        if denials.is_empty() {
            return Ok(());
        }
        // No more than the ledger has room for.
        store.admit(leasehold_domain::Operation::Configure)?;
        let changes = denials.into_iter().map(change).collect();
        Ok(store.door.record(changes).await?)
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
        let mut by_store: BTreeMap<StoreName, (Arc<OpenStore>, Vec<_>)> = BTreeMap::new();
        for (denied, count) in counted {
            let store = self.store_of(&denied).clone();
            let of_store = by_store.entry(store.name.clone());
            let (_, denials) = of_store.or_insert_with(|| (store, Vec::new()));
            denials.push((denied, count));
        }
        for (store, denials) in by_store.into_values() {
            let count: u64 = denials.iter().map(|(_, count)| count).sum();
            if let Err(failure) = self.write(&store, denials).await {
                tracing::error!(store = %store.name, message = %failure.message, detail = ?failure.detail, count, "denials were not recorded");
            }
        }
    }
}

/// Writes the counts of windows that are over, until the gateway is closed.
pub async fn flush_windows(denials: Weak<DenialRecorder>) -> ControlFlow<()> {
    loop {
        tokio::time::sleep(FLUSH_EVERY).await;
        let Some(denials) = denials.upgrade() else {
            return ControlFlow::Break(());
        };
        denials.write_or_log(denials.over(None)).await;
    }
}

fn change((denied, counted): (Denied, u64)) -> Change {
    let summary = match counted {
        0 => denied.summary,
        _ => format!(
            "{counted} more within the same minute, the last: {}",
            denied.summary
        ),
    };
    let (collection, id) = match &denied.reason {
        Reason::Role | Reason::Standing => (BY_ROLE, denied.operation.into()),
        Reason::Cap { namespace, .. } => (BY_CAP, namespace.as_str().into()),
    };
    Change {
        request_id: denied.request_id,
        principal: denied.principal,
        collection: collection.into(),
        id,
        digest: Some(Digest::of(summary.as_bytes())),
        summary: summary.into(),
    }
}
