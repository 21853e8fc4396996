//! Tickets and times of break-glass, in a gateway in this process.

use std::sync::Arc;

use leasehold_domain::ManualClock;
use leasehold_domain::OverrideTerms;
use leasehold_domain::Role;
use leasehold_domain::WallMillis;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use serde_json::json;

use crate::failure::Failure;
use crate::failure::FailureDetail;
use crate::failure::FailureKind;
use crate::governance::document::DefaultDecision;
use crate::governance::document::ReviewDocument;
use crate::pipeline::Held;
use crate::pipeline::ask;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::asked;
use crate::pipeline::fixture::caller;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const REASON: &str = "INC-7, the nightly is stuck";

/// A gateway whose namespace `demo` has an overridable policy that denies these operations.
struct Gateway {
    gate: Gate,
    clock: Arc<ManualClock>,
}

impl Gateway {
    async fn open(operations: &[&str], requires_tickets: bool) -> Self {
        let clock = Arc::new(ManualClock::new(WallMillis(1_800_000_000_000)));
        let gate = Gate::open_with(clock.clone(), |decider| {
            decider.requiring_tickets(requires_tickets)
        });
        let gate = gate.await;
        gate.namespace("demo", DefaultDecision::Allow).await;
        let at = TEXT as u32;
        let denies = Guest {
            name: "denies".to_owned(),
            version: "1.0.0".to_owned(),
            operations: operations.iter().map(|name| (*name).to_owned()).collect(),
            answer: deny((at, 2), (at + 2, 7)),
            text: b"noby hand".to_vec(),
            ..Guest::default()
        };
        gate.upload(denies.wasm()).await;
        let bound = gate.bind(json!({ "namespaces": ["demo"], "policies": [
            { "policy": "denies", "version": "1.0.0", "enforcement": "overridable" }] }));
        bound.await.unwrap();
        Self { gate, clock }
    }

    /// Takes the lock `demo/a` for a minute, by break-glass.
    async fn acquire(&self, override_ttl_ms: Option<u64>) -> Result<Held, Failure> {
        let acquire = ask::Acquire {
            reason: Some(REASON.into()),
            override_terms: OverrideTerms::of(None, override_ttl_ms),
            ..asked("demo/a", MINUTE_MS)
        };
        let breaker = caller("breaker", &[Role::BreakGlass]);
        self.gate.pipeline.acquire(&breaker, acquire).await
    }

    /// Lengthens the lease, by break-glass.
    async fn renew(&self, held: &Held, override_ttl_ms: Option<u64>) -> Result<Held, Failure> {
        let renew = ask::Renew {
            lock: "demo/a".parse().unwrap(),
            lease_id: held.grant.lease_id,
            ttl_ms: None,
            reason: Some(REASON.into()),
            override_terms: OverrideTerms::of(None, override_ttl_ms),
        };
        let breaker = caller("breaker", &[Role::BreakGlass]);
        self.gate.pipeline.renew(&breaker, renew).await
    }

    /// Lets time pass, and renews until then every half minute.
    async fn hold(&self, held: &Held, for_ms: u64) {
        for _ in 0..for_ms / (MINUTE_MS / 2) {
            self.clock.advance(MINUTE_MS / 2);
            self.renew(held, None).await.unwrap();
        }
    }

    async fn review(&self) -> ReviewDocument {
        let mut reviews = self.gate.governance.reviews().await.unwrap();
        assert_eq!(reviews.len(), 1, "{reviews:?}");
        reviews.remove(0).document
    }

    /// Returns the end of the use that its review names, from now on.
    async fn ends_in_ms(&self) -> Option<u64> {
        let review = self.review().await;
        let now = leasehold_domain::Clock::wall(&*self.clock);
        Some(review.expires_ms?.saturating_sub(now.0))
    }
}

/// The code of a denial.
fn code(denied: &Failure) -> &str {
    match &denied.detail {
        FailureDetail::Denied { denial, .. } => &denial.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lease_taken_by_break_glass_ends_with_the_use() {
    let gateway = Gateway::open(&["acquire", "renew"], false).await;
    let held = gateway.acquire(Some(2 * MINUTE_MS)).await.unwrap();
    assert_eq!(held.grant.hold_remaining_ms, Some(2 * MINUTE_MS));
    let decision = held.decision.clone().unwrap();
    assert_eq!(decision.limits.max_hold_ms, Some(2 * MINUTE_MS));
    assert_eq!(gateway.ends_in_ms().await, Some(2 * MINUTE_MS));
    gateway.hold(&held, MINUTE_MS + MINUTE_MS / 2).await;
    // A longer time in a renewal does not move the end of the use.
    let renewed = gateway.renew(&held, Some(HOUR_MS)).await.unwrap();
    assert_eq!(renewed.grant.remaining_ms, MINUTE_MS / 2);
    gateway.clock.advance(MINUTE_MS / 2);
    let ended = gateway.renew(&held, None).await.unwrap_err();
    assert_eq!(code(&ended), "override-expired");
    // To take it anew after the end is a new use, with the same review while that is open.
    gateway.clock.advance(1_000);
    let anew = gateway.acquire(None).await.unwrap();
    assert_eq!(anew.grant.hold_remaining_ms, Some(HOUR_MS));
    assert_eq!(gateway.ends_in_ms().await, Some(HOUR_MS));
}

#[tokio::test]
async fn a_further_acquire_within_a_use_ends_with_it() {
    let gateway = Gateway::open(&["acquire", "renew"], false).await;
    let held = gateway.acquire(Some(2 * MINUTE_MS)).await.unwrap();
    gateway.clock.advance(MINUTE_MS / 2);
    // Neither one that is refused, nor one that is granted, moves the end.
    let refused = gateway.acquire(Some(HOUR_MS)).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Held, "{refused:?}");
    let breaker = caller("breaker", &[Role::BreakGlass]);
    let lease = held.grant.lease_id;
    gateway.gate.release(&breaker, "demo/a", lease).await;
    let again = gateway.acquire(Some(HOUR_MS)).await.unwrap();
    let left_ms = 2 * MINUTE_MS - MINUTE_MS / 2;
    assert_eq!(again.grant.hold_remaining_ms, Some(left_ms));
    assert_eq!(gateway.ends_in_ms().await, Some(left_ms));
}

#[tokio::test]
async fn a_denied_renewal_is_passed_for_the_time_that_the_first_one_asks_for() {
    let gateway = Gateway::open(&["renew"], false).await;
    // Granted by the policies, and held for longer than a use lasts.
    let svc = caller("breaker", &[]);
    let acquire = asked("demo/a", 3 * HOUR_MS);
    let held = gateway.gate.pipeline.acquire(&svc, acquire).await.unwrap();
    gateway.clock.advance(2 * HOUR_MS + HOUR_MS / 2);
    let renewed = gateway.renew(&held, None).await.unwrap();
    assert_eq!(renewed.grant.hold_remaining_ms, Some(HOUR_MS));
    gateway.clock.advance(HOUR_MS - MINUTE_MS);
    let renewed = gateway.renew(&held, Some(HOUR_MS)).await.unwrap();
    assert_eq!(renewed.grant.remaining_ms, MINUTE_MS);
    // Somebody closes the review while the use lasts. It is opened again with the same end.
    let eve = caller("eve", &[Role::Approver]);
    let id = gateway.review().await.id;
    let closed = gateway
        .gate
        .governance
        .close_review(&eve, &id, "seen")
        .await;
    closed.unwrap();
    gateway.clock.advance(MINUTE_MS / 2);
    gateway.renew(&held, Some(HOUR_MS)).await.unwrap();
    assert!(gateway.review().await.closed.is_none());
    assert_eq!(gateway.ends_in_ms().await, Some(MINUTE_MS / 2));
}

#[tokio::test]
async fn without_a_required_ticket_the_denial_stands_and_is_on_record() {
    let gateway = Gateway::open(&["acquire", "revoke"], true).await;
    for ticket in [None, Some(" ")] {
        let breaker = caller("breaker", &[Role::BreakGlass]);
        let acquire = ask::Acquire {
            reason: Some(REASON.into()),
            override_terms: OverrideTerms::of(ticket.map(Into::into), None),
            ..asked("demo/a", MINUTE_MS)
        };
        let acquired = gateway.gate.pipeline.acquire(&breaker, acquire).await;
        let denied = acquired.unwrap_err();
        assert_eq!(code(&denied), "override-ticket-missing");
        assert!(denied.message.contains("denies"), "{}", denied.message);
    }
    assert!(gateway.gate.governance.reviews().await.unwrap().is_empty());
    let breaker = caller("breaker", &[Role::BreakGlass]);
    let acquire = ask::Acquire {
        reason: Some(REASON.into()),
        override_terms: OverrideTerms::of(Some("INC-7".into()), None),
        ..asked("demo/a", MINUTE_MS)
    };
    gateway
        .gate
        .pipeline
        .acquire(&breaker, acquire)
        .await
        .unwrap();
    let review = gateway.review().await;
    assert_eq!(review.ticket.as_deref(), Some("INC-7"));
    assert!(review.expires_ms.is_some());
}
