//! Decisions of a gateway in this process, judged again.

use leasehold_domain::SystemClock;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use serde_json::json;

use std::collections::BTreeMap;

use super::*;
use crate::failure::FailureKind;
use crate::governance::document::DefaultDecision;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::caller;

fn version(version: &str, denies: bool) -> Guest {
    let at = TEXT as u32;
    let guest = Guest {
        name: "p".to_owned(),
        version: version.to_owned(),
        ..Guest::default()
    };
    match denies {
        false => guest,
        true => Guest {
            answer: deny((at, 2), (at + 2, 7)),
            text: b"noby hand".to_vec(),
            ..guest
        },
    }
}

/// A gateway that has judged forty acquires by `p@1.0.0` and by `ttl-bounds`, all allowed.
async fn gate() -> Gate {
    let gate = Gate::open().await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    for guest in [version("1.0.0", false), version("2.0.0", true)] {
        gate.upload(guest.wasm()).await;
    }
    let bounds = json!({ "rules": [{ "max_ttl_ms": 60_000 }] });
    let bound = gate.bind(json!({ "namespaces": ["demo"], "policies": [
        { "policy": "p", "version": "1.0.0" },
        { "policy": "ttl-bounds", "version": "1.1.0", "config": bounds }] }));
    bound.await.unwrap();
    let svc = caller("svc", &[]);
    for n in 0..40 {
        gate.acquire(&svc, &format!("demo/l/{}", n % 20), None)
            .await
            .unwrap();
    }
    gate.relay().await;
    gate
}

async fn replay(gate: &Gate, request: ReplayRequest) -> Result<ReplayReport, Failure> {
    let replays = Replays::new(gate.governance.clone(), Arc::new(SystemClock::new()));
    replays.run(&gate.ledgers(), &request).await
}

fn of(policy: &str) -> ReplayRequest {
    ReplayRequest {
        policy: policy.to_owned(),
        ..ReplayRequest::default()
    }
}

#[tokio::test]
async fn the_same_module_and_configuration_reproduce_every_decision() {
    let gate = gate().await;
    for policy in ["p", "ttl-bounds"] {
        let report = replay(&gate, of(policy)).await.unwrap();
        assert!(report.decisions >= 20, "{report:?}");
        assert_eq!(report.agreed, report.decisions, "{report:?}");
        assert_eq!(report.reproduced, report.decisions, "{report:?}");
        assert_eq!(
            (report.not_reproduced, report.next),
            (0, None),
            "{report:?}"
        );
        assert_eq!(report.unknown, BTreeMap::new());
        // Also after the binding and the version that judged are gone.
    }
    gate.unbind().await;
    let report = replay(&gate, of("ttl-bounds")).await.unwrap();
    assert_eq!(report.reproduced, report.decisions, "{report:?}");
}

#[tokio::test]
async fn a_candidate_shows_what_it_would_have_changed() {
    let gate = gate().await;
    let candidate = ReplayRequest {
        version: Some("2.0.0".to_owned()),
        ..of("p")
    };
    let report = replay(&gate, candidate.clone()).await.unwrap();
    assert_eq!(
        report.differences,
        [(Difference::NewlyDenied, report.decisions)].into()
    );
    assert_eq!(report.groups.len(), 20, "{report:?}");
    let first = &report.first[0];
    assert_eq!(
        first.candidate,
        "denied with code \"no\", message \"by hand\""
    );
    assert_eq!((&*first.subject, first.operation), ("svc", "acquire"));
    let elsewhere = ReplayRequest {
        binding: Some("other".to_owned()),
        ..candidate.clone()
    };
    assert_eq!(replay(&gate, elsewhere).await.unwrap().decisions, 0);
    let later = ReplayRequest {
        from: Some(WallMillis(u64::MAX >> 12)),
        ..candidate
    };
    assert_eq!(replay(&gate, later).await.unwrap().decisions, 0);
    let missing = ReplayRequest {
        version: Some("9.0.0".to_owned()),
        ..of("p")
    };
    let missing = replay(&gate, missing).await.unwrap_err();
    assert_eq!(missing.kind, FailureKind::NotFound);
}

#[tokio::test]
async fn another_configuration_alone_can_be_replayed() {
    let gate = gate().await;
    let strict = json!({ "rules": [{ "max_ttl_ms": 5_000 }] });
    let request = ReplayRequest {
        config: Some(strict),
        ..of("ttl-bounds")
    };
    let report = replay(&gate, request).await.unwrap();
    assert_eq!(
        report.differences,
        [(Difference::OtherLimits, report.decisions)].into()
    );
    assert_eq!((report.reproduced, report.not_reproduced), (0, 0));
    let wrong = ReplayRequest {
        config: Some(json!({ "rules": 7 })),
        ..of("ttl-bounds")
    };
    let wrong = replay(&gate, wrong).await.unwrap_err();
    assert_eq!(wrong.kind, FailureKind::Invalid, "{wrong:?}");
}

#[tokio::test]
async fn what_was_not_recorded_is_unknown_and_not_guessed() {
    let gate = gate().await;
    let looks = Guest {
        needs_lock: true,
        ..version("3.0.0", true)
    };
    gate.upload(looks.wasm()).await;
    let request = ReplayRequest {
        version: Some("3.0.0".to_owned()),
        ..of("p")
    };
    let report = replay(&gate, request).await.unwrap();
    assert_eq!(
        report.unknown,
        [("lock-not-recorded", report.decisions)].into()
    );
    assert_eq!(report.differences, BTreeMap::new());
}

#[tokio::test]
async fn a_report_has_a_digest_that_whoever_asks_again_gets() {
    let gate = gate().await;
    let candidate = ReplayRequest {
        version: Some("2.0.0".to_owned()),
        ..of("p")
    };
    let whole = replay(&gate, candidate.clone()).await.unwrap();
    assert_eq!(whole.prevented_holds, 20, "each lock was got once");
    assert!(whole.first[0].token.is_some());
    // In two parts, after more was decided.
    let middle = whole.first[7].cursor;
    let svc = caller("svc", &[]);
    gate.acquire(&svc, "demo/later", None).await.unwrap();
    gate.relay().await;
    let first = ReplayRequest {
        to: Some(middle),
        ..candidate.clone()
    };
    let first = replay(&gate, first).await.unwrap();
    assert_eq!((first.decisions, first.next), (8, None));
    assert_ne!(first.digest, whole.digest);
    let second = ReplayRequest {
        after: Some(middle),
        to: Some(whole.complete_to),
        digest: Some(first.digest),
        ..candidate.clone()
    };
    let second = replay(&gate, second).await.unwrap();
    assert_eq!(first.decisions + second.decisions, whole.decisions);
    assert_eq!(second.digest, whole.digest);
    // Another question, and more decisions, have other digests.
    assert_ne!(replay(&gate, candidate).await.unwrap().digest, whole.digest);
    assert_ne!(replay(&gate, of("p")).await.unwrap().digest, whole.digest);
}
