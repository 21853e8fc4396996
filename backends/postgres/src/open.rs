//! Opens a store: servers, schema, mirror, tasks.

use std::sync::Arc;
use std::sync::atomic::AtomicI32;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Poison;
use leasehold_backend_api::found_level;
use leasehold_domain::Clock;
use leasehold_domain::FeatureLevel;
use tokio::sync::Mutex;
use tokio::sync::RwLock;
use tokio::sync::watch;

use crate::OpenError;
use crate::PostgresBackend;
use crate::PostgresConfig;
use crate::aside::Aside;
use crate::batcher::Batcher;
use crate::batcher::Queue;
use crate::client::Servers;
use crate::fold::Folder;
use crate::item::Item;
use crate::known::Known;
use crate::mirror::Mirror;
use crate::outbox::Outbox;
use crate::schema;
use crate::status::Status;
use crate::tasks;
use crate::time::Timekeeper;
use crate::transaction::Transactions;
use crate::writer::Shared;
use crate::writer::Writer;

/// Commands in one transaction at most: each makes at most one token for a lock, and so does a
/// tick.
const BATCH_COMMANDS_MAX: usize = 1_000;

impl PostgresBackend {
    /// Opens the store, and makes its schema if there is none. Answers when everything is read.
    ///
    /// # Errors
    /// The configuration is wrong; no primary as demanded can be reached; the schema is newer than
    /// this build, or its feature level not supported; or what is stored is corrupt.
    pub async fn open(
        config: PostgresConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        let transactions =
            Transactions::new(config.transaction_deadline, config.allow_unreplicated);
        let shared = Arc::new(Shared {
            mirror: RwLock::new(Mirror::default()),
            outbox: Outbox::new(),
            poison: Poison::default(),
            status: Status::default(),
            keeper: Timekeeper::new(config.step_max),
            clock,
            transactions,
            servers: Servers::of(&config)?,
            known: Known::new(&config),
            allow_unreplicated: config.allow_unreplicated,
            levels: config.levels,
            accepted: AtomicI32::new(0),
        });
        let primary = shared.connect().await?;
        let migrating = schema::migrate(&primary.connection, &shared.transactions, shared.levels);
        shared.transactions.within_load(migrating).await?;
        drop(primary);
        let aside = Arc::new(Aside::new(shared.clone()));
        let former = config.former_consumer.as_deref();
        let is_new = aside.enrol(&config.consumer, former).await?;

        let (queue, waiting) = Queue::new(config.queue_max);
        let (closing, closed) = watch::channel(false);
        let batcher = Batcher {
            writer: Writer::new(shared.clone()),
            commands_max: config.batch_commands_max.clamp(1, BATCH_COMMANDS_MAX),
        };
        let writing = batcher.run(waiting, closed.clone());
        let writer = shared.poison.spawn_until(closed.clone(), "writer", writing);
        let backend = Arc::new(Self {
            shared: shared.clone(),
            queue: queue.clone(),
            aside,
            consumer: config.consumer,
            is_new,
            closing,
            writer: Mutex::new(Some(writer)),
        });
        // Reads the store; a failure ends the writer by dropping the last handles.
        if let Err(failure) = backend.read_first(config.levels.max).await {
            backend.closing.send_replace(true);
            return Err(failure.into());
        }
        let watcher = tasks::Watcher {
            shared: shared.clone(),
            queue,
            every: config.poll_every,
        };
        let poison = &shared.poison;
        poison.spawn_until(closed.clone(), "watcher", watcher.run(closed.clone()));
        let folding = tasks::fold(
            Folder::new(shared.clone()),
            config.fold_every,
            closed.clone(),
        );
        poison.spawn_until(closed.clone(), "fold", folding);
        let migrating = tasks::migrate(shared.clone(), closed.clone());
        poison.spawn_until(closed, "migrate", migrating);
        Ok(backend)
    }

    /// Reads the store, and gives a new one the level of its founder.
    async fn read_first(&self, level: FeatureLevel) -> Result<(), BackendError> {
        self.queue.propose(Item::Look).await?;
        found_level(self, self.shared.status.newest(), level).await
    }
}
