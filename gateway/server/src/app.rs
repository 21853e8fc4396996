//! The composition root: knows the order in which the house is opened and closed. Concrete
//! backends are named here and in the folder `app` alone.

mod away;
mod backends;
mod compiled;
mod database_memory;
mod flags;
mod home;
mod missing;
mod older;
mod policies;
mod recovery;
mod register;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Backup;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Ledger;
use leasehold_backend_raft::RaftBackend;
use leasehold_core::authentication::Authenticator;
use leasehold_core::authentication::KeyRing;
use leasehold_core::authentication::KeySource;
use leasehold_core::authorization::Authorization;
use leasehold_core::backup::Backups;
use leasehold_core::concession;
use leasehold_core::config::Config;
use leasehold_core::data_dir::store_folder;
use leasehold_core::denials::DenialRecorder;
use leasehold_core::denials::flush_windows;
use leasehold_core::evidence::Evidence;
use leasehold_core::evidence::Witnesses;
use leasehold_core::failure::FailureKind;
use leasehold_core::flags::FlagSource;
use leasehold_core::governance::Governance;
use leasehold_core::governance::GovernanceSettings;
use leasehold_core::governance::document::NamespaceCaps;
use leasehold_core::moving::Mover;
use leasehold_core::pipeline::Inner;
use leasehold_core::pipeline::Pipeline;
use leasehold_core::replay::DecisionSamples;
use leasehold_core::replay::Replays;
use leasehold_core::replay::SelfCheck;
use leasehold_core::rollouts::guard;
use leasehold_core::safety::Safety;
use leasehold_core::steering::Steerage;
use leasehold_core::stores::Claims;
use leasehold_core::stores::Extra;
use leasehold_core::stores::NotOpen;
use leasehold_core::stores::Parts;
use leasehold_core::stores::Remembered;
use leasehold_core::stores::RunningStore;
use leasehold_core::stores::StoreMembers;
use leasehold_core::stores::Stores;
use leasehold_core::stores::open_ledger;
use leasehold_core::tasks::Supervised;
use leasehold_core::tasks::TaskMetrics;
use leasehold_core::tasks::supervise;
use leasehold_core::telemetry::Metrics;
use leasehold_domain::Clock;
use leasehold_domain::StoreName;
use leasehold_domain::SystemClock;
use leasehold_http::limiting::Limiter;
use leasehold_http::listener::ListenError;
use leasehold_http::services::App;
use tokio::sync::watch;

use self::flags::Flags;
use self::policies::decider;
use self::policies::engine;
use self::register::Membership;

pub use self::older::accept_older_store;
pub use self::recovery::recover_key;

/// How long a start waits for stores other than the home store.
const EXTRA_STORES_PATIENCE: Duration = Duration::from_secs(5);
/// How long a gateway that stops waits until the last uses of keys are written.
const KEY_USES_WAIT: Duration = Duration::from_secs(2);

/// Why the house could not be opened, or had to be closed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store of locks.
    #[error("storage: {0}")]
    Storage(String),
    /// The store of locks does not answer now.
    #[error("storage: {0}")]
    StoreAway(String),
    /// The store of locks that answers is behind what this gateway knows of it.
    #[error("storage: {0}")]
    StoreFenced(String),
    /// Store, ledger and data directory are not of one history.
    #[error("parts that do not match: {0}")]
    Parts(String),
    /// The ledger.
    #[error("ledger: {0}")]
    Ledger(String),
    /// The policy engine.
    #[error("policy engine: {0}")]
    Policies(String),
    /// The incidents of earlier starts.
    #[error("incidents: {0}")]
    Incidents(String),
    /// Governance state.
    #[error("governance: {0}")]
    Governance(String),
    /// The listener that answers while the gateway waits.
    #[error("{0}")]
    Listen(String),
    /// The key that signs the ledgers' checkpoints.
    #[error("log key: {0}")]
    LogKey(String),
    /// A witness.
    #[error("witness: {0}")]
    Witness(String),
    /// The flag service.
    #[error("flag service: {0}")]
    FlagService(String),
    /// Authentication.
    #[error("authentication: {0}")]
    Authentication(String),
}

impl From<ListenError> for AppError {
    fn from(error: ListenError) -> Self {
        Self::Listen(error.to_string())
    }
}

/// The open house: the app, and what must be closed behind it.
#[derive(Debug)]
pub struct Running {
    /// What handlers see.
    pub app: Arc<App>,
    drain: watch::Sender<bool>,
    home: RunningStore,
    extra: Vec<Extra>,
    /// What runs until the gateway is closed.
    tasks: Vec<Supervised>,
}

/// Opens everything behind the listeners, in the order of the data's way back.
///
/// # Errors
/// A part cannot be opened; the message says which, and why.
pub async fn open(config: Arc<Config>) -> Result<Running, AppError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Arc::new(Metrics::new());
    let remembered = Remembered::open(&config.storage.data_dir);
    let remembered = Arc::new(remembered.map_err(|error| AppError::Storage(error.to_string()))?);
    let (home, raft) = home_parts(&config, &clock, &metrics, &remembered).await?;
    let (backend, documents) = (home.backend.clone(), home.documents.clone());
    let safety = Safety::open(&config).map_err(AppError::Incidents)?;
    let home = home.run(clock.clone(), &metrics, &safety).await;
    let with = (&clock, &metrics, &safety);
    let (stores, extra) = open_extra(&config, &home, with, &remembered).await?;

    let keys = Arc::new(KeyRing::default());
    let flags = Flags::open(&config, &clock, &metrics)?;
    let from = (documents, &keys, &clock);
    let governance = govern(&config, from, &stores, (metrics.tasks(), flags.source())).await?;
    let mover = Arc::new(Mover::new(stores.clone(), governance.clone()));
    let denials = DenialRecorder::new(home.open.clone(), clock.clone());
    let authorization = Arc::new(Authorization::new(denials.clone(), metrics.clone()));

    let keys = (keys, governance.clone() as Arc<dyn KeySource>);
    let authenticator = Authenticator::new(&config.authentication, keys, clock.clone()).await;
    let authenticator =
        authenticator.map_err(|error| AppError::Authentication(error.to_string()))?;
    let (drain, shutdown) = watch::channel(false);
    let interval = Duration::from_millis(config.policy.self_check_interval_ms);
    let samples = Arc::new(DecisionSamples::every(interval));
    let decider = decider(&config, (&clock, &metrics), (&governance, &samples));
    let pipeline = Pipeline::new(Inner {
        governance: governance.clone(),
        authorization: authorization.clone(),
        decider,
        stores: stores.clone(),
        default_caps: NamespaceCaps::default_of(&config.limits),
        shutdown: shutdown.clone(),
    });
    let mut tasks = follow_up(&governance, &mover, &denials, (&pipeline, &metrics), flags);
    let parts = (&stores, &governance);
    let check = SelfCheck::new(samples, parts, &safety.incidents, (&metrics, &clock));
    tasks.push(Arc::new(check).start(metrics.tasks()));
    let store = raft.map(|raft| raft as Arc<dyn Backup>);
    let (ledger, status) = (&home.open.ledger, &home.open.carrier);
    let backups = Backups::new(&backend, store, ledger, status, &clock);
    let app = App {
        evidence: evidence(&config, &stores, &safety, (&metrics, &clock), &mut tasks)?,
        pipeline,
        mover,
        replays: Replays::new(governance.clone(), clock.clone()),
        governance,
        steerage: Steerage::new(stores.clone()),
        stores,
        incidents: safety.incidents,
        backups,
        authenticator,
        limiter: Limiter::new(&config, clock.clone(), metrics.clone()),
        authorization,
        denials,
        metrics,
        config,
        clock,
        shutdown,
    };
    Ok(Running {
        app: Arc::new(app),
        drain,
        home,
        extra,
        tasks,
    })
}

/// Opens the home store and its ledger, and checks that they and the data directory are of one
/// history. Nothing was granted before.
async fn home_parts(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
    remembered: &Arc<Remembered>,
) -> Result<(Parts, Option<Arc<RaftBackend>>), AppError> {
    missing::check(config, remembered).await?;
    let opened = home::open_home(config, clock.clone(), metrics).await?;
    let ledger = open_ledger(&config.storage.data_dir).await;
    let ledger: Arc<dyn Ledger> =
        Arc::new(ledger.map_err(|error| AppError::Ledger(error.problem))?);
    if let Some(raft) = &opened.raft {
        raft.show_ledger(ledger.clone());
    }
    let claims = Claims::read(&*opened.documents).await;
    let failed = |error: BackendError| AppError::Storage(error.to_string());
    let membership = Membership {
        documents: opened.documents.clone(),
        raft: opened.raft.clone(),
        consumer: opened.consumer,
    };
    let mut home = Parts {
        name: StoreName::home(),
        claims: claims.map_err(failed)?,
        backend: opened.backend,
        documents: opened.documents,
        members: StoreMembers::default(),
        ledger,
        others: opened.others,
        remembered: remembered.clone(),
        keep_events: config.audit.keep_events,
    };
    let joined = home.join().await;
    joined.map_err(|error| AppError::Parts(error.problem))?;
    let members = membership.take_part(&home.name, config, remembered, clock);
    home.members = members.await.map_err(failed)?;
    let recorded = concession::begin(home.backend.clone(), opened.concessions).await;
    recorded.map_err(failed)?;
    Ok((home, opened.raft))
}

/// Reads what signs the ledgers' checkpoints, and has witnesses cosign them, if there are any.
fn evidence(
    config: &Config,
    stores: &Arc<Stores>,
    safety: &Safety,
    with: (&Arc<Metrics>, &Arc<dyn Clock>),
    tasks: &mut Vec<Supervised>,
) -> Result<Arc<Evidence>, AppError> {
    let evidence = Arc::new(Evidence::open(config).map_err(AppError::LogKey)?);
    let of = (&evidence, stores);
    let witnesses = Witnesses::new(config, of, &safety.incidents, with);
    tasks.extend(Arc::new(witnesses.map_err(AppError::Witness)?).start());
    Ok(evidence)
}

/// Loads governance from the home store's documents.
async fn govern(
    config: &Config,
    (documents, keys, clock): (Arc<dyn Documents>, &Arc<KeyRing>, &Arc<dyn Clock>),
    stores: &Stores,
    (tasks, flags): (&TaskMetrics, Arc<dyn FlagSource>),
) -> Result<Arc<Governance>, AppError> {
    let engine = engine(config)?;
    let (keys, clock) = (keys.clone(), clock.clone());
    let window = Duration::from_millis(config.safe_mode.governance_window_ms);
    let jwt = config.authentication.jwt.as_ref();
    let settings = GovernanceSettings {
        confirm_window: window,
        tasks: tasks.clone(),
        declared_roles: jwt
            .map(|jwt| jwt.roles.iter().cloned().collect())
            .unwrap_or_default(),
        flags,
    };
    let loaded = Governance::load_with(documents, engine, keys, clock, stores.names(), settings);
    loaded.await.map_err(|failure| {
        let (message, detail) = (failure.message, failure.detail);
        AppError::Governance(format!("{message} ({detail:?})"))
    })
}

/// Starts what follows the changes of governance, what resumes moves that were cut off, what rolls back
/// bad candidates, and what asks the flag service.
fn follow_up(
    governance: &Arc<Governance>,
    mover: &Arc<Mover>,
    denials: &Arc<DenialRecorder>,
    (pipeline, metrics): (&Pipeline, &Arc<Metrics>),
    flags: Flags,
) -> Vec<Supervised> {
    let tasks = metrics.tasks();
    let followed = governance.clone();
    let following = supervise("governance-follow", tasks, move || {
        followed.clone().follow().map(ControlFlow::Continue)
    });
    let mover = mover.clone();
    let moving = supervise("mover", tasks, move || {
        mover.clone().take_up().map(ControlFlow::Continue)
    });
    let denials = Arc::downgrade(denials);
    let flushing = supervise("denials", tasks, move || flush_windows(denials.clone()));
    let asking = flags.follow(governance, pipeline, metrics);
    let (governance, comparer) = (governance.clone(), pipeline.comparer().clone());
    let (reporter, counted) = (pipeline.reporter().clone(), metrics.clone());
    let guarding = supervise("rollouts", tasks, move || {
        guard(
            governance.clone(),
            comparer.clone(),
            reporter.clone(),
            counted.clone(),
        )
    });
    let mut tasks = vec![following, moving, flushing, guarding];
    tasks.extend(asking);
    tasks
}

/// Begins to open the other stores. One that cannot be opened keeps none of the others waiting for
/// long.
async fn open_extra(
    config: &Arc<Config>,
    home: &RunningStore,
    (clock, metrics, safety): (&Arc<dyn Clock>, &Arc<Metrics>, &Safety),
    remembered: &Arc<Remembered>,
) -> Result<(Arc<Stores>, Vec<Extra>), AppError> {
    let mut slots = BTreeMap::new();
    let mut extra = Vec::new();
    for name in config.stores.keys() {
        let name: StoreName = name
            .parse()
            .map_err(|error| AppError::Storage(format!("{error}")))?;
        let (config, of, with) = (config.clone(), name.clone(), clock.clone());
        let remembered = remembered.clone();
        let open = Box::new(move || {
            let remembered = remembered.clone();
            let parts = extra_parts(config.clone(), of.clone(), with.clone(), remembered);
            Box::pin(parts) as futures_util::future::BoxFuture<'static, _>
        });
        let with = (clock.clone(), metrics.clone(), safety.clone());
        let store = Extra::begin(name.clone(), with, open);
        slots.insert(name, store.slot.clone());
        extra.push(store);
    }
    let tried = extra.iter().map(|one| one.tried(EXTRA_STORES_PATIENCE));
    futures_util::future::join_all(tried).await;
    Ok((Arc::new(Stores::new(home.open.clone(), slots)), extra))
}

async fn extra_parts(
    config: Arc<Config>,
    name: StoreName,
    clock: Arc<dyn Clock>,
    remembered: Arc<Remembered>,
) -> Result<Parts, NotOpen> {
    let chosen = config.stores.get(name.as_str());
    let chosen = chosen.ok_or_else(|| "not configured".to_owned())?.chosen();
    let folder = store_folder(&config.storage.data_dir, &name);
    let made = tokio::fs::create_dir_all(&folder).await;
    made.map_err(|error| format!("{}: {error}", folder.display()))?;
    // The store first: its ledger is read, which takes a while, only once there is a store.
    let registering = clock.clone();
    let opened = backends::open_shared(chosen, &folder, clock).await;
    let opened = opened.map_err(|error| NotOpen {
        kind: match error {
            AppError::StoreFenced(_) => FailureKind::Fenced,
            _ => FailureKind::Unavailable,
        },
        problem: error.to_string(),
    })?;
    let reading = async {
        let claims = Claims::read(&*opened.documents).await;
        let claims = claims.map_err(|error| error.to_string())?;
        Ok::<_, String>((open_ledger(&folder).await?, claims))
    };
    let (ledger, claims) = match reading.await {
        Ok(read) => read,
        Err(problem) => {
            opened.backend.close().await;
            return Err(NotOpen::from(problem));
        }
    };
    let membership = Membership {
        documents: opened.documents.clone(),
        raft: None,
        consumer: opened.consumer,
    };
    let mut parts = Parts {
        name,
        claims,
        backend: opened.backend,
        documents: opened.documents,
        members: StoreMembers::default(),
        ledger: Arc::new(ledger),
        others: opened.others,
        remembered: remembered.clone(),
        keep_events: config.audit.keep_events,
    };
    let joining = async {
        parts.join().await?;
        let members = membership.take_part(&parts.name, &config, &remembered, &registering);
        members
            .await
            .map_err(|error| NotOpen::from(error.to_string()))
    };
    match joining.await {
        Ok(members) => parts.members = members,
        Err(problem) => {
            parts.backend.close().await;
            return Err(problem);
        }
    }
    let recorded = concession::begin(parts.backend.clone(), opened.concessions).await;
    recorded.map_err(|error| error.to_string())?;
    Ok(parts)
}

impl Running {
    /// Tells long polls and watches to end, so that connections drain.
    pub fn begin_drain(&self) {
        self.drain.send_replace(true);
    }

    /// Resolves when the default store has stopped for good, and returns why; the process must end
    /// then, with exit code 70. Another store that has stopped ends only what is kept in it.
    pub async fn stopped(&self) -> String {
        self.home.stopped().await
    }

    /// Closes everything behind the listeners: what was answered is durable already, and the
    /// ledgers get what they have not yet.
    pub async fn close(self) {
        self.begin_drain();
        drop(self.tasks);
        self.app.denials.flush().await;
        let recording = self.app.governance.record_key_uses();
        match tokio::time::timeout(KEY_USES_WAIT, recording).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                tracing::warn!(message = %failure.message, detail = ?failure.detail, "governance.key_uses lost");
            }
            Err(_) => tracing::warn!("governance.key_uses lost: the store does not answer"),
        }
        // Nothing is waited for from a gateway that has stopped.
        let telling = self.app.pipeline.reporter().stop();
        match tokio::time::timeout(KEY_USES_WAIT, telling).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                tracing::warn!(message = %failure.message, detail = ?failure.detail, "rollouts.report of the stop not written");
            }
            Err(_) => {
                tracing::warn!("rollouts.report of the stop not written: the store does not answer")
            }
        }
        futures_util::future::join_all(self.extra.into_iter().map(Extra::close)).await;
        self.home.close().await;
    }
}

#[cfg(test)]
mod tests;
