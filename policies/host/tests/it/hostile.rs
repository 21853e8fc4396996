//! Guests that loop, trap, recurse, eat memory and return rubbish.

use leasehold_domain::PolicyAnswer;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;
use leasehold_policy_host::PolicyFault;

use crate::guest::Guest;
use crate::guest::InEngine;
use crate::guest::TEXT;
use crate::guest::allow;
use crate::guest::decide;
use crate::guest::deny;
use crate::guest::engine;

fn fault(guest: &Guest) -> PolicyFault {
    let evaluation = guest.decided(&engine());
    assert!(
        evaluation.fuel > 0,
        "a fault costs what was spent: {evaluation:?}"
    );
    evaluation.answer.unwrap_err()
}

#[test]
fn a_loop_spends_its_fuel() {
    let evaluation = Guest::doing("(loop $l (br $l))").decided(&engine());
    let budget = EngineLimits::default().fuel;
    assert_eq!(evaluation.answer, Err(PolicyFault::FuelSpent(budget)));
    assert_eq!(evaluation.fuel, budget);
}

#[test]
fn the_guard_stops_what_fuel_would_allow() {
    let limits = EngineLimits {
        fuel: u64::MAX,
        deadline_ms: 40,
        ..EngineLimits::default()
    };
    let engine = PolicyEngine::new(limits).unwrap();
    let fault = Guest::doing("(loop $l (br $l))")
        .decided(&engine)
        .answer
        .unwrap_err();
    assert_eq!(fault, PolicyFault::Deadline(40));
    assert!(!fault.is_deterministic());
}

#[test]
fn host_calls_are_paid_for() {
    let guest = Guest::doing(&format!(
        "(loop $l (call $trace (i32.const {TEXT}) (i32.const 9000)) (br $l))"
    ));
    let fault = fault(&Guest {
        text: vec![b'x'; 8_000],
        ..guest
    });
    assert_eq!(fault.as_str(), "fuel");
}

#[test]
fn a_trap_is_named() {
    let told = |body| fault(&Guest::doing(body)).to_string();
    assert!(told("(unreachable)").contains("unreachable"));
    assert!(told("(drop (i32.load (i32.const -8)))").contains("out of bounds"));
    assert!(told("(drop (i32.div_s (i32.const 1) (i32.const 0)))").contains("divide by zero"));
}

#[test]
fn a_trap_tells_authors_what_was_traced_last_and_callers_nothing_of_it() {
    let tracing = |at: &str| format!("(call $trace (i32.const {TEXT}) (i32.const {at}))");
    let guest = Guest {
        text: b"first, and then: panicked at src/lib.rs:7".to_vec(),
        ..Guest::doing(&format!("{}{}(unreachable)", tracing("5"), tracing("41")))
    };
    let told = fault(&guest);
    let expected = "trapped: wasm trap: wasm `unreachable` instruction executed; it traced last: \
                    first, and then: panicked at src/lib.rs:7";
    assert_eq!(told.to_string(), expected);
    assert!(!told.redacted().contains("panicked"), "{}", told.redacted());
    let other = Guest::doing(&format!("{}(drop (i32.load (i32.const -8)))", tracing("5")));
    let other = Guest {
        text: b"first".to_vec(),
        ..other
    };
    assert!(fault(&other).to_string().ends_with("it traced last: first"));
}

#[test]
fn endless_recursion_ends() {
    let guest = Guest {
        more: "(func $r (call $r) (call $r))".to_owned(),
        ..Guest::doing("(call $r)")
    };
    let told = fault(&guest);
    assert_eq!(told.as_str(), "trap");
    assert!(told.to_string().contains("stack"), "{told}");
}

#[test]
fn memory_has_an_end() {
    let eaten = fault(&Guest::doing(
        "(loop $l (drop (memory.grow (i32.const 16))) (br $l))",
    ));
    assert_eq!(
        eaten,
        PolicyFault::Memory(EngineLimits::default().memory_bytes)
    );
}

#[test]
fn rubbish_is_an_invalid_answer() {
    let text = b"\xff\xfe\xfdcode".to_vec();
    let at = TEXT as u32;
    for (what, answer) in [
        ("text that is not UTF-8", deny((at + 3, 4), (at, 3))),
        ("an address outside", deny((at + 3, 4), (u32::MAX - 8, 4))),
        ("a length outside", deny((at + 3, 4), (at, 1 << 20))),
        ("an empty code", deny((at, 0), (at + 3, 4))),
        ("a tag that there is not", vec![7]),
        ("a ttl that no lease can have", allow(Some(0), None)),
        ("a hold that no lease can have", allow(None, Some(999))),
    ] {
        let guest = Guest {
            answer,
            text: text.clone(),
            ..Guest::default()
        };
        assert_eq!(fault(&guest).as_str(), "invalid-answer", "{what}");
    }
    let outside = Guest {
        decide: "(i32.const -16)".to_owned(),
        ..Guest::default()
    };
    assert_eq!(fault(&outside).as_str(), "invalid-answer");
    let at_code = deny((at, 8), (at, 1));
    let shouting = Guest {
        answer: at_code,
        text: b"NO\nWAY!!".to_vec(),
        ..Guest::default()
    };
    assert_eq!(fault(&shouting).as_str(), "invalid-answer");
}

#[test]
fn an_oversized_answer_is_not_kept() {
    let at = TEXT as u32;
    for length in [1_025, 17_000, 150_000] {
        let text = vec![b'a'; 5_000];
        let guest = Guest {
            answer: deny((at, 4), (at, length)),
            text,
            ..Guest::default()
        };
        assert_eq!(fault(&guest), PolicyFault::OversizedAnswer, "{length}");
    }
}

#[test]
fn a_thousand_traps_leave_the_engine_as_it_was() {
    let engine = engine();
    let (bad, good) = (
        Guest::doing("(unreachable)").bound(&engine),
        Guest::default().bound(&engine),
    );
    for _ in 0..1_000 {
        assert!(decide(&bad).answer.is_err());
        assert!(matches!(decide(&good).answer, Ok(PolicyAnswer::Allow(_))));
    }
}

#[test]
fn more_decisions_than_instances_are_told_so() {
    let limits = EngineLimits {
        instances: 1,
        fuel: u64::MAX,
        deadline_ms: 500,
        ..EngineLimits::default()
    };
    let engine = PolicyEngine::new(limits).unwrap();
    let slow = Guest::doing("(loop $l (br $l))").bound(&engine);
    let good = Guest::default().bound(&engine);
    // A spinner that finds the only instance taken tries again.
    let spin = || {
        let mut answers = std::iter::repeat_with(|| decide(&slow).answer);
        answers.find(|answer| *answer != Err(PolicyFault::Busy))
    };
    std::thread::scope(|scope| {
        let spinning = scope.spawn(spin);
        // The other thread has half a second to be seen spinning.
        let busy = std::iter::repeat_with(|| decide(&good).answer)
            .take_while(|_| !spinning.is_finished())
            .find(Result::is_err);
        assert_eq!(busy, Some(Err(PolicyFault::Busy)));
        let stopped = spinning.join().unwrap().unwrap();
        assert_eq!(stopped.unwrap_err().as_str(), "deadline");
    });
    assert!(decide(&good).answer.is_ok());
}
