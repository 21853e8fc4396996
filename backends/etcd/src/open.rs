//! Opens a store: members, format, mirror, tasks.

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Poison;
use leasehold_backend_api::found_level;
use leasehold_domain::Clock;
use leasehold_domain::FeatureLevel;
use leasehold_machine::stored;
use prost::bytes::Bytes;
use tokio::sync::Mutex;
use tokio::sync::RwLock;
use tokio::sync::watch;

use crate::EtcdBackend;
use crate::EtcdConfig;
use crate::OpenError;
use crate::aside::Aside;
use crate::batcher::Batcher;
use crate::client::Client;
use crate::error;
use crate::history;
use crate::history_growth::HistoryGrowth;
use crate::item::Item;
use crate::keys::Keys;
use crate::members::Members;
use crate::mirror::Base;
use crate::mirror::Mirror;
use crate::outbox::Outbox;
use crate::proto::Compare;
use crate::proto::Operation;
use crate::proto::Performed;
use crate::proto::PutRequest;
use crate::proto::RequestOp;
use crate::proto::TxnRequest;
use crate::queue::Queue;
use crate::status::Status;
use crate::tasks;
use crate::tasks::Watcher;
use crate::time::Timekeeper;
use crate::transaction;
use crate::writer::Shared;
use crate::writer::Writer;

/// Commands in one transaction at most: they and what is due must fit into the operations that etcd
/// takes.
const BATCH_COMMANDS_MAX: usize = 96;
/// What the bytes of this build's keys mean.
const FORMAT: &str = "2";
/// The same, of a store whose history was started anew: with [`Keys::history`], without which an
/// older build would grant tokens that are too small.
pub(crate) const FORMAT_NEW_HISTORY: &str = "3";
/// The format before: waiters were in their lock's key. This build reads them there, and puts them
/// anew.
const FORMAT_BEFORE: &str = "1";

impl EtcdBackend {
    /// Opens the store, and founds it if there is none. Answers when everything is read.
    ///
    /// # Errors
    /// The configuration is wrong; no member can be used; the format is newer than this build, or its
    /// feature level not supported; or what is stored is corrupt.
    pub async fn open(config: EtcdConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        check(&config)?;
        let shared = Arc::new(Shared {
            mirror: RwLock::new(Mirror::default()),
            outbox: Outbox::new(),
            poison: Poison::default(),
            status: Status::default(),
            keeper: Arc::new(Timekeeper::new(clock, config.step_max)),
            keys: Keys::new(config.prefix.clone()),
            members: Members::of(&config)?,
            growth: HistoryGrowth::new(config.compact_after_bytes),
            deadline: config.transaction_deadline,
            poll_every: config.poll_every,
            client: std::sync::Mutex::new(None),
            levels: config.levels,
            opened: std::sync::OnceLock::new(),
        });
        let (client, _) = shared.members.connect().await?;
        found(&client, &shared.keys).await?;
        history::identify(&client, &shared.keys).await?;
        let aside = Arc::new(Aside::new(shared.clone()));
        let is_new = aside.enrol(&config.consumer, &client).await?;
        drop(client);

        let (queue, waiting) = Queue::new(config.queue_max);
        let (closing, closed) = watch::channel(false);
        let batcher = Batcher {
            writer: Writer::new(shared.clone(), rand::random()),
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
        let watcher = Watcher {
            shared: shared.clone(),
            queue,
            every: config.poll_every / 2,
        };
        let poison = &shared.poison;
        poison.spawn_until(closed.clone(), "watcher", watcher.run(closed.clone()));
        if let Some(every) = config.compact_every {
            let compacting = tasks::compact(shared.clone(), every, closed.clone());
            poison.spawn_until(closed, "compact", compacting);
        }
        Ok(backend)
    }

    /// Reads the store, and gives a new one the level of its founder.
    async fn read_first(&self, level: FeatureLevel) -> Result<(), BackendError> {
        self.queue.propose(Item::Look).await?;
        found_level(self, self.shared.status.newest(), level).await
    }
}

fn check(config: &EtcdConfig) -> Result<(), OpenError> {
    let bad = |problem: &str| Err(OpenError::Config(problem.to_owned()));
    if !config.prefix.ends_with('/') {
        return bad("the prefix must end with a slash");
    }
    if config.consumer.is_empty() {
        return bad("the consumer needs a name");
    }
    Ok(())
}

/// Founds the store, unless it is there, and lifts one of the format before to this.
async fn found(client: &Client, keys: &Keys) -> Result<(), OpenError> {
    let base = stored::encode(&Base::default());
    let all = vec![
        put(keys.format(), Bytes::from_static(FORMAT.as_bytes())),
        put(keys.head(), Bytes::new()),
        put(keys.base(), base.into()),
    ];
    let mut put_all = (0, all);
    // Once for each format that may be there.
    for _ in 0..3 {
        let (revision, success) = put_all;
        let founding = TxnRequest {
            compare: vec![Compare::unchanged(keys.format(), revision)],
            success,
            failure: vec![Operation::Range(transaction::one(keys.format())).into()],
        };
        let answer = client.txn(founding).await;
        let answer = answer.map_err(|status| error::written(&status))?;
        if answer.succeeded {
            return Ok(());
        }
        let format = answer
            .responses
            .into_iter()
            .find_map(|op| match op.response {
                Some(Performed::Range(range)) => range.kvs.into_iter().next(),
                _ => None,
            });
        let (found, revision) =
            format.map_or_else(Default::default, |kv| (kv.value, kv.mod_revision));
        if [FORMAT, FORMAT_NEW_HISTORY]
            .map(str::as_bytes)
            .contains(&&*found)
        {
            return Ok(());
        } else if found != FORMAT_BEFORE.as_bytes() {
            return Err(OpenError::Newer {
                found: String::from_utf8_lossy(&found).into_owned(),
                known: FORMAT_NEW_HISTORY,
            });
        }
        tracing::info!(from = FORMAT_BEFORE, to = FORMAT, "etcd.format lifted");
        let lifted = put(keys.format(), Bytes::from_static(FORMAT.as_bytes()));
        put_all = (revision, vec![lifted]);
    }
    Err(error::unavailable("other gateways change its format").into())
}

fn put(key: Bytes, value: Bytes) -> RequestOp {
    Operation::Put(PutRequest {
        key,
        value,
        prev_kv: false,
    })
    .into()
}
