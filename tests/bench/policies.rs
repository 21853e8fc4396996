//! What one decision of a stock policy costs: a fresh instance, both guards, arguments in, verdict
//! out, instance thrown away.
//!
//! Criterion tells each policy's mean; then single decisions are timed, for their median and their
//! slowest hundredth. `demo` is the three policies that judge an acquire in that namespace, one
//! after the other, as they are bound at the first start.

use std::collections::BTreeMap;
use std::time::Duration;

use criterion::Criterion;
use leasehold_domain::Clock;
use leasehold_domain::Facts;
use leasehold_domain::FencingToken;
use leasehold_domain::LockSettings;
use leasehold_domain::LockView;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::SystemClock;
use leasehold_domain::Usage;
use leasehold_domain::WallMillis;
use leasehold_policy_host::BoundPolicy;
use leasehold_policy_host::CacheLookup;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;
use leasehold_policy_host::stock;
use serde_json::Value;
use serde_json::json;

/// Single decisions that are timed.
const TIMED: usize = 60_000;
/// Versions of one policy that are asked in turn.
const VERSIONS: usize = 1_000;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let engine = PolicyEngine::new(EngineLimits::default()).expect("an engine");
    let mut subjects: Vec<Subject> = stock::MODULES
        .iter()
        .map(|(name, _)| {
            let (operation, config) = configuration(name);
            Subject::new(name, operation, vec![bound(&engine, name, &config)])
        })
        .collect();
    subjects.push(demo(&engine));
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for subject in &subjects {
        criterion.bench_function(&subject.name, |bench| bench.iter(|| subject.decide()));
    }
    for subject in &subjects {
        subject.report("", Subject::decide);
        subject.report(", cached", Subject::decide_cached);
    }
    in_rotation(&engine);
    criterion.final_summary();
}

/// One decision after another of many versions, none of which was used lately.
fn in_rotation(engine: &PolicyEngine) {
    let (_, wasm) = stock::MODULES
        .iter()
        .find(|(name, _)| *name == "ttl-bounds")
        .expect("a stock policy");
    let versions = (0..VERSIONS).map(|version| {
        let mut wasm = wasm.to_vec();
        // An unknown section makes other bytes, and so another module.
        wasm.extend_from_slice(&[0, 6, 1, b'v']);
        wasm.extend_from_slice(&u32::try_from(version).expect("few").to_le_bytes());
        let module = engine.compile(&wasm).expect("a module");
        let config = json!({"rules": [{"max_ttl_ms": 3_600_000}]});
        let policy = module.bind(&config).expect("bound");
        Subject::new("version", Operation::Acquire, vec![policy])
    });
    let versions: Vec<Subject> = versions.collect();
    let mut next = 0;
    timed("one version", || {
        versions[0].decide();
    });
    timed("1,000 versions in rotation", || {
        next = (next + 1) % VERSIONS;
        versions[next].decide();
    });
}

/// Times single runs, and prints their median and their slowest hundredth.
#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn timed(name: &str, mut run: impl FnMut()) {
    let clock = SystemClock::new();
    let mut times: Vec<Duration> = (0..TIMED)
        .map(|_| {
            let before = clock.monotonic();
            run();
            clock.monotonic() - before
        })
        .collect();
    times.sort_unstable();
    let part = |percent: usize| times[TIMED * percent / 100].as_secs_f64() * 1e6;
    println!("{name}: p50 {:.2} us, p99 {:.2} us", part(50), part(99));
}

/// Policies that judge one request after each other.
struct Subject {
    name: String,
    policies: Vec<BoundPolicy>,
    request: Request,
    principal: Principal,
    facts: Facts,
}

impl Subject {
    fn new(name: &str, operation: Operation, policies: Vec<BoundPolicy>) -> Self {
        let subject = Self {
            name: name.to_owned(),
            policies,
            request: request(operation),
            principal: Principal {
                subject: "svc-close".parse().expect("a subject"),
                team: Some("t7".parse().expect("a team")),
                roles: RoleSet::default(),
                claims: BTreeMap::new(),
            },
            facts: Facts {
                // 2026-11-24, a Tuesday.
                now: WallMillis(1_795_518_000_000),
                lock: Some(Box::new(free_lock())),
                usage: Some(Usage {
                    subject_leases: 1,
                    team_leases: 4,
                }),
            },
        };
        for policy in &subject.policies {
            let verdict = policy.decide(&subject.request, &subject.principal, &subject.facts);
            let verdict = verdict.answer.map(|answer| answer.as_str());
            assert_eq!(verdict, Ok("allow"), "{name}");
        }
        subject
    }

    /// The fuel of all its policies.
    fn decide(&self) -> u64 {
        let judge = |policy: &BoundPolicy| {
            policy
                .decide(&self.request, &self.principal, &self.facts)
                .fuel
        };
        self.policies.iter().map(judge).sum()
    }

    /// The same with the verdict cache, as in the gateway.
    fn decide_cached(&self) -> u64 {
        let judge = |policy: &BoundPolicy| {
            let (request, principal, facts) = (&self.request, &self.principal, &self.facts);
            let evaluation = match policy.cached_verdict(request, principal, facts, policy.budget())
            {
                CacheLookup::Hit(evaluation) => evaluation,
                CacheLookup::Disabled => policy.decide(request, principal, facts),
                CacheLookup::Miss(key) => {
                    let evaluation = policy.decide(request, principal, facts);
                    policy.cache_verdict(key, &evaluation, policy.budget());
                    evaluation
                }
            };
            evaluation.fuel
        };
        self.policies.iter().map(judge).sum()
    }

    fn report(&self, how: &str, decide: impl Fn(&Self) -> u64) {
        let name = format!("{}{how}: fuel {}", self.name, decide(self));
        timed(&name, || {
            decide(self);
        });
    }
}

fn bound(engine: &PolicyEngine, name: &str, config: &Value) -> BoundPolicy {
    let stored = stock::MODULES.iter().find(|(known, _)| *known == name);
    let (_, wasm) = stored.expect("a stock policy");
    let module = engine.compile(wasm).expect("a module");
    module.bind(config).expect("bound")
}

fn demo(engine: &PolicyEngine) -> Subject {
    let policies = vec![
        bound(
            engine,
            "ownership",
            &json!({"unclaimed": "allow", "claims": []}),
        ),
        bound(
            engine,
            "ttl-bounds",
            &json!({"rules": [{"max_ttl_ms": 3_600_000, "max_hold_ms": 86_400_000}]}),
        ),
        bound(engine, "freeze-window", &json!({"windows": []})),
    ];
    Subject::new("demo", Operation::Acquire, policies)
}

/// What policies that read the lock are shown; the verdict cache holds nothing of these.
fn free_lock() -> LockView {
    LockView {
        lock: request(Operation::Acquire).lock,
        revision: 0,
        settings: LockSettings::default(),
        holders: Vec::new(),
        queue: Vec::new(),
        cooldown_remaining_ms: 0,
        reserved_for: None,
        last_token: FencingToken(0),
        stale_ms: 0,
    }
}

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
