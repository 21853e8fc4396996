//! What one decision of a stock policy costs: a fresh instance, both guards, arguments in, verdict
//! out, instance thrown away.

use std::collections::BTreeMap;

use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use leasehold_domain::Facts;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::Usage;
use leasehold_domain::WallMillis;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;
use leasehold_policy_host::stock;
use serde_json::Value;
use serde_json::json;

fn configuration(policy: &str) -> (Operation, Value) {
    match policy {
        "ownership" => {
            let claims: Vec<Value> = (0..8)
                .map(|row| json!({"locks": format!("area-{row}/**"), "teams": [format!("t{row}")]}))
                .collect();
            (
                Operation::Acquire,
                json!({"unclaimed": "deny", "claims": claims}),
            )
        }
        "ttl-bounds" => {
            let rule = json!({"min_ttl_ms": 1000, "max_ttl_ms": 60000, "max_hold_ms": 3600000});
            (Operation::Acquire, json!({"rules": [rule]}))
        }
        "freeze-window" => {
            let absolute = json!({
                "name": "year-end", "locks": ["area-7/**"],
                "from": "2026-12-19T17:00:00Z", "until": "2027-01-04T06:00:00Z",
            });
            let weekly =
                json!({"name": "weekend", "weekly": {"from": "fri 16:00", "until": "mon 08:00"}});
            (Operation::Acquire, json!({"windows": [absolute, weekly]}))
        }
        "quota" => (
            Operation::Acquire,
            json!({"max_per_subject": 10, "max_per_team": 100}),
        ),
        _ => (
            Operation::Revoke,
            json!({"revoke": {"teams": ["t7"], "ticket": "INC-####"}}),
        ),
    }
}

fn request(operation: Operation) -> Request {
    let lock = "demo/area-7/ledger/close".parse().expect("a lock");
    let labels = [("ticket", "INC-4711"), ("region", "eu-1")];
    Request {
        mode: Some(Mode::Exclusive),
        ttl_ms: Some(10_000),
        wait_ms: Some(1_000),
        instance: Some("pod-1".into()),
        labels: labels
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect(),
        reason: Some("nightly close".into()),
        ..Request::new(operation, lock)
    }
}

fn decide(bench: &mut Criterion) {
    let engine = PolicyEngine::new(EngineLimits::default()).expect("an engine");
    let principal = Principal {
        subject: "svc-close".parse().expect("a subject"),
        team: Some("t7".parse().expect("a team")),
        roles: RoleSet::default(),
        claims: BTreeMap::new(),
    };
    // 2026-11-24, a Tuesday.
    let facts = Facts {
        now: WallMillis(1_795_518_000_000),
        lock: None,
        usage: Some(Usage {
            subject_leases: 1,
            team_leases: 4,
        }),
    };
    for (name, wasm) in stock::MODULES {
        let (operation, config) = configuration(name);
        let request = request(operation);
        let policy = engine
            .compile(wasm)
            .expect("a module")
            .bind(&config)
            .expect("bound");
        let verdict = policy.decide(&request, &principal, &facts);
        assert_eq!(
            verdict.answer.map(|answer| answer.as_str()),
            Ok("allow"),
            "{name}"
        );
        bench.bench_function(name, |bench| {
            bench.iter(|| policy.decide(&request, &principal, &facts));
        });
    }
}

criterion_group!(benches, decide);
criterion_main!(benches);
