//! What a well-behaved guest sees and gets.

use leasehold_domain::FencingToken;
use leasehold_domain::HolderView;
use leasehold_domain::LeaseId;
use leasehold_domain::LeaseState;
use leasehold_domain::LockSettings;
use leasehold_domain::LockView;
use leasehold_domain::Mode;
use leasehold_domain::Owner;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyCounter;
use leasehold_domain::PolicyLimits;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::COUNTER_NAME_BYTES_MAX;
use leasehold_domain::limits::COUNTERS_PER_VERDICT_MAX;
use leasehold_policy_host::PolicyFault;

use crate::guest::ANSWER;
use crate::guest::Guest;
use crate::guest::InEngine;
use crate::guest::TEXT;
use crate::guest::allow;
use crate::guest::deny;
use crate::guest::engine;
use crate::guest::facts;
use crate::guest::principal;
use crate::guest::request;

#[test]
fn limits_and_denials_come_back() {
    let engine = engine();
    let plain = Guest::default().decided(&engine).answer;
    assert_eq!(plain, Ok(PolicyAnswer::Allow(PolicyLimits::default())));
    let limited = Guest {
        answer: allow(Some(5_000), Some(60_000)),
        ..Guest::default()
    };
    let limits = PolicyLimits {
        max_ttl_ms: Some(5_000),
        max_hold_ms: Some(60_000),
        counters: Vec::new(),
    };
    assert_eq!(
        limited.decided(&engine).answer,
        Ok(PolicyAnswer::Allow(limits))
    );
    let denying = Guest {
        text: b"no-waynot today".to_vec(),
        answer: deny((TEXT as u32, 6), (TEXT as u32 + 6, 9)),
        ..Guest::default()
    };
    let denied = PolicyAnswer::Deny {
        code: "no-way".into(),
        message: "not today".into(),
        retry_after_ms: None,
    };
    assert_eq!(denying.decided(&engine).answer, Ok(denied));
}

#[test]
fn the_guests_own_error_is_a_fault_and_not_a_denial() {
    let mut answer = vec![0; 48];
    answer[0] = 1;
    answer[8..12].copy_from_slice(&(TEXT as u32).to_le_bytes());
    answer[12..16].copy_from_slice(&4_u32.to_le_bytes());
    let guest = Guest {
        answer,
        text: b"oops".to_vec(),
        ..Guest::default()
    };
    let fault = guest.decided(&engine()).answer.unwrap_err();
    assert_eq!(fault, PolicyFault::Refused("oops".to_owned()));
}

#[test]
fn the_same_decision_spends_the_same_fuel() {
    let engine = engine();
    let policy = Guest::default().bound(&engine);
    let spent: Vec<u64> = (0..100)
        .map(|_| policy.decide(&request(), &principal(), &facts()).fuel)
        .collect();
    assert!(spent[0] > 0);
    assert!(spent.iter().all(|fuel| *fuel == spent[0]), "{spent:?}");
}

#[test]
fn nothing_is_left_from_one_decision_to_the_next() {
    // Counts its calls in memory, and traps at the second.
    let decide = format!(
        "(if (i32.load (i32.const 60000)) (then (unreachable)))
         (i32.store (i32.const 60000) (i32.const 1)) (i32.const {ANSWER})"
    );
    let policy = Guest {
        decide,
        ..Guest::default()
    }
    .bound(&engine());
    for _ in 0..100 {
        assert!(
            policy
                .decide(&request(), &principal(), &facts())
                .answer
                .is_ok()
        );
    }
}

#[test]
fn traces_are_shown_by_explain_and_cost_the_same_without_it() {
    let decide = format!("(call $trace (i32.const {TEXT}) (i32.const 5)) (i32.const {ANSWER})");
    let guest = Guest {
        decide,
        text: b"hello".to_vec(),
        ..Guest::default()
    };
    let policy = guest.bound(&engine());
    let decided = policy.decide(&request(), &principal(), &facts());
    let (explained, traces) = policy.explain(&request(), &principal(), &facts());
    assert_eq!(traces, ["hello"]);
    assert_eq!(decided, explained);
}

#[test]
fn a_policy_that_asks_is_shown_the_lock_and_nothing_runs_without_it() {
    // Denies with the first holder's subject: facts.lock.holders is at 236 of the arguments, a
    // holder's subject at 8 of the holder. Says the weekday in the code.
    let decide = format!(
        "(local $holder i32)
         (local.set $holder (i32.load offset=236 (local.get 0)))
         (i32.store8 (i32.const {TEXT}) (i32.add (i32.load8_u offset=208 (local.get 0)) (i32.const 48)))
         (i32.store (i32.const {message}) (i32.load offset=8 (local.get $holder)))
         (i32.store (i32.const {length}) (i32.load offset=12 (local.get $holder)))
         (i32.const {ANSWER})",
        message = ANSWER + 24,
        length = ANSWER + 28,
    );
    let answer = deny((TEXT as u32, 1), (0, 0));
    let policy = Guest {
        decide,
        answer,
        needs_lock: true,
        ..Guest::default()
    }
    .bound(&engine());
    let blind = policy.decide(&request(), &principal(), &facts());
    assert_eq!(blind.answer, Err(PolicyFault::MissingFact("lock")));
    let mut seeing = facts();
    seeing.lock = Some(Box::new(held_by("alice")));
    let shown = policy.decide(&request(), &principal(), &seeing);
    // 2026-11-23 was a Monday.
    let expected = PolicyAnswer::Deny {
        code: "1".into(),
        message: "alice".into(),
        retry_after_ms: None,
    };
    assert_eq!(shown.answer, Ok(expected));
}

fn held_by(subject: &str) -> LockView {
    let owner = Owner {
        subject: subject.parse().unwrap(),
        team: None,
        instance: None,
        labels: [("a".into(), "b".into())].into(),
        value: None,
        reason: None,
    };
    let holder = HolderView {
        handle: LeaseId::from_bytes([1; 16]).handle(),
        owner,
        mode: Mode::Exclusive,
        token: FencingToken(7),
        since: WallMillis(1),
        remaining_ms: 1_000,
        state: LeaseState::Active,
        policies: None,
    };
    LockView {
        lock: request().lock,
        revision: 3,
        settings: LockSettings::default(),
        holders: vec![holder],
        queue: Vec::new(),
        cooldown_remaining_ms: 0,
        reserved_for: None,
        last_token: FencingToken(7),
        stale_ms: 0,
    }
}

/// A counter's name, maximum and code.
type Counter<'a> = (&'a str, u32, Option<&'a str>);

fn counted(counters: &[Counter<'_>]) -> Result<Vec<PolicyCounter>, PolicyFault> {
    let answer = Guest::counting(counters).decided(&engine()).answer;
    answer.map(|answer| match answer {
        PolicyAnswer::Allow(limits) => limits.counters,
        other => panic!("not allowed: {other:?}"),
    })
}

#[test]
fn counters_come_back() {
    let counter = |name: &str, maximum, code: Option<&str>| PolicyCounter {
        name: name.into(),
        maximum,
        code: code.map(Into::into),
    };
    assert_eq!(
        counted(&[
            ("subject:J\u{f6}rg", 3, Some("too-many")),
            ("all", u32::MAX, None)
        ]),
        Ok(vec![
            counter("subject:J\u{f6}rg", 3, Some("too-many")),
            counter("all", u32::MAX, None)
        ])
    );
    let longest = "x".repeat(COUNTER_NAME_BYTES_MAX);
    let names: Vec<String> = (0..COUNTERS_PER_VERDICT_MAX)
        .map(|n| format!("{}{n}", &longest[1..]))
        .collect();
    let most: Vec<_> = names.iter().map(|name| (name.as_str(), 1, None)).collect();
    assert_eq!(
        counted(&most).map(|counters| counters.len()),
        Ok(most.len())
    );
}

#[test]
fn counters_that_break_the_contract_are_a_fault() {
    let long = "x".repeat(COUNTER_NAME_BYTES_MAX + 1);
    let nine: Vec<String> = (0..=COUNTERS_PER_VERDICT_MAX)
        .map(|n| n.to_string())
        .collect();
    let nine: Vec<_> = nine.iter().map(|name| (name.as_str(), 1, None)).collect();
    let broken: [(&[Counter<'_>], &str); 7] = [
        (&nine, "more than 8 counters"),
        (&[("a", 1, None), ("a", 2, None)], "named twice"),
        (&[("", 1, None)], "printable text"),
        (&[("a\nb", 1, None)], "printable text"),
        (&[(&long, 1, None)], "1 to 384 bytes"),
        (&[("a", 0, None)], "at least 1"),
        (&[("a", 1, Some("No!"))], "a counter's code"),
    ];
    for (counters, problem) in broken {
        let Err(PolicyFault::InvalidAnswer(told)) = counted(counters) else {
            panic!("{problem}");
        };
        assert!(told.contains(problem), "{told}");
    }
}
