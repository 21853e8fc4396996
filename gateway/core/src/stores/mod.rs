//! The stores of a gateway by name. A namespace chooses one; the home store keeps governance, too.
//!
//! Each store has a ledger, a carrier, waits and watches of its own: nothing is shared, so a store
//! that is ill stops nobody but its own namespaces.

pub mod accept;
mod backlog;
mod claims;
mod continuity;
mod extra;
mod history;
mod lag;
mod level;
mod members;
mod remembered;
mod running;
pub mod stopped;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;

use crate::failure::FailureKind;
use leasehold_audit::CarrierStatus;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Ledger;
use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;
use leasehold_domain::limits;

pub use self::claims::Claims;
pub use self::continuity::StoreParts;
pub use self::extra::Extra;
pub use self::history::HistoryPage;
pub use self::history::HistoryRow;
pub use self::history::Ledgers;
pub use self::members::MembersChange;
pub use self::members::MembersView;
pub use self::members::Roster;
pub use self::members::StoreMembers;
pub use self::remembered::Remembered;
pub use self::remembered::RememberedStore;
pub use self::running::Parts;
pub use self::running::RunningStore;
pub use self::running::open_ledger;

use crate::failure::Failure;
use crate::governance::document::NamespaceDocument;
use crate::store_client::StoreClient;
use crate::telemetry::Lag;
use crate::waits::Waits;
use crate::watches::Watches;

/// How soon it may be worth asking again for a store that is not open.
const RETRY_AFTER_MS: u64 = 1_000;

/// A store that is open, and all that belongs to it.
#[derive(Debug)]
pub struct OpenStore {
    /// Its name.
    pub name: StoreName,
    /// The door to its backend.
    pub door: Arc<StoreClient>,
    /// Its documents; governance is in those of the home store alone.
    pub documents: Arc<dyn Documents>,
    /// Its audit log.
    pub ledger: Arc<dyn Ledger>,
    /// Who writes to it besides this gateway.
    pub members: StoreMembers,
    /// Compares it with its ledger, and with what the data directory remembers.
    pub parts: StoreParts,
    /// The moves of namespaces that it knew of when it was opened.
    pub(crate) claims: Claims,
    /// How far the ledger is behind.
    pub carrier: Arc<CarrierStatus>,
    /// Who waits on this gateway for one of its locks.
    pub(crate) waits: Arc<Waits>,
    /// Where watches of its locks read.
    pub(crate) watches: Watches,
}

impl OpenStore {
    /// Brings this node up to date with the others of its store, then its ledger.
    pub(crate) async fn catch_up(&self) {
        let at_most = Duration::from_millis(limits::LEDGER_WAIT_MS_MAX);
        // If the store does not agree, this node tells what it has.
        let _ = tokio::time::timeout(at_most, self.door.probe_by_read()).await;
        self.ledger_follows().await;
    }

    /// How far the ledger is behind the store, in events and in time.
    pub async fn lag(&self, now: WallMillis) -> Lag {
        lag::measure_lag(&self.door, self.ledger.head().cursor, now).await
    }

    /// Waits until the ledger has what was answered before this call, but not for long: an answer
    /// says up to where it is complete.
    pub(crate) async fn ledger_follows(&self) {
        let newest = self.door.health().await.newest;
        let at_most = Duration::from_millis(limits::LEDGER_WAIT_MS_MAX);
        self.carrier.reached(newest, at_most).await;
    }
}

/// Why a store is not open.
#[derive(Debug, Clone)]
pub struct NotOpen {
    /// The kind of the failure of requests.
    pub kind: FailureKind,
    /// For operators.
    pub problem: String,
}

impl From<String> for NotOpen {
    fn from(problem: String) -> Self {
        Self {
            kind: FailureKind::Unavailable,
            problem,
        }
    }
}

/// A store besides the home store: perhaps not open yet.
#[derive(Debug)]
pub struct Slot {
    open: OnceLock<Arc<OpenStore>>,
    /// Why it is not open.
    problem: Mutex<NotOpen>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            open: OnceLock::new(),
            problem: Mutex::new("it is being opened".to_owned().into()),
        }
    }
}

impl Slot {
    pub(crate) fn opened(&self, store: Arc<OpenStore>) {
        // A store is opened once.
        let _ = self.open.set(store);
    }

    fn failed(&self, problem: NotOpen) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    fn state(&self) -> Result<&Arc<OpenStore>, NotOpen> {
        let problem = || {
            let problem = self.problem.lock();
            problem.unwrap_or_else(PoisonError::into_inner).clone()
        };
        self.open.get().ok_or_else(problem)
    }
}

/// All stores of the gateway.
#[derive(Debug)]
pub struct Stores {
    home: Arc<OpenStore>,
    extra: BTreeMap<StoreName, Arc<Slot>>,
}

impl Stores {
    /// The home store, and the others.
    pub fn new(home: Arc<OpenStore>, extra: BTreeMap<StoreName, Arc<Slot>>) -> Self {
        Self { home, extra }
    }

    /// The store that every gateway has.
    #[must_use]
    pub fn home(&self) -> &Arc<OpenStore> {
        &self.home
    }

    /// The names of all.
    #[must_use]
    pub fn names(&self) -> BTreeSet<StoreName> {
        let home = std::iter::once(self.home.name.clone());
        home.chain(self.extra.keys().cloned()).collect()
    }

    /// The store of that name.
    ///
    /// # Errors
    /// `fenced` if it is older than this gateway remembers. `unavailable` if it is not open for
    /// another reason, or is not configured on this gateway.
    pub fn get(&self, name: &StoreName) -> Result<&Arc<OpenStore>, Failure> {
        if *name == self.home.name {
            return Ok(&self.home);
        }
        let refused = |kind, message, detail| Failure {
            retry_after_ms: Some(RETRY_AFTER_MS),
            detail: crate::failure::FailureDetail::Internal(detail),
            ..Failure::new(kind, message)
        };
        let Some(slot) = self.extra.get(name) else {
            let message = format!("the store {name} is not configured on this gateway");
            return Err(refused(FailureKind::Unavailable, message, String::new()));
        };
        slot.state().map_err(|NotOpen { kind, problem }| {
            let message = match kind {
                FailureKind::Fenced => format!(
                    "the store {name} is older than this gateway remembers it; it grants nothing \
                     until the newer one is back, or an operator accepts it with `leasehold store \
                     accept-older`"
                ),
                _ => format!("the store {name} is not open"),
            };
            refused(kind, message, problem)
        })
    }

    /// Returns another store that knows of a later move of the namespace than governance: see
    /// [`Claims`].
    pub(crate) fn rival(&self, document: &NamespaceDocument) -> Option<&StoreName> {
        let NamespaceDocument { store, travels, .. } = document;
        let others = self.open().filter(|other| other.name != *store);
        let mut others = others.filter(|other| Some(&other.name) != travels.to.as_ref());
        let rival = others.find(|other| other.claims.contradict(&document.name, travels.era));
        rival.map(|rival| &rival.name)
    }

    /// Every store, home first, or why it is not open.
    pub fn all(&self) -> impl Iterator<Item = (&StoreName, Result<&Arc<OpenStore>, String>)> {
        let home = std::iter::once((&self.home.name, Ok(&self.home)));
        let extra = self.extra.iter();
        home.chain(extra.map(|(name, slot)| {
            let state = slot.state().map_err(|not_open| not_open.problem);
            (name, state)
        }))
    }

    /// Every store that is open, home first.
    pub fn open(&self) -> impl Iterator<Item = &Arc<OpenStore>> {
        self.all().filter_map(|(_, store)| store.ok())
    }
}
