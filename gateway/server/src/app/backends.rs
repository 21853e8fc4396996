//! The one place that names concrete backends, and translates configuration into theirs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Documents;
use leasehold_backend_api::NewHistory;
use leasehold_backend_etcd::EtcdBackend;
use leasehold_backend_etcd::EtcdConfig;
use leasehold_backend_memory::MemoryBackend;
use leasehold_backend_postgres::PostgresBackend;
use leasehold_backend_postgres::PostgresConfig;
use leasehold_backend_raft::OpenError;
use leasehold_backend_raft::PeerSecurity;
use leasehold_backend_raft::PeersConfig;
use leasehold_backend_raft::RaftBackend;
use leasehold_backend_raft::RaftConfig;
use leasehold_core::bookkeeping::OtherLedgers;
use leasehold_core::concession::Concessions;
use leasehold_core::config::Chosen;
use leasehold_core::config::Config;
use leasehold_core::config::Etcd;
use leasehold_core::config::LedgerPlace;
use leasehold_core::config::Postgres;
use leasehold_core::config::StorageBackend;
use leasehold_core::data_dir::raft_folder;
use leasehold_core::telemetry::Metrics;
use leasehold_domain::Clock;
use leasehold_http::waiting;
use leasehold_http::waiting::Waiting;
use tokio::sync::watch;

use super::AppError;
use super::database_memory::DatabaseMemory;

/// A backend that is open.
pub(super) struct Opened {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) documents: Arc<dyn Documents>,
    /// The same, if it is the embedded one.
    pub(super) raft: Option<Arc<RaftBackend>>,
    pub(super) others: OtherLedgers,
    /// The same, if an operator can start its history anew.
    pub(super) new_history: Option<Arc<dyn NewHistory>>,
    /// What this gateway is called among the readers of the store's events, if others share it.
    pub(super) consumer: Option<String>,
    /// What the store is taken with although it weakens a promise.
    pub(super) concessions: Option<Concessions>,
}

/// What a gateway does that is not a member of its cluster yet.
const WAITS: &str = "waits to take part in its cluster";

/// What an operator can do about a member's folder without a store.
const NO_STORE: &str = "with a [cluster] section none is created by itself, because the cluster \
    may hold locks that a new store would grant. If this gateway was a member and its folder was \
    lost: set cluster.join = true, start it, and ask another member for `leasehold cluster replace \
    NODE ADDRESS`. If it is the first gateway of a new cluster: `leasehold cluster create`";

/// The database's own ledger, among those who read its events.
const ARCHIVE: &str = "ledger:archive";

/// Opens a store that is not embedded. `folder` is where this gateway has what goes with it.
///
/// # Errors
/// [`AppError::StoreAway`] or [`AppError::StoreFenced`] if that may pass.
pub(super) async fn open_shared(
    chosen: Chosen<'_>,
    folder: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Opened, AppError> {
    match chosen.backend {
        StorageBackend::Memory => Ok(open_memory(clock)),
        StorageBackend::Postgres => {
            let memory = DatabaseMemory::open(folder);
            let memory = memory.map_err(|error| AppError::Storage(format!("postgres: {error}")))?;
            open_postgres(chosen.postgres, Arc::new(memory), clock).await
        }
        StorageBackend::Etcd => open_etcd(chosen.etcd, clock).await,
        StorageBackend::Raft => Err(AppError::Storage("raft: only as the home store".to_owned())),
    }
}

fn open_memory(clock: Arc<dyn Clock>) -> Opened {
    let memory = MemoryBackend::new(clock);
    Opened {
        backend: memory.clone(),
        documents: memory,
        raft: None,
        new_history: None,
        consumer: None,
        concessions: None,
        others: OtherLedgers::None,
    }
}

/// Opens a Postgres or etcd store although it is older than this gateway remembers.
///
/// # Errors
/// As for [`open_shared`], and if the history of such a store cannot be started anew.
pub(super) async fn open_older(
    chosen: Chosen<'_>,
    folder: &Path,
    clock: Arc<dyn Clock>,
) -> Result<(Opened, Option<Arc<DatabaseMemory>>), AppError> {
    match chosen.backend {
        StorageBackend::Postgres => {
            let memory = DatabaseMemory::replacing(folder);
            let memory = memory.map_err(|error| AppError::Storage(format!("postgres: {error}")))?;
            let memory = Arc::new(memory);
            let opened = open_postgres(chosen.postgres, memory.clone(), clock).await?;
            Ok((opened, Some(memory)))
        }
        StorageBackend::Etcd => Ok((open_etcd(chosen.etcd, clock).await?, None)),
        StorageBackend::Memory | StorageBackend::Raft => {
            let problem = "only a Postgres or etcd store can start a new history this way";
            Err(AppError::Storage(problem.to_owned()))
        }
    }
}

async fn open_postgres(
    postgres: Option<&Postgres>,
    memory: Arc<DatabaseMemory>,
    clock: Arc<dyn Clock>,
) -> Result<Opened, AppError> {
    let failed = |error: String| AppError::Storage(format!("postgres: {error}"));
    let postgres = postgres.ok_or_else(|| failed("its section is needed".to_owned()))?;
    let password = postgres
        .password()
        .map_err(|error| failed(error.to_string()))?;
    let (kept, consumer_name) = (postgres.ledger, postgres.consumer.clone());
    let (consumer, former_consumer) = match kept {
        // One for all: what the database's own ledger has, no gateway needs from the events.
        LedgerPlace::Database => (ARCHIVE.to_owned(), Some(postgres.consumer.clone())),
        LedgerPlace::DataDir => (postgres.consumer.clone(), None),
    };
    let config = PostgresConfig {
        password,
        tls_ca: postgres.tls_ca.clone(),
        insecure_without_tls: postgres.insecure_without_tls,
        allow_unreplicated: postgres.allow_unreplicated,
        system_identifier: postgres.system_identifier,
        timeline_min: postgres.timeline_min,
        memory: Some(memory),
        consumer,
        former_consumer,
        transaction_deadline: Duration::from_millis(postgres.transaction_deadline_ms),
        ..PostgresConfig::new(postgres.url.clone())
    };
    let opened = PostgresBackend::open(config, clock).await;
    let postgres = opened.map_err(|error| match error {
        leasehold_backend_postgres::OpenError::Unavailable(problem) => {
            AppError::StoreAway(format!("postgres: {problem}"))
        }
        leasehold_backend_postgres::OpenError::Fenced(problem) => {
            AppError::StoreFenced(format!("postgres: {problem}"))
        }
        lasting => failed(lasting.to_string()),
    })?;
    Ok(Opened {
        backend: postgres.clone(),
        documents: postgres.clone(),
        new_history: Some(postgres.clone()),
        consumer: Some(consumer_name),
        raft: None,
        concessions: Some(("postgres", postgres.concessions())),
        others: match kept {
            LedgerPlace::Database => OtherLedgers::Archive(postgres),
            LedgerPlace::DataDir => OtherLedgers::None,
        },
    })
}

async fn open_etcd(etcd: Option<&Etcd>, clock: Arc<dyn Clock>) -> Result<Opened, AppError> {
    let failed = |error: String| AppError::Storage(format!("etcd: {error}"));
    let etcd = etcd.ok_or_else(|| failed("its section is needed".to_owned()))?;
    let password = etcd.password().map_err(|error| failed(error.to_string()))?;
    let consumer = etcd.consumer.clone();
    let config = EtcdConfig {
        prefix: etcd.prefix.clone(),
        user: etcd.user.clone(),
        password,
        tls_ca: etcd.tls_ca.clone(),
        tls_cert: etcd.tls_cert.clone(),
        tls_key: etcd.tls_key.clone(),
        insecure_without_tls: etcd.insecure_without_tls,
        consumer: etcd.consumer.clone(),
        compact_every: (etcd.compact_every_ms > 0)
            .then(|| Duration::from_millis(etcd.compact_every_ms)),
        transaction_deadline: Duration::from_millis(etcd.transaction_deadline_ms),
        ..EtcdConfig::new(etcd.endpoints.clone())
    };
    let opened = EtcdBackend::open(config, clock).await;
    let etcd = opened.map_err(|error| match error {
        leasehold_backend_etcd::OpenError::Unavailable(problem) => {
            AppError::StoreAway(format!("etcd: {problem}"))
        }
        lasting => failed(lasting.to_string()),
    })?;
    Ok(Opened {
        backend: etcd.clone(),
        documents: etcd.clone(),
        new_history: Some(etcd),
        consumer: Some(consumer),
        raft: None,
        concessions: None,
        others: OtherLedgers::None,
    })
}

pub(super) async fn open_raft(
    config: &Config,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
    may_create: bool,
) -> Result<Opened, AppError> {
    let failed = |error: String| AppError::Storage(error);
    let raft = RaftConfig {
        agree_within: config.cluster.agree_within(),
        peers: peers(config),
        snapshot_commands: config.storage.snapshot_commands,
        may_create,
        ..RaftConfig::new(raft_folder(&config.storage.data_dir))
    };
    let folder = config.storage.data_dir.display();
    let raft = RaftBackend::open(raft, clock)
        .await
        .map_err(|error| match error {
            OpenError::Absent(_) if config.cluster.listen.is_some() => {
                failed(format!("{error}; {NO_STORE}"))
            }
            other => failed(format!("{folder}: {other}")),
        })?;
    if let Some(address) = raft.peer_address() {
        tracing::info!(%address, "cluster.listening");
    }
    // Whoever looks after it sees meanwhile that it lives.
    let says = watch::Sender::new(Waiting::unavailable(WAITS));
    let waiting = match raft.peer_address() {
        Some(_) => Some(waiting::listen(config, metrics, says.subscribe()).await?),
        None => None,
    };
    // Everything behind this line reads the store.
    let part = take_part(&raft, &says).await;
    part.map_err(|error| failed(error.to_string()))?;
    if let Some(waiting) = waiting {
        waiting.drain().await;
    }
    Ok(Opened {
        backend: raft.clone(),
        documents: raft.clone(),
        others: OtherLedgers::Peers(raft.clone()),
        new_history: None,
        consumer: None,
        concessions: None,
        raft: Some(raft),
    })
}

/// Waits until a member takes part in its cluster. Says if it never will.
async fn take_part(raft: &RaftBackend, says: &watch::Sender<Waiting>) -> Result<(), BackendError> {
    let mut part = std::pin::pin!(raft.take_part());
    tokio::select! {
        part = &mut part => part,
        problem = raft.outdated() => {
            says.send_replace(Waiting::unavailable(&format!("is not ready: {problem}")));
            part.await
        }
    }
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
