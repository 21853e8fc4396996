//! The stock policies `ownership` and `ttl-bounds`, as a gateway runs them.

use std::collections::BTreeMap;

use leasehold_domain::Facts;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;
use leasehold_policy_host::BoundPolicy;
use leasehold_policy_host::CacheLookup;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;
use leasehold_policy_host::stock;
use serde_json::Value;
use serde_json::json;

use crate::question::AREAS;
use crate::question::Question;
use crate::question::TTL_MS_MAX;
use crate::question::TTL_MS_MIN;

/// Both policies, in their order.
pub struct Leasehold {
    policies: [BoundPolicy; 2],
    is_cached: bool,
}

/// A question in the gateway's own types: it has these in any case.
pub type Asked = (Request, Principal, Facts);

impl Leasehold {
    /// `is_cached`: whether verdicts are remembered, as they are in a gateway.
    pub fn new(is_cached: bool) -> Self {
        let engine = PolicyEngine::new(EngineLimits::default()).expect("an engine");
        let claims: Vec<Value> = (0..AREAS)
            .map(|area| json!({"locks": format!("area-{area}/**"), "teams": [format!("t{area}")]}))
            .collect();
        let rule = json!({"min_ttl_ms": TTL_MS_MIN, "max_ttl_ms": TTL_MS_MAX});
        let bind = |name: &str, config: Value| {
            let stored = stock::MODULES.iter().find(|(known, _)| *known == name);
            let module = engine.compile(stored.expect("a stock policy").1);
            module.expect("a module").bind(&config).expect("bound")
        };
        Self {
            policies: [
                bind("ownership", json!({"unclaimed": "deny", "claims": claims})),
                bind("ttl-bounds", json!({"rules": [rule]})),
            ],
            is_cached,
        }
    }

    pub fn decide(&self, (request, principal, facts): &Asked) -> bool {
        let judge = |policy: &BoundPolicy| {
            if !self.is_cached {
                return policy.decide(request, principal, facts);
            }
            let budget = policy.budget();
            match policy.cached_verdict(request, principal, facts, budget) {
                CacheLookup::Hit(evaluation) => evaluation,
                CacheLookup::Disabled => policy.decide(request, principal, facts),
                CacheLookup::Miss(key) => {
                    let evaluation = policy.decide(request, principal, facts);
                    policy.cache_verdict(key, &evaluation, budget);
                    evaluation
                }
            }
        };
        // A longer time to live is cut to the limit. The others refuse it, so that counts as a refusal.
        let allows = |policy| match judge(policy).answer {
            Ok(PolicyAnswer::Allow(limits)) => limits
                .max_ttl_ms
                .is_none_or(|max| request.ttl_ms <= Some(max)),
            Ok(_) | Err(_) => false,
        };
        self.policies.iter().all(allows)
    }
}

/// Translates a question.
pub fn asked(question: &Question) -> Asked {
    let lock = format!("demo/{}", question.lock).parse().expect("a lock");
    let labels = question.labels.iter();
    let request = Request {
        mode: Some(Mode::Exclusive),
        ttl_ms: Some(question.ttl_ms),
        labels: labels
            .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
            .collect(),
        ..Request::new(Operation::Acquire, lock)
    };
    let principal = Principal {
        subject: question.subject.parse().expect("a subject"),
        team: Some(question.team.parse().expect("a team")),
        roles: RoleSet::default(),
        claims: BTreeMap::new(),
    };
    let facts = Facts {
        now: WallMillis(1_795_518_000_000),
        lock: None,
        usage: None,
    };
    (request, principal, facts)
}
