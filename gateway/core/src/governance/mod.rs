//! Governance: namespaces, policy versions, bindings and keys, kept as replicated documents.
//!
//! Reads come from memory (`Governance::plan`); writes go to the store together with their audit
//! event, and are in force on this gateway when they are answered.

mod alerts;
mod approval;
mod binding;
mod bound;
mod candidate;
mod checking;
mod confirmation;
pub mod document;
mod enacting;
mod index;
mod judged;
mod key;
mod key_use;
mod kill;
mod loading;
mod marks;
mod modules;
mod moves;
mod namespace;
mod pattern;
pub(crate) mod plan;
mod policy;
mod push;
mod reach;
mod recorded;
mod replica;
mod reports;
mod review;
mod revision;
mod rollout;
mod rollout_index;
mod standing;
mod trust;
mod writing;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;

use crate::failure::FailureKind;
use leasehold_backend_api::Documents;
use leasehold_domain::Clock;
use leasehold_domain::StoreName;
use leasehold_policy_host::PolicyEngine;
use serde::de::DeserializeOwned;

pub use self::alerts::UnusableVersion;
pub use self::approval::ApprovalRule;
pub use self::approval::ApprovalStanding;
pub use self::binding::WrittenBinding;
pub use self::candidate::BindingCandidate;
pub use self::judged::JudgedChange;
pub use self::marks::PolicyMark;
pub use self::marks::PolicyUse;
pub use self::namespace::WrittenNamespace;
pub use self::plan::RolloutId;
pub use self::policy::policy_contracts;
pub use self::push::BindingFit;
pub use self::push::Push;
pub use self::push::Pushed;
pub use self::reports::OpenFlag;
pub use self::reports::OpenRollout;
pub use self::review::ReviewCounts;
pub use self::review::review_of_recovery;
pub use self::revision::DocumentRevision;
pub use self::revision::DocumentRevisions;
pub use self::revision::FieldChange;
pub use self::revision::Revised;
pub use self::revision::value_changes;
pub use self::rollout::FlagEdit;
pub use self::rollout::RolloutAction;
pub use self::rollout::RolloutDraft;
pub use self::rollout::RolloutEdit;
pub use self::rollout::RolloutReason;
pub use self::standing::AssessedSignature;
pub use self::standing::SignatureState;
pub use self::standing::Standing;
pub use self::standing::StandingProblem;

use self::alerts::Alerts;
use self::confirmation::Confirmation;
use self::loading::Doubts;
use self::modules::Modules;
use self::plan::Plan;
use self::policy::Uploads;
use self::replica::Replica;
pub use self::writing::edit;
use crate::authentication::KeyRing;
use crate::failure::Failure;
use crate::flags::FlagSource;
use crate::flags::OwnState;
use crate::tasks::TaskMetrics;
use crate::tasks::supervise;

/// How old the last answer of the store may be for grants, if the configuration says nothing else.
const CONFIRM_WINDOW: Duration = Duration::from_secs(5);

/// The governance state of one gateway.
pub struct Governance {
    documents: Arc<dyn Documents>,
    engine: PolicyEngine,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    /// The stores that namespaces may choose.
    stores: BTreeSet<StoreName>,
    /// The custom roles that are declared in the configuration.
    declared_roles: BTreeSet<String>,
    plan: RwLock<Arc<Plan>>,
    /// What the plan is made from. Whoever makes a plan holds this, so that an older plan never
    /// replaces a newer one.
    replica: Mutex<Replica>,
    /// When the plan was known to be the newest.
    confirmation: Confirmation,
    /// Tells that there is another plan.
    changed: tokio::sync::watch::Sender<()>,
    /// The modules of policies.
    modules: Modules,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    /// Requests that met something unknown.
    doubts: Doubts,
    /// Uploads of modules that are under way.
    uploads: Uploads,
    /// The versions in use that could not be put to new use.
    alerts: Alerts,
    /// The limits of rollouts.
    flags: Arc<dyn FlagSource>,
}

/// What governance is told of the gateway's configuration.
#[derive(Debug, Clone)]
pub struct GovernanceSettings {
    /// For how long the last answer of the store holds.
    pub confirm_window: Duration,
    /// Where its background tasks are counted.
    pub tasks: TaskMetrics,
    /// The declared custom roles. A stock policy's configuration that names another is warned about.
    pub declared_roles: BTreeSet<String>,
    /// Where the limits of rollouts come from.
    pub flags: Arc<dyn FlagSource>,
}

impl Default for GovernanceSettings {
    fn default() -> Self {
        Self {
            confirm_window: CONFIRM_WINDOW,
            tasks: TaskMetrics::default(),
            declared_roles: BTreeSet::new(),
            flags: Arc::new(OwnState::default()),
        }
    }
}

impl fmt::Debug for Governance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governance")
            .field("revision", &self.plan().revision)
            .finish_non_exhaustive()
    }
}

/// A document and its revision, as the API shows it.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// The document.
    pub document: T,
    /// The revision of its last write, for compare-and-set.
    pub revision: u64,
}

impl Governance {
    /// Loads the governance state from the store, as [`Self::load_with`] does with the defaults.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn load(
        documents: Arc<dyn Documents>,
        engine: PolicyEngine,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        stores: BTreeSet<StoreName>,
    ) -> Result<Arc<Self>, Failure> {
        let settings = GovernanceSettings::default();
        Self::load_with(documents, engine, keys, clock, stores, settings).await
    }

    /// Loads the governance state from the store. For as long as this lives, background tasks ask
    /// the store whether it is the newest: when a request meets something unknown, and regularly.
    /// Nothing is granted while the last answer is older than `settings.confirm_window`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn load_with(
        documents: Arc<dyn Documents>,
        engine: PolicyEngine,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        stores: BTreeSet<StoreName>,
        settings: GovernanceSettings,
    ) -> Result<Arc<Self>, Failure> {
        let tasks = settings.tasks;
        let governance = Arc::new(Self {
            documents,
            engine,
            keys,
            clock,
            stores,
            plan: RwLock::default(),
            replica: Mutex::default(),
            confirmation: Confirmation::new(settings.confirm_window),
            declared_roles: settings.declared_roles,
            changed: tokio::sync::watch::Sender::default(),
            modules: Modules::default(),
            reloading: tokio::sync::Mutex::default(),
            doubts: Doubts::default(),
            uploads: Uploads::default(),
            alerts: Alerts::default(),
            flags: settings.flags,
        });
        governance.load_all().await?;
        let this = Arc::downgrade(&governance);
        supervise("governance-settle", &tasks, move || {
            loading::settle(this.clone())
        })
        .detach();
        let this = Arc::downgrade(&governance);
        supervise("governance-confirm", &tasks, move || {
            confirmation::confirm(this.clone())
        })
        .detach();
        let this = Arc::downgrade(&governance);
        supervise("governance-modules", &tasks, move || {
            modules::retry(this.clone())
        })
        .detach();
        let this = Arc::downgrade(&governance);
        supervise("governance-alerts", &tasks, move || {
            alerts::watch(this.clone())
        })
        .detach();
        let this = Arc::downgrade(&governance);
        supervise("governance-key-uses", &tasks, move || {
            key_use::record(this.clone())
        })
        .detach();
        Ok(governance)
    }

    /// The plan in force.
    pub fn plan(&self) -> Arc<Plan> {
        self.plan
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replica(&self) -> MutexGuard<'_, Replica> {
        self.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn all(&self, collection: &str) -> Result<Vec<leasehold_domain::Document>, Failure> {
        Ok(self.documents.list(collection).await?)
    }

    async fn read<T: DeserializeOwned>(
        &self,
        collection: &str,
        id: &str,
    ) -> Result<Stored<T>, Failure> {
        let found = self.documents.get(collection, id).await?;
        let found = found.ok_or_else(|| {
            Failure::new(
                FailureKind::NotFound,
                format!("there is no {collection} {id}"),
            )
        })?;
        let document = serde_json::from_slice(&found.body)
            .map_err(|error| Failure::internal(format!("{collection} {id}: {error}")))?;
        Ok(Stored {
            document,
            revision: found.revision,
        })
    }

    /// Reads a document; `None` if there is none of that id.
    async fn find_document<T: DeserializeOwned>(
        &self,
        collection: &str,
        id: &str,
    ) -> Result<Option<Stored<T>>, Failure> {
        match self.read(collection, id).await {
            Ok(stored) => Ok(Some(stored)),
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn list<T: DeserializeOwned>(&self, collection: &str) -> Result<Vec<Stored<T>>, Failure> {
        let rows = self.all(collection).await?;
        let stored = |row: &leasehold_domain::Document| {
            let document = serde_json::from_slice(&row.body)
                .map_err(|error| Failure::internal(format!("{collection} {}: {error}", row.id)))?;
            Ok(Stored {
                document,
                revision: row.revision,
            })
        };
        rows.iter().map(stored).collect()
    }
}
