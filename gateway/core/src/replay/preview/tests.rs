//! Previews of changes of a binding in a gateway in this process.

use leasehold_domain::SystemClock;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::failure::FailureKind;
use crate::governance::document::BindingDocument;
use crate::governance::document::DefaultDecision;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::caller;
use crate::rollouts::Difference;

fn guest(version: &str, denies: bool) -> Guest {
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

/// A gateway that has taken twelve locks `demo/a/…`, allowed by `p@1.0.0` of binding `b`, and four locks
/// `demo/z/…`, which `b` does not cover.
async fn gate() -> Gate {
    let gate = Gate::open().await;
    gate.namespace("demo", DefaultDecision::Allow).await;
    for guest in [guest("1.0.0", false), guest("2.0.0", true)] {
        gate.upload(guest.wasm()).await;
    }
    gate.bind(binding("p", "1.0.0", json!({}))).await.unwrap();
    let svc = caller("svc", &[]);
    for n in 0..12 {
        gate.acquire(&svc, &format!("demo/a/{n}"), None)
            .await
            .unwrap();
    }
    for n in 0..4 {
        gate.acquire(&svc, &format!("demo/z/{n}"), None)
            .await
            .unwrap();
    }
    gate.relay().await;
    gate
}

fn binding(policy: &str, version: &str, config: Value) -> Value {
    json!({ "name": "b", "namespaces": ["demo"], "locks": ["a/**"], "policies": [
        { "policy": policy, "version": version, "config": config }] })
}

async fn candidate(gate: &Gate, after: Option<Value>) -> Result<BindingCandidate, Failure> {
    let after = after.map(|after| serde_json::from_value::<BindingDocument>(after).unwrap());
    gate.governance.binding_candidate("b", after).await
}

async fn preview(gate: &Gate, after: Option<Value>, range: PreviewRange) -> PreviewReport {
    let candidate = Arc::new(candidate(gate, after).await.unwrap());
    let replays = Replays::new(gate.governance.clone(), Arc::new(SystemClock::new()));
    let report = replays.preview(&gate.ledgers(), &candidate, range).await;
    report.unwrap()
}

const ALL: PreviewRange = PreviewRange {
    from: None,
    after: None,
    to: None,
};

#[tokio::test]
async fn another_version_shows_what_it_would_have_denied_by_operation_and_team() {
    let gate = gate().await;
    let revision = gate.governance.plan().revision;
    let strict = binding("p", "2.0.0", json!({}));
    let report = preview(&gate, Some(strict), ALL).await;
    assert_eq!((report.decisions, report.agreed), (12, 0), "{report:?}");
    assert_eq!(report.differences, [(Difference::NewlyDenied, 12)].into());
    let group = &report.groups[&("acquire", None)];
    assert_eq!((group.decisions, group.unknown), (12, 0));
    assert_eq!(group.differences, [(Difference::NewlyDenied, 12)].into());
    let first = &report.first[0];
    assert_eq!(first.subject, "svc");
    assert!(first.token.is_some());
    assert!(
        first.candidate.contains("p@2.0.0") && first.candidate.contains("by hand"),
        "{first:?}"
    );
    // It wrote nothing.
    assert_eq!(gate.governance.plan().revision, revision);
    let bound = gate.governance.binding("b").await.unwrap().document;
    assert_eq!(bound.policies[0].version, "1.0.0");
}

#[tokio::test]
async fn the_same_binding_touches_its_decisions_and_changes_none() {
    let gate = gate().await;
    let same = binding("p", "1.0.0", json!({}));
    let report = preview(&gate, Some(same), ALL).await;
    assert_eq!((report.decisions, report.agreed), (12, 12), "{report:?}");
    // One that is wider touches more.
    let mut wider = binding("p", "1.0.0", json!({}));
    wider["locks"] = json!(["**"]);
    let report = preview(&gate, Some(wider), ALL).await;
    assert_eq!((report.decisions, report.agreed), (16, 16), "{report:?}");
}

#[tokio::test]
async fn limits_and_the_default_of_the_namespace_are_compared() {
    let gate = gate().await;
    let bounds = json!({ "rules": [{ "max_ttl_ms": 5_000 }] });
    let bounds = binding("ttl-bounds", "1.1.0", bounds);
    let report = preview(&gate, Some(bounds), ALL).await;
    assert_eq!(report.differences, [(Difference::OtherLimits, 12)].into());
    // Nothing would decide, and the namespace allows that.
    let report = preview(&gate, None, ALL).await;
    assert_eq!((report.decisions, report.agreed), (12, 12), "{report:?}");
    let draft = crate::governance::document::NamespaceDraft {
        name: "demo".parse().unwrap(),
        team: None,
        visibility: crate::governance::document::Visibility::default(),
        description: String::new(),
        default_decision: DefaultDecision::Deny,
        caps: None,
        store: None,
    };
    let op = caller("op", &[]);
    let any = leasehold_domain::Precondition::Any;
    let denying = gate.governance.put_namespace(&op, &draft, any).await;
    denying.unwrap();
    let report = preview(&gate, None, ALL).await;
    assert_eq!(report.differences, [(Difference::NewlyDenied, 12)].into());
}

#[tokio::test]
async fn what_another_binding_denied_stays_denied_and_a_lifted_denial_is_newly_allowed() {
    let gate = gate().await;
    let mut other = binding("p", "2.0.0", json!({}));
    (other["name"], other["locks"]) = (json!("other"), json!(["d/**"]));
    gate.bind(other.clone()).await.unwrap();
    let mut both = binding("p", "1.0.0", json!({}));
    both["locks"] = json!(["a/**", "d/**"]);
    gate.bind(both).await.unwrap();
    let svc = caller("svc", &[]);
    gate.acquire(&svc, "demo/d/1", None).await.unwrap_err();
    gate.relay().await;
    // `b` allows more or less there, and `other` denies all the same.
    let report = preview(&gate, None, ALL).await;
    assert_eq!((report.decisions, report.agreed), (13, 13), "{report:?}");
    let lifted = gate.governance.binding_candidate("other", None).await;
    let replays = Replays::new(gate.governance.clone(), Arc::new(SystemClock::new()));
    let lifted = Arc::new(lifted.unwrap());
    let report = replays
        .preview(&gate.ledgers(), &lifted, ALL)
        .await
        .unwrap();
    assert_eq!(report.differences, [(Difference::NewlyAllowed, 1)].into());
}

#[tokio::test]
async fn what_is_not_on_record_is_unknown() {
    let gate = gate().await;
    let looks = Guest {
        needs_lock: true,
        ..guest("3.0.0", true)
    };
    gate.upload(looks.wasm()).await;
    let report = preview(&gate, Some(binding("p", "3.0.0", json!({}))), ALL).await;
    assert_eq!(report.unknown, [("lock-not-recorded", 12)].into());
    assert_eq!(report.groups[&("acquire", None)].unknown, 12);
    assert_eq!((report.agreed, report.first.len()), (0, 0));
}

#[tokio::test]
async fn parts_together_are_the_whole_and_a_range_is_kept() {
    let gate = gate().await;
    let strict = || Some(binding("p", "2.0.0", json!({})));
    let whole = preview(&gate, strict(), ALL).await;
    let middle = whole.first[4].cursor;
    let first = PreviewRange {
        to: Some(middle),
        ..ALL
    };
    let second = PreviewRange {
        after: Some(middle),
        ..ALL
    };
    let (first, second) = (
        preview(&gate, strict(), first).await,
        preview(&gate, strict(), second).await,
    );
    assert_eq!((first.decisions, second.decisions), (5, 7));
    let later = PreviewRange {
        from: Some(WallMillis(u64::MAX >> 12)),
        ..ALL
    };
    assert_eq!(preview(&gate, strict(), later).await.decisions, 0);
}

#[tokio::test]
async fn locks_that_are_held_now_are_counted_where_the_binding_covers_them() {
    let gate = gate().await;
    let home = leasehold_domain::StoreName::home();
    let same = candidate(&gate, Some(binding("p", "1.0.0", json!({})))).await;
    let touched = gate.pipeline.touched_locks(&same.unwrap(), &home).await;
    let touched = touched.unwrap();
    assert_eq!((touched.locks, touched.leases), (12, 12));
    assert_eq!((touched.waiters, touched.more), (0, false));
    assert_eq!(touched.teams, [(None, 12)].into());
    assert_eq!(touched.first[0], "demo/a/0");
    // Before or after the change.
    let mut moved = binding("p", "1.0.0", json!({}));
    moved["locks"] = json!(["z/*"]);
    let moved = candidate(&gate, Some(moved)).await.unwrap();
    let touched = gate.pipeline.touched_locks(&moved, &home).await.unwrap();
    assert_eq!(touched.locks, 16);
    assert_eq!(gate.pipeline.touched_stores(&moved), [home]);
}

#[tokio::test]
async fn what_a_write_would_refuse_is_refused() {
    let gate = gate().await;
    let missing = candidate(&gate, Some(binding("p", "9.0.0", json!({})))).await;
    assert_eq!(missing.unwrap_err().kind, FailureKind::Invalid);
    let nothing = gate.governance.binding_candidate("nothing", None).await;
    assert_eq!(nothing.unwrap_err().kind, FailureKind::NotFound);
}
