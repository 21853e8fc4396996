//! Declared inputs: undeclared inputs are hidden, and verdicts on declared inputs are cached.

use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::WallMillis;
use leasehold_policy_host::BoundPolicy;
use leasehold_policy_host::CacheLookup;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::Evaluation;
use leasehold_policy_host::HostError;
use leasehold_policy_host::PolicyEngine;
use leasehold_policy_host::VerdictCacheStats;

use crate::guest::Guest;
use crate::guest::InEngine;
use crate::guest::decide;
use crate::guest::engine;
use crate::guest::facts;
use crate::guest::principal;
use crate::guest::request;

/// Where the parts of the arguments lie, by the canonical layout: the lengths of the request's lock
/// and of the principal's subject, and the time.
const LOCK_LENGTH: u32 = 20;
const SUBJECT_LENGTH: u32 = 164;
const NOW_MS: u32 = 200;

/// A guest that traps if this word of its arguments is not what is expected.
fn expecting(fields: &[&str], granularity: Option<u64>, at: u32, word: u64) -> Guest {
    let reading = Guest::reading(fields, granularity);
    let low = word as u32 as i32;
    Guest {
        decide: format!(
            "(if (i32.ne (i32.load offset={at} (local.get 0)) (i32.const {low})) (then unreachable))
            {}",
            reading.decide
        ),
        ..reading
    }
}

fn passes(guest: &Guest) {
    let evaluation = guest.decided(&engine());
    assert!(evaluation.answer.is_ok(), "{evaluation:?}");
}

#[test]
fn a_module_sees_the_inputs_that_it_declares_and_no_others() {
    let lock = request().lock.lock.as_str().len() as u64;
    let subject = principal().subject.as_str().len() as u64;
    let both = ["request.lock", "principal.subject"];
    passes(&expecting(&both, None, LOCK_LENGTH, lock));
    passes(&expecting(&both, None, SUBJECT_LENGTH, subject));
    passes(&expecting(&["request.lock"], None, SUBJECT_LENGTH, 0));
    passes(&expecting(&["principal.subject"], None, LOCK_LENGTH, 0));
}

#[test]
fn a_module_sees_the_time_as_exactly_as_it_declares() {
    let now = facts().now.0;
    let minute = 60_000;
    let at = |granularity, word| expecting(&[], granularity, NOW_MS, word);
    passes(&at(Some(1), now));
    passes(&at(None, 0));
    let later = |guest: &Guest, ms| {
        let mut facts = facts();
        facts.now = WallMillis(now - now % minute + ms);
        guest
            .bound(&engine())
            .decide(&request(), &principal(), &facts)
    };
    let rounded = at(Some(minute), now - now % minute);
    assert!(later(&rounded, 59_999).answer.is_ok());
    assert!(later(&rounded, 60_000).answer.is_err());
}

#[test]
fn a_declaration_that_cannot_be_is_refused() {
    let refused = |guest: Guest| match guest.compile(&engine()) {
        Err(HostError::Manifest {
            field: "reads",
            problem,
        }) => problem,
        other => panic!("{other:?}"),
    };
    assert!(refused(Guest::reading(&["request.owner"], None)).contains("there are request."));
    assert!(refused(Guest::reading(&[], Some(0))).contains("granularity of 0 ms"));
    let undeclared = Guest {
        needs_lock: true,
        ..Guest::reading(&[], None)
    };
    let unasked = Guest::reading(&["facts.lock"], None);
    for guest in [undeclared, unasked] {
        assert_eq!(refused(guest), "and `needs-lock` do not say the same");
    }
}

/// Asks as the gateway does. Returns whether the verdict was cached.
fn ask(policy: &BoundPolicy, request: &Request, principal: &Principal) -> (Evaluation, bool) {
    let facts = facts();
    match policy.cached_verdict(request, principal, &facts, policy.budget()) {
        CacheLookup::Hit(evaluation) => (evaluation, true),
        CacheLookup::Miss(key) => {
            let evaluation = policy.decide(request, principal, &facts);
            policy.cache_verdict(key, &evaluation, policy.budget());
            (evaluation, false)
        }
        CacheLookup::Disabled => (policy.decide(request, principal, &facts), false),
    }
}

#[test]
fn equal_declared_inputs_have_one_verdict_whatever_else_differs() {
    let engine = engine();
    let policy = Guest::reading(&["request.lock", "request.labels"], None).bound(&engine);
    let evaluated = decide(&policy);
    assert_eq!(
        ask(&policy, &request(), &principal()),
        (evaluated.clone(), false)
    );
    let mut other = principal();
    other.subject = "somebody-else".parse().unwrap();
    let mut longer = request();
    longer.ttl_ms = Some(60_000);
    assert_eq!(ask(&policy, &longer, &other), (evaluated, true));
    let mut labelled = request();
    labelled.labels.insert("ticket".into(), "OPS-1".into());
    assert!(!ask(&policy, &labelled, &principal()).1);
    assert!(ask(&policy, &labelled, &other).1);
    assert_eq!(
        engine.verdict_cache_stats(),
        VerdictCacheStats {
            hits: 2,
            misses: 2,
            ..VerdictCacheStats::default()
        }
    );
}

#[test]
fn binding_the_same_configuration_again_keeps_the_cache() {
    let engine = engine();
    let module = Guest::reading(&["request.lock"], None)
        .compile(&engine)
        .unwrap();
    let bind = |config| module.bind(&config).unwrap();
    let first = bind(serde_json::json!({}));
    assert!(!ask(&first, &request(), &principal()).1);
    let again = bind(serde_json::json!({}));
    drop(first);
    assert!(ask(&again, &request(), &principal()).1);
    assert!(
        !ask(
            &bind(serde_json::json!({ "other": 1 })),
            &request(),
            &principal()
        )
        .1
    );
    drop(again);
    // The cache was dropped with the last policy that used it.
    assert!(!ask(&bind(serde_json::json!({})), &request(), &principal()).1);
}

#[test]
fn there_is_no_cache_without_a_declaration_or_for_the_locks_state_or_when_switched_off() {
    let off = EngineLimits {
        verdict_cache_bytes: 0,
        ..EngineLimits::default()
    };
    let off = PolicyEngine::new(off).unwrap();
    let on_the_lock = Guest {
        needs_lock: true,
        ..Guest::reading(&["facts.lock"], None)
    };
    let cases = [
        Guest::default().bound(&engine()),
        on_the_lock.bound(&engine()),
        Guest::reading(&[], None).bound(&off),
    ];
    for policy in cases {
        let lookup = policy.cached_verdict(&request(), &principal(), &facts(), policy.budget());
        assert!(matches!(lookup, CacheLookup::Disabled), "{lookup:?}");
    }
}
