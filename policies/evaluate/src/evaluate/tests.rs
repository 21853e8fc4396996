//! Judgments by real modules.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use leasehold_domain::Denial;
use leasehold_domain::DenialKind;
use leasehold_domain::ManualClock;
use leasehold_domain::Operation;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::QUOTA_1;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::allow;
use leasehold_policy_guests::deny;
use leasehold_policy_host::BoundPolicy;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;
use leasehold_policy_host::PolicyFault;
use serde_json::json;

use super::*;

/// More than any case spends that does not say otherwise.
const BUDGET: Budget = Budget {
    fuel: 100_000_000,
    deadline_ms: 60_000,
};

/// Binds a module to an empty configuration, in an engine of its own.
fn bound(wasm: &[u8]) -> BoundPolicy {
    let engine = PolicyEngine::new(EngineLimits::default()).unwrap();
    engine.compile(wasm).unwrap().bind(&json!({})).unwrap()
}

fn step(policy: &str, enforcement: Enforcement, bound: Result<BoundPolicy, String>) -> Step {
    Step {
        binding: "b".into(),
        policy: policy.into(),
        version: "1.0.0".into(),
        enforcement,
        on_error_allow: [Operation::Renew].into(),
        bound,
        killed: None,
    }
}

/// A policy that allows, with limits in milliseconds.
fn allows(enforcement: Enforcement, ttl_ms: Option<u64>, hold_ms: Option<u64>) -> Step {
    let guest = Guest {
        answer: allow(ttl_ms, hold_ms),
        ..Guest::default()
    };
    step("allows", enforcement, Ok(bound(&guest.wasm())))
}

/// A policy that denies with its own name as the code.
fn denies(policy: &str, enforcement: Enforcement) -> Step {
    let (at, length) = (TEXT as u32, policy.len() as u32);
    let guest = Guest {
        answer: deny((at, length), (at, length)),
        text: policy.as_bytes().to_vec(),
        ..Guest::default()
    };
    step(policy, enforcement, Ok(bound(&guest.wasm())))
}

/// A policy that traps.
fn traps(enforcement: Enforcement) -> Step {
    let guest = Guest::doing("(unreachable)");
    step("traps", enforcement, Ok(bound(&guest.wasm())))
}

/// Judges an operation that a principal with these roles asks for, with a reason.
fn judged_of(
    steps: &[Step],
    operation: Operation,
    roles: &[Role],
    reason: Option<&str>,
) -> Judgment {
    let mut request = Request::new(operation, "demo/nightly".parse().unwrap());
    request.reason = reason.map(Into::into);
    let principal = Principal {
        subject: "svc".parse().unwrap(),
        team: None,
        roles: roles.iter().copied().collect(),
        claims: BTreeMap::new(),
    };
    let facts = Facts {
        now: WallMillis(1_795_456_800_000),
        lock: None,
        usage: None,
    };
    let question = Question {
        request: &request,
        principal: &principal,
        facts: &facts,
    };
    let clock = ManualClock::new(facts.now);
    let mut evaluation = Evaluation::new(BUDGET);
    assert!(evaluation.advance(steps, question, None, &clock));
    let (judgment, asked) = evaluation.finish();
    // However it is cut into slices, the judgment is the same.
    for fuel in [1, 3_000, 1_000_000] {
        let slice = Budget { fuel, ..BUDGET };
        let mut sliced = Evaluation::new(BUDGET);
        while !sliced.advance(steps, question, Some(slice), &clock) {
            let (judgment, asked) = (&sliced.judgment, sliced.asked.len());
            assert_eq!(judgment.verdicts.len(), asked);
            // A step that spends more than any slice is asked without one.
            assert!(sliced.advance(&steps[..asked + 1], question, None, &clock));
        }
        assert_eq!(sliced.finish(), (judgment.clone(), asked.clone()), "{fuel}");
    }
    let failed = |verdict: &PolicyVerdict| matches!(verdict.answer, PolicyAnswer::Error { .. });
    let failed: Vec<_> = judgment.verdicts.iter().map(failed).collect();
    let told: Vec<_> = asked.iter().map(|asked| asked.error.is_some()).collect();
    assert_eq!(
        told, failed,
        "why each policy has no verdict is told, in order"
    );
    judgment
}

fn judged(steps: &[Step]) -> Judgment {
    judged_of(steps, Operation::Acquire, &[], None)
}

fn denial(judgment: &Judgment) -> &Denial {
    match &judgment.effect {
        Some(Effect::Deny(denial)) => denial,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn all_are_asked_and_the_first_denial_that_counts_is_the_effect() {
    let steps = [
        allows(Enforcement::Mandatory, None, None),
        denies("advice", Enforcement::Advisory),
        denies("first", Enforcement::Mandatory),
        traps(Enforcement::Mandatory),
        denies("second", Enforcement::Overridable),
    ];
    let judgment = judged(&steps);
    let asked = judgment.verdicts.iter().map(|verdict| &*verdict.policy);
    let asked: Vec<_> = asked.collect();
    assert_eq!(asked, ["allows", "advice", "first", "traps", "second"]);
    let denial = denial(&judgment);
    assert_eq!(denial.kind, DenialKind::Policy);
    assert_eq!(denial.policy.as_deref(), Some("first"));
    assert_eq!((&*denial.code, &*denial.message), ("first", "first"));
    assert_eq!(judgment.error, None, "the policy that denied did not fail");
}

#[test]
fn an_advisory_verdict_never_counts() {
    let advice = [
        allows(Enforcement::Advisory, Some(1_000), Some(1_000)),
        denies("advice", Enforcement::Advisory),
        traps(Enforcement::Advisory),
    ];
    let judgment = judged(&advice);
    assert_eq!(judgment.verdicts.len(), 3);
    assert_eq!((judgment.effect, judgment.error), (None, None));
    assert_eq!(judgment.limits, PolicyLimits::default());
    assert_eq!(judged(&[]), Judgment::default());

    let [first, second, third] = advice;
    let decides = allows(Enforcement::Mandatory, None, None);
    let judgment = judged(&[first, second, third, decides]);
    assert_eq!(judgment.effect, Some(Effect::Allow));
    assert_eq!(judgment.limits, PolicyLimits::default());
}

#[test]
fn an_overridable_denial_is_passed_with_the_role_and_a_reason() {
    let breaker = [Role::BreakGlass];
    let reason = Some("INC-7");
    let of = |steps: &[Step], roles: &[Role], reason| {
        judged_of(steps, Operation::Acquire, roles, reason)
    };
    let overridden = Some(Effect::Override {
        reason: "INC-7".into(),
    });
    let steps = [
        denies("soft", Enforcement::Overridable),
        traps(Enforcement::Overridable),
        allows(Enforcement::Mandatory, Some(5_000), None),
    ];
    let passed = of(&steps, &breaker, reason);
    assert_eq!((&passed.effect, &passed.error), (&overridden, &None));
    assert_eq!(passed.limits.max_ttl_ms, Some(5_000));
    for (roles, reason) in [
        (&breaker[..], None),
        (&breaker, Some(" ")),
        (&[], reason),
        (&[Role::Administrator, Role::Operator], reason),
    ] {
        let judgment = of(&steps, roles, reason);
        assert_eq!(&*denial(&judgment).code, "soft", "{roles:?} {reason:?}");
    }
    let [soft, _, allowing] = steps;
    let steps = [soft, allowing, denies("hard", Enforcement::Mandatory)];
    let judgment = of(&steps, &breaker, reason);
    assert_eq!(&*denial(&judgment).code, "hard");
    // Where nothing denies, nothing is overridden.
    let judgment = of(&steps[1..2], &breaker, reason);
    assert_eq!(judgment.effect, Some(Effect::Allow));
}

#[test]
fn a_failing_policy_denies_or_passes_by_operation() {
    let quota = bound(QUOTA_1);
    let failing = [
        (traps(Enforcement::Mandatory), "trap", "unreachable"),
        (
            step("quota", Enforcement::Mandatory, Ok(quota)),
            "missing-fact",
            "`usage`",
        ),
        (
            step("gone", Enforcement::Mandatory, Err("a secret".to_owned())),
            "not-loaded",
            "it could not be loaded",
        ),
        (
            Step {
                killed: Some("by ada: a secret".into()),
                ..allows(Enforcement::Mandatory, None, None)
            },
            "killed",
            "its version was killed",
        ),
    ];
    for (step, kind, words) in failing {
        let name = step.policy.clone();
        let steps = [step, denies("later", Enforcement::Mandatory)];
        let judgment = judged(&steps);
        let denial = denial(&judgment);
        assert_eq!(denial.kind, DenialKind::PolicyError);
        assert_eq!(denial.policy.as_ref(), Some(&name));
        assert!(denial.message.contains(words), "{denial:?}");
        assert!(!denial.message.contains("secret"), "{denial:?}");
        let error = judgment.error.as_ref().unwrap();
        assert!(error.is_deterministic());
        assert_eq!(error.as_str(), kind);

        let renewed = judged_of(&steps[..1], Operation::Renew, &[], None);
        let effect = (renewed.effect, renewed.error);
        assert_eq!(effect, (Some(Effect::Allow), None));
        let answer = &renewed.verdicts[0].answer;
        let message = error.to_string().into();
        let passed = true;
        assert_eq!(*answer, PolicyAnswer::Error { message, passed });
    }
}

#[test]
fn a_busy_host_may_answer_an_equal_request() {
    let error = EvaluationError::Failed(PolicyFault::Busy);
    assert!(!error.is_deterministic(), "{error}");
}

#[test]
fn the_tightest_limits_of_those_that_count_apply() {
    let steps = [
        allows(Enforcement::Mandatory, Some(9_000), None),
        allows(Enforcement::Overridable, Some(7_000), Some(60_000)),
        allows(Enforcement::Advisory, Some(1_000), Some(1_000)),
        allows(Enforcement::Mandatory, Some(8_000), Some(50_000)),
    ];
    let limits = PolicyLimits {
        max_ttl_ms: Some(7_000),
        max_hold_ms: Some(50_000),
        counters: Vec::new(),
    };
    let judgment = judged(&steps);
    assert_eq!(judgment.limits, limits);
    assert_eq!(judgment.effect, Some(Effect::Allow));
}

#[test]
fn more_policies_than_one_decision_may_run_deny_and_none_is_asked() {
    let one = allows(Enforcement::Advisory, None, None);
    let mut steps = vec![one; POLICIES_PER_DECISION_MAX];
    let judgment = judged(&steps);
    assert_eq!(judgment.verdicts.len(), POLICIES_PER_DECISION_MAX);
    assert_eq!(judgment.effect, None);
    steps.push(steps[0].clone());
    let judgment = judged(&steps);
    assert_eq!(judgment.verdicts, []);
    let denial = denial(&judgment);
    assert_eq!(denial.kind, DenialKind::PolicyError);
    assert_eq!(&*denial.code, "too-many-policies");
    assert_eq!(judgment.error, Some(EvaluationError::TooManyPolicies));
}

#[test]
fn equal_inputs_give_equal_judgments() {
    let judgment = || {
        judged(&[
            allows(Enforcement::Mandatory, Some(9_000), None),
            traps(Enforcement::Overridable),
            denies("late", Enforcement::Mandatory),
        ])
    };
    let once = judgment();
    assert!(once.verdicts.iter().all(|verdict| verdict.fuel > 0));
    assert_eq!(once, judgment());
}

/// A policy that spends some 2,000,000 fuel.
fn slow() -> Step {
    let counts = "(local $n i32) (local.set $n (i32.const 300000)) (loop $l \
                  (local.set $n (i32.sub (local.get $n) (i32.const 1))) \
                  (br_if $l (local.get $n)))";
    let guest = Guest::doing(counts);
    step("slow", Enforcement::Mandatory, Ok(bound(&guest.wasm())))
}

/// Asks `steps` about an acquire, and returns what they came to.
fn within(steps: &[Step], budget: Budget, clock: &dyn Clock) -> (Judgment, Vec<Asked>) {
    let request = Request::new(Operation::Acquire, "demo/nightly".parse().unwrap());
    let principal = Principal {
        subject: "svc".parse().unwrap(),
        team: None,
        roles: RoleSet::default(),
        claims: BTreeMap::new(),
    };
    let facts = Facts {
        now: WallMillis(1_795_456_800_000),
        lock: None,
        usage: None,
    };
    let question = Question {
        request: &request,
        principal: &principal,
        facts: &facts,
    };
    let mut evaluation = Evaluation::new(budget);
    assert!(evaluation.advance(steps, question, None, clock));
    evaluation.finish()
}

#[test]
fn the_steps_of_a_request_share_its_fuel() {
    let clock = ManualClock::new(WallMillis(0));
    let steps = vec![slow(); 4];
    let (whole, _) = within(&steps, BUDGET, &clock);
    assert_eq!(whole.effect, Some(Effect::Allow));
    let each = whole.verdicts[0].fuel;
    assert!(each > 1_000_000, "{each}");

    let budget = Budget {
        fuel: each * 5 / 2,
        ..BUDGET
    };
    let (judgment, asked) = within(&steps, budget, &clock);
    let error = EvaluationError::RequestFuelSpent(budget.fuel);
    let errors: Vec<_> = asked.into_iter().map(|asked| asked.error).collect();
    // The third spends what is left of it, and the fourth is not asked.
    let none = Some(error.clone());
    assert_eq!(errors, [None, None, none.clone(), none]);
    let spent: Vec<_> = judgment.verdicts.iter().map(|one| one.fuel).collect();
    assert_eq!(spent, [each, each, budget.fuel - 2 * each, 0]);
    assert_eq!(denial(&judgment).kind, DenialKind::PolicyError);
    assert!(error.is_deterministic());
    assert_eq!(judgment.error, Some(error));
    let (again, _) = within(&steps, budget, &clock);
    assert_eq!(again, judgment);
}

/// A clock on which a second passes with each look.
#[derive(Debug, Default)]
struct Hasty(AtomicU64);

impl Clock for Hasty {
    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::SeqCst))
    }

    fn wall(&self) -> WallMillis {
        WallMillis(0)
    }
}

#[test]
fn the_steps_of_a_request_share_its_time() {
    let steps = vec![allows(Enforcement::Mandatory, None, None); 4];
    let budget = Budget {
        deadline_ms: 2_000,
        ..BUDGET
    };
    let (judgment, asked) = within(&steps, budget, &Hasty::default());
    let error = EvaluationError::RequestTimeSpent(2_000);
    let errors: Vec<_> = asked.into_iter().map(|asked| asked.error).collect();
    let none = Some(error.clone());
    assert_eq!(errors, [None, None, none.clone(), none]);
    assert!(!error.is_deterministic());
    assert_eq!(judgment.error, Some(error));
}

/// A policy of this name that carries counters.
fn counts(policy: &str, enforcement: Enforcement, counters: &[(&str, u32)]) -> Step {
    let counters: Vec<_> = counters
        .iter()
        .map(|(name, most)| (*name, *most, None))
        .collect();
    let guest = Guest {
        operations: vec!["acquire".to_owned(), "renew".to_owned()],
        ..Guest::counting(&counters)
    };
    step(policy, enforcement, Ok(bound(&guest.wasm())))
}

fn carried(judgment: &Judgment) -> Vec<(&str, &str, u32, bool)> {
    let counters = judgment.counters.iter();
    let shown = counters.map(
        |JudgedCounter {
             counter,
             is_overridable,
         }| {
            let key = &counter.key;
            (&*key.policy, &*key.name, counter.maximum, *is_overridable)
        },
    );
    shown.collect()
}

#[test]
fn counters_belong_to_their_policies_and_the_tightest_counts() {
    let steps = [
        counts("p", Enforcement::Overridable, &[("a", 5), ("b", 5)]),
        counts("q", Enforcement::Overridable, &[("a", 1)]),
        counts("advice", Enforcement::Advisory, &[("a", 1)]),
        counts("p", Enforcement::Mandatory, &[("a", 7), ("b", 3)]),
    ];
    let judgment = judged(&steps);
    assert_eq!(
        carried(&judgment),
        [
            ("p", "a", 5, false),
            ("p", "b", 3, false),
            ("q", "a", 1, true)
        ]
    );
    assert_eq!(judgment.effect, Some(Effect::Allow));
    assert_eq!(judgment.limits, PolicyLimits::default());
    // Only a lease that begins carries counters.
    let renewal = judged_of(&steps, Operation::Renew, &[], None);
    assert_eq!(carried(&renewal), []);
}

#[test]
fn more_counters_than_one_decision_may_carry_are_an_error() {
    let names: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    let eight: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let two = ["p", "q"].map(|policy| counts(policy, Enforcement::Mandatory, &eight));
    let judgment = judged(&two);
    assert_eq!(judgment.counters.len(), 16);
    assert_eq!(judgment.effect, Some(Effect::Allow));
    let [p, q] = two;
    let judgment = judged(&[p, q, counts("r", Enforcement::Mandatory, &[("a", 1)])]);
    let denial = denial(&judgment);
    assert_eq!(denial.kind, DenialKind::PolicyError);
    assert_eq!(&*denial.code, "too-many-counters");
    assert_eq!(judgment.error, Some(EvaluationError::TooManyCounters));
}
