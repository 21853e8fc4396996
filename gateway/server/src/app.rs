//! The composition root: the only place that names concrete backends, and that knows the order in
//! which the house is opened and closed.

use std::sync::Arc;
use std::time::Duration;

use leasehold_audit::CarrierOptions;
use leasehold_audit::CarrierStatus;
use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Cluster;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerPeers;
use leasehold_backend_etcd::EtcdBackend;
use leasehold_backend_etcd::EtcdConfig;
use leasehold_backend_memory::MemoryBackend;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_backend_raft::PeerSecurity;
use leasehold_backend_raft::PeersConfig;
use leasehold_backend_raft::RaftBackend;
use leasehold_backend_raft::RaftConfig;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_domain::limits;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::authentication::Authenticator;
use crate::authentication::KeyRing;
use crate::config::Config;
use crate::config::ConfigError;
use crate::config::StorageBackend;
use crate::governance::Governance;
use crate::pipeline::Inner;
use crate::pipeline::Pipeline;
use crate::pipeline::decide::Decider;
use crate::pipeline::execute::Store;
use crate::pipeline::watch::Watches;
use crate::steering::Steerage;
use crate::telemetry::Metrics;
use crate::waits::Waits;

/// Why the house could not be opened, or had to be closed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store of locks.
    #[error("storage: {0}")]
    Storage(String),
    /// The ledger.
    #[error("ledger: {0}")]
    Ledger(String),
    /// The policy engine.
    #[error("policy engine: {0}")]
    Policies(String),
    /// Governance state.
    #[error("governance: {0}")]
    Governance(String),
    /// Authentication.
    #[error("authentication: {0}")]
    Authentication(String),
}

/// What handlers see: no backend among it.
#[derive(Debug)]
pub struct App {
    /// The way of a request.
    pub pipeline: Pipeline,
    /// Namespaces, policies, bindings, keys.
    pub governance: Arc<Governance>,
    /// The cluster.
    pub steerage: Steerage,
    /// The audit log.
    pub ledger: Arc<dyn Ledger>,
    /// How far the ledger is behind.
    pub carrier: Arc<CarrierStatus>,
    /// Who calls.
    pub authenticator: Authenticator,
    /// What Prometheus reads.
    pub metrics: Arc<Metrics>,
    /// The configuration.
    pub config: Arc<Config>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Turns true when the gateway drains.
    pub shutdown: watch::Receiver<bool>,
}

impl App {
    /// Waits until the ledger has what was answered before this call, but not for long: an answer
    /// says up to where it is complete.
    pub(crate) async fn ledger_follows(&self) {
        let newest = self.pipeline.health().await.newest;
        let at_most = Duration::from_millis(limits::LEDGER_WAIT_MS_MAX);
        self.carrier.reached(newest, at_most).await;
    }
}

/// The open house: the app, and what must be closed behind it.
#[derive(Debug)]
pub struct Running {
    /// What handlers see.
    pub app: Arc<App>,
    backend: Arc<dyn Backend>,
    raft: Option<Arc<RaftBackend>>,
    drain: watch::Sender<bool>,
    stop_carrier: watch::Sender<bool>,
    carrier: JoinHandle<()>,
}

/// Opens everything behind the listeners, in the order of the data's way back.
///
/// # Errors
/// A part cannot be opened; the message says which, and why.
pub async fn open(config: Arc<Config>) -> Result<Running, AppError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Arc::new(Metrics::new());
    let (backend, documents, raft) = open_backend(&config, clock.clone()).await?;
    let ledger: Arc<dyn Ledger> = Arc::new(open_ledger(&config)?);
    let (drain, shutdown) = watch::channel(false);
    let (stop_carrier, carrier_stopped) = watch::channel(false);
    let status = Arc::new(CarrierStatus::default());
    let peers = raft.clone().map(|raft| raft as Arc<dyn LedgerPeers>);
    if let Some(raft) = &raft {
        raft.show_ledger(ledger.clone());
    }
    let carrier = spawn_carrier(&backend, &ledger, peers, &status, carrier_stopped);

    let engine = PolicyEngine::new(engine_limits(&config))
        .map_err(|error| AppError::Policies(error.to_string()))?;
    let keys = Arc::new(KeyRing::default());
    let governance = Governance::load(documents, engine, keys.clone(), clock.clone())
        .await
        .map_err(|failure| AppError::Governance(describe(&failure)))?;
    tokio::spawn(governance.clone().follow());

    let waits = Arc::new(Waits::default());
    let from = backend.health().await.newest;
    tokio::spawn(waits.clone().follow(backend.clone(), from, metrics.clone()));

    let authenticator = Authenticator::new(&config.authentication, keys, clock.clone())
        .await
        .map_err(|error| AppError::Authentication(error.to_string()))?;
    let store = Store::new(backend.clone(), clock.clone(), metrics.clone());
    let store = Arc::new(store);
    let pipeline = Pipeline::new(Inner {
        governance: governance.clone(),
        decider: Decider::new(
            clock.clone(),
            metrics.clone(),
            config.audit.records_renewals(),
        ),
        watches: Watches::new(store.clone(), ledger.clone()),
        store,
        waits,
        shutdown: shutdown.clone(),
    });
    let cluster = raft.clone().map(|raft| raft as Arc<dyn Cluster>);
    let app = App {
        pipeline,
        governance,
        steerage: Steerage::new(backend.clone(), cluster),
        ledger,
        carrier: status,
        authenticator,
        metrics,
        config,
        clock,
        shutdown,
    };
    Ok(Running {
        app: Arc::new(app),
        backend,
        raft,
        drain,
        stop_carrier,
        carrier,
    })
}

impl Running {
    /// Tells long polls and watches to end, so that connections drain.
    pub fn begin_drain(&self) {
        self.drain.send_replace(true);
    }

    /// Resolves when the store is poisoned; the process must end then, with exit code 70.
    pub async fn poisoned(&self) {
        match &self.raft {
            Some(raft) => raft.fatal().await,
            None => std::future::pending().await,
        }
    }

    /// Closes everything behind the listeners: what was answered is durable already, and the
    /// ledger gets what it has not yet.
    pub async fn close(self) {
        self.begin_drain();
        self.stop_carrier.send_replace(true);
        if let Err(error) = self.carrier.await {
            tracing::error!(%error, "carrier.stop failed");
        }
        self.backend.close().await;
    }
}

type Opened = (
    Arc<dyn Backend>,
    Arc<dyn Documents>,
    Option<Arc<RaftBackend>>,
);

async fn open_backend(config: &Config, clock: Arc<dyn Clock>) -> Result<Opened, AppError> {
    match config.storage.backend {
        StorageBackend::Memory => {
            let memory = MemoryBackend::new(clock);
            Ok((memory.clone(), memory, None))
        }
        StorageBackend::Raft => {
            let failed = |error: String| AppError::Storage(error);
            let raft = RaftConfig {
                agree_within: config.cluster.agree_within(),
                peers: peers(config),
                ..RaftConfig::new(config.storage.data_dir.join("raft"))
            };
            let raft = RaftBackend::open(raft, clock)
                .await
                .map_err(|error| failed(error.to_string()))?;
            if let Some(address) = raft.peer_address() {
                tracing::info!(%address, "cluster.listening");
            }
            // Everything behind this line reads the store.
            let part = raft.take_part().await;
            part.map_err(|error| failed(error.to_string()))?;
            Ok((raft.clone(), raft.clone(), Some(raft)))
        }
        StorageBackend::Postgres => {
            let failed = |error: String| AppError::Storage(error);
            let config = postgres_config(config).map_err(|error| failed(error.to_string()))?;
            let postgres = PostgresBackend::open(config, clock)
                .await
                .map_err(|error| failed(format!("postgres: {error}")))?;
            Ok((postgres.clone(), postgres, None))
        }
        StorageBackend::Etcd => open_etcd(config, clock).await,
    }
}

async fn open_etcd(config: &Config, clock: Arc<dyn Clock>) -> Result<Opened, AppError> {
    let failed = |error: String| AppError::Storage(error);
    let config = etcd_config(config).map_err(|error| failed(error.to_string()))?;
    let etcd = EtcdBackend::open(config, clock)
        .await
        .map_err(|error| failed(format!("etcd: {error}")))?;
    Ok((etcd.clone(), etcd, None))
}

fn etcd_config(config: &Config) -> Result<EtcdConfig, ConfigError> {
    let Some(etcd) = &config.storage.etcd else {
        return Err(ConfigError::at("storage.etcd", "is needed"));
    };
    Ok(EtcdConfig {
        prefix: etcd.prefix.clone(),
        user: etcd.user.clone(),
        password: etcd.password()?,
        tls_ca: etcd.tls_ca.clone(),
        tls_cert: etcd.tls_cert.clone(),
        tls_key: etcd.tls_key.clone(),
        insecure_without_tls: etcd.insecure_without_tls,
        consumer: etcd.consumer.clone(),
        compact_every: (etcd.compact_every_ms > 0)
            .then(|| Duration::from_millis(etcd.compact_every_ms)),
        transaction_deadline: Duration::from_millis(etcd.transaction_deadline_ms),
        ..EtcdConfig::new(etcd.endpoints.clone())
    })
}

fn postgres_config(config: &Config) -> Result<PostgresConfig, ConfigError> {
    let Some(postgres) = &config.storage.postgres else {
        return Err(ConfigError::at("storage.postgres", "is needed"));
    };
    Ok(PostgresConfig {
        password: postgres.password()?,
        tls_ca: postgres.tls_ca.clone(),
        insecure_without_tls: postgres.insecure_without_tls,
        allow_unreplicated: postgres.allow_unreplicated,
        consumer: postgres.consumer.clone(),
        transaction_deadline: Duration::from_millis(postgres.transaction_deadline_ms),
        ..PostgresConfig::new(postgres.url.clone())
    })
}

/// How this gateway reaches its peers; none if it is alone.
fn peers(config: &Config) -> Option<PeersConfig> {
    let cluster = &config.cluster;
    Some(PeersConfig {
        listen: cluster.listen?,
        advertise: cluster.advertise.clone(),
        security: match &cluster.tls {
            Some(tls) => PeerSecurity::MutualTls {
                certificate: tls.cert.clone(),
                key: tls.key.clone(),
                authority: tls.ca.clone(),
            },
            None => PeerSecurity::PlaintextOnLoopback,
        },
        join: cluster.join,
    })
}

fn open_ledger(config: &Config) -> Result<SqliteLedger, AppError> {
    let failed = |error: String| AppError::Ledger(error);
    let folder = &config.storage.data_dir;
    std::fs::create_dir_all(folder)
        .map_err(|error| failed(format!("{}: {error}", folder.display())))?;
    let path = folder.join("ledger.sqlite");
    SqliteLedger::open(&path, LedgerOptions::default()).map_err(|error| failed(error.to_string()))
}

fn spawn_carrier(
    backend: &Arc<dyn Backend>,
    ledger: &Arc<dyn Ledger>,
    peers: Option<Arc<dyn LedgerPeers>>,
    status: &Arc<CarrierStatus>,
    stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let (backend, ledger, status) = (backend.clone(), ledger.clone(), status.clone());
    let options = CarrierOptions::default();
    tokio::spawn(async move {
        if let Err(error) =
            leasehold_audit::carry(backend, ledger, peers, options, status, stopped).await
        {
            tracing::error!(%error, "carrier failed; events stay in the store");
        }
    })
}

fn engine_limits(config: &Config) -> EngineLimits {
    EngineLimits {
        fuel: config.policy.fuel,
        deadline_ms: config.policy.deadline_ms,
        memory_bytes: config.policy.memory_bytes,
        instances: config.policy.instances_max,
        ..EngineLimits::default()
    }
}

fn describe(failure: &crate::pipeline::failure::Failure) -> String {
    format!("{} ({:?})", failure.message, failure.detail)
}
