//! A gateway in this process over the memory store, for tests of decisions. Its store gives way to
//! other requests before and after each call, as a store over a network does.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use leasehold_audit::LedgerOptions;
use leasehold_audit::SqliteLedger;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Health;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::StoreHistory;
use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::LeaseId;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::Mode;
use leasehold_domain::NamespaceName;
use leasehold_domain::Outcome;
use leasehold_domain::Page;
use leasehold_domain::Precondition;
use leasehold_domain::Principal;
use leasehold_domain::RequestId;
use leasehold_domain::Role;
use leasehold_domain::StoreName;
use leasehold_domain::Subject;
use leasehold_domain::SystemClock;
use leasehold_domain::TeamName;
use leasehold_domain::Usage;
use leasehold_policy_guests::QUOTA_1;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;
use leasehold_policy_host::stock;
use serde_json::Value;

use super::Held;
use super::Inner;
use super::Pipeline;
use super::ask;
use super::decide::Decider;
use crate::authentication::KeyRing;
use crate::authorization::fixture::authorization;
use crate::caller::Caller;
use crate::config::Policy;
use crate::failure::Failure;
use crate::flags::FlagSource;
use crate::flags::OwnState;
use crate::governance::Governance;
use crate::governance::GovernanceSettings;
use crate::governance::Push;
use crate::governance::WrittenBinding;
use crate::governance::document::DefaultDecision;
use crate::governance::document::NamespaceCaps;
use crate::governance::document::NamespaceDraft;
use crate::governance::document::Visibility;
use crate::safety::tests::safety;
use crate::store_client::StoreClient;
use crate::stores::OpenStore;
use crate::stores::Remembered;
use crate::stores::StoreParts;
use crate::stores::Stores;
use crate::telemetry::Metrics;
use crate::waits::Waits;
use crate::watches::Watches;

/// A store that lets other requests run between its own steps.
#[derive(Debug)]
struct Yielding(Arc<MemoryBackend>);

async fn give_way() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl Backend for Yielding {
    async fn execute(&self, batch: Batch) -> Result<Vec<Outcome>, BackendError> {
        give_way().await;
        let outcomes = self.0.execute(batch).await;
        give_way().await;
        outcomes
    }

    async fn read(&self, lock: &LockRef, freshness: Freshness) -> Result<LockView, BackendError> {
        let view = self.0.read(lock, freshness).await;
        give_way().await;
        view
    }

    async fn list(&self, query: ListQuery) -> Result<Page<LockView>, BackendError> {
        self.0.list(query).await
    }

    async fn usage(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        team: Option<&TeamName>,
    ) -> Result<Usage, BackendError> {
        let usage = self.0.usage(namespace, subject, team).await;
        give_way().await;
        usage
    }

    async fn holds(
        &self,
        lock: &LockRef,
        subject: &Subject,
        request_id: &RequestId,
    ) -> Result<bool, BackendError> {
        self.0.holds(lock, subject, request_id).await
    }

    fn events(&self, after: Cursor) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        self.0.events(after)
    }

    async fn trim(&self, up_to: LedgerHead) -> Result<(), BackendError> {
        self.0.trim(up_to).await
    }

    async fn history(&self) -> Result<StoreHistory, BackendError> {
        self.0.history().await
    }

    async fn health(&self) -> Health {
        self.0.health().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

/// A gateway with the stock policies and without namespaces.
pub(crate) struct Gate {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) governance: Arc<Governance>,
    _folder: tempfile::TempDir,
    _run: tokio::sync::watch::Sender<bool>,
}

/// A principal without a team and with these roles; each request has an id of its own.
pub(crate) fn caller(who: &str, roles: &[Role]) -> Caller {
    Caller {
        principal: Arc::new(Principal {
            subject: who.parse().unwrap(),
            team: None,
            roles: roles.iter().copied().collect(),
            claims: [].into(),
        }),
        scope: None,
        request_id: format!("{:032x}", rand::random::<u128>()).parse().unwrap(),
    }
}

impl Gate {
    pub(crate) async fn open() -> Self {
        Self::open_at(Arc::new(SystemClock::new())).await
    }

    /// One that goes by this clock.
    pub(crate) async fn open_at(clock: Arc<dyn Clock>) -> Self {
        Self::open_with(clock, |decider| decider).await
    }

    /// One that goes by this clock, and whose decisions are made by what `change` returns.
    pub(crate) async fn open_with(
        clock: Arc<dyn Clock>,
        change: impl FnOnce(Decider) -> Decider,
    ) -> Self {
        Self::open_parts(clock, Arc::new(OwnState::default()), change).await
    }

    /// One whose rollouts are narrowed by these flags.
    pub(crate) async fn open_flagged(clock: Arc<dyn Clock>, flags: Arc<dyn FlagSource>) -> Self {
        Self::open_parts(clock, flags, |decider| decider).await
    }

    async fn open_parts(
        clock: Arc<dyn Clock>,
        flags: Arc<dyn FlagSource>,
        change: impl FnOnce(Decider) -> Decider,
    ) -> Self {
        let backend = MemoryBackend::new(clock.clone());
        let folder = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(&folder.path().join("ledger"), LedgerOptions::default());
        let ledger = Arc::new(ledger.unwrap());
        let (run, shutdown) = tokio::sync::watch::channel(false);
        let engine = PolicyEngine::new(EngineLimits {
            instances: 8,
            ..EngineLimits::default()
        })
        .unwrap();
        let keys = Arc::new(KeyRing::default());
        let home = [StoreName::home()].into();
        let (documents, time) = (backend.clone(), clock.clone());
        let settings = GovernanceSettings {
            flags: flags.clone(),
            ..GovernanceSettings::default()
        };
        let governance = Governance::load_with(documents, engine, keys, time, home, settings);
        let governance = governance.await.unwrap();
        let metrics = Arc::new(Metrics::new());
        let budget = Policy::default().request_budget();
        let waits = Arc::new(Waits::default());
        let from = backend.health().await.newest;
        tokio::spawn(waits.clone().follow(backend.clone(), from, metrics.clone()));
        let name = StoreName::home();
        let store = Arc::new(Yielding(backend.clone()));
        let door = StoreClient::new(&name, store, clock.clone(), &metrics, &safety());
        let door = Arc::new(door);
        let parts = StoreParts {
            name: name.clone(),
            backend: backend.clone(),
            ledger: ledger.clone(),
            others: None,
            remembered: Arc::new(Remembered::open(folder.path()).unwrap()),
        };
        let store = OpenStore {
            members: crate::stores::StoreMembers::default(),
            watches: Watches::new(door.clone(), ledger.clone()),
            name,
            door,
            documents: backend.clone(),
            ledger,
            parts,
            claims: crate::stores::Claims::default(),
            carrier: Arc::default(),
            waits,
        };
        let store = Arc::new(store);
        let pipeline = Arc::new(Pipeline::new(Inner {
            governance: governance.clone(),
            authorization: authorization(&store, clock.clone()),
            decider: change(Decider::new(clock, metrics, false, budget, flags)),
            stores: Arc::new(Stores::new(store, [].into())),
            default_caps: NamespaceCaps::default(),
            shutdown,
        }));
        let gate = Self {
            pipeline,
            governance,
            _folder: folder,
            _run: run,
        };
        gate.upload_stock().await;
        gate
    }

    async fn upload_stock(&self) {
        for (_, wasm) in stock::MODULES {
            self.upload(wasm.to_vec()).await;
        }
        self.upload(QUOTA_1.to_vec()).await;
    }

    /// Brings the ledger up to date with the store.
    pub(crate) async fn relay(&self) {
        self.relay_with(Event::clone).await;
    }

    /// The same, with each event changed on its way.
    pub(crate) async fn relay_with(&self, change: impl Fn(&Event) -> Event) {
        let store = self.pipeline.inner.stores.home();
        let newest = store.door.health().await.newest;
        let mut events = store.parts.backend.events(store.ledger.head().cursor);
        while store.ledger.head().cursor < newest {
            let event = events.next().await.unwrap().unwrap();
            let event = Arc::new(change(&event));
            store.ledger.append(vec![event]).await.unwrap();
        }
    }

    /// Its stores.
    pub(crate) fn stores(&self) -> &Arc<Stores> {
        &self.pipeline.inner.stores
    }

    /// Its ledger.
    pub(crate) fn ledgers(&self) -> crate::stores::Ledgers {
        self.pipeline.inner.stores.ledgers([&StoreName::home()])
    }

    /// Uploads a module.
    pub(crate) async fn upload(&self, wasm: Vec<u8>) {
        let op = caller("op", &[]);
        let uploaded = self.governance.push_policy(&op, Push::of(wasm));
        uploaded.await.unwrap();
    }

    /// Makes a namespace.
    pub(crate) async fn namespace(&self, name: &str, default_decision: DefaultDecision) {
        let draft = NamespaceDraft {
            name: name.parse().unwrap(),
            team: None,
            visibility: Visibility::default(),
            description: String::new(),
            default_decision,
            caps: None,
            store: None,
        };
        let op = caller("op", &[]);
        let made = self
            .governance
            .put_namespace(&op, &draft, Precondition::Absent);
        made.await.unwrap();
    }

    /// Writes a binding named `b`, with members as they are stored.
    pub(crate) async fn bind(&self, members: Value) -> Result<WrittenBinding, Failure> {
        let mut binding = members;
        if binding["name"].is_null() {
            binding["name"] = "b".into();
        }
        let binding = serde_json::from_value(binding).unwrap();
        let op = caller("op", &[]);
        let written = self
            .governance
            .put_binding(&op, &binding, Precondition::Any);
        written.await
    }

    /// Deletes the binding `b`.
    pub(crate) async fn unbind(&self) {
        let op = caller("op", &[]);
        self.governance.delete_binding(&op, "b").await.unwrap();
    }

    /// Takes a lock, given as `namespace/lock`, for a minute.
    pub(crate) async fn acquire(
        &self,
        caller: &Caller,
        lock: &str,
        reason: Option<&str>,
    ) -> Result<Held, Failure> {
        let acquire = ask::Acquire {
            reason: reason.map(Into::into),
            ..asked(lock, 60_000)
        };
        self.pipeline.acquire(caller, acquire).await
    }

    /// Takes a lock for some time.
    pub(crate) async fn acquire_for(
        &self,
        caller: &Caller,
        lock: &str,
        ttl_ms: u64,
    ) -> Result<Held, Failure> {
        self.pipeline.acquire(caller, asked(lock, ttl_ms)).await
    }

    /// Hands a lease to `bob` at once.
    pub(crate) async fn transfer(
        &self,
        caller: &Caller,
        lock: &str,
        lease_id: LeaseId,
    ) -> Result<(), Failure> {
        let transfer = ask::Transfer {
            lock: lock.parse().unwrap(),
            lease_id,
            to: "bob".parse().unwrap(),
            grace_ms: 0,
            reason: None,
            labels: [].into(),
            override_terms: None,
        };
        self.pipeline.transfer(caller, transfer).await.map(drop)
    }

    /// Lengthens a lease.
    pub(crate) async fn renew(
        &self,
        caller: &Caller,
        lock: &str,
        lease_id: LeaseId,
        reason: Option<&str>,
    ) -> Result<Held, Failure> {
        let renew = ask::Renew {
            lock: lock.parse().unwrap(),
            lease_id,
            ttl_ms: None,
            reason: reason.map(Into::into),
            override_terms: None,
        };
        self.pipeline.renew(caller, renew).await
    }

    /// Gives a lease back.
    pub(crate) async fn release(&self, caller: &Caller, lock: &str, lease_id: LeaseId) {
        let lock = lock.parse().unwrap();
        let released = self.pipeline.release(
            caller,
            ask::Release {
                lock,
                lease_id,
                cooldown_ms: 0,
            },
        );
        released.await.unwrap();
    }
}

/// An acquire without anything special.
pub(crate) fn asked(lock: &str, ttl_ms: u64) -> ask::Acquire {
    ask::Acquire {
        lock: lock.parse().unwrap(),
        mode: Mode::Exclusive,
        ttl_ms,
        wait_ms: None,
        instance: None,
        labels: [].into(),
        reason: None,
        value: None,
        override_terms: None,
    }
}
