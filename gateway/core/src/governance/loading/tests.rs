//! Two gateways of one store that hear of nothing by themselves.

mod following;
mod key_uses;
mod keys;
mod modules;
mod random;
mod scale;
mod writing;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Documents;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::Clock;
use leasehold_domain::Digest;
use leasehold_domain::Document;
use leasehold_domain::DocumentSet;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Precondition;
use leasehold_domain::Principal;
use leasehold_domain::RoleSet;
use leasehold_domain::StoreName;
use leasehold_domain::SystemClock;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;

use super::*;
use crate::authentication::AuthFailure;
use crate::authentication::Authenticator;
use crate::authentication::KeyRing;
use crate::authentication::NewKey;
use crate::caller::Caller;
use crate::config::Authentication;
use crate::governance::Push;
use crate::governance::document::BindingDocument;
use crate::governance::document::DefaultDecision;
use crate::governance::document::NamespaceDraft;
use crate::governance::document::Visibility;

/// A store that counts how often it is asked for its revision, and can be ill, also in its blobs
/// alone.
#[derive(Debug, Default)]
pub(in crate::governance) struct Faults {
    pub(in crate::governance) ill: AtomicBool,
    has_ill_blobs: AtomicBool,
    /// Writes that delete a document are refused.
    refuses_deletions: AtomicBool,
    /// All writes are refused.
    refuses_writes: AtomicBool,
    /// Writes are carried out, and their answers are lost.
    loses_answers: AtomicBool,
    /// Streams of revisions yield nothing.
    is_silent: AtomicBool,
    /// Each stream of revisions ends after its first item.
    ends_streams: AtomicBool,
    /// The next stream of revisions panics.
    panics_once: AtomicBool,
}

#[derive(Debug)]
pub(in crate::governance) struct Counting {
    pub(in crate::governance) store: Arc<MemoryBackend>,
    questions: AtomicUsize,
    pub(in crate::governance) faults: Faults,
}

#[async_trait]
impl Documents for Counting {
    async fn get(&self, collection: &str, id: &str) -> Result<Option<Document>, BackendError> {
        self.store.get(collection, id).await
    }

    async fn list(&self, collection: &str) -> Result<Vec<Document>, BackendError> {
        self.store.list(collection).await
    }

    async fn snapshot(&self) -> Result<DocumentSet, BackendError> {
        if self.faults.ill.load(Ordering::SeqCst) {
            return Err(BackendError::without_effect(ErrorKind::Unavailable, "ill"));
        }
        self.store.snapshot().await
    }

    async fn write(&self, edits: Vec<Edit>) -> Result<EditOutcome, BackendError> {
        let deletes = edits.iter().any(|edit| edit.body.is_none());
        let refuses = (deletes && self.faults.refuses_deletions.load(Ordering::SeqCst))
            || self.faults.refuses_writes.load(Ordering::SeqCst);
        if refuses {
            return Err(BackendError::without_effect(ErrorKind::Unavailable, "ill"));
        }
        let written = self.store.write(edits).await?;
        if self.faults.loses_answers.load(Ordering::SeqCst) {
            return Err(BackendError::unknown(ErrorKind::Deadline, "no answer"));
        }
        Ok(written)
    }

    async fn revision(&self) -> Result<u64, BackendError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        if self.faults.ill.load(Ordering::SeqCst) {
            return Err(BackendError::without_effect(ErrorKind::Unavailable, "ill"));
        }
        self.store.revision().await
    }

    fn level(&self) -> FeatureLevel {
        self.store.level()
    }

    fn watch(&self) -> BoxStream<'static, u64> {
        let faults = &self.faults;
        assert!(!faults.panics_once.swap(false, Ordering::SeqCst), "as told");
        if faults.is_silent.load(Ordering::SeqCst) {
            return futures_util::stream::pending().boxed();
        }
        if faults.ends_streams.load(Ordering::SeqCst) {
            return self.store.watch().take(1).boxed();
        }
        self.store.watch()
    }

    async fn put_blob(&self, bytes: Arc<[u8]>) -> Result<Digest, BackendError> {
        self.store.put_blob(bytes).await
    }

    async fn get_blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, BackendError> {
        if self.faults.has_ill_blobs.load(Ordering::SeqCst) {
            return Err(BackendError::without_effect(ErrorKind::Unavailable, "ill"));
        }
        self.store.get_blob(digest).await
    }
}

/// A gateway's governance, and its door.
struct Gateway {
    governance: Arc<Governance>,
    door: Authenticator,
}

impl Gateway {
    async fn open(store: &Arc<Counting>) -> Self {
        let limits = EngineLimits {
            instances: 2,
            ..EngineLimits::default()
        };
        Self::open_with(store, PolicyEngine::new(limits).unwrap()).await
    }

    async fn open_with(store: &Arc<Counting>, engine: PolicyEngine) -> Self {
        Self::open_at(store, engine, Arc::new(SystemClock::new())).await
    }

    async fn open_at(store: &Arc<Counting>, engine: PolicyEngine, clock: Arc<dyn Clock>) -> Self {
        let ring = Arc::new(KeyRing::default());
        let stores = [StoreName::home(), "sea".parse().unwrap()].into();
        let governance =
            Governance::load(store.clone(), engine, ring.clone(), clock.clone(), stores);
        let governance = governance.await.unwrap();
        let config = Authentication {
            api_keys: true,
            jwt: None,
        };
        let keys = (ring, governance.clone() as Arc<_>);
        let door = Authenticator::new(&config, keys, clock).await.unwrap();
        Self { governance, door }
    }

    async fn recognises(&self, key: &str) -> Result<Arc<Principal>, AuthFailure> {
        Ok(self.door.authenticate(key).await?.principal)
    }
}

pub(in crate::governance) fn store() -> Arc<Counting> {
    Arc::new(Counting {
        store: MemoryBackend::new(Arc::new(SystemClock::new())),
        questions: AtomicUsize::new(0),
        faults: Faults::default(),
    })
}

pub(in crate::governance) fn operator() -> Caller {
    Caller {
        principal: Arc::new(Principal {
            subject: "ops".parse().unwrap(),
            team: None,
            roles: RoleSet::default(),
            claims: [].into(),
        }),
        scope: None,
        request_id: "r".parse().unwrap(),
    }
}

fn key() -> NewKey {
    NewKey::draw("svc".parse().unwrap(), None, RoleSet::default(), "", "")
}

#[tokio::test]
async fn what_one_gateway_has_written_another_knows_at_once() {
    let store = store();
    let (here, there) = (Gateway::open(&store).await, Gateway::open(&store).await);
    let key = key();
    assert_eq!(
        there.recognises(&key.reveal()).await,
        Err(AuthFailure::Invalid)
    );
    let ops = operator();
    let made = here.governance.put_key(&ops, &key.document);
    made.await.unwrap();
    let known = there.recognises(&key.reveal()).await.unwrap();
    assert_eq!(known.subject.as_str(), "svc");

    let draft = NamespaceDraft {
        name: "demo".parse().unwrap(),
        team: None,
        visibility: Visibility::default(),
        description: String::new(),
        default_decision: DefaultDecision::Allow,
        store: None,
        caps: None,
    };
    let absent = Precondition::Absent;
    let made = here.governance.put_namespace(&ops, &draft, absent);
    made.await.unwrap();
    let knows = || there.governance.plan().namespace(&draft.name).is_some();
    assert!(!knows(), "it hears of nothing by itself");
    there.governance.catch_up().await.unwrap();
    assert!(knows());
}

#[tokio::test]
async fn a_revoked_key_and_a_wrong_secret_ask_the_store_nothing() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    let key = key();
    let ops = operator();
    let made = gateway.governance.put_key(&ops, &key.document);
    made.await.unwrap();
    let before = store.questions.load(Ordering::SeqCst);
    let wrong = format!("lh_{}_{}", key.document.id, "0".repeat(64));
    let refused = Err(AuthFailure::Invalid);
    assert_eq!(gateway.recognises(&wrong).await, refused);
    assert_eq!(store.questions.load(Ordering::SeqCst), before);
    let id = &key.document.id;
    let revoked = gateway.governance.revoke_key(&ops, id, false);
    revoked.await.unwrap();
    let before = store.questions.load(Ordering::SeqCst);
    assert_eq!(gateway.recognises(&key.reveal()).await, refused);
    assert_eq!(store.questions.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn a_crowd_of_strangers_costs_one_question() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    let before = store.questions.load(Ordering::SeqCst);
    let keys: Vec<String> = (0..1_000).map(|_| key().reveal()).collect();
    let strangers = keys.iter().map(|key| gateway.recognises(key));
    for refused in join_all(strangers).await {
        assert_eq!(refused, Err(AuthFailure::Invalid));
    }
    let questions = store.questions.load(Ordering::SeqCst) - before;
    assert!(questions <= 2, "{questions} questions");
}

#[tokio::test]
async fn strangers_wait_in_bounded_number_and_in_nobodys_way() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    let known = key();
    let ops = operator();
    let made = gateway.governance.put_key(&ops, &known.document);
    made.await.unwrap();
    let keys: Vec<String> = (0..STRANGERS_WAITING_MAX).map(|_| key().reveal()).collect();
    let mut waiting: Vec<_> = keys
        .iter()
        .map(|key| Box::pin(gateway.recognises(key)))
        .collect();
    for stranger in &mut waiting {
        assert!(futures_util::poll!(stranger).is_pending());
    }
    let one_more = key().reveal();
    let mut one_more = Box::pin(gateway.recognises(&one_more));
    let told = futures_util::poll!(&mut one_more);
    assert!(matches!(
        told,
        std::task::Poll::Ready(Err(AuthFailure::Unsure))
    ));
    assert!(gateway.recognises(&known.reveal()).await.is_ok());
    // Those who leave make room.
    drop(waiting);
    let refused = gateway.recognises(&key().reveal()).await;
    assert_eq!(refused, Err(AuthFailure::Invalid));
}

#[tokio::test]
async fn a_stranger_who_leaves_keeps_nobody_waiting() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    let stranger = key().reveal();
    let mut asking = Box::pin(gateway.recognises(&stranger));
    assert!(futures_util::poll!(&mut asking).is_pending());
    drop(asking);
    let refused = gateway.recognises(&key().reveal()).await;
    assert_eq!(refused, Err(AuthFailure::Invalid));
}

#[tokio::test]
async fn a_store_that_does_not_say_leaves_a_key_unsure() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    store.faults.ill.store(true, Ordering::SeqCst);
    let unsure = gateway.recognises(&key().reveal()).await;
    assert_eq!(unsure, Err(AuthFailure::Unsure));
    let failure = gateway.governance.catch_up().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    store.faults.ill.store(false, Ordering::SeqCst);
    let refused = gateway.recognises(&key().reveal()).await;
    assert_eq!(refused, Err(AuthFailure::Invalid));
}

#[tokio::test]
async fn a_module_that_cannot_be_read_now_is_not_a_broken_policy() {
    let store = store();
    let (here, there) = (Gateway::open(&store).await, Gateway::open(&store).await);
    let ops = operator();
    let (name, wasm) = leasehold_policy_host::stock::MODULES[0];
    let uploaded = here.governance.push_policy(&ops, Push::of(wasm));
    let version = uploaded.await.unwrap().stored.document.version;
    let draft = serde_json::json!({
        "name": "all", "namespaces": ["*"], "policies": [{ "policy": name, "version": version }],
    });
    let binding: BindingDocument = serde_json::from_value(draft).unwrap();
    let bound = here
        .governance
        .put_binding(&ops, &binding, Precondition::Absent);
    let revision = bound.await.unwrap().revision;

    store.faults.has_ill_blobs.store(true, Ordering::SeqCst);
    let failure = there.governance.catch_up().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(there.governance.plan().revision < revision);
    store.faults.has_ill_blobs.store(false, Ordering::SeqCst);
    there.governance.catch_up().await.unwrap();
    assert!(there.governance.plan().revision >= revision);
}
