//! Checks, before a store is served and whenever somebody asks, that store, ledger and data
//! directory are parts of one history.

use std::sync::Arc;
use std::time::Duration;

use leasehold_audit::continuity;
use leasehold_audit::continuity::Continuity;
use leasehold_audit::continuity::Discontinuity;
use leasehold_audit::continuity::Memory;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerPeers;
use leasehold_domain::Cursor;
use leasehold_domain::StoreName;

use super::Remembered;
use super::RememberedStore;

/// How often a start tries to read the parts, or to fill the ledger, without getting any further.
const TRIES_MAX: u32 = 120;
const PAUSE: Duration = Duration::from_millis(500);
/// For asking the store where it stands, to remember it.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// Why a store is not served.
#[derive(Debug, thiserror::Error)]
pub enum ContinuityError {
    /// The parts are not of one history.
    #[error("{0}; {advice}", advice = advice(.0))]
    Refused(Discontinuity),
    /// The ledger lacks events that another copy of it has, and could not be filled from there.
    #[error(
        "the ledger ends at event {from}, the store has forgotten its events up to {to}, and \
        the rows between could not be read: {problem}"
    )]
    Unfilled {
        /// The last event of the ledger.
        from: u64,
        /// The last event that the store has forgotten.
        to: u64,
        /// Why.
        problem: String,
    },
    /// A part cannot be read.
    #[error("{0}")]
    Unreadable(#[from] BackendError),
    /// What the directory remembers cannot be read or written.
    #[error("{0}")]
    Memory(#[from] std::io::Error),
}

impl ContinuityError {
    /// Whether the store that answers is behind what this gateway knows of it: the right one may come
    /// back.
    pub(crate) fn is_older(&self) -> bool {
        match self {
            Self::Refused(found) => matches!(
                found,
                Discontinuity::OlderThanLedger { .. } | Discontinuity::OlderThanMemory { .. }
            ),
            Self::Unreadable(error) => error.kind == leasehold_backend_api::ErrorKind::Fenced,
            Self::Unfilled { .. } | Self::Memory(_) => false,
        }
    }
}

/// What an operator can do.
fn advice(found: &Discontinuity) -> &'static str {
    match found {
        Discontinuity::OtherStore { .. } | Discontinuity::OtherLedger { .. } => {
            "put the parts of one gateway together again, or restore a backup into a new directory"
        }
        Discontinuity::OlderThanLedger { .. } | Discontinuity::OlderThanMemory { .. } => {
            "bring the newer store back or restore a newer backup; `leasehold store accept-older` \
             starts a new history from the older store"
        }
        Discontinuity::Differs { .. } | Discontinuity::Short { .. } => {
            "bring back the ledger of this store, from a copy or from a backup; where another copy \
             of it exists (other members, the database), move this file away and it is filled from \
             there; `leasehold store accept-older` starts a new history without what is lost"
        }
    }
}

/// The parts that must fit.
#[derive(Debug, Clone)]
pub struct StoreParts {
    /// The store's name.
    pub name: StoreName,
    /// The store.
    pub backend: Arc<dyn Backend>,
    /// Its ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Who has the ledger's rows besides.
    pub others: Option<Arc<dyn LedgerPeers>>,
    /// What this gateway remembers of it.
    pub remembered: Arc<Remembered>,
}

impl StoreParts {
    /// Compares the parts as they are now.
    pub(crate) async fn compare(
        &self,
    ) -> Result<Result<Continuity, Discontinuity>, ContinuityError> {
        let memory = match self.remembered.get(&self.name) {
            Some(remembered) => memory(&remembered)?,
            None => None,
        };
        let (backend, ledger) = (&*self.backend, &*self.ledger);
        let evidence = continuity::gather(backend, ledger, self.others.as_deref(), memory);
        Ok(continuity::compare(&evidence.await?))
    }

    /// Returns why a start would refuse the parts; `None` if it would not.
    pub async fn refusal(&self) -> Result<Option<String>, ContinuityError> {
        match self.compare().await? {
            Ok(_) => Ok(None),
            Err(found) => Ok(Some(ContinuityError::Refused(found).to_string())),
        }
    }

    /// Returns why the ledger is not the continuation of what the store has forgotten; `None` if it
    /// is.
    pub async fn problem(&self) -> Result<Option<String>, BackendError> {
        match self.compare().await {
            Ok(Ok(Continuity::Continues | Continuity::Begins(_))) => Ok(None),
            Ok(Ok(Continuity::Gap { from, to })) => Ok(Some(format!(
                "the ledger ends at event {}, and the store has forgotten its events up to {}; it \
                 is being filled from another copy",
                from.0, to.0
            ))),
            Ok(Err(found)) => Ok(Some(ContinuityError::Refused(found).to_string())),
            Err(ContinuityError::Unreadable(error)) => Err(error),
            Err(error) => {
                let kind = leasehold_backend_api::ErrorKind::Corrupt;
                Err(BackendError::without_effect(kind, error.to_string()))
            }
        }
    }

    /// Compares the parts, fills the ledger from another copy if it must be, and lets each part
    /// record the others. Returns what was wrong and is right now, for the ledger.
    ///
    /// # Errors
    /// The parts are not of one history, or cannot be read; the store must not be served.
    pub(crate) async fn join(&self) -> Result<Option<String>, ContinuityError> {
        let begun = self.ledger.head().cursor.0;
        match self.compare_when_readable().await? {
            Continuity::Continues => {}
            Continuity::Begins(after) => {
                tracing::info!(store = %self.name, after = after.cursor.0, "ledger.begin");
                self.ledger.begin_after(after).await?;
            }
            Continuity::Gap { from, to } => {
                tracing::warn!(store = %self.name, from = from.0, to = to.0, "ledger.fill");
                self.fill().await?;
                // Now that it has what it lacked, it is held against what the store kept.
                self.compare_when_readable().await?;
            }
        }
        let lost = self.remembered.get(&self.name).map_or(0, |was| was.ledger);
        let id = self.backend.history().await?.id;
        if self.ledger.store() != Some(id) {
            self.ledger.set_store(id).await?;
        }
        self.remember().await?;
        Ok((begun < lost).then(|| {
            format!(
                "the ledger of this gateway ended at event {begun} at its start, and had ended at \
                 event {lost} before; it is filled from the store and other copies of it"
            )
        }))
    }

    async fn compare_when_readable(&self) -> Result<Continuity, ContinuityError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.compare().await {
                Err(ContinuityError::Unreadable(error))
                    if error.is_retryable() && tries < TRIES_MAX =>
                {
                    tracing::warn!(store = %self.name, %error, "store.compare failed; again");
                    tokio::time::sleep(PAUSE).await;
                }
                compared => return compared?.map_err(ContinuityError::Refused),
            }
        }
    }

    async fn fill(&self) -> Result<(), ContinuityError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let Some(others) = &self.others else {
                return Ok(());
            };
            let before = self.ledger.head().cursor;
            let filled = leasehold_audit::fill(&*self.backend, &*self.ledger, &**others, |_| {});
            let Err(error) = filled.await else {
                return Ok(());
            };
            if self.ledger.head().cursor > before {
                tries = 0;
            }
            let passes = match &error {
                leasehold_audit::CarryError::Backend(error)
                | leasehold_audit::CarryError::Ledger(error) => error.is_retryable(),
                _ => false,
            };
            if !passes || tries >= TRIES_MAX {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                return Err(ContinuityError::Unfilled {
                    from: self.ledger.head().cursor.0,
                    to: self.backend.health().await.trimmed.0,
                    problem: cause.unwrap_or_else(|| error.to_string()),
                });
            }
            tracing::warn!(store = %self.name, %error, "ledger.fill failed; again in {PAUSE:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Remembers, durably, where store and ledger are now.
    pub(crate) async fn remember(&self) -> Result<(), ContinuityError> {
        let ledger = self.ledger.head().cursor.0;
        let asked = tokio::time::timeout(ASK_WITHIN, self.backend.history()).await;
        let late = |_| {
            let kind = leasehold_backend_api::ErrorKind::Deadline;
            BackendError::without_effect(kind, "the store does not say where it stands")
        };
        let history = asked.map_err(late)??;
        let (remembered, name) = (self.remembered.clone(), self.name.clone());
        let written = tokio::task::spawn_blocking(move || {
            remembered.update(&name, |store| {
                let id = Some(history.id.to_string());
                if store.id != id {
                    (store.newest, store.revision, store.ledger) = (0, 0, 0);
                }
                store.id = id;
                store.newest = store.newest.max(history.newest.0);
                store.revision = store.revision.max(history.revision);
                store.ledger = store.ledger.max(ledger);
            })
        });
        Ok(written.await.map_err(std::io::Error::other)??)
    }
}

pub(super) fn memory(remembered: &RememberedStore) -> Result<Option<Memory>, std::io::Error> {
    let Some(id) = &remembered.id else {
        return Ok(None);
    };
    let id = id.parse().map_err(|error| {
        let problem = format!("stores.json: the id {id:?} of a store {error}");
        std::io::Error::new(std::io::ErrorKind::InvalidData, problem)
    })?;
    Ok(Some(Memory {
        id,
        newest: Cursor(remembered.newest),
        revision: remembered.revision,
        ledger: Cursor(remembered.ledger),
    }))
}
