//! Modules that consist of several parts, or are built for one version of the contract or another: what is
//! taken, and how far.

use leasehold_domain::PolicyAnswer;
use leasehold_policy_guests::QUOTA_1;
use leasehold_policy_host::Contract;
use leasehold_policy_host::HostError;
use leasehold_policy_host::PolicyFault;
use leasehold_policy_host::stock;

use crate::guest::Guest;
use crate::guest::InEngine;
use crate::guest::engine;

fn with_interface(version: &str, more: &str) -> Guest {
    Guest {
        interface: Some((version.to_owned(), more.to_owned())),
        ..Guest::default()
    }
}

fn allows(guest: &Guest) {
    let evaluation = guest.decided(&engine());
    let answer = evaluation.answer.expect("an answer");
    assert!(matches!(answer, PolicyAnswer::Allow(_)), "{answer:?}");
}

#[test]
fn modules_of_the_first_contract_are_loaded() {
    let module = engine().compile(QUOTA_1).unwrap();
    assert_eq!(module.contract(), Contract::V1_0);
    let (name, wasm) = stock::MODULES[0];
    let module = engine().compile(wasm).expect(name);
    assert_eq!(module.contract(), Contract::V1_3, "{name}");
    let by_hand = Guest::default().compile(&engine()).unwrap();
    assert_eq!(by_hand.contract(), Contract::V1_0);
}

#[test]
fn types_may_be_imported_by_name() {
    // The same code and arguments cost the same.
    let fuel = |guest: &Guest| guest.decided(&engine()).fuel;
    for (version, contract) in [
        ("1.1.0", Contract::V1_1),
        ("1.2.0", Contract::V1_2),
        ("1.3.0", Contract::V1_3),
    ] {
        let guest = with_interface(version, "");
        assert_eq!(guest.compile(&engine()).unwrap().contract(), contract);
        allows(&guest);
        assert_eq!(fuel(&guest), fuel(&Guest::default()), "{version}");
    }
}

#[test]
fn a_later_contract_is_refused_and_the_known_ones_are_told() {
    for version in ["1.0.0", "1.4.0", "2.0.0"] {
        let error = with_interface(version, "").compile(&engine()).unwrap_err();
        assert_eq!(error, HostError::UnknownContract(version.to_owned()));
        let told = error.to_string();
        assert!(
            told.contains("speaks 1.0.0, 1.1.0, 1.2.0 and 1.3.0"),
            "{told}"
        );
    }
}

#[test]
fn an_interface_of_types_has_nothing_else() {
    let guest = with_interface("1.1.0", r#"(export "now" (func (result u64)))"#);
    let error = guest.compile(&engine()).unwrap_err();
    let expected = "leasehold:policy/types@1.1.0#now".to_owned();
    assert_eq!(error, HostError::ForbiddenImport(expected));
}

#[test]
fn a_module_may_have_several_memories_of_one_size_together() {
    let with = |pages: u32| Guest {
        more: format!("(memory $second {pages}) (memory $third 1)"),
        decide: "(i32.store $second (i32.const 0) (i32.const 7))
            (if (i32.ne (i32.load $second (i32.const 0)) (i32.const 7)) (then unreachable))
            (i32.const 4096)"
            .to_owned(),
        ..Guest::default()
    };
    allows(&with(1));
    // 4 + 240 + 1 pages fit into 256, but two pages more than are left do not.
    allows(&with(240));
    let error = with(255).compile(&engine()).unwrap_err();
    let HostError::Describe(fault) = error else {
        panic!("{error}");
    };
    assert_eq!(fault, PolicyFault::Memory(16 << 20));
    let error = Guest {
        more: "(memory 1) (memory 1) (memory 1) (memory 1)".to_owned(),
        ..Guest::default()
    };
    let error = error.compile(&engine()).unwrap_err();
    assert!(matches!(error, HostError::TooComplex { .. }), "{error}");
}

#[test]
fn tail_calls_cost_fuel_and_no_stack() {
    let counting = |times: u32| Guest {
        more: "(func $down (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 4096))))
            (return_call $down (i32.sub (local.get 0) (i32.const 1))))"
            .to_owned(),
        decide: format!("(call $down (i32.const {times}))"),
        ..Guest::default()
    };
    // A hundred thousand calls in one another would need more stack than there is.
    let (few, many) = (counting(1_000), counting(100_000));
    allows(&many);
    let fuel = |guest: &Guest| guest.decided(&engine()).fuel;
    assert!(fuel(&many) > 50 * fuel(&few));
    assert_eq!(fuel(&many), fuel(&many));
    let endless = Guest {
        more: "(func $on (result i32) (return_call $on))".to_owned(),
        decide: "(call $on)".to_owned(),
        ..Guest::default()
    };
    let fault = endless.decided(&engine()).answer.unwrap_err();
    assert_eq!(fault, PolicyFault::FuelSpent(10_000_000));
}

fn refused(wat: &str) -> (&'static str, usize) {
    let wasm = wat::parse_str(wat).expect("it parses");
    match engine().compile(&wasm).unwrap_err() {
        HostError::TooComplex { what, max, .. } => (what, max),
        other => panic!("{other}"),
    }
}

#[test]
fn components_cannot_multiply_one_another() {
    let twice =
        "(component (component $a) (instance (instantiate $a)) (instance (instantiate $a)))";
    assert_eq!(refused(twice), ("instances of one component", 1));
    let aliased = "(component $o (component $a)
        (component (alias outer $o $a (component $b)) (instance (instantiate $b))))";
    let handed_on = ("imports or aliases of components", 0);
    assert_eq!(refused(aliased), handed_on);
    let imported =
        r#"(component (component (import "c" (component $c)) (instance (instantiate $c))))"#;
    assert_eq!(refused(imported), handed_on);
    let exported = r#"(component (component $a (component $b) (export "b" (component $b)))
        (instance $i (instantiate $a)) (alias export $i "b" (component $c)))"#;
    assert_eq!(refused(exported), handed_on);
}

#[test]
fn a_module_has_at_most_64_core_instances() {
    let with = |count: usize| {
        let more = "(core instance (instantiate $m))".repeat(count);
        format!("(component (core module $m) {more})")
    };
    assert_eq!(refused(&with(65)), ("core instances", 64));
    let guest = |count: usize| {
        let rows = "(core instance (instantiate $empty))".repeat(count);
        let wat = Guest::default().wat();
        let rest = wat.strip_prefix("(component ").expect("a component");
        wat::parse_str(format!("(component (core module $empty) {rows} {rest}")).unwrap()
    };
    // The guest itself has two.
    let engine = engine();
    engine.compile(&guest(62)).expect("64 core instances");
    assert!(engine.compile(&guest(63)).is_err());
}

/// `count` functions of one component that another one calls, each with an argument of many types.
fn adapters(count: usize, types: usize) -> Guest {
    let mut all = String::from("(type $t0 (list string))");
    for number in 1..types {
        let before = number - 1;
        all += &format!("(type $t{number} (list (tuple string u8 $t{before})))");
    }
    let last = types - 1;
    let (mut lifted, mut imports, mut lowered, mut given) =
        (String::new(), String::new(), String::new(), String::new());
    for number in 0..count {
        lifted += &format!(
            r#"(func (export "f{number}") (param "x" $t{last}) (canon lift (core func $i "f")
            (memory (core memory $i "memory")) (realloc (core func $i "r{number}"))))"#
        );
        imports += &format!(r#"(import "f{number}" (func $f{number} (param "x" $t{last})))"#);
        lowered += &format!(
            r#"(core func $l{number} (canon lower (func $f{number}) (memory (core memory $i "memory"))))"#
        );
        given += &format!(r#"(with "f{number}" (func $a "f{number}"))"#);
    }
    let mut uses = String::new();
    let mut users = String::new();
    for number in 0..count {
        uses += &format!(r#"(import "" "l{number}" (func (param i32 i32)))"#);
        users += &format!(r#"(export "l{number}" (func $l{number}))"#);
    }
    let reallocs: String = (0..count)
        .map(|number| {
            format!(
                r#"(func (export "r{number}") (param i32 i32 i32 i32) (result i32) (i32.const 0))"#
            )
        })
        .collect();
    let module = format!(
        r#"(core module $m (memory (export "memory") 1)
        (func (export "f") (param i32 i32)) {reallocs})
        (core instance $i (instantiate $m))"#
    );
    let outside = format!(
        "(component $a {all} {module} {lifted})
        (instance $a (instantiate $a))
        (component $b {all} {imports} {module} {lowered}
          (core module $u {uses})
          (core instance (instantiate $u (with \"\" (instance {users})))))
        (instance (instantiate $b {given}))"
    );
    Guest {
        outside,
        ..Guest::default()
    }
}

#[test]
fn adapters_between_components_are_counted_as_work() {
    let engine = engine();
    engine
        .compile(&adapters(10, 20).wasm())
        .expect("ten adapters of twenty types");
    let error = engine.compile(&adapters(140, 30).wasm()).unwrap_err();
    let HostError::TooComplex { what, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(what, "work for the compiler");
}
