//! The self-check of a gateway in this process.

use std::collections::BTreeMap;

use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::ManualClock;
use leasehold_domain::StoreName;
use leasehold_domain::SystemClock;
use serde_json::json;

use super::*;
use crate::governance::document::DefaultDecision;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::caller;
use crate::safety::Acknowledged;
use crate::safety::EndedBy;
use crate::safety::Incident;
use crate::safety::IncidentQuery;

struct Checked {
    gate: Gate,
    check: SelfCheck,
    incidents: Arc<Incidents>,
    metrics: Arc<Metrics>,
    samples: Arc<DecisionSamples>,
    clock: Arc<ManualClock>,
}

/// A gateway with `ttl-bounds` bound, whose decisions are sampled by the test.
async fn checked() -> Checked {
    let gate = Gate::open().await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    let bounds = json!({ "rules": [{ "max_ttl_ms": 60_000 }] });
    let bound = gate.bind(json!({ "namespaces": ["demo"], "policies": [
        { "policy": "ttl-bounds", "version": "1.1.0", "config": bounds }] }));
    bound.await.unwrap();
    let incidents = Arc::new(Incidents::in_memory("here".to_owned()));
    let metrics = Arc::new(Metrics::new());
    let manual = Arc::new(ManualClock::new(WallMillis(1_800_000_000_000)));
    let clock: Arc<dyn Clock> = manual.clone();
    let samples = Arc::new(DecisionSamples::every(Duration::from_secs(1)));
    let parts = (gate.stores(), &gate.governance);
    let check = SelfCheck::new(samples.clone(), parts, &incidents, (&metrics, &clock));
    Checked {
        gate,
        check,
        incidents,
        metrics,
        samples,
        clock: manual,
    }
}

impl Checked {
    /// Lets the gateway decide an acquire, and samples the decision.
    async fn decide(&self, lock: &str) {
        let svc = caller("svc", &[]);
        let held = self.gate.acquire(&svc, lock, None).await.unwrap();
        let decision = held.decision.unwrap();
        let monotonic = self.check.clock.monotonic();
        self.samples.put_back(DecisionSample {
            id: decision.id,
            store: StoreName::home(),
            lock: lock.parse().unwrap(),
            received: decision.facts.now,
            taken: monotonic,
            searches: 0,
        });
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let text = String::from_utf8(self.metrics.encode(&[], &[])).unwrap();
        let lines = text.lines();
        lines
            .filter_map(|line| {
                let line = line.strip_prefix("leasehold_policy_self_checks_total{outcome=\"")?;
                let (outcome, count) = line.split_once("\"} ")?;
                Some((outcome.to_owned(), count.parse().unwrap()))
            })
            // Each outcome has its series from the start.
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn open(&self) -> Vec<Incident> {
        let query = IncidentQuery {
            open: Some(true),
            limit: 10,
            ..IncidentQuery::default()
        };
        self.incidents.list(&query).unwrap().incidents
    }

    /// Brings the ledger up to date, with another fuel in each verdict.
    async fn relay_changed(&self) {
        self.gate
            .relay_with(|event: &Event| {
                let mut event = event.clone();
                if let EventKind::Lock {
                    cause: Some(cause), ..
                } = &mut event.kind
                    && let Some(decision) = &mut Arc::make_mut(cause).decision
                {
                    for verdict in &mut Arc::make_mut(decision).verdicts {
                        verdict.fuel += 1;
                    }
                }
                event
            })
            .await;
    }
}

#[tokio::test]
async fn a_decision_is_checked_once_the_ledger_contains_it() {
    let checked = checked().await;
    checked.decide("demo/a").await;
    checked.check.look().await;
    assert_eq!((checked.samples.len(), checked.counts()), (1, [].into()));
    checked.gate.relay().await;
    // The ledger is not searched again at once.
    checked.clock.advance(3_999);
    checked.check.look().await;
    assert_eq!((checked.samples.len(), checked.counts()), (1, [].into()));
    checked.clock.advance(1);
    checked.check.look().await;
    assert_eq!(checked.samples.len(), 0);
    assert_eq!(checked.counts(), [("reproduced".to_owned(), 1)].into());
    assert_eq!(checked.open(), []);
}

#[tokio::test]
async fn a_decision_that_never_gets_to_the_ledger_is_searched_for_four_times_at_most() {
    let checked = checked().await;
    checked.decide("demo/a").await;
    let mut searches = Vec::new();
    for second in 0..=60 {
        checked.check.look().await;
        match checked.samples.take() {
            Some(sample) => {
                searches.push(sample.searches);
                checked.samples.put_back(sample);
            }
            None => assert_eq!(second, 60),
        }
        checked.clock.advance(1_000);
    }
    assert_eq!(searches.last(), Some(&3));
    assert_eq!(checked.counts(), [("unknown".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_verdict_that_is_not_reproduced_is_an_incident_until_it_is_acknowledged() {
    let checked = checked().await;
    checked.decide("demo/a").await;
    checked.decide("demo/b").await;
    checked.relay_changed().await;
    checked.check.look().await;
    assert_eq!(checked.counts(), [("not_reproduced".to_owned(), 2)].into());
    let open = checked.open();
    let [incident] = &open[..] else {
        panic!("{open:?}");
    };
    let found = incident.not_reproduced.as_ref().unwrap();
    assert_eq!((&*found.policy, found.verdicts), ("ttl-bounds", 2));
    assert_ne!(found.recorded, found.evaluated);
    // The store grants: this is no safe mode. The ledger is told.
    assert_eq!(checked.incidents.open_of("home"), None);
    assert!(checked.incidents.unrecorded_of("home").is_some());
    checked.incidents.change(&incident.id, |incident| {
        incident.acknowledged = Some(Acknowledged {
            at: WallMillis(1),
            by: (*caller("op", &[]).principal).clone(),
            request_id: "r".parse().unwrap(),
            note: String::new(),
        });
    });
    checked.check.look().await;
    assert_eq!(checked.open(), []);
    let ended = checked.incidents.get(&incident.id).unwrap().ended.unwrap();
    assert_eq!(ended.by, EndedBy::Acknowledgement);
}

#[tokio::test]
async fn the_gateway_offers_its_decisions_and_one_in_an_interval_is_taken() {
    let samples = Arc::new(DecisionSamples::every(Duration::from_secs(3_600)));
    let sampling = samples.clone();
    let clock = Arc::new(SystemClock::new());
    let gate = Gate::open_with(clock, |decider| decider.sampled(sampling)).await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    let svc = caller("svc", &[]);
    gate.acquire(&svc, "demo/unjudged", None).await.unwrap();
    assert_eq!(samples.len(), 0);
    let bound = gate.bind(json!({ "namespaces": ["demo"], "policies": [
        { "policy": "ttl-bounds", "version": "1.1.0", "config": { "rules": [] } }] }));
    bound.await.unwrap();
    for lock in ["demo/a", "demo/b", "demo/c"] {
        gate.acquire(&svc, lock, None).await.unwrap();
    }
    assert_eq!(samples.len(), 1);
    assert_eq!(samples.take().unwrap().lock.to_string(), "demo/a");
}
