//! Gateways of several builds on one store.

use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::ManualClock;

use super::*;

const FIRST: FeatureLevel = FeatureLevel::FIRST;
const SECOND: FeatureLevel = FeatureLevel(2);
const THIRD: FeatureLevel = FeatureLevel(3);

struct Store {
    documents: Arc<MemoryBackend>,
    clock: Arc<ManualClock>,
}

impl Store {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(WallMillis(1_000)));
        Self {
            documents: MemoryBackend::new(clock.clone()),
            clock,
        }
    }

    /// Starts a build whose highest level is `newest`, as the gateway of that id.
    async fn start(&self, id: &str, newest: FeatureLevel) -> Result<SharedGateways, BackendError> {
        let me = GatewayIdentity {
            id: GatewayId::of(id),
            name: format!("host-{id}"),
            consumer: id.to_owned(),
        };
        let levels = Levels::up_to(newest);
        SharedGateways::register(self.documents.clone(), me, levels, self.clock.clone()).await
    }
}

fn refused(answer: Result<GatewaysView, BackendError>) -> String {
    let refused = answer.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid, "{refused}");
    refused.detail
}

#[tokio::test]
async fn the_level_is_raised_when_all_gateways_support_it_and_never_falls() {
    let store = Store::new();
    let old = store.start("a", FIRST).await.unwrap();
    let new = store.start("b", SECOND).await.unwrap();
    assert_eq!(new.view().await.unwrap().level, FIRST);
    let problem = refused(new.raise_level(None).await);
    for part in ["level 2", "a (host-a, supports up to 1", "forget-gateway"] {
        assert!(problem.contains(part), "{problem}");
    }
    assert!(!problem.contains("host-b"), "{problem}");
    let problem = refused(old.raise_level(Some(SECOND)).await);
    assert!(problem.contains("levels 1 to 1, not 2"), "{problem}");

    // The same gateway, of the newer build; and back, which is counted at once.
    store.start("a", SECOND).await.unwrap();
    store.start("a", FIRST).await.unwrap();
    refused(new.raise_level(None).await);
    store.start("a", SECOND).await.unwrap();
    assert_eq!(new.raise_level(None).await.unwrap().level, SECOND);
    assert_eq!(new.raise_level(None).await.unwrap().level, SECOND);
    let problem = refused(new.raise_level(Some(FIRST)).await);
    assert!(problem.contains("never falls"), "{problem}");

    let outdated = store.start("a", FIRST).await.unwrap_err();
    assert_eq!(outdated.kind, ErrorKind::Outdated, "{outdated}");
    for part in ["level 2", "supports 1 to 1"] {
        assert!(outdated.detail.contains(part), "{outdated}");
    }
    let outdated = old.announce().await.unwrap_err();
    assert_eq!(outdated.kind, ErrorKind::Outdated, "{outdated}");
    // Its last registration stays.
    let view = new.view().await.unwrap();
    assert_eq!(view.gateways[0].document.level_max, SECOND);
    // A build that has left the level behind is refused as well.
    store.start("a", THIRD).await.unwrap();
    refused(new.raise_level(Some(THIRD)).await);
}

#[tokio::test]
async fn a_gateway_that_is_down_counts_until_it_is_forgotten_and_comes_back_by_starting() {
    let store = Store::new();
    let old = store.start("a", FIRST).await.unwrap();
    let new = store.start("b", SECOND).await.unwrap();
    store.clock.advance(3_600_000_000);
    refused(new.raise_level(None).await);
    assert!(refused(new.forget("c").await).contains("no gateway c"));
    assert!(refused(new.forget("b").await).contains("ask another"));
    let left = new.forget("a").await.unwrap();
    assert_eq!(left.gateways.len(), 1);
    assert!(left.gateways[0].is_this);
    // It runs still.
    old.announce().await.unwrap();
    refused(new.raise_level(None).await);
    new.forget("a").await.unwrap();
    assert_eq!(new.raise_level(None).await.unwrap().level, SECOND);
    let outdated = old.announce().await.unwrap_err();
    assert_eq!(outdated.kind, ErrorKind::Outdated, "{outdated}");
    assert_eq!(new.view().await.unwrap().gateways.len(), 1);
}

#[tokio::test]
async fn a_registration_says_when_the_gateway_was_last_there() {
    let store = Store::new();
    let gateway = store.start("a", SECOND).await.unwrap();
    let seen = async || {
        gateway.view().await.unwrap().gateways[0]
            .document
            .seen_unix_ms
    };
    let before = seen().await;
    store.clock.advance(60_000);
    gateway.announce().await.unwrap();
    assert_eq!(seen().await, before + 60_000);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_keeps_the_level_from_being_raised() {
    let store = Store::new();
    let gateway = store.start("a", SECOND).await.unwrap();
    let rubbish = Edit {
        collection: COLLECTION.into(),
        id: "b".into(),
        body: Some(b"{}".as_slice().into()),
        precondition: Precondition::Any,
        change: None,
    };
    store.documents.write(vec![rubbish]).await.unwrap();
    assert!(refused(gateway.raise_level(None).await).contains("b (unknown"));
}
