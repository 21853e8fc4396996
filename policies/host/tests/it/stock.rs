//! The committed stock policies load, which runs the cases that they carry.

use leasehold_domain::Digest;
use leasehold_domain::Operation;
use leasehold_domain::PolicyAnswer;
use leasehold_policy_guests::QUOTA_1;
use leasehold_policy_host::PolicyFault;
use leasehold_policy_host::cases;
use leasehold_policy_host::stock;
use serde_json::Value;
use serde_json::json;

use crate::guest::decide;
use crate::guest::engine;
use crate::guest::facts;
use crate::guest::principal;
use crate::guest::request;

#[test]
fn every_stock_policy_loads_and_carries_cases() {
    let engine = engine();
    assert_eq!(stock::MODULES.len(), 5);
    for (name, wasm) in stock::MODULES {
        let module = engine
            .compile(wasm)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(module.manifest().name, *name);
        assert!(
            cases::embed(wasm, b"[]").is_err(),
            "{name} carries no cases"
        );
    }
}

/// The JSON blocks of a policy's page, and the configurations of its test cases.
fn examples(name: &str) -> (Vec<Value>, Vec<Value>) {
    let read = |file: &str| {
        let path = format!("{}/../stock/{name}/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let page = read("README.md");
    let blocks = page.split("```json\n").skip(1).map(|block| {
        let (block, _) = block.split_once("```").unwrap();
        serde_json::from_str(block).unwrap_or_else(|error| panic!("{name}: {error}: {block}"))
    });
    let cases: Value = serde_json::from_str(&read("cases.json")).unwrap();
    assert!(
        !cases["codes"].as_array().unwrap().is_empty(),
        "{name} names no codes"
    );
    let cases = cases["cases"].as_array().unwrap().iter();
    let configs = cases.map(|case| case["config"].clone());
    (blocks.collect(), configs.collect())
}

#[test]
fn the_examples_of_each_page_can_be_bound_and_have_test_cases() {
    let engine = engine();
    for (name, wasm) in stock::MODULES {
        let module = engine.compile(wasm).unwrap();
        let (blocks, configs) = examples(name);
        assert!(!blocks.is_empty(), "{name}");
        for block in blocks {
            let bound = module.bind(&block);
            let bound = bound.unwrap_or_else(|error| panic!("{name}: {error}: {block}"));
            assert_eq!(bound.unmatchable(), [], "{name}: {block}");
            assert!(
                configs.contains(&block),
                "{name}: no test case has the configuration {block}"
            );
        }
    }
}

#[test]
fn a_denial_by_a_stock_policy_has_its_code_and_message() {
    let (_, wasm) = stock::MODULES
        .iter()
        .find(|(name, _)| *name == "freeze-window")
        .unwrap();
    let window =
        json!({"name": "always", "from": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"});
    let policy = engine()
        .compile(wasm)
        .unwrap()
        .bind(&json!({"windows": [window]}))
        .unwrap();
    let PolicyAnswer::Deny {
        code,
        message,
        retry_after_ms,
    } = decide(&policy).answer.unwrap()
    else {
        unreachable!("the window is on")
    };
    assert_eq!(&*code, "frozen");
    assert_eq!(&*message, "frozen by `always` until 2100-01-01T00:00:00Z");
    assert!(retry_after_ms.is_some());
}

#[test]
fn quota_carries_counters_and_reads_nothing() {
    let (_, wasm) = stock::MODULES
        .iter()
        .find(|(name, _)| *name == "quota")
        .unwrap();
    let config = json!({ "max_per_subject": 2 });
    let policy = engine().compile(wasm).unwrap().bind(&config).unwrap();
    let manifest = policy.module().manifest();
    assert!(!manifest.needs_usage && !manifest.needs_lock);
    assert_eq!(manifest.operations, [Operation::Acquire]);
    let PolicyAnswer::Allow(limits) = decide(&policy).answer.unwrap() else {
        unreachable!("it carries a counter")
    };
    let [counter] = &limits.counters[..] else {
        panic!("{limits:?}");
    };
    let name = format!("subject:{}", principal().subject);
    assert_eq!((&*counter.name, counter.maximum), (name.as_str(), 2));
    assert_eq!(counter.code.as_deref(), Some("quota-subject"));
}

/// The version before, which some stores still have bound.
#[test]
fn quota_1_still_needs_the_usage() {
    let policy = engine().compile(QUOTA_1).unwrap().bind(&json!({})).unwrap();
    assert!(policy.module().manifest().needs_usage);
    let evaluation = policy.decide(&request(), &principal(), &facts());
    assert_eq!(evaluation.answer, Err(PolicyFault::MissingFact("usage")));
}

#[test]
fn modules_of_earlier_builds_are_stock_policies_too() {
    let digest = Digest::of(QUOTA_1);
    assert!(stock::is_stock(&digest));
    let other = Digest::of(b"something else");
    assert!(!stock::is_stock(&other));
}
