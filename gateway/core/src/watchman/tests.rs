//! The task on a real store behind a door that can be shut.

use crate::failure::FailureKind;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Health;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::StoreHistory;
use leasehold_backend_memory::MemoryBackend;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::NamespaceName;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Page;
use leasehold_domain::Principal;
use leasehold_domain::RequestId;
use leasehold_domain::RoleSet;
use leasehold_domain::StoreName;
use leasehold_domain::Subject;
use leasehold_domain::SystemClock;
use leasehold_domain::TeamName;
use leasehold_domain::Usage;

use super::*;
use crate::caller::Caller;
use crate::safety::Safety;
use crate::safety::tests::safety;
use crate::telemetry::Metrics;

/// Longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the way to the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Nothing comes back.
    Lost,
    /// Each request is refused at once.
    Refused,
}

/// A store of locks in memory, and the way to it.
#[derive(Debug)]
struct Behind {
    store: Arc<MemoryBackend>,
    way: watch::Sender<Way>,
}

impl Behind {
    async fn pass(&self) -> Result<(), BackendError> {
        let mut way = self.way.subscribe();
        let passes = way.wait_for(|way| *way != Way::Lost).await;
        match passes.map(|way| *way) {
            Ok(Way::Open) => Ok(()),
            _ => Err(BackendError::without_effect(
                ErrorKind::Unavailable,
                "nobody answers",
            )),
        }
    }
}

#[async_trait]
impl Backend for Behind {
    async fn execute(&self, batch: Batch) -> Result<Vec<Outcome>, BackendError> {
        self.pass().await?;
        self.store.execute(batch).await
    }

    async fn read(&self, lock: &LockRef, freshness: Freshness) -> Result<LockView, BackendError> {
        self.pass().await?;
        self.store.read(lock, freshness).await
    }

    async fn list(&self, query: ListQuery) -> Result<Page<LockView>, BackendError> {
        self.store.list(query).await
    }

    async fn usage(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        team: Option<&TeamName>,
    ) -> Result<Usage, BackendError> {
        self.store.usage(namespace, subject, team).await
    }

    async fn holds(
        &self,
        lock: &LockRef,
        subject: &Subject,
        request_id: &RequestId,
    ) -> Result<bool, BackendError> {
        self.store.holds(lock, subject, request_id).await
    }

    fn events(&self, after: Cursor) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        self.store.events(after)
    }

    async fn trim(&self, up_to: LedgerHead) -> Result<(), BackendError> {
        self.store.trim(up_to).await
    }

    async fn history(&self) -> Result<StoreHistory, BackendError> {
        self.store.history().await
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

/// A store that is watched over.
struct House {
    behind: Arc<Behind>,
    mode: Arc<SafeMode>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

fn house(behind: &Arc<Behind>, safety: &Safety) -> House {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (home, metrics) = (StoreName::home(), Metrics::new());
    let store = StoreClient::new(&home, behind.clone(), clock.clone(), &metrics, safety);
    let store = Arc::new(store);
    let (stop, stopped) = watch::channel(false);
    House {
        behind: behind.clone(),
        mode: store.safe_mode().clone(),
        task: tokio::spawn(Watchman::new(store, clock).watch(stopped)),
        stop,
    }
}

impl House {
    /// Waits until it grants, or does not.
    async fn until(&self, grants: bool) {
        let turned = async {
            while self.mode.admit(Operation::Acquire).is_ok() != grants {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let turned = tokio::time::timeout(PATIENCE, turned).await;
        assert!(turned.is_ok(), "it never came to {grants}");
    }

    fn sole_incident(&self) -> Incident {
        let query = crate::safety::IncidentQuery {
            limit: 10,
            ..Default::default()
        };
        let mut page = self.mode.incidents.list(&query).unwrap();
        assert_eq!(page.incidents.len(), 1);
        page.incidents.remove(0)
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

fn behind(way: Way) -> Arc<Behind> {
    let store = MemoryBackend::new(Arc::new(SystemClock::new()));
    let way = watch::Sender::new(way);
    Arc::new(Behind { store, way })
}

/// What the store's events tell of incidents.
async fn told(behind: &Behind) -> Vec<String> {
    let newest = behind.store.health().await.newest;
    let events = behind.store.events(Cursor(0));
    let events = events.take(usize::try_from(newest.0).unwrap());
    let told = events.filter_map(async |event| match &event.unwrap().kind {
        EventKind::Governance(change) if &*change.collection == "incident" => {
            Some(change.summary.to_string())
        }
        _ => None,
    });
    told.collect().await
}

fn operator() -> Caller {
    Caller {
        principal: Arc::new(Principal {
            subject: "olga".parse().unwrap(),
            team: None,
            roles: RoleSet::default(),
            claims: [].into(),
        }),
        scope: None,
        request_id: "seen".parse().unwrap(),
    }
}

#[tokio::test]
async fn a_way_that_is_cut_refuses_what_begins_and_tries_what_does_not() {
    for way in [Way::Lost, Way::Refused] {
        let house = house(&behind(Way::Open), &safety());
        house.until(true).await;
        house.behind.way.send_replace(way);
        let refused = tokio::time::timeout(PATIENCE, house.mode.refuses()).await;
        let refused = refused.unwrap();
        assert_eq!(refused.kind, FailureKind::SafeMode, "{way:?}");
        assert!(refused.retry_after_ms.is_some());
        for operation in Operation::ALL {
            let begins = matches!(operation, Operation::Acquire | Operation::Transfer);
            assert_eq!(
                house.mode.admit(operation).is_err(),
                begins,
                "{operation:?}"
            );
        }
        assert_eq!(told(&house.behind).await, Vec::<String>::new());

        house.behind.way.send_replace(Way::Open);
        house.until(true).await;
        let incident = house.sole_incident();
        assert_eq!(incident.ended.unwrap().by, EndedBy::Recovery);
        // What is open again is on record already.
        let told = told(&house.behind).await;
        assert!(told.len() == 2 && told[0].contains("began") && told[1].contains("ended"));
        house.stop().await;
    }
}

#[tokio::test]
async fn where_an_operator_is_asked_it_lasts_over_restarts_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let path = folder.path().join("incidents.json");
        let incidents = crate::safety::Incidents::open(path, "here".to_owned());
        Safety {
            end: SafeModeEnd::Acknowledged,
            incidents: Arc::new(incidents.unwrap()),
            ..safety()
        }
    };
    let behind = behind(Way::Open);
    let first = house(&behind, &open());
    first.until(true).await;
    behind.way.send_replace(Way::Refused);
    first.until(false).await;
    let id = first.sole_incident().id;
    first.stop().await;

    // The store works, and has told its ledger that it began.
    behind.way.send_replace(Way::Open);
    let second = house(&behind, &open());
    let recorded = async {
        while !second.sole_incident().recorded.began {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, recorded).await.unwrap();
    second.stop().await;

    let third = house(&behind, &open());
    assert!(
        third.mode.admit(Operation::Acquire).is_err(),
        "from the start"
    );
    assert_eq!(third.sole_incident().id, id);
    let incidents = &third.mode.incidents;
    let now = WallMillis(1_900_000_000_000);
    let olga = operator();
    let seen = incidents.acknowledge(&olga, &id, "looked".to_owned(), now);
    seen.await.unwrap();
    third.until(true).await;
    let incident = third.sole_incident();
    assert_eq!(incident.ended.unwrap().by, EndedBy::Acknowledgement);
    assert_eq!(told(&behind).await.len(), 3);
    third.stop().await;
}

#[tokio::test]
async fn an_acknowledgement_that_comes_later_is_told_the_ledger_too() {
    let behind = behind(Way::Open);
    let house = house(&behind, &safety());
    behind.way.send_replace(Way::Lost);
    house.until(false).await;
    behind.way.send_replace(Way::Open);
    house.until(true).await;
    let id = house.sole_incident().id;
    let incidents = &house.mode.incidents;
    let (olga, now) = (operator(), WallMillis(1_900_000_000_000));
    let seen = incidents.acknowledge(&olga, &id, "seen".to_owned(), now);
    seen.await.unwrap();
    let recorded = async {
        while house.sole_incident().is_unrecorded() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, recorded).await.unwrap();
    let told = told(&behind).await;
    assert_eq!(told.len(), 3);
    assert!(told[2].ends_with("seen"), "{told:?}");
    house.stop().await;
}
